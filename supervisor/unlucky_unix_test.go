//go:build unix

package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/health"
)

// TestUnluckyServer is no test: it is the server of those below, when the environment says
// how it behaves. Each has an owner, and data with an id.
func TestUnluckyServer(*testing.T) {
	how := os.Getenv("FOYER_TEST_UNLUCKY")
	if how == "" {
		return
	}
	ls, err := host.Inherited(nil)
	if err != nil {
		os.Exit(10)
	}
	var asked atomic.Int64
	say := func(w http.ResponseWriter, status int, more map[string]any) {
		said := map[string]any{"version": "1", "claimed": true, "data": "ID-OF-THE-DATA", "requests": asked.Load()}
		maps.Copy(said, more)
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(said)
	}
	damage := map[string]any{"code": "database-damaged", "what": hint.Text{EN: "The database is damaged.", FR: "La base est endommagée."}, "did": hint.Text{}, "do": hint.Text{EN: "Copy it.", FR: "Copiez-la."}}
	for _, l := range ls {
		if l.Name != host.Local {
			continue
		}
		go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n := asked.Add(1)
			switch {
			case how == "busy" && n > 5: // late for the probe, and at work
				say(w, http.StatusServiceUnavailable, map[string]any{"ok": false, "storage": "the storage has not answered for 2s", "progress": n})
			case how == "computes" && n > 5 && n < 20: // too busy to answer at all
				for r.Context().Err() == nil {
				}
			case how == "damaged" && n > 5:
				say(w, http.StatusOK, map[string]any{"ok": true, "storage": "sqlite: database disk image is malformed", "trouble": damage})
			case how == "opening" && n < 40:
				say(w, http.StatusServiceUnavailable, map[string]any{"ok": false, "opening": true, "claimed": false, "data": ""})
			case how == "fails":
				say(w, http.StatusServiceUnavailable, map[string]any{"ok": false, "failed": true, "storage": "malformed", "trouble": damage})
			default:
				say(w, http.StatusOK, map[string]any{"ok": true})
			}
		}))
	}
	io.Copy(io.Discard, os.Stdin) // the supervisor's end
	os.Exit(0)
}

// household is a supervisor with such a server.
type household struct {
	*control.Client
	data, mark string
	stop       func()
	ended      chan struct{} // closed when Run has returned
	starts     atomic.Int64
	looks      atomic.Int64 // at it
}

func unlucky(t *testing.T, how, data string, grace time.Duration, change ...func(*Supervisor)) *household {
	t.Helper()
	run, err := os.MkdirTemp("", "foyer") // a unix socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	h := &household{Client: control.Dial(run), data: data, ended: make(chan struct{}), mark: filepath.Join(t.TempDir(), "foyer-supervisor")}
	if at := os.Getenv("STATE_DIRECTORY"); at != "" {
		h.mark = at
	}
	s := New(Config{
		Serve: func() *exec.Cmd {
			h.starts.Add(1)
			cmd := exec.Command(os.Args[0], "-test.run=^TestUnluckyServer$")
			cmd.Env = append(os.Environ(), "FOYER_TEST_UNLUCKY="+how, "GORACE=atexit_sleep_ms=0")
			return cmd
		},
		RunDir: run, DataDir: data, Version: "1", Addresses: func() []string { return nil }, Journal: NewJournal(io.Discard),
		Log: slog.New(slog.DiscardHandler), Notify: func(string) error { h.looks.Add(1); return nil },
		Timing: Timing{Probe: 10 * time.Millisecond, ProbeTimeout: 300 * time.Millisecond, Starting: 10 * time.Millisecond, Grace: grace, Checks: 10 * time.Millisecond, Pauses: []time.Duration{5 * time.Millisecond}},
	})
	ctx, cancel := context.WithCancel(context.Background())
	for _, c := range change {
		c(s)
	}
	var failed error
	go func() { defer close(h.ended); failed = s.Run(ctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if <-h.ended; failed != nil {
			err := failed
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(h.stop)
	return h
}

func (h *household) until(t *testing.T, want string, ok func(report.Status) bool) report.Status {
	t.Helper()
	var last report.Status
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); <-time.After(5 * time.Millisecond) {
		s, err := h.Status(t.Context())
		if err == nil && ok(s) {
			return s
		}
		if err == nil {
			last = s
		}
	}
	t.Fatalf("never %s; last status %+v", want, last)
	return last
}

// serverFinding is what the check of the server found.
func serverFinding(s report.Status) health.Result {
	for _, r := range s.Checks {
		if r.Code == "server" {
			return r
		}
	}
	return health.Result{}
}

// A server that answers that its storage is late, and whose storage does things, is left at
// its work however long that goes on.
func TestABusyServerIsNotReplaced(t *testing.T) {
	t.Attr("shows", "mend2")
	h := unlucky(t, "busy", t.TempDir(), time.Minute)
	h.until(t, "busy", func(s report.Status) bool { return s.Server.State == "unwell" || s.Server.Restarts > 0 })
	for range 200 { // more looks than would replace it, a hundred times over
		if s, err := h.Status(t.Context()); err != nil || s.Server.Restarts > 0 {
			t.Fatalf("a server that makes progress was replaced: %+v, %v", s.Server, err)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// One that is too busy to answer, and computes, is given time.
func TestAServerThatComputesIsNotReplaced(t *testing.T) {
	t.Attr("shows", "mend2")
	h := unlucky(t, "computes", t.TempDir(), time.Minute)
	h.until(t, "late", func(s report.Status) bool { return s.Server.State == "unwell" || s.Server.Restarts > 0 })
	s := h.until(t, "answering again", func(s report.Status) bool { return s.Server.State == "healthy" })
	if s.Server.Restarts > 0 || h.starts.Load() != 1 {
		t.Errorf("it was replaced: %+v", s.Server)
	}
}

// A server that takes longer than its grace to open its data is let finish: it would begin
// again, and never come to an end.
func TestAServerThatOpensItsDataIsNotReplaced(t *testing.T) {
	t.Attr("shows", "mend2")
	h := unlucky(t, "opening", t.TempDir(), 50*time.Millisecond)
	s := h.until(t, "open", func(s report.Status) bool { return s.Server.State == "healthy" })
	if s.Server.Restarts > 0 || h.starts.Load() != 1 {
		t.Errorf("it was replaced: %+v", s.Server)
	}
}

// What the server says of its database is what status and doctor say, in red, and nothing
// is started again for it; whether it met it while it served, or when it started.
func TestADamagedDatabaseIsTold(t *testing.T) {
	t.Attr("shows", "mend2")
	for _, how := range []string{"damaged", "fails"} {
		h := unlucky(t, how, t.TempDir(), 50*time.Millisecond)
		s := h.until(t, how+" told", func(s report.Status) bool {
			return s.Sentence.EN == "The database is damaged." || s.Server.Restarts > 0
		})
		if f := serverFinding(s); s.Light != report.Red || f.Cause != "database-damaged" || f.Do.EN != "Copy it." || f.What.FR != "La base est endommagée." {
			t.Errorf("%s: %s, %+v", how, s.Light, f)
		}
		if s.Server.Restarts > 0 || h.starts.Load() != 1 {
			t.Errorf("%s: a start mends no database: %+v", how, s.Server)
		}
		h.stop()
	}
}

// Whoever asks how things are is told what the server met since it was last looked at, however
// long that is ago.
func TestWhoAsksIsToldWhatTheServerMet(t *testing.T) {
	t.Attr("shows", "ground")
	h := unlucky(t, "damaged", t.TempDir(), time.Minute, func(s *Supervisor) { s.cfg.Timing.Probe = time.Hour })
	s := h.until(t, "told", func(s report.Status) bool { return s.Light == report.Red && s.Server.State == "healthy" })
	if f := serverFinding(s); f.Cause != "database-damaged" || s.Server.Restarts > 0 {
		t.Errorf("%+v, %+v", f, s.Server)
	}
}

// On a machine that was claimed, data that are gone are no new server: it is not started,
// says why, goes on by itself when they are back, and begins anew only when somebody says
// so by removing the one file it names.
func TestDataThatAreGoneAreNoNewServer(t *testing.T) {
	t.Attr("shows", "mend2")
	state := filepath.Join(t.TempDir(), "foyer-supervisor")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("STATE_DIRECTORY", state)
	data := filepath.Join(t.TempDir(), "data")
	fill := func() {
		t.Helper()
		if err := os.MkdirAll(data, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(data, "data.db"), []byte("what people stored"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fill()
	first := unlucky(t, "well", data, time.Minute)
	first.until(t, "claimed", func(s report.Status) bool { return s.Claimed && s.Server.State == "healthy" })
	first.stop()
	mark := filepath.Join(state, "claimed.json")
	kept, err := os.ReadFile(mark)
	if err != nil || !strings.Contains(string(kept), "ID-OF-THE-DATA") {
		t.Fatalf("a claimed server leaves no mark outside its data: %s, %v", kept, err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	db, id := filepath.Join(data, "data.db"), filepath.Join(data, "data.id")
	for _, c := range []struct {
		name, code string
		lose       func()
	}{
		{"data.db removed", "data-gone", func() { must(os.Remove(db)) }},
		{"data.db emptied", "data-gone", func() { must(os.Truncate(db, 0)) }},
		{"the folder emptied, as of a disk that is not mounted", "data-gone", func() { must(os.Remove(db)); must(os.Remove(id)) }},
		{"the folder removed", "data-gone", func() { must(os.RemoveAll(data)) }},
		{"the folder of another server", "data-other", func() { must(os.WriteFile(id, []byte("ANOTHER\n"), 0o600)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			must(os.RemoveAll(data))
			fill()
			must(os.WriteFile(id, []byte("ID-OF-THE-DATA\n"), 0o600))
			c.lose()
			h := unlucky(t, "well", data, time.Minute)
			s := h.until(t, "told", func(s report.Status) bool { return s.Light == report.Red || s.Server.State == "healthy" })
			f := serverFinding(s)
			if f.Cause != c.code || s.Server.State != "waiting" || h.starts.Load() != 0 || !s.Claimed || !strings.Contains(f.Do.EN, mark) || !strings.Contains(f.Do.FR, mark) {
				t.Errorf("%+v, claimed %t, started %d times, %+v", f, s.Claimed, h.starts.Load(), s.Server)
			}
			for name, make := range map[string]func(context.Context) (control.Claim, error){"a claim": h.NewClaim, "a reset": h.NewReset} {
				if _, err := make(t.Context()); hint.Find(err) == nil || hint.Find(err).Code != c.code {
					t.Errorf("%s: %v", name, err)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(data, "claim*")); len(left) > 0 {
				t.Errorf("made in the place of the data: %s", left)
			}
			// They are back.
			fill()
			must(os.WriteFile(id, []byte("ID-OF-THE-DATA\n"), 0o600))
			h.until(t, "going on by itself", func(s report.Status) bool { return s.Server.State == "healthy" && s.Light != report.Red })
			h.stop()
		})
	}

	// Copied to where only the database was: it is asked for its id, by what lies beside it.
	must(os.Remove(id))
	h := unlucky(t, "well", data, time.Minute)
	h.until(t, "started", func(s report.Status) bool { return s.Server.State == "healthy" })
	if text, err := os.ReadFile(id); err != nil || strings.TrimSpace(string(text)) != "ID-OF-THE-DATA" {
		t.Errorf("the server was not told which data to find: %q, %v", text, err)
	}
	h.stop()

	// A new beginning.
	must(os.Remove(db))
	h = unlucky(t, "well", data, time.Minute)
	h.until(t, "told", func(s report.Status) bool { return s.Server.State == "waiting" })
	must(os.Remove(mark))
	h.until(t, "begun anew", func(s report.Status) bool { return s.Server.State == "healthy" })
	if _, err := os.Stat(mark); err != nil {
		t.Errorf("the new owner's data have no mark: %v", err)
	}
	h.stop()

	// A mark that cannot be read stops nobody, and is not written over before the server answers.
	must(os.WriteFile(mark, []byte("{torn"), 0o600))
	h = unlucky(t, "well", data, time.Minute)
	h.until(t, "started", func(s report.Status) bool { return s.Server.State == "healthy" })
}

// A disk that is mounted while the data are gone is not in the view that a service has of
// the machine: the supervisor ends, to be started anew. Without data that are gone it does
// not, whatever is mounted.
func TestADiskThatComesIsSeen(t *testing.T) {
	t.Attr("shows", "mend2")
	state, data := filepath.Join(t.TempDir(), StateName), t.TempDir()
	t.Setenv("STATE_DIRECTORY", state)
	err := errors.Join(os.Mkdir(state, 0o700), os.WriteFile(filepath.Join(state, markFile), []byte(`{"version":1,"id":"ID-OF-THE-DATA"}`), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	var disks atomic.Int64
	mounts := func() []string { return make([]string, disks.Load()) }
	h := unlucky(t, "well", data, time.Minute, func(s *Supervisor) { s.keeper.mounts, s.keeper.began = mounts, mounts() })
	h.until(t, "told", func(s report.Status) bool { return s.Server.State == "waiting" })
	disks.Add(1)
	select {
	case <-h.ended:
	case <-time.After(2 * time.Minute):
		t.Fatal("it does not end")
	}
	h.stop()
	if h.starts.Load() != 0 {
		t.Error("a server was started")
	}

	err = errors.Join(os.WriteFile(filepath.Join(data, "data.db"), []byte("x"), 0o600), os.WriteFile(filepath.Join(data, idFile), []byte("ID-OF-THE-DATA\n"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	disks.Store(0)
	h = unlucky(t, "well", data, time.Minute, func(s *Supervisor) { s.keeper.mounts, s.keeper.began = mounts, mounts() })
	h.until(t, "healthy", func(s report.Status) bool { return s.Server.State == "healthy" })
	disks.Add(1)
	before := h.looks.Load()
	h.until(t, "looked at", func(s report.Status) bool { return s.Server.State == "healthy" && h.looks.Load() > before+3 })
	h.stop()
}

// Without a folder of its own, as under `foyer try`, the supervisor keeps no mark.
func TestWithoutAFolderOfItsOwnNoMarkIsKept(t *testing.T) {
	data := t.TempDir()
	for _, other := range []string{"", "/var/lib/foyer", "/var/lib/something"} {
		t.Setenv("STATE_DIRECTORY", other)
		h := unlucky(t, "well", data, time.Minute)
		h.until(t, "healthy", func(s report.Status) bool { return s.Server.State == "healthy" && s.Claimed })
		h.stop()
	}
	if left, _ := os.ReadDir(data); len(left) > 0 {
		t.Errorf("left in the data folder: %v", left)
	}
}
