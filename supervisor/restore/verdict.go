package restore

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup"
)

// Verdict says, before anything is done, what a point of a backup is, and whether it can be
// brought back here.
type Verdict struct {
	Chain    string    `json:"chain"`
	Moment   time.Time `json:"moment"`  // of the data
	Newest   time.Time `json:"newest"`  // moment that could be brought back
	Version  string    `json:"version"` // of the Foyer that made it
	Schema   int       `json:"schema"`
	Accounts []string  `json:"accounts"` // whose data they are, by name
	Records  int       `json:"records"`
	// Counted is of when numbers and names are: of the moment itself, or of another near it
	// of which the machine said them.
	Counted     time.Time `json:"counted"`
	Attachments int       `json:"attachments"`
	Bytes       int64     `json:"bytes"`  // of the data, without attachments
	Sealed      int64     `json:"sealed"` // bytes to be read for them
	Needs       int64     `json:"needs"`  // bytes on the disk, about
	Free        int64     `json:"free"`   // bytes on the disk; -1: not asked
	Seconds     int       `json:"seconds"`
	Bundle      int       `json:"bundle"` // files of settings, certificates and keys that are in it, too
	Problems    []Problem `json:"problems"`
	Yes         bool      `json:"yes"`
}

// Problem is what is wrong with one object of the backup, without being in the way.
type Problem struct {
	Object uint64    `json:"object"`
	Code   string    `json:"code"`
	What   hint.Text `json:"what"`
}

// Here is what a restore would meet on this machine.
type Here struct {
	Into   string // "": nobody has said where to
	Over   string // folder of the data that are to be replaced, rather than Into; "": none
	Schema int    // that this Foyer knows
}

// What one line takes in a database besides its data, with its places in the indexes; what a
// small machine loads in a second; and what it reads of a target, bytes.
const (
	lineBytes      = 256
	linesPerSecond = 20_000
	readPerSecond  = 20 << 20
)

// Judge looks at a point of a backup. The error says why it cannot be brought back here, and is for
// people; then the verdict is there all the same.
func Judge(chain string, b *backup.Backup, p backup.Point, here Here) (*Verdict, error) {
	m := b.Manifest
	v := &Verdict{Chain: chain, Moment: p.At, Version: m.Version, Schema: m.Schema, Counted: m.At, Bundle: len(m.Files), Free: -1, Accounts: []string{}, Problems: []Problem{}}
	if points := b.Points(); len(points) > 0 {
		v.Newest = points[len(points)-1].At
	}
	lines := 0
	v.Records, _, lines = count(m.Summary)
	for _, l := range m.Summary.Lists() {
		v.Bytes += l.Bytes
		if l.Of == "account" && l.Live > 0 {
			v.Accounts = append(v.Accounts, l.Parent)
		}
	}
	v.Attachments = m.Summary.Of(changelog.File).Lines
	v.Needs = v.Bytes + v.Bytes/4 + int64(lines)*lineBytes + 1<<20
	effort, err := b.Effort(p)
	if err != nil {
		return v, err
	}
	v.Sealed = effort.Bytes
	v.Seconds = 1 + int(effort.Lines/linesPerSecond+effort.Bytes/readPerSecond)
	for _, problem := range b.Problems {
		v.Problems = append(v.Problems, problemOf(problem))
	}
	err = against(v, here)
	v.Yes = err == nil
	return v, err
}

// against is the first reason against it.
func against(v *Verdict, here Here) error {
	if v.Schema > here.Schema {
		return hint.New("restore-newer",
			hint.T("This backup was made by a newer Foyer (%s).", "Cette sauvegarde vient d'un Foyer plus récent (%s).", v.Version), nothingLeft(),
			hint.T("Install that version or a later one, then try again.", "Installez cette version ou une plus récente, puis réessayez.")).Because(fmt.Errorf("schema %d, known up to %d", v.Schema, here.Schema))
	}
	disk := here.Over
	switch {
	case here.Over != "":
	case here.Into == "":
		return nil
	default:
		if err := Free(here.Into); err != nil {
			return err
		}
		into, err := place(here.Into)
		if err != nil {
			return err
		}
		disk = filepath.Dir(into)
	}
	free, total, err := atomicfile.FreeSpace(disk)
	if err != nil || total == 0 {
		return nil // nobody knows; a disk that is full says so
	}
	if v.Free = int64(min(free, 1<<62)); v.Free < v.Needs {
		return hint.New("restore-room",
			hint.T("%s holds too little: %d MB are free there, and about %d MB are needed.", "%s n'a pas assez de place : %d Mo y sont libres, et il en faut environ %d.", disk, v.Free>>20, v.Needs>>20), nothingLeft(),
			hint.T("Free some room, or name a folder on another disk.", "Libérez de la place, ou indiquez un dossier sur un autre disque."))
	}
	return nil
}

func problemOf(p backup.Problem) Problem {
	e := p.Hint()
	return Problem{p.N, e.Code, e.What}
}

// count says how many records and accounts there are, and how many lines that and everything else takes.
func count(sum *changelog.Summary) (records, people, lines int) {
	for _, l := range sum.Lists() {
		switch l.Of {
		case "record":
			records += l.Live
		case "account":
			people += l.Live
		}
		lines += l.Live + l.Tombstones
	}
	for _, k := range []changelog.Kind{changelog.Meta, changelog.Owner, changelog.Note, changelog.File, changelog.Floor, changelog.Former} {
		lines += sum.Of(k).Lines
	}
	return records, people, lines
}
