package server

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/foyer-server/foyer/internal/netname"
	"github.com/foyer-server/foyer/internal/site"
	"github.com/foyer-server/foyer/server/front"
)

// called is what a server is called: the names it answers to, and the addresses it tells
// people.
type called struct{ *server }

// names are what this server answers to, the best for others first: what it was given,
// then whatever else it has certificates for.
func (s called) names() []string {
	names := site.Of(s.Settings).Given()
	if s.certs == nil {
		return names
	}
	for _, name := range s.certs.Names() {
		if name != "localhost" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// portOf is the one visitors use.
func (s called) portOf(r *http.Request) int {
	if !site.Of(s.Settings).BehindProxy() {
		return s.port
	}
	// The proxy's, which it passes on with the name.
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			return int(n)
		}
	}
	return 443
}

// address is this server's address as the sender of r can reach it, and as others
// can: made of a name it was given, or of the private address r came to, whatever
// r says it is called. With PlainHTTP it is what a browser on this machine calls it.
func (s called) address(r *http.Request) string {
	host := hostOf(r)
	names := s.names()
	ok := slices.Contains(names, host)
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if ip, err := netip.ParseAddr(host); err == nil && !ok && local != nil && !site.Of(s.Settings).BehindProxy() {
		at, err := netip.ParseAddrPort(local.String())
		ok = err == nil && at.Addr().Unmap().WithZone("") == ip.Unmap().WithZone("")
	}
	switch {
	case s.PlainHTTP:
		if local == nil {
			return ""
		}
		if host != "localhost" && !ok {
			host = "localhost"
		}
		_, port, _ := net.SplitHostPort(local.String())
		return "http://" + net.JoinHostPort(host, port) + "/"
	case !ok && len(names) == 0:
		return ""
	case !ok:
		host = names[0]
	}
	return site.URL(host, s.portOf(r))
}

// addresses are all by which people reach this server.
func (s called) addresses(r *http.Request) []string {
	if s.PlainHTTP {
		return []string{s.address(r)}
	}
	var out []string
	for _, name := range site.Of(s.Settings).Hosts() {
		out = append(out, site.URL(name, s.portOf(r)))
	}
	if len(out) == 0 {
		out = append(out, front.Scheme(r)+"://"+r.Host+"/")
	}
	return out
}

// secure is the address of our HTTPS for whoever sent r: "https://HOST[:PORT]/".
// HOST is what they called us by, if that is a name of ours or an IP address;
// a name we do not know (the router's own for us, or somebody's trick) becomes
// the private address they came to, for which we have a certificate.
func (s called) secure(r *http.Request) string {
	if site.Of(s.Settings).BehindProxy() { // the proxy alone knows the names it has certificates for
		return "https://" + r.Host + "/"
	}
	host := hostOf(r)
	names := []string{site.Of(s.Settings).LocalName()}
	if s.certs != nil {
		names = s.certs.Names()
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.WithZone("").String()
	} else if !slices.Contains(names, host) {
		host = names[0]
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
			if ap, err := netip.ParseAddrPort(local.String()); err == nil {
				if ip := ap.Addr().Unmap().WithZone(""); netname.Within(ip) && !(ip.Is6() && ip.IsLinkLocalUnicast()) { // that one takes a zone, which no link has
					host = ip.String()
				}
			}
		}
	}
	return site.URL(host, s.port)
}

// hostOf is what the sender of r calls this server, without a port.
func hostOf(r *http.Request) string {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}
