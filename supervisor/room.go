package supervisor

import (
	"context"

	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/job"
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

// Guest is a room that asks something of its supervisor: tell keeps what happened, start begins
// a job of Foyer's own accord, if it is not under way, and anew has the service manager start all
// of Foyer anew. UseHost is called once, before Run.
type Guest interface {
	Room
	UseHost(tell func(report.Event), start func(kind string) (job.Record, error), anew func(why string))
}

// Looks is a room of nothing but checks.
type Looks []health.Check

// Run implements Room: there is nothing to do.
func (Looks) Run(context.Context) {}

// Checks implements Room.
func (l Looks) Checks() []health.Check { return l }
