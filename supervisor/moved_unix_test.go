//go:build unix

package supervisor

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/helper"
	"github.com/foyer-server/foyer/supervisor/job"
)

// moved is a machine whose settings are a name: a supervisor with a real server, asked over
// its real socket, and root's end beside it, which starts the service anew when it has
// applied something, as systemd does.
type moved struct {
	*control.Client
	t       *testing.T
	dir     string
	log     *syncBuffer
	timing  Timing
	boot    string
	uptime  atomic.Int64 // what is added to it
	looked  atomic.Int32 // how often it was looked whether visitors will get in
	applied func()       // is called when root has applied something; may be nil

	mu       sync.Mutex
	stop     func() // ends the supervisor
	stopRoot func()
}

func newMoved(t *testing.T) *moved {
	t.Helper()
	dir, err := os.MkdirTemp("", "foyer") // a unix socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	m := &moved{t: t, dir: dir, log: &syncBuffer{}, boot: "first", Client: control.Dial(filepath.Join(dir, "run"))}
	m.timing = Timing{
		Probe: 30 * time.Millisecond, ProbeTimeout: 2 * time.Second, Starting: 10 * time.Millisecond, Grace: 2 * time.Minute, Changed: 2 * time.Minute,
		Checks: 20 * time.Millisecond, Sample: 20 * time.Millisecond, Pauses: []time.Duration{5 * time.Millisecond},
	}
	for _, d := range []string{"run", "data", "state", "root"} {
		if err := os.Mkdir(m.path(d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(m.path("settings"), []byte("old.example.org"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.startService()
	m.startRoot()
	t.Cleanup(func() {
		m.stopRoot()
		m.stop()
		os.RemoveAll(dir)
	})
	return m
}

func (m *moved) path(name string) string { return filepath.Join(m.dir, name) }

func (m *moved) name() string {
	text, err := os.ReadFile(m.path("settings"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Questions and Plan are what package installer answers, with one question.
func (m *moved) Questions(_ context.Context, values map[string]string) ([]report.Question, error) {
	value, ok := values["name"]
	if !ok {
		value = m.name()
	}
	return []report.Question{{Key: "name", Title: hint.T("Name", "Nom"), Value: value, OnWay: true}}, nil
}

// Settle makes a name that nobody gave the machine's.
func (m *moved) Settle(_ context.Context, values map[string]string) (map[string]string, error) {
	if values["name"] == unnamed {
		return map[string]string{"name": "settled"}, nil
	}
	return values, nil
}

const unnamed = "machine"

// Outlook counts how often it is wanted.
func (m *moved) Outlook(context.Context, map[string]string) []hint.Text {
	m.looked.Add(1)
	return []hint.Text{hint.T("Nobody gets in.", "Personne n'entre.")}
}

func (m *moved) Plan(_ context.Context, values map[string]string) (p report.ChangePlan, err error) {
	to := values["name"]
	if strings.Contains(to, " ") {
		return p, hint.New("settings-malformed", hint.T("No name.", "Pas un nom."), hint.Text{}, hint.Text{})
	}
	p.Addresses, p.Through, p.Seconds = []string{"https://" + to}, []string{"https://" + to}, 90
	if old := m.name(); to != old {
		p.Differs = []report.Difference{{Key: "name", Title: hint.T("Name", "Nom"), Before: hint.Verbatim(old), After: hint.Verbatim(to)}}
		p.Gone = []string{"https://" + old}
	}
	return p, nil
}

// startService starts the supervisor, with a folder of requests, as systemd does. A server with
// the name broken dies at once.
func (m *moved) startService() {
	if err := os.MkdirAll(m.path(helper.Name), 0o755); err != nil {
		m.t.Fatal(err)
	}
	web, err := host.Listen(host.HTTP, "tcp", "127.0.0.1:0")
	if err != nil {
		m.t.Fatal(err)
	}
	how := "ok"
	if strings.HasPrefix(m.name(), "broken") {
		how = "dies"
	}
	s := New(Config{
		Serve: func() *exec.Cmd {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "FOYER_TEST_SERVER="+how, "GORACE=atexit_sleep_ms=0")
			return cmd
		},
		Listeners: []host.Listener{web}, RunDir: m.path("run"), DataDir: m.path("data"), StateDir: m.path("state"), Version: "1.0.0",
		Addresses: func() []string { return []string{"https://" + m.name()} }, Journal: NewJournal(io.Discard), Log: slog.New(slog.NewTextHandler(m.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Notify: func(string) error { return nil }, Timing: m.timing, Changes: m,
		Root: helper.Client{Requests: m.path(helper.Name), State: m.path("root")},
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(m.t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			m.t.Errorf("the supervisor: %v", err)
		}
		os.RemoveAll(m.path(helper.Name)) //nolint:errcheck // as systemd does
	})
}

// restart is what applying does at its end.
func (m *moved) restart() {
	m.mu.Lock()
	stop := m.stop
	m.mu.Unlock()
	stop()
	m.startService()
	if m.applied != nil {
		m.applied()
	}
}

func (m *moved) startRoot() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(m.t.Context()))
	began := time.Now()
	cfg := helper.Config{
		Run: m.dir, State: m.path("root"), GID: os.Getegid(), Boot: m.boot, Log: slog.New(slog.NewTextHandler(m.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Uptime: func() time.Duration { return time.Since(began) + time.Duration(m.uptime.Load()) },
		Check: map[string]func(context.Context, map[string]string) error{helper.VerbChangeSettings: func(ctx context.Context, values map[string]string) error {
			_, err := m.Plan(ctx, values)
			return err
		}},
		Do: map[string]func(context.Context, *helper.Task) error{helper.VerbChangeSettings: func(ctx context.Context, t *helper.Task) error {
			plan, err := m.Plan(ctx, t.Values())
			if err == nil {
				err = os.WriteFile(filepath.Join(t.Folder(), "settings"), []byte(m.name()), 0o600)
			}
			if err == nil {
				err = os.WriteFile(m.path("settings"), []byte(t.Values()["name"]), 0o600)
			}
			if err == nil {
				err = t.Result(report.Change{Plan: plan})
			}
			m.restart()
			return err
		}},
		Back: map[string]func(context.Context, *helper.Task) error{helper.VerbChangeSettings: func(_ context.Context, t *helper.Task) error {
			old, err := os.ReadFile(filepath.Join(t.Folder(), "settings"))
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err == nil {
				err = os.WriteFile(m.path("settings"), old, 0o600)
			}
			m.restart()
			return err
		}},
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			if err := helper.Serve(ctx, cfg); err != nil {
				m.t.Error(err)
				return
			}
		}
	})
	m.stopRoot = func() { cancel(); wg.Wait() }
}

// patiently asks again while nobody answers: the service is started anew in between.
func patiently[T any](m *moved, what string, ask func(ctx context.Context) (T, error)) (got T, err error) {
	m.t.Helper()
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		got, err = ask(m.t.Context())
		if e := hint.Find(err); err == nil || e != nil && e.Code != "not-running" || time.Now().After(end) {
			break
		}
	}
	if err != nil && hint.Find(err) == nil {
		m.t.Fatalf("%s: %v\nlog:\n%s", what, err, m.log)
	}
	return got, err
}

func (m *moved) change(name string) control.Changed {
	m.t.Helper()
	got, err := patiently(m, "change", func(ctx context.Context) (control.Changed, error) {
		return m.Change(ctx, map[string]string{"name": name})
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return got
}

// until waits until the job's change is as wanted.
func (m *moved) until(id string, want report.ChangeState) job.Record {
	m.t.Helper()
	var r job.Record
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var err error
		if r, err = patiently(m, "job", func(ctx context.Context) (job.Record, error) { return m.Job(ctx, id) }); err != nil {
			m.t.Fatal(err)
		}
		over := want == report.ChangeKept || want == report.ChangeBack
		if changeOf(r.Result).State == want && (!over || r.State.Ended()) {
			return r
		}
	}
	m.t.Fatalf("never %s: %+v, %s\nlog:\n%s", want, r, r.Result, m.log)
	return r
}

func (m *moved) keep(code, at string) (string, job.Record) {
	m.t.Helper()
	r, err := patiently(m, "keep", func(ctx context.Context) (job.Record, error) { return m.KeepChange(ctx, code, at) })
	return codeOf(err), r
}

// wentBack looks that all is as it was, and that this is told.
func (m *moved) wentBack(id, why string) {
	m.t.Helper()
	r := m.until(id, report.ChangeBack)
	if r.State != job.Failed || r.Error.Code != "change-back" || !strings.Contains(r.Error.What.EN, why) || m.name() != "old.example.org" {
		m.t.Errorf("it is %s: %+v, %+v", m.name(), r, r.Error)
	}
	m.told("change-back", why)
	for _, name := range []string{"trial.json", "trial-change-settings"} {
		if _, err := os.Stat(filepath.Join(m.path("root"), name)); !errors.Is(err, fs.ErrNotExist) {
			m.t.Errorf("%s is left: %v", name, err)
		}
	}
}

func (m *moved) told(code, what string) {
	m.t.Helper()
	var lately []report.Event
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		st, err := patiently(m, "status", func(ctx context.Context) (report.Status, error) { return m.Status(ctx) })
		if err != nil {
			m.t.Fatal(err)
		}
		lately = st.Lately
		if slices.ContainsFunc(lately, func(e report.Event) bool { return e.Code == code && strings.Contains(e.What.EN, what) }) {
			return
		}
	}
	m.t.Errorf("no event %s of %q: %+v", code, what, lately)
}

// sees waits until people see a light, and a sentence.
func (m *moved) sees(what string, light report.Light) {
	m.t.Helper()
	var last report.Status
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		st, err := patiently(m, "status", func(ctx context.Context) (report.Status, error) { return m.Status(ctx) })
		if err != nil {
			m.t.Fatal(err)
		}
		if last = st; st.Light == light && strings.Contains(st.Sentence.EN, what) {
			return
		}
	}
	m.t.Errorf("never %s, %q: %s, %q", light, what, last.Light, last.Sentence.EN)
}
