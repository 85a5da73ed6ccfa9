//go:build unix

package installer

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/step"
)

// otherAnswers are changes of an install at home on ports 8080 and 8443.
var otherAnswers = map[string]Values{
	"reachable":      {"where": WhereReachable, "addresses": "nas.duckdns.org", "dns.credentials": "t0ken"},
	"another port":   {"https_port": "9443"},
	"behind a proxy": {"where": WhereServer, "addresses": "cloud.foyer-server.org", "proxy.listen": "127.0.0.1:8888"},
	"another name":   {"name": "attic"},
}

// machineFiles is the machine without what tells of the past.
func (o *fakeOS) machineFiles() map[string]string { return o.tree(journalFile) }

// One answer otherwise: what was asked for is done, the rest stays, and the way back leads
// to the machine as it was.
func TestAnAnswerIsGivenOtherwise(t *testing.T) {
	t.Parallel()
	o := newFakeOS(t)
	o.ufw = true
	nothing := o.tree()
	in := o.installer(nil)
	mustApply(t, in)
	home := o.machineFiles()
	path := o.path("etc/foyer/foyer.toml")
	o.must(os.Chmod(path, 0o644))
	fileAtHome, err := os.ReadFile(path)
	o.must(err)

	var saved, changed []byte
	save := func(old, now []byte) error { saved, changed = slices.Clone(old), slices.Clone(now); return nil }
	o.commands = nil
	plan, res, err := in.ChangeSettings(t.Context(), Values{"https_port": "9443"}, save, nil)
	want := []string{"~ unit /etc/systemd/system/foyer.socket", "+ firewall ufw 9443/tcp", "~ service foyer", "- firewall ufw 8443/tcp"}
	if got := o.whats(res); err != nil || !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Fatalf("changed %q, %v", got, err)
	}
	if string(saved) != string(fileAtHome) || plan.Seconds != 90 || len(plan.Differs) != 1 || !slices.Contains(plan.Through, "https://foyer.local:9443/") || !slices.Contains(plan.Gone, "https://foyer.local:8443/") {
		t.Errorf("saved %t, plan %+v", string(saved) == string(fileAtHome), plan)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o644 {
		t.Errorf("its mode: %v, %v", fi.Mode(), err)
	}
	if o.rules["8443/tcp"] || !o.rules["9443/tcp"] {
		t.Errorf("the firewall: %v", o.rules)
	}
	if p, err := in.Plan(t.Context()); err != nil || !p.Empty() {
		t.Errorf("an install would change %+v, %v", p.Changes, err)
	}
	// The same again is nothing, and saves nothing.
	saved = nil
	if plan, res, err := in.ChangeSettings(t.Context(), Values{"https_port": "9443"}, save, nil); err != nil || res.Changed || saved != nil || len(plan.Differs) > 0 || len(plan.Steps) > 0 {
		t.Errorf("again: %+v, %+v, %v", plan, res, err)
	}
	if res, err := in.RestoreSettings(t.Context(), fileAtHome, changed, nil); err != nil || !res.Changed {
		t.Errorf("back: %+v, %v", res, err)
	}
	o.must(os.Chmod(path, 0o640))
	if diff := cmp.Diff(home, o.machineFiles()); diff != "" {
		t.Errorf("back: %s", diff)
	}
	if res, err := in.RestoreSettings(t.Context(), fileAtHome, changed, nil); err != nil || res.Changed {
		t.Errorf("back again: %+v, %v", res, err)
	}
	mustUndo(t, in, true)
	if diff := cmp.Diff(nothing, o.tree()); diff != "" {
		t.Errorf("purged: %s", diff)
	}
}

// What is not right changes nothing, and is refused before anything is kept.
func TestWrongAnswersChangeNothing(t *testing.T) {
	t.Parallel()
	o := newFakeOS(t)
	in := o.installer(nil)
	never := func(_, _ []byte) error { t.Error("something was kept"); return nil }
	if _, _, err := in.ChangeSettings(t.Context(), Values{"name": "attic"}, never, nil); code(err) != "install-unfinished" {
		t.Errorf("without an install: %v", err)
	}
	mustApply(t, in)
	before := o.tree()
	for _, c := range []struct {
		name, code string
		given      Values
	}{
		{"data", "settings-malformed", Values{"data": "/srv/x"}},
		{"what is no question", "settings-malformed", Values{"limits.body": "5000"}},
		{"the owner", "settings-malformed", Values{"owner": "me"}},
		{"no port", "settings-malformed", Values{"https_port": "x"}},
		{"one port for two", "settings-malformed", Values{"https_port": "8080"}},
		{"no name", "settings-malformed", Values{"where": WhereReachable}},
		{"a name of nobody", "settings-malformed", Values{"where": WhereReachable, "addresses": "nas.local"}},
		{"no token", "settings-malformed", Values{"where": WhereReachable, "addresses": "nas.duckdns.org"}},
		{"nowhere", "settings-malformed", Values{"where": "moon"}},
	} {
		if _, _, err := in.ChangeSettings(t.Context(), c.given, never, nil); code(err) != c.code {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	taken := o.installer(func(c *Config) {
		c.Facts.PortOwner = func(port int) (host.Owner, bool, error) { return host.Owner{Name: "other"}, port == 9443, nil }
	})
	if _, _, err := taken.ChangeSettings(t.Context(), Values{"https_port": "9443"}, never, nil); code(err) != "port-taken" {
		t.Errorf("a port of another program's: %v", err)
	}
	full := errors.New("the disk is full")
	if _, _, err := in.ChangeSettings(t.Context(), Values{"name": "attic"}, func(_, _ []byte) error { return full }, nil); !errors.Is(err, full) {
		t.Errorf("what is to be put back cannot be kept: %v", err)
	}
	if diff := cmp.Diff(before, o.tree()); diff != "" {
		t.Error(diff)
	}
	o.must(os.Rename(o.path("etc/foyer/foyer.toml"), o.path("etc/foyer/mine.toml")))
	o.must(os.Symlink("mine.toml", o.path("etc/foyer/foyer.toml")))
	if _, _, err := in.ChangeSettings(t.Context(), Values{"name": "attic"}, never, nil); code(err) != "settings-by-hand" {
		t.Errorf("a link: %v", err)
	}
}

// Behind a proxy on this machine the web's ports stay open, for the proxy; other ports of
// ours close, and open again on the way back, since the install looks after the firewall.
func TestTheFirewallFollows(t *testing.T) {
	t.Attr("shows", "ground2")
	t.Parallel()
	for _, c := range []struct {
		name        string
		http, https int
		theirs      string // a rule that is not ours
		to          Values
		open        []string
	}{
		{"another port", 8080, 8443, "", Values{"https_port": "9443"}, []string{"8080/tcp", "9443/tcp"}},
		{"a port that somebody else opened stays", 8080, 8443, "8443/tcp", Values{"https_port": "9443"}, []string{"8080/tcp", "8443/tcp", "9443/tcp"}},
		{"behind a proxy here", 80, 443, "", otherAnswers["behind a proxy"], []string{"443/tcp", "80/tcp"}},
		{"behind a proxy here, on other ports", 8080, 8443, "", otherAnswers["behind a proxy"], nil},
		{"ports exchanged", 80, 443, "", Values{"http_port": "443", "https_port": "80"}, []string{"443/tcp", "80/tcp"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newFakeOS(t)
			o.ufw = true
			if c.theirs != "" {
				o.rules[c.theirs] = true
			}
			in := o.installer(func(cfg *Config) { cfg.Answers.HTTPPort, cfg.Answers.HTTPSPort = c.http, c.https })
			open := func() (out []string) {
				for r, is := range o.rules {
					if is {
						out = append(out, r)
					}
				}
				slices.Sort(out)
				return out
			}
			before := open()
			mustApply(t, in)
			installed := open()
			var old, changed []byte
			if _, _, err := in.ChangeSettings(t.Context(), c.to, func(was, is []byte) error { old, changed = slices.Clone(was), slices.Clone(is); return nil }, nil); err != nil {
				t.Fatal(err)
			}
			if got := open(); !slices.Equal(got, c.open) {
				t.Errorf("open are %q", got)
			}
			p, err := in.Plan(t.Context())
			p.Changes = slices.DeleteFunc(p.Changes, func(c step.Change) bool { return c.Kind == step.KindCheck }) // nobody is behind that proxy
			if err != nil || !p.Empty() {
				t.Errorf("an install would change %+v, %v", p.Changes, err)
			}
			if _, err := in.RestoreSettings(t.Context(), old, changed, nil); err != nil || !slices.Equal(open(), installed) {
				t.Errorf("back: %q, %v", open(), err)
			}
			if _, _, err := in.ChangeSettings(t.Context(), c.to, func(_, _ []byte) error { return nil }, nil); err != nil {
				t.Fatal(err)
			}
			mustUndo(t, in, true)
			if got := open(); !slices.Equal(got, before) {
				t.Errorf("after an uninstall %q are open, before the install %q were", got, before)
			}
		})
	}
}

// By hand, too: an edited port closes the old one, by the job and by an install.
func TestAnInstallClosesPortsThatAreNotOursAnyMore(t *testing.T) {
	t.Parallel()
	o := newFakeOS(t)
	o.ufw = true
	in := o.installer(nil)
	mustApply(t, in)
	o.rewrite("https_port = 8443", "https_port = 9443")
	res := mustApply(t, in)
	if !slices.Contains(o.whats(res), "- firewall ufw 8443/tcp") || o.rules["8443/tcp"] || !o.rules["9443/tcp"] {
		t.Errorf("%q, %v", o.whats(res), o.rules)
	}
}

// The power goes at every moment of a change, and at every moment of the way back: in the
// end the machine is as it was, byte for byte, and a purge leaves nothing.
func TestAChangeCutOffAnywhereIsTakenBack(t *testing.T) {
	t.Attr("shows", "ground2")
	t.Parallel()
	cuts, seldom := 0, 8
	if os.Getenv("SHOW_WHOLE") != "" {
		seldom = 1
	}
	for name, to := range otherAnswers {
		if name == "another name" { // another port has all its steps, and more
			continue
		}
		for n, went := 1, true; went; n++ {
			for again := range 2 { // the way back is cut off, too
				if again == 1 && n%seldom != 0 {
					continue
				}
				o := newFakeOS(t)
				o.ufw = true
				nothing := o.tree()
				in := o.installer(nil)
				mustApply(t, in)
				before := o.machineFiles()
				old, err := os.ReadFile(o.path("etc/foyer/foyer.toml"))
				o.must(err)
				var changed []byte
				o.ticks, o.crashAt = 0, n
				went = cut(func() {
					if _, _, err := in.ChangeSettings(t.Context(), to, func(_, now []byte) error { changed = slices.Clone(now); o.tick(); return nil }, nil); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				})
				if changed == nil { // nothing is to be put back
					if diff := cmp.Diff(before, o.machineFiles()); diff != "" {
						t.Fatalf("%s, moment %d: %s", name, n, diff)
					}
				}
				if went {
					cuts++
				}
				for m := 1; again == 1 && cut(func() {
					o.ticks, o.crashAt = 0, m
					if _, err := in.RestoreSettings(t.Context(), old, changed, nil); err != nil {
						t.Errorf("%s, moment %d, back %d: %v", name, n, m, err)
					}
				}); m++ {
					cuts++
				}
				o.crashAt = 0
				if _, err := in.RestoreSettings(t.Context(), old, changed, nil); err != nil {
					t.Fatalf("%s, moment %d: %v", name, n, err)
				}
				if diff := cmp.Diff(before, o.machineFiles()); diff != "" {
					t.Fatalf("%s, moment %d: %s", name, n, diff)
				}
				if p, err := in.Plan(t.Context()); err != nil || !p.Empty() {
					t.Fatalf("%s, moment %d: still to do: %+v, %v", name, n, p.Changes, err)
				}
				mustUndo(t, in, true)
				if diff := cmp.Diff(nothing, o.tree()); diff != "" {
					t.Fatalf("%s, moment %d, purged: %s", name, n, diff)
				}
			}
		}
	}
	if cuts < 80 {
		t.Errorf("only %d cut-offs", cuts)
	}
	t.Logf("SHOW %d changes cut off at every moment, and one in %d of the ways back at every moment, too: %d cut-offs, each machine as before, byte for byte", len(otherAnswers)-1, seldom, cuts)
}

// A secret is in no plan, and stays as it is when none is typed.
func TestSecretsAreNotInAPlan(t *testing.T) {
	t.Parallel()
	o := newFakeOS(t)
	in := o.installer(nil)
	mustApply(t, in)
	none := func(_, _ []byte) error { return nil }
	plan, _, err := in.ChangeSettings(t.Context(), otherAnswers["reachable"], none, nil)
	if err != nil || strings.Contains(mustJSON(t, plan), "t0ken") {
		t.Fatalf("%v: %s", err, mustJSON(t, plan))
	}
	text, err := os.ReadFile(o.path("etc/foyer/foyer.toml"))
	if err != nil || !strings.Contains(string(text), `credentials = ["token=t0ken"]`) || !strings.Contains(string(text), `provider = "duckdns"`) {
		t.Fatalf("%v\n%s", err, text)
	}
	if _, _, err := in.ChangeSettings(t.Context(), Values{"name": "attic", "dns.credentials": ""}, none, nil); err != nil {
		t.Fatal(err)
	}
	if text, err = os.ReadFile(o.path("etc/foyer/foyer.toml")); err != nil || !strings.Contains(string(text), "t0ken") {
		t.Errorf("it is gone: %v", err)
	}
	// Another service is not told what this one knows us by.
	if _, _, err := in.ChangeSettings(t.Context(), Values{"addresses": "cloud.foyer-server.org", "dns.provider": "gandi"}, none, nil); hint.Find(err) == nil || hint.Find(err).Code != "settings-malformed" {
		t.Errorf("another service without its token: %v", err)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
