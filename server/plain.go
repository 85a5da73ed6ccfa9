package server

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/netname"
	"github.com/foyer-server/foyer/internal/site"
	"github.com/foyer-server/foyer/server/front"
	"github.com/foyer-server/foyer/server/refusal"
	"github.com/foyer-server/foyer/server/web"
)

// plain answers on the plain HTTP port of a server that has HTTPS: the pages that
// teach how to trust, and otherwise the way there. It never sees a password in a
// form of ours, and serves nothing that is anybody's.
func (s *server) plain(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	switch {
	case s.site.Where(path)&web.Plain != 0:
		s.site.ServeHTTP(w, r)
	case path == heartbeat && reads(r):
		beat(w)
	case path == "/" && browser(r) && !s.trusted(r, 0):
		// Somebody typed the name. Their device may not trust us yet: a page that
		// explains comes before a warning that does not.
		lead(w, http.StatusTemporaryRedirect, "/start")
	case !strings.HasPrefix(path, "/"):
		fail(w, s.lang(r), refusal.Path)
	default:
		target := strings.TrimSuffix(called{s}.secure(r), "/") + r.URL.EscapedPath()
		if r.URL.RawQuery != "" {
			target += "?" + r.URL.RawQuery
		}
		// Not 308, which browsers remember for ever: ports and names may change.
		lead(w, http.StatusTemporaryRedirect, target)
	}
}

// patience is how long everybody must have trusted a name's certificates before
// browsers are told to come by HTTPS only. They are not told to warn for ever: a
// year, and never by a name the home CA signs.
const patience = 7 * 24 * time.Hour

// trusted reports whether r came by a name whose certificates everybody has
// trusted for so long.
func (s *server) trusted(r *http.Request, since time.Duration) bool {
	if s.certs == nil {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	_, err := netip.ParseAddr(host) // RFC 6797 §8.1.1: never for an address
	return err != nil && s.certs.TrustedFor(host) >= since
}

// strict tells browsers to come by HTTPS only (RFC 6797), by names that can bear it.
func (s *server) strict(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.trusted(r, patience) {
			w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		}
		next(w, r)
	}
}

// fronted answers what a proxy that ends TLS passes on. A visitor of whom it says
// that they came without is led to where they are safe.
func (s *server) fronted(w http.ResponseWriter, r *http.Request) {
	if front.Told(r) == "http" && r.URL.Path != heartbeat && strings.HasPrefix(r.URL.Path, "/") {
		target := "https://" + r.Host + r.URL.EscapedPath()
		if r.URL.RawQuery != "" {
			target += "?" + r.URL.RawQuery
		}
		lead(w, http.StatusTemporaryRedirect, target)
		return
	}
	s.route(w, r)
}

// behind is a listener whose connections a proxy may begin.
func (s *server) behind(l net.Listener) net.Listener {
	return s.front.Listener(l, seconds(s.Settings.Limits.HeaderSeconds))
}

// secure is the address of our HTTPS for whoever sent r: "https://HOST[:PORT]/".
// HOST is what they called us by, if that is a name of ours or an IP address;
// a name we do not know (the router's own for us, or somebody's trick) becomes
// the private address they came to, for which we have a certificate.
func (s called) secure(r *http.Request) string {
	if site.Of(s.Settings).BehindProxy() { // the proxy alone knows the names it has certificates for
		return "https://" + r.Host + "/"
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
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
	if s.port != 443 {
		return "https://" + net.JoinHostPort(host, strconv.Itoa(s.port)) + "/"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return "https://" + host + "/"
}
