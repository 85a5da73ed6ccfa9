package main

import (
	"context"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/tui"
)

// dashboard shows on screens how the Foyer of this machine is. Who may not ask is
// told so before any screen is drawn.
func dashboard(ctx context.Context, a *app) error {
	c := control.Dial(a.runDir)
	if _, err := c.Status(ctx); err != nil {
		return err
	}
	d := &tui.Dashboard{Term: a.term(), Status: c.Status, Log: c.Log, NewClaim: c.NewClaim, Restart: c.Restart}
	if a.runDir == config.SystemRun { // another one, as that of `foyer try`, has no root to ask
		d.Changer = func(ctx context.Context) (*tui.Changer, error) { return newChanger(ctx, a, c) }
	}
	return d.Run(ctx)
}
