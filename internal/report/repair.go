package report

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
)

// RepairState is how it stands with the repair of a finding.
type RepairState string

// States of a repair.
const (
	RepairOffered  RepairState = "offered"   // Foyer does nothing by itself: a person starts it
	RepairPlanned  RepairState = "planned"   // it is begun by itself, at Next
	RepairUnderWay RepairState = "under-way" // its job waits or runs
	RepairJudged   RepairState = "judged"    // its job has ended; whether that helped is being looked at
	RepairGivenUp  RepairState = "given-up"  // it did not help; nothing is begun by itself before Next, or any more
)

// Repair is the job that may mend what a check found, and how it stands with it. People start
// it by Kind and Args.
type Repair struct {
	Kind  string            `json:"kind"` // of the job
	Args  map[string]string `json:"args,omitempty"`
	Title hint.Text         `json:"title"` // of the job
	State RepairState       `json:"state"`
	Job   string            `json:"job,omitempty"` // under way
	Tried int               `json:"tried"`         // how often, since it was last well for a day
	Next  time.Time         `json:"next,omitzero"` // when Foyer tries by itself; zero: it does not
}

// Command is what a person types to start the job.
func (r *Repair) Command() string {
	words := []string{"sudo foyer jobs start", r.Kind}
	for _, name := range slices.Sorted(maps.Keys(r.Args)) {
		words = append(words, name+"="+r.Args[name])
	}
	return strings.Join(words, " ")
}

// Did is what Foyer does about a finding by this repair.
func (r *Repair) Did() hint.Text {
	next := r.Next.Local().Format("2006-01-02 15:04")
	switch {
	case r.State == RepairUnderWay:
		return hint.T("This is being done about it now: %s.", "Ceci est en cours pour y remédier : %s.", r.Title)
	case r.State == RepairJudged:
		return hint.T("This has just been done: %s. Foyer is looking whether it helped.", "Ceci vient d'être fait : %s. Foyer regarde si cela a aidé.", r.Title)
	case r.State == RepairOffered && r.Tried == 0:
		return hint.T("Foyer can do this when you say so: %s (`%s`).", "Foyer peut faire ceci quand vous le dites : %s (`%s`).", r.Title, r.Command())
	case r.State == RepairPlanned && r.Tried == 0:
		return hint.T("If it stays so, Foyer does this at %s: %s.", "Si cela dure, Foyer fera ceci à %s : %s.", next, r.Title)
	case r.Next.IsZero() && r.State == RepairGivenUp:
		return hint.T("%s This did not help; Foyer has given it up.", "%s Cela n'a pas aidé ; Foyer y a renoncé.", r.often())
	case r.State == RepairGivenUp:
		return hint.T("%s It did not help; Foyer gives up until %s.", "%s Cela n'a pas aidé ; Foyer y renonce jusqu'au %s.", r.often(), next)
	case r.State == RepairPlanned:
		return hint.T("%s It did not help for long; the next try is at %s.", "%s Cela n'a pas aidé longtemps ; prochain essai à %s.", r.often(), next)
	}
	return hint.T("%s It did not help for long; `%s` tries again.", "%s Cela n'a pas aidé longtemps ; `%s` réessaie.", r.often(), r.Command())
}

// often is how often it was tried, as a sentence.
func (r *Repair) often() hint.Text {
	if r.Tried == 1 {
		return hint.T("This was tried once: %s.", "Ceci a été essayé une fois : %s.", r.Title)
	}
	return hint.T("This was tried %d times: %s.", "Ceci a été essayé %d fois : %s.", r.Tried, r.Title)
}
