package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/foyer-server/foyer/server/front"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/refusal"
)

// batch does many requests in one (§8). Those that write share one transaction:
// all of them are kept, or none. Requests are let in as if they came one by one;
// who sends them is found out before the transaction begins, since checking a
// password takes long.
func batch(c *call) {
	switch {
	case c.r.Method == http.MethodOptions:
		c.preflight([]string{"POST", "OPTIONS"})
		return
	case c.r.Method != http.MethodPost || c.readonly:
		c.w.Header()["Allow"] = []string{"POST, OPTIONS"}
		c.fail(refusal.Method)
		return
	case untyped(c.r):
		c.fail(errNoType)
		return
	case mediaType(c.r.Header["Content-Type"]) != "application/json":
		c.fail(errType)
		return
	}
	text, release, err := c.body()
	if err != nil {
		c.fail(err)
		return
	}
	defer release()
	steps, err := kinto.ParseBatch(text, c.Settings.Kinto.Int("batch_max_requests", 0))
	if err != nil {
		c.fail(err)
		return
	}
	all := make([]*http.Request, len(steps))
	in := &within{known: map[string]kinto.Caller{}, hashes: map[string]string{}, kinto: c.kinto}
	writes := false
	var about []kinto.List
	for i := range steps {
		if all[i], err = subRequest(c.r, &steps[i]); err != nil {
			c.fail(kinto.Invalid("body", "requests."+strconv.Itoa(i)+".path", "Invalid path"))
			return
		}
		if steps[i].Method != http.MethodGet && steps[i].Method != http.MethodHead {
			writes = true
			if l, id, ok := kinto.Locate(strings.TrimPrefix(all[i].URL.Path, "/v1")); ok {
				about = append(about, c.kinto.About(l, id)...)
			}
		}
		if header := all[i].Header.Get("Authorization"); header != "" {
			if _, ok := in.known[header]; !ok {
				if in.known[header], err = c.Auth.Identify(c.r.Context(), header, front.Origin(c.r)); err != nil {
					c.fail(err)
					return
				}
			}
		}
		if err = hashAhead(c.part(in, nil, all[i]), steps[i].Body); err != nil {
			c.fail(err)
			return
		}
	}
	var o *once
	if c.isOnce() && writes {
		if o, err = onceOf(c, in.known[c.r.Header.Get("Authorization")], text); err != nil {
			c.fail(err)
			return
		}
	}
	var out []*recorder
	var whole *recorder
	defer func() { in.release() }()
	do := func(s *kinto.Service) (err error) {
		in.kinto = s
		in.release() // it may be done again
		if o != nil {
			if whole, err = o.recall(c.r.Context(), s); whole != nil || err != nil {
				return err
			}
		}
		if out, err = each(c, in, all, steps); err != nil || o == nil {
			return err
		}
		kept := joined(c.r, out)
		if kept.body.Len() > onceWhole {
			short := make([]*recorder, len(out))
			for i := range out {
				short[i] = out[i].brief()
			}
			kept = joined(c.r, short)
			kept.header["Preference-Applied"] = minimal
		}
		return o.remember(c.r.Context(), s, kept)
	}
	if in.writes = writes; writes {
		if err = c.ready(c.r.Context()); err != nil {
			c.fail(err)
			return
		}
		err = c.kinto.Together(c.r.Context(), about, do)
	} else {
		err = do(c.kinto)
	}
	if failed, ok := errors.AsType[*subFailed](err); ok {
		if failed.answer.status != http.StatusConflict {
			for _, name := range []string{"Retry-After", "Content-Type"} {
				if v := failed.answer.header[name]; v != nil {
					c.w.Header()[name] = v
				}
			}
			c.write(failed.answer.status, failed.answer.body.Bytes())
			return
		}
	} else if err != nil {
		c.fail(err)
		return
	}
	if whole == nil {
		whole = joined(c.r, out)
	}
	c.replay(whole)
}

// joined is the answer of a whole batch.
func joined(r *http.Request, out []*recorder) *recorder {
	body := []byte(`{"responses":[`)
	for i, answer := range out {
		if i > 0 {
			body = append(body, ',')
		}
		body = answer.append(body)
	}
	return &recorder{status: http.StatusOK, path: r.URL.Path, header: http.Header{}, body: *bytes.NewBuffer(append(body, "]}"...))}
}

// within is what the requests of a batch share.
type within struct {
	known  map[string]kinto.Caller // by Authorization header
	hashes map[string]string       // of new passwords, by password
	kinto  *kinto.Service          // of the transaction
	writes bool                    // it is one that writes
	held   []func()                // give back what the answers hold
}

// release gives back what the answers hold so far.
func (in *within) release() {
	for _, free := range in.held {
		free()
	}
	in.held = nil
}

// part is a request of the batch, to be answered into w.
func (c *call) part(in *within, w http.ResponseWriter, r *http.Request) *call {
	return &call{api: c.api, w: w, r: r, kinto: in.kinto, within: in}
}

// subFailed: a request of a batch makes all of it come to nothing.
type subFailed struct{ answer *recorder }

func (e *subFailed) Error() string {
	return "a request of the batch was answered " + strconv.Itoa(e.answer.status)
}

// batchAnswer bounds what the answers of a batch hold together, in bytes; what one may
// hold of large answers (share.go) is more.
const batchAnswer = 16 << 20

var errBatchAnswer = refusal.New(413, 113, fmt.Sprintf("The answers of a batch may have %d bytes together; send the requests of this one by themselves.", batchAnswer))

// each does the requests of a batch one after the other. When one is answered with
// a conflict nothing is kept, so all that write are answered so.
func each(c *call, in *within, all []*http.Request, steps []kinto.Step) ([]*recorder, error) {
	out := make([]*recorder, len(all))
	held := 0
	for i, r := range all {
		answer := one(c, in, r, steps[i].Body)
		if to := answer.header.Get("Location"); answer.status == http.StatusTemporaryRedirect && to != "" {
			next, err := url.Parse(to)
			if err != nil {
				return nil, err
			}
			again := r.Clone(r.Context())
			again.URL = &url.URL{Path: next.Path, RawPath: next.RawPath, RawQuery: next.RawQuery}
			answer = one(c, in, again, steps[i].Body)
		}
		out[i] = answer
		held += answer.body.Len()
		free, ok := c.held.hold(front.Origin(c.r), answer.body.Len())
		if !ok {
			return nil, &kinto.BusyError{What: "large answers"}
		}
		in.held = append(in.held, free)
		switch {
		case answer.status >= 500:
			return nil, &subFailed{answer}
		case answer.status == http.StatusConflict:
			for j := range out {
				if out[j] == nil || steps[j].Method != http.MethodGet && steps[j].Method != http.MethodHead && out[j].status < 300 {
					lost := *answer
					lost.path, lost.method = all[j].URL.Path, all[j].Method
					out[j] = &lost
				}
			}
			return out, &subFailed{answer}
		case held > batchAnswer:
			return nil, errBatchAnswer
		}
	}
	return out, nil
}

// subRequest is a step as a request of its own.
func subRequest(outer *http.Request, s *kinto.Step) (*http.Request, error) {
	path := s.Path
	if !strings.HasPrefix(path, "/v1") {
		path = "/v1" + path
	}
	u, err := url.ParseRequestURI(path)
	if err != nil || u.Host != "" {
		return nil, refusal.Path
	}
	r := outer.Clone(outer.Context())
	r.Header.Del(onceHeader)
	r.Method, r.URL, r.RequestURI = s.Method, u, path
	for _, h := range s.Headers {
		r.Header.Set(h.Name, h.Value)
	}
	r.Header.Del("Content-Length")
	if s.Body != nil {
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	return r, nil
}

// one does one request.
func one(c *call, in *within, r *http.Request, body []byte) *recorder {
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	answer := &recorder{header: http.Header{}, path: r.URL.Path, method: r.Method}
	c.part(in, answer, r).do()
	return answer
}

// recorder keeps an answer.
type recorder struct {
	method, path string
	status       int
	header       http.Header
	body         bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// append appends the answer as an entry of a batch's.
func (w *recorder) append(b []byte) []byte {
	headers := map[string]string{}
	for name, values := range w.header {
		switch name { // as the reference writes them
		case "Etag":
			name = "ETag"
		case "Www-Authenticate":
			name = "WWW-Authenticate"
		}
		headers[name] = strings.Join(values, ", ")
	}
	head, err := json.Marshal(struct {
		Status  int               `json:"status"`
		Path    string            `json:"path"`
		Headers map[string]string `json:"headers"`
	}{w.status, w.path, headers})
	if err != nil {
		panic("api: headers cannot be encoded: " + err.Error())
	}
	b = append(append(b, head[:len(head)-1]...), `,"body":`...)
	text := w.body.Bytes()
	if w.method == http.MethodHead || len(text) == 0 || w.header.Get("Content-Type") != "application/json" {
		text = []byte(`""`)
	}
	return append(append(b, text...), '}')
}
