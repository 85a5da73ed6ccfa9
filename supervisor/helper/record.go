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
	"unicode"

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

// forget removes the records of what ended first when there are too many.
func (s *records) forget(log *slog.Logger) error {
	all, err := s.all(log)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(r job.Record) bool { return !r.State.Ended() })
	slices.SortFunc(all, func(a, b job.Record) int { return a.Ended.Compare(b.Ended) })
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
	folder  string            // of a trial; empty: it is none
	values  map[string]string // those of a request, while it is done for the first time
	secrets []string          // among them: what must not be written

	mu    sync.Mutex
	r     job.Record
	saved time.Time
}

// newTask is verb v with a record, which is that of a request with values.
func newTask(s *server, v Verb, r job.Record, values map[string]string) *Task {
	t := &Task{records: s.records, log: s.Log, values: values, r: r}
	if v.Trial {
		t.folder = s.folder(v.Name)
	}
	for _, key := range v.Secrets {
		parts := strings.FieldsFunc(values[key], func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(",;", r) })
		for _, part := range append(parts, values[key]) {
			if _, word, ok := strings.Cut(part, "="); ok && len(word) >= secretBytes {
				t.secrets = append(t.secrets, word)
			}
			if len(part) >= secretBytes {
				t.secrets = append(t.secrets, part)
			}
		}
	}
	slices.SortFunc(t.secrets, func(a, b string) int { return len(b) - len(a) })
	return t
}

// secretBytes is how long a word has to be to be taken out of what is said: a shorter one
// is a part of others.
const secretBytes = 6

// scrub takes the secrets out of what others say.
func (t *Task) scrub(s string) string {
	for _, secret := range t.secrets {
		s = strings.ReplaceAll(s, secret, "…")
	}
	return s
}

func (t *Task) scrubText(x hint.Text) hint.Text {
	x.EN, x.FR = t.scrub(x.EN), t.scrub(x.FR)
	return hint.Clean(x)
}

// problem is an error as a record keeps it.
func (t *Task) problem(err error) *report.Problem {
	p := report.ProblemOf(err)
	p.What, p.Did, p.Do = t.scrubText(p.What), t.scrubText(p.Did), t.scrubText(p.Do)
	return p
}

func (t *Task) id() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.r.ID
}

// Args are what was asked for: checked by the table.
func (t *Task) Args() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.r.Args)
}

// Values are the values that were asked for: few and short, and checked by Config.Check.
// On the way back there are none any more. They may be secrets: what is said with Say,
// Result or an error has them taken out, what is written elsewhere has not.
func (t *Task) Values() map[string]string { return maps.Clone(t.values) }

// Folder is where what is on trial saves what it is going to change, before it does, and
// synced; from there its way back has it. It is root's alone, empty at first, and removed
// when the trial has ended. On the way back an empty one means that nothing was changed yet.
func (t *Task) Folder() string { return t.folder }

// Progress says how far it is; of is 0 where nobody knows.
func (t *Task) Progress(done, of int64, unit hint.Text) {
	t.change(false, func(r *job.Record) { r.Done, r.Of, r.Unit = done, of, t.scrubText(unit) })
}

// Say adds a line of what it does.
func (t *Task) Say(what hint.Text) {
	t.change(true, func(r *job.Record) {
		r.Said = append(slices.Clone(r.Said), t.scrubText(what))
		r.Said = r.Said[max(0, len(r.Said)-mostSaid):]
	})
}

// Result says what came of it: JSON of at most 64 KiB. That of a verb on trial is a
// report.Change, of which the verb sets the Plan, with how many seconds it may wait, and the
// helper the rest; on its way back no result is taken.
func (t *Task) Result(v any) error {
	if t.folder != "" {
		change, ok := v.(report.Change)
		if !ok && t.values != nil {
			return fmt.Errorf("the result of what is on trial is a report.Change, not a %T", v)
		}
		if t.values != nil {
			t.change(true, func(r *job.Record) { t.edit(r, func(c *report.Change) { c.Plan = change.Plan }) })
		}
		return nil
	}
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

// edit changes the report.Change that is the result of what is on trial.
func (t *Task) edit(r *job.Record, f func(*report.Change)) {
	c := changeOf(*r)
	f(&c)
	text, err := json.Marshal(c)
	if err == nil {
		text = []byte(t.scrubJSON(string(text)))
	}
	if err != nil || len(text) > resultBytes || !json.Valid(text) {
		c.Plan = report.ChangePlan{Seconds: c.Plan.Seconds} // the supervisor has one of its own
		text, _ = json.Marshal(c)
	}
	r.Result = text
}

// scrubJSON is scrub for what is JSON.
func (t *Task) scrubJSON(text string) string {
	for _, secret := range t.secrets {
		if quoted, err := json.Marshal(secret); err == nil {
			text = strings.ReplaceAll(text, strings.Trim(string(quoted), `"`), "…")
		}
	}
	return text
}

// changeOf is the result of what is on trial.
func changeOf(r job.Record) (c report.Change) {
	if json.Unmarshal(r.Result, &c) != nil {
		return report.Change{}
	}
	return c
}

// trialTime is how long what was done may wait; false: it was not said.
func (t *Task) trialTime() (d time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d = time.Duration(changeOf(t.r).Plan.Seconds) * time.Second
	return min(max(d, shortestTrial), longestTrial), d > 0
}

// refreshUntil has people told rightly when a trial ends, by the clock on the wall, which may
// have been put right meanwhile.
func (t *Task) refreshUntil(until time.Time) {
	t.mu.Lock()
	c := changeOf(t.r)
	t.mu.Unlock()
	if until.Sub(c.Until).Abs() > untilMayErr {
		t.change(true, func(r *job.Record) { t.edit(r, func(c *report.Change) { c.Until = until.Truncate(time.Second) }) })
	}
}

// finish writes how a trial came out; it is on the disk when finish returns without an error.
func (t *Task) finish(state job.State, why hint.Text) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.r
	r.State, r.Ended = state, time.Now()
	if state == job.Done {
		r.Said = append(slices.Clone(r.Said), hint.T("It was confirmed, and stays.", "C'est confirmé, et cela reste."))
		t.edit(&r, func(c *report.Change) { c.State, c.Until, c.Reason = report.ChangeKept, time.Time{}, hint.Text{} })
	} else {
		r.Said = append(slices.Clone(r.Said), hint.T("Everything is as it was.", "Tout est comme avant."))
		t.edit(&r, func(c *report.Change) { c.State, c.Until, c.Reason = report.ChangeBack, time.Time{}, why })
		r.Error = report.ProblemOf(hint.New("change-back", hint.T("The change was taken back. %s", "La modification a été annulée. %s", why),
			hint.T("Everything is as it was.", "Tout est comme avant."), hint.T("Change it again if you still want it.", "Refaites-la si vous la voulez toujours.")))
	}
	r.Said = r.Said[max(0, len(r.Said)-mostSaid):]
	if err := t.records.save(r); err != nil {
		return err
	}
	t.r = r
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

// end writes how it came out; a run that is told to end before it is done is cut off, and so
// is one that was cut short for the sake of what is on trial.
func (t *Task) end(ctx context.Context, err error, short bool) job.State {
	state := job.Done
	switch {
	case err == nil:
	case ctx.Err() != nil || short:
		state = job.CutOff
	default:
		state = job.Failed
	}
	t.change(true, func(r *job.Record) {
		r.State, r.Ended = state, time.Now()
		if state == job.Failed {
			r.Error = t.problem(err)
		}
	})
	return state
}
