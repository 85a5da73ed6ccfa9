//go:build unix

package supervisor

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/health"
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
