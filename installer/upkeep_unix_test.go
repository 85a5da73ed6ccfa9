//go:build unix

package installer

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/step"
)

// whats are the changes of a result, by what they are about.
func (o *fakeOS) whats(r Result) []string {
	var out []string
	for _, c := range r.Changes {
		out = append(out, c.Op+" "+c.Kind+" "+strings.TrimPrefix(c.What, o.root))
	}
	return out
}

// rewrite changes the settings file by hand, after the service was started.
func (o *fakeOS) rewrite(from, to string) {
	o.t.Helper()
	path := o.path("etc/foyer/foyer.toml")
	text, err := os.ReadFile(path)
	if err != nil {
		o.t.Fatal(err)
	}
	if !strings.Contains(string(text), from) {
		o.t.Fatalf("the settings do not say %q:\n%s", from, text)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), from, to)), 0o640); err != nil {
		o.t.Fatal(err)
	}
	o.started = time.Now().Add(-time.Hour)
	later, earlier := time.Now().Add(-time.Minute), time.Now().Add(-2*time.Hour)
	o.must(os.Chtimes(path, later, later))
	for _, unit := range []string{"foyer.socket", "foyer.service", "foyer-helper.path", "foyer-helper.service"} {
		o.must(os.Chtimes(o.unit(unit), earlier, earlier))
	}
}

func TestSettingsAreAppliedAsTheyAre(t *testing.T) {
	t.Attr("shows", "ground")
	t.Parallel()
	o := newFakeOS(t)
	o.ufw = true
	in := o.installer(nil)
	mustApply(t, in)
	if res, err := in.ApplySettings(t.Context(), nil); err != nil || res.Changed {
		t.Fatalf("nothing was changed in them: %+v, %v", res, err)
	}
	installed := o.tree(journalFile)
	// A name: the units do not say it, and the service has to begin anew.
	o.rewrite("https_port = 8443", "https_port = 8443\nname = \"attic\"")
	o.commands = nil
	res, err := in.ApplySettings(t.Context(), nil)
	if err != nil || !slices.Equal(o.whats(res), []string{"~ service foyer"}) {
		t.Errorf("another name: %q, %v", o.whats(res), err)
	}
	if !slices.Contains(o.commands, "systemctl restart --no-block foyer.service") {
		t.Errorf("ran %q", o.commands)
	}
	// A port: units and firewall, too.
	o.rewrite("https_port = 8443", "https_port = 9443")
	res, err = in.ApplySettings(t.Context(), nil)
	want := []string{"~ unit /etc/systemd/system/foyer.socket", "+ firewall ufw 9443/tcp", "~ service foyer", "- firewall ufw 8443/tcp"}
	if err != nil || !slices.Equal(o.whats(res), want) || res.Addresses[0] != "https://attic.local:9443/" {
		t.Errorf("another port: %q, %v, %v", o.whats(res), res.Addresses, err)
	}
	if p, err := in.Plan(t.Context()); err != nil || !p.Empty() {
		t.Errorf("an install would change %+v, %v", p.Changes, err)
	}
	// What cannot be read changes nothing.
	before := o.tree()
	o.rewrite("https_port = 9443", "https_port = 99999")
	if _, err := in.ApplySettings(t.Context(), nil); hint.Find(err) == nil || hint.Find(err).Code != "settings-malformed" {
		t.Errorf("a port that is none: %v", err)
	}
	o.rewrite("https_port = 99999", "https_port = 9443")
	if now := o.tree(); len(now) != len(before) {
		t.Errorf("it changed the machine: %d, %d", len(now), len(before))
	}
	// Another data folder is the business of an install.
	o.rewrite("https_port = 9443", "https_port = 9443\ndata = \"/srv/elsewhere\"")
	if _, err := in.ApplySettings(t.Context(), nil); hint.Find(err) == nil || hint.Find(err).Code != "data-moved" {
		t.Errorf("another data folder: %v", err)
	}
	if _, err := os.Stat(o.path("srv/elsewhere")); err == nil {
		t.Error("it was made")
	}
	o.rewrite("\ndata = \"/srv/elsewhere\"", "")
	// The way back, and then all of it goes.
	o.rewrite("https_port = 9443", "https_port = 8443")
	if _, err := in.ApplySettings(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if now := o.tree(journalFile); now["/etc/systemd/system/foyer.socket"] != installed["/etc/systemd/system/foyer.socket"] {
		t.Error("the way back leads elsewhere")
	}
	mustUndo(t, in, true)
	if o.rules["9443/tcp"] || o.rules["8443/tcp"] {
		t.Errorf("rules of the firewall are left: %v", o.rules)
	}
}

// A firewall that the install was to leave alone stays closed.
func TestApplyingLeavesTheFirewallThatWasLeft(t *testing.T) {
	t.Parallel()
	o := newFakeOS(t)
	o.ufw = true
	mustApply(t, o.installer(func(c *Config) { c.Answers.Firewall = FirewallLeave }))
	o.rewrite("https_port = 8443", "https_port = 9443")
	res, err := o.installer(nil).ApplySettings(t.Context(), nil)
	if err != nil || !res.Changed || len(o.rules) != 0 {
		t.Errorf("%q, %v: rules %v", o.whats(res), err, o.rules)
	}
}

// Units of a Foyer from before the helper, and one edited by hand: what is missing comes,
// what was edited stays.
func TestUnitsOfTheHelperComeWithAnUpgrade(t *testing.T) {
	t.Attr("shows", "ground")
	t.Parallel()
	o := newFakeOS(t)
	in := o.installer(nil)
	mustApply(t, in)
	helper, path := o.unit("foyer-helper.service"), o.unit("foyer-helper.path")
	o.must(os.Remove(helper))
	o.must(os.Remove(path))
	if res := mustApply(t, in); !slices.Equal(o.whats(res), []string{"+ unit /etc/systemd/system/foyer-helper.service", "+ unit /etc/systemd/system/foyer-helper.path"}) {
		t.Errorf("changed %q", o.whats(res))
	}
	o.must(os.WriteFile(helper, []byte("mine"), 0o644))
	res := mustApply(t, in)
	if text, err := os.ReadFile(helper); err != nil || string(text) != "mine" || !slices.Equal(o.whats(res), []string{"! unit /etc/systemd/system/foyer-helper.service"}) {
		t.Errorf("edited by hand: %q, %v, %q", text, err, o.whats(res))
	}
	mustUndo(t, in, true)
	for _, unit := range []string{helper, path} {
		if _, err := os.Lstat(unit); err == nil {
			t.Errorf("%s is left", unit)
		}
	}
}

func TestPartsOfAnInstallWantAnInstall(t *testing.T) {
	t.Parallel()
	o := newFakeOS(t)
	in := o.installer(nil)
	for name, do := range map[string]func() error{
		"repair": func() error { _, err := in.RepairOwners(t.Context(), nil); return err },
		"apply":  func() error { _, err := in.ApplySettings(t.Context(), nil); return err },
	} {
		before := o.tree()
		if err := do(); hint.Find(err) == nil || hint.Find(err).Code != "install-unfinished" {
			t.Errorf("%s: %v", name, err)
		}
		if now := o.tree(); len(now) != len(before) {
			t.Errorf("%s made something", name)
		}
	}
	mustApply(t, in)
	o.must(os.Chmod(o.path("var/lib/foyer"), 0o755))
	var steps []string
	res, err := in.RepairOwners(t.Context(), func(e step.Event) { steps = append(steps, e.Kind+" "+e.Step) })
	if err != nil || !slices.Equal(o.whats(res), []string{"~ data /var/lib/foyer"}) {
		t.Errorf("an open folder: %q, %v", o.whats(res), err)
	}
	if want := []string{"started directories", "done directories", "started settings", "done settings"}; !slices.Equal(steps, want) {
		t.Errorf("steps %q", steps)
	}
	if fi, err := os.Stat(o.path("var/lib/foyer")); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("it is %v, %v", fi.Mode(), err)
	}
}
