package control

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/job"
)

type appliance struct {
	claimed bool
	jobs    *job.Manager
	apart   bool
	prove   func(cookie string) (string, time.Time, error)
	changes Changes
	backups Backups
	asked   func(Asker) // is told of who asks for a job; may be nil
}

var at = time.Date(2026, 11, 1, 3, 0, 0, 0, time.UTC)

func (a appliance) Backups() Backups { return a.backups }

func (a appliance) Status(context.Context) report.Status {
	return report.Status{
		Version: "1.2.3", Light: report.Yellow, Sentence: hint.T("Nearly.", "Presque."), Started: at, Addresses: []string{"https://foyer.local/"},
		Server: report.Server{State: "healthy", PID: 7, Since: at},
		Checks: []health.Result{{Code: "disk", Finding: health.Finding{Severity: health.Warning}, Since: at, Checked: at}},
	}
}

func (a appliance) NewClaim(context.Context) (string, time.Time, error) {
	if a.claimed {
		return "", time.Time{}, hint.New("claim-done", hint.T("There is an owner.", "Il y a un propriétaire."), hint.Text{}, hint.Text{})
	}
	return "K7QX-9M2P", at, nil
}

func (a appliance) NewReset(context.Context) (string, time.Time, error) { return "0R5T-4B7C", at, nil }

func (a appliance) Restart(context.Context) {}

func (a appliance) Jobs() *job.Manager { return a.jobs }

func (a appliance) Start(kind string, args map[string]string, by Asker) (job.Record, error) {
	if a.asked != nil {
		a.asked(by)
	}
	return a.jobs.Start(kind, args, by.Name)
}

func (a appliance) Cancel(id string, by Asker) (job.Record, error) {
	if a.asked != nil {
		a.asked(by)
	}
	return a.jobs.Cancel(id)
}

func (a appliance) Prove(_ context.Context, cookie string) (string, time.Time, error) {
	return a.prove(cookie)
}

func (a appliance) Changes() Changes { return a.changes }

func (a appliance) Apart() bool { return a.apart }

func (a appliance) Log(n int) []string { return []string{"one", "two"}[:min(n, 2)] }

// socket is a listener on the control socket of a folder of its own.
func socket(t *testing.T) (dir string, l net.Listener) {
	t.Helper()
	dir, err := os.MkdirTemp("", "foyer") // a unix socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if l, err = net.Listen("unix", SocketPath(dir)); err != nil {
		t.Fatal(err)
	}
	return dir, l
}

func serve(t *testing.T, a Appliance) (dir string) {
	t.Helper()
	dir, l := socket(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- Serve(ctx, l, a, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return dir
}

func TestClientSeesWhatTheApplianceSays(t *testing.T) {
	c := Dial(serve(t, appliance{}))
	got, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(appliance{}.Status(t.Context()), got); diff != "" {
		t.Error(diff)
	}
	claim, err := c.NewClaim(t.Context())
	if err != nil || claim != (Claim{"K7QX-9M2P", at}) {
		t.Errorf("claim %v, %v", claim, err)
	}
	if reset, err := c.NewReset(t.Context()); err != nil || reset != (Claim{"0R5T-4B7C", at}) {
		t.Errorf("reset %v, %v", reset, err)
	}
	lines, err := c.Log(t.Context(), 1)
	if err != nil || len(lines) != 1 {
		t.Errorf("log %v, %v", lines, err)
	}
}

func TestRefusalArrivesAsAHint(t *testing.T) {
	_, err := Dial(serve(t, appliance{claimed: true})).NewClaim(t.Context())
	if e := hint.Find(err); e == nil || e.Code != "claim-done" || e.What.FR != "Il y a un propriétaire." {
		t.Errorf("got %v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	_, err := Dial(filepath.Join(t.TempDir(), "none")).Status(t.Context())
	if e := hint.Find(err); e == nil || e.Code != "not-running" {
		t.Errorf("got %v", err)
	}
}

// A connection that is no unix socket has no user the kernel vouches for.
func TestStrangerIsRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var logged bytes.Buffer
	done := make(chan error)
	go func() { done <- Serve(ctx, l, appliance{}, slog.New(slog.NewTextHandler(&logged, nil))) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Write([]byte("GET /status HTTP/1.0\r\n\r\n"))
	answer := make([]byte, 15)
	conn.Read(answer)
	conn.Close()
	cancel()
	<-done
	if string(answer) != "HTTP/1.0 403 Fo" || !bytes.Contains(logged.Bytes(), []byte("stranger refused")) {
		t.Errorf("answer %q, log %s", answer, logged.Bytes())
	}
}
