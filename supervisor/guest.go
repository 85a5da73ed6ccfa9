package supervisor

import (
	"context"

	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/job"
)

// landlord does for rooms what they ask of their supervisor.
type landlord struct{ *Supervisor }

// wire gives it to them.
func (s landlord) wire() {
	start := func(kind string) (job.Record, error) { return s.jobs.Start(kind, nil, health.ByItself) }
	anew := func(why string) {
		select {
		case s.anew <- why:
		default: // it is about to
		}
	}
	for _, r := range s.cfg.Rooms {
		if g, ok := r.(Guest); ok {
			g.UseHost(s.events.Add, start, anew)
		}
	}
}

// await ends all of Foyer in good order when a room wants it started anew: the service
// manager does that.
func (s landlord) await(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case why := <-s.anew:
		s.cfg.Log.Info("Foyer begins anew", "why", why)
		return errRemounted
	}
}
