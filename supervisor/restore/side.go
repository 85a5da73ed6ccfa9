package restore

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
)

// side is the place beside a folder in which all of it is made. Whoever works in it holds its
// lock; one whose lock is free was left by who died.
//
//	FOLDER.restoring-RANDOM/
//	  restoring.lock
//	  data/            becomes FOLDER
//
// Where FOLDER is that of the data that are served, a disk may begin at it: then the place is in it,
// and is called .restoring-RANDOM.
type side struct {
	into string // absolute
	dir  string
	lock *atomicfile.Lock
	kept bool // what is in it is part of a switch that has happened
}

const (
	sideMark = ".restoring-"
	sideLock = "restoring.lock"
	sideData = "data"
)

// makeSide clears away what earlier runs left, and makes a place of its own, if the folder can come to be.
func makeSide(into string) (*side, error) {
	into, err := place(into)
	if err != nil {
		return nil, err
	}
	if err := sweep(into, into); err != nil {
		return nil, err
	}
	if err := Free(into); err != nil {
		return nil, err
	}
	return newSide(into, into)
}

// sideWithin is makeSide for the folder of the data that are served.
func sideWithin(data string) (*side, error) {
	data, err := place(data)
	if err != nil {
		return nil, err
	}
	if Pending(data) {
		return nil, errors.New("a restore that was begun has not ended")
	}
	if err := sweep(data, within(data)); err != nil {
		return nil, err
	}
	return newSide(data, within(data))
}

// within is how the path of a place begins that is in a folder.
func within(data string) string { return data + string(filepath.Separator) }

// newSide makes a place whose path begins as said.
func newSide(into, begins string) (*side, error) {
	var err error
	s := &side{into: into, dir: begins + sideMark + rand.Text()}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return nil, unwritable(into, err)
	}
	if s.lock, err = atomicfile.TryLock(filepath.Join(s.dir, sideLock)); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	return s, nil
}

// place is a folder's path without links, as far as it is there.
func place(into string) (string, error) {
	into, err := filepath.Abs(into)
	if err != nil {
		return "", err
	}
	if there, err := filepath.EvalSymlinks(into); err == nil {
		return there, nil
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(into))
	if err != nil {
		return "", unwritable(into, err)
	}
	return filepath.Join(parent, filepath.Base(into)), nil
}

// Free returns nil where a folder can come to be at a path: there is none, or an empty one.
func Free(into string) error {
	into, err := place(into)
	if err != nil {
		return err
	}
	there, err := os.ReadDir(into)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.ENOTDIR), len(there) > 0:
		return hint.New("restore-occupied",
			hint.T("%s is there already, and holds something.", "%s existe déjà, et contient quelque chose.", into), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Name a folder that is empty, or not there.", "Indiquez un dossier vide, ou qui n'existe pas.")).Exits(hint.ExitUsage)
	case err != nil:
		return unwritable(into, err)
	}
	here, err1 := host.FilesystemAt(into)
	above, err2 := host.FilesystemAt(filepath.Dir(into))
	if err1 == nil && err2 == nil && !here.Same(above) {
		return hint.New("restore-mount",
			hint.T("Another disk begins at %s: nothing can take its place.", "Un autre disque commence à %s : rien ne peut prendre sa place.", into), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Name a folder in it: %s", "Indiquez un dossier dedans : %s", filepath.Join(into, "foyer"))).Exits(hint.ExitUsage)
	}
	return nil
}

// sweep removes the places of those who died, whose paths begin as said. One whose owner lives is
// an error.
func sweep(into, begins string) error {
	parent, base := filepath.Split(begins)
	entries, err := os.ReadDir(parent)
	if err != nil {
		return unwritable(into, err)
	}
	var alive error
	for _, e := range entries {
		random, ours := strings.CutPrefix(e.Name(), base+sideMark)
		if !ours || !e.IsDir() || len(random) != len(rand.Text()) {
			continue
		}
		dir := filepath.Join(parent, e.Name())
		lock, err := atomicfile.TryLock(filepath.Join(dir, sideLock))
		if errors.Is(err, fs.ErrNotExist) {
			continue // somebody else has cleared it away
		}
		if errors.Is(err, atomicfile.ErrLocked) {
			alive = hint.New("restore-under-way",
				hint.T("A backup is already being restored into %s.", "Une sauvegarde est déjà en cours de restauration dans %s.", into), hint.T("Nothing was changed.", "Rien n'a été changé."),
				hint.T("Wait until that is done.", "Attendez la fin.")).Because(err)
			continue
		}
		if err != nil {
			return err
		}
		// What makes the database may not know yet that who started it is dead.
		if err = errors.Join(removeAll(dir), lock.Unlock()); err != nil {
			return fmt.Errorf("cannot clear away what an earlier restore left: %w", err)
		}
	}
	return alive
}

// removeAll removes a folder in which somebody may be writing.
func removeAll(dir string) (err error) {
	for range 100 {
		if err = os.RemoveAll(dir); err == nil || !errors.Is(err, syscall.ENOTEMPTY) {
			break
		}
	}
	return err
}

func (s *side) data() string { return filepath.Join(s.dir, sideData) }

// leave removes the place, unless it is part of a switch.
func (s *side) leave() error {
	if s.kept {
		return s.lock.Unlock()
	}
	return errors.Join(removeAll(s.dir), s.lock.Unlock())
}

// sync makes what was made durable.
func (s *side) sync() error {
	err := filepath.WalkDir(s.data(), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return atomicfile.SyncDir(path)
		}
		return atomicfile.SyncFile(path)
	})
	if err != nil {
		return fmt.Errorf("cannot make what was brought back durable: %w", err)
	}
	return errors.Join(atomicfile.SyncDir(s.dir), atomicfile.SyncDir(filepath.Dir(s.dir)))
}

// become makes what was made the folder, durably.
func (s *side) become() error {
	if err := s.sync(); err != nil {
		return err
	}
	parent, err := os.Open(filepath.Dir(s.into))
	if err != nil {
		return err
	}
	defer parent.Close() //nolint:errcheck // a folder, opened to be worked in
	empty, err := os.Stat(s.into)
	if err == nil {
		// No folder takes the place of another; this fails where there is something in it.
		if err := os.Remove(s.into); err != nil {
			return unwritable(s.into, err)
		}
	}
	if err := atomicfile.RenameNew(parent, filepath.Join(filepath.Base(s.dir), sideData), filepath.Base(s.into)); err != nil {
		if empty != nil {
			err = errors.Join(err, os.Mkdir(s.into, empty.Mode().Perm()))
		}
		return err
	}
	return atomicfile.SyncNames(parent)
}

func unwritable(into string, cause error) error {
	return hint.New("target-readonly",
		hint.T("The folder %s cannot be made or written to.", "Le dossier %s ne peut pas être créé ou écrit.", into), nothingLeft(),
		hint.T("Name a folder that can be, in one that is there.", "Indiquez un dossier qui peut l'être, dans un dossier qui existe.")).Because(cause)
}
