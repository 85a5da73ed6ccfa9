package backup

import (
	"math/rand/v2"
	"testing"
	"time"
)

// clocks are those of a machine: the one that somebody sets, and the one that nobody does.
type clocks struct {
	real time.Duration // since it was started
	set  time.Time     // what the other one says, less that
}

func (c *clocks) clock() *Clock {
	return &Clock{wall: func() time.Time { return c.set.Add(c.real) }, boot: func() time.Duration { return c.real }}
}

// passes has time pass, with somebody asking for it every few seconds.
func (c *clocks) passes(clock *Clock, d time.Duration) time.Time {
	for end := c.real + d; c.real < end; c.real = min(end, c.real+5*time.Second) {
		clock.Now()
	}
	return clock.Now()
}

var noon = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

const decade = 10 * 365 * 24 * time.Hour

// is has a time be what it should, to some seconds.
func is(t *testing.T, what string, got, want time.Time) {
	t.Helper()
	if got.Sub(want).Abs() > clockSlack {
		t.Errorf("%s: it is %s, and should be %s", what, got, want)
	}
}

// A clock that jumps ten years to and fro each minute for a day is not followed; one that is set for
// good is, ten minutes later, forwards and backwards; sleep counts; what goes slowly astray is followed.
func TestClock(t *testing.T) {
	t.Attr("shows", "backups")
	t.Parallel()
	c := &clocks{set: noon}
	clock := c.clock()
	is(t, "at first", clock.Now(), noon)
	r := rand.New(rand.NewPCG(1, 1))
	for range 24 * 60 {
		c.set = noon.Add(time.Duration(r.IntN(3)-1) * decade)
		is(t, "while the clock is set to and fro", c.passes(clock, time.Minute), noon.Add(c.real))
	}
	for _, jump := range []time.Duration{time.Hour, -decade, 2 * decade, -26 * time.Hour} {
		before := c.passes(clock, time.Hour)
		start := c.real
		c.set = before.Add(jump - c.real)
		is(t, "9 minutes after it was set", c.passes(clock, 9*time.Minute), before.Add(c.real-start))
		is(t, "11 minutes after it was set", c.passes(clock, 2*time.Minute), c.set.Add(c.real))
	}
	before := clock.Now()
	c.real += 72 * time.Hour
	is(t, "after three days of sleep", clock.Now(), before.Add(72*time.Hour))
	// Where the clock that nobody sets does not count sleep.
	c.set = c.set.Add(72 * time.Hour)
	is(t, "after sleep that does not count", c.passes(clock, 11*time.Minute), c.set.Add(c.real))
	for range 1000 {
		c.set = c.set.Add(100 * time.Millisecond)
		c.passes(clock, time.Minute)
	}
	if ahead := c.set.Add(c.real).Sub(clock.Now()); ahead.Abs() > 7*time.Second {
		t.Errorf("the clock went slowly astray, by %s", ahead)
	}
	t.Log("SHOW the clock: set to and fro by ten years each minute for a day, it is not followed; set for good, it is within 11 minutes; three days of sleep count")
}

// Rare looks are no stability: an hour between two that agree may have been anything.
func TestClockIsSeldomAsked(t *testing.T) {
	t.Parallel()
	c := &clocks{set: noon}
	clock := c.clock()
	clock.Now()
	c.set = noon.Add(decade)
	for range clockLooks - 1 {
		is(t, "seldom asked", clock.Now(), noon.Add(c.real))
		is(t, "and at once again", clock.Now(), noon.Add(c.real))
		c.real += time.Hour
	}
	is(t, "asked often enough", clock.Now(), noon.Add(decade+c.real))
}

// A start is not before what is known to have been, until the clock has said so for ten minutes; nor
// is what is known taken for more than that.
func TestClockAtAStart(t *testing.T) {
	t.Parallel()
	c := &clocks{set: time.Unix(0, 0).UTC()}
	clock := c.clock()
	clock.NotBefore(noon)
	is(t, "at a start in 1970", c.passes(clock, 9*time.Minute), noon.Add(c.real))
	c.set = noon.Add(time.Hour)
	is(t, "when the network tells the time", c.passes(clock, 11*time.Minute), c.set.Add(c.real))
	clock.NotBefore(noon)
	is(t, "of what was long ago", clock.Now(), c.set.Add(c.real))
	clock.NotBefore(c.set.Add(decade))
	is(t, "of an object from the future", clock.Now(), c.set.Add(decade))
	is(t, "that is none", c.passes(clock, 11*time.Minute), c.set.Add(c.real))
}

// The clocks of this machine go on.
func TestSinceBoot(t *testing.T) {
	t.Parallel()
	var c Clock
	began := time.Now()
	first := sinceBoot(began)
	is(t, "this machine", c.Now(), time.Now())
	for sinceBoot(began) == first {
		if time.Since(began) > 2*time.Minute {
			t.Fatal("it stands still")
		}
		time.Sleep(time.Millisecond)
	}
	if passed, real := sinceBoot(began)-first, time.Since(began); passed < 0 || passed > real+time.Second {
		t.Errorf("%s passed in %s", passed, real)
	}
}

// A day of a clock that jumps ten years to and fro costs no point that is promised to be kept. Where
// processes end meanwhile, each goes on from the last object, at most ten minutes late: then another one
// of nearly that time is kept.
func TestAFlappingClockEatsNoPoint(t *testing.T) {
	t.Attr("shows", "backups")
	t.Parallel()
	if !watched {
		t.Run("one process", func(t *testing.T) { flapping(t, false) })
	}
	t.Run("several", func(t *testing.T) { flapping(t, true) })
}

func flapping(t *testing.T, dies bool) {
	h := newHouse(t, 71)
	c := &clocks{set: noon}
	own := func() {
		h.restart(t)
		h.Engine.Now = nil
		k := c.clock()
		h.clock.wall, h.clock.boot = k.wall, k.boot
	}
	own()
	var all []point
	step := func(d time.Duration) {
		h.writes(t, 1)
		h.cycles(t, 1)
		if last := h.st.Position.Seq; len(all) == 0 || all[len(all)-1].seq < last {
			all = append(all, point{last, noon.Add(c.real)})
		}
		c.real += d
	}
	days, flaps := 25, 24*6
	if watched {
		days, flaps = 4, 60
	}
	for range days { // a history
		step(12 * time.Hour)
		step(12 * time.Hour)
	}
	r := rand.New(rand.NewPCG(2, 2))
	for n := range flaps {
		c.set = noon.Add(time.Duration(r.IntN(3)-1) * decade)
		if dies && n%40 == 39 {
			// It dies, and the next one begins while the clock says something of long ago.
			c.set = noon.Add(-decade)
			own()
		}
		step(10 * time.Minute)
	}
	h.now = noon.Add(c.real) // for comparing
	for i, ent := range h.st.stretches() {
		if before := h.st.stretches()[max(0, i-1)]; ent.At.Before(before.At) {
			t.Errorf("object %d is of %s, and %d before it of %s", ent.N, ent.At, before.N, before.At)
		}
	}
	b := h.found(t)
	got := map[int64]bool{}
	for _, p := range b.Points() {
		got[p.Position.Seq] = true
	}
	kept := 0
	near := func(i int) bool {
		for _, p := range all[max(0, i-6):min(len(all), i+7)] {
			if got[p.seq] {
				return true
			}
		}
		return false
	}
	for i, keep := range retained(all) {
		if keep && !got[all[i].seq] && !(dies && near(i)) {
			t.Errorf("what was there at %s is promised, and cannot be restored", all[i].at)
		} else if keep {
			kept++
		}
	}
	h.whole(t)
	t.Logf("SHOW a day of a clock that jumps ten years to and fro: all %d points are kept that a right clock would have kept", kept)
}
