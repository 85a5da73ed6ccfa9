package netname

import (
	"net/netip"
	"slices"
)

// block is part of the address space with one meaning. The first that holds an address
// counts.
type block struct {
	netip.Prefix
	kind Kind
}

// blocks are those of IANA's registries of special-purpose addresses, with multicast.
// "Globally reachable" there is not enough to be for everyone: addresses of a service
// that many operate (anycast) are no machine's own, and what leads through a translator
// may lead to any machine.
var blocks = []block{
	{netip.MustParsePrefix("0.0.0.0/8"), Nobody}, // this network (RFC 791)
	{netip.MustParsePrefix("10.0.0.0/8"), Home},
	{netip.MustParsePrefix("100.64.0.0/10"), Carrier}, // shared address space (RFC 6598)
	{netip.MustParsePrefix("127.0.0.0/8"), Machine},
	{netip.MustParsePrefix("169.254.0.0/16"), Home},
	{netip.MustParsePrefix("172.16.0.0/12"), Home},
	{netip.MustParsePrefix("192.0.0.0/29"), Carrier},   // behind DS-Lite and 464XLAT (RFC 7335)
	{netip.MustParsePrefix("192.0.0.0/24"), Nobody},    // protocols
	{netip.MustParsePrefix("192.0.2.0/24"), Example},   // documentation
	{netip.MustParsePrefix("192.31.196.0/24"), Nobody}, // AS112, anycast
	{netip.MustParsePrefix("192.52.193.0/24"), Nobody}, // AMT, anycast
	{netip.MustParsePrefix("192.88.99.0/24"), Nobody},  // 6to4 relays, anycast
	{netip.MustParsePrefix("192.168.0.0/16"), Home},
	{netip.MustParsePrefix("192.175.48.0/24"), Nobody}, // AS112, anycast
	{netip.MustParsePrefix("198.18.0.0/15"), Example},  // benchmarks
	{netip.MustParsePrefix("198.51.100.0/24"), Example},
	{netip.MustParsePrefix("203.0.113.0/24"), Example},
	{netip.MustParsePrefix("224.0.0.0/4"), Nobody}, // multicast
	{netip.MustParsePrefix("240.0.0.0/4"), Nobody}, // reserved, broadcast
	{netip.MustParsePrefix("0.0.0.0/0"), Everyone},

	{netip.MustParsePrefix("::1/128"), Machine},
	{netip.MustParsePrefix("2001:2::/48"), Example}, // benchmarks
	{netip.MustParsePrefix("2001::/23"), Nobody},    // protocols, Teredo
	{netip.MustParsePrefix("2001:db8::/32"), Example},
	{netip.MustParsePrefix("2002::/16"), Nobody},         // 6to4: leads to an IPv4 address
	{netip.MustParsePrefix("2620:4f:8000::/48"), Nobody}, // AS112, anycast
	{netip.MustParsePrefix("3fff::/20"), Example},
	{netip.MustParsePrefix("2000::/3"), Everyone}, // the part of IPv6 that is given to networks
	{netip.MustParsePrefix("fc00::/7"), Home},
	{netip.MustParsePrefix("fe80::/10"), Home},
	// All the rest, translators (64:ff9b::/96) among it, is given to nobody.
}

// Of is the kind of an address, without its zone; one of IPv4 written as IPv6 is one of
// IPv4. What is not valid is nobody's.
func Of(a netip.Addr) Kind {
	a = a.Unmap().WithZone("")
	i := slices.IndexFunc(blocks, func(b block) bool { return b.Contains(a) })
	if i < 0 {
		return Nobody
	}
	return blocks[i].kind
}

// Everywhere reports whether an address can be reached from everywhere, as far as its
// numbers tell: a firewall may stand before it.
func Everywhere(a netip.Addr) bool { return Of(a) == Everyone }

// Within reports whether an address means this machine, or one in its own network:
// nobody outside has a way to it.
func Within(a netip.Addr) bool { k := Of(a); return k == Machine || k == Home }

// WithinNets are the networks of the addresses that are Within.
func WithinNets() []netip.Prefix {
	var out []netip.Prefix
	for _, b := range blocks {
		if b.kind == Machine || b.kind == Home {
			out = append(out, b.Prefix)
		}
	}
	return out
}
