package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server/refusal"
)

// trouble is what is wrong with the data for more than one request, as far as it is
// known: why the server could not start, or what the storage met. It does not block.
func (s *server) trouble() *hint.Error {
	switch {
	case s.down != nil:
		return s.down
	case s.store != nil:
		return s.store.Trouble()
	}
	return nil
}

// damaged reports whether trouble is one that starting the server again does not mend.
func damaged(e *hint.Error) bool { return e != nil && e.Code == "database-damaged" }

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
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(retry):
			}
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

// apiHeartbeat is the path by which programs ask whether the storage works (protocol §8).
const apiHeartbeat = "/v1/__heartbeat__"

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

// beatless is the answer of __heartbeat__ while the storage is in trouble.
func (s *server) beatless(w http.ResponseWriter) {
	said := map[string]bool{"storage": false, "permission": false, "cache": false}
	if s.Settings.Kinto.Includes("attachment") {
		said["attachments"] = false
	}
	send(w, http.StatusServiceUnavailable, said)
}

// told is trouble as everybody may hear it: paths and reasons are for who looks after the
// server.
func told(t *hint.Error) hint.Text {
	switch t.Code {
	case "database-damaged":
		return hint.T("The database of this server is damaged.", "La base de données de ce serveur est endommagée.")
	case "attachment-damaged":
		return hint.T("Files that were attached are damaged or missing on the disk of this server.", "Des fichiers joints sont abîmés ou absents sur le disque de ce serveur.")
	case "disk-failing":
		return hint.T("The disk of this server fails: what was asked for could not be read or stored.", "Le disque de ce serveur est défaillant : ce qui était demandé n'a pu être lu ou enregistré.")
	}
	return hint.T("This server cannot use its data now.", "Ce serveur ne peut pas utiliser ses données en ce moment.")
}

// refusedBy is what visitors are told of trouble: what it means, and who can do something
// about it.
func refusedBy(t *hint.Error) *refusal.Refusal {
	return refusal.Tell(http.StatusServiceUnavailable, 201,
		hint.T("%s Whoever looks after it sees with `sudo foyer doctor` what to do.", "%s La personne qui s'en occupe voit avec `sudo foyer doctor` quoi faire.", told(t)))
}

// instead is the body for a 503 in JSON while the storage is in trouble: clients are told
// of that, not of overload. nil: there is no trouble.
func (s *server) instead(r *http.Request) []byte {
	t := s.trouble()
	if t == nil || strings.HasSuffix(r.URL.Path, "heartbeat__") {
		return nil
	}
	return refusedBy(t).JSON(s.lang(r))
}
