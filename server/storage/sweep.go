package storage

import (
	"errors"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
)

// settled is how long ago a purged list's timestamp must be to become one with
// those of others: no clock goes back so far, or else all lists made again begin
// after all of these.
const settled = 30 * 24 * time.Hour

// sweep removes a bit of what is gone already: dead lists and what was in them,
// notes whose time is over, timestamps of lists purged long ago.
func (w *writer) sweep() {
	again, err := w.sweepSome()
	if err != nil {
		// Nothing is lost by it but room; it is tried again in a while.
		w.log.Warn("what was deleted could not be cleared away yet", "err", err)
		again = false
	}
	if w.dead = again; !again {
		w.rested = time.Now()
	}
}

func (w *writer) sweepSome() (again bool, err error) {
	now := time.Now()
	pk, found, err := w.look(w.c.do("dead"))
	if found {
		return true, w.alone(func() error { return w.sweepList(pk) })
	} else if err != nil {
		return false, err
	}
	_, found, err = w.look(w.c.do("notes_over").int(1, now.UnixMilli()))
	if found {
		return true, w.alone(func() error { return w.c.do("notes_sweep").int(1, now.UnixMilli()).run() })
	} else if err != nil {
		return false, err
	}
	_, found, err = w.look(w.c.do("log_past"))
	if found {
		return true, w.alone(func() error { return w.c.do("log_sweep").run() })
	} else if err != nil {
		return false, err
	}
	ts, found, err := w.look(w.c.do("floors_past").int(1, now.Add(-settled).UnixMilli()))
	if !found || err != nil {
		return false, err
	}
	return true, w.alone(func() error {
		raised, _, err := w.look(w.c.do("floors_raise").int(1, ts))
		if err != nil {
			return err
		}
		w.capture.add(&changelog.Line{Kind: changelog.Floor, Parent: "#", Time: raised})
		return w.c.do("floors_sweep").int(1, ts).run()
	})
}

// look returns the one number a statement answers, if any.
func (w *writer) look(s *stmt) (n int64, found bool, err error) {
	if found, err = s.step(); !found {
		return 0, false, err
	}
	n, found = s.number(0), !s.null(0)
	s.reset()
	return n, found, nil
}

// alone runs fn in a transaction of its own.
func (w *writer) alone(fn func() error) (err error) {
	if err := w.c.do("begin_immediate").run(); err != nil {
		return err
	}
	defer func() {
		if err != nil && !w.c.autocommit() {
			err = errors.Join(err, w.c.do("rollback").run())
		}
	}()
	if err := w.capture.open(w.c); err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	if err := w.capture.write(w.c); err != nil {
		return err
	}
	if err := w.c.do("commit").run(); err != nil {
		return err
	}
	w.capture.kept()
	return nil
}

// sweepList removes a bit of a dead list; at last, the list.
func (w *writer) sweepList(pk int64) error {
	to, found, err := w.look(w.c.do("sweep_to").int(1, pk))
	if err != nil {
		return err
	}
	if found {
		for _, name := range []string{"sweep_grants", "sweep_members", "sweep_objects"} {
			if err := w.c.do(name).int(1, pk).int(2, to).run(); err != nil {
				return err
			}
		}
		return nil
	}
	if err := w.c.do("sweep_files").int(1, pk).run(); err != nil || w.c.changes() > 0 {
		return err
	}
	return w.c.do("sweep_list").int(1, pk).run()
}
