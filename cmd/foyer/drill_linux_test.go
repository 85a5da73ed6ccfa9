package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/foyer-server/foyer/supervisor/backup/drill"
)

// Where there is no room, that is said before anything is written, with what is needed and
// what there is.
func TestADrillWhereThereIsNoRoom(t *testing.T) {
	t.Attr("shows", "backups")
	if os.Geteuid() != 0 {
		t.Skip("a small disk can only be made by root")
	}
	db := openStore(t, filepath.Join(t.TempDir(), "data.db"))
	fill(t, db, 100, 200)
	b := backUp(t, db)
	b.cycle()
	d := b.drills(t.TempDir())
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", d.dir, "tmpfs", 0, "size=40m"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("a small disk cannot be mounted: ", err)
		}
		t.Skip("nothing can be mounted here: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(d.dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	d.ask()
	o := d.run()
	if o.Problem == nil || o.Problem.Code != "drill-room" {
		t.Fatalf("%+v %+v", o.Proven, o.Problem)
	}
	free, needs := 0, 0
	_, figures, _ := strings.Cut(o.Problem.What.EN, d.dir+": ")
	if _, err := fmt.Sscanf(figures, "%d MB are free, and about %d MB are needed.", &free, &needs); err != nil || free > 40 || free < 30 || needs < 64 || needs > 100 {
		t.Errorf("%s: %v", o.Problem.What, err)
	}
}

// nobody is a user with no rights.
const nobody = 65534

// As a user who may not open the data that are served, without any network, with nothing but the
// backup, the keys and its folder, a drill works, and says that it could not.
func TestADrillAsSomebodyElse(t *testing.T) {
	t.Attr("shows", "backups")
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	h, _, b := family(t)
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	d := b.drills(filepath.Join(dir, "data"))
	d.dir = filepath.Join(dir, "drill")
	program := filepath.Join(dir, "foyer")
	for from, to := range map[string]string{h.Data: d.data, d.from: filepath.Join(dir, "backup"), d.keys: filepath.Join(dir, "keys")} {
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	d.from, d.keys = filepath.Join(dir, "backup"), filepath.Join(dir, "keys")
	d.ask()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(d.data, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, theirs := range []string{d.dir, d.from, d.keys} {
		if err := filepath.WalkDir(theirs, func(path string, e os.DirEntry, err error) error {
			mode := os.FileMode(0o600)
			if err == nil && e.IsDir() {
				mode = 0o700
			}
			if err == nil {
				err = os.Chown(path, nobody, nobody)
			}
			if err == nil {
				err = os.Chmod(path, mode)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	copyProgram(t, program)
	cmd := exec.Command(program, "drill", d.dir)
	cmd.Env = []string{"LANG=C.UTF-8", "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Cloneflags: syscall.CLONE_NEWNET}
	text, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) && os.Getenv("CI") == "" {
		t.Skip("there are no networks of one's own here: ", err)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	_, o, _, err := drill.Look(d.dir)
	if err != nil || o == nil || o.Proven == nil || !o.Proven.Confined || o.Proven.Records == 0 {
		t.Fatalf("%+v, %v", o, err)
	}
	if names := left(t, d.data); !slices.Contains(names, "data.db") {
		t.Errorf("the data are %q", names)
	}
	t.Logf("SHOW a drill as user %d, who cannot open the data that are served, without network: %d records read, confined: %v", nobody, o.Proven.Records, o.Proven.Confined)
}

// copyProgram copies the program that is tested to where everybody can run it.
func copyProgram(t *testing.T, to string) {
	t.Helper()
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	into, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(into, from); err != nil {
		t.Fatal(err)
	}
	if err := into.Close(); err != nil {
		t.Fatal(err)
	}
}

// ended waits for a process.
func ended(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	over := make(chan error, 1)
	go func() { over <- cmd.Wait() }()
	select {
	case <-over:
	case <-time.After(2 * time.Minute):
		t.Fatal("it does not end")
	}
}

// While one drill works there is no second one; nor is one asked for. One that is killed, while it loads or while its server answers,
// leaves something, no process, and the next one works all the same. One that is asked to end does, and says so.
func TestADrillIsKilled(t *testing.T) {
	t.Attr("shows", "backups")
	h, _, b := family(t)
	for i := range 40 { // something to read
		h.do(http.MethodPut, fmt.Sprintf("/v1/buckets/kept/collections/more%d", i), "")
	}
	b.cycle()
	if err := errors.Join(b.Stop(), h.Stop()); err != nil {
		t.Fatal(err)
	}
	d := b.drills(h.Data)
	d.dir = filepath.Join(shortDir(t), "d")
	// held starts a drill, and stops it in the middle.
	held := func(name string) *exec.Cmd {
		t.Helper()
		for range 50 {
			d.ask()
			cmd := d.command()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() }) //nolint:errcheck // most often it is over
			there := false
			waiting(t, name, func() bool {
				found, _ := filepath.Glob(filepath.Join(d.dir, name))
				_, out, _, _ := drill.Look(d.dir)
				there = len(found) > 0
				return there || out != nil
			})
			if there && cmd.Process.Signal(syscall.SIGSTOP) == nil {
				if found, _ := filepath.Glob(filepath.Join(d.dir, name)); len(found) > 0 {
					return cmd
				}
			}
			cmd.Process.Kill() //nolint:errcheck // it is over
			ended(t, cmd)
		}
		t.Fatalf("no drill is caught at %s", name)
		return nil
	}
	kills := 0
	for _, at := range []string{"data.restoring-*/data/data.db", "serve.sock"} {
		cmd := held(at)
		if _, out, running, err := drill.Look(d.dir); !running || out != nil || err != nil {
			t.Errorf("at %s: running: %v, %+v, %v", at, running, out, err)
		}
		second := d.command()
		text, err := second.Output()
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || !strings.Contains(string(text), `"drill-busy"`) {
			t.Errorf("a second one: %v %s", err, text)
		}
		if err := drill.Ask(d.dir, drill.Request{}); err == nil || !strings.Contains(err.Error(), "drill-busy") {
			t.Errorf("another is asked for: %v", err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		ended(t, cmd)
		kills++
		if _, out, running, err := drill.Look(d.dir); running || out != nil || err != nil {
			t.Errorf("killed at %s: running: %v, %+v, %v", at, running, out, err)
		}
		if at == "serve.sock" {
			waiting(t, "the end of its server", func() bool {
				conn, err := net.Dial("unix", filepath.Join(d.dir, "serve.sock"))
				if err == nil {
					conn.Close()
				}
				return err != nil
			})
		}
		if names := left(t, d.dir); len(names) < 3 {
			t.Errorf("killed at %s it leaves only %q", at, names)
		}
	}
	// The same again, as a service manager might.
	if o := d.run(); o.Proven == nil {
		t.Errorf("after one that was killed: %+v", o.Problem)
	}
	cmd := held("data.restoring-*/data")
	if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Process.Signal(syscall.SIGCONT)); err != nil {
		t.Fatal(err)
	}
	ended(t, cmd)
	if o := d.outcome(); o == nil || o.Problem == nil || o.Problem.Code != "drill-stopped" {
		t.Errorf("asked to end: %+v", o)
	}
	fmt.Fprintf(os.Stderr, "SHOW a drill killed %d times, while it loaded and while its server answered: no process left, and the next one clears away and works; a second one at once is refused\n", kills)
}
