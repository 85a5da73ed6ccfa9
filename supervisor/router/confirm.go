package router

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/host"
)

// Doubt is why it is not certain that the router's address outside is the one it says.
type Doubt struct {
	Other   netip.Addr // somebody says this one; invalid: nobody says anything else
	Witness string     // who says so, or who was to be asked; "" = the router, in another way
	Err     error      // why a witness said nothing; nil: there is none, or it spoke
}

// Error implements error.
func (d *Doubt) Error() string {
	who := d.Witness
	if who == "" {
		who = "the router, asked in another way,"
	}
	switch {
	case d.Other.IsValid():
		return fmt.Sprintf("%s says %v", who, d.Other)
	case d.Err != nil:
		return fmt.Sprintf("%s says nothing: %v", who, d.Err)
	}
	return "nothing else says so"
}

// Unwrap returns why a witness said nothing.
func (d *Doubt) Unwrap() error { return d.Err }

// confirmTime bounds Confirm.
const confirmTime = 15 * time.Second

// Confirm looks for a second voice that the address outside is addr: this machine has
// it itself, or the router says so in two of its ways and otherwise in none. Otherwise
// it returns a *Doubt. It asks for the address alone, and takes 15 s at most. It may be
// called at any time, also while Run runs.
func (r *Router) Confirm(ctx context.Context, addr netip.Addr) error {
	if own, err := host.Addresses(); err == nil && slices.Contains(own, addr) {
		r.certain(addr)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, confirmTime)
	defer cancel()
	var said []voice
	if s := r.State(); s.Asked && s.Way == PCP { // which tells the address with a yes, and only then
		said = append(said, voice{PCP, s.Outside})
	}
	gateway, own, _ := host.Gateway()            // without one, there is nobody to ask
	more, _ := voices(ctx, Ways(), gateway, own) // who says nothing confirms nothing
	if err := weigh(addr, append(said, more...)); err != nil {
		r.certain(netip.Addr{})
		return err
	}
	r.certain(addr)
	return nil
}

func (r *Router) certain(addr netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sure = addr
}

// voice is what the gateway says in one way.
type voice struct {
	way     Way
	outside netip.Addr
}

// weigh returns nil when two ways say addr, and none says another. Of any two ways one
// at least cannot be forged by who is not between this machine and the gateway.
func weigh(addr netip.Addr, said []voice) error {
	var ways []Way
	for _, v := range said {
		if v.outside != addr {
			return &Doubt{Other: v.outside}
		}
		if !slices.Contains(ways, v.way) {
			ways = append(ways, v.way)
		}
	}
	if len(ways) < 2 {
		return &Doubt{}
	}
	return nil
}

// voices asks the gateway for its address outside, in those of the ways in which that
// can be asked without asking for anything else: side by side, and every service of
// UPnP that it has. The error is why nobody said anything.
func voices(ctx context.Context, ways []Way, gateway, own netip.Addr) ([]voice, error) {
	r := &Router{}
	asked := []Way{NATPMP, UPnP}
	said, errs := make([][]voice, len(asked)), make([]error, len(asked))
	var wg sync.WaitGroup
	for i, way := range asked {
		if !slices.Contains(ways, way) {
			continue
		}
		wg.Go(func() {
			doors, err := r.doors(ctx, way, gateway, own)
			for _, d := range doors {
				outside, e := d.outside(ctx)
				if err = e; e == nil && reach(outside) != none {
					said[i] = append(said[i], voice{way, outside})
				}
			}
			errs[i] = err
		})
	}
	wg.Wait()
	all := slices.Concat(said...)
	if len(all) > 0 {
		return all, nil
	}
	return nil, worse(errs[0], errs[1])
}
