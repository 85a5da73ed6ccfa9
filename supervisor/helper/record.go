package helper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/job"
)

// What is kept of requests.
const (
	mostRecords = 100
	mostStarts  = 3 // of one request that is cut off again and again
	mostSaid    = 20
	resultBytes = 64 << 10
	savedEvery  = time.Second // how far a verb is
)

// records is the folder of records, which group gid may read and root alone writes.
type records struct {
	dir string
	gid int
}

// openRecords makes the folder, if need be.
func openRecords(dir string, gid int) (*records, error) {
	if err := os.Mkdir(dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("cannot make the folder of records: %w", err)
	}
	if err := errors.Join(os.Chown(dir, -1, gid), os.Chmod(dir, 0o750)); err != nil {
		return nil, fmt.Errorf("cannot give away the folder of records: %w", err)
	}
	return &records{dir, gid}, atomicfile.SyncDir(filepath.Dir(dir))
}

func (s *records) save(r job.Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return atomicfile.WriteAs(filepath.Join(s.dir, file(r.ID)), text, 0o640, -1, s.gid)
}

func (s *records) load(id string) (r job.Record, err error) {
	text, err := os.ReadFile(filepath.Join(s.dir, file(id)))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}

// all are the records there are, the oldest first; what is none is removed.
func (s *records) all(log *slog.Logger) (out []job.Record, err error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read the folder of records: %w", err)
	}
	for _, e := range entries {
		id, _ := strings.CutSuffix(e.Name(), ".json")
		r, err := s.load(id)
		if err == nil && r.ID == id {
			out = append(out, r)
			continue
		}
		log.Warn("a record cannot be read; it is removed", "record", e.Name(), "err", err)
		if err := os.Remove(filepath.Join(s.dir, e.Name())); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// forget removes the oldest records when there are too many.
func (s *records) forget(log *slog.Logger) error {
	all, err := s.all(log)
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b job.Record) int { return a.Asked.Compare(b.Asked) })
	for _, r := range all[:max(0, len(all)-mostRecords)] {
		if err := os.Remove(filepath.Join(s.dir, file(r.ID))); err != nil {
			return err
		}
	}
	return nil
}

// Task is a verb as its function sees it. Its methods are safe for concurrent use; like
// those of a job they say how it goes, and an error of the disk does not stop the work.
type Task struct {
	records *records
	log     *slog.Logger

	mu    sync.Mutex
	r     job.Record
	saved time.Time
}

// Args are what was asked for: checked by the table.
func (t *Task) Args() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.r.Args)
}

// Progress says how far it is; of is 0 where nobody knows.
func (t *Task) Progress(done, of int64, unit hint.Text) {
	t.change(false, func(r *job.Record) { r.Done, r.Of, r.Unit = done, of, unit })
}

// Say adds a line of what it does.
func (t *Task) Say(what hint.Text) {
	t.change(true, func(r *job.Record) {
		r.Said = append(slices.Clone(r.Said), hint.Clean(what))
		r.Said = r.Said[max(0, len(r.Said)-mostSaid):]
	})
}

// Result says what came of it: JSON of at most 64 KiB.
func (t *Task) Result(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(text) > resultBytes {
		return fmt.Errorf("the result has %d bytes, and may have %d", len(text), resultBytes)
	}
	t.change(true, func(r *job.Record) { r.Result = text })
	return nil
}

// change changes the record, and writes it: at once, or once a second.
func (t *Task) change(now bool, f func(*job.Record)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.r)
	if !now && time.Since(t.saved) < savedEvery {
		return
	}
	t.saved = time.Now()
	if err := t.records.save(t.r); err != nil {
		t.log.Warn("a record is not on the disk", "record", t.r.ID, "err", err)
	}
}

// end writes how it came out; a run that is told to end before it is done is cut off.
func (t *Task) end(ctx context.Context, err error) job.State {
	state := job.Done
	switch {
	case err == nil:
	case ctx.Err() != nil:
		state = job.CutOff
	default:
		state = job.Failed
	}
	t.change(true, func(r *job.Record) {
		r.State, r.Ended = state, time.Now()
		if state == job.Failed {
			r.Error = report.ProblemOf(err)
		}
	})
	return state
}
