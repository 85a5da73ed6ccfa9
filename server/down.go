package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/pause"
)

// retry is how often a server that could not start looks whether it could now.
const retry = 5 * time.Second

// standIn answers for a server that could not start for a reason that a person can act
// on: the supervisor is told the reason, and visitors that their request is refused, by
// HTTPS too where the certificates could be opened. It returns cause when the data can be
// opened again or ctx has ended: a new process then starts afresh. Without a supervisor
// that listens, or without such a reason, it returns at once.
func (s *server) standIn(ctx context.Context, door *localDoor, cause error) error {
	s.down = hint.Find(cause)
	if s.down == nil || len(door.servers) == 0 {
		return cause
	}
	s.Log.Error("the server cannot start", "code", s.down.Code, "what", s.down.What.EN, "err", cause)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel()
		for pause.For(ctx, retry) {
			if s.opens(ctx) {
				return
			}
		}
	})
	err := s.serve(ctx, door)
	cancel()
	wg.Wait()
	return errors.Join(cause, err)
}

// opens reports whether the storage can be opened.
func (s *server) opens(ctx context.Context) bool {
	probe := &server{Config: s.Config}
	probe.Log = slog.New(slog.DiscardHandler)
	db, err := probe.openData(ctx)
	if err != nil {
		return false
	}
	return db.Close() == nil
}

// refuse answers everything while the server is down.
func (s *server) refuse(w http.ResponseWriter, r *http.Request) {
	no := refusedBy(s.trouble()).After(30 * time.Second)
	switch {
	case r.URL.Path == apiHeartbeat:
		w.Header().Set("Retry-After", no.RetryAfter())
		s.beatless(w)
	case browser(r):
		h := w.Header()
		h.Set("Retry-After", no.RetryAfter())
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(no.Text.In(s.lang(r)) + "\n")) // a client that is gone is nobody to tell
	default:
		fail(w, s.lang(r), no)
	}
}
