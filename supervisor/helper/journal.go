package helper

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/jsonlines"
)

// What a line of the journal says.
const (
	opIntent  = "intent"  // a verb is about to be done
	opEnded   = "ended"   // and has ended
	opTrial   = "trial"   // what is on trial waits, or goes back, Why
	opRefused = "refused" // N requests were no good, the last one for Why
)

// entry is a line of the journal.
type entry struct {
	V    int               `json:"v"` // 1
	At   time.Time         `json:"at"`
	Op   string            `json:"op"`
	ID   string            `json:"id,omitempty"`
	Verb string            `json:"verb,omitempty"`
	Args map[string]string `json:"args,omitempty"`
	Boot string            `json:"boot,omitempty"` // of the machine
	N    int               `json:"n,omitempty"`
	Why  string            `json:"why,omitempty"`
}

// mostEntries is how many lines are kept; when there are twice as many the oldest go. What
// limits count is never among those: a day has fewer.
const mostEntries = 1000

const day = 24 * time.Hour

// journal is what root did at the request of others: on the disk before it is done. The
// limits of verbs are counted from it, so that neither a restart nor a power cut resets them.
type journal struct {
	path    string
	log     *slog.Logger
	entries []entry
}

// openJournal reads the journal at path; a torn end, and lines that are damaged, are left out.
func openJournal(path string, log *slog.Logger) (*journal, error) {
	j := &journal{path: path, log: log}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot read the journal: %w", err)
	}
	whole, damaged := jsonlines.Read(data, func(raw json.RawMessage) error {
		var e entry
		if err := json.Unmarshal(raw, &e); err != nil {
			return err
		}
		j.entries = append(j.entries, e)
		return nil
	})
	if damaged > 0 {
		log.Warn("lines of the journal are damaged", "path", path, "lines", damaged)
	}
	if whole < len(data) || damaged > 0 || len(j.entries) > 2*mostEntries {
		return j, j.shorten()
	}
	return j, nil
}

// shorten writes the journal anew with what has to be kept.
func (j *journal) shorten() error {
	now := time.Now()
	var keep []entry
	var text []byte
	for i, e := range j.entries {
		if i < len(j.entries)-mostEntries && !e.counts(now, day) {
			continue
		}
		var err error
		if text, err = jsonlines.Append(text, e); err != nil {
			return err
		}
		keep = append(keep, e)
	}
	if err := atomicfile.Write(j.path, text, 0o600); err != nil {
		return fmt.Errorf("cannot write the journal: %w", err)
	}
	j.entries = keep
	return nil
}

// counts reports whether an entry is of something done within d. A clock that was put right
// meanwhile may have it lie ahead.
func (e entry) counts(now time.Time, d time.Duration) bool {
	return e.Op == opIntent && now.Sub(e.At).Abs() < d
}

// write adds a line; it is on the disk when write returns.
func (j *journal) write(e entry) error {
	e.V, e.At = 1, time.Now().UTC()
	text, err := jsonlines.Append(nil, e)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write the journal: %w", err)
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Write(text)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil { // half a line must not spoil the next one
		f.Truncate(end) //nolint:errcheck // the write has failed already
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cannot write the journal: %w", err)
	}
	if end == 0 {
		if err := atomicfile.SyncDir(filepath.Dir(j.path)); err != nil {
			return err
		}
	}
	if j.entries = append(j.entries, e); len(j.entries) > 2*mostEntries {
		return j.shorten()
	}
	return nil
}

// spent is why a verb cannot be done once more for now; nil: it can.
func (j *journal) spent(v Verb) error {
	now, hour, today := time.Now(), 0, 0
	for _, e := range j.entries {
		if e.Verb != v.Name {
			continue
		}
		if e.counts(now, time.Hour) {
			hour++
		}
		if e.counts(now, day) {
			today++
		}
	}
	if hour < v.PerHour && today < v.PerDay {
		return nil
	}
	return hint.New("helper-limit",
		hint.T("%s: that was done %d times within an hour and %d times within a day; %d and %d are the limits.", "%s : fait %d fois en une heure et %d fois en un jour ; les limites sont %d et %d.", v.Title, hour, today, v.PerHour, v.PerDay),
		hint.T("It was not done again.", "Ce n'a pas été refait."), hint.T("Try again later.", "Réessayez plus tard."))
}

// intent is what was noted before a request was begun; ok is false when nothing was.
func (j *journal) intent(id string) (found entry, ok bool) {
	for _, e := range j.entries {
		if e.Op == opIntent && e.ID == id {
			found, ok = e, true
		}
	}
	return found, ok
}
