package target

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
)

// FolderIdentity is what this machine keeps of a folder that was prepared, and knows it by.
type FolderIdentity struct {
	Path string `json:"path"` // absolute, without links
	ID   string `json:"id"`   // as in its foyer-target.json
	// Mount is where the file system begins that the folder was on; "" for that of the root folder.
	Mount string `json:"mount,omitempty"`
	// Filesystem is the UUID of that, where it has one that is known.
	Filesystem string `json:"filesystem,omitempty"`
	// SameDisk: it may be on the file system of the data.
	SameDisk bool `json:"same_disk,omitempty"`
}

// Folder is a Target: a folder that PrepareFolder has made one. Its file system comes and goes. Each
// call opens the folder, looks whether it is the one, and does what it does in what it has
// opened: so a stick can be pulled out, unmounted or exchanged at any moment, and nothing
// is written to what is at the path then. Between two calls nothing is held open.
//
// An object is a file of its name. It is written under a temporary name, synced, and given
// its name by atomicfile.RenameNew, so that it is never half there, and replaces nothing.
type Folder struct {
	identity FolderIdentity
	data     string // folder
	any      bool   // whatever is at the path is read (ReadFolder)
	turns    *turns

	mu      sync.Mutex
	durable map[string]bool // folders of objects whose names are known to be on the disk
}

// leftFor is how old a temporary file is that nobody can be writing to any more.
const leftFor = 24 * time.Hour

// OpenFolder opens a folder that was prepared; data is the folder that the data are in. It fails with ErrAway, ErrOther or
// what else keeps it from being used now, and removes what dead processes left in it more than a
// day ago. A folder that can only be read is opened.
func OpenFolder(ctx context.Context, identity FolderIdentity, data string) (*Folder, error) {
	f := &Folder{identity: identity, data: data, turns: newTurns(), durable: map[string]bool{}}
	if err := f.do(ctx, func(*os.Root) error { return nil }); err != nil {
		return nil, fmt.Errorf("cannot open the folder for backups: %w", err)
	}
	if err := f.collect(ctx, ""); err != nil {
		return nil, fmt.Errorf("cannot tidy the folder for backups: %w", err)
	}
	return f, nil
}

// Silent is how long the disk has not answered what it was asked last; 0: nothing is asked of it.
// It waits for nothing. Large objects on slow disks take a minute.
func (f *Folder) Silent() time.Duration { return f.turns.silent() }

// String is its path.
func (f *Folder) String() string { return f.identity.Path }

// enter opens the folder, if it is the one.
func (f *Folder) enter() (*os.Root, error) {
	at := f.identity.Path
	fi, err := os.Stat(at)
	switch {
	case missing(err):
		return nil, away(at, err)
	case err != nil:
		return nil, explain(at, err)
	case !fi.IsDir():
		return nil, away(at, errors.New("it is no folder"))
	}
	in, err := os.OpenRoot(at)
	if missing(err) {
		return nil, away(at, err)
	}
	if err != nil {
		return nil, explain(at, err)
	}
	if err := f.recognise(in); err != nil {
		in.Close() //nolint:errcheck // a folder, opened to be looked at
		return nil, explain(at, err)
	}
	return in, nil
}

// recognise tells whether an open folder is the one.
func (f *Folder) recognise(in *os.Root) error {
	at := f.identity.Path
	dir, err := in.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // a folder, opened to be looked at
	here, err := host.FilesystemOf(dir)
	if err != nil {
		return err
	}
	if here.Gone {
		return away(at, errors.New("its device was unplugged"))
	}
	if f.any {
		return nil
	}
	if f.identity.Mount != "" {
		above, err := host.FilesystemAt(filepath.Dir(f.identity.Mount))
		if err != nil || here.Same(above) {
			return away(at, join(fmt.Errorf("nothing is mounted at %s", f.identity.Mount), err))
		}
	}
	if !f.identity.SameDisk {
		if data, err := host.FilesystemAt(host.Existing(f.data)); err == nil && here.Same(data) {
			return away(at, fmt.Errorf("it is on the file system of %s", f.data))
		}
	}
	is, err := readIdentity(in)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return other(at, err)
	case errors.Is(err, errDamaged):
		return damaged(at, err)
	case errors.Is(err, errNewer):
		return newer(at, err)
	case err != nil:
		return err
	case is.ID != f.identity.ID:
		return other(at, fmt.Errorf("it has the id %s", is.ID))
	case f.identity.Filesystem != "" && here.UUID != "" && here.UUID != f.identity.Filesystem:
		return other(at, fmt.Errorf("it is a copy, on the file system %s", here.UUID))
	}
	return nil
}

// do does something in the folder, in a turn. What it returns says what is wrong.
func (f *Folder) do(ctx context.Context, what func(in *os.Root) error) error {
	return f.take(ctx, func() error {
		in, err := f.enter()
		if err != nil {
			return err
		}
		defer in.Close() //nolint:errcheck // a folder, opened to be worked in
		return what(in)
	}, nil)
}

// take is turns.take; what is wrong is looked into while it is.
func (f *Folder) take(ctx context.Context, what func() error, late func()) error {
	err := f.turns.take(ctx, func() error { return f.diagnose(what()) }, late)
	return explain(f.identity.Path, err)
}

// diagnose says what an error in the folder comes from: a disk that is pulled out fails in many ways.
func (f *Folder) diagnose(err error) error {
	switch trouble := atomicfile.TroubleOf(err); {
	case hint.Find(err) != nil, trouble == atomicfile.None, trouble == atomicfile.Full:
		return err
	}
	in, now := f.enter()
	if now == nil {
		in.Close() //nolint:errcheck // a folder, opened to be looked at
		return err
	}
	if errors.Is(now, ErrAway) || errors.Is(now, ErrOther) {
		return now
	}
	return err
}

// Room is Target.Room.
func (f *Folder) Room(ctx context.Context) (free, total int64, known bool, err error) {
	var room [2]uint64
	err = f.do(ctx, func(in *os.Root) (err error) {
		dir, err := in.Open(".")
		if err != nil {
			return err
		}
		defer dir.Close() //nolint:errcheck // a folder, opened to be looked at
		room[0], room[1], err = atomicfile.FreeSpaceOf(dir)
		return err
	})
	if err != nil {
		return 0, 0, false, err
	}
	return int64(room[0]), int64(room[1]), room[1] > 0, nil
}

// Delete is Target.Delete.
func (f *Folder) Delete(ctx context.Context, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	err := f.do(ctx, func(in *os.Root) error {
		switch fi, err := in.Lstat(name); {
		case missing(err): // perhaps not for long: it may have been deleted just before a power cut
		case err != nil:
			return err
		case !fi.Mode().IsRegular():
			return nil
		default:
			if err := in.Remove(name); err != nil && !missing(err) {
				return err
			}
		}
		if fi, err := in.Lstat(path.Dir(name)); missing(err) || err == nil && !fi.IsDir() {
			return nil
		}
		dir, err := in.Open(path.Dir(name))
		if err != nil {
			return err
		}
		defer dir.Close() //nolint:errcheck // a folder, opened to be synced
		return atomicfile.SyncNames(dir)
	})
	if err != nil {
		return fmt.Errorf("cannot delete %s: %w", name, err)
	}
	return nil
}

// collect removes what was left below a folder for more than a day. Where nothing can
// be removed it stays.
func (f *Folder) collect(ctx context.Context, dir string) error {
	entries, err := f.read(ctx, dir)
	if err != nil {
		return err
	}
	old := time.Now().Add(-leftFor)
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case e.IsDir() && fits(e.Name()) && strings.Count(name, "/") < mostSegments-1:
			err = f.collect(ctx, name)
		case !e.IsDir() && strings.HasPrefix(e.Name(), temporary):
			err = f.do(ctx, func(in *os.Root) error {
				if fi, err := in.Lstat(name); err != nil || fi.ModTime().After(old) {
					return nil
				}
				if err := in.Remove(name); err != nil && atomicfile.TroubleOf(err) == atomicfile.Failing {
					return err
				}
				return nil
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// missing reports whether something is not there, or something on the way is no folder.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
