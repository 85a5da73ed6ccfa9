package server

import (
	"net"
	"net/http"
	"strings"

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
