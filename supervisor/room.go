package supervisor

import (
	"context"

	"github.com/foyer-server/foyer/supervisor/health"
)

// Room is a part of a Foyer that works beside its server for as long as the supervisor
// runs, and tells how things are there. What goes wrong in one is told by its checks, and
// ends neither the supervisor nor the server.
type Room interface {
	// Run works until ctx ends; when it returns, all that it began has ended. A room that
	// has nothing more to do returns sooner.
	Run(ctx context.Context)
	// Checks look at how things are there. They are asked for once, before Run.
	Checks() []health.Check
}

// Looks is a room of nothing but checks.
type Looks []health.Check

// Run implements Room: there is nothing to do.
func (Looks) Run(context.Context) {}

// Checks implements Room.
func (l Looks) Checks() []health.Check { return l }
