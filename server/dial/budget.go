package dial

import (
	"net/netip"
	"sync"
	"time"
)

// What may be spent: so many at once, and one more each time so much has gone by.
// An honest Foyer asks a few times when it starts and then twice an hour.
const (
	nearBurst, nearEvery = 10, 20 * time.Second
	allBurst, allEvery   = 120, 250 * time.Millisecond
	nearMost             = 8192 // neighbourhoods remembered
)

// budget bounds how often anybody is dialled: neighbours together, since addresses
// come in blocks, and everybody together.
type budget struct {
	now func() time.Time

	mu   sync.Mutex // guards what follows
	near map[netip.Prefix]purse
	all  purse
}

// purse is what is left to spend, as the time up to which all of it is spent.
type purse struct{ ready time.Time }

// take returns what is left after one was taken, or how long to wait for one.
func (p purse) take(now time.Time, burst int, every time.Duration) (after purse, wait time.Duration) {
	ready := p.ready
	if full := now.Add(-time.Duration(burst) * every); ready.Before(full) {
		ready = full
	}
	ready = ready.Add(every)
	if ready.After(now) {
		return p, ready.Sub(now)
	}
	return purse{ready}, 0
}

// spend takes one from the neighbourhood of a and from everybody's; it returns how
// long to wait if either has none.
func (b *budget) spend(a netip.Addr) time.Duration {
	bits := 24
	if a.Is6() {
		bits = 56 // what a home is given
	}
	block, err := a.Prefix(bits)
	if err != nil {
		return nearEvery
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	near, wait := b.near[block].take(now, nearBurst, nearEvery)
	if wait > 0 {
		return wait
	}
	all, wait := b.all.take(now, allBurst, allEvery)
	if wait > 0 {
		return wait
	}
	if _, known := b.near[block]; !known && len(b.near) >= nearMost {
		for k, p := range b.near {
			if now.Sub(p.ready) >= nearBurst*nearEvery { // full again: as one that is not known
				delete(b.near, k)
			}
		}
		if len(b.near) >= nearMost {
			return nearEvery
		}
	}
	if b.near == nil {
		b.near = map[netip.Prefix]purse{}
	}
	b.near[block], b.all = near, all
	return 0
}
