// Package router asks the home's router to let visitors in, and says plainly what
// that is worth.
//
// It speaks the three ways routers have for it, in this order: PCP (RFC 6887),
// NAT-PMP (RFC 6886), UPnP (Internet Gateway Device, versions 1 and 2). What the
// router grants is asked for again before it ends, soon after the router or this
// machine's address changed, and taken back when Foyer stops.
//
// A router's yes proves nothing: one that sits behind its provider's address
// sharing says yes all the same. So a mapping is only ever "asked for", until
// Config.Verify, which tries from outside, says that it works. The address the
// router has outside tells more, and findings say what.
//
// Threat model. Anybody in the home network may answer as a router. Only the default
// gateway is asked, and heard; no URL that an answer holds leads anywhere else
// (ssdp.go); every answer is bounded in bytes and in time, and so is a round of
// asking. PCP answers with a nonce, and UPnP over TCP, so that neither can be forged
// by who is not on the way; a NAT-PMP answer can. Therefore the address outside is
// what the router says, until Confirm has found a second voice: nothing may be written
// anywhere before. A machine that takes the gateway's place altogether (by ARP or
// DHCP) has all its voices; only somebody outside can tell then, and visitors who come
// to that machine find that it does not have our certificate.
//
// Used by the supervisor's wiring, when the setting `router` wants it: never in
// silence.
package router

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/netname"
)

// Way is a language of routers.
type Way string

// The ways, in the order in which they are tried.
const (
	PCP    Way = "pcp"
	NATPMP Way = "nat-pmp"
	UPnP   Way = "upnp"
)

// Ways are all of them, in this order.
func Ways() []Way { return []Way{PCP, NATPMP, UPnP} }

// Port is what visitors knock at outside, and where they get in here; both TCP.
type Port struct{ Outside, Inside uint16 }

// Config says what to ask for. All fields are needed unless said otherwise.
type Config struct {
	Ports []Port
	Ways  []Way // to try, in this order; nil = Ways()
	// Secret is what a router knows this Foyer by: 32 random bytes that stay the
	// same across restarts, so that what was asked for can be renewed and taken back.
	Secret []byte
	// Verify tries from outside whether visitors get in; an error means that it
	// could not be tried. Nil: nobody can.
	Verify func(context.Context) (bool, error)
	// DependsOn are the codes of checks of other rooms that tell of the router, too: while
	// one of them finds something, this room does not say it again. May be empty.
	DependsOn []string
	Log       *slog.Logger
	Timing    Timing // zero fields have defaults
}

// roundTime bounds one time of asking in all the ways there are.
const roundTime = time.Minute

// Timing sets how patient the Router is.
type Timing struct {
	Lease  time.Duration   // asked for; 1 h
	Renew  time.Duration   // at most, between two times of asking; 10 min, so that a router that forgot learns again
	Look   time.Duration   // between two looks at where the router is; 10 s
	Prove  time.Duration   // before Verify is tried again that could not be; 15 s
	Pauses []time.Duration // after the 1st, 2nd, … failure in a row; the last one repeats
	Forget time.Duration   // for taking everything back at the end; 5 s
}

// Router asks one router. Use New, then Run once.
type Router struct {
	cfg Config

	mu   sync.Mutex // guards what follows
	now  State
	sure netip.Addr // an address outside that Confirm found to be right
}

// State is what is known.
type State struct {
	Asked   bool       // the router said yes; which proves nothing
	Way     Way        // in which it said so
	Outside netip.Addr // the router's address outside, as it says; may be invalid
	Sure    bool       // it says so in two ways, or this machine has that address itself
	Proof   Proof
	Err     error // why the router did not say yes; nil before the first answer
}

// Proof is what somebody outside found.
type Proof int

// What it may be.
const (
	Unknown Proof = iota
	GetsIn
	StaysOut
)

// Why a router does not say yes.
var (
	errNobody   = errors.New("no router answers")
	errRefused  = errors.New("the router refuses")
	errOccupied = errors.New("the router lets visitors in to another machine")
	errNoWay    = errors.New("the router has no address outside")
)

// door is a router, asked in one way.
type door interface {
	// ask asks to let visitors in and returns for how long it was granted.
	ask(ctx context.Context, p Port, lease time.Duration) (time.Duration, error)
	// outside returns the router's address outside; errNoWay when it has none.
	outside(ctx context.Context) (netip.Addr, error)
	// forget takes back what ask asked for.
	forget(ctx context.Context, p Port) error
}

// New returns a Router that asks nothing yet.
func New(cfg Config) *Router {
	cfg.Timing.Lease = cmp.Or(cfg.Timing.Lease, time.Hour)
	cfg.Timing.Renew = cmp.Or(cfg.Timing.Renew, 10*time.Minute)
	cfg.Timing.Look = cmp.Or(cfg.Timing.Look, 10*time.Second)
	cfg.Timing.Prove = cmp.Or(cfg.Timing.Prove, 15*time.Second)
	cfg.Timing.Forget = cmp.Or(cfg.Timing.Forget, 5*time.Second)
	if cfg.Timing.Pauses == nil {
		cfg.Timing.Pauses = []time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute}
	}
	if cfg.Ways == nil {
		cfg.Ways = Ways()
	}
	return &Router{cfg: cfg}
}

// Run asks, and asks again, until ctx ends; then it takes back what it asked for.
func (r *Router) Run(ctx context.Context) {
	var open door // which said yes last
	failures := 0
	for ctx.Err() == nil {
		gateway, own, _ := host.Gateway() // without one, there is nobody to ask
		d, granted, state := r.round(ctx, open, gateway, own)
		if ctx.Err() != nil {
			if d != nil {
				open = d
			}
			break
		}
		wait := min(r.cfg.Timing.Renew, granted/2)
		if open = d; open == nil {
			wait = r.cfg.Timing.Pauses[min(failures, len(r.cfg.Timing.Pauses)-1)]
			failures++
		} else {
			failures = 0
			if state.Proof = r.verify(ctx); state.Proof == Unknown && r.cfg.Verify != nil { // our own server may not have been there yet
				wait = min(wait, r.cfg.Timing.Prove)
			}
		}
		r.become(state)
		if moved := r.waitOrMove(ctx, wait, gateway, own); moved && open != nil {
			r.forget(ctx, open) // it would lead to where we were
			open = nil
		}
	}
	if open != nil {
		r.forget(ctx, open)
	}
}

// forget takes everything back, whether or not ctx lasts.
func (r *Router) forget(ctx context.Context, open door) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.Timing.Forget)
	defer cancel()
	for _, p := range r.cfg.Ports {
		if err := open.forget(ctx, p); err != nil {
			r.cfg.Log.Warn("the router did not take back what it was asked for", "port", p.Outside, "err", err)
		}
	}
}

// round asks once, whoever said yes last first. It returns the door that did and
// for how long, or nil.
func (r *Router) round(ctx context.Context, last door, gateway, own netip.Addr) (door, time.Duration, State) {
	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	if last != nil {
		if granted, err := r.askAll(ctx, last); err == nil {
			state := r.State()
			state.Outside, _ = last.outside(ctx)
			return last, granted, state
		}
	}
	var out State
	for _, way := range r.cfg.Ways {
		doors, err := r.doors(ctx, way, gateway, own)
		if err != nil {
			out.Err = worse(out.Err, err)
			continue
		}
		for _, d := range doors {
			outside, addressErr := d.outside(ctx)
			if outside.IsValid() {
				out.Outside = outside
			}
			granted, err := r.askAll(ctx, d)
			if err == nil {
				if now, err := d.outside(ctx); err == nil { // PCP tells it with its yes
					outside = now
				}
				return d, granted, State{Asked: true, Way: way, Outside: outside}
			}
			out.Err = worse(out.Err, worse(addressErr, err))
		}
	}
	return nil, 0, out
}

// askAll asks for every port, or for none.
func (r *Router) askAll(ctx context.Context, d door) (time.Duration, error) {
	shortest := r.cfg.Timing.Lease
	for i, p := range r.cfg.Ports {
		granted, err := d.ask(ctx, p, r.cfg.Timing.Lease)
		if err != nil {
			for _, done := range r.cfg.Ports[:i] {
				err = errors.Join(err, d.forget(ctx, done))
			}
			return 0, fmt.Errorf("port %d: %w", p.Outside, err)
		}
		shortest = min(shortest, granted)
	}
	return max(shortest, 2*time.Second), nil
}

// doors finds whom to ask in this way.
func (r *Router) doors(ctx context.Context, way Way, gateway, own netip.Addr) ([]door, error) {
	if !gateway.IsValid() {
		return nil, errNobody
	}
	if way == UPnP {
		return discover(ctx, gateway, own)
	}
	if way == PCP {
		return []door{&pcp{gateway: gateway, own: own, secret: r.cfg.Secret}}, nil
	}
	return []door{newPMP(gateway)}, nil
}

// worse is the error that tells more.
func worse(a, b error) error {
	for _, telling := range []error{errOccupied, errNoWay, errRefused, errNobody} {
		for _, err := range []error{a, b} {
			if errors.Is(err, telling) {
				return err
			}
		}
	}
	if a == nil {
		return b
	}
	return a
}

func (r *Router) verify(ctx context.Context) Proof {
	if r.cfg.Verify == nil {
		return Unknown
	}
	in, err := r.cfg.Verify(ctx)
	switch {
	case err != nil:
		return Unknown
	case in:
		return GetsIn
	}
	return StaysOut
}

// waitOrMove waits for d, or until the router or this machine has another address,
// which it reports.
func (r *Router) waitOrMove(ctx context.Context, d time.Duration, gateway, own netip.Addr) (moved bool) {
	end := time.Now().Add(d)
	for {
		left := time.Until(end)
		if left <= 0 {
			return false
		}
		t := time.NewTimer(min(left, r.cfg.Timing.Look))
		select {
		case <-ctx.Done():
			t.Stop()
			return false
		case <-t.C:
		}
		if g, o, _ := host.Gateway(); g != gateway || o != own {
			return true
		}
	}
}

// State returns what is known now.
func (r *Router) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now
	now.Sure = now.Outside.IsValid() && now.Outside == r.sure
	return now
}

// Outside returns the router's address outside if others can reach it, otherwise
// the zero Addr.
func (r *Router) Outside() netip.Addr {
	if a := r.State().Outside; Public(a) {
		return a
	}
	return netip.Addr{}
}

// Public reports whether an address can be reached from everywhere.
func Public(a netip.Addr) bool { return reach(a) == public }

// Shared reports whether an address is one that a provider shares among many.
func Shared(a netip.Addr) bool { return reach(a) == carrier }

// NoWay reports whether a router answered that it has no address outside.
func (s State) NoWay() bool { return errors.Is(s.Err, errNoWay) }

// Look asks the router which address it has outside, in the ways in which that can be
// asked without asking for anything else. It takes a few seconds, and no longer than
// ctx lasts but for NAT-PMP's two.
func Look(ctx context.Context) State { return LookIn(ctx, Ways()) }

// LookIn is Look in some of the ways. No connection is opened where UPnP is not among
// them.
func LookIn(ctx context.Context, ways []Way) State {
	gateway, own, _ := host.Gateway() // without one, there is nobody to ask
	said, err := voices(ctx, ways, gateway, own)
	if len(said) == 0 {
		return State{Err: err}
	}
	s := State{Way: said[0].way, Outside: said[0].outside}
	s.Sure = weigh(s.Outside, said) == nil
	return s
}

func (r *Router) become(s State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.Asked != r.now.Asked || s.Way != r.now.Way || s.Outside != r.now.Outside {
		r.cfg.Log.Info("router", "asked", s.Asked, "way", string(s.Way), "outside", s.Outside.String(), "err", s.Err)
	}
	r.now = s
}

// kind is what an address outside tells.
type kind int

const (
	public  kind = iota
	carrier      // shared by the provider among many
	private      // there is another router outside
	none
)

// reach says what kind of address it is: one that is not for everyone leads to another
// router at best.
func reach(a netip.Addr) kind {
	switch a = a.Unmap(); {
	case !a.IsValid() || a.IsUnspecified(): // how a router says that it has none
		return none
	case netname.Everywhere(a):
		return public
	case netname.Of(a) == netname.Carrier:
		return carrier
	}
	return private
}
