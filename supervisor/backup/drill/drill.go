// Package drill restores the newest backup to see that it can be restored: a backup that was
// never restored is a hope.
//
// A drill is a process of its own that has three things: the place where the backups are, the
// keys of the machine, and a folder DIR to work in. It restores into DIR as any machine
// would, opens what came of it with the Foyer that is installed, reads that as a client does, says what it
// has seen, and leaves nothing but that. It hides the folder's files, and promises that it never
// touches the data that are served: it is best started where it cannot even open them, and
// says whether it could.
//
//	DIR/drill.json     what is asked for (Ask)
//	DIR/drill.lock     held by who works here; stays
//	DIR/progress.json  how far it is
//	DIR/result.json    what came of it; stays until the next is asked for
//	DIR/stop           it is to end (Stop)
//	DIR/data…          what is restored
//	DIR/serve.sock     where its server answers
//
// Threat model: DIR is for its owner's eyes alone, since while a drill works everything lies there in
// plain text, and its server lets whoever can open the socket read all of it.
//
// The supervisor asks (Ask) and looks what comes of it (Look); the drill command works (Drill).
package drill

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/backup/target"
	"github.com/foyer-server/foyer/supervisor/restore"
)

// Request is what a drill needs to know.
type Request struct {
	Target target.FolderIdentity `json:"target"` // where the backups are
	Keys   string                `json:"keys"`   // folder of those of the machine and the chain (backup.LoadKeys)
	// Data is the folder of the data that are served, which the drill had better not be able to
	// open. It tries that, and does nothing else there.
	Data string `json:"data"`
	// Said: rather the newest moment of which the machine has said what everything comes to than the
	// newest.
	Said bool `json:"said,omitempty"`
}

// Outcome is what came of a drill: one of the two.
type Outcome struct {
	Proven  *report.Proven  `json:"proven,omitempty"`
	Problem *report.Problem `json:"problem,omitempty"`
}

// The steps of a drill beside those of a restore, which come between the first and the others.
const (
	Finding restore.Step = "find" // what there is to restore
	Opening restore.Step = "open" // a server opens it
	Reading restore.Step = "read" // a client reads it; counted in lists
)

// Progress is how far a drill is; the zero Progress: nobody knows.
type Progress = restore.Progress

// Files in the folder of a drill.
const (
	requestFile  = "drill.json"
	lockFile     = "drill.lock"
	progressFile = "progress.json"
	resultFile   = "result.json"
	stopFile     = "stop"
	dataFolder   = "data"
	socketFile   = "serve.sock"
)

// Ask has the next drill in folder dir be this one, and forgets what came of the one before. It
// makes the folder if need be. The error has code drill-busy while one works there, and
// drill-place where the drill would work in what it is not to touch.
func Ask(dir string, r Request) error {
	if err := separate(dir, r.Data); err != nil {
		return err
	}
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = os.Chmod(dir, 0o700)
	}
	if err != nil {
		return fmt.Errorf("cannot make the folder of a drill: %w", err)
	}
	lock, err := atomicfile.TryLock(filepath.Join(dir, lockFile))
	if errors.Is(err, atomicfile.ErrLocked) {
		return busy(err)
	}
	if err != nil {
		return err
	}
	defer lock.Unlock() //nolint:errcheck // a lock that is not let go of ends with this process
	for _, name := range []string{progressFile, resultFile, stopFile} {
		if err := atomicfile.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, requestFile), text, 0o600)
}

// Look says how far the drill in folder dir is, what came of it (nil: nothing yet), and whether
// one is at work. One that is not, and has said nothing, has not begun, or was killed.
func Look(dir string) (p Progress, out *Outcome, running bool, err error) {
	lock, err := atomicfile.TryLock(filepath.Join(dir, lockFile))
	switch {
	case errors.Is(err, atomicfile.ErrLocked):
		running = true
	case errors.Is(err, fs.ErrNotExist):
		return p, nil, false, nil
	case err != nil:
		return p, nil, false, err
	default:
		if err := lock.Unlock(); err != nil {
			return p, nil, false, err
		}
	}
	// The result is read after that: of one who ended meanwhile it is there.
	got := Outcome{}
	there, err := read(dir, resultFile, &got)
	if err != nil {
		return p, nil, running, err
	}
	if there {
		got = hint.Clean(got)
		out = &got
	}
	if _, err := read(dir, progressFile, &p); err != nil {
		return Progress{}, out, running, err
	}
	return p, out, running, nil
}

// Stop has the drill in folder dir end soon, whoever runs it; what came of it says so.
func Stop(dir string) error {
	return os.WriteFile(filepath.Join(dir, stopFile), nil, 0o600)
}

// read reads a file of JSON; false: it is not there.
func read(dir, name string, into any) (there bool, err error) {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return false, fmt.Errorf("cannot read %s of a drill: %w", name, err)
	}
	return true, nil
}

// separate returns nil if the data are not in the folder of a drill, which clears that away.
func separate(dir, data string) error {
	if data == "" {
		return nil
	}
	dir, err := resolved(dir)
	if err != nil {
		return err
	}
	data, err = resolved(data)
	if err != nil {
		return err
	}
	below, err := filepath.Rel(dir, data)
	if err != nil || below == ".." || strings.HasPrefix(below, ".."+string(filepath.Separator)) {
		return nil // elsewhere, or on another volume
	}
	return hint.New("drill-place",
		hint.T("The data of the server are in the folder %s, where a restore drill was to work.", "Les données du serveur sont dans le dossier %s, où un essai de restauration devait travailler.", dir), untouched(),
		hint.T("Choose another folder for the drill.", "Choisissez un autre dossier pour l'essai."))
}

// resolved is a path without links, as far as that can be told.
func resolved(path string) (string, error) {
	path, err := filepath.Abs(path)
	if there, e := filepath.EvalSymlinks(path); e == nil {
		path = there
	}
	return path, err
}

// leftovers are names, or how names begin, of what a drill leaves that was killed.
var leftovers = []struct {
	name   string
	begins bool
}{
	{dataFolder, false},
	{dataFolder + ".restoring-", true},
	{socketFile, false},
	{stopFile, false},
	{progressFile, false},
	{progressFile + ".new", false},
	{"." + requestFile + ".tmp-", true},
	{"." + resultFile + ".tmp-", true},
}

// sweep removes that. Processes of it may not know yet that they are to end.
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		for _, l := range leftovers {
			if e.Name() == l.name || l.begins && strings.HasPrefix(e.Name(), l.name) {
				err = errors.Join(err, removeAll(filepath.Join(dir, e.Name())))
			}
		}
	}
	if err != nil {
		return fmt.Errorf("cannot clear away what a drill left: %w", err)
	}
	return nil
}

// removeAll removes a folder in which somebody may be writing.
func removeAll(path string) (err error) {
	for range 100 {
		if err = os.RemoveAll(path); err == nil || !errors.Is(err, syscall.ENOTEMPTY) {
			break
		}
	}
	return err
}
