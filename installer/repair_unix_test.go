//go:build unix

package installer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/step"
	"github.com/foyer-server/foyer/supervisor/visit"
)

// An install on a machine that is claimed repairs what its steps look at: it looks at what
// is, with its journal or without, and ends where it began.
func TestInstallRepairsWhatItsStepsLookAt(t *testing.T) {
	t.Attr("shows", "mend2")
	for name, c := range map[string]struct {
		damage func(o *fakeOS)
		names  string // in the plan
	}{
		"data of root's":           {func(o *fakeOS) { o.must(os.Chown(o.path("var/lib/foyer/data.db"), 0, 0)) }, "var/lib/foyer/data.db"},
		"data closed to the owner": {func(o *fakeOS) { o.must(os.Chmod(o.path("var/lib/foyer/data.db"), 0)) }, "var/lib/foyer/data.db"},
		"certificates of root's, with all in them": {func(o *fakeOS) {
			o.own(0, "var/lib/foyer/certificates/", "var/lib/foyer/certificates/key")
		}, "var/lib/foyer/certificates"},
		"a data folder of root's":   {func(o *fakeOS) { o.own(0, "var/lib/foyer/", "var/lib/foyer/data.db") }, "var/lib/foyer"},
		"a data folder open to all": {func(o *fakeOS) { o.must(os.Chmod(o.path("var/lib/foyer"), 0o777)) }, "var/lib/foyer"},
		"no folder of the settings": {func(o *fakeOS) {
			o.must(os.Remove(o.path("etc/foyer/foyer.toml")))
			o.must(os.Remove(o.path("etc/foyer")))
		}, "etc/foyer"},
		"settings of root's alone": {func(o *fakeOS) {
			o.must(errors.Join(os.Chown(o.path("etc/foyer/foyer.toml"), 0, 0), os.Chmod(o.path("etc/foyer/foyer.toml"), 0o600)))
		}, "etc/foyer/foyer.toml"},
		"no unit":                      {func(o *fakeOS) { o.must(os.Remove(o.unit("foyer.service"))) }, "foyer.service"},
		"a unit that is bob's":         {func(o *fakeOS) { o.must(os.Chown(o.unit("foyer.service"), bob, bob)) }, "foyer.service"},
		"a unit open to all":           {func(o *fakeOS) { o.must(os.Chmod(o.unit("foyer.service"), 0o666)) }, "foyer.service"},
		"no command":                   {func(o *fakeOS) { o.must(os.Remove(o.path("usr/local/bin/foyer"))) }, "usr/local/bin/foyer"},
		"no current version":           {func(o *fakeOS) { o.must(os.Remove(o.path("opt/foyer/current"))) }, "opt/foyer/current"},
		"no program":                   {func(o *fakeOS) { o.must(os.RemoveAll(o.path("opt/foyer/versions"))) }, "opt/foyer/versions"},
		"a program nobody runs":        {func(o *fakeOS) { o.must(os.Chmod(o.path("opt/foyer/versions/1.0.0/foyer"), 0o644)) }, "1.0.0/foyer"},
		"a program of the service's":   {func(o *fakeOS) { o.must(os.Chown(o.path("opt/foyer/versions/1.0.0/foyer"), foyerUID, 0)) }, "1.0.0/foyer"},
		"a version folder open to all": {func(o *fakeOS) { o.must(os.Chmod(o.path("opt/foyer/versions/1.0.0"), 0o777)) }, "1.0.0/foyer"},
	} {
		for _, lost := range []bool{false, true} {
			if lost {
				name += ", without the journal"
			}
			t.Run(name, func(t *testing.T) {
				o := shared(t)
				in := o.sharedInstaller("/var/lib/foyer")
				mustApply(t, in)
				o.own(foyerUID, "var/lib/foyer/data.db", "var/lib/foyer/certificates/", "var/lib/foyer/certificates/key")
				if lost {
					o.must(os.RemoveAll(o.path("opt/foyer/install")))
					mustApply(t, in)
					o.must(os.RemoveAll(o.path("opt/foyer/install")))
				}
				whole := o.owned("")
				c.damage(o)
				// The server is deaf until it is started anew.
				deaf := true
				in.cfg.Facts.Visit = func(context.Context, visit.Visitor) error {
					if deaf {
						return errors.New("nobody answers")
					}
					return nil
				}
				in.cfg.Runner = restarts{in.cfg.Runner, func() { deaf = false }}
				in.cfg.Claimed = func(context.Context) (bool, bool) { return !deaf, !deaf }
				if strings.Contains(c.names, "usr/") || strings.Contains(c.names, "opt/") || strings.Contains(c.names, "1.0.0") || strings.Contains(c.names, ".service") {
					deaf = false // it goes on with what it has
				}
				plan, err := in.Plan(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				told := false
				for _, c2 := range plan.Changes {
					told = told || strings.Contains(c2.What, c.names) && c2.Op != step.Edited
				}
				if !told {
					t.Errorf("the plan does not tell: %+v", plan.Changes)
				}
				res := mustApply(t, in)
				if res.ClaimCode != "" {
					t.Error("a code for a server that has an owner")
				}
				after := o.owned("")
				for path := range whole {
					if strings.HasPrefix(path, "opt/foyer/install") {
						delete(whole, path)
					}
				}
				for path := range after {
					if strings.HasPrefix(path, "opt/foyer/install") {
						delete(after, path)
					}
				}
				if diff := cmp.Diff(whole, after); diff != "" {
					t.Errorf("it is not as it was: %s", diff)
				}
				if p, err := in.Plan(t.Context()); err != nil || !p.Empty() {
					t.Errorf("still to do: %+v, %v", p.Changes, err)
				}
			})
		}
	}
}

// restarts tells when the service is started anew.
type restarts struct {
	host.Runner
	then func()
}

func (r restarts) Run(ctx context.Context, name string, args ...string) (string, error) {
	if name == "systemctl" && len(args) > 0 && (args[0] == "restart" || args[0] == "start") {
		r.then()
	}
	return r.Runner.Run(ctx, name, args...)
}

// What cannot be told to be Foyer's is not given to it, is told of, and stands in nobody's
// way; nor is what an administrator put beside the data.
func TestInstallGivesFoyerNothingOfOthers(t *testing.T) {
	t.Attr("shows", "mend2")
	o := shared(t)
	in := o.sharedInstaller("/var/lib/foyer")
	mustApply(t, in)
	o.own(foyerUID, "var/lib/foyer/data.db")
	o.own(0, "var/lib/foyer/backup.tar", "var/lib/foyer/notes/", "var/lib/foyer/notes/mine")
	o.must(os.Link(o.path("root/secret"), o.path("var/lib/foyer/router.secret")))
	o.link(foyerUID, "../../../root/secret", "var/lib/foyer/claim.json-link")
	before := o.owned("")
	plan, err := in.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Changes) != 1 || plan.Changes[0].Op != step.Edited || filepath.Base(plan.Changes[0].What) != "router.secret" || !strings.Contains(plan.Changes[0].Why.EN, "sudo chown foyer:") {
		t.Errorf("the plan: %+v", plan.Changes)
	}
	mustApply(t, in)
	if diff := cmp.Diff(before, o.owned("")); diff != "" {
		t.Errorf("something was changed: %s", diff)
	}
}
