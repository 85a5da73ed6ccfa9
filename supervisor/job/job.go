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
	"github.com/foyer-server/foyer/supervisor/health"
)

// Lane is what a job gets in the way of. One job of each runs at a time.
type Lane int

// Lanes.
const (
	Writes  Lane = iota // the data
	Reads               // nobody, but others that read much
	Machine             // the machine itself
	laneCount
)

// Kind is a kind of job.
type Kind struct {
	Name  string    // stable, documented in docs/codes.md
	Title hint.Text // a few words: "Check the database"
	Lane  Lane
	// Resume: a job that was cut off is begun again at the next start, three times in all.
	Resume bool
	// Args are the names of what may be given to it, each with the values it may have.
	Args map[string][]string
	// Run does it. It ends soon after ctx does, and is called by one goroutine at a time in
	// its lane. What it returns besides nil is best a *hint.Error.
	Run func(ctx context.Context, t *Task) error
}

// State is how a job stands.
type State string

// States. The last four are ends.
const (
	Waiting   State = "waiting"
	Running   State = "running"
	Done      State = "done"
	Failed    State = "failed"
	Cancelled State = "cancelled"
	CutOff    State = "cut-off" // the supervisor, or the machine, died meanwhile
)

// Ended reports whether a job with this state runs no more.
func (s State) Ended() bool { return s != Waiting && s != Running }

// Word is the state as people say it.
func (s State) Word() hint.Text {
	switch s {
	case Waiting:
		return hint.T("waiting", "en attente")
	case Running:
		return hint.T("under way", "en cours")
	case Done:
		return hint.T("done", "fait")
	case Failed:
		return hint.T("failed", "échec")
	case Cancelled:
		return hint.T("cancelled", "annulé")
	}
	return hint.T("cut off", "interrompu")
}

// Record is what is known of a job: the same for the command, screens and pages.
type Record struct {
	ID    string            `json:"id"` // sorts by when it was asked for
	Kind  string            `json:"kind"`
	Title hint.Text         `json:"title"`
	Args  map[string]string `json:"args,omitempty"`
	By    string            `json:"by"` // who asked for it
	State State             `json:"state"`

	Asked   time.Time `json:"asked"`
	Started time.Time `json:"started,omitzero"` // the last time
	Ended   time.Time `json:"ended,omitzero"`
	Starts  int       `json:"starts,omitempty"`

	Done int64     `json:"done"`
	Of   int64     `json:"of"` // 0: nobody knows
	Unit hint.Text `json:"unit,omitzero"`
	Left int64     `json:"left_seconds,omitempty"` // until it is done, estimated; 0: nobody knows

	Said   []hint.Text     `json:"said,omitempty"` // the last lines, oldest first
	Result json.RawMessage `json:"result,omitempty"`
	Error  *Problem        `json:"error,omitempty"`
}

// Problem is why a job failed, for a person.
type Problem struct {
	Code string    `json:"code"`
	What hint.Text `json:"what"`
	Did  hint.Text `json:"did"`
	Do   hint.Text `json:"do"`
}

// Share is how much of it is done, from 0 to 1; negative: nobody knows.
func (r Record) Share() float64 {
	switch {
	case r.State == Done:
		return 1
	case r.Of <= 0:
		return -1
	}
	return min(1, float64(r.Done)/float64(r.Of))
}

// HowFar is how far a job is, or why it failed, in a line: "42% (84 of 200 objects), some 3
// minutes left"; empty when there is nothing to say.
func (r Record) HowFar() hint.Text {
	switch {
	case r.State.Ended() && r.Error != nil:
		return r.Error.What
	case r.State != Running || r.Of <= 0:
		return hint.Text{}
	}
	far := hint.T("%d%% (%d of %d %s)", "%d %% (%d sur %d %s)", int(100*r.Share()), r.Done, r.Of, r.Unit)
	if r.Left > 0 {
		far = hint.T("%s, some %s left", "%s, encore %s environ", far, health.Age(time.Duration(r.Left)*time.Second))
	}
	return far
}

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

// problem is an error as a record holds it.
func problem(err error) *Problem {
	if e := hint.Find(err); e != nil {
		p := hint.Clean(Problem{e.Code, e.What, e.Did, e.Do})
		return &p
	}
	p := hint.Clean(Problem{Code: "failed", What: hint.T("It did not work: %s.", "Cela n'a pas marché : %s.", err.Error())})
	return &p
}

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

// Args are what was given to it.
func (t *Task) Args() map[string]string { return t.record().Args }

// Again reports whether it was begun before, and cut off.
func (t *Task) Again() bool { return t.record().Starts > 1 }

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
