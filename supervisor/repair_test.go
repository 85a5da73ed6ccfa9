package supervisor

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/event"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/job"
)

// What keeps the server from its data is mended by the job for it, where there is one; what
// is read anew only when somebody says so is offered.
func TestWhatKeepsTheServerFromItsDataIsRepaired(t *testing.T) {
	t.Attr("shows", "ground")
	for _, c := range []struct {
		name, trouble string
		root          bool // somebody acts for root
		tried         bool // the owners were repaired
		offer         string
	}{
		{"the folder is somebody else's", "data-readonly", true, true, ""},
		{"and nobody acts for root", "data-readonly", false, false, ""},
		{"the disk is full", "disk-full", true, false, ""},
		{"the database is damaged", "database-damaged", true, false, "sudo foyer jobs start check-database how=full"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s *Supervisor
				tried := 0
				var kinds []job.Kind
				if c.root {
					kinds = append(kinds, job.Kind{Name: repairOwners, Title: hint.T("Give the data back", "Rendre les données"), Lane: job.Machine, Run: func(context.Context, *job.Task) error {
						s.mu.Lock()
						defer s.mu.Unlock()
						s.lost = nil
						s.child.state = stateHealthy
						tried++
						return nil
					}})
				}
				s = New(Config{StateDir: t.TempDir(), DataDir: t.TempDir(), Jobs: kinds, Log: slog.New(slog.DiscardHandler), Journal: NewJournal(io.Discard)})
				s.lost = &report.Problem{Code: c.trouble, What: hint.T("It is so.", "C'est ainsi."), Do: hint.T("Look.", "Regardez.")}
				ctx, cancel := context.WithCancel(t.Context())
				var all sync.WaitGroup
				for _, run := range []func(context.Context){s.jobs.Run, s.events.Run, s.board.Mend} {
					all.Go(func() { run(ctx) })
				}
				for range 60 * 30 { // an hour
					s.board.Round(ctx)
					time.Sleep(2 * time.Second)
				}
				synctest.Wait()
				f := s.board.Results()[0]
				cancel()
				all.Wait()
				if (tried == 1) != c.tried || tried > 1 {
					t.Errorf("tried %d times", tried)
				}
				if (f.Severity == health.OK) != c.tried {
					t.Errorf("%+v", f)
				}
				if told := slices.ContainsFunc(s.events.Newest(10), func(e event.Event) bool { return e.Code == "repaired" && e.Subject == "server" }); told != c.tried {
					t.Errorf("told: %t", told)
				}
				switch {
				case c.offer == "" && f.Repair != nil:
					t.Errorf("offered: %+v", f.Repair)
				case c.offer != "" && (f.Repair == nil || f.Repair.Command() != c.offer || f.Repair.State != report.RepairOffered || f.Do.EN != "Look."):
					t.Errorf("not offered: %+v", f)
				}
			})
		})
	}
}

// A supervisor has the data looked through by itself; where no server answers it goes on trying,
// and tells nobody of each time.
func TestTheDataAreLookedThroughByThemselves(t *testing.T) {
	t.Attr("shows", "health")
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := New(Config{StateDir: dir, DataDir: dir, RunDir: dir, Log: slog.New(slog.DiscardHandler), Journal: NewJournal(io.Discard)})
		if s.wrong != nil {
			t.Fatal(s.wrong)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for _, run := range []func(context.Context){s.jobs.Run, s.events.Run, s.board.Mend, s.upkeep.Run} {
			all.Go(func() { run(ctx) })
		}
		time.Sleep(30 * 24 * time.Hour)
		cancel()
		all.Wait()
		begun := map[string]int{}
		for _, j := range s.jobs.List() {
			if j.Kind == JobCheck && j.By == health.ByItself && j.State == job.Failed {
				begun[j.Args["how"]]++
			}
		}
		if begun["quick"] < 28 || begun["full"] < 20 {
			t.Errorf("begun in 30 days: %v", begun)
		}
		if lately := s.events.Newest(event.Most); len(lately) > 3 {
			t.Errorf("told: %d times, %+v", len(lately), lately[0])
		}
	})
}
