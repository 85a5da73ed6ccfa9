package storage

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/server/kinto"
)

// reserve is room on the disk that is held for the day it is full: a file beside
// the database, given up then, so that deletions, logins and changes of a password
// go on. While it is not there the writer is tight and refuses what grows. It is
// made again when there is room for it twice.
type reserve struct {
	path  string
	log   *slog.Logger
	pause time.Duration // between two tries to make it again
	tried time.Time
}

const (
	reserveBytes = 16 << 20
	// slack is how much one deletion may take of it, for what is kept about it
	// elsewhere, and one note, which is gone again soon.
	slack = 4 << 10
)

func newReserve(database string, log *slog.Logger) *reserve {
	return &reserve{path: database + "-reserve", log: log, pause: 5 * time.Second}
}

// keep makes the reserve if it is not there, and reports whether it is, or can be
// done without because nobody knows how full the disk is.
func (r *reserve) keep() bool {
	r.tried = time.Now()
	if fi, err := os.Stat(r.path); err == nil && fi.Size() >= reserveBytes {
		return true
	}
	free, _, err := atomicfile.FreeSpace(filepath.Dir(r.path))
	if err != nil {
		return true
	}
	if free < 2*reserveBytes {
		return false
	}
	return atomicfile.Allocate(r.path, reserveBytes) == nil
}

// full reports whether the disk has no more room than the reserve, which is then
// given up. Something else than the disk may be full.
func (r *reserve) full() bool {
	free, _, err := atomicfile.FreeSpace(filepath.Dir(r.path))
	if err != nil || free >= 2*reserveBytes {
		return false
	}
	if err := os.Remove(r.path); err == nil {
		r.log.Warn("the disk is full; the room held in reserve is given up, and only what takes none is written")
	} else if !errors.Is(err, os.ErrNotExist) {
		r.log.Warn("the disk is full, and the room held in reserve cannot be given up", "err", err)
	}
	return true
}

// squeeze tries jobs again for which there was no room, those that need none; and
// keeps the log short while there is little, so that it does not take what is left.
func (w *writer) squeeze(jobs []*job) {
	for i, j := range jobs {
		if w.tight || !errors.Is(j.Err, kinto.ErrFull) || !w.reserve.full() {
			continue
		}
		w.tight = true
		w.capture.full = w.capture.bytes >= reserveBytes/4 // what it holds is room, too
		for _, j := range jobs[i:] {
			if errors.Is(j.Err, kinto.ErrFull) {
				w.single(j)
			}
		}
	}
	if !w.tight {
		return
	}
	if err := w.c.do("checkpoint").run(); err != nil {
		w.log.Warn("the log cannot be carried over to the database", "err", err)
	}
}

// loosen makes the reserve again when it can.
func (w *writer) loosen() {
	if !w.tight || time.Since(w.reserve.tried) < w.reserve.pause || !w.reserve.keep() {
		return
	}
	w.tight = false
	w.log.Info("there is room on the disk again")
}

// fits is nil when the disk being full does not keep what a job did from being
// written.
func (w *writer) fits(t *tx) error {
	if t.grown <= 0 || t.grown <= int64(t.buried)*slack {
		return nil
	}
	// What was deleted left room in the file itself, for a few times as much.
	free, _, err := w.look(w.c.do("freelist"))
	if err != nil {
		return err
	}
	if free *= pageBytes; free > reserveBytes/4 && 4*t.grown < free {
		return nil
	}
	return kinto.ErrFull
}

// pageBytes is the size of the database's pages.
const pageBytes = 4096
