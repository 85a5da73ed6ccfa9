package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/claim"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/step"
	"github.com/foyer-server/foyer/supervisor/visit"
)

const journalFile = "opt/foyer/install/journal" // differs from run to run

func mustApply(t *testing.T, in *Installer) Result {
	t.Helper()
	res, err := in.Apply(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func mustUndo(t *testing.T, in *Installer, purge bool) {
	t.Helper()
	if changed, err := in.Undo(t.Context(), purge, nil); err != nil || !changed {
		t.Fatalf("undone: %t, %v", changed, err)
	}
}

func TestPlanInstallAgainAndPurge(t *testing.T) {
	t.Parallel()
	o := newFakeOS(t)
	o.ufw = true
	before := o.tree()
	in := o.installer(func(c *Config) {
		c.Claimed = func(context.Context) (bool, bool) { return false, o.active }
	})
	p, err := in.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, o.tree()); diff != "" {
		t.Errorf("the plan changed the machine: %s", diff)
	}
	var got []string
	for _, c := range p.Changes {
		got = append(got, c.Op+" "+c.Kind+" "+strings.TrimPrefix(c.What, o.root))
		if c.Why.EN == "" || c.Why.FR == "" || c.KindText().FR == "" || c.Step == "" {
			t.Errorf("%+v does not say why, what or who", c)
		}
	}
	want := []string{
		"+ group foyer", "+ user foyer", "+ folder /opt/foyer", "+ folder /opt/foyer/install", "+ folder /opt/foyer/versions", "+ folder /etc/foyer", "+ data /var/lib/foyer",
		"+ program /opt/foyer/versions/1.0.0/foyer", "+ link /opt/foyer/current", "+ link /usr/local/bin/foyer", "+ file /etc/foyer/foyer.toml",
		"+ unit /etc/systemd/system/foyer.socket", "+ unit /etc/systemd/system/foyer-helper.service", "+ unit /etc/systemd/system/foyer-helper.path", "+ unit /etc/systemd/system/foyer.service", "+ firewall ufw 8080/tcp", "+ firewall ufw 8443/tcp",
		"+ service foyer", "+ check https://foyer.local/", "+ claim /var/lib/foyer/claim.json",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("plan: %s", diff)
	}

	var events []string
	res, err := in.Apply(t.Context(), func(e step.Event) {
		events = append(events, fmt.Sprintf("%s %s %d/%d", e.Kind, e.Step, e.N, e.Of))
	})
	if err != nil {
		t.Fatal(err)
	}
	if !res.Changed || len(res.ClaimCode) != 9 || len(res.Addresses) == 0 || res.Addresses[0] != "https://foyer.local:8443/" {
		t.Errorf("result %+v", res)
	}
	if offer, err := claim.Pending(o.path("var/lib/foyer")); err != nil || offer == nil || !offer.Matches(res.ClaimCode) {
		t.Errorf("the code is not the one that was left: %v", err)
	}
	if len(events) != 2*len(p.Steps) || events[0] != "started user 1/10" || events[len(events)-1] != "done claim 10/10" {
		t.Errorf("events %q", events)
	}
	if data, err := os.ReadFile(o.path("usr/local/bin/foyer")); err == nil {
		t.Errorf("the command leads to %q in this folder", data)
	}
	if fi, err := os.Stat(o.path("etc/foyer/foyer.toml")); err != nil || fi.Mode().Perm() != 0o640 {
		t.Errorf("settings: %v, %v", fi, err)
	}
	journal, err := os.ReadFile(o.path(journalFile))
	if err != nil || strings.Contains(string(journal), res.ClaimCode) {
		t.Errorf("the journal tells the code, or %v", err)
	}

	installed := o.tree()
	again := mustApply(t, in)
	if again.Changed || again.ClaimCode != "" {
		t.Errorf("a second install changed something: %+v", again)
	}
	if p, err := in.Plan(t.Context()); err != nil || len(p.Changes) != 0 || !p.Empty() {
		t.Errorf("a plan after the install: %+v, %v", p.Changes, err)
	}
	if diff := cmp.Diff(installed, o.tree()); diff != "" {
		t.Errorf("the second install: %s", diff)
	}

	mustUndo(t, in, true)
	if diff := cmp.Diff(before, o.tree()); diff != "" {
		t.Errorf("purged: %s", diff)
	}
	if changed, err := in.Undo(t.Context(), true, nil); changed || err != nil {
		t.Errorf("purged again: %t, %v", changed, err)
	}
}

func TestUninstallKeepsWhatIsThePersons(t *testing.T) {
	o := newFakeOS(t)
	before := o.tree()
	in := o.installer(nil)
	mustApply(t, in)
	kept := o.path("var/lib/foyer/data.db")
	if err := os.WriteFile(kept, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.path("etc/foyer/foyer.toml"), []byte("name = \"mine\"\nhttp_port = 8080\nhttps_port = 8443\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	mustUndo(t, in, false)
	for path, there := range map[string]bool{
		"var/lib/foyer/data.db": true, "etc/foyer/foyer.toml": true, "opt/foyer/current": false, "opt/foyer/versions": false,
		"usr/local/bin/foyer": false, "etc/systemd/system/foyer.service": false, "etc/systemd/system/foyer.socket": false,
	} {
		if _, err := os.Lstat(o.path(path)); (err == nil) != there {
			t.Errorf("%s: %v", path, err)
		}
	}
	if !o.users["foyer"] || o.active {
		t.Error("the account has gone, or the service runs")
	}
	if _, ok, err := in.Installed(t.Context()); ok || err != nil {
		t.Errorf("installed: %t, %v", ok, err)
	}
	// Again, and now everything: the account and the folders are still known to be ours.
	mustApply(t, in)
	if data, err := os.ReadFile(kept); err != nil || string(data) != "kept" {
		t.Errorf("the data: %q, %v", data, err)
	}
	if data, _ := os.ReadFile(o.path("etc/foyer/foyer.toml")); !strings.Contains(string(data), "mine") {
		t.Errorf("the settings were written again: %q", data)
	}
	if v, ok, err := in.Installed(t.Context()); !ok || v != "1.0.0" || err != nil {
		t.Errorf("installed: %q, %t, %v", v, ok, err)
	}
	mustUndo(t, in, true)
	if diff := cmp.Diff(before, o.tree()); diff != "" {
		t.Errorf("purged: %s", diff)
	}
}

// The power goes at every moment of an install; a second one finishes it, and a
// purge after that leaves nothing.
func TestPowerCutAtEveryMoment(t *testing.T) {
	t.Parallel()
	calm := newFakeOS(t)
	calm.ufw = true
	before := calm.tree()
	mustApply(t, calm.installer(nil))
	moments := calm.ticks
	want := calm.tree(journalFile)
	if moments < 40 {
		t.Fatalf("only %d moments", moments)
	}
	for n := 1; n <= moments; n++ {
		o := newFakeOS(t)
		o.ufw, o.crashAt = true, n
		in := o.installer(nil)
		if !cut(func() { in.Apply(t.Context(), nil) }) { //nolint:errcheck // it does not return
			t.Fatalf("moment %d never came", n)
		}
		o.active = false // the machine was off
		if _, err := in.Plan(t.Context()); err != nil {
			t.Fatalf("moment %d: plan: %v", n, err)
		}
		if res, err := in.Apply(t.Context(), nil); err != nil {
			t.Fatalf("moment %d: %v", n, err)
		} else if n < moments-1 && !res.Changed {
			t.Errorf("moment %d: nothing was changed", n)
		}
		if diff := cmp.Diff(want, o.tree(journalFile)); diff != "" {
			t.Fatalf("moment %d: %s", n, diff)
		}
		if p, err := in.Plan(t.Context()); err != nil || !p.Empty() || len(p.Changes) > 0 {
			t.Errorf("moment %d: still to do: %+v, %v", n, p.Changes, err)
		}
		mustUndo(t, in, true)
		if diff := cmp.Diff(before, o.tree()); diff != "" {
			t.Fatalf("moment %d, purged: %s", n, diff)
		}
	}
}

// The power goes at every moment of a purge; a second one finishes it.
func TestPowerCutWhileUninstalling(t *testing.T) {
	t.Parallel()
	for n, went := 1, true; went; n++ {
		o := newFakeOS(t)
		o.ufw = true
		before := o.tree()
		in := o.installer(nil)
		mustApply(t, in)
		o.ticks, o.crashAt = 0, n
		went = cut(func() {
			if _, err := in.Undo(t.Context(), true, nil); err != nil {
				t.Errorf("moment %d: %v", n, err)
			}
		})
		if went {
			if _, err := in.Undo(t.Context(), true, nil); err != nil {
				t.Fatalf("moment %d: %v", n, err)
			}
		}
		if diff := cmp.Diff(before, o.tree()); diff != "" {
			t.Fatalf("moment %d: %s", n, diff)
		}
		if !went && n < 10 {
			t.Errorf("only %d moments", n)
		}
	}
}

func TestFailureOnAFreshMachineIsTakenBack(t *testing.T) {
	t.Parallel()
	o := newFakeOS(t)
	before := o.tree()
	broken := o.installer(func(c *Config) {
		c.Facts.Visit = func(context.Context, visit.Visitor) error { return errors.New("refused") }
	})
	_, err := broken.Apply(t.Context(), nil)
	e := hint.Find(err)
	if code(err) != "not-healthy" || !strings.Contains(e.What.FR, "the last line of the log") || !strings.Contains(e.Did.EN, "as it was before") {
		t.Errorf("error %v: %+v", err, e)
	}
	if diff := cmp.Diff(before, o.tree()); diff != "" {
		t.Errorf("taken back: %s", diff)
	}

	// Data of an earlier Foyer that lay there is not touched by that.
	old := o.path("var/lib/foyer/data.db")
	if err := os.MkdirAll(filepath.Dir(old), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(old, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := broken.Apply(t.Context(), nil); code(err) != "not-healthy" {
		t.Errorf("error %v", err)
	}
	if data, err := os.ReadFile(old); err != nil || string(data) != "old" {
		t.Errorf("the data that was there: %q, %v", data, err)
	}

	// Where something was installed before, it stays as far as it got.
	in := o.installer(nil)
	mustApply(t, in)
	o.active = false
	_, err = broken.Apply(t.Context(), nil)
	if code(err) != "not-healthy" || strings.Contains(hint.Find(err).Did.EN, "undone") {
		t.Errorf("error %v: %+v", err, hint.Find(err))
	}
	if _, err := os.Lstat(o.path("opt/foyer/current")); err != nil {
		t.Errorf("a repair that failed took the install away: %v", err)
	}
	mustApply(t, in)
}

// Data that are not there are told at once, in the server's words, and not waited for.
func TestAnInstallDoesNotWaitForDataThatAreGone(t *testing.T) {
	t.Parallel()
	t.Attr("shows", "mend2")
	o := newFakeOS(t)
	mustApply(t, o.installer(nil))
	for _, stopped := range []bool{false, true} {
		o.active = !stopped
		visits := 0
		lost := o.installer(func(c *Config) {
			c.Facts.Visit = func(context.Context, visit.Visitor) error { visits++; return errors.New("refused") }
			c.Lost = func(context.Context) *hint.Error {
				return hint.New("data-gone", hint.T("Is a disk missing?", "Manque-t-il un disque ?"), hint.Text{}, hint.T("Plug it in.", "Branchez-le."))
			}
			c.patience.healthy, c.patience.start = time.Hour, time.Hour
		})
		_, err := lost.Apply(t.Context(), nil)
		if code(err) != "data-gone" || hint.Find(err).What.FR != "Manque-t-il un disque ?" || hint.Find(err).Do.EN != "Plug it in." {
			t.Errorf("stopped %t: %v: %+v", stopped, err, hint.Find(err))
		}
		if visits > 3 {
			t.Errorf("stopped %t: %d visits", stopped, visits)
		}
		if _, err := os.Lstat(o.path("opt/foyer/current")); err != nil {
			t.Errorf("it took the install away: %v", err)
		}
	}
}

func TestCancelledInstallIsTakenBack(t *testing.T) {
	o := newFakeOS(t)
	before := o.tree()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := o.installer(nil).Apply(ctx, func(e step.Event) {
		if e.Step == "units" && e.Kind == step.Done {
			cancel()
		}
	})
	if code(err) != "cancelled" {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff(before, o.tree()); diff != "" {
		t.Errorf("taken back: %s", diff)
	}
}

func TestFilesEditedByHandAreKept(t *testing.T) {
	o := newFakeOS(t)
	in := o.installer(nil)
	mustApply(t, in)
	for _, text := range []string{"# mine\n", ""} { // an empty unit is how people mask one
		if err := os.WriteFile(o.unit("foyer.service"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		o.started = time.Now() // it has been started since
		p, err := in.Plan(t.Context())
		if err != nil || !p.Empty() || len(p.Changes) != 1 || p.Changes[0].Op != step.Edited {
			t.Fatalf("plan %+v, %v", p.Changes, err)
		}
		res := mustApply(t, in)
		if data, _ := os.ReadFile(o.unit("foyer.service")); string(data) != text || res.Changed || len(res.Changes) != 1 {
			t.Errorf("the unit is now %q; %+v", data, res)
		}
	}
	if err := os.WriteFile(o.unit("foyer.service"), []byte("# mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	replace := o.installer(func(c *Config) { c.ReplaceEdited = true })
	if res := mustApply(t, replace); !res.Changed {
		t.Error("nothing was replaced")
	}
	if data, _ := os.ReadFile(o.unit("foyer.service.edited")); string(data) != "# mine\n" {
		t.Errorf("kept aside: %q", data)
	}
	if data, _ := os.ReadFile(o.unit("foyer.service")); !strings.Contains(string(data), "ExecStart=/opt/foyer/current/foyer supervise") {
		t.Errorf("replaced by %q", data)
	}
	if p, err := in.Plan(t.Context()); err != nil || len(p.Changes) > 0 {
		t.Errorf("plan %+v, %v", p.Changes, err)
	}
}

func TestUnitsOfAnEarlierVersionAreRenewed(t *testing.T) {
	o := newFakeOS(t)
	in := o.installer(nil)
	mustApply(t, in)
	// The settings now say another port: the units of before are ours, and renewed.
	if err := os.WriteFile(o.path("etc/foyer/foyer.toml"), []byte("http_port = 8080\nhttps_port = 9443\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	o.started = o.started.AddDate(-1, 0, 0)
	res := mustApply(t, in)
	if data, _ := os.ReadFile(o.unit("foyer.socket")); !strings.Contains(string(data), "9443") || !res.Changed {
		t.Errorf("socket unit %q", data)
	}
	if !slices.Contains(o.commands, "systemctl stop foyer.socket foyer.service") {
		t.Error("the ports were not closed and opened again")
	}
	if res := mustApply(t, in); res.Changed {
		t.Errorf("again: %+v", res)
	}
}

func TestNewVersionIsSwitchedToAndStarted(t *testing.T) {
	o := newFakeOS(t)
	mustApply(t, o.installer(nil))
	runs := o.path("opt/foyer/versions/1.0.0/foyer")
	newer := func(version, text string) *Installer {
		return o.installer(func(c *Config) {
			c.Version = version
			if err := os.WriteFile(c.Executable, []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
			c.Facts.ProcessFile = func(int) (string, bool) { return runs, false }
		})
	}
	in := newer("1.1.0", "newer")
	restarted := len(o.commands)
	in.hook = func(point string) { // the restart that was asked for has happened
		if point == "intent start" {
			runs = o.path("opt/foyer/versions/1.1.0/foyer")
		}
	}
	if res := mustApply(t, in); !res.Changed {
		t.Error("nothing changed")
	}
	if target, _ := os.Readlink(o.path("opt/foyer/current")); target != "versions/1.1.0" {
		t.Errorf("current is %s", target)
	}
	_ = restarted
	if _, err := newer("1.0.0", "the program").Plan(t.Context()); code(err) != "version-older" {
		t.Errorf("going back: %v", err)
	}
	if _, err := newer("1.1.0", "other bytes").Apply(t.Context(), nil); code(err) != "version-differs" {
		t.Errorf("a release with other bytes: %v", err)
	}
	runs = o.path("opt/foyer/versions/1.2.0-dev/foyer")
	for _, text := range []string{"one build", "another build"} { // make install, twice
		mustApply(t, newer("1.2.0-dev", text))
		if data, _ := os.ReadFile(o.path("opt/foyer/versions/1.2.0-dev/foyer")); string(data) != text {
			t.Errorf("installed is %q", data)
		}
	}
}

func TestWhatWasThereStays(t *testing.T) {
	o := newFakeOS(t)
	o.users["foyer"], o.groups["foyer"] = true, true
	o.ufw, o.rules["8443/tcp"] = true, true
	if err := os.MkdirAll(o.path("etc/foyer"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.path("usr/local/bin/foyer"), []byte("a download"), 0o755); err != nil {
		t.Fatal(err)
	}
	before := o.tree()
	in := o.installer(nil)
	res := mustApply(t, in)
	if len(res.Changes) == 0 || res.Changes[0].Op != step.Edited || res.Changes[0].What != o.path("usr/local/bin/foyer") {
		t.Errorf("the download under our name is not told of: %+v", res.Changes)
	}
	mustUndo(t, in, true)
	if diff := cmp.Diff(before, o.tree()); diff != "" {
		t.Errorf("purged: %s", diff)
	}
}

func TestWhatStandsInTheWay(t *testing.T) {
	for _, c := range []struct {
		code   string
		exit   int
		change func(o *fakeOS, c *Config)
	}{
		{"port-taken", hint.ExitFailed, func(_ *fakeOS, c *Config) {
			c.Facts.PortOwner = func(port int) (host.Owner, bool, error) { return host.Owner{PID: 7, Name: "nginx"}, port == 8080, nil }
		}},
		{"disk-full", hint.ExitFailed, func(_ *fakeOS, c *Config) {
			c.Facts.FreeSpace = func(string) (uint64, uint64, error) { return 100 << 20, 1 << 40, nil }
		}},
		{"target-readonly", hint.ExitFailed, func(_ *fakeOS, c *Config) { c.Facts.ReadOnly = func(string) bool { return true } }},
		{"no-service-manager", hint.ExitFailed, func(_ *fakeOS, c *Config) { c.Facts.Manager = func() string { return "" } }},
		{"kernel-old", hint.ExitFailed, func(_ *fakeOS, c *Config) { c.Facts.Kernel = func() (string, int, int) { return "3.10.0", 3, 10 } }},
		{"data-foreign", hint.ExitFailed, func(o *fakeOS, _ *Config) {
			if err := errors.Join(os.MkdirAll(o.path("var/lib/foyer"), 0o755), os.WriteFile(o.path("var/lib/foyer/photo.jpg"), nil, 0o600)); err != nil {
				o.t.Fatal(err)
			}
		}},
		{"data-place", hint.ExitFailed, func(_ *fakeOS, c *Config) { c.Answers.Data = "/tmp/data" }},
		{"settings-malformed", hint.ExitUsage, func(o *fakeOS, _ *Config) {
			if err := errors.Join(os.MkdirAll(o.path("etc/foyer"), 0o755), os.WriteFile(o.path("etc/foyer/foyer.toml"), []byte("htp_port = 1\n"), 0o600)); err != nil {
				o.t.Fatal(err)
			}
		}},
	} {
		t.Run(c.code, func(t *testing.T) {
			o := newFakeOS(t)
			in := o.installer(func(cfg *Config) { c.change(o, cfg) })
			before := o.tree()
			_, err := in.Plan(t.Context())
			if code(err) != c.code || hint.ExitCode(err) != c.exit {
				t.Errorf("plan: %v", err)
			}
			if _, err := in.Apply(t.Context(), nil); code(err) != c.code {
				t.Errorf("apply: %v", err)
			}
			if diff := cmp.Diff(before, o.tree()); diff != "" {
				t.Errorf("something was changed: %s", diff)
			}
		})
	}
}

func TestOurOwnSocketIsNoObstacle(t *testing.T) {
	o := newFakeOS(t)
	in := o.installer(func(c *Config) {
		c.Facts.PortOwner = func(int) (host.Owner, bool, error) { return host.Owner{PID: 1, Name: "systemd"}, o.active, nil }
	})
	mustApply(t, in)
	if p, err := in.Plan(t.Context()); err != nil || !p.Empty() {
		t.Errorf("plan %+v, %v", p.Changes, err)
	}
}

func TestOnlyOneRunAtATime(t *testing.T) {
	o := newFakeOS(t)
	in, other := o.installer(nil), o.installer(nil)
	seen := 0
	_, err := in.Apply(t.Context(), func(e step.Event) {
		if e.Kind == step.Started {
			seen++
			if _, err := other.Apply(t.Context(), nil); code(err) != "install-running" {
				t.Errorf("a second install: %v", err)
			}
			if _, err := other.Undo(t.Context(), true, nil); code(err) != "install-running" {
				t.Errorf("an uninstall meanwhile: %v", err)
			}
		}
	})
	if err != nil || seen == 0 {
		t.Errorf("%d steps, %v", seen, err)
	}
}

func TestAnswersOnTheBootPartitionAreBlanked(t *testing.T) {
	o := newFakeOS(t)
	path := o.path("boot/firmware/foyer.toml")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("http_port = 8080\nhttps_port = 8443\nowner = \"jeannine\"\nowner_password = \"correct horse\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	a, err := LoadAnswers(path, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	res := mustApply(t, o.installer(func(c *Config) { c.Answers = a }))
	if data, err := os.ReadFile(path); err != nil || len(data) != 0 || len(res.Notes) == 0 {
		t.Errorf("the answers file holds %q, %v; notes %v", data, err, res.Notes)
	}
	journal, err := os.ReadFile(o.path(journalFile))
	if err != nil || strings.Contains(string(journal), "correct horse") {
		t.Errorf("the password is in the journal, or %v", err)
	}
}

func TestOwnerOfTheAnswersIsMadeAtOnce(t *testing.T) {
	t.Parallel()
	o := newFakeOS(t)
	a, err := LoadAnswers("", nil, []string{"FOYER_OWNER_PASSWORD=correct horse"}, map[string]string{"owner": "jeannine", "http_port": "8080", "https_port": "8443"})
	if err != nil {
		t.Fatal(err)
	}
	res := mustApply(t, o.installer(func(c *Config) {
		c.Answers = a
		c.Claimed = func(context.Context) (bool, bool) { // the server takes the offer as it starts
			offer, err := claim.Pending(o.path("var/lib/foyer"))
			return err == nil && offer != nil && offer.Owner == "jeannine", o.active
		}
	}))
	if res.Owner != "jeannine" || res.ClaimCode != "" || !slices.Contains(o.commands, "systemctl restart --no-block foyer.service") {
		t.Errorf("result %+v", res)
	}
}
