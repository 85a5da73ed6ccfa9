package installer

import (
	"context"

	"github.com/foyer-server/foyer/internal/hint"
)

// Step is one wish about the machine. Each method may be called any number of
// times, and again after a crash in the middle of any of them.
type Step interface {
	// ID is stable: the journal holds it.
	ID() string
	// Check tells what would have to change; nothing when all is as wished. It
	// changes nothing.
	Check(ctx context.Context) ([]Change, error)
	// Apply makes it so.
	Apply(ctx context.Context) error
	// Undo takes back changes that the journal says were made, some of which may
	// never have been reached or be gone already. With purge nothing is kept for
	// the person. What was not made stays.
	Undo(ctx context.Context, made []Change, purge bool) error
}

// What a Change does.
const (
	Made    = "+" // made anew
	Changed = "~" // was there and is changed
	Edited  = "!" // was edited by hand, or is somebody else's: kept as it is
)

// Kinds of things a Change is about.
const (
	KindUser     = "user"
	KindGroup    = "group"
	KindFolder   = "folder"
	KindData     = "data" // the folder that holds the person's data
	KindFile     = "file"
	KindLink     = "link"
	KindProgram  = "program"
	KindUnit     = "unit"
	KindFirewall = "firewall"
	KindService  = "service"
	KindClaim    = "claim"
	KindCheck    = "check"
)

// Change is one line of the plan.
type Change struct {
	Step string    `json:"step"`
	Op   string    `json:"op"` // Made, Changed or Edited
	Kind string    `json:"kind"`
	What string    `json:"what"` // a path, a name, a rule
	Why  hint.Text `json:"why"`

	Stays  bool   `json:"stays,omitempty"`  // the person's: kept when Foyer is uninstalled, unless everything goes
	SHA256 string `json:"sha256,omitempty"` // of the file as we write it
	Before string `json:"before,omitempty"` // how it was, for Undo
}

// KindText names the kind of thing for a person.
func (c Change) KindText() hint.Text {
	if t, ok := kindTexts[c.Kind]; ok {
		return t
	}
	return hint.Verbatim(c.Kind)
}

var kindTexts = map[string]hint.Text{
	KindUser: hint.T("user", "compte"), KindGroup: hint.T("group", "groupe"), KindFolder: hint.T("folder", "dossier"), KindData: hint.T("data", "données"),
	KindFile: hint.T("file", "fichier"), KindLink: hint.T("link", "lien"), KindProgram: hint.T("program", "programme"), KindUnit: hint.T("unit", "unité"),
	KindFirewall: hint.T("firewall", "pare-feu"), KindService: hint.T("service", "service"), KindClaim: hint.T("claim", "prise"), KindCheck: hint.T("check", "contrôle"),
}

// same reports whether two changes are about the same thing.
func (c Change) same(d Change) bool { return c.Step == d.Step && c.Kind == d.Kind && c.What == d.What }

// Plan is what an install would do.
type Plan struct {
	Steps   []string    `json:"steps"` // every step, in order
	Changes []Change    `json:"changes"`
	Notes   []hint.Text `json:"notes,omitempty"` // worth knowing, and not ours to change
}

// Empty reports whether there is nothing to do.
func (p Plan) Empty() bool { return len(todo(p.Changes)) == 0 }

// todo are the changes that are to be made: all but those that are only reported.
func todo(changes []Change) []Change {
	var out []Change
	for _, c := range changes {
		if c.Op != Edited {
			out = append(out, c)
		}
	}
	return out
}

// Result is what an install has come to.
type Result struct {
	Changed   bool        `json:"changed"`
	Addresses []string    `json:"addresses"`            // where the server answers, best first
	ClaimCode string      `json:"claim_code,omitempty"` // only when one was made in this run
	Owner     string      `json:"owner,omitempty"`      // only when made in this run
	Changes   []Change    `json:"changes"`              // that were made, and those kept as they are
	Notes     []hint.Text `json:"notes,omitempty"`
}

// Kinds of events.
const (
	StepStarted = "started"
	StepDone    = "done"
	StepFailed  = "failed"
	StepUndone  = "undone"
)

// Event tells how an install or an uninstall goes on.
type Event struct {
	Kind    string    `json:"event"`
	Step    string    `json:"step"`
	N       int       `json:"n"`
	Of      int       `json:"of"`
	Title   hint.Text `json:"title"`
	Changes []Change  `json:"changes,omitempty"` // made by this step
}

// Word says in a word or two how the step came out.
func (e Event) Word() hint.Text {
	switch {
	case e.Kind == StepUndone:
		return hint.T("undone", "défait")
	case e.Kind == StepFailed:
		return hint.T("failed", "échec")
	case e.Kind == StepStarted:
		return hint.T("begins", "commence")
	case len(e.Changes) == 0:
		return hint.T("already so", "déjà fait")
	}
	return hint.T("ok", "fait")
}

var titles = map[string]hint.Text{
	"user":        hint.T("An account of its own", "Un compte à part"),
	"directories": hint.T("Folders", "Dossiers"),
	"version":     hint.T("The program", "Le programme"),
	"settings":    hint.T("Settings", "Réglages"),
	"units":       hint.T("Start by itself", "Démarrage automatique"),
	"firewall":    hint.T("The machine's firewall", "Le pare-feu de la machine"),
	"start":       hint.T("Start", "Mise en marche"),
	"healthy":     hint.T("Wait until it answers", "Attendre sa réponse"),
	"claim":       hint.T("The first owner", "Le premier propriétaire"),
}
