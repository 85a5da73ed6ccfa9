// Package netname says what a name or an address is in the world: who can use it, and
// who else has it. There is one answer, and every part of Foyer asks here: whether a
// certificate is ordered, a DNS record kept, a visitor dialled back, a router's address
// believed, a home CA trusted.
//
// It hides the registries: IANA's of special-purpose addresses (RFC 6890 and what
// followed), IANA's of special-use domain names (RFC 6761 and what followed), what
// ICANN and RFC 6762 say of names that homes use, and the names by which routers
// answer at home. It reads names as people and programs write them: capitals, a dot
// at the end, "*." in front, brackets, zones, IPv4 in IPv6. It asks nobody: a name is
// judged by its letters alone, so that a public name need not exist.
//
// Where an answer has to differ (an authority of the owner's own, which may vouch for
// names no public one knows), the reason stands where it differs; the first answer is
// from here.
//
// Used by server, supervisor, installer, internal/config and cmd/foyer.
package netname

import (
	"net/netip"
	"strings"
)

// Kind is whom a name or an address means, or is set aside for.
type Kind int

// The kinds.
const (
	Nobody   Kind = iota // no machine that can be counted on: reserved, multicast, a translator's; not written right
	Machine              // the machine that uses it, in each machine another one
	Home                 // in each network another machine
	Carrier              // between a provider and its customers; addresses only
	Example              // examples and tests
	Everyone             // one machine, for everyone
)

// String is the kind in a word, for tests and logs.
func (k Kind) String() string {
	return [...]string{"nobody", "machine", "home", "carrier", "example", "everyone"}[k]
}

// OfHost is the kind of what stands in a URL or in the settings: a name, or an address
// with or without brackets.
func OfHost(host string) Kind {
	text := host
	if inside, ok := strings.CutPrefix(host, "["); ok {
		if inside, ok = strings.CutSuffix(inside, "]"); !ok || !strings.Contains(inside, ":") {
			return Nobody
		}
		text = inside
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return Of(a)
	}
	return OfName(host)
}

// Public reports whether strangers can use a host: everyone can have a way to that
// address, and that name can be in the DNS of the Internet.
func Public(host string) bool { return OfHost(host) == Everyone }
