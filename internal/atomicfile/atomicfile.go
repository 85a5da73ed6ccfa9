// Package atomicfile writes files that survive a power cut: whole or not at all.
//
// Every write goes to a temporary file beside the target, is fsynced, renamed
// over it, and the folder is fsynced, so that after a crash the name holds either
// the old bytes or the new ones, never half of them and never nothing. What must not
// replace anything gets its name by RenameNew. It also takes the advisory locks that keep
// two runs of Foyer apart, and tells how much room a disk has left and what an error says about it.
//
// Used by everything that must not be lost. It knows nobody above it.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrLocked is returned by TryLock when somebody else holds the lock.
var ErrLocked = errors.New("somebody else holds the lock")

// disk makes durable what was written. Tests watch it, and have it fail.
type disk struct {
	file   func(*os.File) error    // the bytes of a file
	folder func(path string) error // the names in a folder
}

func realDisk() disk { return disk{(*os.File).Sync, SyncDir} }

// Write replaces path by data with the given mode, durably. The parent folder
// must exist.
func Write(path string, data []byte, mode fs.FileMode) error {
	return WriteAs(path, data, mode, -1, -1)
}

// WriteAs is Write with an owner: uid and gid, each -1 to leave it.
func WriteAs(path string, data []byte, mode fs.FileMode, uid, gid int) error {
	return realDisk().write(path, data, mode, uid, gid)
}

func (d disk) write(path string, data []byte, mode fs.FileMode, uid, gid int) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".tmp-*")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			tmp.Close()           //nolint:errcheck // err says what is wrong
			os.Remove(tmp.Name()) //nolint:errcheck // it is nobody's
			err = fmt.Errorf("cannot write %s: %w", path, err)
		}
	}()
	if _, err = tmp.Write(data); err != nil {
		return err
	}
	if uid >= 0 || gid >= 0 {
		if err = tmp.Chown(uid, gid); err != nil {
			return err
		}
	}
	if err = tmp.Chmod(mode); err != nil {
		return err
	}
	if err = d.file(tmp); err != nil {
		return err
	}
	if err = tmp.Close(); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return d.folder(dir)
}

// Symlink makes path a symbolic link to target, durably, replacing a link that
// is there already in one step.
func Symlink(target, path string) error { return realDisk().symlink(target, path) }

func (d disk) symlink(target, path string) error {
	tmp := path + ".tmp-link"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot link %s: %w", path, err)
	}
	if err := os.Symlink(target, tmp); err != nil {
		return fmt.Errorf("cannot link %s: %w", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp) //nolint:errcheck // it is taken away before the next one
		return fmt.Errorf("cannot link %s: %w", path, err)
	}
	return d.folder(filepath.Dir(path))
}

// Remove removes a file, a link or an empty folder durably; a missing one is no error.
func Remove(path string) error { return realDisk().remove(path) }

func (d disk) remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.folder(filepath.Dir(path))
}

// SyncFile fsyncs a file that somebody else wrote.
func SyncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("cannot sync %s: %w", path, err)
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("cannot sync %s: %w", path, err)
	}
	return nil
}
