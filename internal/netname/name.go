package netname

import (
	"regexp"
	"slices"
	"strings"
)

// ours are the names that nobody in the world owns, by which each network calls
// machines of its own: RFC 6762, RFC 8375, ICANN's resolution of July 2024 on internal,
// and lan, which no registry will give away (RFC 6762, appendix G) and most routers use.
var ours = []string{"local", "home.arpa", "internal", "lan"}

// homes are the further names that networks use for machines of their own, though
// somebody may own, or once own, the same name in the world: those of RFC 6762,
// appendix G, of common resolvers, and of routers, which answer for them to whoever is
// at home.
var homes = []string{
	"home", "corp", "intranet", "private", "localdomain",
	"fritz.box", "fritz.nas", "speedport.ip", "easy.box", "o2.box", "congstar.box", // Germany
	"mafreebox.freebox.fr", "mabbox.bytel.fr", // France
	"attlocal.net", "homerouter.cpe", "router.asus.com", "asusrouter.com", "routerlogin.net", "routerlogin.com", "tplinkwifi.net", "tplinklogin.net", "tplinkmodem.net",
}

// reserved are the names that nobody can have in the DNS of the Internet, and no home
// uses: IANA's special-use domain names (RFC 2606, RFC 6761, RFC 7686, RFC 9476), and
// the infrastructure below arpa.
var reserved = map[string]Kind{
	"localhost": Machine,
	"test":      Example, "example": Example, "example.com": Example, "example.net": Example, "example.org": Example,
	"invalid": Nobody, "onion": Nobody, "alt": Nobody, "arpa": Nobody,
}

// OfName is the kind of a name: as DNS has them, in any capitals, with or without a dot
// at the end, "*." in front standing for all names of one level. One word alone is a
// machine at home. What is no name is nobody's, and so is an address that is not written
// right.
func OfName(name string) Kind {
	name, all := plain(name)
	switch {
	case !Valid(name):
		return Nobody
	case below(name, ours), below(name, homes):
		return Home
	}
	if kind, ok := reservedAs(name); ok {
		return kind
	}
	switch one := !strings.Contains(name, "."); {
	case one && all: // all names of a top-level domain are nobody's to have
		return Nobody
	case one:
		return Home
	}
	return Everyone
}

func reservedAs(name string) (Kind, bool) {
	for domain, kind := range reserved {
		if below(name, []string{domain}) {
			return kind, true
		}
	}
	return Nobody, false
}

// HomeName reports whether a name means in each network another machine.
func HomeName(name string) bool { return OfName(name) == Home }

// NobodyElses reports whether a name is one of home, or of this machine, that nobody in
// the world can own: whoever vouches for it says nothing of anybody else's machine. It
// asks more than HomeName: a router's name may be somebody's outside, and so may a
// single word.
func NobodyElses(name string) bool {
	name, _ = plain(name)
	return name == "localhost" || Valid(name) && below(name, ours) && !slices.Contains(ours, name)
}

// ReservedName reports whether a name is set aside, for examples, tests or protocols:
// nobody can have it in the DNS of the Internet, and no home uses it.
func ReservedName(name string) bool {
	if HomeName(name) {
		return false
	}
	name, _ = plain(name)
	_, ok := reservedAs(name)
	return ok && Valid(name)
}

// PublicName reports whether the DNS of the Internet can have a name, for everyone.
func PublicName(name string) bool { return OfName(name) == Everyone }

// plain is a name in small letters, without the dot at its end; all: "*." stood in
// front.
func plain(name string) (_ string, all bool) {
	name, all = strings.CutPrefix(strings.ToLower(strings.TrimSuffix(name, ".")), "*.")
	return name, all
}

// below reports whether name is one of the domains, or below one.
func below(name string, domains []string) bool {
	return slices.ContainsFunc(domains, func(d string) bool { return name == d || strings.HasSuffix(name, "."+d) })
}

var (
	validRE = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$`)
	// numberRE is a last label by which programs take a whole name for an IPv4 address
	// (URL Standard, "ends in a number").
	numberRE = regexp.MustCompile(`^([0-9]+|0[xX][0-9a-fA-F]*)$`)
)

// Valid reports whether text is a name as DNS has them (RFC 1123): labels of 63
// characters at most, 253 together, without a dot at the end. What would be read as an
// address that is not written right, like 1.2.3, is none. A name in other letters than
// these is one in its ASCII form (xn--…).
func Valid(text string) bool {
	return len(text) <= 253 && validRE.MatchString(text) && !EndsInNumber(text)
}

// EndsInNumber reports whether programs would take a host for an address by its end.
func EndsInNumber(host string) bool {
	return numberRE.MatchString(host[strings.LastIndexByte(host, '.')+1:])
}
