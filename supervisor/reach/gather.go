package reach

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/knock"
	"github.com/foyer-server/foyer/supervisor/neighbourhood"
	"github.com/foyer-server/foyer/supervisor/router"
)

// How long each look may take. They go on side by side, but for the last one, which
// needs to know the public address: ten seconds in all.
const (
	lookTime   = 7500 * time.Millisecond // the peer needs six to find a port closed
	quickTime  = 2 * time.Second         // what is near
	insideTime = 2 * time.Second
)

// gather looks at everything.
func (s *Situation) gather(ctx context.Context) Facts {
	f := Facts{Now: s.now(), Built: s.Built, Peer: s.Peer, Account: s.Account}
	f.Own, _ = host.Addresses() // none: offline, as far as can be told
	_, f.Self, _ = host.Gateway()

	var wg sync.WaitGroup
	look := func(time time.Duration, do func(context.Context)) {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, time)
			defer cancel()
			do(ctx)
		})
	}
	// Each writes fields of its own.
	look(quickTime, func(ctx context.Context) { f.Hops = host.Hops(ctx, 2) })
	look(quickTime, func(ctx context.Context) { f.Doors = s.doors(ctx) })
	look(lookTime, func(ctx context.Context) { f.Names, f.DNSSilent = s.lookUp(ctx) })
	look(lookTime, func(ctx context.Context) { f.Elsewhere, f.Issuers = s.elsewhere(ctx) })
	if s.Router != nil {
		look(lookTime, func(ctx context.Context) {
			state := s.Router(ctx)
			f.Router, f.Sure, f.NoWay = state.Outside, state.Sure, state.NoWay()
		})
	}
	if s.Runner != nil && !s.Proxied {
		look(quickTime, func(ctx context.Context) { f.Firewall, f.Shut = s.firewall(ctx) })
	}
	if s.Name != "" {
		f.Local = s.Name + ".local"
		look(quickTime, func(ctx context.Context) {
			f.Taker, f.Taken, _ = neighbourhood.Ask(ctx, s.Name, quickTime) // in no network: nobody has it
		})
	}
	if p := s.peer(); p != nil {
		look(quickTime, func(ctx context.Context) { f.Portal = p.portal(ctx) })
		if s.Expect != nil {
			name := ""
			if len(s.Names) > 0 {
				name = s.Names[0]
			}
			if slices.ContainsFunc(f.Own, netip.Addr.Is4) {
				look(lookTime, func(ctx context.Context) { f.V4 = p.outside(ctx, "tcp4", name, s.Expect) })
			}
			if slices.ContainsFunc(f.Own, func(a netip.Addr) bool { return a.Is6() && router.Public(a) }) {
				look(lookTime, func(ctx context.Context) { f.V6 = p.outside(ctx, "tcp6", name, s.Expect) })
			}
		}
	}
	wg.Wait()
	if at := f.public4(); at.IsValid() && s.Expect != nil && !slices.Contains(f.Own, at) && f.V4.opens() {
		ctx, cancel := context.WithTimeout(ctx, insideTime)
		defer cancel()
		f.Inside = s.call(ctx, netip.AddrPortFrom(at, 443), "https")
	}
	return f
}

func (s *Situation) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// doors looks at this machine's own ports: from itself, where a server runs, and
// otherwise by who has them.
func (s *Situation) doors(ctx context.Context) []Door {
	if s.Proxied {
		return nil
	}
	out := []Door{{Outside: 80, Port: s.HTTP}, {Outside: 443, Port: s.HTTPS}}
	var wg sync.WaitGroup
	for i := range out {
		d := &out[i]
		if d.Port == 0 {
			continue
		}
		wg.Go(func() {
			if s.Expect != nil {
				scheme := map[int]string{80: "http", 443: "https"}[d.Outside]
				d.Outcome = s.call(ctx, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(d.Port)), scheme)
			}
			if s.Expect != nil && d.Outcome != knock.Other { // ours, or not known
				return
			}
			if o, taken, _ := host.PortOwner(d.Port); taken && o.PID != 1 && o.Name != "foyer" {
				d.Owner = o.Name
			}
		})
	}
	wg.Wait()
	if out[0].Port == 0 && out[1].Port == 0 {
		return nil
	}
	return out
}

// call calls at an address and port as a visitor and tells who answers.
func (s *Situation) call(ctx context.Context, to netip.AddrPort, scheme string) knock.Outcome {
	nonce := knock.NewNonce()
	if s.Expect(ctx, nonce) != nil {
		return ""
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", to.String())
	if err != nil {
		return unreached(err)
	}
	conn.Close()
	t := &http.Transport{TLSClientConfig: anyCertificate(), DisableKeepAlives: true}
	defer t.CloseIdleConnections()
	text, _, err := fetch(ctx, t, http.MethodGet, scheme+"://"+net.JoinHostPort(to.Addr().String(), strconv.Itoa(int(to.Port())))+knock.Proof+nonce, nil)
	switch {
	case err == nil && text == knock.Answer(nonce):
		return knock.OK
	case ctx.Err() != nil: // slow is not foreign
		return knock.Timeout
	}
	return knock.Other
}

// firewall tells which one is active here and what it keeps shut. Not everybody may ask.
func (s *Situation) firewall(ctx context.Context) (name string, shut []int) {
	name = host.Firewall(ctx, s.Runner)
	if name == "" {
		return "", nil
	}
	for _, p := range []struct{ outside, port int }{{80, s.HTTP}, {443, s.HTTPS}} {
		if p.port != 0 && !host.Admits(ctx, s.Runner, name, p.port) {
			shut = append(shut, p.outside)
		}
	}
	return name, shut
}
