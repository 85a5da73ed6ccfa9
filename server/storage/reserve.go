package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/diskroom"
	"github.com/foyer-server/foyer/server/kinto"
)

// reserve is room on the disk that is held for the day it is full: a file beside
// the database, given up then, so that deletions, logins and changes of a password
// go on. It is made again when there is room for it twice.
//
// Before that day what grows is refused already (diskroom.Full): the rest of the machine
// needs room, too. The reserve is for when others take what is left.
type reserve struct {
	path   string
	log    *slog.Logger
	look   func() (diskroom.Room, error)
	pause  time.Duration // between two tries to have room again
	tried  time.Time
	looked time.Time
	grown  int64 // bytes that were added since it was looked
	held   bool  // the file is there

	looking atomic.Bool                   // a look is under way, which may hang as the disk does
	full    atomic.Pointer[diskroom.Room] // what the last one found, if that is too little
}

const (
	reserveBytes = 16 << 20
	// slack is how much one deletion may take of it, for what is kept about it
	// elsewhere, and one note, which is gone again soon.
	slack = 4 << 10
	// How full the disk is, is looked at, while there are writes, after so long or so many bytes.
	lookEvery = 50 * time.Millisecond
	lookBytes = 1 << 20
)

func newReserve(database string, log *slog.Logger) *reserve {
	dir := filepath.Dir(database)
	return &reserve{path: database + "-reserve", log: log, look: func() (diskroom.Room, error) { return diskroom.Look(dir) }, pause: 5 * time.Second}
}

// keep makes the reserve if it is not there, and reports whether what grows may be
// written: the reserve is there, and there is more room than that; or nobody knows how full
// the disk is.
func (r *reserve) keep() bool {
	r.tried = time.Now()
	room, err := r.look()
	if fi, err := os.Stat(r.path); err == nil && fi.Size() >= reserveBytes {
		r.held = true
	} else if r.held = false; room.Free >= 2*reserveBytes && atomicfile.Allocate(r.path, reserveBytes) == nil {
		r.held, room.Free = true, room.Free-reserveBytes
	}
	if err != nil {
		return true
	}
	least := diskroom.Begins(diskroom.Full, room.Total)
	return r.held && room.Free >= least+least/4
}

// short reports whether there is so little room that what grows is to be refused, as the last look
// found. It has somebody look now and then, and does not wait: a disk that does not say how full it is
// may be written to all the same.
func (r *reserve) short() bool {
	if (time.Since(r.looked) >= lookEvery || r.grown >= lookBytes) && r.looking.CompareAndSwap(false, true) {
		r.looked, r.grown = time.Now(), 0
		look := r.look
		go func() {
			defer r.looking.Store(false)
			if room, err := look(); err == nil && room.Level() >= diskroom.Full {
				r.full.Store(&room)
			}
		}()
	}
	room := r.full.Swap(nil)
	if room == nil {
		return false
	}
	r.log.Warn("the disk is nearly full; only what takes no room is written", "free", room.Free, "of", room.Total)
	return true
}

// giveUp removes the reserve if the disk has no more room than that, and reports whether it
// did. Something else than the disk may be full.
func (r *reserve) giveUp() bool {
	if room, err := r.look(); !r.held || err != nil || room.Free >= 2*reserveBytes {
		return false
	}
	r.held = false
	if err := os.Remove(r.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		r.log.Warn("the disk is full, and the room held in reserve cannot be given up", "err", err)
		return false
	}
	r.log.Warn("the disk is full; the room held in reserve is given up")
	return true
}

// errGrows: what was asked for takes room, and there is little.
var errGrows = fmt.Errorf("%w: this would take room", kinto.ErrFull)

// squeeze tries jobs again for which there was no room, those that need none; and
// keeps the log short while there is little, so that it does not take what is left.
func (w *writer) squeeze(jobs []*job) {
	for i, j := range jobs {
		if !errors.Is(j.Err, kinto.ErrFull) || errors.Is(j.Err, errGrows) || !w.reserve.giveUp() {
			continue
		}
		w.squeezed()
		for _, j := range jobs[i:] {
			if errors.Is(j.Err, kinto.ErrFull) && !errors.Is(j.Err, errGrows) {
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

// squeezed has what grows refused from now on, and the log of changes cut where much waits in
// it: what it holds is room, too.
func (w *writer) squeezed() {
	w.tight = true
	w.capture.full = w.capture.full || w.capture.bytes >= reserveBytes/4
}

// room has the writer see how much there is on the disk.
func (w *writer) room() {
	if !w.tight {
		if w.reserve.short() {
			w.squeezed()
		}
		return
	}
	if time.Since(w.reserve.tried) < w.reserve.pause || !w.reserve.keep() {
		return
	}
	w.tight = false
	w.log.Info("there is room on the disk again")
}

// fits is nil when there being little room does not keep what a job did from being
// written; else errGrows.
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
	return errGrows
}

// pageBytes is the size of the database's pages.
const pageBytes = 4096
