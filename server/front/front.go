// Package front knows who stands in front of the server: reverse proxies, and
// what they may say of the visitors they bring.
//
// It hides two ways of saying it. The PROXY protocol (listener.go) comes before
// the first byte of a connection; headers (headers.go) come with each request:
// X-Forwarded-For, -Proto and -Host, or Forwarded (RFC 7239) where there is no
// X-Forwarded-For. Either is believed when it comes straight from an address that
// the owner has named, and from nobody else: Resolve makes of it what the rest of
// the server looks at, Request.RemoteAddr, Request.Host and Scheme.
//
// Threat model. Anybody may send any such header, also through a proxy that adds
// its own to theirs or leaves them as they are. So lists are read from the right,
// where the nearest proxy wrote: the first address that is not a trusted proxy's
// is the visitor, and what stands left of it is what the visitor says of
// themselves. What cannot be read ends the list. A proxy that is to begin with the
// PROXY protocol has to: a connection of its without one is not served, since what
// a stranger sends through it would be taken for the beginning.
//
// Used by server, and by the rooms that tell visitors their own address.
package front

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
)

// Front is the proxies that are believed. The zero Front believes nobody.
type Front struct {
	Trusted  []netip.Prefix
	Protocol bool // they begin every connection with the PROXY protocol
}

// Trusts reports whether an address is one of theirs.
func (f Front) Trusts(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	return slices.ContainsFunc(f.Trusted, func(p netip.Prefix) bool { return p.Contains(ip) })
}

type key int

const (
	connKey   key = iota // what the PROXY protocol said, by connection
	schemeKey            // what the visitor came by, by request
)

// Resolve returns r as the visitor sent it: from their address, to the host and
// by the scheme they called. It returns r itself where no proxy has a say.
func (f Front) Resolve(r *http.Request) *http.Request {
	if len(f.Trusted) == 0 {
		return r
	}
	peer, ok := address(r.RemoteAddr)
	if !ok {
		return r
	}
	said := statement{client: r.RemoteAddr}
	if c, ok := r.Context().Value(connKey).(*conn); ok {
		said.scheme = c.scheme()
	}
	if f.Trusts(peer) {
		f.read(r.Header, &said)
	}
	if said.scheme == "" && said.host == "" && said.client == r.RemoteAddr {
		return r
	}
	ctx := r.Context()
	if said.scheme != "" {
		ctx = context.WithValue(ctx, schemeKey, said.scheme)
	}
	seen := r.WithContext(ctx)
	seen.RemoteAddr = said.client
	if said.host != "" {
		seen.Host = said.host
	}
	return seen
}

// Scheme is what the visitor who sent r came by: "https" or "http".
func Scheme(r *http.Request) string {
	if s := Told(r); s != "" {
		return s
	}
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// Told is what a trusted proxy said the visitor came by; empty when none did.
func Told(r *http.Request) string {
	s, _ := r.Context().Value(schemeKey).(string)
	return s
}

// address reads an address, with or without a port.
func address(text string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	} else if len(text) > 2 && text[0] == '[' && text[len(text)-1] == ']' {
		text = text[1 : len(text)-1]
	}
	ip, err := netip.ParseAddr(text)
	return ip.Unmap().WithZone(""), err == nil
}

// Visitor is the address a request came from; false when it cannot be told.
func Visitor(r *http.Request) (netip.Addr, bool) { return address(r.RemoteAddr) }

// Origin is where a request came from, as far as what is tried there is counted: an
// address, or with IPv6 the network of /64 that a home gets. Empty when it cannot be
// told.
func Origin(r *http.Request) string {
	ip, ok := Visitor(r)
	if !ok {
		return ""
	}
	return network(ip)
}

// network is the part of an address by which visitors are told apart.
func network(ip netip.Addr) string {
	if ip.Is6() {
		return netip.PrefixFrom(ip, 64).Masked().String()
	}
	return ip.String()
}

// Whose is whose a connection is, as far as the connections of one visitor are counted:
// as Origin has it. Empty where those are many visitors', or nobody's: of a trusted
// proxy, as long as the PROXY protocol has not said whom it brings, and of this machine
// itself.
func (f Front) Whose(remote, local net.Addr) string {
	ip, ok := ofAddr(remote)
	if !ok || f.Trusts(ip) || isOwn(ip, local) {
		return ""
	}
	return network(ip)
}

// isOwn reports whether a connection comes from this machine itself: from localhost, or
// from the address it goes to. Nobody else can send from those.
func isOwn(ip netip.Addr, local net.Addr) bool {
	to, ok := ofAddr(local)
	return ip == localhost4 || ip == netip.IPv6Loopback() || ok && ip == to
}

var localhost4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// Own reports whether a request comes from this machine itself.
func Own(r *http.Request) bool {
	ip, ok := Visitor(r)
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && isOwn(ip, local)
}
