//go:build unix

package supervisor

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/claim"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/event"
	"github.com/foyer-server/foyer/supervisor/job"
)

// TestMain lets the test binary be the server: a real process with real sockets
// whose behaviour the environment chooses; or a supervisor, that makes a bundle or is to be killed.
func TestMain(m *testing.M) {
	if how := os.Getenv("FOYER_TEST_SERVER"); how != "" {
		os.Exit(fakeServer(how))
	}
	if dir := os.Getenv("FOYER_TEST_BUNDLE"); dir != "" {
		os.Exit(bundleIn(dir, os.Getenv("FOYER_TEST_DIES")))
	}
	if dir := os.Getenv("FOYER_TEST_FLIGHT"); dir != "" {
		os.Exit(flyIn(dir))
	}
	os.Exit(m.Run())
}

func fakeServer(how string) int {
	if how == "dies" {
		os.Stderr.WriteString("cannot open data.db: it is in pieces\n")
		return 3
	}
	if tries, fragile := strings.CutPrefix(how, "fragile "); fragile && os.Getenv(report.SafeEnv) != "1" {
		if _, err := os.Stat(tries + "/mended"); err != nil {
			os.WriteFile(tries+"/"+rand.Text(), nil, 0o600)
			return 3
		}
	}
	ls, err := host.Inherited(nil)
	if err != nil {
		return 10
	}
	ok := how != "sick"
	var asked atomic.Uint64
	for _, l := range ls {
		mux := http.NewServeMux()
		if l.Name == host.Local {
			mux.HandleFunc("/health", func(w http.ResponseWriter, r *http.Request) {
				if !ok {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				json.NewEncoder(w).Encode(map[string]any{"ok": ok, "storage": map[bool]string{false: "disk I/O error"}[ok], "claimed": how == "claimed", "requests": asked.Add(3)})
			})
		}
		mux.HandleFunc("POST /check", func(w http.ResponseWriter, _ *http.Request) {
			tell := func(line map[string]any) {
				json.NewEncoder(w).Encode(line)
				http.NewResponseController(w).Flush()
			}
			tell(map[string]any{"done": 100, "of": 300, "said": hint.T("Reading every object.", "Lecture de chaque objet.")})
			if once := os.Getenv("FOYER_TEST_ONCE"); once != "" && os.Mkdir(once, 0o700) == nil {
				os.Exit(7) // in the middle of it
			}
			tell(map[string]any{"done": 300, "of": 300, "ended": true})
		})
		mux.HandleFunc("/pid", func(w http.ResponseWriter, r *http.Request) { json.NewEncoder(w).Encode(os.Getpid()) })
		go http.Serve(l, mux)
	}
	io.Copy(io.Discard, os.Stdin) // the supervisor's end
	os.Stderr.WriteString("finished in good order\n")
	return 0
}

type rig struct {
	*control.Client
	web     string
	data    string
	journal *Journal
	log     *syncBuffer
	told    *syncBuffer // what the service manager heard
	stop    func()
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func start(t *testing.T, how string) *rig {
	t.Helper()
	return startWith(t, how, func(*Config) {})
}

// startWith is start with a configuration that is changed before; made is shown the supervisor.
func startWith(t *testing.T, how string, change func(*Config), made ...func(*Supervisor)) *rig {
	t.Helper()
	run, err := os.MkdirTemp("", "foyer") // a unix socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	web, err := host.Listen(host.HTTP, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{web: "http://" + web.Addr().String(), data: t.TempDir(), log: &syncBuffer{}, told: &syncBuffer{}}
	r.journal = NewJournal(io.Discard)
	grace := 2 * time.Minute // a process is slow to start on a busy machine
	if how == "sick" {
		grace = time.Second // it never answers
	}
	cfg := Config{
		Serve: func() *exec.Cmd {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "FOYER_TEST_SERVER="+how, "GORACE=atexit_sleep_ms=0") // with the race detector each server would end a second late
			return cmd
		},
		Listeners: []host.Listener{web}, RunDir: run, DataDir: r.data, Version: "1.0.0",
		Addresses: func() []string { return []string{r.web} }, Journal: r.journal,
		Log: slog.New(slog.NewTextHandler(r.log, nil)),
		Notify: func(state string) error {
			_, err := io.WriteString(r.told, state+"\n")
			return err
		},
		Timing: Timing{
			Probe: 30 * time.Millisecond, ProbeTimeout: 2 * time.Second, Starting: 10 * time.Millisecond, Grace: grace,
			Steady: time.Minute, Checks: 20 * time.Millisecond, Sample: 20 * time.Millisecond, Pauses: []time.Duration{5 * time.Millisecond},
		},
	}
	change(&cfg)
	s := New(cfg)
	for _, show := range made {
		show(s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(r.stop)
	r.Client = control.Dial(run)
	return r
}

// until asks for the status until it is as wanted.
func (r *rig) until(t *testing.T, want string, ok func(report.Status) bool) report.Status {
	t.Helper()
	var last report.Status
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		s, err := r.Status(t.Context())
		if err == nil && ok(s) {
			return s
		}
		last = s
		<-time.After(5 * time.Millisecond) // another process is waited for
	}
	t.Fatalf("never %s; last status %+v\nlog:\n%s", want, last, r.log)
	return last
}

func healthy(s report.Status) bool { return s.Server.State == "healthy" && s.Light == report.Green }

func (r *rig) pid(t *testing.T) int {
	t.Helper()
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(r.web + "/pid")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var pid int
	if err := json.NewDecoder(resp.Body).Decode(&pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestKilledServerIsStartedAgainAndNobodyIsRefused(t *testing.T) {
	r := start(t, "ok")
	r.until(t, "healthy", healthy)
	first := r.pid(t)
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for syscall.Kill(first, 0) == nil { // until it has gone
		<-time.After(time.Millisecond)
	}
	if second := r.pid(t); second == first { // asked at once: waits in the socket
		t.Errorf("still pid %d", second)
	}
	s := r.until(t, "healthy again", healthy)
	if s.Server.Restarts != 1 || s.Server.LastEnd != "signal: killed" {
		t.Errorf("server %+v", s.Server)
	}
	if got := r.told.String(); strings.Count(got, "READY=1") != 1 || !strings.Contains(got, "WATCHDOG=1") {
		t.Errorf("the service manager heard %q", got)
	}
}

func TestRestartFinishesRequestsAndIsTold(t *testing.T) {
	r := start(t, "ok")
	r.until(t, "healthy", healthy)
	first := r.pid(t)
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := r.until(t, "a new server", func(s report.Status) bool { return healthy(s) && s.Server.PID != first })
	if s.Server.LastEnd != whyAsked || len(s.Lately) == 0 || !strings.Contains(s.Lately[0].What.EN, "as you asked") {
		t.Errorf("%+v, %+v", s.Server, s.Lately)
	}
	r.stop()
	if got := strings.Join(r.journal.Tail(100), "\n"); strings.Count(got, "finished in good order") != 2 {
		t.Errorf("the server was cut off:\n%s", got)
	}
}

func TestTheCourseOfThingsIsTold(t *testing.T) {
	r := start(t, "ok")
	s := r.until(t, "sampled", func(s report.Status) bool {
		return len(s.Course) > 3 && slices.ContainsFunc(s.Course, func(c report.Sample) bool { return c.Requests > 0 })
	})
	last := s.Course[len(s.Course)-1]
	if last.Memory < 1<<20 || last.Free == 0 || !last.At.After(s.Course[0].At) {
		t.Errorf("%+v", last)
	}
	if err := syscall.Kill(r.pid(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s = r.until(t, "told", func(s report.Status) bool { return len(s.Lately) > 0 })
	if want := "The server stopped (signal: killed). Foyer started it again."; s.Lately[0].Said().EN != want {
		t.Errorf("%+v", s.Lately)
	}
	for _, c := range r.until(t, "healthy again", func(s report.Status) bool { return healthy(s) && s.Server.Restarts >= 1 }).Course {
		if c.Requests < 0 || c.Requests > 1e9 {
			t.Errorf("a server that counts anew makes %v requests a minute", c.Requests)
		}
	}
}

// What happened is known after a death of the supervisor, too.
func TestWhatHappenedIsKnownAfterwards(t *testing.T) {
	t.Attr("shows", "ground")
	state := filepath.Join(t.TempDir(), StateName)
	t.Setenv("STATE_DIRECTORY", state)
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	r := start(t, "ok")
	if err := syscall.Kill(r.pid(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	stopped := func(s report.Status) bool {
		return slices.ContainsFunc(s.Lately, func(e event.Event) bool { return e.Code == "server-stopped" })
	}
	before := r.until(t, "told", stopped)
	r.stop()
	after := start(t, "ok").until(t, "known", stopped)
	if first := before.Lately[len(before.Lately)-1]; !slices.ContainsFunc(after.Lately, func(e event.Event) bool { return e.ID == first.ID && e.At.Equal(first.At) && e.Code == first.Code }) {
		t.Errorf("%+v, and then %+v", before.Lately, after.Lately)
	}
}

func TestHungServerIsReplaced(t *testing.T) {
	r := start(t, "ok")
	r.until(t, "healthy", healthy)
	first := r.pid(t)
	if err := syscall.Kill(first, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s := r.until(t, "replaced", func(s report.Status) bool { return healthy(s) && s.Server.Restarts >= 1 })
	if second := r.pid(t); second == first {
		t.Errorf("still pid %d", second)
	}
	if !strings.Contains(s.Server.LastEnd, "did not answer") {
		t.Errorf("server %+v", s.Server)
	}
}

func TestServerThatNeverAnswersIsReplacedAfterItsGrace(t *testing.T) {
	r := start(t, "sick")
	s := r.until(t, "replaced", func(s report.Status) bool { return s.Server.Restarts > 0 })
	if !strings.Contains(s.Server.LastEnd, "disk I/O error") {
		t.Errorf("server %+v", s.Server)
	}
	if strings.Contains(r.told.String(), "READY=1") {
		t.Error("the service manager was told READY though the server never was well")
	}
}

func TestCrashLoopIsReportedAndNeverGivenUp(t *testing.T) {
	r := start(t, "dies")
	s := r.until(t, "called a crash loop", func(s report.Status) bool {
		return s.Server.State == "crash-loop" && s.Light == report.Red && strings.Contains(s.Sentence.EN, "stops as soon")
	})
	if len(s.Server.LastLines) == 0 || !strings.Contains(s.Server.LastLines[0], "in pieces") {
		t.Errorf("last lines %q", s.Server.LastLines)
	}
	before := s.Server.Restarts
	r.until(t, "tried again", func(s report.Status) bool { return s.Server.Restarts > before+2 })
}

func TestEndIsInGoodOrder(t *testing.T) {
	r := start(t, "ok")
	r.until(t, "healthy", healthy)
	r.stop()
	if got := strings.Join(r.journal.Tail(5), "\n"); !strings.Contains(got, "finished in good order") {
		t.Errorf("log of the server: %q", got)
	}
	if !strings.Contains(r.told.String(), "STOPPING=1") {
		t.Errorf("the service manager heard %q", r.told)
	}
}

func TestNewClaimCodeOnlyWithoutOwner(t *testing.T) {
	r := start(t, "ok")
	r.until(t, "healthy", healthy)
	c, err := r.NewClaim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if o, err := claim.Pending(r.data); err != nil || o == nil || !o.Matches(c.Code) {
		t.Errorf("offer %v, %v", o, err)
	}
	if _, err := r.NewReset(t.Context()); hint.Find(err) == nil || hint.Find(err).Code != "claim-open" {
		t.Errorf("got %v", err)
	}
	owned := start(t, "claimed")
	owned.until(t, "claimed", func(s report.Status) bool { return s.Claimed })
	reset, err := owned.NewReset(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if o, err := claim.Pending(owned.data); err != nil || o == nil || !o.Reset || !o.Matches(reset.Code) {
		t.Errorf("offer %v, %v", o, err)
	}
	if _, err := owned.NewClaim(t.Context()); hint.Find(err) == nil || hint.Find(err).Code != "claim-done" {
		t.Errorf("got %v", err)
	}
}

func TestTwoSupervisorsDoNotShareARunFolder(t *testing.T) {
	r := start(t, "ok")
	r.until(t, "healthy", healthy)
	dir := filepath.Dir(r.Client.Socket())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	err = New(Config{RunDir: dir, DataDir: r.data, Log: slog.New(slog.DiscardHandler), Listeners: []host.Listener{{Name: host.HTTP, Listener: l}}}).Run(t.Context())
	if e := hint.Find(err); e == nil || e.Code != "already-running" {
		t.Errorf("got %v", err)
	}
}

func TestJournalKeepsTheNewestLines(t *testing.T) {
	var passed bytes.Buffer
	j := NewJournal(&passed)
	for i := range journalLines + 5 {
		j.Write([]byte(strings.Repeat("x", i%3)))
		j.Write([]byte{'a' + byte(i%26), '\n'})
	}
	got := j.Tail(journalLines + 100)
	last := journalLines + 4
	if len(got) != journalLines || got[len(got)-1] != strings.Repeat("x", last%3)+string(rune('a'+last%26)) {
		t.Errorf("%d lines, last %q", len(got), got[len(got)-1])
	}
	if strings.Count(passed.String(), "\n") != journalLines+5 {
		t.Error("lines were not passed on")
	}
}

// A check of the database goes on with the next server when one dies meanwhile, and the
// status tells of it.
func TestACheckGoesOnWithTheNextServer(t *testing.T) {
	t.Attr("shows", "ground")
	t.Setenv("FOYER_TEST_ONCE", filepath.Join(t.TempDir(), "died"))
	r := start(t, "ok")
	r.until(t, "healthy", healthy)
	asked, err := r.StartJob(t.Context(), JobCheck, map[string]string{"how": "full"})
	if err != nil {
		t.Fatal(err)
	}
	last, err := r.FollowJob(t.Context(), asked.ID, func(job.Record) {})
	if err != nil || last.State != job.Done || last.Starts != 1 || !strings.Contains(string(last.Result), `"objects":300`) {
		t.Errorf("%+v, %v", last, err)
	}
	var said []string
	for _, what := range last.Said {
		said = append(said, what.EN)
	}
	want := []string{"Reading every object.", "The server went away; the check begins anew.", "Reading every object.", "Nothing is damaged; 300 objects were read."}
	if !slices.Equal(said, want) {
		t.Errorf("it said %q", said)
	}
	s := r.until(t, "told", func(s report.Status) bool {
		return slices.ContainsFunc(s.Lately, func(e event.Event) bool { return e.Code == "job" && e.Subject == JobCheck })
	})
	if len(s.Jobs) != 1 || s.Jobs[0].ID != asked.ID || s.Server.Restarts != 1 {
		t.Errorf("%+v", s)
	}
}
