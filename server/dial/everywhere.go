package dial

import (
	"net/netip"
	"slices"
)

// special are the blocks that are not reachable from everywhere, in the words of
// IANA's registries of special-purpose addresses (RFC 6890 and what followed), and
// those that lead through a translator to such ones.
var special = func() (out []netip.Prefix) {
	for _, p := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
	} {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}()

// given is the part of IPv6 that is given to networks; all the rest is special.
var given = netip.MustParsePrefix("2000::/3")

// everywhere reports whether an address can be reached from everywhere.
func everywhere(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsValid() && (a.Is4() || given.Contains(a)) && !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}
