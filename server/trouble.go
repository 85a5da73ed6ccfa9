package server

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/refusal"
	"github.com/foyer-server/foyer/server/web"
)

// trouble is what is wrong with the data for more than one request, as far as it is
// known: why the server could not start, or what the storage met. It does not block.
func (s *server) trouble() *hint.Error {
	switch {
	case s.down != nil:
		return s.down
	case s.store == nil:
		return nil
	case s.store.Trouble() == nil && s.Safe:
		return safeMode()
	}
	return s.store.Trouble()
}

// damaged reports whether trouble is one that starting the server again does not mend.
func damaged(e *hint.Error) bool { return e != nil && e.Code == "database-damaged" }

// met is what is wrong with some of the data, as a check or a request met it; nil: nothing is
// known. It does not block.
func (s *server) met() *hint.Error {
	if e := s.unreadable.Load(); e != nil {
		return e
	}
	if s.files != nil {
		return s.files.Trouble()
	}
	return nil
}

// told is trouble as everybody may hear it: paths and reasons are for who looks after the
// server.
func told(t *hint.Error) hint.Text {
	switch t.Code {
	case "database-damaged":
		return hint.T("The database of this server is damaged.", "La base de données de ce serveur est endommagée.")
	case "safe-mode":
		return hint.T("This server shows what it has, and stores nothing new for now.", "Ce serveur montre ce qu'il a, et n'enregistre rien de nouveau pour l'instant.")
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
