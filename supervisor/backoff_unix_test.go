//go:build unix

package supervisor

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
)

// restarts has a server live so long each time, and returns how long the supervisor
// waited after each death, and in which state it was then. It is a program that is not
// there: time in a bubble goes on only while no process runs.
func restarts(t *testing.T, timing Timing, lives []time.Duration) (waits []time.Duration, states []state) {
	t.Helper()
	dir, err := os.MkdirTemp("", "foyer") // a unix socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	local, err := host.Listen(host.Local, "unix", filepath.Join(dir, "local.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var s *Supervisor
		var died time.Time
		starts := 0
		s = New(Config{
			Serve: func() *exec.Cmd {
				if starts > 0 {
					s.mu.Lock()
					waits, states = append(waits, time.Since(died)), append(states, s.child.state)
					s.mu.Unlock()
				}
				if starts == len(lives) {
					cancel()
				} else {
					time.Sleep(lives[starts]) // inside the bubble: no time passes outside
				}
				starts++
				died = time.Now()
				return exec.Command(filepath.Join(dir, "no-server"))
			},
			DataDir: dir, Journal: NewJournal(io.Discard), Log: slog.New(slog.DiscardHandler), Notify: func(string) error { return nil }, Timing: timing,
		})
		s.local = local
		minder{s}.keep(ctx)
	})
	return waits, states
}

// The pauses of the tests are so far apart that jitter cannot take one for another.
var steps = []time.Duration{time.Second, 10 * time.Second, 100 * time.Second, 1000 * time.Second}

// step is which of the steps a wait is of; -1: of none.
func step(wait time.Duration) int {
	return slices.IndexFunc(steps, func(p time.Duration) bool { return p/2 <= wait && wait < p+p/2 })
}

// A server that dies again and again is started more and more slowly, and is called a
// crash loop. One that lived long enough has recovered: it is started soon again.
func TestPausesGrowUntilTheServerWasSteady(t *testing.T) {
	t.Attr("shows", "mend")
	const steady = time.Minute
	const restarting, loop = stateRestarting, stateCrashLoop
	for _, c := range []struct {
		name   string
		lives  []time.Duration
		pauses []int
		states []state
	}{
		{
			"dies at once, always",
			make([]time.Duration, 7),
			[]int{0, 1, 2, 3, 3, 3, 3},
			[]state{restarting, restarting, restarting, restarting, loop, loop, loop},
		},
		{
			"dies just before it is steady",
			[]time.Duration{steady - 1, steady - 1, steady - 1, steady - 1, steady - 1},
			[]int{0, 1, 2, 3, 3},
			[]state{restarting, restarting, restarting, restarting, loop},
		},
		{
			"is steady each time",
			[]time.Duration{steady, steady, 24 * time.Hour, steady, steady, steady},
			[]int{0, 0, 0, 0, 0, 0},
			[]state{restarting, restarting, restarting, restarting, restarting, restarting},
		},
		{
			"recovers from a few deaths",
			[]time.Duration{0, 0, 0, steady, 0, 0},
			[]int{0, 1, 2, 0, 1, 2},
			[]state{restarting, restarting, restarting, restarting, restarting, restarting},
		},
		{
			"recovers from a crash loop, and falls into another",
			[]time.Duration{0, 0, 0, 0, 0, 0, 30 * 24 * time.Hour, 0, 0, 0, 0},
			[]int{0, 1, 2, 3, 3, 3, 0, 1, 2, 3, 3},
			[]state{restarting, restarting, restarting, restarting, loop, loop, restarting, restarting, restarting, restarting, loop},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			waits, states := restarts(t, Timing{Steady: steady, Pauses: steps}, c.lives)
			var pauses []int
			for _, w := range waits {
				pauses = append(pauses, step(w))
			}
			if diff := cmp.Diff(c.pauses, pauses); diff != "" {
				t.Errorf("which pause after each death: %s\nthey were %s", diff, waits)
			}
			if diff := cmp.Diff(c.states, states); diff != "" {
				t.Errorf("how it is called meanwhile: %s", diff)
			}
		})
	}
}

// Many Foyers that lost the same thing do not come back in step: a pause is anything
// from half to one and a half of what it is meant to be.
func TestPausesAreJittered(t *testing.T) {
	t.Attr("shows", "mend")
	const pause = 10 * time.Second
	waits, _ := restarts(t, Timing{Pauses: []time.Duration{pause}}, make([]time.Duration, 400))
	quarters := map[string]int{}
	for _, w := range waits {
		if w < pause/2 || w >= pause+pause/2 {
			t.Errorf("a pause of %s", w)
		}
		quarters[fmt.Sprint("quarter ", int((w-pause/2)/(pause/4)))]++
	}
	// That one of them is missed by chance happens once in 10⁴⁹ runs.
	if len(waits) != 400 || len(quarters) != 4 {
		t.Errorf("%d pauses are spread over %v", len(waits), quarters)
	}
}

// Unless told otherwise, the supervisor waits a moment first, and longer each time.
func TestDefaultPausesGrow(t *testing.T) {
	pauses := Timing{}.orDefaults().Pauses
	for i := range pauses[1:] {
		if pauses[i] >= pauses[i+1] {
			t.Errorf("%s is followed by %s", pauses[i], pauses[i+1])
		}
	}
	if pauses[0] > time.Second || pauses[len(pauses)-1] < 10*time.Second {
		t.Errorf("pauses %s", pauses)
	}
}

// However often a person has the server started anew, that is no crash loop.
func TestRestartsThatWereAskedForAreNoCrashLoop(t *testing.T) {
	r := start(t, "ok")
	for range crashLoop + 2 {
		before := r.until(t, "healthy", healthy).Server.PID
		if err := r.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.until(t, "a new server", func(s report.Status) bool { return s.Server.PID != before && s.Server.PID != 0 })
	}
	if s := r.until(t, "healthy", healthy); strings.Contains(fmt.Sprint(s.Lately), "keeps stopping") {
		t.Errorf("what happened: %v", s.Lately)
	}
	if log := r.log.String(); strings.Contains(log, "crash loop") {
		t.Errorf("the log:\n%s", log)
	}
}
