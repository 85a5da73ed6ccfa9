// Package site is where a Foyer stands, as its settings say: alone or behind a proxy,
// by which names and addresses people find it, what the router is asked for, who issues
// its certificates.
//
// It hides how the settings write that down, and which of them have no effect beside
// others: behind a proxy the names, the ports and the router are the proxy's. Whoever
// asks gets one answer, the same in the server, the supervisor, the installer and the
// commands. Nothing here looks at the world but Hosts and Addresses, which tell of the
// addresses this machine has at the moment.
package site

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/netname"
)

// LetsEncrypt is the directory of the authority that certificates are ordered from when
// the settings name no other.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// The ways in which a router can be asked, in the order in which they are tried.
const (
	PCP    = "pcp"
	NATPMP = "nat-pmp"
	UPnP   = "upnp"
)

// Site answers for one Foyer. It costs nothing to make, and holds on to the settings.
type Site struct{ set *config.Settings }

// Of is the site of a Foyer with these settings, which are valid.
func Of(s *config.Settings) Site { return Site{s} }

// BehindProxy reports whether a reverse proxy of the owner's stands before this server
// and has the names, the certificates and the ports that people use.
func (s Site) BehindProxy() bool { return s.set.Proxy.Listen != "" }

// Front is where the proxy comes in; the zero value where there is none.
func (s Site) Front() netip.AddrPort {
	at, err := netip.ParseAddrPort(s.set.Proxy.Listen)
	if err != nil {
		return netip.AddrPort{}
	}
	return at
}

// Ports are those this machine listens at.
func (s Site) Ports() []int {
	if s.BehindProxy() {
		return []int{int(s.Front().Port())}
	}
	return s.PublicPorts()
}

// PublicPorts are those people come in by: none behind a proxy, for letting people in is
// then the proxy's.
func (s Site) PublicPorts() []int {
	if s.BehindProxy() {
		return nil
	}
	return []int{s.set.HTTPPort, s.set.HTTPSPort}
}

// LocalName is NAME.local, by which this server always knows itself.
func (s Site) LocalName() string { return strings.ToLower(s.set.Name) + ".local" }

// Announced reports whether the home network is told of NAME.local.
func (s Site) Announced() bool { return s.set.MDNS != "off" && !s.BehindProxy() }

// Names are the names of the settings that people call this server by: neither one with
// a star, which nobody can type, nor localhost, which is another machine for each of them.
func (s Site) Names() []string {
	names, _ := s.written()
	return names
}

// written are the names and the addresses of the settings, each written in one way.
func (s Site) written() (names, addresses []string) {
	for _, h := range s.set.Addresses {
		h = strings.ToLower(h)
		switch ip, err := netip.ParseAddr(h); {
		case err == nil:
			addresses = append(addresses, ip.Unmap().String())
		case h != "localhost" && !strings.HasPrefix(h, "*."):
			names = append(names, h)
		}
	}
	return once(names), once(addresses)
}

// Given are the names and addresses that this server was given, the best for others first:
// names of the settings, NAME.local where it is announced, addresses of the settings.
func (s Site) Given() []string {
	names, addresses := s.written()
	if s.Announced() {
		names = append(names, s.LocalName())
	}
	return once(append(names, addresses...))
}

// Hosts are what people are told to call this server by, the best first: what it was
// given, then the addresses of IPv4 that this machine has. Behind a proxy it is what it
// was given alone: nobody comes to this machine itself.
func (s Site) Hosts() []string {
	own, _ := host.Addresses() // without them, the names are enough
	return s.hosts(own)
}

func (s Site) hosts(own []netip.Addr) []string {
	out := s.Given()
	if s.BehindProxy() {
		return out
	}
	for _, ip := range own {
		if ip.Is4() {
			out = append(out, ip.String())
		}
	}
	if len(out) == 0 { // in no network: by this name the machine itself can
		out = []string{s.LocalName()}
	}
	return once(out)
}

// once leaves out what was there before.
func once(list []string) (out []string) {
	for _, v := range list {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// Addresses are the URLs under which people reach this server, the best first.
func (s Site) Addresses() []string {
	own, _ := host.Addresses() // as in Hosts
	return s.addresses(own)
}

func (s Site) addresses(own []netip.Addr) (out []string) {
	port := s.set.HTTPSPort
	if s.BehindProxy() { // the proxy's, as far as is known
		port = 443
	}
	for _, h := range s.hosts(own) {
		out = append(out, URL(h, port))
	}
	return out
}

// URL is the address of an HTTPS server: "https://HOST[:PORT]/".
func URL(host string, port int) string {
	switch {
	case port != 443:
		host = net.JoinHostPort(host, strconv.Itoa(port))
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	return "https://" + host + "/"
}

// KeptNames are the names of the settings that the DNS of the Internet can have, those
// with a star among them: what is kept there, where somebody keeps it.
func (s Site) KeptNames() []string {
	var out []string
	for _, a := range s.set.Addresses {
		if netname.PublicName(a) {
			out = append(out, strings.ToLower(a))
		}
	}
	return once(out)
}

// KeepsNames reports whether KeptNames are kept at the address of this connection: there
// are some, and somebody is asked for that address.
func (s Site) KeepsNames() bool {
	asks := s.set.DynDNS != "off" && (s.set.DynDNS != "router" || len(s.RouterWays()) > 0)
	return asks && len(s.KeptNames()) > 0
}

// PublicNames are those of KeptNames that somebody can call.
func (s Site) PublicNames() []string {
	return slices.DeleteFunc(s.KeptNames(), func(n string) bool { return strings.HasPrefix(n, "*.") })
}

// Public reports whether the settings have a name or an address that strangers can use.
func (s Site) Public() bool { return slices.ContainsFunc(s.set.Addresses, netname.Public) }

// RouterWays are the ways in which the router may be asked to let visitors in, in the
// order in which they are tried; none: it is left alone.
func (s Site) RouterWays() []string {
	switch r := s.set.Router; {
	case r == "off" || s.BehindProxy():
		return nil
	case r == "map":
		return []string{PCP, NATPMP, UPnP}
	default:
		return []string{r}
	}
}

// Authority is the directory of the authority that certificates for public names are
// ordered from; "" where none are: a proxy has them, the owner brought one, or wants none.
func (s Site) Authority() string {
	c := s.set.Certificates
	switch {
	case s.BehindProxy() || c.CertFile != "" || c.CA == "off":
		return ""
	case c.CA == "":
		return LetsEncrypt
	}
	return c.CA
}

// EverybodyTrusts reports whether this server gets a certificate that every phone and
// computer trusts: not everybody may trust another authority than the usual one.
func (s Site) EverybodyTrusts() bool { return s.Authority() == LetsEncrypt && s.Public() }
