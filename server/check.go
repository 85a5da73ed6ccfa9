package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tidwall/gjson"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server/kinto"
)

// structured is a store that has a file of its own, and can look whether that fits together.
type structured interface {
	// Examine reads all of it; full: and compares what is there twice. Damage is a
	// *hint.Error with the code database-damaged, and known to the store from then on.
	Examine(ctx context.Context, full bool) error
}

// check looks through the database beside whatever else goes on: by POST /check?how=quick
// whether its file fits together, by how=full whether each object in it can be read, too. It
// ends when whoever asked goes.
func (s private) check(w http.ResponseWriter, r *http.Request) {
	full := r.URL.Query().Get("how") == "full"
	w.Header().Set("Content-Type", "application/x-ndjson")
	out, flush := json.NewEncoder(w), http.NewResponseController(w)
	tell := func(l report.CheckLine) {
		out.Encode(l) //nolint:errcheck // whoever asked has gone: the context says so
		flush.Flush() //nolint:errcheck // as above
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.beside, cancel)() // a server that ends does not wait for it
	last := report.CheckLine{Ended: true}
	var err error
	last.Done, last.Of, err = s.examine(ctx, full, tell)
	if err != nil {
		last.Error = report.ProblemOf(err)
	}
	tell(last)
}

func (s private) examine(ctx context.Context, full bool, tell func(report.CheckLine)) (done, of int64, err error) {
	if db, ok := s.store.(structured); ok {
		said := hint.T("Looking whether the database's file fits together.", "Examen de la cohérence du fichier de la base.")
		tell(report.CheckLine{Said: &said})
		if err := db.Examine(ctx, full); err != nil {
			return 0, 0, err
		}
	}
	err = s.store.Read(ctx, func(tx kinto.Reader) error {
		of = 0
		objects, _, err := tx.Totals()
		for _, n := range objects {
			of += int64(n)
		}
		return err
	})
	if err != nil || !full {
		return 0, of, err
	}
	said := hint.T("Reading every object.", "Lecture de chaque objet.")
	tell(report.CheckLine{Of: of, Said: &said})
	told := time.Now()
	for _, kind := range kinto.Kinds() {
		var lists []kinto.List
		err := s.store.Read(ctx, func(tx kinto.Reader) (err error) {
			lists, err = tx.Lists(kind)
			return err
		})
		if err != nil {
			return done, of, err
		}
		for _, l := range lists {
			err := s.readAll(ctx, l, func(n int) {
				done += int64(n)
				if time.Since(told) > 200*time.Millisecond {
					told = time.Now()
					tell(report.CheckLine{Done: done, Of: max(of, done)})
				}
			})
			if err != nil {
				s.cannotRead(err)
				return done, of, err
			}
		}
	}
	s.unreadable.Store(nil)
	return done, max(of, done), nil
}

// cannotRead keeps that a check met an object that is not what was written, until one reads
// every object.
func (s private) cannotRead(err error) {
	if e := hint.Find(err); e != nil && e.Code == "database-damaged" {
		s.unreadable.Store(e)
	}
}

// checkPage is how many objects are read at a time: others have their turn in between.
const checkPage = 500

// readAll reads every object of a list, the newest first. What is changed meanwhile was
// written a moment ago, and need not be read.
func (s private) readAll(ctx context.Context, l kinto.List, read func(n int)) error {
	q := kinto.Everything()
	q.Limit = checkPage
	for more := true; more; {
		var found []kinto.Object
		err := s.store.Read(ctx, func(tx kinto.Reader) (err error) {
			found, more, err = tx.Select(l, q)
			return err
		})
		if err != nil {
			return err
		}
		for i := range found {
			if o := &found[i]; !gjson.ValidBytes(o.Data) || len(o.Permissions) > 0 && !gjson.ValidBytes(o.Permissions) {
				return unreadable(l.URI(o.ID))
			}
		}
		if len(found) > 0 {
			q.Before = found[len(found)-1].Timestamp
		}
		more = more && len(found) > 0
		read(len(found))
	}
	return nil
}

// unreadable says that one object is not what was written.
func unreadable(uri string) error {
	return hint.New("database-damaged",
		hint.T("The database of this server is damaged: %s cannot be read any more.", "La base de données de ce serveur est endommagée : %s n'est plus lisible.", uri), hint.Text{},
		hint.T("Copy the data folder to another disk before anything else; then put an older copy of it back, if you have one.", "Avant tout, copiez le dossier des données sur un autre disque ; remettez ensuite une copie plus ancienne, si vous en avez une.")).
		Because(fmt.Errorf("%w: %s", errors.New("it is no JSON"), uri))
}
