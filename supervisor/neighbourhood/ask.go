package neighbourhood

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/foyer-server/foyer/internal/pause"
)

// Ask asks the network who else answers to NAME.local, and waits for answers as long
// as it may. taken is false when nobody does, or this machine itself; who may be
// invalid all the same.
func Ask(ctx context.Context, name string, wait time.Duration) (who netip.Addr, taken bool, err error) {
	links, err := usable()
	if err != nil {
		return netip.Addr{}, false, err
	}
	err = ask(ctx, links, name+".local.", wait)
	if other, ok := errors.AsType[takenError](err); ok {
		return other.who, true, nil
	}
	return netip.Addr{}, false, err
}

// ask asks on every link who answers to name (fully qualified) and waits for
// answers as long as it may. It returns a takenError when another machine does,
// nil when nobody or this machine itself does.
//
// The questions leave from a port of their own, so that answers come straight
// back (RFC 6762 §6.7) whoever else on this machine speaks multicast DNS.
func ask(ctx context.Context, links []link, name string, wait time.Duration) error {
	question := new(dns.Msg)
	question.SetQuestion(name, dns.TypeA)
	question.Question = append(question.Question, dns.Question{Name: name, Qtype: dns.TypeAAAA, Qclass: dns.ClassINET})
	question.RecursionDesired = false
	packet, err := question.Pack()
	if err != nil {
		return err
	}
	ctx, done := context.WithTimeout(ctx, wait)
	defer done()
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		others []netip.Addr
		asked  bool
	)
	for _, f := range families() {
		for _, l := range links {
			conn, sendErr := net.ListenUDP(f.network, nil)
			if sendErr == nil {
				if sendErr = f.sendsOn(conn, l); sendErr == nil {
					_, sendErr = conn.WriteTo(packet, f.to(l))
				}
				if sendErr != nil {
					conn.Close()
				}
			}
			if sendErr != nil { // no IPv6 here, or the link has just gone
				err = sendErr
				continue
			}
			asked = true
			wg.Go(func() {
				defer conn.Close()
				stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) }) //nolint:errcheck // it is closed then
				defer stop()
				who := foreign(conn, name)
				mu.Lock()
				defer mu.Unlock()
				others = append(others, who...)
			})
			wg.Go(func() { // once more: the first packet may get lost
				if pause.For(ctx, wait/3) {
					conn.WriteTo(packet, f.to(l)) //nolint:errcheck // the first one left
				}
			})
		}
	}
	wg.Wait()
	if !asked {
		return err
	}
	if len(others) > 0 {
		return takenError{plainest(others)}
	}
	return nil
}

// plainest is the address people know best: an IPv4 one, if there is one.
func plainest(addrs []netip.Addr) netip.Addr {
	return slices.MinFunc(addrs, func(a, b netip.Addr) int {
		rank := func(a netip.Addr) int {
			switch {
			case a.Is4():
				return 0
			case a.IsGlobalUnicast():
				return 1
			}
			return 2
		}
		return rank(a) - rank(b)
	})
}

// foreign reads until the deadline and returns the addresses name has elsewhere,
// as far as answers tell.
func foreign(conn *net.UDPConn, name string) (who []netip.Addr) {
	buf := make([]byte, 9000) // RFC 6762 §17
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return who
		}
		var m dns.Msg
		if m.Unpack(buf[:n]) != nil || !m.Response {
			continue
		}
		if addrs := addressesIn(&m, name); len(addrs) > 0 && !own(addrs) {
			who = append(who, addrs...)
		}
	}
}

// addressesIn are the addresses a message gives name.
func addressesIn(m *dns.Msg, name string) []netip.Addr {
	var out []netip.Addr
	for _, rr := range append(append([]dns.RR{}, m.Answer...), m.Extra...) {
		if !strings.EqualFold(rr.Header().Name, name) || rr.Header().Ttl == 0 { // 0: goodbye
			continue
		}
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if a, ok := netip.AddrFromSlice(ip); ok {
			out = append(out, a.Unmap())
		}
	}
	return out
}
