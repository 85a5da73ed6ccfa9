package atomicfile

import (
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/windows"
)

// SyncDir does nothing: Windows makes a rename durable with the file itself.
func SyncDir(string) error { return nil }

// Lock is an advisory lock on a file; it ends with the process that holds it.
type Lock struct{ f *os.File }

// TryLock takes the lock at path, making the file when it is missing.
// It does not wait: ErrLocked says that somebody else holds it.
func TryLock(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	if err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, new(windows.Overlapped)); err != nil {
		f.Close()
		if err == windows.ERROR_LOCK_VIOLATION {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	return &Lock{f}, nil
}

// Lend has a command hold the lock, too, where the system can do that: not here.
func (l *Lock) Lend(*exec.Cmd) {}

// Borrow does nothing, as Lend.
func Borrow() {}

// Unlock gives the lock back. The file stays.
func (l *Lock) Unlock() error { return l.f.Close() }
