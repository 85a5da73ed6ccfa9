package supervisor

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/event"
	"github.com/foyer-server/foyer/supervisor/job"
)

// What a page may start: what is marked for pages; what touches the machine, only soon after
// its owner signed in. Each use is told.
func TestWhatPagesMayStart(t *testing.T) {
	t.Attr("shows", "ground")
	run := func(context.Context, *job.Task) error { return nil }
	jobs, err := job.Open("", slog.New(slog.DiscardHandler),
		job.Kind{Name: "look", Title: hint.T("Look", "Regarder"), Lane: job.Reads, Page: true, Run: run},
		job.Kind{Name: "touch", Title: hint.T("Touch", "Toucher"), Lane: job.Machine, Page: true, Fresh: true, Run: run},
		job.Kind{Name: "secret", Title: hint.T("Secret", "Secret"), Lane: job.Machine, Run: run})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, kind string
		by         control.Asker
		want       string // code; empty: it is begun
	}{
		{"root looks", "look", control.Asker{Name: "root"}, ""},
		{"root touches", "touch", control.Asker{Name: "root"}, ""},
		{"root asks for what no page may", "secret", control.Asker{Name: "root"}, ""},
		{"an owner looks, long after signing in", "look", control.Asker{Name: "jeannine", Page: true, SignedIn: time.Now().Add(-20 * 24 * time.Hour)}, ""},
		{"an owner touches, just signed in", "touch", control.Asker{Name: "jeannine", Page: true, SignedIn: time.Now().Add(-9 * time.Minute)}, ""},
		{"an owner touches, too late", "touch", control.Asker{Name: "jeannine", Page: true, SignedIn: time.Now().Add(-11 * time.Minute)}, "signin-again"},
		{"an owner touches, of whom nobody knows when", "touch", control.Asker{Name: "jeannine", Page: true}, "signin-again"},
		{"an owner touches, who signed in in the future", "touch", control.Asker{Name: "jeannine", Page: true, SignedIn: time.Now().Add(time.Hour)}, "signin-again"},
		{"an owner asks for what no page may", "secret", control.Asker{Name: "jeannine", Page: true, SignedIn: time.Now()}, "job-not-by-page"},
		{"an owner asks for what there is not", "nothing", control.Asker{Name: "jeannine", Page: true, SignedIn: time.Now()}, "job-not-by-page"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &Supervisor{jobs: jobs, events: event.Open("", slog.New(slog.DiscardHandler)), cfg: Config{Log: slog.New(slog.DiscardHandler)}}
			s.changes = newChanges(s)
			r, err := s.Start(c.kind, nil, c.by)
			if code := codeOf(err); code != c.want {
				t.Fatalf("%q, not %q (%v)", code, c.want, err)
			}
			told := s.events.Newest(10)
			if want := c.by.Page && err == nil; want != (len(told) == 1 && told[0].Code == "job-asked" && told[0].Subject == c.kind) {
				t.Errorf("told: %v", told)
			}
			if err != nil {
				return
			}
			if r.By != c.by.Name {
				t.Errorf("asked for by %q", r.By)
			}
			if _, err := s.Cancel(r.ID, control.Asker{Name: "jeannine", Page: true}); codeOf(err) != map[string]string{"touch": "signin-again", "secret": "job-not-by-page"}[c.kind] {
				t.Errorf("cancelled by a page without a fresh proof: %v", err)
			}
			if _, err := s.Cancel(r.ID, control.Asker{Name: "root"}); err != nil {
				t.Errorf("cancelled by root: %v", err)
			}
		})
	}
}

func codeOf(err error) string {
	if e := hint.Find(err); e != nil {
		return e.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// A disk that hangs while a session is looked up holds up who asked for a few seconds, and
// nobody else for longer.
func TestAProofThatHangs(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	s := &Supervisor{proving: make(chan struct{}, 1), cfg: Config{Prove: func(context.Context, string) (string, time.Time, error) {
		<-hang
		return "jeannine", time.Now(), nil
	}}}
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		owner, _, err := s.Prove(ctx, "jeannine:x")
		cancel()
		if err == nil || owner != "" {
			t.Fatalf("proven: %q", owner)
		}
	}
	if _, _, err := (&Supervisor{}).Prove(t.Context(), "jeannine:x"); codeOf(err) != "job-not-by-page" {
		t.Errorf("where nobody can look: %v", err)
	}
}

// What happened to people is taken over once, whatever dies meanwhile, and also after an
// older copy of the data was put in place.
func TestWhatHappenedIsTakenOverOnce(t *testing.T) {
	t.Attr("shows", "ground")
	at := func(minute int) time.Time { return time.Date(2026, 11, 1, 3, minute, 0, 0, time.UTC) }
	e := func(n uint64, minute int) report.Event {
		return report.Event{Code: "person-signed-in", Subject: "jeannine", Number: n, At: at(minute), What: hint.T("%d", "%d", n)}
	}
	log := event.Open("", slog.New(slog.DiscardHandler))
	steps := []struct {
		name string
		list []report.Event
		want []uint64
	}{
		{"the first look", []report.Event{e(1, 1), e(2, 2)}, []uint64{1, 2}},
		{"nothing new", []report.Event{e(1, 1), e(2, 2)}, nil},
		{"one more", []report.Event{e(1, 1), e(2, 2), e(3, 3)}, []uint64{3}},
		{"more than the server keeps", []report.Event{e(40, 40), e(41, 41)}, []uint64{40, 41}},
		{"an older copy of the data, in which something happened since", []report.Event{e(2, 2), e(3, 50)}, []uint64{3}},
		{"nothing new in it", []report.Event{e(2, 2), e(3, 50)}, nil},
		{"one more in it", []report.Event{e(2, 2), e(3, 50), e(4, 51)}, []uint64{4}},
		{"new data", nil, nil},
	}
	for _, c := range steps {
		taken := takenBefore(log.Newest(event.Most)) // as after a restart
		var got []uint64
		for _, e := range taken.news(c.list) {
			got = append(got, e.Number)
			log.Add(e)
		}
		if len(got) != len(c.want) {
			t.Fatalf("%s: %v, not %v", c.name, got, c.want)
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Fatalf("%s: %v, not %v", c.name, got, c.want)
			}
		}
	}
	if newest := log.Newest(1)[0]; !newest.At.Equal(at(51)) {
		t.Errorf("the newest is of %s", newest.At)
	}
}
