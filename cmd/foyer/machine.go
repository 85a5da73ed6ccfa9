package main

import (
	"context"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/supervisor/health"
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

// preflight looks at the machine before anything is installed on it.
func preflight(ctx context.Context, data string) []health.Result {
	checks := append([]health.Check{
		health.Disk(func() (uint64, uint64, error) { return atomicfile.FreeSpace(host.Existing(data)) }),
		health.Clock(builtAt()),
	}, machineChecks(data)...)
	var out []health.Result
	for _, c := range checks {
		out = append(out, health.Result{Code: c.Code, Title: c.Title, Finding: c.Run(ctx)})
	}
	return out
}
