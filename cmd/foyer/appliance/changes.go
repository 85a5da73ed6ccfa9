package appliance

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/internal/site"
	"github.com/foyer-server/foyer/supervisor/router"
)

// changes answers the wizard's questions anew, by the settings file as it is. It implements
// supervisor.Changes.
type changes struct {
	a      Appliance // with the settings of its start
	path   string    // of the settings file
	public func() netip.Addr
}

// outlookTime is how long whoever wants to see a plan waits for what will keep visitors out.
const outlookTime = 4500 * time.Millisecond

// Settle implements supervisor.Changes: who moves to a server has the addresses that an
// install there would have. One that is on a server already keeps those it has.
func (c changes) Settle(_ context.Context, values map[string]string) (map[string]string, error) {
	today, err := config.Load(c.path, nil)
	if err != nil {
		return nil, err
	}
	now, err := installer.Otherwise(today, values)
	if err != nil || now.Get("where") == installer.Today(today).Get("where") {
		return values, err
	}
	before := now.Get("addresses")
	settle(now, c.public)
	if after := now.Get("addresses"); after != before {
		values = maps.Clone(values)
		values["addresses"] = after
	}
	return values, nil
}

// Questions implements supervisor.Changes.
func (c changes) Questions(_ context.Context, values map[string]string) ([]report.Question, error) {
	today, err := config.Load(c.path, nil)
	if err != nil {
		return nil, err
	}
	return installer.ChangeQuestions(today, values)
}

// Plan implements supervisor.Changes.
func (c changes) Plan(_ context.Context, values map[string]string) (report.ChangePlan, error) {
	today, err := config.Load(c.path, nil)
	if err != nil {
		return report.ChangePlan{}, err
	}
	p, _, err := installer.PlanChange(today, values)
	return p, err
}

// Outlook implements supervisor.Changes: it looks where a name is new, or the router.
func (c changes) Outlook(ctx context.Context, values map[string]string) []hint.Text {
	today, err := config.Load(c.path, nil)
	if err != nil {
		return nil // the plan has said so
	}
	_, wanted, err := installer.PlanChange(today, values)
	if err != nil {
		return nil
	}
	was, is := site.Of(today), site.Of(wanted)
	named := slices.ContainsFunc(is.PublicNames(), func(name string) bool { return !slices.Contains(was.PublicNames(), name) })
	if !named && (len(is.RouterWays()) == 0 || len(was.RouterWays()) > 0) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, outlookTime)
	defer cancel()
	a := c.a
	a.Settings = wanted
	where := a.situation()
	where.Name, where.Runner = "", nil // this name is ours by now, or will be told of; the firewall follows with the change
	where.Expect = nil                 // nobody dials back what is not in force
	where.Router = func(ctx context.Context) router.State { return router.LookIn(ctx, looksIn(wanted)) }
	return outlook(ctx, where, wanted)
}
