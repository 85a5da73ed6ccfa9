package api

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/foyer-server/foyer/server/admission"
	"github.com/foyer-server/foyer/server/front"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/refusal"
)

// Methods of lists and objects (§1).
var (
	listOps = map[string]kinto.Op{
		http.MethodGet: kinto.Get, http.MethodHead: kinto.Count, http.MethodPost: kinto.Create, http.MethodDelete: kinto.Delete,
	}
	objectOps = map[string]kinto.Op{
		http.MethodGet: kinto.Get, http.MethodHead: kinto.Get, http.MethodPut: kinto.Put, http.MethodPatch: kinto.Patch, http.MethodDelete: kinto.Delete,
	}
	listMethods   = []string{"HEAD", "GET", "POST", "DELETE", "OPTIONS"}
	objectMethods = []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"}
)

// resource serves a list, or an object of it, in the order of §1. called is what
// the client calls the object.
func resource(c *call, list kinto.List, id, called string) {
	ops, methods := listOps, c.offers.methods(list, id)
	if id != "" {
		ops = objectOps
	}
	if c.r.Method == http.MethodOptions {
		c.preflight(methods)
		return
	}
	op, ok := ops[c.r.Method]
	if !ok || !slices.Contains(methods, c.r.Method) || c.readonly && c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		c.w.Header()["Allow"] = []string{strings.Join(methods, ", ")}
		c.fail(refusal.Method)
		return
	}
	if op == kinto.Get && id == "" && c.within == nil && list.Kind != kinto.Account && wantsFeed(c.r) {
		openFeed(c, list)
		return
	}
	carries := op == kinto.Create || op == kinto.Put || op == kinto.Patch
	var parser func(kinto.Kind, []byte) (kinto.Body, error)
	if carries {
		parser = bodyParser(op, c.r.Header["Content-Type"])
	}
	var form *refusal.FormError
	switch {
	case !accepts(c.r.Header["Accept"]):
		form = errAccept
	case op == kinto.Patch && parser == nil:
		form = errPatchType
	case carries && parser == nil:
		form = errType
	case carries && untyped(c.r):
		form = errNoType
	}
	if form != nil {
		c.refuse(list, op, id, form)
		return
	}
	who, err := c.who()
	if err != nil {
		c.fail(err)
		return
	}
	req := kinto.Request{Op: op, Who: who, List: list, ID: id, Own: called != id, Body: kinto.NoBody(), Modified: -1}
	var bad [4]error
	if carries {
		var release func()
		var text []byte
		if text, release, err = c.body(); err != nil {
			c.fail(err)
			return
		}
		defer release()
		req.Body, bad[0] = parser(list.Kind, text)
		if id != "" && req.Body.ID == called {
			req.Body.ID = id
		}
		if bad[0] == nil && op == kinto.Patch && !req.Body.Says() {
			bad[0] = kinto.Invalid("body", "", "Provide at least one of data or permissions")
		}
	}
	if op == kinto.Patch {
		req.Behavior, bad[3] = behavior(c.r.Header["Response-Behavior"])
	}
	req.Cond, bad[1] = conditions(c.r.Header)
	bad[2] = readParameters(c.w.Header(), c.r.URL.RawQuery, &req)
	if list.Kind == kinto.Account && carries {
		if err := hashPassword(c, &req, &bad[0]); err != nil {
			c.fail(err)
			return
		}
	}
	req.Invalid = kinto.Problems(bad[:]...)
	answer, err := c.inTurn(&req)
	if err != nil {
		c.fail(c.refused(who, err))
		return
	}
	size := sizeOf(answer.Objects...)
	if answer.Object != nil {
		size += sizeOf(*answer.Object)
	}
	release, err := c.hold(size)
	if err != nil {
		c.fail(err)
		return
	}
	defer release()
	c.answer(&req, answer)
}

// refuse answers a request whose form is wrong; a missing parent is told first.
func (c *call) refuse(list kinto.List, op kinto.Op, id string, form error) {
	if op == kinto.Create || id != "" && op != kinto.Get {
		if err := c.kinto.Enter(c.r.Context(), list); err != nil {
			form = err
		}
	}
	c.fail(form)
}

// who is who sends a request.
func (c *call) who() (kinto.Caller, error) {
	if header := c.r.Header["Authorization"]; len(header) > 0 {
		if c.within != nil {
			if who, ok := c.within.known[header[0]]; ok {
				return who, nil
			}
			return kinto.Anonymous(), nil
		}
		who, err := c.Auth.Identify(c.r.Context(), header[0], front.Origin(c.r))
		if err == nil && known(who) {
			admission.Of(c.r.Context()).Known()
		}
		return who, err
	}
	return kinto.Anonymous(), nil
}

// Bodies larger than smallBody are held only as long as all of them together stay
// within heldBodies times the limit of one, so that many clients cannot fill the memory.
const (
	smallBody  = 64 << 10
	heldBodies = 8
)

// body reads the request's body, whole; call release when it is no longer needed.
func (c *call) body() (text []byte, release func(), err error) {
	release = func() {}
	limit := int64(c.Settings.Limits.Body)
	size := c.r.ContentLength
	if size == 0 {
		return nil, release, nil
	}
	if size > limit {
		return nil, release, errTooLarge
	}
	if size < 0 {
		size = limit
	}
	if size > smallBody {
		if c.inFlight.Add(size) > heldBodies*limit {
			c.inFlight.Add(-size)
			return nil, release, refusal.Busy
		}
		release = func() { c.inFlight.Add(-size) }
	}
	if c.r.ContentLength > 0 && size <= smallBody {
		text = make([]byte, size)
		_, err = io.ReadFull(c.r.Body, text)
	} else {
		text, err = io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, limit))
	}
	if err != nil {
		release()
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, func() {}, errTooLarge
		}
		return nil, func() {}, errCut
	}
	return text, release, nil
}

// answer writes what was done (§2, §4.5, §7).
func (c *call) answer(req *kinto.Request, ans *kinto.Answer) {
	h := c.w.Header()
	validators(h, seen(req, ans))
	reads := c.r.Method == http.MethodGet || c.r.Method == http.MethodHead
	if reads {
		keep(h, ans.Expires)
	}
	if req.Op == kinto.Count {
		if req.List.Kind != kinto.History {
			total := []string{strconv.Itoa(ans.Total)}
			h["Total-Objects"], h["Total-Records"] = total, total
		}
		c.w.WriteHeader(http.StatusOK)
		return
	}
	buf, free := c.buffer()
	defer free()
	b := *buf
	switch {
	case ans.Object == nil:
		if ans.Next != nil {
			h["Next-Page"] = []string{c.nextPage(req, ans)}
		}
		b = append(b, `{"data":[`...)
		for i := range ans.Objects {
			if i > 0 {
				b = append(b, ',')
			}
			b = ans.Objects[i].AppendFields(b, req.Fields)
		}
		b = append(b, `]}`...)
	case ans.Object.Deleted:
		b = append(b, `{"data":`...)
		b = ans.Object.AppendJSON(b)
		b = append(b, '}')
	case req.Fields != nil:
		b = append(b, `{"data":`...)
		b = ans.Object.AppendFields(b, req.Fields)
		b = append(b, '}')
	default:
		b = append(b, `{"permissions":`...)
		if ans.Permissions == nil {
			b = append(b, `{}`...)
		} else {
			b = append(b, ans.Permissions...)
		}
		b = append(b, `,"data":`...)
		if ans.Part != nil {
			b = append(b, ans.Part...)
		} else {
			b = ans.Object.AppendJSON(b)
		}
		b = append(b, '}')
	}
	*buf = b
	status := http.StatusOK
	if ans.Created {
		status = http.StatusCreated
	}
	c.write(status, b)
}

// keep says for how long an answer may be kept (§2).
func keep(h http.Header, seconds int) {
	switch {
	case seconds < 0:
		h["Cache-Control"] = headerNoStore
		return
	case seconds == 0:
		h["Cache-Control"] = []string{"max-age=0, must-revalidate, no-cache, no-store"}
		h["Pragma"] = []string{"no-cache"}
	default:
		h["Cache-Control"] = []string{"max-age=" + strconv.Itoa(seconds)}
	}
	h["Expires"] = []string{time.Now().Add(time.Duration(seconds) * time.Second).UTC().Format(http.TimeFormat)}
}

// validators sets ETag and Last-Modified (§2).
func validators(h http.Header, timestamp int64) {
	var tag [24]byte
	b := append(tag[:0], '"')
	b = strconv.AppendInt(b, timestamp, 10)
	b = append(b, '"')
	both := []string{string(b), time.UnixMilli(timestamp).UTC().Format(http.TimeFormat)}
	h["Etag"], h["Last-Modified"] = both[:1:1], both[1:]
}
