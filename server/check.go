package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/tidwall/gjson"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/pause"
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
// whether its file fits together, by how=full whether each object in it can be read, too, and
// each attached file is what was attached. It ends when whoever asked goes.
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
	attached := map[string]bool{} // hashes
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
			err := s.readAll(ctx, l, attached, func(n int) {
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
	of = max(of, done)
	if len(attached) == 0 {
		return done, of, nil
	}
	said = hint.T("Reading every attached file: %d.", "Lecture de chaque fichier joint : %d.", len(attached))
	tell(report.CheckLine{Done: done, Of: of, Said: &said})
	return done, of, s.readFiles(ctx, attached)
}

// readFiles reads the contents of attachments, and has what is damaged or missing known (Trouble).
// Half of the time the disk is left to others.
func (s private) readFiles(ctx context.Context, hashes map[string]bool) error {
	damaged := 0
	for hash := range hashes {
		began := time.Now()
		err := s.files.Verify(ctx, hash)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist):
			held, err := s.kinto.Holds(ctx, hash)
			if err != nil {
				return err
			}
			if held { // else its record went meanwhile
				s.files.Lost(hash)
				damaged++
				s.Log.Error("an attached file is not there", "hash", hash)
			}
		case err != nil:
			damaged++
			s.Log.Error("an attached file cannot be read as it was attached", "hash", hash, "err", err)
		}
		if !pause.For(ctx, min(time.Since(began), longestRest)) {
			return ctx.Err()
		}
	}
	if damaged == 0 {
		return nil
	}
	if e := s.files.Trouble(); e != nil {
		return e
	}
	return fmt.Errorf("%d attached files could not be read", damaged)
}

// longestRest is how long a check rests after a file at most.
const longestRest = 5 * time.Second

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
// written a moment ago, and need not be read. The hashes of what is attached are added to attached.
func (s private) readAll(ctx context.Context, l kinto.List, attached map[string]bool, read func(n int)) error {
	q := kinto.Everything()
	q.Limit = checkPage
	for more := true; more; {
		var found []kinto.Object
		err := s.store.Read(ctx, func(tx kinto.Reader) (err error) {
			found, more, err = tx.Select(l, q)
			for i := range found {
				if o := &found[i]; err == nil && bytes.Contains(o.Data, []byte(kinto.FileScheme)) {
					var f *kinto.File
					if f, err = tx.Attached(l, o.ID); f != nil {
						attached[f.Hash] = true
					}
				}
			}
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
