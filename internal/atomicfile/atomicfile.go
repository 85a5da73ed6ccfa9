// Package atomicfile writes files that survive a power cut: whole or not at all.
//
// Every write goes to a temporary file beside the target, is fsynced, renamed
// over it, and the folder is fsynced, so that after a crash the name holds either
// the old bytes or the new ones, never half of them and never nothing. It also
// takes the advisory locks that keep two runs of Foyer apart and tells how much
// room a disk has left.
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

// Write replaces path by data with the given mode, durably. The parent folder
// must exist.
func Write(path string, data []byte, mode fs.FileMode) error {
	return WriteAs(path, data, mode, -1, -1)
}

// WriteAs is Write with an owner: uid and gid, each -1 to leave it.
func WriteAs(path string, data []byte, mode fs.FileMode, uid, gid int) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".tmp-*")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
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
	if err = tmp.Sync(); err != nil {
		return err
	}
	if err = tmp.Close(); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}

// Symlink makes path a symbolic link to target, durably, replacing a link that
// is there already in one step.
func Symlink(target, path string) error {
	tmp := path + ".tmp-link"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot link %s: %w", path, err)
	}
	if err := os.Symlink(target, tmp); err != nil {
		return fmt.Errorf("cannot link %s: %w", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return fmt.Errorf("cannot link %s: %w", path, err)
	}
	return SyncDir(filepath.Dir(path))
}

// Remove removes a file, a link or an empty folder durably; a missing one is no error.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return SyncDir(filepath.Dir(path))
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
