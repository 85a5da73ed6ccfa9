//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// machine is a Debian with systemd as process 1, on a file system of its own: an
// overlay over the cached tree, in a network namespace of its own.
type machine struct {
	t      *testing.T
	name   string
	root   string // its file system, as seen from outside
	base   string
	nspawn *exec.Cmd
	exited chan struct{}
	leader int // its process 1, as seen from outside

	grouped bool // it has control groups of its own
}

var machines atomic.Int64 // numbers the machines of this run

// newMachine prepares a machine that is switched off. From here on the test runs
// beside others: machines share nothing, and mostly wait. One for each test; others beside it are
// made by anotherMachine.
func newMachine(t *testing.T) *machine {
	t.Helper()
	t.Parallel()
	return anotherMachine(t)
}

// anotherMachine is one more.
func anotherMachine(t *testing.T) *machine {
	t.Helper()
	tree := os.Getenv("FOYER_E2E_TREE")
	if tree == "" {
		t.Fatal("FOYER_E2E_TREE is not set: run make test, or make show-foundation")
	}
	base, err := os.MkdirTemp("/var/tmp", "foyer-machine-") // on a disk, wherever the tree is: /tmp may be memory
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, name: fmt.Sprintf("foyer-%d-%d", os.Getpid(), machines.Add(1)), base: base, root: filepath.Join(base, "root")}
	mounted := false
	t.Cleanup(func() {
		m.powerCut()
		if mounted {
			if !unmount(t, m.root) {
				return
			}
		}
		os.RemoveAll(base)
	})
	for _, d := range []string{"root", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(base, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	opts := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", tree, filepath.Join(base, "upper"), filepath.Join(base, "work"))
	if err := unix.Mount("overlay", m.root, "overlay", 0, opts); err != nil {
		t.Fatalf("cannot mount the machine's file system: %v", err)
	}
	mounted = true
	return m
}

// unmount unmounts a file system nobody uses any more. A machine that starts at
// this moment has a copy of every mount until it has shut itself in, and a process
// that was killed lets go a little later: it is tried again for a while.
func unmount(t *testing.T, at string) bool {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := unix.Unmount(at, 0)
		if err == nil {
			return true
		}
		if err != unix.EBUSY || time.Now().After(end) {
			t.Errorf("cannot unmount %s: %v", at, err)
			return false
		}
	}
}

// boot switches the machine on, with further options of systemd-nspawn, and waits
// until systemd has settled.
func (m *machine) boot(options ...string) {
	m.t.Helper()
	logFile, err := os.OpenFile(filepath.Join(m.base, "nspawn.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		m.t.Fatal(err)
	}
	defer logFile.Close()
	groups := m.controlGroups()
	args := append([]string{"-c", `for g in $1; do echo $$ >"$g/cgroup.procs" || exit; done; shift; exec systemd-nspawn "$@"`, "sh", strings.Join(groups, " "), "-q", "-D", m.root, "-M", m.name, "--boot", "--private-network", "--register=no", "--keep-unit", "--console=pipe", "--notify-ready=yes"}, options...)
	m.nspawn = exec.Command("sh", append(args, "systemd.show_status=0", "quiet")...)
	m.nspawn.Stdout, m.nspawn.Stderr = logFile, logFile
	m.nspawn.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := m.nspawn.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.exited = make(chan struct{})
	go func() {
		m.nspawn.Wait()
		close(m.exited)
	}()
	m.wait("the machine to have a process 1", func() bool {
		m.leader = leaderOf(m.nspawn.Process.Pid)
		return m.leader != 0
	})
	m.wait("systemd to settle", func() bool {
		out, _ := m.nsenter("systemctl", "is-system-running").Output()
		state := strings.TrimSpace(string(out))
		return state == "running" || state == "degraded"
	})
}

// controlGroups makes a control group of the machine's own, in each hierarchy that
// systemd uses. systemd-nspawn runs a machine in the group "payload" below the one it
// is started in: without this all machines had one and the same, and now and then a
// systemd met the processes of another one in the group of its foyer.service, could
// not kill them ("Input/output error"), and neither started nor forgot the unit.
func (m *machine) controlGroups() (groups []string) {
	m.t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		m.t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) < 4 || f[2] != "cgroup2" && !(f[2] == "cgroup" && strings.Contains(f[3], "name=systemd")) {
			continue
		}
		group := filepath.Join(f[1], m.name)
		if err := os.Mkdir(group, 0o755); err != nil && !os.IsExist(err) { // it was booted before
			m.t.Fatal(err)
		}
		groups = append(groups, group)
		if m.grouped {
			continue
		}
		m.t.Cleanup(func() {
			m.powerCut() // a group goes only when nothing runs in it
			var all []string
			filepath.WalkDir(group, func(path string, d os.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					all = append(all, path)
				}
				return nil
			})
			for _, path := range slices.Backward(all) {
				for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) { // killed processes leave a little later
					if err := os.Remove(path); err == nil || os.IsNotExist(err) {
						break
					} else if time.Now().After(end) {
						m.t.Errorf("cannot remove a control group: %v", err)
						break
					}
				}
			}
		})
	}
	m.grouped = true
	return groups
}

// leaderOf finds the machine's process 1 among the children of systemd-nspawn:
// the one whose number in its own namespace is 1; 0 when there is none yet.
func leaderOf(nspawn int) int {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", nspawn, nspawn))
	if err != nil {
		return 0
	}
	for child := range strings.FieldsSeq(string(children)) {
		status, err := os.ReadFile("/proc/" + child + "/status")
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(status)) {
			if rest, ok := strings.CutPrefix(line, "NSpid:"); ok {
				if f := strings.Fields(rest); len(f) > 1 && f[len(f)-1] == "1" {
					pid, _ := strconv.Atoi(child)
					return pid
				}
			}
		}
	}
	return 0
}

func (m *machine) nsenter(args ...string) *exec.Cmd {
	enter := []string{"-t", strconv.Itoa(m.leader), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w"}
	return exec.Command("nsenter", append(enter, args...)...)
}

// command makes a command that runs inside, as a transient unit of the machine's
// own process 1: with the environment and the control group a service would have.
func (m *machine) command(env []string, args ...string) *exec.Cmd {
	run := []string{"/usr/bin/systemd-run", "--quiet", "--wait", "--pipe", "--collect"}
	for _, kv := range append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, env...) {
		run = append(run, "-E", kv)
	}
	return m.nsenter(append(append(run, "--"), args...)...)
}

// run runs a command inside and returns what it printed and its exit status.
func (m *machine) run(args ...string) (stdout, stderr string, code int) {
	m.t.Helper()
	return m.runEnv(nil, args...)
}

func (m *machine) runEnv(env []string, args ...string) (stdout, stderr string, code int) {
	m.t.Helper()
	cmd := m.command(env, args...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		m.t.Fatalf("cannot run %q inside: %v", args, err)
	}
	return out.String(), complaint.String(), cmd.ProcessState.ExitCode()
}

// must runs a command inside that must succeed, and returns what it printed.
func (m *machine) must(args ...string) string {
	m.t.Helper()
	out, complaint, code := m.run(args...)
	if code != 0 {
		m.t.Fatalf("%q inside: exit status %d\n%s%s%s", args, code, out, complaint, m.journal())
	}
	return strings.TrimSpace(out)
}

// journal is the end of what Foyer logged, for a failing test.
func (m *machine) journal() string {
	out, _, _ := m.run("journalctl", "-n", "60", "--no-pager", "-o", "short", "-u", "foyer*")
	return "\n--- journal\n" + out
}

// powerCut ends the machine as pulling the plug would: every process at once, no
// shutdown. (The page cache survives: what reaches the disk is another test's.)
func (m *machine) powerCut() {
	if m.nspawn == nil {
		return
	}
	if m.leader != 0 {
		unix.Kill(m.leader, unix.SIGKILL)
	}
	select {
	case <-m.exited:
	case <-time.After(patience):
		m.nspawn.Process.Kill()
		<-m.exited
	}
	m.nspawn, m.leader = nil, 0
}

// off shuts the machine down in good order.
func (m *machine) off() {
	m.t.Helper()
	m.nsenter("systemctl", "poweroff").Run()
	select {
	case <-m.exited:
		m.nspawn, m.leader = nil, 0
	case <-time.After(patience):
		m.t.Fatal("the machine does not shut down")
	}
}

// patience bounds every wait for another process. Nothing here takes a tenth of it
// on an idle machine; beside a load of eight on two cores things take five times as
// long. It ends a wait that would never end, and judges no speed.
const patience = 3 * time.Minute

// wait waits until ok, looking often, and returns how long that took. The test
// fails when patience is over.
func (m *machine) wait(what string, ok func() bool) time.Duration {
	m.t.Helper()
	start := time.Now()
	for !ok() {
		if time.Since(start) > patience {
			more := ""
			if m.leader != 0 {
				more = m.journal()
			}
			m.t.Fatalf("waited %s for %s%s", patience, what, more)
		}
		time.Sleep(5 * time.Millisecond) // other processes are waited for
	}
	return time.Since(start)
}

// dial connects to the machine's loopback: the socket is made in the machine's
// network namespace, and stays there.
func (m *machine) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if m.leader == 0 {
		return nil, fmt.Errorf("the machine is off")
	}
	type result struct {
		c   net.Conn
		err error
	}
	done := make(chan result, 1)
	leader := m.leader
	go func() {
		runtime.LockOSThread() // never unlocked: a thread in a foreign namespace must not go back to the pool
		ns, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", leader), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			done <- result{nil, err}
			return
		}
		defer unix.Close(ns)
		if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
			done <- result{nil, err}
			return
		}
		var d net.Dialer
		c, err := d.DialContext(ctx, network, address)
		done <- result{c, err}
	}()
	r := <-done
	return r.c, r.err
}

// client is an HTTP client on the machine's loopback that trusts the machine's
// home CA root and nothing else. Every request is a new connection if fresh.
func (m *machine) client(fresh bool) *http.Client {
	m.t.Helper()
	pem, err := os.ReadFile(filepath.Join(m.root, "var/lib/foyer/certificates/home-ca/root.crt"))
	if err != nil {
		m.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		m.t.Fatal("the root certificate is none")
	}
	return &http.Client{
		Timeout: patience,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				_, port, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				return m.dial(ctx, network, net.JoinHostPort("127.0.0.1", port))
			},
			TLSClientConfig:   &tls.Config{RootCAs: pool},
			DisableKeepAlives: fresh,
			ForceAttemptHTTP2: !fresh,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// show prints one line of what was shown, with its figure, for make show-foundation.
func show(item, format string, args ...any) {
	fmt.Printf("SHOW %s: %s\n", item, fmt.Sprintf(format, args...))
}
