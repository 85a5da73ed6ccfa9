package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/host"
)

func config(root string) Config {
	return Config{
		Manager: host.Systemd, Root: root, Executable: "/opt/foyer/current/foyer", User: "foyer", DataDir: "/var/lib/foyer", HTTPPort: 80, HTTPSPort: 443,
	}
}

func unitText(t *testing.T, cfg Config, suffix string) string {
	t.Helper()
	for _, f := range Units(cfg) {
		if strings.HasSuffix(f.Path, suffix) {
			return f.Text
		}
	}
	t.Fatalf("no unit %s", suffix)
	return ""
}

func TestUnitsSayWhatIsPromised(t *testing.T) {
	socket, unit := unitText(t, config("/"), ".socket"), unitText(t, config("/"), "/foyer.service")
	for _, want := range []string{"ListenStream=80\n", "ListenStream=443\n", "BindIPv6Only=both\n", "Backlog=4096\n"} {
		if !strings.Contains(socket, want) {
			t.Errorf("the socket unit does not say %q", want)
		}
	}
	for _, want := range []string{
		"Type=notify\n", "NotifyAccess=main\n", "WatchdogSec=30\n", "Restart=always\n", "RestartSec=1\n", "StartLimitIntervalSec=0\n", "User=foyer\nGroup=foyer\n",
		"Sockets=foyer.socket\n", "RuntimeDirectory=foyer foyer-helper\n", "RuntimeDirectoryMode=0755\n", "KillMode=mixed\n", "TimeoutStopSec=30\n", "CapabilityBoundingSet=\n",
		"LimitCORE=0\n", "Environment=GOTRACEBACK=single\n", "MemoryHigh=50%\n", "MemoryMax=70%\n", "TasksMax=2048\n",
		"StateDirectory=foyer foyer-supervisor\n", "UMask=0077\n", "ExecStart=/opt/foyer/current/foyer supervise\n",
	} {
		if !strings.Contains(unit, want) {
			t.Errorf("the service unit does not say %q", want)
		}
	}
	elsewhere := config("/")
	elsewhere.DataDir = "/mnt/usb/my {{data}} 100%"
	unit = unitText(t, elsewhere, "/foyer.service")
	if strings.Contains(unit, "{{") || !strings.Contains(unit, "\nStateDirectory=foyer-supervisor\n") || !strings.Contains(unit, `ReadWritePaths="-/mnt/usb/my \x7b\x7bdata}} 100%%"`) {
		t.Errorf("a strange data folder gives\n%s", unit)
	}
	elsewhere.DataDir = "/home/jeannine/foyer"
	if unit = unitText(t, elsewhere, "/foyer.service"); !strings.Contains(unit, "ProtectHome=tmpfs\nBindPaths=-/home/jeannine/foyer\n") {
		t.Errorf("a data folder at home gives\n%s", unit)
	}
	if strings.Contains(unit, "/media") || strings.Contains(unit, "/mnt") {
		t.Errorf("without a backup the service may write to disks:\n%s", unit)
	}
	for dir, want := range map[string]string{
		"/media/jeannine/STICK/foyer": "-/media", "/run/media/jeannine/STICK": "-/run/media", "/mnt/foyer": "-/mnt", "/mntx/foyer": "-/mntx", "/srv/x": "-/srv",
		"/backup disk/foyer": `"-/backup disk"`, "/backup": "-/backup",
	} {
		elsewhere.BackupDir = dir
		if unit = unitText(t, elsewhere, "/foyer.service"); !strings.Contains(unit, "\nReadWritePaths="+want+"\n") {
			t.Errorf("backups to %s: no %s in\n%s", dir, want, unit)
		}
	}
	elsewhere.BackupDir = ""
	// Root's end is started by what it is asked for, and by what it left on trial.
	if unit = unitText(t, elsewhere, "/foyer-helper.path"); !strings.Contains(unit, "DirectoryNotEmpty=/run/foyer-helper\nPathExists=/var/lib/foyer-helper/trial.json\n") {
		t.Errorf("what starts root's end:\n%s", unit)
	}
	elsewhere.Manager = host.OpenRC
	script := unitText(t, elsewhere, "/etc/init.d/foyer")
	if !strings.Contains(script, `command_user="foyer:foyer"`) || strings.Contains(script, "{{") {
		t.Errorf("OpenRC:\n%s", script)
	}
	// A shell reads it as OpenRC does; whoever sets limits in /etc/conf.d has them.
	for set, want := range map[string]string{"": `^pids.max 2048\nmemory.high [1-9]\d+\nmemory.max [1-9]\d+\nsingle\n0\n$`, "pids.max 7": `^pids.max 7\nsingle\n0\n$`} {
		cmd := exec.Command("sh", "-c", `checkpath() { :; }; eval "$1"; echo "$rc_cgroup_settings"; start_pre; sh -c 'echo $GOTRACEBACK; ulimit -c'`, "sh", script)
		if cmd.Env = os.Environ(); set != "" {
			cmd.Env = append(cmd.Env, "rc_cgroup_settings="+set)
		}
		if out, err := cmd.CombinedOutput(); err != nil || !regexp.MustCompile(want).Match(out) {
			t.Errorf("OpenRC with %q: %v\n%s", set, err, out)
		}
	}
}

// systemd itself reads the units, where it is at hand, and says how exposed the
// service is: at most 1.5.
func TestSystemdReadsTheUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("no systemd-analyze on this machine")
		return
	}
	for _, data := range []string{"/var/lib/foyer", "/mnt/usb disk/100% {{foyer}}", "/home/jeannine/foyer"} {
		dir := t.TempDir()
		cfg := config("/")
		cfg.DataDir, cfg.Executable, cfg.User = data, "/bin/sh", "root" // there on every machine
		for _, f := range Units(cfg) {
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(f.Path)), []byte(f.Text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		service, socket := filepath.Join(dir, "foyer.service"), filepath.Join(dir, "foyer.socket")
		helper := filepath.Join(dir, "foyer-helper.service")
		out, err := exec.Command(analyze, "verify", "--man=no", "--recursive-errors=no", service, socket, helper, filepath.Join(dir, "foyer-helper.path")).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("systemd-analyze verify: %v\n%s", err, out)
		}
		// The user decides, too: the real one.
		if err := os.WriteFile(service, []byte(strings.ReplaceAll(unitText(t, cfg, "/foyer.service"), "=root\n", "=foyer\n")), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, unit := range []string{service, helper} {
			out, err = exec.Command(analyze, "security", "--offline=true", "--no-pager", unit).CombinedOutput()
			found := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
			if err != nil || found == nil {
				t.Fatalf("systemd-analyze security: %v\n%s", err, out)
			}
			if level, err := strconv.ParseFloat(string(found[1]), 64); err != nil || level > 1.5 {
				t.Errorf("exposure %s\n%s", found[1], out)
			}
			t.Logf("data in %s: exposure of %s %s", data, filepath.Base(unit), found[1])
		}
	}
}

// scripted is a systemctl whose answers are given, and that notes what it was asked.
type scripted struct {
	show string
	ran  []string
	fail string // the command that fails
	old  bool   // of a systemd that does not know --timestamp
}

func (s *scripted) Run(_ context.Context, name string, args ...string) (string, error) {
	if args[0] == "show" {
		if s.old && strings.HasPrefix(args[1], "--timestamp") {
			return "", &host.RunError{Command: "systemctl show", Code: 1, Output: "unrecognized option"}
		}
		return s.show, nil
	}
	command := name + " " + strings.Join(args, " ")
	s.ran = append(s.ran, command)
	if s.fail != "" && strings.Contains(command, s.fail) {
		return "", &host.RunError{Command: command, Code: 1}
	}
	return "", nil
}

// library writes a unit as kardianos/service does.
type library struct {
	path, text string
	installs   int
}

func (l *library) Install() error {
	if _, err := os.Stat(l.path); err == nil {
		return fmt.Errorf("Init already exists: %s", l.path) //nolint:staticcheck // in the library's words
	}
	l.installs++
	return os.WriteFile(l.path, []byte(l.text), 0o600)
}

func (l *library) Uninstall() error { return os.Remove(l.path) }

func newScripted(t *testing.T) (*Service, *scripted, *library) {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, systemdDir), 0o755); err != nil {
		t.Fatal(err)
	}
	cfg := config(root)
	r, l := &scripted{show: "LoadState=not-found\nActiveState=inactive\n"}, &library{path: filepath.Join(root, systemdDir, "foyer.service"), text: unitText(t, cfg, "/foyer.service")}
	cfg.Runner, cfg.Register = r, l
	return New(cfg), r, l
}

func TestInstallCanBeRepeatedWhateverIsLeft(t *testing.T) {
	for name, left := range map[string]string{"nothing": "-", "an empty unit": "", "half a unit": "[Unit]\n", "an older unit": "[Unit]\nDescription=older\n[Service]\nExecStart=/old\n"} {
		t.Run(name, func(t *testing.T) {
			s, r, l := newScripted(t)
			if left != "-" {
				if err := os.WriteFile(l.path, []byte(left), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if err := s.Install(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if l.installs != 1 {
				t.Errorf("installed %d times", l.installs)
			}
			for _, f := range s.Units() {
				data, err := os.ReadFile(f.Path)
				fi, serr := os.Stat(f.Path)
				if err != nil || serr != nil || string(data) != f.Text || fi.Mode().Perm() != 0o644 {
					t.Errorf("%s: %v %v %v", f.Path, err, serr, fi)
				}
			}
			if !slices.Contains(r.ran, "systemctl daemon-reload") || !slices.Contains(r.ran, "systemctl enable --quiet foyer.socket foyer.service") {
				t.Errorf("ran %q", r.ran)
			}
			for range 2 {
				if err := s.Uninstall(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(l.path), "*")); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}

func TestUnitsThatAreKeptAreNotTouched(t *testing.T) {
	s, _, l := newScripted(t)
	if err := os.WriteFile(l.path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Install(t.Context(), l.path); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(l.path); string(data) != "mine" || l.installs != 0 {
		t.Errorf("the unit is now %q", data)
	}
}

func TestUninstallStopsFirst(t *testing.T) {
	s, r, _ := newScripted(t)
	if err := s.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.show, r.ran = "LoadState=loaded\nActiveState=active\n", nil
	r.fail = "stop"
	if err := s.Uninstall(t.Context()); err == nil {
		t.Error("a service that does not stop was taken away")
	}
	r.fail = ""
	if err := s.Uninstall(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.ran[0] != "systemctl stop foyer.socket foyer.service" || !slices.Contains(r.ran, "systemctl stop foyer-drill.service") {
		t.Errorf("ran %q", r.ran)
	}
}

func TestStateIsSystemds(t *testing.T) {
	s, r, _ := newScripted(t)
	r.show = "LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nResult=exit-code\nNRestarts=7\nMainPID=0\nUnitFileState=enabled\nNeedDaemonReload=yes\nExecMainStartTimestamp=@1700000000\n"
	st, err := s.State(t.Context())
	want := State{
		Installed: true, Enabled: true, Active: "activating", Sub: "auto-restart", Result: "exit-code", Restarts: 7, NeedsReload: true, Since: time.Unix(1700000000, 0),
	}
	if err != nil || st != want || !st.Running() {
		t.Errorf("state %+v, %v", st, err)
	}
	if before, err := s.StartedBefore(t.Context(), time.Unix(1700000001, 0), false); !before || err != nil {
		t.Errorf("started before: %t, %v", before, err)
	}
	r.old = true
	if st, err := s.State(t.Context()); err != nil || st.Restarts != 7 {
		t.Errorf("an old systemd: %+v, %v", st, err)
	}
	r.show = "ActiveState=active\nListen=[::]:80 (Stream)\nListen=[::]:443 (Stream)\n"
	if !s.Listens(t.Context(), 443) || s.Listens(t.Context(), 43) {
		t.Error("the socket listens on 80 and 443")
	}
	r.show = "LoadState=not-found\nActiveState=inactive\n"
	if st, err := s.State(t.Context()); err != nil || st.Installed || st.Running() {
		t.Errorf("state of none: %+v, %v", st, err)
	}
}

func TestRunReturnsWhatTheProgramReturns(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	failed := errors.New("failed")
	if err := Run(t.Context(), func(context.Context) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := Run(ctx, func(ctx context.Context) error {
		cancel()
		<-ctx.Done()
		return nil
	})
	if err != nil {
		t.Errorf("ended by its context: %v", err)
	}
}

// What the service cannot see is not for backups, whoever may write there.
func TestHomesAndTemporaryFoldersAreHidden(t *testing.T) {
	for dir, want := range map[string]bool{
		"/home/a/usb": true, "/root": true, "/run/user/1000/x": true, "/tmp": true, "/tmp/x": true, "/var/tmp/x": true, "/dev/shm/x": true,
		"/homes/a": false, "/mnt/home/a": false, "/media/a/tmp": false, "/srv": false, "/tmpx": false,
	} {
		if got := Hidden(dir); got != want {
			t.Errorf("%s: hidden %t", dir, got)
		}
	}
}
