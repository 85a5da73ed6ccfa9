package report

import (
	"encoding/json"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
)

// JobState is how a job stands.
type JobState string

// States. The last four are ends.
const (
	JobWaiting   JobState = "waiting"
	JobRunning   JobState = "running"
	JobDone      JobState = "done"
	JobFailed    JobState = "failed"
	JobCancelled JobState = "cancelled"
	JobCutOff    JobState = "cut-off" // whoever ran it, or the machine, died meanwhile
)

// Ended reports whether a job with this state runs no more.
func (s JobState) Ended() bool { return s != JobWaiting && s != JobRunning }

// Word is the state as people say it.
func (s JobState) Word() hint.Text {
	switch s {
	case JobWaiting:
		return hint.T("waiting", "en attente")
	case JobRunning:
		return hint.T("under way", "en cours")
	case JobDone:
		return hint.T("done", "fait")
	case JobFailed:
		return hint.T("failed", "échec")
	case JobCancelled:
		return hint.T("cancelled", "annulé")
	}
	return hint.T("cut off", "interrompu")
}

// Job is what is known of a job: the same for the command, screens and pages.
type Job struct {
	ID    string            `json:"id"` // sorts by when it was asked for
	Kind  string            `json:"kind"`
	Title hint.Text         `json:"title"`
	Args  map[string]string `json:"args,omitempty"`
	By    string            `json:"by"` // who asked for it
	State JobState          `json:"state"`

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

// JobKind is a kind of job that can be asked for.
type JobKind struct {
	Kind  string               `json:"kind"` // docs/codes.md
	Title hint.Text            `json:"title"`
	Args  map[string][]string  `json:"args,omitempty"`  // what may be given to it, and the values that may have
	Page  bool                 `json:"page,omitempty"`  // an owner may ask for it on a page of the server
	Fresh bool                 `json:"fresh,omitempty"` // there, only within ten minutes of signing in
	Words map[string]hint.Text `json:"words,omitempty"` // what values of arguments are to people
}

// Word is what a value of an argument is to people.
func (k JobKind) Word(value string) hint.Text {
	if t, ok := k.Words[value]; ok {
		return t
	}
	return hint.Verbatim(value)
}

// Share is how much of it is done, from 0 to 1; negative: nobody knows.
func (j Job) Share() float64 {
	switch {
	case j.State == JobDone:
		return 1
	case j.Of <= 0:
		return -1
	}
	return min(1, float64(j.Done)/float64(j.Of))
}

// Percent is Share in whole percents; negative: nobody knows.
func (j Job) Percent() int { return int(100 * j.Share()) }

// HowFar is how far a job is, or why it failed, in a line: "42% (84 of 200 objects), some 3
// minutes left"; empty when there is nothing to say.
func (j Job) HowFar() hint.Text {
	switch {
	case j.State.Ended() && j.Error != nil:
		return j.Error.What
	case j.State != JobRunning || j.Of <= 0:
		return hint.Text{}
	}
	far := hint.T("%d%% (%d of %d %s)", "%d %% (%d sur %d %s)", j.Percent(), j.Done, j.Of, j.Unit)
	if j.Left > 0 {
		far = hint.T("%s, some %s left", "%s, encore %s environ", far, Age(time.Duration(j.Left)*time.Second))
	}
	return far
}

// Bundle is the result of the job that makes a support bundle.
type Bundle struct {
	Path  string       `json:"path"`
	Bytes int64        `json:"bytes"`
	Parts []BundlePart `json:"parts"`
}

// BundlePart is one file of it.
type BundlePart struct {
	Name    string    `json:"name"`
	Title   hint.Text `json:"title"`
	Bytes   int64     `json:"bytes,omitempty"`
	Cut     bool      `json:"cut,omitempty"`     // there was more
	LeftOut hint.Text `json:"left_out,omitzero"` // why it is not there
}
