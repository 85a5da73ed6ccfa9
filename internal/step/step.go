// Package step brings about lists of steps on a machine, and takes them back: an
// install, an uninstall, and what else root changes bit by bit.
//
// A step is a wish about the machine. The state is the machine itself: each step is
// asked what would have to change, does it, and is done when a second look finds
// nothing left. So after a power cut at any moment the same list, applied again, goes on
// where things stand. A journal (journal.go) is on the disk before a step touches
// anything. It says what there is to take back, whether a run came to its end, and how
// files were written, so that one that somebody edited is told.
//
// Whoever uses it keeps a second run on the same journal out.
package step

import (
	"context"

	"github.com/foyer-server/foyer/internal/hint"
)

// Step is one wish about the machine. Each method may be called any number of
// times, and again after a crash in the middle of any of them.
type Step interface {
	// ID is stable: the journal holds it.
	ID() string
	// Title names it for a person, in a few words.
	Title() hint.Text
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

// Pruner is a Step some of whose changes may come to be unwanted, while all else stays: a
// run takes them back once the step is done.
type Pruner interface {
	Step
	// Unwanted are those of the changes the journal says were made that are not wanted any
	// more. It changes nothing.
	Unwanted(ctx context.Context) ([]Change, error)
}

// What a Change does.
const (
	Made    = "+" // made anew
	Changed = "~" // was there and is changed
	Edited  = "!" // was edited by hand, or is somebody else's: kept as it is
	Removed = "-" // was made by us, is not wanted any more, and is taken back
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
	KindPackage  = "package" // of the operating system
	KindClaim    = "claim"
	KindCheck    = "check"
)

// Change is one thing that a step makes otherwise.
type Change struct {
	Step string    `json:"step"`
	Op   string    `json:"op"` // Made, Changed or Edited
	Kind string    `json:"kind"`
	What string    `json:"what"` // a path, a name, a rule
	Why  hint.Text `json:"why"`

	Stays  bool   `json:"stays,omitempty"`  // the person's: kept when all is taken back, unless everything goes
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
	KindFirewall: hint.T("firewall", "pare-feu"), KindService: hint.T("service", "service"), KindPackage: hint.T("package", "paquet"), KindClaim: hint.T("claim", "prise"), KindCheck: hint.T("check", "contrôle"),
}

// same reports whether two changes are about the same thing.
func (c Change) same(d Change) bool { return c.Step == d.Step && c.Kind == d.Kind && c.What == d.What }

// Todo are the changes that are to be made: all but those that are only reported.
func Todo(changes []Change) []Change {
	var out []Change
	for _, c := range changes {
		if c.Op != Edited {
			out = append(out, c)
		}
	}
	return out
}

// Kinds of events.
const (
	Started = "started"
	Done    = "done"
	Failed  = "failed"
	Undone  = "undone"
)

// Event tells how a run goes on.
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
	case e.Kind == Undone:
		return hint.T("undone", "défait")
	case e.Kind == Failed:
		return hint.T("failed", "échec")
	case e.Kind == Started:
		return hint.T("begins", "commence")
	case len(e.Changes) == 0:
		return hint.T("already so", "déjà fait")
	}
	return hint.T("ok", "fait")
}
