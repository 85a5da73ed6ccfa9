package server

import (
	"io"
	"net/http"
	"slices"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/knock"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server/front"
	"github.com/foyer-server/foyer/server/refusal"
)

// private is what a server tells its supervisor alone, on the socket of those two.
type private struct{ *server }

// answer answers there: how the server is, what it holds, what happened, and that a nonce
// was made for which somebody will come.
func (s private) answer(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/health" && reads(r):
		s.health(w, r)
	case r.URL.Path == "/events" && reads(r) && s.people != nil:
		s.happened(w, r)
	case r.URL.Path == "/check" && r.Method == http.MethodPost && s.down == nil && s.store != nil:
		s.check(w, r)
	case r.URL.Path == "/usage" && r.Method == http.MethodPost && s.down == nil && s.store != nil:
		s.usage(w, r)
	case r.URL.Path == knock.Local && r.Method == http.MethodPost && s.down == nil:
		nonce, err := io.ReadAll(io.LimitReader(r.Body, 64))
		if err != nil || !s.dial.Expect(string(nonce)) {
			fail(w, hint.EN, refusal.New(http.StatusBadRequest, 107, "That is no nonce, or one too many."))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		fail(w, hint.EN, refusal.Absent)
	}
}

// unanswered tells the supervisor alone why its question has no answer now.
func unanswered(err error) *refusal.Refusal {
	return refusal.New(http.StatusServiceUnavailable, 201, hint.Short(err.Error(), 200))
}

// happened tells what happened to people, oldest first, each numbered in the order of
// the data.
func (s private) happened(w http.ResponseWriter, r *http.Request) {
	all, err := s.people.Happened(r.Context())
	if err != nil {
		fail(w, hint.EN, unanswered(err))
		return
	}
	out := []report.Event{}
	for _, e := range slices.Backward(all) {
		out = append(out, report.Event{At: e.At, Code: "person-" + string(e.What), Subject: e.Who, What: e.Text(), Number: e.N})
	}
	send(w, http.StatusOK, out)
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
