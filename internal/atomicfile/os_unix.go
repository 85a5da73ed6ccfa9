//go:build unix

package atomicfile

import (
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// SyncDir makes the names in a folder durable. A folder that has gone is no error.
func SyncDir(dir string) error {
	d, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0) // a pipe would block
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot sync folder %s: %w", dir, err)
	}
	defer d.Close() //nolint:errcheck // a folder, opened to be synced
	if err := d.Sync(); err != nil {
		return fmt.Errorf("cannot sync folder %s: %w", dir, err)
	}
	return nil
}

// Lock is an advisory lock on a file; it ends with the process that holds it.
type Lock struct{ f *os.File }

// TryLock takes the lock at path, making the file when it is missing.
// It does not wait: ErrLocked says that somebody else holds it (flock(2)). A link, or
// what is no ordinary file, is an error.
func TryLock(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		f.Close() //nolint:errcheck // nothing was written
		return nil, fmt.Errorf("cannot lock %s: it is no ordinary file", path)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close() //nolint:errcheck // nothing was written
		if err == unix.EWOULDBLOCK {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	return &Lock{f}, nil
}

// Lend has a command that is not started yet hold the lock, too: it is free once
// this process and that one have let go of it.
func (l *Lock) Lend(cmd *exec.Cmd) { cmd.ExtraFiles = append(cmd.ExtraFiles, l.f) }

// Borrow is for a process that one lock was lent to, as its only further file: commands that
// it runs itself do not hold it, so that it is free once this process has died.
func Borrow() { unix.CloseOnExec(3) }

// Unlock gives the lock back. The file stays.
func (l *Lock) Unlock() error { return l.f.Close() }
