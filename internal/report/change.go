package report

import (
	"time"

	"github.com/foyer-server/foyer/internal/hint"
)

// Question is one thing that may be answered otherwise than it was, as it stands with the
// answers so far.
type Question struct {
	Key     string    `json:"key"` // of the setting or answer
	Title   hint.Text `json:"title"`
	Help    hint.Text `json:"help,omitzero"`
	Options []Option  `json:"options,omitempty"` // to choose from; none: text is typed
	Value   string    `json:"value"`             // today's answer, or the one given; never that of a secret
	Secret  bool      `json:"secret,omitempty"`  // what is typed is not shown; left empty it stays as it is
	Set     bool      `json:"set,omitempty"`     // there is a secret already
	Needed  bool      `json:"needed,omitempty"`  // an empty answer is none
	Empty   hint.Text `json:"empty,omitzero"`    // what an empty answer means: "none"
	OnWay   bool      `json:"on_way,omitempty"`  // everybody is asked it; others are there to be found
	Wrong   hint.Text `json:"wrong,omitzero"`    // with the answer given
}

// Option is one answer to choose.
type Option struct {
	Value string    `json:"value"`
	Title hint.Text `json:"title"`
	Help  hint.Text `json:"help,omitzero"`
}

// ChangePlan is what other answers come to.
type ChangePlan struct {
	Differs   []Difference `json:"differs"` // none: nothing is to be done
	Steps     []hint.Text  `json:"steps"`   // what is done to the machine, each a sentence
	Notes     []hint.Text  `json:"notes,omitempty"`
	Addresses []string     `json:"addresses"`      // where it answers afterwards, as URLs
	Gone      []string     `json:"gone,omitempty"` // where it answers no more
	// Through are those of Addresses by which a confirmation counts: the new ones; where
	// there is no new one, all.
	Through []string `json:"through"`
	Seconds int      `json:"seconds"` // within which it has to be confirmed, once it is in force
}

// Difference is one setting that is to change, as people read it; of a secret only that it
// does.
type Difference struct {
	Key    string    `json:"key"`
	Title  hint.Text `json:"title"`
	Before hint.Text `json:"before"`
	After  hint.Text `json:"after"`
}

// ChangeState is how a change stands.
type ChangeState string

// States. The last two are ends.
const (
	ChangeApplying  ChangeState = "applying"
	ChangeWaiting   ChangeState = "waiting" // it is in force, and somebody has to confirm it
	ChangeGoingBack ChangeState = "going-back"
	ChangeKept      ChangeState = "kept"
	ChangeBack      ChangeState = "back" // everything is as it was
)

// Change is a change of mind under way, or how it came out: the result of a job of the kind
// change-settings, from its beginning on.
type Change struct {
	State  ChangeState `json:"state"`
	Until  time.Time   `json:"until,omitzero"` // while it waits: then it goes back by itself
	Plan   ChangePlan  `json:"plan"`
	Code   string      `json:"code_sha256,omitempty"` // of the code that confirms it, in hex
	Reason hint.Text   `json:"reason,omitzero"`       // why it went back
}

// Changed is a change that was begun.
type Changed struct {
	Job  Job    `json:"job"`
	Code string `json:"code"` // confirms it; told once
}

// KindChange is the kind of job that changes settings.
const KindChange = "change-settings"
