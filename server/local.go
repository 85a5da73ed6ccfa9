package server

import (
	"io"
	"net/http"

	"github.com/foyer-server/foyer/internal/knock"
	"github.com/foyer-server/foyer/server/front"
)

// local answers on the private socket, to the supervisor alone: how the server is,
// and that a nonce was made for which somebody will come.
func (s *server) local(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/health" && reads(r):
		s.health(w, r)
	case r.URL.Path == "/check" && r.Method == http.MethodPost && s.down == nil && s.store != nil:
		s.check(w, r)
	case r.URL.Path == "/usage" && r.Method == http.MethodPost && s.down == nil && s.store != nil:
		s.usage(w, r)
	case r.URL.Path == knock.Local && r.Method == http.MethodPost && s.down == nil:
		nonce, err := io.ReadAll(io.LimitReader(r.Body, 64))
		if err != nil || !s.dial.Expect(string(nonce)) {
			fail(w, http.StatusBadRequest, 107, "That is no nonce, or one too many.")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		fail(w, http.StatusNotFound, 111, "The resource you are looking for could not be found.")
	}
}

// proven answers whoever comes with a nonce that is expected, whether or not there
// is an owner, and leaves everything else to next.
func (s *server) proven(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.dial.Proves(w, r, front.Scheme(r)) {
			next(w, r)
		}
	}
}
