// Package event is the one memory of what happened on this server, and of what Foyer did
// about it: durable, bounded, readable after a death.
//
// Adding an event waits for no disk. It is in memory at once, and written soon after by
// Run, which tries again when the disk does not take it.
//
// Used by the supervisor; read by the status, and later by pages, notifications and the
// support bundle.
package event

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/jsonlines"
	"github.com/foyer-server/foyer/internal/report"
)

// Event is something that happened, or that Foyer did, as everybody is told it.
type Event = report.Event

// What a Log keeps.
const (
	Most    = 2000 // events
	fewest  = 100  // however old
	longest = 90 * 24 * time.Hour
	// together is how soon after the last time the same thing is counted with it, rather
	// than told again.
	together = time.Hour
)

// How Run writes.
const (
	gather = time.Second // what happens within is written together
	again  = time.Minute // after a write that failed
)

// File is the name of the file in the folder of a Log.
const File = "events"

// Log holds events. It is safe for concurrent use. Only Open and Run touch the disk.
type Log struct {
	path string // empty: nothing is kept beyond this process
	log  *slog.Logger
	wake chan struct{}

	mu      sync.Mutex // guards what follows
	events  []Event    // oldest first
	pending []Event    // to be written; those that a later one replaces, too
	lines   int        // in the file
}

// Open reads what the file in folder dir holds; what cannot be read is left out, and
// logged. With no dir nothing is kept beyond this process. It blocks as long as the disk does.
func Open(dir string, log *slog.Logger) *Log {
	l := &Log{log: log, wake: make(chan struct{}, 1)}
	if dir == "" {
		return l
	}
	l.path = filepath.Join(dir, File)
	data, err := os.ReadFile(l.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("cannot read what happened before", "err", err)
	}
	whole, damaged := jsonlines.Read(data, func(raw json.RawMessage) error {
		var e Event
		if err := json.Unmarshal(raw, &e); err != nil {
			return err
		}
		l.lines++
		l.put(e)
		return nil
	})
	if damaged > 0 {
		log.Warn("lines of what happened before are damaged", "path", l.path, "lines", damaged)
	}
	l.trim(time.Now())
	if damaged > 0 || whole < len(data) {
		l.spoilt()
	}
	return l
}

// spoilt has the file written anew the next time: half a line at its end would spoil the
// next one.
func (l *Log) spoilt() { l.lines = 2*Most + 1 }

// put adds an event, or replaces the one of its ID.
func (l *Log) put(e Event) {
	if i, found := slices.BinarySearchFunc(l.events, e.ID, func(f Event, id uint64) int { return cmp.Compare(f.ID, id) }); found {
		l.events[i] = e
	} else {
		l.events = slices.Insert(l.events, i, e)
	}
}

// trim forgets what is too much or too old, but for the newest few: the clock may be wrong.
func (l *Log) trim(now time.Time) {
	l.events = l.events[max(0, len(l.events)-Most):]
	for len(l.events) > fewest && now.Sub(l.events[0].When()) > longest {
		l.events = l.events[1:]
	}
}

// Add adds what happened, now or At; ID, Times and Last are the Log's to set. What is the
// same as the newest event, and comes within an hour of it, is counted with it.
func (l *Log) Add(e Event) {
	e = hint.Clean(e) // it may quote routers, authorities, programs
	l.mu.Lock()
	if e.At.IsZero() {
		e.At = time.Now()
	}
	if n := len(l.events); n > 0 && l.events[n-1].Same(e) && e.At.Sub(l.events[n-1].When()) < together {
		newest := &l.events[n-1]
		newest.Times, newest.Last, newest.Number = max(1, newest.Times)+1, e.At, e.Number
		e = *newest
	} else {
		e.ID, e.Times, e.Last = 1, 0, time.Time{}
		if n > 0 {
			e.ID = l.events[n-1].ID + 1
		}
		l.events = append(l.events, e)
		l.trim(time.Now())
	}
	if l.path != "" {
		if n := len(l.pending); n > 0 && l.pending[n-1].ID == e.ID {
			l.pending[n-1] = e
		} else {
			l.pending = append(l.pending, e)
			l.pending = l.pending[max(0, len(l.pending)-Most):]
		}
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default: // it is to be woken already
	}
}

// Newest returns the newest n events, newest first.
func (l *Log) Newest(n int) []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := slices.Clone(l.events[max(0, len(l.events)-n):])
	slices.Reverse(out)
	return out
}

// Run writes what is added until ctx ends, and then what is left.
func (l *Log) Run(ctx context.Context) {
	if l.path == "" {
		<-ctx.Done()
		return
	}
	failed := false
	for {
		wait := gather
		if failed {
			wait = again
		} else {
			select {
			case <-l.wake:
			case <-ctx.Done():
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		ended := ctx.Err() != nil // before the last write: what is added during one is written by the next
		err := l.write()
		if err != nil && !failed {
			l.log.Warn("cannot keep what happened; it is tried again", "err", err)
		}
		failed = err != nil
		if ended {
			return
		}
	}
}

// write writes what is pending: at the end of the file, or as a whole new file when
// that holds much that is over.
func (l *Log) write() error {
	l.mu.Lock()
	pending := slices.Clone(l.pending)
	anew := l.lines+len(pending) > Most+len(l.events)
	all := pending
	if anew {
		l.trim(time.Now())
		all = slices.Clone(l.events)
	}
	l.mu.Unlock()
	if len(pending) == 0 {
		return nil
	}
	var text []byte
	for _, e := range all {
		var err error
		if text, err = jsonlines.Append(text, e); err != nil {
			return err
		}
	}
	if err := l.store(text, anew); err != nil {
		l.mu.Lock()
		l.spoilt()
		l.mu.Unlock()
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines += len(all)
	if anew {
		l.lines = len(all)
	}
	wrote := func(e Event) bool {
		i := slices.IndexFunc(pending, func(p Event) bool { return p.ID == e.ID })
		return i >= 0 && pending[i].Times == e.Times
	}
	l.pending = slices.DeleteFunc(l.pending, wrote)
	return nil
}

func (l *Log) store(text []byte, anew bool) error {
	if anew {
		return atomicfile.Write(l.path, text, 0o600)
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("cannot open the file of events: %w", err)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
