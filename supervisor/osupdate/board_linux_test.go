package osupdate

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/helper"
	"github.com/foyer-server/foyer/supervisor/job"
)

// What was left half-way is finished with nobody doing anything: the check finds it, the board
// begins the job, real dpkg does the work, and the finding is gone.
func TestItIsFinishedByItself(t *testing.T) {
	t.Attr("shows", "health")
	d := newDebian(t)
	d.publish("good", "1.0", "exit 0")
	d.cutOff("good", "slow")
	w := d.watch(new(time.Time), func(c *Config) { c.Now = func() time.Time { return time.Now().Add(time.Hour) } })
	log := slog.New(slog.DiscardHandler)
	jobs, err := job.Open("", log, job.Kind{
		Name: helper.VerbRepairPackages, Title: hint.T("Finish", "Terminer"), Lane: job.Machine,
		Run: func(ctx context.Context, task *job.Task) error {
			done, err := Repair(ctx, RepairConfig{Root: d.root, Runner: inside{d: d}, Say: task.Say})
			if err != nil {
				return err
			}
			return task.Result(done)
		},
	})
	d.ok(err)
	board, err := health.NewBoard(log, w.Checks()...)
	d.ok(err)
	var mu sync.Mutex
	var told []health.Result
	board.OnChange(func(r health.Result) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, r)
	})
	board.UseJobs(jobs)
	jobs.OnBegin(board.JobBegins)
	jobs.OnEnd(board.JobEnded)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { jobs.Run(ctx) })
	wg.Go(func() { board.Mend(ctx) })
	defer wg.Wait()
	defer cancel()

	finding := func() health.Result {
		board.Round(ctx)
		all := board.Results()
		return all[slices.IndexFunc(all, func(r health.Result) bool { return r.Code == "os-updates" })]
	}
	first := finding()
	if first.Cause != CauseHalfConfigured || first.Repair == nil || first.Repair.Kind != helper.VerbRepairPackages {
		t.Fatalf("%+v, %+v", first.Finding, first.Repair)
	}
	for end := time.Now().Add(2 * time.Minute); finding().Severity >= health.Warning; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it stays: %+v, %+v", finding(), jobs.List())
		}
	}
	list := jobs.List()
	if len(list) != 1 || list[0].By != health.ByItself || list[0].State != report.JobDone {
		t.Errorf("the jobs: %+v", list)
	}
	if left := readPackages(tree(d.root)).unsettled; len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(told) == 0 || told[0].Cause != CauseHalfConfigured {
		t.Errorf("told: %+v", told)
	}
	t.Logf("SHOW dpkg killed in the middle, and nobody does anything: %q, then one job by %s: %s", first.What.EN, list[0].By, string(list[0].Result))
}
