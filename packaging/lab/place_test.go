//go:build e2e

package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func show(item, format string, args ...any) {
	fmt.Printf("SHOW %s: %s\n", item, fmt.Sprintf(format, args...))
}

var places atomic.Int64

// place is a machine as far as the network goes.
type place struct {
	t   *testing.T
	ns  string
	dir string
	bus string // address of its D-Bus; there need not be one
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir, err := os.MkdirTemp("", "foyerlab-") // t.TempDir would be root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, ns: fmt.Sprintf("foyerlab-%d-%d", os.Getpid(), places.Add(1)), dir: dir}
	p.bus = "unix:path=" + filepath.Join(p.dir, "bus")
	run(t, "ip", "netns", "add", p.ns)
	t.Cleanup(func() { exec.Command("ip", "netns", "delete", p.ns).Run() })
	p.must("ip", "link", "set", "lo", "up")
	return p
}

// cable joins two places: device@place=address each.
func cable(t *testing.T, a *place, devA, addrA string, b *place, devB, addrB string) {
	t.Helper()
	run(t, "ip", "link", "add", devA, "netns", a.ns, "type", "veth", "peer", "name", devB, "netns", b.ns)
	for _, end := range []struct {
		p         *place
		dev, addr string
	}{{a, devA, addrA}, {b, devB, addrB}} {
		end.p.must("ip", "address", "add", end.addr, "dev", end.dev)
		end.p.must("ip", "link", "set", end.dev, "up")
		end.p.must("ip", "route", "append", "224.0.0.0/4", "dev", end.dev)
	}
}

func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}

// command runs in the place, with a /run of its own, and with the place's own DNS
// servers if it has a resolv.conf.
func (p *place) command(args ...string) *exec.Cmd {
	cmd := exec.Command("ip", append([]string{"netns", "exec", p.ns, "unshare", "-m", "sh", "-c", `mount -t tmpfs tmpfs /run && { [ ! -e "$0" ] || mount --bind "$0" /etc/resolv.conf; } && exec "$@"`, filepath.Join(p.dir, "resolv.conf")}, args...)...)
	cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+p.bus)
	return cmd
}

// ask runs a command that ends, in the place.
func (p *place) ask(args ...string) (string, error) {
	cmd := p.command(args...)
	if args[0] == "ip" { // goes there by itself, for a tenth of the time
		cmd = exec.Command("ip", append([]string{"-n", p.ns}, args[1:]...)...)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (p *place) must(args ...string) string {
	p.t.Helper()
	out, err := p.ask(args...)
	if err != nil {
		p.t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return out
}

// daemon is a command that goes on until it is stopped or the test ends.
type daemon struct {
	t     *testing.T
	cmd   *exec.Cmd
	log   *output
	ended chan struct{}
}

func (p *place) start(args ...string) *daemon {
	p.t.Helper()
	d := &daemon{t: p.t, cmd: p.command(args...), log: &output{}, ended: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() { d.cmd.Wait(); close(d.ended) }()
	p.t.Cleanup(func() {
		d.stop()
		if p.t.Failed() {
			p.t.Logf("%q said:\n%s", args, d.log)
		}
	})
	return d
}

// stop asks it to end, and waits.
func (d *daemon) stop() {
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.ended:
	case <-time.After(patience):
		d.kill()
	}
}

func (d *daemon) kill() {
	d.cmd.Process.Kill()
	<-d.ended
}

// output is a buffer that two may use.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// patience bounds every wait for another process. The longest on an idle machine,
// for a router's lease to run out, takes a tenth of it; beside a load of eight on two
// cores things take five times as long. It ends a wait that would never end, and
// judges no speed.
const patience = 3 * time.Minute

// within waits until what is so, and returns how long that took; every look may take
// its time.
func within(t *testing.T, what string, look func() (string, bool)) time.Duration {
	t.Helper()
	begin := time.Now()
	for {
		got, ok := look()
		if ok {
			return time.Since(begin)
		}
		if time.Since(begin) > patience {
			t.Fatalf("not within %v: %s; last seen: %s", patience, what, got)
		}
		time.Sleep(50 * time.Millisecond) // another process is waited for
	}
}

// foyer is a `foyer supervise` in a place, run by nobody, without any right.
type foyer struct {
	*daemon
	p   *place
	run string
}

const nobody = 65534

func (p *place) foyer(settings string) *foyer { p.t.Helper(); return p.foyerOn(8080, 8443, settings) }

// foyerOn has ports of its own; below 1024 they take a sysctl.
func (p *place) foyerOn(http, https int, settings string) *foyer {
	p.t.Helper()
	dir := filepath.Join(p.dir, "foyer")
	runDir := filepath.Join(dir, "run")
	for _, d := range []string{dir, runDir, filepath.Join(dir, "data")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			p.t.Fatal(err)
		}
		if err := os.Chown(d, nobody, nobody); err != nil {
			p.t.Fatal(err)
		}
	}
	file := filepath.Join(p.dir, "foyer.toml")
	text := fmt.Sprintf("name = \"jeannine\"\ndata = %q\nhttp_port = %d\nhttps_port = %d\n%s", filepath.Join(dir, "data"), http, https, settings)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
	program := filepath.Join(p.dir, "program") // the other one may lie where nobody may look
	run(p.t, "install", "-m", "755", os.Getenv("FOYER_E2E_BINARY"), program)
	d := p.start("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all",
		program, "supervise", "--settings", file, "--run", runDir)
	return &foyer{d, p, runDir}
}

// finding is what `foyer status` says of one thing.
type finding struct {
	Code, Severity, Cause string
	What                  map[string]string
}

func (f *foyer) finding(code string) finding {
	out, err := f.p.command(os.Getenv("FOYER_E2E_BINARY"), "status", "--json", "--run", f.run).Output()
	if err != nil {
		return finding{}
	}
	var status struct{ Checks []finding }
	if err := json.Unmarshal(out, &status); err != nil {
		f.t.Fatalf("%v in %s", err, out)
	}
	for _, c := range status.Checks {
		if c.Code == code {
			return c
		}
	}
	return finding{}
}

// says waits until `foyer status` says of code something that contains word.
func (f *foyer) says(code, severity, word string) (finding, time.Duration) {
	f.t.Helper()
	var got finding
	took := within(f.t, fmt.Sprintf("%s is %s and says %q", code, severity, word), func() (string, bool) {
		got = f.finding(code)
		return fmt.Sprint(got), got.Severity == severity && strings.Contains(got.What["en"], word)
	})
	return got, took
}

// killAll ends supervisor and server at once, as a power cut would.
func (f *foyer) killAll() {
	f.t.Helper()
	pid := f.cmd.Process.Pid // every program before it became the next
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		f.t.Fatal(err)
	}
	f.kill()
	for _, child := range strings.Fields(string(children)) {
		if n, err := strconv.Atoi(child); err == nil {
			syscall.Kill(n, syscall.SIGKILL) // it may have gone already
		}
	}
}
