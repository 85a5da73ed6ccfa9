//go:build unix

package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/health"
)

// TestDeafServer is no test: it is a server that says that it is well and takes nobody.
func TestDeafServer(*testing.T) {
	if os.Getenv("FOYER_TEST_DEAF") == "" {
		return
	}
	ls, err := host.Inherited(nil)
	if err != nil {
		os.Exit(10)
	}
	for _, l := range ls {
		if l.Name == host.Local {
			go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				json.NewEncoder(w).Encode(map[string]any{"ok": true, "claimed": true})
			}))
		}
	}
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// call connects, and waits a moment for an answer.
func call(address string) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return false, err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(50 * time.Millisecond))
		_, err = c.Read(make([]byte, 1))
		return true, err
	}
}

// A server that says that it is well, and takes nobody at its public port, is told of, and
// replaced.
func TestAServerThatTakesNobodyIsReplaced(t *testing.T) {
	t.Attr("shows", "mend2")
	run, err := os.MkdirTemp("", "foyer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	web, err := host.Listen(host.HTTP, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := web.Addr().String()
	s := New(Config{
		Serve: func() *exec.Cmd {
			cmd := exec.Command(os.Args[0], "-test.run=^TestDeafServer$")
			cmd.Env = append(os.Environ(), "FOYER_TEST_DEAF=1", "GORACE=atexit_sleep_ms=0")
			return cmd
		},
		Listeners: []host.Listener{web}, Doors: []Door{{Address: address, Visit: call(address)}},
		RunDir: run, DataDir: t.TempDir(), StateDir: t.TempDir(), Version: "1", Addresses: func() []string { return nil }, Journal: NewJournal(io.Discard),
		Log: slog.New(slog.DiscardHandler), Notify: func(string) error { return nil },
		Timing: Timing{Probe: 10 * time.Millisecond, Starting: 10 * time.Millisecond, Checks: 10 * time.Millisecond, Stuck: time.Millisecond, Pauses: []time.Duration{5 * time.Millisecond}},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	h := &household{Client: control.Dial(run)}
	h.until(t, "told of", func(s report.Status) bool { return doorFinding(s).Severity == health.Error })
	got := h.until(t, "replaced", func(s report.Status) bool { return s.Server.Restarts > 0 })
	if want := "it took no connections at " + address; got.Server.LastEnd != want {
		t.Errorf("replaced since %q, want %q", got.Server.LastEnd, want)
	}
	h.until(t, "there again", func(s report.Status) bool { return s.Server.State == "healthy" })
}

func doorFinding(s report.Status) health.Result {
	for _, r := range s.Checks {
		if r.Code == "door" {
			return r
		}
	}
	return health.Result{}
}

// What the looks through a public port make of a server, visit by visit.
func TestWhoIsReplacedForWhatVisitorsSee(t *testing.T) {
	type visit struct {
		connected bool
		answered  bool
		accepted  uint64 // as the server says afterwards
		unwell    bool   // it says that it is not well
		pid       int
		cause     string
		killed    bool
	}
	for _, c := range []struct {
		name   string
		visits []visit
	}{
		{"well", []visit{{true, true, 1, false, 1, "", false}, {true, true, 2, false, 1, "", false}}},
		{"takes nobody", []visit{{true, true, 5, false, 1, "", false}, {true, false, 5, false, 1, causeUnanswered, false}, {true, false, 5, false, 1, causeDeaf, true}}},
		{"takes them, and does not answer", []visit{{true, false, 1, false, 1, causeUnanswered, false}, {true, false, 2, false, 1, causeUnanswered, false}, {true, false, 3, false, 1, causeUnanswered, false}}},
		{"nobody connects from here", []visit{{false, false, 3, false, 1, causeUnanswered, false}, {false, false, 3, false, 1, causeUnanswered, false}, {false, false, 3, false, 1, causeUnanswered, false}}},
		{"the queue is full of who waits", []visit{{true, false, 3, false, 1, causeUnanswered, false}, {false, false, 3, false, 1, causeDeaf, true}}},
		{"unwell besides", []visit{{true, false, 3, false, 1, causeUnanswered, false}, {true, false, 3, true, 1, causeUnanswered, false}, {true, false, 3, false, 1, causeUnanswered, false}}},
		{"another process", []visit{{true, false, 0, false, 1, causeUnanswered, false}, {true, false, 0, false, 2, causeUnanswered, false}, {true, false, 0, false, 2, causeDeaf, true}}},
		{"answers in between", []visit{{true, false, 3, false, 1, causeUnanswered, false}, {true, true, 3, false, 1, "", false}, {true, false, 3, false, 1, causeUnanswered, false}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var now visit
			dir, err := os.MkdirTemp("", "foyer") // a unix socket's path is short
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			sock := filepath.Join(dir, "s")
			l, err := net.Listen("unix", sock)
			if err != nil {
				t.Fatal(err)
			}
			web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if now.unwell {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				json.NewEncoder(w).Encode(map[string]any{"ok": !now.unwell, "accepted": map[string]uint64{"port": now.accepted}})
			})}
			go web.Serve(l)
			defer web.Close()
			s := New(Config{
				Log: slog.New(slog.DiscardHandler), StateDir: t.TempDir(), Timing: Timing{Stuck: time.Nanosecond},
				Doors: []Door{{Address: "port", Visit: func(context.Context) (bool, error) {
					if now.answered {
						return now.connected, nil
					}
					return now.connected, errors.New("no answer")
				}}},
			})
			s.probe = newProber(sock, time.Minute)
			d := &doors{supervisor: s, seen: map[string]deafness{}, told: map[string]string{}}
			for i, v := range c.visits {
				killed := false
				now, s.child = v, child{pid: v.pid, state: stateHealthy, kill: func(string) { killed = true }}
				f := d.look(t.Context())
				if f.Cause != v.cause || killed != v.killed {
					t.Errorf("visit %d: %q, killed %v, want %q, %v", i+1, f.Cause, killed, v.cause, v.killed)
				}
				time.Sleep(time.Microsecond) // longer than Stuck
			}
		})
	}
}
