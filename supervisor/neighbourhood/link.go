package neighbourhood

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// link is an interface through which others reach this machine.
type link struct {
	ifi  net.Interface
	nets []netip.Prefix // with this machine's own address in each; the ones others can use
}

// errAlone: no interface has an address that others could use.
var errAlone = errors.New("this machine has no address that others could use")

// usable finds the interfaces that are up, can multicast, and have an address that
// is more than loopback or link-local. A link-local address alone would be told to
// people whose browsers cannot use it.
func usable() ([]link, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("cannot list the interfaces: %w", err)
	}
	var out []link
	for _, ifi := range all {
		if ifi.Flags&net.FlagUp == 0 || ifi.Flags&net.FlagMulticast == 0 || ifi.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := ifi.Addrs()
		if err != nil {
			continue // gone since it was listed
		}
		l := link{ifi: ifi}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsGlobalUnicast() {
				l.nets = append(l.nets, p)
			}
		}
		if len(l.nets) > 0 {
			out = append(out, l)
		}
	}
	if len(out) == 0 {
		return nil, errAlone
	}
	return out, nil
}

func sameLinks(a, b []link) bool {
	return slices.EqualFunc(a, b, func(a, b link) bool { return a.ifi.Index == b.ifi.Index && slices.Equal(a.nets, b.nets) })
}

// has reports whether a neighbour on this link would have the address.
func (l link) has(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.IsLinkLocalUnicast() || slices.ContainsFunc(l.nets, func(p netip.Prefix) bool { return p.Contains(a) })
}

// own reports whether one of the addresses is this machine's.
func own(addrs []netip.Addr) bool {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(all, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && slices.Contains(addrs, p.Addr().Unmap())
	})
}

// family is one of the two ways multicast DNS is spoken.
type family struct {
	network string // "udp4" or "udp6"
	group   net.UDPAddr
}

// families are where multicast DNS is spoken (RFC 6762 §3).
func families() []family {
	return []family{
		{"udp4", net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}},
		{"udp6", net.UDPAddr{IP: net.ParseIP("ff02::fb"), Port: 5353}},
	}
}

// to is the group on a link.
func (f family) to(l link) *net.UDPAddr {
	to := f.group
	if f.network == "udp6" {
		to.Zone = l.ifi.Name
	}
	return &to
}

// sendsOn makes what conn sends to the group leave through the link, and stay
// on it; the machine itself hears it, too.
func (f family) sendsOn(conn *net.UDPConn, l link) error {
	if f.network == "udp4" {
		p := ipv4.NewPacketConn(conn)
		return errors.Join(p.SetMulticastInterface(&l.ifi), p.SetMulticastTTL(255), p.SetMulticastLoopback(true))
	}
	p := ipv6.NewPacketConn(conn)
	return errors.Join(p.SetMulticastInterface(&l.ifi), p.SetMulticastHopLimit(255), p.SetMulticastLoopback(true))
}

// reader returns a function that reads what came in through the link.
func (f family) reader(conn *net.UDPConn, l link) func([]byte) (int, *net.UDPAddr, error) {
	var read func([]byte) (n, index int, from net.Addr, err error)
	if f.network == "udp4" {
		p := ipv4.NewPacketConn(conn)
		p.SetControlMessage(ipv4.FlagInterface, true) //nolint:errcheck // where it is unknown, everything is taken
		read = func(b []byte) (n, index int, from net.Addr, err error) {
			n, cm, from, err := p.ReadFrom(b)
			if cm != nil {
				index = cm.IfIndex
			}
			return n, index, from, err
		}
	} else {
		p := ipv6.NewPacketConn(conn)
		p.SetControlMessage(ipv6.FlagInterface, true) //nolint:errcheck // as above
		read = func(b []byte) (n, index int, from net.Addr, err error) {
			n, cm, from, err := p.ReadFrom(b)
			if cm != nil {
				index = cm.IfIndex
			}
			return n, index, from, err
		}
	}
	return func(b []byte) (int, *net.UDPAddr, error) {
		for {
			n, index, from, err := read(b)
			if err != nil {
				return 0, nil, err
			}
			if udp, ok := from.(*net.UDPAddr); ok && (index == 0 || index == l.ifi.Index) {
				return n, udp, nil
			}
		}
	}
}
