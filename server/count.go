package server

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/foyer-server/foyer/server/people"
)

// countMost is where counting people ends, and countEvery how often they are counted.
const (
	countMost  = 1000
	countEvery = time.Minute
)

// count counts people, now and then, beside whatever else goes on.
type count struct {
	people atomic.Int64
	wanted chan struct{} // one token: it may be time
	at     time.Time     // run's own
}

// ask has people counted if it is time. It does not block.
func (c *count) ask() {
	select {
	case c.wanted <- struct{}{}:
	default:
	}
}

// run counts when it is asked to, until ctx ends; before it counts it calls first.
func (c *count) run(ctx context.Context, a *people.People, first func(context.Context)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wanted:
		}
		first(ctx)
		if !c.at.IsZero() && time.Since(c.at) < countEvery {
			continue
		}
		if all, _, err := a.People(ctx, "", countMost); err == nil { // else: as it was
			c.people.Store(int64(len(all)))
			c.at = time.Now()
		}
	}
}
