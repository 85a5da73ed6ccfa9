// Package job does what takes longer than a breath: it runs in a lane, tells how far it is,
// can be cancelled, and is remembered, whatever dies meanwhile.
//
// A record is on the disk before its job begins and after it has ended. At the next start
// a job that was cut off is begun again, where its kind can be (Kind.Resume), and is marked as
// cut off otherwise. Two jobs of a lane never run at once, so that a slow upload keeps no
// restore or update waiting, and nothing changes the data while something else does.
//
// Used by the supervisor; asked for over the control socket. The shape follows the changes
// of Canonical's pebble, without their graph.
package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// Lane is what a job gets in the way of. One job of each runs at a time.
type Lane int

// Lanes.
const (
	Writes  Lane = iota // the data
	Reads               // nobody, but others that read much
	Machine             // the machine itself
	Backup              // the folder or server that backups go to
	laneCount
)

// Kind is a kind of job.
type Kind struct {
	Name  string    // stable, documented in docs/codes.md
	Title hint.Text // a few words: "Check the database"
	Lane  Lane
	// Resume: a job that was cut off is begun again at the next start, three times in all.
	Resume bool
	// Follows: it follows what somebody else does, and takes up where it was at every start,
	// however often; with Resume.
	Follows bool
	// Own: it has a way of its own to be asked for (StartWith), and is not among the Kinds.
	Own bool
	// Args are the names of what may be given to it, each with the values it may have.
	Args map[string][]string
	// Words are what these values are to people; those without are shown as they are.
	Words map[string]hint.Text
	// Page: an owner may ask for it on a page of the server, too; Fresh: only within ten
	// minutes of signing in. The rest of it is for whoever administers the machine.
	Page, Fresh bool
	// Run does it. It ends soon after ctx does, and is called by one goroutine at a time in
	// its lane. What it returns besides nil is best a *hint.Error.
	Run func(ctx context.Context, t *Task) error
}

// What is known of a job, as everybody is told it.
type (
	Record = report.Job
	State  = report.JobState
)

// States. The last four are ends.
const (
	Waiting   = report.JobWaiting
	Running   = report.JobRunning
	Done      = report.JobDone
	Failed    = report.JobFailed
	Cancelled = report.JobCancelled
	CutOff    = report.JobCutOff
)

// What is kept, and how often.
const (
	mostSaid    = 20
	mostEnded   = 100 // records of jobs that have ended
	mostWaiting = 20  // in a lane
	mostStarts  = 3
	savedEvery  = 5 * time.Second // how it goes, of a job that runs
	toldEvery   = 200 * time.Millisecond
	resultBytes = 64 << 10
)

// fits reports whether a kind takes these arguments.
func (k *Kind) fits(args map[string]string) error {
	for name, value := range args {
		if allowed, ok := k.Args[name]; !ok || !slices.Contains(allowed, value) {
			return hint.New("job-malformed",
				hint.T("%s takes no %s %q.", "%s n'accepte pas %s %q.", k.Title, name, value), hint.T("Nothing was begun.", "Rien n'a été commencé."), hint.Text{})
		}
	}
	return nil
}

// Task is a job as its Run sees it. Its methods are safe for concurrent use.
type Task struct {
	m *Manager
	j *job
}

// ID is its number.
func (t *Task) ID() string { return t.record().ID }

// Args are what was given to it.
func (t *Task) Args() map[string]string { return t.record().Args }

// Again reports whether it was begun before, and cut off.
func (t *Task) Again() bool { return t.record().Starts > 1 }

// With is what it was started with besides (StartWith); nil after the end of the process in
// which that was.
func (t *Task) With() any {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	return t.j.with
}

// SoFar is the result as it stands, that of a start before too.
func (t *Task) SoFar() json.RawMessage { return t.record().Result }

// Said is what was said so far, in a start before too.
func (t *Task) Said() []hint.Text { return t.record().Said }

func (t *Task) record() Record {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	return t.j.copy()
}

// Progress says how far it is; of is 0 where nobody knows.
func (t *Task) Progress(done, of int64, unit hint.Text) {
	t.m.change(t.j, func(r *Record) {
		r.Done, r.Of, r.Unit, r.Left = done, of, unit, 0
		if took := time.Since(r.Started); done > 0 && of > done && took > time.Second {
			r.Left = int64((took.Seconds() * float64(of-done) / float64(done)) + 0.5)
		}
	})
}

// Say adds a line of what it does.
func (t *Task) Say(what hint.Text) {
	what = hint.Clean(what)
	t.m.change(t.j, func(r *Record) {
		r.Said = append(slices.Clone(r.Said), what)
		r.Said = r.Said[max(0, len(r.Said)-mostSaid):]
	})
}

// Result says what came of it: JSON of at most 64 KiB.
func (t *Task) Result(v any) error {
	text, err := json.Marshal(hint.Clean(v))
	if err != nil {
		return err
	}
	if len(text) > resultBytes {
		return fmt.Errorf("the result of a job has %d bytes, and may have %d", len(text), resultBytes)
	}
	t.m.change(t.j, func(r *Record) { r.Result = text })
	return nil
}

// job is a record at work.
type job struct {
	Record
	kind      *Kind // nil: nobody knows it any more
	cancel    context.CancelFunc
	cancelled bool
	with      any           // until it has ended
	noted     bool          // its record is, or was, on the disk: it may begin
	settled   chan struct{} // closed when that is known, one way or the other
	changed   chan struct{} // closed at the next change
	dirty     bool          // it is otherwise than on the disk
}

func (j *job) copy() Record {
	r := j.Record
	r.Args, r.Said = maps.Clone(r.Args), slices.Clone(r.Said)
	return r
}

// Errors of asking.
var (
	errUnknown = hint.New("job-unknown", hint.T("There is no such job.", "Cette tâche n'existe pas."), hint.Text{}, hint.T("`foyer jobs` lists those there are.", "`foyer jobs` donne la liste."))
	errMany    = hint.New("jobs-many", hint.T("Too many jobs wait already.", "Trop de tâches attendent déjà."), hint.T("Nothing was begun.", "Rien n'a été commencé."), hint.T("Wait until some are done: `foyer jobs`.", "Attendez que certaines soient faites : `foyer jobs`."))
	errPanic   = errors.New("it broke off by a mistake in Foyer; the log says where")
)
