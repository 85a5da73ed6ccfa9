package server

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/site"
	"github.com/foyer-server/foyer/server/front"
	"github.com/foyer-server/foyer/server/web"
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

// port is the one visitors use, after a colon; empty: the usual one of HTTPS.
func (s called) portOf(r *http.Request) string {
	switch {
	case site.Of(s.Settings).BehindProxy(): // the proxy's, which it passes on with the name
		if _, port, err := net.SplitHostPort(r.Host); err == nil && port != "443" {
			if n, err := strconv.ParseUint(port, 10, 16); err == nil {
				return ":" + strconv.FormatUint(n, 10)
			}
		}
	case s.port != 443:
		return ":" + strconv.Itoa(s.port)
	}
	return ""
}

// address is this server's address as the sender of r can reach it, and as others
// can: made of a name it was given, or of the private address r came to, whatever
// r says it is called. With PlainHTTP it is what a browser on this machine calls it.
func (s called) address(r *http.Request) string {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
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
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return "https://" + host + s.portOf(r) + "/"
}

// addresses are all by which people reach this server.
func (s called) addresses(r *http.Request) []string {
	if s.PlainHTTP {
		return []string{s.address(r)}
	}
	var out []string
	for _, name := range site.Of(s.Settings).Hosts() {
		if strings.Contains(name, ":") {
			name = "[" + name + "]"
		}
		out = append(out, "https://"+name+s.portOf(r)+"/")
	}
	if len(out) == 0 {
		out = append(out, front.Scheme(r)+"://"+r.Host+"/")
	}
	return out
}

// light is how the server is, for people.
func (s *server) light(ctx context.Context) web.Light {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	if t := cmp.Or(s.trouble(), s.met()); t != nil {
		return web.Light{What: told(t), Do: hint.T("On the server, type: sudo foyer doctor. It says what to do.", "Sur le serveur, tapez : sudo foyer doctor. Il dit quoi faire.")}
	}
	if _, err := s.probe.look(ctx); err != nil && !errors.Is(err, errBusy) {
		s.Log.Warn("the storage is not well", "err", err)
		return web.Light{
			What: hint.T("Your data can be read, and nothing can be stored right now.", "Vos données peuvent être lues, mais rien ne peut être enregistré en ce moment."),
			Do:   hint.T("On the server, type: sudo foyer doctor. It says why.", "Sur le serveur, tapez : sudo foyer doctor. Il dit pourquoi."),
		}
	}
	if s.certs != nil {
		for _, served := range s.certs.Served(ctx) {
			if f := served.Failure; f != nil {
				return web.Light{What: f.What, Do: f.Do}
			}
		}
	}
	return web.Light{OK: true, What: hint.T("All is well: what your apps store is safe on the disk.", "Tout va bien : ce que vos applications enregistrent est bien sur le disque.")}
}
