package host

import (
	"net"
	"net/netip"
)

// Addresses returns the addresses under which other machines may reach this one,
// IPv4 first: those of interfaces that are up, without loopback, link-local and
// multicast ones.
func Addresses() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var v4, v6 []netip.Addr
	for _, a := range all {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		switch ip := p.Addr().Unmap(); {
		case !ip.IsGlobalUnicast():
		case ip.Is4():
			v4 = append(v4, ip)
		default:
			v6 = append(v6, ip)
		}
	}
	return append(v4, v6...), nil
}
