package installer

import (
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/step"
)

// Plan is what an install would do.
type Plan struct {
	Steps   []string      `json:"steps"` // every step, in order
	Changes []step.Change `json:"changes"`
	Notes   []hint.Text   `json:"notes,omitempty"` // worth knowing, and not ours to change
}

// Empty reports whether there is nothing to do.
func (p Plan) Empty() bool { return len(step.Todo(p.Changes)) == 0 }

// Result is what an install has come to.
type Result struct {
	Changed   bool          `json:"changed"`
	Addresses []string      `json:"addresses"`            // where the server answers, best first
	ClaimCode string        `json:"claim_code,omitempty"` // only when one was made in this run
	Owner     string        `json:"owner,omitempty"`      // only when made in this run
	Changes   []step.Change `json:"changes"`              // that were made, and those kept as they are
	Notes     []hint.Text   `json:"notes,omitempty"`
}
