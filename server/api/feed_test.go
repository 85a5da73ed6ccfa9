package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// events reads a feed.
type events struct {
	t    *testing.T
	resp *http.Response
	in   *bufio.Scanner
}

type event struct{ id, name, data string }

// listen opens a feed as user over a real connection.
func listen(t *testing.T, url, user string, headers ...string) *events {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	if user != "" {
		r.SetBasicAuth(user, "pass")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return &events{t, resp, bufio.NewScanner(resp.Body)}
}

// next is the next event; the zero event when the feed has ended.
func (e *events) next() (out event) {
	for e.in.Scan() {
		name, value, _ := strings.Cut(e.in.Text(), ": ")
		switch name {
		case "id":
			out.id = value
		case "event":
			out.name = value
		case "data":
			out.data = value
		case "":
			if out.name != "" {
				return out
			}
		}
	}
	return event{}
}

func (e *events) want(name, has string) event {
	e.t.Helper()
	got := e.next()
	if got.name != name || !strings.Contains(got.data, has) {
		e.t.Fatalf("%+v, want %s with %s", got, name, has)
	}
	return got
}

func TestFeed(t *testing.T) {
	s := filled(t, nil)
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	records := "/v1/buckets/b/collections/c/records"

	now := listen(t, web.URL+records, "alice")
	if got := now.resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Error(got)
	}
	now.want("ready", `{"timestamp":`)
	all := listen(t, web.URL+records+"?_since=0", "alice")
	all.want("ready", "")
	all.want("change", `"id":"r"`)
	some := listen(t, web.URL+records+"?_since=0&min_n=5&_fields=n", "alice")
	some.want("ready", "")

	made := s.must(201, "alice", "PUT "+records+"/new", `{"data":{"n":7,"m":8}}`)
	for _, e := range []*events{now, all} {
		got := e.want("change", `"n":7`)
		if tag := made.header.Get("ETag"); tag != `"`+got.id+`"` {
			t.Errorf("id %s, ETag %s", got.id, tag)
		}
	}
	if got := some.want("change", `"n":7`); strings.Contains(got.data, `"m"`) {
		t.Error(got.data)
	}
	s.must(200, "alice", "DELETE "+records+"/new", "")
	last := now.want("change", `"deleted":true`)
	all.want("change", `"deleted":true`)

	// Cut off, and back where it was.
	s.must(201, "alice", "PUT "+records+"/meanwhile", "")
	back := listen(t, web.URL+records, "alice", "Last-Event-ID: "+last.id)
	back.want("ready", "")
	back.want("change", `"id":"meanwhile"`)
	now.want("change", `"id":"meanwhile"`)

	// Many at once come in order, each once.
	body := []string{}
	for i := range 25 {
		body = append(body, fmt.Sprintf(`{"path":"%s/m%d"}`, records, i))
	}
	for range 12 {
		s.must(200, "alice", "POST /v1/batch", `{"defaults":{"method":"PUT"},"requests":[`+strings.Join(body, ",")+`]}`)
	}
	for seen, last := map[string]bool{}, ""; len(seen) < 25; {
		got := now.want("change", `"id":"m`)
		if got.id <= last {
			t.Fatalf("%s after %s", got.id, last)
		}
		last = got.id
		var o struct{ ID string }
		if err := json.Unmarshal([]byte(got.data), &o); err != nil {
			t.Fatal(err)
		}
		seen[o.ID] = true
	}

	// The list goes, and the feed with it.
	end := listen(t, web.URL+records, "alice")
	end.want("ready", "")
	s.must(200, "alice", "DELETE /v1/buckets/b/collections/c", "")
	end.want("error", `"code":404`)
	if got := end.next(); got.name != "" {
		t.Errorf("after the end: %+v", got)
	}
}

func TestFeedShowsWhatTheCallerMaySee(t *testing.T) {
	s := filled(t, nil)
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	records := "/v1/buckets/b/collections/c/records"
	for user, want := range map[string]int{"": 401, "bob": 403} {
		if e := listen(t, web.URL+records, user); e.resp.StatusCode != want {
			t.Errorf("%q: %d", user, e.resp.StatusCode)
		}
	}
	s.must(201, "alice", "PUT "+records+"/open", `{"permissions":{"read":["system.Everyone"]}}`)
	e := listen(t, web.URL+records+"?_since=0", "")
	e.want("ready", "")
	e.want("change", `"id":"open"`)
	s.must(201, "alice", "PUT "+records+"/closed", "")
	s.must(200, "alice", "PUT "+records+"/open", `{"data":{"n":2}}`)
	e.want("change", `"n":2`)
	// What was granted is taken away: nothing more is told.
	s.must(200, "alice", "PUT "+records+"/open", `{"data":{"n":3},"permissions":{"read":["system.Authenticated"]}}`)
	e.want("error", `"code":401`)
	s.must(406, "alice", "GET "+records+"/open", "", "Accept: text/event-stream")
	s.must(406, "alice", "DELETE "+records, "", "Accept: text/event-stream")
}

func TestFeedEndsWithTheServer(t *testing.T) {
	s := filled(t, nil)
	done := make(chan struct{})
	s.Handler.(*api).Done = done
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	e := listen(t, web.URL+"/v1/buckets/b/collections/c/records", "alice")
	e.want("ready", "")
	close(done)
	if got := e.next(); got.name != "" {
		t.Errorf("%+v", got)
	}
}

// TestFeedMissesNothing: every write that was answered reaches every feed, or a
// later one of the same record does.
func TestFeedMissesNothing(t *testing.T) {
	s := filled(t, nil)
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	records := "/v1/buckets/b/collections/c/records"
	feeds := make([]*events, 4)
	for i := range feeds {
		feeds[i] = listen(t, web.URL+records, "alice")
		feeds[i].want("ready", "")
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 50 {
				s.do("alice", fmt.Sprintf("PUT %s/w%d-%d", records, w, i), "")
			}
		})
	}
	for i, e := range feeds {
		wg.Go(func() {
			seen := map[string]bool{}
			for len(seen) < 400 {
				got := e.next()
				if got.name != "change" || seen[got.data] {
					t.Errorf("feed %d after %d: %+v", i, len(seen), got)
					return
				}
				seen[got.data] = true
			}
		})
	}
	wg.Wait()
}

// A feed waits for its turn, as whole lists do, and sees then at once what has come.
func TestFeedsTakeTurns(t *testing.T) {
	t.Attr("shows", "mend2")
	s := filled(t, nil)
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	lists := s.Handler.(*api).lists
	feed := listen(t, web.URL+records, "alice")
	feed.want("ready", "")
	var leave []func()
	for i := range searchesAtOnce() {
		free, err := lists.Enter(t.Context(), fmt.Sprint("somebody ", i))
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, free)
	}
	for n := range 30 {
		s.must(200, "alice", "PUT "+records+"/r", fmt.Sprintf(`{"data":{"n":%d}}`, n))
	}
	for deadline := time.Now().Add(2 * time.Minute); lists.Waiting() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not wait")
		}
	}
	for _, free := range leave {
		free()
	}
	feed.want("change", `"n":29`)
}
