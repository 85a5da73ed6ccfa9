//go:build unix

package supervisor

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/helper"
	"github.com/foyer-server/foyer/supervisor/job"
)

// rooted is a supervisor's jobs, and root's end beside them, which is started again whenever
// it has ended, as systemd does.
type rooted struct {
	t      *testing.T
	client helper.Client
	cfg    helper.Config
	dir    string // of the jobs
	s      *Supervisor
}

func newRooted(t *testing.T) *rooted {
	t.Helper()
	dir := t.TempDir()
	r := &rooted{
		t: t, client: helper.Client{Requests: filepath.Join(dir, helper.Name), State: filepath.Join(dir, "state")}, dir: filepath.Join(dir, "jobs"), s: &Supervisor{},
		cfg: helper.Config{Run: dir, State: filepath.Join(dir, "state"), GID: os.Getegid(), Boot: "x", Do: map[string]func(context.Context, *helper.Task) error{}, Log: slog.New(slog.DiscardHandler)},
	}
	for _, d := range []string{r.client.Requests, r.client.State} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// serve runs root's end until the test ends.
func (r *rooted) serve() {
	ctx, cancel := context.WithCancel(r.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			if err := helper.Serve(ctx, r.cfg); err != nil {
				r.t.Error(err)
			}
		}
	})
	r.t.Cleanup(func() { cancel(); wg.Wait() })
}

// jobs are the supervisor's, from its start to end.
func (r *rooted) jobs() (m *job.Manager, end func()) {
	r.t.Helper()
	r.s.cfg.Root = r.client
	kinds := worker{r.s}.rootKinds()
	m, err := job.Open(r.dir, slog.New(slog.DiscardHandler), kinds...)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); m.Run(ctx) }()
	return m, func() { cancel(); <-done }
}

func (r *rooted) ended(m *job.Manager, id string) job.Record {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 3*time.Minute)
	defer cancel()
	var last job.Record
	if err := m.Follow(ctx, id, func(now job.Record) error { last = now; return nil }); err != nil {
		r.t.Fatalf("%v: %+v", err, last)
	}
	return last
}

func (r *rooted) start(m *job.Manager, kind string, args map[string]string) string {
	r.t.Helper()
	record, err := m.Start(kind, args, "root")
	if err != nil {
		r.t.Fatal(err)
	}
	return record.ID
}

func TestWhatRootDoesIsAJob(t *testing.T) {
	t.Attr("shows", "ground")
	r := newRooted(t)
	r.cfg.Do[helper.VerbReadMachine] = func(_ context.Context, task *helper.Task) error {
		for i := range 30 {
			task.Progress(int64(i), 30, hint.T("parts", "parties"))
			task.Say(hint.T("Part %d.", "Partie %d.", i))
		}
		return task.Result(map[string]string{"disk": "a name\x1b[31m of somebody's"})
	}
	r.cfg.Do[helper.VerbRepairOwners] = func(context.Context, *helper.Task) error {
		return hint.New("data-mixed", hint.T("What.", "Quoi."), hint.T("Did.", "Fait."), hint.T("Do.", "Faire."))
	}
	r.serve()
	m, end := r.jobs()
	defer end()
	got := r.ended(m, r.start(m, helper.VerbReadMachine, nil))
	if got.State != job.Done || len(got.Said) != 20 || got.Said[19].EN != "Part 29." || string(got.Result) != `{"disk":"a name [31m of somebody's"}` {
		t.Errorf("reading: %+v", got)
	}
	got = r.ended(m, r.start(m, helper.VerbRepairOwners, nil))
	if got.State != job.Failed || got.Error.Code != "data-mixed" || got.Error.Do.FR != "Faire." {
		t.Errorf("a repair that fails: %+v, %+v", got, got.Error)
	}
	got = r.ended(m, r.start(m, helper.VerbReboot, map[string]string{"reason": "asked"}))
	if got.State != job.Failed || got.Error.Code != "job-malformed" {
		t.Errorf("without all of its arguments: %+v, %+v", got, got.Error)
	}
	if _, err := m.Start(helper.VerbReboot, map[string]string{"reason": "/etc/shadow", "window": "now"}, "root"); hint.Find(err) == nil || hint.Find(err).Code != "job-malformed" {
		t.Errorf("an argument that is not in the table: %v", err)
	}
}

// The supervisor dies while root is at work: the next one follows the same record, and root
// does it once.
func TestASupervisorThatDiesAsksRootOnce(t *testing.T) {
	t.Attr("shows", "ground")
	r := newRooted(t)
	begun, goOn, did := make(chan struct{}), make(chan struct{}), make(chan struct{}, 10)
	r.cfg.Do[helper.VerbReboot] = func(ctx context.Context, task *helper.Task) error {
		did <- struct{}{}
		close(begun)
		select {
		case <-goOn:
		case <-ctx.Done():
			return errors.New("nobody let it go on")
		}
		task.Say(hint.T("Done.", "Fait."))
		return nil
	}
	r.serve()
	m, end := r.jobs()
	id := r.start(m, helper.VerbReboot, map[string]string{"reason": "asked", "window": "now"})
	<-begun
	end()
	if err := os.RemoveAll(r.client.Requests); err != nil { // as systemd does with the service
		t.Fatal(err)
	}
	if err := os.Mkdir(r.client.Requests, 0o755); err != nil {
		t.Fatal(err)
	}
	m, end = r.jobs()
	defer end()
	close(goOn)
	if got := r.ended(m, id); got.State != job.Done || got.Starts != 2 || len(got.Said) == 0 {
		t.Errorf("the job: %+v", got)
	}
	if len(did) != 1 {
		t.Errorf("root did it %d times", len(did))
	}
}

func TestWithoutRootsEndAJobSaysSo(t *testing.T) {
	r := newRooted(t)
	r.client = helper.FromEnvironment(func(string) string { return "/run/foyer" })
	m, end := r.jobs()
	defer end()
	got := r.ended(m, r.start(m, helper.VerbApplySettings, nil))
	if got.State != job.Failed || got.Error.Code != "helper-missing" {
		t.Errorf("%+v, %+v", got, got.Error)
	}
	if c := helper.FromEnvironment(func(string) string { return "/run/foyer:/run/foyer-helper" }); c.Requests != "/run/foyer-helper" || c.State != "/var/lib/foyer-helper" {
		t.Errorf("%+v", c)
	}
}

func TestLinesThatAreNewAreTold(t *testing.T) {
	lines := func(s string) (out []hint.Text) {
		for _, r := range s {
			out = append(out, hint.Verbatim(string(r)))
		}
		return out
	}
	for _, c := range []struct{ before, now, want string }{{"", "", ""}, {"", "ab", "ab"}, {"ab", "ab", ""}, {"ab", "abc", "c"}, {"abc", "bcd", "d"}, {"abc", "xyz", "xyz"}, {"aa", "aaa", "a"}} {
		if got := news(lines(c.before), lines(c.now)); !slices.Equal(got, lines(c.want)) {
			t.Errorf("%q, then %q: %v", c.before, c.now, got)
		}
	}
}

func TestEveryKindCanBeToldOf(t *testing.T) {
	names := map[string]bool{}
	for _, k := range Kinds() {
		names[k.Name] = k.Run == nil && !k.Title.IsZero()
	}
	for _, want := range append(helper.Kinds(), JobCheck, JobUsage) {
		if v, _ := helper.Find(want); names[want] == (v.Trial || v.Part) { // that has a way of its own
			t.Errorf("%s is, or is not, among them", want)
		}
	}
}
