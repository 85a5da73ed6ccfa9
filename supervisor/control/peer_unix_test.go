//go:build linux || darwin

package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/job"
)

// TestMain lets the test binary be another user of this machine, who asks: a real
// process with credentials of its own, when the tests run as root.
func TestMain(m *testing.M) {
	if who := os.Getenv("FOYER_TEST_ASK"); who != "" {
		os.Exit(askAs(who))
	}
	os.Exit(m.Run())
}

// verbs is everything the socket can be asked, and something it cannot: a stranger
// does not learn which is which.
var verbs = []string{"GET /status", "POST /claim", "POST /claim/reset", "POST /restart", "GET /log?lines=2", "GET /nothing"}

// jobVerbs is what can be asked about jobs, in whose name.
var jobVerbs = []string{
	"GET /status", "GET /jobs", "GET /jobs/kinds", "GET /jobs/none", "GET /jobs/none/events",
	`POST /jobs {"kind":"count"}`, `POST /jobs {"kind":"count","cookie":"jeannine:right"}`, `POST /jobs {"kind":"count","cookie":"jeannine:wrong"}`,
	"DELETE /jobs/none", `DELETE /jobs/none {"cookie":"jeannine:right"}`, `DELETE /jobs/none {"cookie":"jeannine:wrong"}`,
	"POST /change/questions {}", `POST /change/plan {"cookie":"jeannine:wrong"}`, `POST /change/plan {"cookie":"jeannine:right"}`,
	`POST /change {"values":{"name":"x"}}`, `POST /change {"values":{"name":"x"},"cookie":"jeannine:wrong"}`, `POST /change {"values":{"name":"x"},"cookie":"jeannine:right"}`,
	"POST /change/keep {}", `POST /change/keep {"code":"AAAA"}`, `POST /change/keep {"at":"https://x"}`, `POST /change/keep {"cookie":"jeannine:right"}`, `POST /change/keep {"code":"AAAA","at":"https://x"}`,
	"POST /change {", "GET /change",
	"POST /claim", "POST /claim/reset", "POST /restart", "GET /log?lines=2", "GET /nothing", "PUT /jobs", "POST /status",
	"GET /backup", "GET /backup/points", `POST /backup {"words":"one two"}`, "DELETE /backup",
}

// askAll asks everything and returns the answers: status, and code if there is one.
func askAll(dir string, verbs []string) (map[string]string, error) {
	out := map[string]string{}
	for _, verb := range verbs {
		method, rest, _ := strings.Cut(verb, " ")
		path, text, _ := strings.Cut(rest, " ")
		req, err := http.NewRequest(method, "http://control"+path, strings.NewReader(text))
		if err != nil {
			return nil, err
		}
		resp, err := Dial(dir).http.Do(req)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return nil, err
		}
		var p report.Problem
		json.Unmarshal(body, &p) //nolint:errcheck // not every answer is an object, nor JSON
		out[verb] = strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", p.Code))
	}
	return out, nil
}

// How the other user's process ends when it has not asked.
const (
	exitFailed   = 1
	exitMayNotBe = 2 // root may not become every user here: a container may have few
)

// askAs becomes "uid:gid", asks everything at the socket in the working directory and
// prints the answers; as "uid:gid:jobs" everything about jobs. As "uid:gid:serve" it asks a
// server of its own.
func askAs(who string) int {
	var uid, gid int
	if _, err := fmt.Sscanf(who, "%d:%d", &uid, &gid); err != nil {
		return exitFailed
	}
	var own net.Listener
	if strings.HasSuffix(who, ":serve") {
		var err error
		if own, err = net.Listen("unix", SocketPath(".")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return exitFailed
		}
		if err := os.Chmod(SocketPath("."), 0o666); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return exitFailed
		}
	}
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(gid), syscall.Setuid(uid)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitMayNotBe
	}
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	if own != nil {
		served.Go(func() {
			if err := Serve(ctx, own, appliance{}, slog.New(slog.DiscardHandler)); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		})
	}
	asks := verbs
	if strings.HasSuffix(who, ":jobs") {
		asks = jobVerbs
	}
	got, err := askAll(".", asks)
	cancel()
	served.Wait()
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(got)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	}
	return 0
}

// anotherUser has a process of another user ask everything in dir.
func anotherUser(t *testing.T, dir, who string) map[string]string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Dir = dir                                                                     // the socket is found from there, whatever folders above are closed
	cmd.Env = append(os.Environ(), "FOYER_TEST_ASK="+who, "GORACE=atexit_sleep_ms=0") // with the race detector each process would end a second late
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == exitMayNotBe {
		if os.Getenv("CI") != "" {
			t.Fatalf("root cannot become %s here, and CI must: %s", who, &stderr)
		}
		t.Skipf("root cannot become %s here: %s", who, &stderr)
	}
	var got map[string]string
	if err == nil {
		err = json.Unmarshal(out, &got)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	return got
}

// recorder notes what it was asked.
type recorder struct {
	appliance
	mu    sync.Mutex
	asked []string
}

func (r *recorder) note(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, what)
}

func (r *recorder) Status(ctx context.Context) report.Status {
	r.note("status")
	return r.appliance.Status(ctx)
}

func (r *recorder) NewClaim(ctx context.Context) (string, time.Time, error) {
	r.note("claim")
	return r.appliance.NewClaim(ctx)
}

func (r *recorder) NewReset(ctx context.Context) (string, time.Time, error) {
	r.note("reset")
	return r.appliance.NewReset(ctx)
}

func (r *recorder) Restart(context.Context) { r.note("restart") }

func (r *recorder) Log(n int) []string {
	r.note("log")
	return r.appliance.Log(n)
}

// open is a folder with a control socket that everybody on the machine can reach.
func open(t *testing.T) (dir string, l net.Listener) {
	t.Helper()
	dir, l = socket(t)
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(SocketPath(dir), 0o666)); err != nil {
		t.Fatal(err)
	}
	return dir, l
}

var (
	allAnswered = map[string]string{
		"GET /status": "200", "POST /claim": "200 K7QX-9M2P", "POST /claim/reset": "200 0R5T-4B7C", "POST /restart": "200", "GET /log?lines=2": "200", "GET /nothing": "404",
	}
	allRefused = map[string]string{
		"GET /status": "403 need-root", "POST /claim": "403 need-root", "POST /claim/reset": "403 need-root", "POST /restart": "403 need-root",
		"GET /log?lines=2": "403 need-root", "GET /nothing": "403 need-root",
	}
)

// Whoever connects, the kernel says who it is: root and the user Foyer runs as are
// answered, everybody else is refused whatever they ask, and nothing is done for them.
// Without root the tests are the only user there is to ask as, so that Foyer runs as
// somebody else instead.
func TestOnlyRootAndFoyersUserAreAnswered(t *testing.T) {
	t.Attr("shows", "mend")
	me := os.Geteuid()
	type asker struct{ uid, gid int }
	self := asker{me, os.Getegid()}
	const foyer, stranger = 61501, 61502 // nobody's, most likely; the kernel does not mind
	type test struct {
		name     string
		runsAs   int
		asks     asker
		answered bool
	}
	tests := []test{
		{"whom Foyer runs as", me, self, true},
		{"Foyer runs as the next user", me + 1, self, me == 0},
		{"Foyer runs as root", 0, self, me == 0},
	}
	if me == 0 {
		tests = append(tests, []test{
			{"the service's user", foyer, asker{foyer, foyer}, true},
			{"root, while another user runs it", foyer, asker{0, 0}, true},
			{"root, of another group", foyer, asker{0, stranger}, true},
			{"a stranger", foyer, asker{stranger, stranger}, false},
			{"a stranger, while root runs it", 0, asker{stranger, stranger}, false},
			{"a stranger in the service's group", foyer, asker{stranger, foyer}, false},
			{"a stranger in root's group", foyer, asker{stranger, 0}, false},
			{"the user before", foyer, asker{foyer - 1, foyer - 1}, false},
			{"the first user after root", foyer, asker{1, 1}, false},
		}...)
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, l := open(t)
			var logged bytes.Buffer
			a := &recorder{}
			ctx, cancel := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() { served <- serveFor(ctx, l, a, slog.New(slog.NewTextHandler(&logged, nil)), c.runsAs) }()
			stop := sync.OnceFunc(func() {
				cancel()
				if err := <-served; err != nil {
					t.Errorf("the server: %v", err)
				}
			})
			defer stop()
			var got map[string]string
			if c.asks == self {
				var err error
				if got, err = askAll(dir, verbs); err != nil {
					t.Fatal(err)
				}
			} else {
				got = anotherUser(t, dir, fmt.Sprintf("%d:%d", c.asks.uid, c.asks.gid))
			}
			stop()
			want, done, refusals := allAnswered, []string{"status", "claim", "reset", "restart", "log"}, 0
			if !c.answered {
				want, done, refusals = allRefused, nil, len(verbs)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answers: %s", diff)
			}
			if diff := cmp.Diff(done, a.asked); diff != "" {
				t.Errorf("done for who asked: %s", diff)
			}
			if n := strings.Count(logged.String(), fmt.Sprintf("stranger refused\" uid=%d ", c.asks.uid)); n != refusals {
				t.Errorf("%d refusals are logged, of %d:\n%s", n, refusals, &logged)
			}
		})
	}
}

// Serve knows by itself which user it runs as.
func TestFoyersOwnUserIsAnswered(t *testing.T) {
	got, err := askAll(serve(t, appliance{}), verbs)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(allAnswered, got); diff != "" {
		t.Error(diff)
	}
	if os.Geteuid() != 0 {
		return
	}
	// Root is answered anyway: another user, who runs one, asks it.
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(allAnswered, anotherUser(t, dir, "61501:61501:serve")); diff != "" {
		t.Errorf("who runs it: %s", diff)
	}
}

// Where the user that Foyer runs as is nobody's but Foyer's, who asks as it is the server,
// which faces the network: it may look, and ask for jobs in the name of an owner whose
// cookie it has. Where it is a person's, that person may ask for everything.
func TestWhatTheServerMayAsk(t *testing.T) {
	t.Attr("shows", "ground")
	if os.Geteuid() != 0 {
		t.Skip("it takes root to be somebody else")
	}
	const foyer = 61501
	for _, apart := range []bool{true, false} {
		jobs, err := job.Open("", slog.New(slog.DiscardHandler), job.Kind{Name: "count", Title: hint.T("Count", "Compter"), Run: func(context.Context, *job.Task) error { return nil }})
		if err != nil {
			t.Fatal(err)
		}
		dir, l := open(t)
		var mu sync.Mutex
		var by []Asker
		kept := &safe{}
		a := &recorder{appliance: appliance{jobs: jobs, apart: apart, prove: func(cookie string) (string, time.Time, error) {
			if cookie != "jeannine:right" {
				return "", time.Time{}, hint.New("signin-again", hint.T("Sign in.", "Connectez-vous."), hint.Text{}, hint.Text{})
			}
			return "jeannine", at, nil
		}, changes: &changeNotes{}, backups: kept, asked: func(who Asker) {
			mu.Lock()
			defer mu.Unlock()
			by = append(by, who)
		}}}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- serveFor(ctx, l, a, slog.New(slog.DiscardHandler), foyer) }()
		got := anotherUser(t, dir, fmt.Sprintf("%d:%d:jobs", foyer, foyer))
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		want := map[string]string{
			"GET /status": "200", "GET /jobs": "200", "GET /jobs/kinds": "200", "GET /jobs/none": "409 job-unknown", "GET /jobs/none/events": "409 job-unknown",
			`POST /jobs {"kind":"count"}`: "409 need-root", `POST /jobs {"kind":"count","cookie":"jeannine:right"}`: "200", `POST /jobs {"kind":"count","cookie":"jeannine:wrong"}`: "409 signin-again",
			"DELETE /jobs/none": "409 need-root", `DELETE /jobs/none {"cookie":"jeannine:right"}`: "409 job-unknown", `DELETE /jobs/none {"cookie":"jeannine:wrong"}`: "409 signin-again",
			"POST /change/questions {}": "409 need-root", `POST /change/plan {"cookie":"jeannine:wrong"}`: "409 signin-again", `POST /change/plan {"cookie":"jeannine:right"}`: "200",
			`POST /change {"values":{"name":"x"}}`: "409 need-root", `POST /change {"values":{"name":"x"},"cookie":"jeannine:wrong"}`: "409 signin-again", `POST /change {"values":{"name":"x"},"cookie":"jeannine:right"}`: "200 K7QX",
			"POST /change/keep {}": "409 need-root", `POST /change/keep {"code":"AAAA"}`: "409 need-root", `POST /change/keep {"at":"https://x"}`: "409 need-root", `POST /change/keep {"cookie":"jeannine:right"}`: "409 need-root",
			`POST /change/keep {"code":"AAAA","at":"https://x"}`: "200", "POST /change {": "409 job-malformed", "GET /change": "403 need-root",
			"POST /claim": "403 need-root", "POST /claim/reset": "403 need-root", "POST /restart": "403 need-root", "GET /log?lines=2": "403 need-root", "GET /nothing": "403 need-root",
			"PUT /jobs": "403 need-root", "POST /status": "403 need-root",
			"GET /backup": "403 need-root", "GET /backup/points": "403 need-root", `POST /backup {"words":"one two"}`: "403 need-root", "DELETE /backup": "403 need-root",
		}
		asked := []Asker{{"jeannine", true, at}, {"jeannine", true, at}}
		if !apart {
			person := Asker{Name: strconv.Itoa(foyer)}
			if u, err := user.LookupId(person.Name); err == nil {
				person.Name = u.Username
			}
			asked = []Asker{person, asked[0], person, asked[1]}
			maps.Copy(want, map[string]string{
				"POST /change/questions {}": "200", `POST /change {"values":{"name":"x"}}`: "200 K7QX", "POST /change/keep {}": "200", `POST /change/keep {"code":"AAAA"}`: "200",
				`POST /change/keep {"at":"https://x"}`: "200", `POST /change/keep {"cookie":"jeannine:right"}`: "200", "GET /change": "405",
				`POST /jobs {"kind":"count"}`: "200", "DELETE /jobs/none": "409 job-unknown", "POST /claim": "200 K7QX-9M2P", "POST /claim/reset": "200 0R5T-4B7C", "POST /restart": "200", "GET /log?lines=2": "200",
				"GET /nothing": "404", "PUT /jobs": "405", "POST /status": "405",
				"GET /backup": "200", "GET /backup/points": "200", `POST /backup {"words":"one two"}`: "200", "DELETE /backup": "200",
			})
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("apart: %v: %s", apart, diff)
		}
		if diff := cmp.Diff(asked, by); diff != "" {
			t.Errorf("apart: %v: asked by %s", apart, diff)
		}
		changed := []string{"plan", "begin for jeannine by a page", "keep AAAA at https://x"}
		if !apart {
			changed = []string{"questions", "plan", "begin for " + asked[0].Name, "begin for jeannine by a page", "keep  at ", "keep AAAA at ", "keep  at https://x", "keep  at ", "keep AAAA at https://x"}
		}
		if diff := cmp.Diff(changed, a.changes.(*changeNotes).notes); diff != "" {
			t.Errorf("apart: %v: changes: %s", apart, diff)
		}
		if did := len(kept.begun) > 0 || kept.ended > 0; did == apart {
			t.Errorf("apart: %v: the backup was begun %d times, and ended %d times", apart, len(kept.begun), kept.ended)
		}
		if did := slices.Contains(a.asked, "restart"); did == apart {
			t.Errorf("apart: %v: restarted: %v", apart, did)
		}
	}
}

// changeNotes notes what is asked about changes.
type changeNotes struct {
	mu    sync.Mutex
	notes []string
}

func (c *changeNotes) note(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notes = append(c.notes, what)
}

func (c *changeNotes) Questions(context.Context, map[string]string) ([]report.Question, error) {
	c.note("questions")
	return nil, nil
}

func (c *changeNotes) Plan(context.Context, map[string]string) (report.ChangePlan, error) {
	c.note("plan")
	return report.ChangePlan{}, nil
}

func (c *changeNotes) Begin(_ context.Context, _ map[string]string, by Asker) (job.Record, string, error) {
	if by.Page {
		by.Name += " by a page"
	}
	c.note("begin for " + by.Name)
	return job.Record{}, "K7QX", nil
}

func (c *changeNotes) Keep(_ context.Context, code, at string) (job.Record, error) {
	c.note("keep " + code + " at " + at)
	return job.Record{}, nil
}
