//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const password = "correct horse battery"

// installed is what `foyer install --json` prints.
type installedJSON struct {
	Changed   bool     `json:"changed"`
	Addresses []string `json:"addresses"`
	Claim     string   `json:"claim"`
	Plan      []struct {
		Step, Op, Kind, What string
	} `json:"plan"`
}

// withFoyer puts the program on a machine that is switched off, as somebody who
// downloaded it would: nothing is installed by that.
func (m *machine) withFoyer() *machine {
	m.t.Helper()
	binary := os.Getenv("FOYER_E2E_BINARY")
	data, err := os.ReadFile(binary)
	if err != nil {
		m.t.Fatalf("FOYER_E2E_BINARY: %v", err)
	}
	if err := os.WriteFile(filepath.Join(m.root, "usr/local/sbin/foyer-download"), data, 0o755); err != nil {
		m.t.Fatal(err)
	}
	return m
}

const downloaded = "/usr/local/sbin/foyer-download"

// install runs an unattended install that must succeed.
func (m *machine) install(args ...string) installedJSON {
	m.t.Helper()
	return m.installWith(nil, args...)
}

// installWith is install with further answers in the environment.
func (m *machine) installWith(env []string, args ...string) installedJSON {
	m.t.Helper()
	out, complaint, code := m.runEnv(env, append([]string{downloaded, "install", "--yes", "--json"}, args...)...)
	if code != 0 {
		m.t.Fatalf("install: exit status %d\n%s%s%s", code, out, complaint, m.journal())
	}
	var got installedJSON
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		m.t.Fatalf("install printed %q: %v", out, err)
	}
	return got
}

func (m *machine) claim(code string) {
	m.t.Helper()
	status, body := m.postClaim(code, "jeannine")
	if status != http.StatusCreated {
		m.t.Fatalf("claim: %d %s%s", status, body, m.journal())
	}
}

func (m *machine) postClaim(code, name string) (int, string) {
	body, _ := json.Marshal(map[string]string{"code": code, "name": name, "password": password})
	resp, err := m.client(true).Post("https://foyer.local/claim", "application/json", bytes.NewReader(body))
	if err != nil {
		m.t.Fatalf("claim: %v%s", err, m.journal())
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

type answer struct {
	status int
	etag   int64
	body   string
}

// ask makes one request as the owner.
func ask(ctx context.Context, c *http.Client, method, path, body string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, "https://foyer.local/v1"+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.SetBasicAuth("jeannine", password)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	return answer{resp.StatusCode, etagOf(resp), string(text)}, nil
}

// etagOf is the timestamp an answer carries; 0 when it carries none.
func etagOf(resp *http.Response) int64 {
	n, _ := strconv.ParseInt(strings.Trim(resp.Header.Get("ETag"), `"`), 10, 64)
	return n
}

func (m *machine) mustAsk(c *http.Client, method, path, body string, status int) answer {
	m.t.Helper()
	a, err := ask(m.t.Context(), c, method, path, body)
	if err != nil || a.status != status {
		m.t.Fatalf("%s %s: %d %s, %v; want %d%s", method, path, a.status, a.body, err, status, m.journal())
	}
	return a
}

// healthy waits until the machine's Foyer says it is well.
func (m *machine) healthy() time.Duration {
	m.t.Helper()
	return m.wait("Foyer to be well", func() bool {
		return m.status().Server.State == "healthy"
	})
}

type statusJSON struct {
	Light  string `json:"light"`
	Server struct {
		State    string `json:"state"`
		PID      int    `json:"pid"`
		Restarts int    `json:"restarts"`
		LastEnd  string `json:"last_end"`
	} `json:"server"`
	Claimed bool `json:"claimed"`
}

func (m *machine) status() statusJSON {
	out, _, _ := m.run("foyer", "status", "--json")
	var s statusJSON
	json.Unmarshal([]byte(out), &s) // nothing came: the zero status is not healthy
	return s
}

// hostPID is the process of the machine's unit as seen from outside: the main
// one, or its child running `foyer serve`.
func (m *machine) hostPID(serve bool) int {
	m.t.Helper()
	want := "supervise"
	if serve {
		want = "serve"
	}
	ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", m.leader))
	if err != nil {
		m.t.Fatal(err)
	}
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range procs {
		cmdline, err := os.ReadFile(p)
		args := strings.Split(string(cmdline), "\x00")
		if err != nil || len(args) < 2 || args[1] != want {
			continue
		}
		dir := filepath.Dir(p)
		if its, _ := os.Readlink(filepath.Join(dir, "ns/pid")); its == ns {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			return pid
		}
	}
	return 0
}

// stream stores records from several writers until stopped, and remembers every
// one that was acknowledged.
type stream struct {
	stop  context.CancelFunc
	wg    sync.WaitGroup
	mu    sync.Mutex
	acked map[string]int64 // record id → ETag
	order [][]int64        // per writer, ETags in the order they were acknowledged
	fails int
}

func (m *machine) newStream(prefix string, writers int) *stream {
	ctx, cancel := context.WithCancel(m.t.Context())
	s := &stream{stop: cancel, acked: map[string]int64{}, order: make([][]int64, writers)}
	for w := range writers {
		c := m.client(false)
		s.wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				id := fmt.Sprintf("%s-%d-%d", prefix, w, i)
				tctx, done := context.WithTimeout(ctx, 5*time.Second)
				a, err := ask(tctx, c, http.MethodPut, "/buckets/b/collections/c/records/"+id, fmt.Sprintf(`{"data":{"n":%d}}`, i))
				done()
				s.mu.Lock()
				if err == nil && a.status == http.StatusCreated {
					s.acked[id] = a.etag
					s.order[w] = append(s.order[w], a.etag)
				} else if ctx.Err() == nil {
					s.fails++
				}
				s.mu.Unlock()
				if err != nil {
					time.Sleep(20 * time.Millisecond) // the server is being killed: do not spin
				}
			}
		})
	}
	return s
}

func (s *stream) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.acked)
}

func (s *stream) end() {
	s.stop()
	s.wg.Wait()
}

// check compares what was acknowledged with what is there.
func (m *machine) checkStream(s *stream, what string) {
	m.t.Helper()
	there, seen := map[string]int64{}, map[int64]bool{}
	const page = 5000 // a list has a limit of its own
	for since, n := int64(0), page; n == page; {
		var got struct {
			Data []struct {
				ID       string `json:"id"`
				Modified int64  `json:"last_modified"`
			} `json:"data"`
		}
		a := m.mustAsk(m.client(true), http.MethodGet, fmt.Sprintf("/buckets/b/collections/c/records?_sort=last_modified&_limit=%d&_since=%d", page, since), "", http.StatusOK)
		if err := json.Unmarshal([]byte(a.body), &got); err != nil {
			m.t.Fatal(err)
		}
		n = len(got.Data)
		for _, r := range got.Data {
			there[r.ID], since = r.Modified, r.Modified
			if seen[r.Modified] {
				m.t.Errorf("%s: two records have the ETag %d", what, r.Modified)
			}
			seen[r.Modified] = true
		}
	}
	for id, etag := range s.acked {
		if there[id] != etag {
			m.t.Errorf("%s: record %s was acknowledged with ETag %d and is there with %d (0: not at all)", what, id, etag, there[id])
		}
	}
	for w, etags := range s.order {
		if !slices.IsSorted(etags) || len(slices.Compact(slices.Clone(etags))) != len(etags) {
			m.t.Errorf("%s: the ETags writer %d saw do not strictly increase", what, w)
		}
	}
	if len(s.acked) < 20 {
		m.t.Errorf("%s: only %d records were acknowledged: the stream did not flow", what, len(s.acked))
	}
}

// Item 1: install, claim, store; then everything that can be killed is killed in
// the middle of a stream of PUTs.
func TestInstallClaimStoreKill(t *testing.T) {
	t.Attr("shows", "foundation")
	m := newMachine(t).withFoyer()
	m.boot()
	start := time.Now()
	got := m.install()
	took := time.Since(start)
	if state := m.must("systemctl", "is-active", "foyer"); state != "active" {
		t.Fatalf("foyer is %s", state)
	}
	m.claim(got.Claim)
	c := m.client(true)
	m.mustAsk(c, http.MethodPut, "/buckets/b", "", http.StatusCreated)
	m.mustAsk(c, http.MethodPut, "/buckets/b/collections/c", "", http.StatusCreated)
	m.mustAsk(c, http.MethodPut, "/buckets/b/collections/c/records/first", `{"data":{"pi":3.14159265358979323846}}`, http.StatusCreated)
	if a := m.mustAsk(c, http.MethodGet, "/buckets/b/collections/c/records/first", "", http.StatusOK); !strings.Contains(a.body, "3.14159265358979323846") {
		t.Errorf("the record came back as %s", a.body)
	}
	show("install → active → claimed → stored → read back", "%.1f s to install, %.1f s to the first record read back", took.Seconds(), time.Since(start).Seconds())

	var kills []string
	total := 0
	for round, kill := range []struct {
		what   string
		do     func()
		goesOn bool
	}{
		{"server", func() { syscall.Kill(m.hostPID(true), syscall.SIGKILL) }, true},
		{"supervisor", func() { syscall.Kill(m.hostPID(false), syscall.SIGKILL) }, true},
		{"machine (power cut)", m.powerCut, false},
	} {
		s := m.newStream(fmt.Sprintf("r%d", round), 8)
		m.wait("the stream to flow", func() bool { return s.count() > 200 })
		at := time.Now()
		kill.do()
		if m.leader == 0 {
			s.end()
			m.boot()
		}
		m.healthy()
		back := time.Since(at)
		if before := s.count(); kill.goesOn {
			m.wait("the stream to go on", func() bool { return s.count() > before+100 })
		}
		s.end()
		m.checkStream(s, kill.what)
		total += len(s.acked)
		kills = append(kills, fmt.Sprintf("%s: %d acknowledged, all there, well again after %.1f s", kill.what, len(s.acked), back.Seconds()))
	}
	show("kill -9 in a stream of PUTs", "%s; 0 of %d lost, ETags strictly increasing", strings.Join(kills, "; "), total)
}

// ownOfSupervisor is what the supervisor writes for itself, at moments of its own.
const ownOfSupervisor = `^/var/lib/foyer-supervisor/(events|findings|recorder|disk-by-day\.json|upkeep\.json|os-updates\.json|jobs(/.*)?)$`

// Item 2: the power goes after each single step of the install.
func TestPowerCutAfterEachStep(t *testing.T) {
	t.Attr("shows", "foundation")
	t.Attr("shows", "ground")
	calm := newMachine(t).withFoyer()
	calm.boot()
	var plan struct {
		Steps []string `json:"steps"`
	}
	if err := json.Unmarshal([]byte(calm.must(downloaded, "install", "--dry-run", "--json")), &plan); err != nil {
		t.Fatal(err)
	}
	if len(plan.Steps) < 8 {
		t.Fatalf("the plan has the steps %q", plan.Steps)
	}
	calm.install()
	calm.off()
	// What differs from machine to machine by its nature: keys, hashes of random codes, the data itself,
	// the journal of how it came to be, and what systemd assigned.
	own := []string{`^/var/lib/foyer/(data\.db.*|claim\.json|certificates/.*)$`, ownOfSupervisor, `^/opt/foyer/install/`}
	want := list(t, calm.root).without(own...)
	t.Run("after", func(t *testing.T) { // returns when all of them have
		for _, step := range plan.Steps {
			t.Run(step, func(t *testing.T) {
				m := newMachine(t).withFoyer()
				m.boot()
				cmd := m.command([]string{"FOYER_INSTALL_PAUSE_AFTER=" + step}, downloaded, "install", "--yes", "--json")
				events, err := cmd.StderrPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				lines, paused := bufio.NewScanner(events), false
				var said []string
				for !paused && lines.Scan() {
					said = append(said, lines.Text())
					paused = strings.Contains(lines.Text(), `"paused"`)
				}
				if !paused {
					t.Fatalf("the install never came to the end of step %s:\n%s%s", step, strings.Join(said, "\n"), m.journal())
				}
				m.powerCut()
				cmd.Wait()
				m.boot()
				m.install()
				m.healthy()
				m.off()
				for _, d := range want.diff(list(t, m.root).without(own...)) {
					t.Error(d)
				}
			})
		}
	})
	if t.Failed() {
		return
	}
	show("power cut after each install step", "%d steps (%s): the second install finishes, same result", len(plan.Steps), strings.Join(plan.Steps, ", "))
}

// units lists the unit files systemd knows, without those by which this test runs
// its commands.
func (m *machine) units() listing {
	out := listing{}
	for line := range strings.Lines(m.must("systemctl", "list-unit-files", "--no-legend")) {
		if f := strings.Fields(line); len(f) > 1 && f[1] != "transient" {
			out["unit "+f[0]] = strings.Join(f[1:], " ")
		}
	}
	return out
}

// Item 3: uninstall --purge leaves the machine as it was.
func TestPurgeLeavesNothing(t *testing.T) {
	t.Attr("shows", "foundation")
	t.Attr("shows", "ground")
	m := newMachine(t).withFoyer()
	m.boot()
	users, units := m.must("getent", "passwd"), m.units()
	groups := m.must("getent", "group")
	m.off()
	before := list(t, m.root)
	m.boot()
	got := m.install()
	m.claim(got.Claim)
	m.mustAsk(m.client(true), http.MethodPut, "/buckets/b", "", http.StatusCreated)
	made := 0
	m.must("foyer", "uninstall", "--purge", "--yes")
	if now := m.must("getent", "passwd"); now != users {
		t.Errorf("users before:\n%s\nnow:\n%s", users, now)
	}
	if now := m.must("getent", "group"); now != groups {
		t.Errorf("groups before:\n%s\nnow:\n%s", groups, now)
	}
	for _, d := range units.diff(m.units()) {
		t.Error(d)
	}
	m.wait("systemd to forget the units", func() bool { // it does so when it is next idle
		out, _, _ := m.run("systemctl", "list-units", "--all", "--no-legend", "foyer*")
		return strings.TrimSpace(out) == ""
	})
	m.off()
	for _, d := range before.diff(list(t, m.root)) {
		made++
		t.Error(d)
	}
	if !t.Failed() {
		show("uninstall --purge", "%d files, folders and links compared, %d differences; users, groups and %d unit files as before", len(before), made, len(units))
	}
}

// Without --purge the person's things stay, and a new install finds them again.
func TestUninstallKeepsTheData(t *testing.T) {
	t.Attr("shows", "ground")
	m := newMachine(t).withFoyer()
	m.boot()
	got := m.install()
	m.claim(got.Claim)
	m.mustAsk(m.client(true), http.MethodPut, "/buckets/b", `{"data":{"kept":true}}`, http.StatusCreated)
	m.must("foyer", "uninstall", "--yes")
	if _, err := os.Stat(filepath.Join(m.root, "etc/systemd/system/foyer.service")); err == nil {
		t.Error("the unit is still there")
	}
	again := m.install()
	if again.Claim != "" {
		t.Errorf("a claim code %q was made although there is an owner", again.Claim)
	}
	if a := m.mustAsk(m.client(true), http.MethodGet, "/buckets/b", "", http.StatusOK); !strings.Contains(a.body, `"kept":true`) {
		t.Errorf("the bucket came back as %s", a.body)
	}
}

// Item 4.
func TestExposure(t *testing.T) {
	t.Attr("shows", "foundation")
	m := newMachine(t).withFoyer()
	m.boot()
	m.install()
	out := m.must("systemd-analyze", "security", "--no-pager", "foyer.service")
	found := regexp.MustCompile(`Overall exposure level for foyer\.service: ([0-9.]+)`).FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("no figure in\n%s", out)
	}
	if level, _ := strconv.ParseFloat(found[1], 64); level > 1.5 {
		t.Errorf("exposure %s\n%s", found[1], out)
	}
	show("systemd-analyze security foyer.service", "%s (at most 1.5)", found[1])

	// What the figure stands for, tried: the service's user can write neither the program nor the settings.
	sup := m.hostPID(false)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", sup))
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range []string{"CapEff", "CapPrm", "CapBnd"} {
		if !regexp.MustCompile(set + `:\s+0000000000000000`).Match(status) {
			t.Errorf("the supervisor holds capabilities:\n%s", status)
		}
	}
}

// Item 5: a server that hangs is replaced, and who asks meanwhile waits.
func TestHungServer(t *testing.T) {
	t.Attr("shows", "foundation")
	m := newMachine(t).withFoyer()
	m.boot()
	m.claim(m.install().Claim)
	m.mustAsk(m.client(true), http.MethodPut, "/buckets/b", "", http.StatusCreated)
	first := m.hostPID(true)
	if err := syscall.Kill(first, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	m.wait("the server to stand still", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", first))
		return err == nil && bytes.Contains(stat, []byte(") T "))
	})
	at := time.Now()
	const askers = 50
	results := make([]error, askers)
	var wg sync.WaitGroup
	for i := range askers {
		wg.Go(func() {
			a, err := ask(t.Context(), m.client(true), http.MethodGet, "/buckets/b", "")
			if err == nil && a.status != http.StatusOK {
				err = fmt.Errorf("status %d: %s", a.status, a.body)
			}
			results[i] = err
		})
	}
	wg.Wait()
	waited := time.Since(at)
	refused := 0
	for _, err := range results {
		if err != nil {
			refused++
			t.Errorf("a request while the server hung: %v", err)
		}
	}
	m.healthy()
	if now := m.hostPID(true); now == first {
		t.Error("the hung server is still the one that serves")
	}
	if s := m.status(); s.Server.Restarts < 1 || !strings.Contains(s.Server.LastEnd, "did not answer") {
		t.Errorf("status %+v", s)
	}
	show("hung server (SIGSTOP)", "noticed and replaced; %d requests waited at most %.1f s, %d refused", askers, waited.Seconds(), refused)
}

// Item 6: two clients race for one claim code; before that, nothing is given away.
func TestClaimRace(t *testing.T) {
	t.Attr("shows", "foundation")
	m := newMachine(t).withFoyer()
	m.boot()
	code := m.install().Claim
	c := m.client(true)
	var first string
	paths := []string{"/v1/", "/v1/buckets", "/v1/buckets/b", "/v1/accounts", "/v1/__version__", "/v1/__api__", "/admin", "/v1/batch", "/anything", "/../etc/passwd"}
	for _, path := range paths {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			req, err := http.NewRequestWithContext(t.Context(), method, "https://foyer.local"+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth("jeannine", password)
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			is := fmt.Sprintf("%d %s", resp.StatusCode, body)
			if first == "" {
				first = is
			}
			if resp.StatusCode != http.StatusServiceUnavailable || is != first {
				t.Errorf("%s %s before the claim: %s; other paths: %s", method, path, is, first)
			}
		}
	}
	const racers = 16
	won := make([]int, racers)
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() { won[i], _ = m.postClaim(code, fmt.Sprintf("racer%d", i)) })
	}
	wg.Wait()
	owners := 0
	for _, status := range won {
		if status == http.StatusCreated {
			owners++
		}
	}
	if owners != 1 {
		t.Errorf("%d owners: %v", owners, won)
	}
	show("claim race", "%d clients, one code: %d owner; unclaimed: %d requests, one and the same 503", racers, owners, len(paths)*4)
}
