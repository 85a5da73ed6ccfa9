package health

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// workshop is Jobs whose jobs take a second, one at a time of each name.
type workshop struct {
	board *Board
	does  func(ctx context.Context, j report.Job) report.JobState // nil: done

	mu     sync.Mutex
	active map[string]report.Job
	stop   map[string]context.CancelFunc // by ID
	began  []report.Job
	wg     sync.WaitGroup
}

func (w *workshop) Title(kind string) (hint.Text, bool) {
	return hint.T("Repair it", "Le réparer"), strings.HasPrefix(kind, "repair")
}

func (w *workshop) Active(kind string, args map[string]string) (report.Job, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j, ok := w.active[nameOf(kind, args)]
	return j, ok
}

func (w *workshop) Cancel(id string) (report.Job, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stop[id]()
	return report.Job{}, nil
}

func (w *workshop) Start(kind string, args map[string]string, by string) (report.Job, error) {
	name := nameOf(kind, args)
	j := report.Job{ID: time.Now().String(), Kind: kind, Args: maps.Clone(args), By: by, State: report.JobRunning, Started: time.Now()}
	ctx, cancel := context.WithCancel(context.Background())
	w.mu.Lock()
	if was, ok := w.active[name]; ok {
		w.mu.Unlock()
		cancel()
		return was, nil
	}
	w.active[name], w.stop[j.ID] = j, cancel
	w.mu.Unlock()
	asked := j
	w.wg.Go(func() {
		defer cancel()
		j.State = report.JobFailed
		if w.board.JobBegins(j) == nil {
			w.mu.Lock()
			w.began = append(w.began, j)
			w.mu.Unlock()
			time.Sleep(time.Second)
			j.State = report.JobDone
			if w.does != nil {
				j.State = w.does(ctx, j)
			}
		}
		w.mu.Lock()
		delete(w.active, name)
		w.mu.Unlock()
		w.board.JobEnded(j)
	})
	return asked, nil
}

// attempts are how long after start jobs were begun.
func (w *workshop) attempts(start time.Time) (at []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, j := range w.began {
		at = append(at, j.Started.Sub(start))
	}
	return at
}

// clinic is a board with a workshop, and what it tells.
type clinic struct {
	*Board
	workshop
	dir  string
	told []string
	stop func()
}

// open opens one whose memory is in dir.
func open(t *testing.T, dir string, checks ...Check) *clinic {
	t.Helper()
	c := &clinic{Board: board(t, checks...), dir: dir}
	c.board, c.active, c.workshop.stop = c.Board, map[string]report.Job{}, map[string]context.CancelFunc{}
	c.OnChange(func(r Result) { c.told = append(c.told, r.Code+" "+r.Severity.String()) })
	c.OnRepair(func(e report.Event) { c.told = append(c.told, e.Subject+" "+e.Code) })
	c.UseJobs(c)
	c.Remember(dir)
	ctx, cancel := context.WithCancel(context.Background())
	var mend sync.WaitGroup
	mend.Go(func() { c.Mend(ctx) })
	c.stop = func() {
		cancel()
		mend.Wait()
		c.wg.Wait()
	}
	return c
}

// pass lets time pass, with a look each few seconds.
func (c *clinic) pass(d time.Duration) {
	step := min(max(d/500, 10*time.Second), time.Minute)
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(step) {
		c.Round(context.Background())
	}
	synctest.Wait()
}

// find is a check that finds what it is told to.
func find(code string, finds *Finding, repairs ...Repair) Check {
	return Check{Code: code, Title: hint.T("Thing", "Chose"), Repairs: repairs, Run: func(context.Context) Finding { return *finds }}
}

// What no job mends is tried more and more seldom, so often in an hour and a day at most, and
// then no more: the finding says all of that, and each fact is told once.
func TestWhatNoJobMends(t *testing.T) {
	t.Attr("shows", "ground")
	synctest.Test(t, func(t *testing.T) {
		finds := Finding{Severity: Error, What: hint.T("Broken.", "Cassé.")}
		c := open(t, t.TempDir(), find("x", &finds, Repair{Kind: "repair", After: time.Minute, PerHour: 2, PerDay: 4}))
		start := time.Now()
		c.pass(30 * time.Second)
		if r := c.Results()[0]; r.Repair.State != report.RepairPlanned || !r.Repair.Next.Equal(start.Add(time.Minute)) || !strings.Contains(r.Did.EN, "If it stays so") {
			t.Errorf("before the first attempt: %+v, %q", r.Repair, r.Did.EN)
		}
		c.pass(45 * time.Second)
		if r := c.Results()[0]; r.Repair.State != report.RepairJudged || r.Repair.Tried != 1 || !strings.Contains(r.Did.FR, "vient d'être fait : Le réparer") {
			t.Errorf("after it: %+v, %q", r.Repair, r.Did.FR)
		}
		c.pass(3 * time.Minute)
		if r := c.Results()[0]; r.Repair.State != report.RepairPlanned || !strings.Contains(r.Did.EN, "tried 2 times") && !strings.Contains(r.Did.EN, "tried once") {
			t.Errorf("after it did not help: %+v, %q", r.Repair, r.Did.EN)
		}
		c.pass(12 * time.Hour)
		if r := c.Results()[0]; r.Repair.State != report.RepairGivenUp || !r.Repair.Next.Equal(start.Add(24*time.Hour+time.Minute).Truncate(0)) && r.Repair.Next.Sub(start) < 24*time.Hour || !strings.Contains(r.Did.EN, "gives up until") || r.Do.EN != "Let Foyer do it: `sudo foyer jobs start repair`." {
			t.Errorf("after all of a day: %+v, %q, %q", r.Repair, r.Did.EN, r.Do.EN)
		}
		c.pass(30 * 24 * time.Hour)
		at := c.attempts(start)
		if len(at) != mostEver {
			t.Errorf("tried %d times in a month: %v", len(at), at)
		}
		for i := range at {
			if i >= 2 && at[i]-at[i-2] < time.Hour || i >= 4 && at[i]-at[i-4] < 24*time.Hour {
				t.Errorf("beyond the limits: %v", at)
			}
		}
		if r := c.Results()[0]; r.Repair.State != report.RepairGivenUp || !r.Repair.Next.IsZero() || !strings.Contains(r.Did.EN, "tried 10 times: Repair it. This did not help; Foyer has given it up.") {
			t.Errorf("in the end: %+v, %q", r.Repair, r.Did.EN)
		}
		if diff := cmp.Diff([]string{"x error", "x repair-given-up", "x repair-given-up"}, c.told); diff != "" {
			t.Error(diff)
		}
		// A person may all the same, and that counts.
		c.Start("repair", nil, "jeannine")
		c.pass(time.Minute)
		if got := len(c.attempts(start)); got != mostEver+1 || c.Results()[0].Repair.Tried != mostEver+1 {
			t.Errorf("a person's attempt: %d, %+v", got, c.Results()[0].Repair)
		}
		// What is well for a day begins anew.
		finds = Finding{}
		c.pass(26 * time.Hour)
		finds = Finding{Severity: Error}
		c.pass(2 * time.Minute)
		if got := len(c.attempts(start)); got != mostEver+2 {
			t.Errorf("after a good day: %d attempts", got)
		}
		c.stop()
	})
}

// What a job mends is told once, and not to be well besides; what comes back soon is one
// fact, and its attempts are counted on.
func TestWhatAJobMends(t *testing.T) {
	t.Attr("shows", "ground")
	synctest.Test(t, func(t *testing.T) {
		finds := Finding{}
		c := open(t, t.TempDir(), find("x", &finds, Repair{Cause: "dirt", Kind: "repair"}))
		c.does = func(context.Context, report.Job) report.JobState {
			finds = Finding{}
			return report.JobDone
		}
		c.pass(time.Minute)
		finds = Finding{Severity: Warning, Cause: "dirt"}
		c.pass(time.Hour)
		if diff := cmp.Diff([]string{"x warning", "x repaired"}, c.told); diff != "" {
			t.Error(diff)
		}
		finds = Finding{Severity: Warning, Cause: "dirt"}
		c.pass(time.Hour)
		if diff := cmp.Diff([]string{"x warning", "x repaired", "x warning", "x ok"}, c.told); diff != "" {
			t.Error(diff)
		}
		finds = Finding{Severity: Warning, Cause: "something else"}
		c.pass(time.Hour)
		if r := c.Results()[0]; r.Repair != nil || len(c.began) != 2 {
			t.Errorf("a job is for one cause: %+v, %d", r.Repair, len(c.began))
		}
		c.stop()
	})
}

// A job that needs consent is only offered; one that there is no kind of is not.
func TestWhatIsOffered(t *testing.T) {
	t.Attr("shows", "ground")
	synctest.Test(t, func(t *testing.T) {
		finds := Finding{Severity: Warning}
		c := open(t, t.TempDir(),
			find("x", &finds, Repair{Kind: "repair", Args: map[string]string{"how": "full"}, Consent: true}),
			find("y", &finds, Repair{Kind: "nobody-does-this"}))
		c.pass(48 * time.Hour)
		rs := c.Results()
		want := &report.Repair{Kind: "repair", Args: map[string]string{"how": "full"}, Title: hint.T("Repair it", "Le réparer"), State: report.RepairOffered}
		if diff := cmp.Diff(want, rs[0].Repair); diff != "" || len(c.began) > 0 || rs[0].Do.EN != "Let Foyer do it: `sudo foyer jobs start repair how=full`." {
			t.Errorf("%s; begun %d times; %q", diff, len(c.began), rs[0].Do.EN)
		}
		if rs[1].Repair != nil || !rs[1].Did.IsZero() {
			t.Errorf("nobody can do this: %+v", rs[1])
		}
		// People start it as often as they like.
		for range 6 {
			if _, err := c.Start("repair", map[string]string{"how": "full"}, "jeannine"); err != nil {
				t.Fatal(err)
			}
			c.pass(2 * time.Minute)
		}
		if r := c.Results()[0]; len(c.began) != 6 || r.Repair.Tried != 6 || r.Repair.State != report.RepairOffered || !strings.Contains(r.Did.EN, "tried 6 times") {
			t.Errorf("%d, %+v, %q", len(c.began), r.Repair, r.Did.EN)
		}
		c.stop()
	})
}

// Two checks that want the same job share it and its limits, of which the strictest hold.
func TestChecksShareAJob(t *testing.T) {
	t.Attr("shows", "ground")
	synctest.Test(t, func(t *testing.T) {
		finds := Finding{Severity: Error}
		c := open(t, t.TempDir(), find("x", &finds, Repair{Kind: "repair", PerDay: 3}), find("y", &finds, Repair{Kind: "repair", PerDay: 9, PerHour: 9}))
		start := time.Now()
		c.pass(23 * time.Hour)
		if at := c.attempts(start); len(at) != 3 || at[2] < time.Hour {
			t.Errorf("tried at %v", at)
		}
		slices.Sort(c.told[:2])
		if diff := cmp.Diff([]string{"x error", "y error"}, c.told[:2]); diff != "" || len(c.told) != 3 || !strings.HasSuffix(c.told[2], " repair-given-up") {
			t.Errorf("told %v: %s", c.told, diff)
		}
		c.stop()
	})
}

// What cannot be counted is not begun by itself; a person may.
func TestWhatCannotBeCounted(t *testing.T) {
	t.Attr("shows", "ground")
	synctest.Test(t, func(t *testing.T) {
		finds := Finding{Severity: Error}
		c := open(t, filepath.Join(t.TempDir(), "not there"), find("x", &finds, Repair{Kind: "repair"}))
		c.pass(24 * time.Hour)
		if len(c.began) > 0 {
			t.Errorf("begun %d times", len(c.began))
		}
		c.Start("repair", nil, "jeannine")
		c.pass(time.Minute)
		if len(c.began) != 1 {
			t.Errorf("a person was kept from it: %d", len(c.began))
		}
		c.stop()
	})
}

// A job that takes too long is cancelled, if nobody asked for it; and a check that does not
// come back has nothing begun.
func TestWhatTakesTooLong(t *testing.T) {
	t.Attr("shows", "ground")
	synctest.Test(t, func(t *testing.T) {
		finds := Finding{Severity: Error}
		hang := make(chan struct{})
		deaf := Check{Code: "deaf", Repairs: []Repair{{Kind: "repair-deaf"}}, Run: func(context.Context) Finding {
			<-hang
			return Finding{}
		}}
		c := open(t, t.TempDir(), find("x", &finds, Repair{Kind: "repair", Within: 20 * time.Minute}), deaf)
		var took []time.Duration
		c.does = func(ctx context.Context, j report.Job) report.JobState {
			select {
			case <-ctx.Done():
			case <-time.After(48 * time.Hour):
			}
			took = append(took, time.Since(j.Started))
			return report.JobCancelled
		}
		c.pass(30 * time.Minute)
		if len(took) != 1 || took[0] < 20*time.Minute || took[0] > 21*time.Minute || len(c.began) < 1 {
			t.Errorf("it took %v; %d begun", took, len(c.began))
		}
		if r := c.Results()[1]; r.Cause != CauseLate || r.Repair != nil {
			t.Errorf("%+v", r)
		}
		for _, j := range c.began {
			if j.Kind == "repair-deaf" {
				t.Error("a check that does not come back had something repaired")
			}
		}
		finds = Finding{}
		c.pass(24 * time.Hour)
		took = nil
		c.Start("repair", nil, "jeannine")
		c.pass(24 * time.Hour)
		if len(took) > 0 {
			t.Errorf("what a person asked for was cancelled after %v", took)
		}
		c.pass(25 * time.Hour)
		close(hang)
		synctest.Wait()
		c.stop()
	})
}

// A check that is hidden meanwhile is not mended: its cause is.
func TestNothingIsMendedThatIsHidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, finds := Finding{}, Finding{}
		hidden := find("certificate", &finds, Repair{Kind: "repair", After: time.Minute})
		hidden.DependsOn = []string{"server"}
		c := open(t, t.TempDir(), find("server", &server), hidden)
		finds = Finding{Severity: Warning}
		c.pass(30 * time.Second)
		server = Finding{Severity: Error}
		c.pass(24 * time.Hour)
		if len(c.began) > 0 {
			t.Errorf("begun %d times", len(c.began))
		}
		c.stop()
	})
}

// What comes and goes, hour after hour, is told a few times, and then when it stays.
func TestWhatComesAndGoesForLongIsToldAFewTimes(t *testing.T) {
	t.Attr("shows", "ground")
	synctest.Test(t, func(t *testing.T) {
		finds, dir := Finding{}, t.TempDir()
		said := 0
		told := map[string]int{}
		for n := range 12 { // days, with a restart each
			c := open(t, dir, find("x", &finds))
			c.OnChange(func(r Result) {
				told[r.Severity.String()]++
				if strings.Contains(r.Did.EN, "comes and goes") {
					said++
				}
			})
			for range 12 {
				for _, s := range []Severity{Warning, OK} {
					finds = Finding{Severity: s}
					c.pass(time.Hour)
				}
			}
			if n == 11 {
				before := told["warning"]
				finds = Finding{Severity: Warning}
				c.pass(2 * 24 * time.Hour)
				if told["warning"] != before+1 {
					t.Errorf("what stays is not told any more: %v", told)
				}
			}
			c.stop()
		}
		if told["warning"] > 10 || told["ok"] > 10 || said != 1 {
			t.Errorf("told %v in 12 days, and %d times that it comes and goes", told, said)
		}
		t.Logf("SHOW what comes and goes 12 times a day, for 12 days with 12 restarts: told %d times", told["warning"]+told["ok"])
	})
}
