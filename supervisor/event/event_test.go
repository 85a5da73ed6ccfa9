package event

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/health"
)

var quiet = slog.New(slog.DiscardHandler)

func thing(n int) Event {
	return Event{Code: "server", Severity: health.Warning, What: hint.T("Thing %d.", "Chose %d.", n), Did: hint.T("Nothing.", "Rien.")}
}

// running is a Log whose Run ends with the returned function, which has all written.
func running(t *testing.T, dir string) (l *Log, end func()) {
	t.Helper()
	l = Open(dir, quiet)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); l.Run(ctx) }()
	return l, func() { cancel(); <-done }
}

func TestEventsAreThereAfterwards(t *testing.T) {
	t.Attr("shows", "ground")
	dir := t.TempDir()
	var want []Event
	for round := range 3 {
		l, end := running(t, dir)
		if diff := cmp.Diff(want, l.Newest(100)); diff != "" {
			t.Fatalf("start %d: %s", round, diff)
		}
		for n := range 5 {
			l.Add(thing(10*round + n))
		}
		end()
		// What is read back has no monotonic clock.
		want = Open(dir, quiet).Newest(100)
		if len(want) != 5*(round+1) || want[0].What.EN != fmt.Sprintf("Thing %d.", 10*round+4) || want[0].ID != uint64(5*(round+1)) {
			t.Fatalf("start %d: %+v", round, want)
		}
	}
	if fi, err := os.Stat(filepath.Join(dir, File)); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", fi.Mode(), err)
	}
}

// The power goes with any part of the last line on the disk: what was there before stays,
// and what comes next is kept.
func TestTornEvents(t *testing.T) {
	dir := t.TempDir()
	l, end := running(t, dir)
	l.Add(thing(1))
	end()
	path := filepath.Join(dir, File)
	one, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(one) {
		if err := os.WriteFile(path, append(one[:len(one):len(one)], one[:n]...), 0o600); err != nil {
			t.Fatal(err)
		}
		l, end := running(t, dir)
		l.Add(thing(2))
		end()
		if got := Open(dir, quiet).Newest(9); len(got) != 2 || got[0].What.EN != "Thing 2." || got[1].What.EN != "Thing 1." {
			t.Fatalf("%d bytes: %+v", n, got)
		}
	}
}

func TestEventsAreBounded(t *testing.T) {
	t.Attr("shows", "ground")
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l, end := running(t, dir)
		for n := range 3 * Most {
			l.Add(thing(n))
			if n%100 == 0 {
				time.Sleep(2 * gather)
			}
		}
		end()
		again := Open(dir, quiet)
		if got := again.Newest(1 << 20); len(got) != Most || got[0].What.EN != fmt.Sprintf("Thing %d.", 3*Most-1) {
			t.Errorf("%d are kept, the newest is %+v", len(got), got[0])
		}
		if data, err := os.ReadFile(filepath.Join(dir, File)); err != nil || strings.Count(string(data), "\n") > 2*Most {
			t.Errorf("%d lines, %v", strings.Count(string(data), "\n"), err)
		}
		time.Sleep(longest + time.Hour)
		again.Add(thing(0))
		if got := len(again.Newest(1 << 20)); got != fewest {
			t.Errorf("a quarter of a year later %d are left", got)
		}
	})
}

// What happens again and again is one event, with how often; something else in between,
// or an hour without it, begins a new one.
func TestTheSameAgainIsCounted(t *testing.T) {
	t.Attr("shows", "ground")
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l, end := running(t, dir)
		for range 1000 {
			l.Add(thing(1))
			time.Sleep(30 * time.Second)
		}
		l.Add(thing(2))
		l.Add(thing(1))
		time.Sleep(together + time.Second)
		l.Add(thing(1))
		end()
		for what, got := range map[string][]Event{"in memory": l.Newest(9), "read back": Open(dir, quiet).Newest(9)} {
			var said []string
			for _, e := range got {
				said = append(said, fmt.Sprintf("%d %s %d %s", e.ID, e.What.EN, e.Times, e.When().Sub(e.At)))
			}
			if diff := cmp.Diff([]string{"4 Thing 1. 0 0s", "3 Thing 1. 0 0s", "2 Thing 2. 0 0s", "1 Thing 1. 1000 8h19m30s"}, said); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
		}
	})
}

// A disk that takes nothing holds up nobody, and loses nothing once it does.
func TestEventsWaitForTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "not there")
		l, end := running(t, dir)
		for n := range 10 {
			l.Add(thing(n))
			time.Sleep(10 * time.Second)
		}
		if got := l.Newest(100); len(got) != 10 {
			t.Errorf("in memory: %d", len(got))
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * again)
		if got := Open(dir, quiet).Newest(100); len(got) != 10 || got[0].What.EN != "Thing 9." {
			t.Errorf("on the disk: %+v", got)
		}
		end()
	})
}

// Without a folder events live as long as the process.
func TestEventsInMemory(t *testing.T) {
	l, end := running(t, "")
	l.Add(thing(1))
	end()
	if len(l.Newest(9)) != 1 || len(l.pending) != 0 {
		t.Errorf("%+v, %+v to be written", l.Newest(9), l.pending)
	}
	if _, err := os.Stat(File); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
