package backup

import (
	"sync"
	"time"
)

// When the clock of the machine is followed.
const (
	clockSlack  = 5 * time.Second  // by which two clocks may differ that are the same
	clockStable = 10 * time.Minute // for which it has to have differed alike
	clockLooks  = 10               // and so often, each clockLook or more after the one before
	clockLook   = 30 * time.Second
)

// Clock tells the time of backups. A machine without a battery lives at some time or other until
// the network tells it, and a clock that jumps to and fro would use up the periods of which points are
// kept. So the time goes on by the clock that nobody sets, from the time at which it was first asked
// for; what the clock of the machine says is followed, forwards and backwards, once it has differed
// from that, and not changed, for ten minutes.
//
// The zero Clock is ready to be used. It is safe for concurrent use.
type Clock struct {
	wall func() time.Time     // nil: that of the machine
	boot func() time.Duration // nil: since the machine was started, with the time that it slept

	mu    sync.Mutex
	first time.Time // when it was first asked
	began bool
	at    time.Time     // the time
	when  time.Duration // at this moment

	// What the clock of the machine differs by, and how often and since when it was seen to.
	ahead       time.Duration
	seen        int
	since, last time.Duration
}

// NewClock is a Clock of two others: that of the machine, and one that nobody sets, with the time that
// the machine slept.
func NewClock(machine func() time.Time, unset func() time.Duration) *Clock {
	return &Clock{wall: machine, boot: unset}
}

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

// NotBefore has the time be no earlier than t, which somebody knows to have been: until the clock
// of the machine has said otherwise for ten minutes.
func (c *Clock) NotBefore(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now().Before(t) {
		c.at, c.when, c.seen = t.Round(0).UTC(), c.running(), 0
	}
}

func (c *Clock) running() time.Duration {
	if c.boot != nil {
		return c.boot()
	}
	if c.first.IsZero() {
		c.first = time.Now()
	}
	return sinceBoot(c.first)
}

func (c *Clock) now() time.Time {
	wall := time.Now
	if c.wall != nil {
		wall = c.wall
	}
	said, moment := wall().Round(0).UTC(), c.running()
	if !c.began {
		c.began, c.at, c.when = true, said, moment
	}
	now := c.at.Add(moment - c.when)
	ahead := said.Sub(now)
	switch {
	case ahead.Abs() <= clockSlack:
		c.seen = 0
	case c.seen == 0 || (ahead-c.ahead).Abs() > clockSlack:
		c.ahead, c.seen, c.since, c.last = ahead, 1, moment, moment
	case moment-c.last >= clockLook:
		if c.seen, c.last = c.seen+1, moment; c.seen >= clockLooks && moment-c.since >= clockStable {
			c.at, c.when, c.seen = said, moment, 0
			return said
		}
	}
	return now
}
