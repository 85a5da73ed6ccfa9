package server

import (
	"net/http"
	"net/netip"
	"time"
)

// hstsAfter is how long everybody must have trusted a name's certificates before
// browsers are told to come by HTTPS only. They are not told to warn for ever: a
// year, and never by a name the home CA signs.
const hstsAfter = 7 * 24 * time.Hour

// trusted reports whether r came by a name whose certificates everybody has
// trusted for so long.
func (s *server) trusted(r *http.Request, since time.Duration) bool {
	if s.certs == nil {
		return false
	}
	host := hostOf(r)
	_, err := netip.ParseAddr(host) // RFC 6797 §8.1.1: never for an address
	return err != nil && s.certs.TrustedFor(host) >= since
}

// strict tells browsers to come by HTTPS only (RFC 6797), by names that can bear it.
func (s *server) strict(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.trusted(r, hstsAfter) {
			w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		}
		next(w, r)
	}
}
