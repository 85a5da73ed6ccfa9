package installer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/step"
	"github.com/foyer-server/foyer/supervisor/visit"
)

// fakeOS is a machine in a folder: accounts, a systemd and a firewall that answer
// as the real commands do. Each command is a moment at which the power may go.
type fakeOS struct {
	t          *testing.T
	root       string
	users      map[string]bool
	groups     map[string]bool
	active     bool // the units
	started    time.Time
	starts     int  // how often
	restarting int  // looks until a restart that was asked for has happened
	stale      bool // the manager has not read the newest unit
	ufw        bool
	rules      map[string]bool
	commands   []string

	ticks   int
	crashAt int // 0 = never
}

var errPowerCut = errors.New("the power is cut")

// tick is a moment between two acts.
func (o *fakeOS) tick() {
	o.ticks++
	if o.ticks == o.crashAt {
		panic(errPowerCut)
	}
}

func (o *fakeOS) path(p string) string { return filepath.Join(o.root, p) }

func newFakeOS(t *testing.T) *fakeOS {
	t.Helper()
	o := &fakeOS{t: t, root: t.TempDir(), users: map[string]bool{}, groups: map[string]bool{}, rules: map[string]bool{}}
	for _, d := range []string{"opt", "etc/systemd/system", "usr/local/bin", "usr/sbin", "var/lib", "run"} {
		if err := os.MkdirAll(o.path(d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(o.path("usr/sbin/nologin"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	return o
}

// yes and no are how a command ends.
func no(code int) error { return &host.RunError{Command: "fake", Code: code} }

// Run implements host.Runner.
func (o *fakeOS) Run(_ context.Context, name string, args ...string) (string, error) {
	all := strings.Join(append([]string{name}, args...), " ")
	o.commands = append(o.commands, all)
	last := ""
	if len(args) > 0 {
		last = args[len(args)-1]
	}
	switch name {
	case "getent":
		if args[0] == "group" && o.groups[last] {
			return last + ":x:990:\n", nil
		}
		return "", no(2)
	case "groupadd", "groupdel", "useradd", "userdel":
		o.tick()
		set := o.groups
		if strings.HasPrefix(name, "user") {
			set = o.users
		}
		if adding := strings.HasSuffix(name, "add"); adding == set[last] {
			o.t.Errorf("%s, which is done already", all)
			return "", no(9)
		}
		set[last] = strings.HasSuffix(name, "add")
		if name == "userdel" { // USERGROUPS_ENAB
			o.groups[last] = false
		}
		o.tick()
		return "", nil
	case "systemctl":
		return o.systemctl(args)
	case "journalctl":
		return "the last line of the log\n", nil
	case "ufw":
		return o.ufwCommand(args)
	}
	return "", fmt.Errorf("cannot run %s: %w", name, exec.ErrNotFound)
}

func (o *fakeOS) unit(name string) string { return o.path("etc/systemd/system/" + name) }

func (o *fakeOS) wants(name string) string {
	if strings.HasSuffix(name, ".socket") {
		return o.path("etc/systemd/system/sockets.target.wants/" + name)
	}
	return o.path("etc/systemd/system/multi-user.target.wants/" + name)
}

func (o *fakeOS) systemctl(args []string) (string, error) {
	if args[0] != "show" {
		o.tick()
		defer o.tick()
	}
	switch args[0] {
	case "show":
		name := args[len(args)-1]
		load, active, enabled, pid := "loaded", "inactive", "disabled", 0
		if fi, err := os.Stat(o.unit(name)); err != nil {
			load = "not-found"
		} else if fi.Size() == 0 {
			load = "masked"
		}
		if _, err := os.Lstat(o.wants(name)); err == nil {
			enabled = "enabled"
		}
		since, began := "", int64(0)
		if o.active {
			if o.restarting > 0 && slices.Contains(args, "foyer.service") { // systemd takes its time
				if o.restarting--; o.restarting == 0 {
					o.started, o.starts = time.Now(), o.starts+1
				}
			}
			active, pid, since, began = "active", 4242+o.starts, fmt.Sprintf("@%d", o.started.Unix()), sinceBoot(o.started)
			if o.restarting > 0 && o.restarting <= 5 {
				active = "deactivating"
			}
		}
		reload := "no"
		if o.stale {
			reload = "yes"
		}
		return fmt.Sprintf("LoadState=%s\nActiveState=%s\nSubState=x\nResult=success\nNRestarts=0\nMainPID=%d\nUnitFileState=%s\nNeedDaemonReload=%s\nExecMainStartTimestamp=%s\nExecMainStartTimestampMonotonic=%d\nListen=[::]:8080 (Stream)\nListen=[::]:8443 (Stream)\n",
			load, active, pid, enabled, reload, since, began), nil
	case "daemon-reload":
		o.stale = false
	case "enable", "disable":
		for _, name := range args[1:] {
			if strings.HasPrefix(name, "-") {
				continue
			}
			if args[0] == "disable" {
				os.Remove(o.wants(name))
				os.Remove(filepath.Dir(o.wants(name)))
				continue
			}
			if fi, err := os.Stat(o.unit(name)); err != nil || fi.Size() == 0 {
				return "", no(1)
			}
			os.MkdirAll(filepath.Dir(o.wants(name)), 0o755)
			os.Remove(o.wants(name))
			if err := os.Symlink("/etc/systemd/system/"+name, o.wants(name)); err != nil {
				o.t.Error(err)
			}
		}
	case "start":
		o.active, o.started, o.starts = true, time.Now(), o.starts+1
	case "restart":
		if o.active {
			o.restarting = 10
		} else {
			o.active, o.started, o.starts = true, time.Now(), o.starts+1
		}
	case "stop":
		o.active = false
	}
	return "", nil
}

func (o *fakeOS) ufwCommand(args []string) (string, error) {
	if !o.ufw {
		return "", fmt.Errorf("cannot run ufw: %w", exec.ErrNotFound)
	}
	switch args[0] {
	case "status":
		var out strings.Builder
		out.WriteString("Status: active\n\nTo                         Action      From\n")
		for r, open := range o.rules {
			if open {
				out.WriteString(r + "                     ALLOW       Anywhere\n")
			}
		}
		return out.String(), nil
	case "allow":
		o.tick()
		o.rules[args[1]] = true
		o.tick()
	case "delete":
		o.tick()
		o.rules[args[2]] = false
		o.tick()
	}
	return "", nil
}

// registrar writes a unit the way kardianos/service does: not in one go.
type registrar struct {
	o    *fakeOS
	text func() string
}

func (r registrar) Install() error {
	path := r.o.unit("foyer.service")
	if _, err := os.Stat(path); err == nil {
		return fmt.Errorf("Init already exists: %s", path) //nolint:staticcheck // in the library's words
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	r.o.tick() // an empty unit
	text := r.text()
	if _, err := f.WriteString(text[:10]); err != nil {
		return err
	}
	r.o.tick() // half a unit
	if _, err := f.WriteString(text[10:]); err != nil {
		return err
	}
	r.o.stale = true
	r.o.tick()
	if _, err := r.o.systemctl([]string{"enable", "foyer.service"}); err != nil {
		return err
	}
	_, err = r.o.systemctl([]string{"daemon-reload"})
	return err
}

func (r registrar) Uninstall() error {
	if _, err := r.o.systemctl([]string{"disable", "foyer.service"}); err != nil {
		return err
	}
	if err := os.Remove(r.o.unit("foyer.service")); err != nil {
		return err
	}
	_, err := r.o.systemctl([]string{"daemon-reload"})
	return err
}

// installer makes one for this machine, with a server that is well once it runs.
func (o *fakeOS) installer(change func(*Config)) *Installer {
	o.t.Helper()
	exe := filepath.Join(o.t.TempDir(), "program")
	if err := os.WriteFile(exe, []byte("the program"), 0o755); err != nil {
		o.t.Fatal(err)
	}
	answers, err := LoadAnswers("", nil, nil, map[string]string{"http_port": "8080", "https_port": "8443"})
	if err != nil {
		o.t.Fatal(err)
	}
	me := host.User{UID: os.Geteuid(), GID: os.Getegid()}
	cfg := Config{
		Answers: answers, Root: o.root, Executable: exe, Version: "1.0.0", Runner: o,
		Claimed: func(context.Context) (bool, bool) { return true, o.active }, // bcrypt is slow
		Facts: Facts{
			Manager:     func() string { return host.Systemd },
			PortOwner:   func(int) (host.Owner, bool, error) { return host.Owner{}, false, nil },
			FreeSpace:   func(string) (uint64, uint64, error) { return 1 << 40, 1 << 40, nil },
			ReadOnly:    func(string) bool { return false },
			Kernel:      func() (string, int, int) { return "6.1.0", 6, 1 },
			SELinux:     func() bool { return false },
			ProcessFile: func(int) (string, bool) { return "", false },
			User: func(_ context.Context, name string) (host.User, bool, error) {
				me.Name = name
				return me, name == "root" || o.users[name], nil
			},
			Visit: func(context.Context, visit.Visitor) error {
				if !o.active {
					return errors.New("nobody answers")
				}
				return nil
			},
		},
		// What never answers, and nobody who is asked, is given up soon. A service that takes its time to
		// start does start: that wait is for machines that are busy.
		patience: patience{healthy: 50 * time.Millisecond, start: time.Minute, claim: 50 * time.Millisecond, pause: time.Millisecond},
	}
	if change != nil {
		change(&cfg)
	}
	in := New(cfg)
	m := &machine{cfg: in.cfg}
	in.cfg.register = registrar{o, func() string {
		s, err := m.loadSettings()
		if err != nil {
			o.t.Fatal(err)
		}
		again, err := newMachine(o.t.Context(), in.cfg, &step.History{}, false)
		if err != nil {
			o.t.Fatal(err)
		}
		_ = s
		for _, u := range again.service.Units() {
			if filepath.Base(u.Path) == "foyer.service" {
				return u.Text
			}
		}
		o.t.Fatal("no unit")
		return ""
	}}
	in.hook = func(string) { o.tick() }
	return in
}

// cut runs f until the power goes; it reports whether it went.
func cut(f func()) (went bool) {
	defer func() {
		if r := recover(); r != nil {
			if r != any(errPowerCut) {
				panic(r)
			}
			went = true
		}
	}()
	f()
	return false
}

// tree lists the machine: each path with mode and contents; accounts, rules and
// whether the service runs.
func (o *fakeOS) tree(without ...string) map[string]string {
	o.t.Helper()
	out := map[string]string{"service": fmt.Sprint(o.active)}
	for set, m := range map[string]map[string]bool{"user ": o.users, "group ": o.groups, "rule ": o.rules} {
		for name, is := range m {
			if is {
				out[set+name] = "there"
			}
		}
	}
	err := filepath.WalkDir(o.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(o.root, path)
		if rel == "run/foyer-install.lock" || slices.Contains(without, rel) {
			return nil
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		is := fi.Mode().String()
		switch {
		case fi.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			is += " " + string(data)
		case fi.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			is += " -> " + target
		}
		out[rel] = is
		return nil
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return out
}

// code is the code of an error a person can act on.
func code(err error) string {
	if e := hint.Find(err); e != nil {
		return e.Code
	}
	return fmt.Sprint(err)
}
