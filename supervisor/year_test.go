package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/event"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/job"
)

// patient is something that is broken, comes and goes, or is mended for a while, and the
// repair that is tried on it. Its moments are simulated ones.
type patient struct {
	name   string
	broken func(now time.Time) bool                         // as it would be without a repair
	repair func(ctx context.Context) (time.Duration, error) // how long it helps
	kind   string                                           // of the job; empty: one of its own
	facts  int                                              // most events of it in a year

	well time.Time // it was mended until then
}

// year is a Foyer whose time is simulated: what it keeps is on a real disk.
type year struct {
	state    string
	rng      *rand.Rand
	patients []*patient
	mu       sync.Mutex // guards what follows
	attempts map[string][]time.Time
	happened map[string]event.Event
}

func (y *year) kinds() (kinds []job.Kind) {
	for _, p := range y.patients {
		if p.kind != "" {
			continue
		}
		kinds = append(kinds, job.Kind{
			Name: p.name, Title: hint.T("Mend it", "Le réparer"), Lane: job.Machine, Resume: true,
			Run: func(ctx context.Context, _ *job.Task) error {
				y.mu.Lock()
				y.attempts[p.name] = append(y.attempts[p.name], time.Now())
				y.mu.Unlock()
				helps, err := p.repair(ctx)
				y.mu.Lock()
				defer y.mu.Unlock()
				p.well = time.Now().Add(helps)
				return err
			},
		})
	}
	return kinds
}

func (y *year) checks() (checks []health.Check) {
	for _, p := range y.patients {
		checks = append(checks, health.Check{
			Code: p.name, Title: hint.T("Patient", "Patient"), Every: 10 * time.Second,
			Repairs: []health.Repair{{Kind: cmp.Or(p.kind, p.name), PerHour: 2, PerDay: 4, Within: 20 * time.Minute}},
			Run: func(context.Context) health.Finding {
				now := time.Now()
				y.mu.Lock()
				defer y.mu.Unlock()
				if now.Before(p.well) || !p.broken(now) {
					return health.Finding{}
				}
				return health.Finding{Severity: health.Warning, What: hint.T("%s is broken.", "%s est cassé.", p.name)}
			},
		})
	}
	return checks
}

// live has one supervisor, without a server, live for a while; cut: the power fails in the
// end, so that nothing it does afterwards reaches the disk.
func (y *year) live(t *testing.T, d time.Duration, cut bool, step func() time.Duration) {
	s := New(Config{
		StateDir: y.state, DataDir: y.state, Rooms: []Room{Looks(y.checks())}, Jobs: y.kinds(), Log: slog.New(slog.DiscardHandler), Journal: NewJournal(io.Discard),
	})
	if s.wrong != nil {
		t.Fatal(s.wrong)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, run := range []func(context.Context){s.jobs.Run, s.events.Run, s.board.Mend} {
		all.Go(func() { run(ctx) })
	}
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(step()) {
		s.board.Look(ctx)
	}
	synctest.Wait()
	at := filepath.Join(t.TempDir(), "at the power cut")
	if cut {
		if err := os.CopyFS(at, os.DirFS(y.state)); err != nil {
			t.Error(err)
		}
	}
	for _, e := range s.events.Newest(2000) { // some are forgotten later
		y.happened[fmt.Sprint(e.At, e.Code, e.Subject)] = e
	}
	cancel()
	all.Wait()
	if cut {
		if err := errors.Join(os.RemoveAll(y.state), os.Rename(at, y.state)); err != nil {
			t.Error(err)
		}
	}
}

// A year with checks that flap and repairs that fail, help for a moment, hang and break off,
// with restarts and power cuts on any day: so many attempts a day at most, none for ever, and
// each fact is told once.
func TestAYearOfFlapping(t *testing.T) {
	t.Attr("shows", "ground")
	days := 21
	if os.Getenv("SHOW_WHOLE") != "" {
		days = 365
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		y := &year{state: filepath.Join(t.TempDir(), StateName), rng: rand.New(rand.NewPCG(seed, 0)), attempts: map[string][]time.Time{}, happened: map[string]event.Event{}}
		if err := os.Mkdir(y.state, 0o700); err != nil {
			t.Fatal(err)
		}
		always := func(time.Time) bool { return true }
		within := func(every, long time.Duration) func(time.Time) bool {
			return func(now time.Time) bool { return now.Sub(begin)%every < long }
		}
		nothing := func(context.Context) (time.Duration, error) { return 0, nil }
		breaks := func(every time.Duration) func(time.Time) bool { // until it is mended
			since := begin
			return func(now time.Time) bool { return now.Sub(since) > every }
		}
		y.patients = []*patient{
			{name: "flaps", broken: within(14*time.Second, 7*time.Second), repair: nothing, facts: 26},
			{name: "hourly", broken: within(2*time.Hour, time.Hour), repair: func(context.Context) (time.Duration, error) { return 0, errors.New("it does not help") }, facts: 26},
			{name: "for-a-moment", broken: always, repair: func(context.Context) (time.Duration, error) { return 20 * time.Second, nil }, facts: 8},
			{name: "for-half-an-hour", broken: always, repair: func(context.Context) (time.Duration, error) { return 30 * time.Minute, nil }, facts: 26},
			{name: "hangs", broken: always, repair: func(ctx context.Context) (time.Duration, error) {
				<-ctx.Done()
				return 0, ctx.Err()
			}, facts: 8},
			{name: "breaks-off", broken: always, repair: func(context.Context) (time.Duration, error) { panic("a mistake") }, facts: 8},
			{name: "shares", broken: always, kind: "breaks-off", facts: 8},
			{name: "works", broken: breaks(5 * 24 * time.Hour), repair: func(context.Context) (time.Duration, error) { return 9 * 24 * time.Hour, nil }, facts: 2 + 2*days/9},
		}
		// A look each ten minutes, and for some minutes of each day every two seconds.
		step := func() time.Duration {
			if time.Since(begin)%(24*time.Hour) < 3*time.Minute {
				return 2 * time.Second
			}
			return 10 * time.Minute
		}
		restarts, cuts := 0, 0
		for left := time.Duration(days) * 24 * time.Hour; left > 0; restarts++ {
			d := min(left, time.Duration(y.rng.Int64N(int64(10*24*time.Hour))))
			cut := y.rng.IntN(2) == 0
			if cut {
				cuts++
			}
			y.live(t, d, cut, step)
			left -= d
		}
		most, tried := 0, 0
		for kind, at := range y.attempts {
			tried += len(at)
			for i, first := range at {
				n := 0
				for _, other := range at[i:] {
					if other.Sub(first) < 24*time.Hour {
						n++
					}
				}
				most = max(most, n)
				if n > 4 {
					t.Errorf("%s was tried %d times in the 24 hours from %s", kind, n, first)
				}
			}
			if kind != "works" && len(at) > 10 {
				t.Errorf("%s was tried %d times, and never helped for a day", kind, len(at))
			}
			if last := at[len(at)-1]; kind != "works" && last.Sub(begin) > 14*24*time.Hour {
				t.Errorf("%s is still tried after %s", kind, last.Sub(begin))
			}
		}
		told := map[string]int{}
		happened := slices.SortedFunc(maps.Values(y.happened), func(a, b event.Event) int { return a.At.Compare(b.At) })
		for _, e := range happened {
			of := e.Code
			if e.Code == "repaired" || e.Code == "repair-given-up" || e.Code == "job" {
				of = e.Subject
			}
			told[of] += max(1, e.Times)
		}
		for _, p := range y.patients {
			if told[p.name] > p.facts || told[p.name] == 0 {
				t.Errorf("%s was told %d times, not 1 to %d", p.name, told[p.name], p.facts)
			}
		}
		if n := len(y.attempts["works"]); n < days/10 || n > days/9+1 {
			t.Errorf("what works was done %d times in %d days", n, days)
		}
		if t.Failed() {
			for _, e := range happened {
				t.Logf("%s %d× %s %s: %s %s", e.At.Sub(begin), max(1, e.Times), e.Code, e.Subject, e.What.EN, e.Did.EN)
			}
		}
		names := slices.Sorted(maps.Keys(told))
		sum := 0
		for _, n := range names {
			sum += told[n]
			t.Logf("%s: %d facts, tried %d times", n, told[n], len(y.attempts[n]))
		}
		t.Logf("SHOW %d days of flapping, %d restarts (%d of them power cuts): %d checks; %d attempts by %d repairs, %d a day at most, the last of those that do not help on day %d; %d facts told", days, restarts, cuts, len(y.patients), tried, len(y.attempts), most, y.last(begin), sum)
	})
}

// last is the day of the last attempt by a repair that does not help.
func (y *year) last(begin time.Time) (day int) {
	for kind, at := range y.attempts {
		if kind != "works" {
			day = max(day, 1+int(at[len(at)-1].Sub(begin)/(24*time.Hour)))
		}
	}
	return day
}
