package installer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/step"
	"github.com/foyer-server/foyer/supervisor/osupdate"
)

// aptMachine is a Debian, whose apt-get installs what it is told to, or does not.
type aptMachine struct {
	*fakeOS
	away bool // what it fetches from does not answer
}

const dpkgStatus = "var/lib/dpkg/status"

func newAptMachine(t *testing.T, packages ...string) *aptMachine {
	t.Helper()
	m := &aptMachine{fakeOS: newFakeOS(t)}
	m.write("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n")
	m.write("etc/apt/apt.conf.d/01autoremove", "")
	m.write(dpkgStatus, "")
	m.have(packages...)
	return m
}

func (m *aptMachine) write(name, text string) {
	m.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(m.path(name)), 0o755), os.WriteFile(m.path(name), []byte(text), 0o644)); err != nil {
		m.t.Fatal(err)
	}
}

func (m *aptMachine) read(name string) string {
	m.t.Helper()
	text, err := os.ReadFile(m.path(name))
	if err != nil {
		m.t.Error(err)
	}
	return string(text)
}

// have installs packages, as dpkg does.
func (m *aptMachine) have(packages ...string) {
	for _, p := range packages {
		m.write(dpkgStatus, m.read(dpkgStatus)+"Package: "+p+"\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n")
		switch p {
		case osupdate.RestarterPackage:
			m.write("etc/needrestart/conf.d/README", "")
		case osupdate.InstallerPackage:
			m.write("etc/apt/apt.conf.d/20auto-upgrades", "APT::Periodic::Update-Package-Lists \"1\";\nAPT::Periodic::Unattended-Upgrade \"1\";\n")
			m.write("etc/apt/apt.conf.d/50unattended-upgrades", "")
		}
	}
}

func (m *aptMachine) Run(ctx context.Context, name string, args ...string) (string, error) {
	if name != "env" {
		return m.fakeOS.Run(ctx, name, args...)
	}
	m.tick()
	m.commands = append(m.commands, strings.Join(args, " "))
	if m.away {
		return "", no(100)
	}
	if i := slices.Index(args, "install"); i >= 0 {
		m.have(args[i+1:]...)
		m.tick()
	}
	return "", nil
}

// set writes the settings file; os_updates is a setting, and no question.
func (m *aptMachine) set(value string) func(*Config) {
	return func(c *Config) {
		c.Runner, c.Facts.Fetches = m, func(context.Context) bool { return !m.away }
		if value == "" {
			return
		}
		text := m.read("etc/foyer/foyer.toml")
		m.write("etc/foyer/foyer.toml", strings.Replace(text, "\n# os_updates = \"on\"", "\nos_updates = \""+value+"\"", 1))
		if text == m.read("etc/foyer/foyer.toml") {
			m.t.Error("there is no os_updates in the settings")
		}
	}
}

// ofUpdates is what a plan has to do for the updates, and what it says besides.
func ofUpdates(t *testing.T, root string, in *Installer) (changes []string, notes string) {
	t.Helper()
	p, err := in.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range p.Changes {
		if c.Step == StepOSUpdates {
			changes = append(changes, c.Op+" "+c.Kind+" "+strings.TrimPrefix(c.What, root))
		}
	}
	for _, n := range p.Notes {
		notes += n.EN + "\n"
	}
	return changes, notes
}

func TestUpdatesOfTheSystemAreSetUp(t *testing.T) {
	t.Attr("shows", "health")
	m := newAptMachine(t)
	in := m.installer(m.set(""))
	got, _ := ofUpdates(t, m.root, in)
	want := []string{
		"+ package unattended-upgrades", "+ package needrestart", "+ file " + aptFile, "+ file " + needrestartFile,
		"+ folder " + filepath.Dir(timerFile), "+ file " + timerFile,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the plan: %s", diff)
	}
	mustApply(t, in)
	if !slices.ContainsFunc(m.commands, func(c string) bool {
		return strings.Contains(c, "DEBIAN_FRONTEND=noninteractive") && strings.HasSuffix(c, "--no-remove --no-upgrade --no-install-recommends install unattended-upgrades needrestart")
	}) || !slices.Contains(m.commands, "systemctl try-restart apt-daily-upgrade.timer") {
		t.Errorf("commands: %q", m.commands)
	}
	if m.read("etc/apt/apt.conf.d/20auto-upgrades") == "" || m.read(aptFile) != aptText || m.read(timerFile) != timerText || m.read(needrestartFile) != needrestartText {
		t.Error("the files are not as they should be")
	}
	if s := osupdate.SetupOf(m.root, filepath.Base(aptFile)); !s.Installer || !s.Restarter || s.Off || !s.Ours {
		t.Errorf("set up: %+v", s)
	}
	if again := mustApply(t, in); again.Changed {
		t.Errorf("a second install changed something: %+v", again.Changes)
	}

	m.write(needrestartFile, "# mine\n")
	var left []string
	if _, err := in.Undo(t.Context(), true, func(e step.Event) {
		for _, c := range e.Changes {
			if c.Op == step.Edited {
				left = append(left, c.Kind+" "+strings.TrimPrefix(c.What, m.root))
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(left)
	if diff := cmp.Diff([]string{"file " + needrestartFile, "package needrestart", "package unattended-upgrades"}, slices.Compact(left)); diff != "" {
		t.Errorf("left: %s", diff)
	}
	for _, gone := range []string{aptFile, timerFile, filepath.Dir(timerFile)} {
		if _, err := os.Lstat(m.path(gone)); err == nil {
			t.Errorf("%s is still there", gone)
		}
	}
	if !strings.Contains(m.read(dpkgStatus), "unattended-upgrades") {
		t.Error("a package was removed")
	}
	t.Logf("SHOW updates of the system set up by an install: %d changes in the plan, undone by an uninstall but for what it names: %q", len(want), left)
}

// Where nothing is to be done about them, the plan says why, if there is something to say.
func TestUpdatesOfTheSystemAreLeftAlone(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*aptMachine)
		want    []string
		note    string
	}{
		"installed by the person": {func(m *aptMachine) { m.have(osupdate.InstallerPackage) }, []string{"+ file " + aptFile, "+ folder " + filepath.Dir(timerFile), "+ file " + timerFile}, ""},
		"no network":              {func(m *aptMachine) { m.away = true }, nil, "cannot be fetched now"},
		"YunoHost":                {func(m *aptMachine) { m.have("yunohost") }, nil, "YunoHost sees to the updates"},
		"switched off": {func(m *aptMachine) {
			m.have(osupdate.InstallerPackage)
			m.write("etc/apt/apt.conf.d/20auto-upgrades", "APT::Periodic::Unattended-Upgrade \"0\";\n")
		}, nil, "were switched off"},
		"Ubuntu": {func(m *aptMachine) { m.write("etc/os-release", "ID=ubuntu\nVERSION_ID=24.04\n") }, nil, ""},
		"no apt": {func(m *aptMachine) { os.RemoveAll(m.path("etc/apt")) }, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newAptMachine(t)
			c.prepare(m)
			in := m.installer(m.set(""))
			got, notes := ofUpdates(t, m.root, in)
			if diff := cmp.Diff(c.want, got); diff != "" || !strings.Contains(notes, c.note) || c.note == "" && strings.Contains(notes, "updates") {
				t.Errorf("the plan: %s, %q", diff, notes)
			}
			mustApply(t, in)
			if again := mustApply(t, in); again.Changed {
				t.Errorf("a second install changed something: %+v", again.Changes)
			}
		})
	}
}

// An install does not fail for packages that cannot be fetched, and does it the next time.
func TestUpdatesOfTheSystemThatCannotBeFetched(t *testing.T) {
	m := newAptMachine(t)
	fetches := true
	in := m.installer(func(c *Config) { m.set("")(c); c.Facts.Fetches = func(context.Context) bool { return fetches } })
	m.away = true
	mustApply(t, in)
	if _, err := os.Lstat(m.path(aptFile)); err == nil {
		t.Error("settings without the program they are for")
	}
	m.away = false
	if got, _ := ofUpdates(t, m.root, in); len(got) != 6 {
		t.Errorf("the next plan: %q", got)
	}
	mustApply(t, in)
	if m.read(aptFile) != aptText {
		t.Error("it was not done the next time")
	}
	m.set("off")(&Config{})
	if got, _ := ofUpdates(t, m.root, in); !slices.Contains(got, "- file "+aptFile) {
		t.Errorf("the plan once it is off: %q", got)
	}
	if res := mustApply(t, in); !res.Changed {
		t.Error("once it is off: nothing was changed")
	}
	for _, gone := range []string{aptFile, needrestartFile, timerFile} {
		if _, err := os.Lstat(m.path(gone)); err == nil {
			t.Errorf("%s is still there", gone)
		}
	}
	if again := mustApply(t, in); again.Changed {
		t.Errorf("once more: %+v", again.Changes)
	}
}

// The power goes at each moment; the next install, and an uninstall, go on.
func TestUpdatesOfTheSystemAndPowerCuts(t *testing.T) {
	for at := 1; ; at++ {
		m := newAptMachine(t)
		in := m.installer(m.set(""))
		in.steps = func(mm *machine) []step.Step { return []step.Step{&osUpdatesStep{m: mm}} }
		m.crashAt = at
		went := cut(func() {
			if _, err := in.Apply(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		})
		m.crashAt = 0
		mustApply(t, in)
		if m.read(aptFile) != aptText || m.read(timerFile) != timerText || m.read(needrestartFile) != needrestartText {
			t.Fatalf("cut off at %d, and installed again: the files are not as they should be", at)
		}
		m.ticks, m.crashAt = 0, at
		cut(func() {
			if _, err := in.Undo(t.Context(), true, nil); err != nil {
				t.Fatal(err)
			}
		})
		m.crashAt = 0
		if _, err := in.Undo(t.Context(), true, nil); err != nil {
			t.Fatal(err)
		}
		for _, gone := range []string{aptFile, needrestartFile, timerFile, filepath.Dir(timerFile)} {
			if _, err := os.Lstat(m.path(gone)); err == nil {
				t.Fatalf("cut off at %d, and undone: %s is still there", at, gone)
			}
		}
		if !went {
			return
		}
	}
}
