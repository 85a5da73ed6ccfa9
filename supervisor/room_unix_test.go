//go:build unix

package supervisor

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/event"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/job"
)

// cellar is a room that notes what it does.
type cellar struct{ began, ended chan struct{} }

func (c cellar) Run(ctx context.Context) {
	close(c.began)
	<-ctx.Done()
	close(c.ended)
}

func (c cellar) Checks() []health.Check {
	return []health.Check{{Code: "cellar", Title: hint.T("Cellar", "Cave"), Run: func(context.Context) health.Finding {
		return health.Finding{Severity: health.Warning, What: hint.T("It is wet.", "Elle est humide.")}
	}}}
}

// tenant is a room that asks something of its supervisor: it has a job done, tells of it, and
// then wants all to begin anew.
type tenant struct {
	Looks
	tell  func(report.Event)
	start func(kind string) (job.Record, error)
	anew  func(why string)
	by    *string // who asked for the job
}

func (g *tenant) UseHost(tell func(report.Event), start func(kind string) (job.Record, error), anew func(why string)) {
	g.tell, g.start, g.anew = tell, start, anew
}

func (g *tenant) Run(ctx context.Context) {
	r, err := g.start(JobUsage)
	if err != nil {
		r.By = err.Error()
	}
	*g.by = r.By
	g.tell(report.Event{Code: "moved-in", What: hint.T("Somebody moved in.", "Quelqu'un s'est installé.")})
	g.anew("the walls are elsewhere")
	<-ctx.Done()
}

// What a room asks of its supervisor is done; one that wants all to begin anew has the
// supervisor end as if it were well, so that the service manager starts it again.
func TestRoomsAskTheirSupervisor(t *testing.T) {
	run, err := os.MkdirTemp("", "foyer") // a unix socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(run)
	by := ""
	s := New(Config{
		Serve:  func() *exec.Cmd { return exec.Command(filepath.Join(run, "no-server")) },
		RunDir: run, DataDir: t.TempDir(), StateDir: t.TempDir(), Rooms: []Room{&tenant{by: &by}},
		Addresses: func() []string { return nil }, Journal: NewJournal(io.Discard), Log: slog.New(slog.DiscardHandler), Notify: func(string) error { return nil },
	})
	if err := s.Run(t.Context()); err != nil {
		t.Errorf("who begins anew ended with %v", err)
	}
	if by != health.ByItself {
		t.Errorf("the room's job was asked for by %q", by)
	}
	if all := s.events.Newest(event.Most); !slices.ContainsFunc(all, func(e report.Event) bool { return e.Code == "moved-in" }) {
		t.Errorf("what the room told is not among %+v", all)
	}
}

// A room works for as long as the supervisor does, and what it finds is told with the
// rest; a supervisor that has ended has left none at work.
func TestRoomsWorkBesideTheServer(t *testing.T) {
	t.Attr("shows", "ground2")
	run, err := os.MkdirTemp("", "foyer") // a unix socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(run)
	c := cellar{make(chan struct{}), make(chan struct{})}
	attic := Looks{{Code: "attic", Title: hint.T("Attic", "Grenier"), Run: func(context.Context) health.Finding { return health.Finding{} }}}
	s := New(Config{
		Serve:  func() *exec.Cmd { return exec.Command(filepath.Join(run, "no-server")) },
		RunDir: run, DataDir: t.TempDir(), StateDir: t.TempDir(), Rooms: []Room{c, attic},
		Addresses: func() []string { return nil }, Listeners: []host.Listener{}, Journal: NewJournal(io.Discard),
		Log: slog.New(slog.DiscardHandler), Notify: func(string) error { return nil },
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-c.began
	found := map[string]report.Result{}
	for deadline := time.Now().Add(2 * time.Minute); found["cellar"].Checked.IsZero() || found["attic"].Checked.IsZero(); <-time.After(10 * time.Millisecond) {
		st, err := control.Dial(run).Status(ctx)
		for _, r := range st.Checks {
			found[r.Code] = r
		}
		if time.Now().After(deadline) {
			t.Fatalf("not looked at: %+v, %v", found, err)
		}
	}
	if got := found["cellar"]; got.Severity != health.Warning || got.What.EN != "It is wet." {
		t.Errorf("the cellar is told as %+v", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	select {
	case <-c.ended:
	default:
		t.Error("the supervisor has ended, and a room works on")
	}
}
