package osupdate

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
)

// inside runs dpkg and apt-get for a system in a folder.
type inside struct {
	d *debian
	host.Exec
}

func (i inside) Run(ctx context.Context, name string, args ...string) (string, error) {
	switch name {
	case "dpkg":
		args = append(i.d.dpkgOptions(), args...)
	case "apt-get":
		args = append(i.d.aptCommand().Args[1:], args...)
	}
	return i.Exec.Run(ctx, name, args...)
}

// repair repairs, and returns what it says besides.
func (d *debian) repair(ctx context.Context, more ...func(*RepairConfig)) (Repaired, string, error) {
	var said []string
	cfg := RepairConfig{Root: d.root, Runner: inside{d: d}, Say: func(x hint.Text) { said = append(said, x.EN) }, Pause: 20 * time.Millisecond}
	for _, f := range more {
		f(&cfg)
	}
	r, err := Repair(ctx, cfg)
	return r, strings.Join(said, " "), err
}

func code(err error) string {
	if e := hint.Find(err); e != nil {
		return e.Code
	}
	return ""
}

// cutOff installs packages of which the last is killed while it is set up, with all that
// installs it.
func (d *debian) cutOff(names ...string) {
	d.Helper()
	marker := filepath.Join(d.TempDir(), "here")
	last := names[len(names)-1]
	d.publish(last, "1.0", "[ -e "+marker+" ] && exit 0; touch "+marker+"; while :; do sleep 0.1; done")
	d.mustApt("update")
	cmd := d.aptCommand(append([]string{"install"}, names...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	d.ok(cmd.Start())
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(marker); err == nil {
			break
		}
		if time.Now().After(end) {
			d.Fatal("the script was never run")
		}
	}
	d.ok(syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL))
	if err := cmd.Wait(); err == nil {
		d.Fatal("apt-get was not killed")
	}
	f, err := os.Open(filepath.Join(d.root, "var/lib/dpkg/lock"))
	d.ok(err)
	defer f.Close()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Millisecond) { // dpkg is nobody's child now, and dies a moment later
		lock := syscall.Flock_t{Type: syscall.F_WRLCK}
		d.ok(syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock))
		if lock.Type == syscall.F_UNLCK {
			return
		}
		if time.Now().After(end) {
			d.Fatal("dpkg does not die")
		}
	}
}

func TestRepairFinishesWhatWasCutOff(t *testing.T) {
	t.Attr("shows", "health")
	d := newDebian(t)
	if r, said, err := d.repair(t.Context()); err != nil || len(r.Done)+len(r.Left) > 0 || said != "No package was left half-way." {
		t.Errorf("with nothing to do: %+v, %q, %v", r, said, err)
	}
	d.publish("good", "1.0", "exit 0")
	d.cutOff("good", "slow")
	r, said, err := d.repair(t.Context())
	if err != nil || !slices.Contains(r.Done, "slow") || len(r.Left) > 0 || !strings.Contains(said, "slow 1.0 is half-configured.") || !strings.Contains(said, "Finished: ") {
		t.Errorf("%+v, %q, %v", r, said, err)
	}
	if left := readPackages(tree(d.root)).unsettled; len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
	t.Logf("SHOW the repair of packages after a kill: %s", said)
}

// A script that fails again is named; what else there was is finished.
func TestRepairNamesWhatFails(t *testing.T) {
	t.Attr("shows", "health")
	d := newDebian(t)
	d.publish("poisoned", "1.0", "exit 7")
	d.cutOff("poisoned", "slow")
	r, said, err := d.repair(t.Context())
	if code(err) != "packages-broken" || !slices.Equal(r.Left, []string{"poisoned"}) || !slices.Contains(r.Done, "slow") {
		t.Fatalf("%+v, %q, %v", r, said, err)
	}
	e := hint.Find(err)
	for _, what := range []string{e.What.EN, e.What.FR} {
		if !strings.Contains(what, "poisoned 1.0") || !strings.Contains(what, "exit status 7") {
			t.Errorf("it says %q", what)
		}
	}
	t.Logf("SHOW the repair of a package whose own script fails: %s", e.What.EN)
}

// Files that were changed by hand stay, and nobody is asked.
func TestRepairKeepsSettings(t *testing.T) {
	d := newDebian(t)
	d.publishWith("with", "1.0", "exit 0", "etc/with.conf", "as it came\n")
	d.mustApt("update")
	d.mustApt("install", "with")
	d.write("etc/with.conf", "as the person has it\n")
	d.publishWith("with", "1.1", "exit 0", "etc/with.conf", "as it comes now\n")
	d.mustApt("update")
	dpkg := inside{d: d}
	if out, err := dpkg.Run(t.Context(), "dpkg", "--unpack", filepath.Join(d.repo, "with_1.1.deb")); err != nil {
		t.Fatal(out, err)
	}
	if r, said, err := d.repair(t.Context()); err != nil || !slices.Equal(r.Done, []string{"with"}) {
		t.Fatalf("%+v, %q, %v", r, said, err)
	}
	if text, err := os.ReadFile(filepath.Join(d.root, "etc/with.conf")); err != nil || string(text) != "as the person has it\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// What dpkg lost in the middle of unpacking is fetched again.
func TestRepairFetchesWhatIsMissing(t *testing.T) {
	d := newDebian(t)
	d.publish("good", "1.0", "exit 0")
	d.mustApt("update")
	d.mustApt("install", "good")
	text, err := os.ReadFile(filepath.Join(d.root, statusFile))
	d.ok(err)
	d.write(statusFile, strings.Replace(string(text), "install ok installed", "install reinstreq half-installed", 1))
	r, said, err := d.repair(t.Context())
	if err != nil || !slices.Equal(r.Done, []string{"good"}) || !strings.Contains(said, "fetched again") {
		t.Errorf("%+v, %q, %v", r, said, err)
	}
	if p := readPackages(tree(d.root)); p.installed["good"] != "1.0" {
		t.Errorf("%+v", p)
	}
}

// Who holds dpkg's lock is waited for, within a bound.
func TestRepairWaitsForTheLock(t *testing.T) {
	d := newDebian(t)
	d.cutOff("slow")
	hold := func() *os.File {
		f, err := os.OpenFile(filepath.Join(d.root, "var/lib/dpkg/lock"), os.O_RDWR|os.O_CREATE, 0o640)
		d.ok(err)
		d.ok(syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK}))
		return f
	}
	lock := hold()
	r, said, err := d.repair(t.Context(), func(c *RepairConfig) { c.Wait = time.Millisecond })
	if code(err) != "packages-busy" || len(r.Done) > 0 || !strings.Contains(said, "that is waited for") {
		t.Errorf("held for ever: %+v, %q, %v", r, said, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := d.repair(ctx); err == nil {
		t.Error("one that is told to end says that it is done")
	}
	letGo := func(x hint.Text) {
		if strings.Contains(x.EN, "waited for") {
			lock.Close()
		}
	}
	if r, said, err := d.repair(t.Context(), func(c *RepairConfig) {
		say := c.Say
		c.Say = func(x hint.Text) { say(x); letGo(x) }
	}); err != nil || !slices.Equal(r.Done, []string{"slow"}) {
		t.Errorf("held for a while: %+v, %q, %v", r, said, err)
	}
}
