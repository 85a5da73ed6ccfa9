package api

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
)

// A change feed: a list asked for as text/event-stream stays open and tells of each
// change as it is committed (Server-Sent Events, WHATWG HTML §9.2). It is not of
// the Kinto protocol; docs/compatibility.md describes it. An event is
//
//	id: 1790000000123
//	event: change
//	data: {"id":"r1","last_modified":1790000000123,…}
//
// tombstones included. The id is the object's timestamp, so that a client that was
// cut off goes on where it was by Last-Event-ID or _since: the feed is the list
// with _since, over and over, and misses as little.

const (
	feedType  = "text/event-stream"
	feedPage  = 100              // objects looked for at a time
	feedBeat  = 20 * time.Second // something is sent at least as often, so that both sides know the other is there
	feedRetry = 3 * time.Second  // before a client comes back
	feedPause = 100 * time.Millisecond
)

// wantsFeed reports whether a request asks for a feed.
func wantsFeed(r *http.Request) bool {
	if r.Method != http.MethodGet {
		return false
	}
	for _, h := range r.Header["Accept"] {
		for media := range strings.SplitSeq(h, ",") {
			media, _, _ = strings.Cut(media, ";")
			if strings.EqualFold(strings.TrimSpace(media), feedType) {
				return true
			}
		}
	}
	return false
}

// openFeed serves one. It ends with the client, with the server, with the caller's right
// to read, or when others need its place.
func openFeed(c *call, list kinto.List) {
	// Watched from before the first look, so that nothing is missed.
	changed, stop := c.kinto.Watch(list)
	defer stop()
	f := &feed{call: c, control: http.NewResponseController(c.w), list: list, since: -1}
	answer, err := f.look()
	if err != nil {
		c.fail(err)
		return
	}
	over, leave, err := c.feeds.enter(c.r, f.caller)
	if err != nil {
		c.fail(err)
		return
	}
	defer leave()
	h := c.w.Header()
	h["Content-Type"] = []string{feedType}
	h["Cache-Control"] = headerNoStore
	h["X-Accel-Buffering"] = []string{"no"} // proxies are to pass events on at once
	f.say("retry: " + strconv.FormatInt(feedRetry.Milliseconds(), 10) + "\nevent: ready\ndata: {\"timestamp\":" + strconv.FormatInt(answer.Timestamp, 10) + "}\n\n")
	beat := time.NewTicker(feedBeat)
	defer beat.Stop()
	for {
		for f.tell(answer); answer.Next != nil && f.err == nil; f.tell(answer) {
			if answer, err = f.look(); err != nil {
				f.end(err)
				return
			}
		}
		select {
		case <-changed:
			f.pause()
		case <-beat.C:
			f.say(": still here\n\n")
		case <-over:
			f.end(&kinto.BusyError{What: "feeds"})
			return
		case <-c.Done:
			return
		case <-c.r.Context().Done():
			return
		}
		if f.err != nil {
			return // the client is gone
		}
		if answer, err = f.look(); err != nil {
			f.end(err)
			return
		}
	}
}

// feed is one client's.
type feed struct {
	*call
	control *http.ResponseController
	list    kinto.List
	caller  kinto.Caller // as last looked
	fields  kinto.Fields
	since   int64 // negative: nothing was looked at yet
	began   int64 // where the list stood at the first look; 0: there was none
	looked  time.Time
	buf     []byte
	err     error // of writing
}

// look finds what has changed, the oldest first, as the caller is known now: a
// permission or a password that was taken away ends the feed.
func (f *feed) look() (*kinto.Answer, error) {
	leave, err := f.turn(f.lists, "large answers")
	if err != nil {
		return nil, err
	}
	defer leave()
	f.looked = time.Now()
	who, err := f.who()
	if err != nil {
		return nil, err
	}
	f.caller = who
	req := kinto.Request{Op: kinto.Get, Who: who, List: f.list, Modified: -1}
	err = readParameters(http.Header{}, f.r.URL.RawQuery, &req)
	req.Invalid = err
	q := &req.Query
	if f.since < 0 {
		f.begin(q)
	}
	f.fields = req.Fields
	q.Since, q.Tombstones, q.After, q.Limit = f.since, true, nil, feedPage
	q.Sort = kinto.ParseSort("last_modified")
	req.Began = f.began
	answer, err := f.kinto.Do(f.r.Context(), &req)
	if err == nil && answer.Lost { // the client is told of everything there is
		q.Since = answer.Timestamp
		answer, err = f.kinto.Do(f.r.Context(), &req)
	}
	if err != nil {
		return nil, f.refused(who, err)
	}
	if f.began == 0 {
		f.began, f.since = answer.Timestamp, q.Since
	}
	if f.since < 0 {
		// Nobody said since when: from now on.
		f.since = answer.Timestamp
		answer.Objects, answer.Next = nil, nil
	}
	return answer, nil
}

// pause waits until feedPause after the last look: of many changes in a row most are then
// seen together, and many feeds of a list that is written all the time cost little.
func (f *feed) pause() {
	wait := time.NewTimer(feedPause - time.Since(f.looked))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-f.Done:
	case <-f.r.Context().Done():
	}
}

// begin takes from when on the client wants to know.
func (f *feed) begin(q *kinto.Query) {
	if n, ok := digits(f.r.Header.Get("Last-Event-ID")); ok {
		f.since = n
	} else if q.Since >= 0 {
		f.since = q.Since
	}
}

// tell sends the objects of an answer.
func (f *feed) tell(answer *kinto.Answer) {
	if len(answer.Objects) == 0 {
		return
	}
	b := f.buf[:0]
	for i := range answer.Objects {
		o := &answer.Objects[i]
		b = append(b, "id: "...)
		b = strconv.AppendInt(b, o.Timestamp, 10)
		b = append(b, "\nevent: change\ndata: "...)
		if f.fields == nil {
			b = o.AppendJSON(b)
		} else {
			b = o.AppendFields(b, f.fields)
		}
		b = append(b, "\n\n"...)
		f.since = o.Timestamp
	}
	f.buf = b
	f.say(string(f.addressed(b)))
}

// end tells why the feed ends, as an error body.
func (f *feed) end(err error) {
	if f.r.Context().Err() != nil {
		return
	}
	said := &recorder{header: http.Header{}, method: http.MethodGet}
	told := *f.call
	told.w = said
	told.fail(err)
	var body json.RawMessage = said.body.Bytes()
	if !json.Valid(body) {
		body = []byte("{}")
	}
	f.say("event: error\ndata: " + string(body) + "\n\n")
}

// say sends text at once. A client has as long for it as for any piece of an
// answer; between events it may be silent for ever.
func (f *feed) say(text string) {
	if f.err != nil {
		return
	}
	patience := time.Duration(f.Settings.Limits.BodySeconds) * time.Second
	_ = f.control.SetWriteDeadline(time.Now().Add(patience)) // where there are none, the server's own hold
	if _, f.err = f.w.Write([]byte(text)); f.err == nil {
		f.err = f.control.Flush()
	}
	_ = f.control.SetWriteDeadline(time.Time{})
}
