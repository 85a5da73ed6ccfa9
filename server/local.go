package server

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/knock"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server/follow"
	"github.com/foyer-server/foyer/server/front"
	"github.com/foyer-server/foyer/server/refusal"
)

// localDoor answers the supervisor from the moment the process is there: a database that
// takes long to open is no server that hangs.
type localDoor struct {
	handler atomic.Pointer[http.HandlerFunc]
	servers []*http.Server
	failed  chan error
	wg      sync.WaitGroup
	close   func() // lets requests in flight finish; may be called again
}

// openLocal begins to answer on the Local listeners of cfg, if there are any.
func openLocal(cfg Config) *localDoor {
	s := &server{Config: cfg}
	d := &localDoor{failed: make(chan error, len(cfg.Listeners))}
	d.use(func(w http.ResponseWriter, _ *http.Request) {
		send(w, http.StatusServiceUnavailable, report.Health{Version: cfg.Version, Opening: true, Words: map[hint.Lang][]string{}, Names: []string{}})
	})
	for _, l := range cfg.Listeners {
		if l.Name != host.Local {
			continue
		}
		srv := s.httpServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*d.handler.Load())(w, r) }))
		d.servers = append(d.servers, srv)
		d.wg.Go(func() {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				d.failed <- err
			}
		})
	}
	d.close = sync.OnceFunc(func() {
		s.shutdown(d.servers)
		d.wg.Wait()
	})
	return d
}

// use has h answer from now on.
func (d *localDoor) use(h http.HandlerFunc) { d.handler.Store(&h) }

// private is what a server tells its supervisor alone, on the socket of those two.
type private struct{ *server }

// answer answers there: how the server is, what it holds, what happened, that a nonce was
// made for which somebody will come, and whoever follows the data (package follow).
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
	case follow.Answers(r.URL.Path) && s.follow != nil:
		s.follow.ServeHTTP(w, r)
	case follow.Answers(r.URL.Path):
		fail(w, hint.EN, refusal.Busy) // the data are not open
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
