package safepath

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/foyer-server/foyer/internal/atomicfile"
)

// Dir is a folder. Foyer is not installed on Windows with the administrator's rights,
// and has nobody to guard against there: it works by the folder's name.
type Dir struct{ path string }

// Open opens the folder at path.
func Open(path string) (*Dir, error) {
	if fi, err := os.Stat(path); err != nil {
		return nil, err
	} else if !fi.IsDir() {
		return nil, &Error{path, NotFolder}
	}
	return &Dir{path}, nil
}

func openFor(path string) (d *Dir, name string, err error) {
	d, err = Open(filepath.Dir(path))
	return d, filepath.Base(path), err
}

// Close does nothing.
func (d *Dir) Close() error { return nil }

// Trusted is true: nobody is guarded against.
func (d *Dir) Trusted() bool { return true }

// Way is none.
func (d *Dir) Way() Hazard { return Hazard{} }

// Inside is none.
func (d *Dir) Inside() (Hazard, error) { return Hazard{}, nil }

// Info tells the mode of the folder; it has no owners of that kind.
func (d *Dir) Info() (Info, error) {
	fi, err := os.Stat(d.path)
	if err != nil {
		return Info{}, d.fail("look at", "", err)
	}
	return Info{-1, -1, fi.Mode().Perm()}, nil
}

// Open opens the folder name in this one.
func (d *Dir) Open(name string) (*Dir, error) { return Open(d.in(name)) }

// Names lists what is in the folder, at most so many of it, in order.
func (d *Dir) Names(most int) ([]string, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, d.fail("read", "", err)
	}
	var names []string
	for _, e := range entries[:min(most, len(entries))] {
		names = append(names, e.Name())
	}
	return names, nil
}

// Sync does nothing: Windows makes a rename durable with the file itself.
func (d *Dir) Sync() error { return nil }

// Own does nothing: folders have no such owners.
func (d *Dir) Own(fs.FileMode, int, int) error { return nil }

// Make makes the folder name.
func (d *Dir) Make(name string, mode fs.FileMode, _, _ int) (*Dir, error) {
	if err := os.Mkdir(d.in(name), mode); err != nil {
		return nil, err
	}
	return Open(d.in(name))
}

// ReadFile reads the file name, which has at most so many bytes.
func (d *Dir) ReadFile(name string, most int64) ([]byte, error) {
	f, err := os.Open(d.in(name))
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return nil, &Error{d.in(name), NotRegular}
	}
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", d.in(name), err)
	}
	if int64(len(data)) > most {
		return nil, &Error{d.in(name), TooLarge}
	}
	return data, nil
}

// readSecret reads the file name of folder d: who may read it is not said by its mode.
func readSecret(d *Dir, name string, most int64) ([]byte, error) { return d.ReadFile(name, most) }

// Take reads the file name and removes what has that name.
func (d *Dir) Take(name string, most int64) ([]byte, error) {
	data, err := d.ReadFile(name, most)
	return data, errors.Join(err, d.Clear(name))
}

// Clear removes what has that name; a missing one is no error.
func (d *Dir) Clear(name string) error { return os.RemoveAll(d.in(name)) }

func (d *Dir) ownFile(string, func(Info) Info) error { return nil }

// Write replaces the file name by data.
func (d *Dir) Write(name string, data []byte, mode fs.FileMode, _, _ int) error {
	return atomicfile.Write(d.in(name), data, mode)
}

// Remove removes what has that name; a missing one is no error.
func (d *Dir) Remove(name string) error { return atomicfile.Remove(d.in(name)) }

// RemoveDir removes the empty folder of that name; a missing one is no error.
func (d *Dir) RemoveDir(name string) (gone bool, err error) {
	return os.Remove(d.in(name)) == nil, nil
}

// Empty removes all that is in the folder but what keep says.
func (d *Dir) Empty(keep func(name string) bool) (left []string, err error) {
	names, err := d.Names(math.MaxInt)
	for _, name := range slices.DeleteFunc(names, keep) {
		if err := os.RemoveAll(filepath.Join(d.path, name)); err != nil {
			return nil, err
		}
	}
	return nil, err
}

// TakeOver does nothing: files have no such owners.
func (d *Dir) TakeOver(int, int, func(string) bool) error { return nil }
