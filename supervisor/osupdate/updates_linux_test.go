package osupdate

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/supervisor/health"
)

// Updates wait, are installed, and one of them fails: real dpkg and apt, whose files are read.
func TestUpdatesWaitComeAndFail(t *testing.T) {
	t.Attr("shows", "health")
	d := newDebian(t)
	d.publish("good", "1.0", "exit 0")
	d.publish("poisoned", "1.0", "exit 0")
	d.mustApt("update")
	d.mustApt("install", "good", "poisoned")
	now, state := time.Now(), t.TempDir()
	w := d.watch(&now, func(c *Config) { c.State = state })
	expect(t, "nothing set up", found(t, w, "os-updates"), health.Info, CauseNotConfigured, "`sudo foyer install`")

	d.publish("good", "1.1", "exit 0")
	d.publish("poisoned", "1.1", "echo this is poison; exit 1")
	d.mustApt("update")
	w.ask(t.Context(), w.look())
	if len(w.waiting.security) != 2 || w.waiting.others != 0 || w.waiting.refused != "" {
		t.Fatalf("what waits: %+v", w.waiting)
	}
	expect(t, "two wait", found(t, w, "os-updates"), health.Info, CauseNotConfigured, "2", "good, poisoned")
	now = now.Add(pendingLong + time.Hour)
	w.ask(t.Context(), w.look())
	expect(t, "for long", found(t, w, "os-updates"), health.Warning, CausePending, "2", "3", "apt-get upgrade")
	again := d.watch(&now, func(c *Config) { c.State = state })
	again.ask(t.Context(), again.look())
	expect(t, "for long, after a restart", found(t, again, "os-updates"), health.Warning, CausePending)
	forgets := d.watch(&now)
	forgets.ask(t.Context(), forgets.look())
	expect(t, "with no memory", found(t, forgets, "os-updates"), health.Info, CauseNotConfigured)

	if out, ok := d.apt("dist-upgrade"); ok || !strings.Contains(out, "this is poison") {
		t.Fatalf("the poison did nothing:\n%s", out)
	}
	now = time.Now()
	if f := found(t, w, "os-updates"); f.Severity != health.OK {
		t.Errorf("while dpkg may be at work: %+v", f)
	}
	now = now.Add(w.cfg.Timing.Still)
	poison := found(t, w, "os-updates")
	expect(t, "a package fails", poison, health.Warning, CauseFailing, "poisoned 1.1", "dpkg --configure -a")
	if out, ok := d.configure(); ok {
		t.Errorf("the poison is not gone, and dpkg is content:\n%s", out)
	}
	expect(t, "after a repair that did not help", found(t, w, "os-updates"), health.Warning, CauseFailing, "poisoned 1.1")

	d.publish("poisoned", "1.2", "exit 0")
	d.mustApt("update")
	d.mustApt("dist-upgrade")
	w.ask(t.Context(), w.look())
	expect(t, "mended by its next version", found(t, w, "os-updates"), health.Info, CauseNotConfigured)
	runs := w.look().runs
	if len(runs) != 3 || runs[0].Error != "" || !strings.Contains(runs[1].Error, "returned an error code") || runs[2].Error != "" || runs[1].End.IsZero() || time.Since(runs[2].Start).Abs() > time.Hour {
		t.Errorf("the history: %+v", runs)
	}
	if want := []Change{{"good", "1.0", "1.1"}, {"poisoned", "1.0", "1.1"}}; !slices.Equal(runs[1].Changes, want) {
		t.Errorf("the second run: %+v", runs[1].Changes)
	}
	t.Logf("SHOW an update whose script fails: told as %s, by name and version (%q), and gone with its next version", CauseFailing, poison.What.EN)
}

// apt and dpkg are killed in the middle: dpkg's own repair ends it, and that is seen.
func TestInstallationCutOff(t *testing.T) {
	t.Attr("shows", "health")
	d := newDebian(t)
	d.publish("good", "1.0", "exit 0")
	d.cutOff("good", "slow")
	now := time.Now()
	w := d.watch(&now)
	if f := found(t, w, "os-updates"); f.Severity != health.OK {
		t.Errorf("at once: %+v", f)
	}
	now = now.Add(w.cfg.Timing.Still)
	cut := found(t, w, "os-updates")
	expect(t, "cut off", cut, health.Warning, CauseHalfConfigured, "slow", "dpkg --configure -a")
	if runs := w.look().runs; len(runs) != 1 || !runs[0].End.IsZero() {
		t.Errorf("the history: %+v", runs)
	}
	if out, ok := d.configure(); !ok {
		t.Fatalf("dpkg: %s", out)
	}
	expect(t, "mended", found(t, w, "os-updates"), health.Info, CauseNotConfigured)
	t.Logf("SHOW dpkg killed in the middle: told as %s (%q), and gone once dpkg has finished it", CauseHalfConfigured, cut.What.EN)
}

// What dpkg has written beside its list, until it writes that anew, counts.
func TestChangesBesideTheList(t *testing.T) {
	d := newDebian(t)
	d.write(statusFile, "Package: one\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\nPackage: two\nStatus: install ok half-configured\nArchitecture: all\nVersion: 1\n")
	d.write(updatesDir+"/0001", "Package: one\nStatus: install reinstreq half-installed\nArchitecture: all\nVersion: 2\n")
	d.write(updatesDir+"/0002", "Package: two\nStatus: install ok installed\nArchitecture: all\nVersion: 2\n")
	d.write(updatesDir+"/tmp.i", "Package: two\nStatus: install ok unpacked\nArchitecture: all\nVersion: 3\n")
	p := readPackages(tree(d.root))
	if want := []unsettled{{"one", "2", "half-installed", true}}; !slices.Equal(p.unsettled, want) || p.installed["two"] != "2" {
		t.Errorf("%+v", p)
	}
}

// apt-get that cannot answer is told of once that has lasted.
func TestAptRefuses(t *testing.T) {
	d := newDebian(t)
	d.write("etc/apt/sources.list", "this is no source\n")
	now := time.Now()
	w := d.watch(&now)
	w.ask(t.Context(), w.look())
	expect(t, "at first", found(t, w, "os-updates"), health.Info, CauseNotConfigured)
	now = now.Add(refusesLong + time.Hour)
	w.ask(t.Context(), w.look())
	expect(t, "a day later", found(t, w, "os-updates"), health.Warning, CauseRefused, "sources.list")
	d.write("etc/apt/sources.list", "")
	w.ask(t.Context(), w.look())
	expect(t, "mended", found(t, w, "os-updates"), health.Info, CauseNotConfigured)
}

// apt-get is asked some minutes after the start, sooner when something has changed and is
// still, and then now and then.
func TestWhenAptIsAsked(t *testing.T) {
	now := time.Now()
	began := now
	w := with(t, now, debianWith(nil))
	w.cfg.Now = func() time.Time { return now }
	ask := func(after time.Duration) bool {
		now = began.Add(after)
		return w.toAsk(w.look())
	}
	if ask(0) || ask(w.cfg.Timing.First-time.Second) || !ask(w.cfg.Timing.First) {
		t.Error("at the start")
	}
	w.waiting.tried, w.waiting.signature = now, w.look().signature
	if ask(w.cfg.Timing.First+time.Hour) || !ask(w.cfg.Timing.First+w.cfg.Timing.Ask) || !ask(-time.Hour) {
		t.Error("now and then")
	}
	w.waiting.tried = now
	at := began.Add(time.Hour)
	if err := os.Chtimes(filepath.Join(w.cfg.Root, statusFile), at, at); err != nil {
		t.Fatal(err)
	}
	w.waiting.tried = at
	if ask(time.Hour+stillToAsk-time.Second) || !ask(time.Hour+stillToAsk) {
		t.Error("when something has changed")
	}

	// Something changes a moment after the start, before it was looked at again.
	now = began
	w = with(t, now, debianWith(nil))
	w.cfg.Now = func() time.Time { return now }
	at = began.Add(time.Second)
	if err := os.Chtimes(filepath.Join(w.cfg.Root, statusFile), at, at); err != nil {
		t.Fatal(err)
	}
	if ask(stillToAsk) || !ask(time.Second+stillToAsk) {
		t.Error("when something has changed at once")
	}
}
