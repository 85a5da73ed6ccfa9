package report

import (
	"time"

	"github.com/foyer-server/foyer/internal/hint"
)

// Event is something that happened, or that Foyer did.
type Event struct {
	ID       uint64    `json:"id"` // grows from one to the next
	At       time.Time `json:"at"`
	Code     string    `json:"code"` // stable, documented in docs/codes.md
	Severity Severity  `json:"severity"`
	Subject  string    `json:"subject,omitempty"` // what it is about, where the code alone does not say
	What     hint.Text `json:"what"`
	Did      hint.Text `json:"did,omitzero"`     // what Foyer did about it
	Do       hint.Text `json:"do,omitzero"`      // the one thing to do, if any
	Times    int       `json:"times,omitempty"`  // how often in a row; 0 and 1: once
	Last     time.Time `json:"last,omitzero"`    // when it happened last, where Times is more than 1
	Number   uint64    `json:"number,omitempty"` // in the server's own list, of what happened to people there; of the last time
}

// Same reports whether an event tells of the same thing again.
func (e Event) Same(f Event) bool {
	return e.Code == f.Code && e.Severity == f.Severity && e.Subject == f.Subject && e.What == f.What && e.Did == f.Did && e.Do == f.Do
}

// When is when it happened last.
func (e Event) When() time.Time {
	if e.Times > 1 {
		return e.Last
	}
	return e.At
}

// Said is what happened and what Foyer did, for a person.
func (e Event) Said() hint.Text {
	said := e.What
	if !e.Did.IsZero() {
		said = hint.T("%s %s", "%s %s", said, e.Did)
	}
	if e.Times > 1 {
		said = hint.T("%s (%d times)", "%s (%d fois)", said, e.Times)
	}
	return said
}
