package control

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/job"
)

// withJobs is an appliance whose job "count" counts to 3, one each time let gets something.
func withJobs(t *testing.T) (c *Client, let chan struct{}) {
	t.Helper()
	let = make(chan struct{})
	m, err := job.Open("", slog.New(slog.DiscardHandler), job.Kind{
		Name: "count", Title: hint.T("Count", "Compter"), Lane: job.Reads, Args: map[string][]string{"to": {"3"}},
		Run: func(ctx context.Context, t *job.Task) error {
			for n := range int64(3) {
				t.Progress(n, 3, hint.T("steps", "étapes"))
				t.Say(hint.T("Step %d\x1b[2J.", "Étape %d.", n))
				select {
				case <-let:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return t.Result(map[string]int{"counted": 3})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	go m.Run(t.Context())
	return Dial(serve(t, appliance{jobs: m})), let
}

func TestJobsOverTheSocket(t *testing.T) {
	t.Attr("shows", "ground")
	c, let := withJobs(t)
	r, err := c.StartJob(t.Context(), "count", map[string]string{"to": "3"})
	if err != nil || r.Kind != "count" || r.By == "" {
		t.Fatalf("%+v, %v", r, err)
	}
	var seen []int64
	last, err := c.FollowJob(t.Context(), r.ID, func(r job.Record) {
		if len(seen) == 0 || seen[len(seen)-1] != r.Done {
			seen = append(seen, r.Done)
		}
		if r.State == job.Running && r.Of == 3 {
			select {
			case let <- struct{}{}:
			case <-time.After(time.Minute):
			}
		}
	})
	if err != nil || last.State != job.Done || string(last.Result) != `{"counted":3}` || len(seen) < 2 {
		t.Errorf("%+v, %v, seen %v", last, err, seen)
	}
	if len(last.Said) != 3 || strings.Contains(last.Said[0].EN, "\x1b") {
		t.Errorf("it said %q", last.Said)
	}
	all, err := c.Jobs(t.Context())
	if err != nil || len(all) != 1 || all[0].ID != r.ID {
		t.Errorf("%+v, %v", all, err)
	}
	for what, c := range map[string]struct {
		code string
		ask  func() error
	}{
		"unknown kind": {"job-unknown", func() error { _, err := c.StartJob(t.Context(), "rm", nil); return err }},
		"unknown value": {"job-malformed", func() error {
			_, err := c.StartJob(t.Context(), "count", map[string]string{"to": "/etc/shadow"})
			return err
		}},
		"unknown id":      {"job-unknown", func() error { _, err := c.FollowJob(t.Context(), "x", func(job.Record) {}); return err }},
		"cancel of none":  {"job-unknown", func() error { _, err := c.CancelJob(t.Context(), "x"); return err }},
		"no job is named": {"job-unknown", func() error { _, err := c.StartJob(t.Context(), "", nil); return err }},
	} {
		if e := hint.Find(c.ask()); e == nil || e.Code != c.code {
			t.Errorf("%s: %v", what, e)
		}
	}
}

func TestAJobIsCancelled(t *testing.T) {
	c, _ := withJobs(t)
	r, err := c.StartJob(t.Context(), "count", nil)
	if err != nil {
		t.Fatal(err)
	}
	last, err := c.FollowJob(t.Context(), r.ID, func(now job.Record) {
		if now.State == job.Running {
			if _, err := c.CancelJob(t.Context(), r.ID); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil || last.State != job.Cancelled {
		t.Errorf("%+v, %v", last, err)
	}
}

// A stream lasts longer than a request may take to come.
func TestAJobIsFollowedForLong(t *testing.T) {
	t.Parallel()
	t.Attr("shows", "ground")
	c, let := withJobs(t)
	r, err := c.StartJob(t.Context(), "count", nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", c.Socket())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /jobs/"+r.ID+"/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	time.Sleep(readTimeout + time.Second) // what a request has
	for range 3 {
		let <- struct{}{}
	}
	all, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(all), `"state":"done"`) {
		t.Errorf("%s, %v", all, err)
	}
}

// What asks badly is told so, and costs nothing.
func TestMalformedAsks(t *testing.T) {
	c, _ := withJobs(t)
	for _, body := range []string{"", "{", "[]", `{"kind":1}`, `{"kind":"count","args":{"to":3}}`, strings.Repeat("x", 100<<10)} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://control/jobs", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var p report.Problem
		err = json.NewDecoder(resp.Body).Decode(&p)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusConflict || p.Code != "job-malformed" {
			t.Errorf("%.40q: %s %+v, %v", body, resp.Status, p, err)
		}
	}
}
