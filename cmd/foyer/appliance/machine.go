package appliance

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/foyer-server/foyer/internal/diskroom"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/helper"
	"github.com/foyer-server/foyer/supervisor/osupdate"
)

// machineChecks look at the machine under a Foyer whose data are in folder data.
func machineChecks(data string) []health.Check {
	checks := []health.Check{
		health.Memory(host.Memory),
		health.Place(func() (card, volatile bool) { s := host.StorageOf(data); return s.Card, s.Volatile }),
		health.TimeKept(func() (kept, own bool) { return host.ClockSet(), host.HasClock() }),
	}
	if _, ok := host.PowerSupply(); ok {
		checks = append(checks, health.Power(func() (weak, was bool) { p, _ := host.PowerSupply(); return p.Weak, p.WasWeak }))
	}
	return checks
}

// osUpdates watches how the operating system of this machine gets its updates; status is how
// this Foyer is.
func (a Appliance) osUpdates(log *slog.Logger, status func(context.Context) report.Status) supervisor.Guest {
	return osupdate.New(osupdate.Config{
		State: supervisor.StateDir(os.Getenv), LeftAlone: a.Settings.OSUpdates == "off", Log: log,
		Status: status, Restarts: helper.FromEnvironment(os.Getenv).There(),
	})
}

// Preflight looks at the machine before anything is installed on it, with its data in folder
// data; built is when this version was made, and the clock is not believed to be earlier.
func Preflight(ctx context.Context, data string, built time.Time) []health.Result {
	checks := append([]health.Check{
		health.Disk(func() (diskroom.Room, error) { return diskroom.Look(host.Existing(data)) }, nil),
		health.Clock(built),
	}, machineChecks(data)...)
	var out []health.Result
	for _, c := range checks {
		out = append(out, health.Result{Code: c.Code, Title: c.Title, Finding: c.Run(ctx)})
	}
	return out
}
