//go:build linux || darwin

package atomicfile

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// naming is how a file system gives a file in the folder another name, and replaces nothing.
type naming struct {
	rename func(dir int, from, to string) error
	link   func(dir int, from, to string) error
}

func kernelNaming() naming {
	return naming{renameExclusive, func(dir int, from, to string) error { return unix.Linkat(dir, from, dir, to, 0) }}
}

func renameNew(dir *os.File, from, to string) error { return kernelNaming().renameNew(dir, from, to) }

func (n naming) renameNew(dir *os.File, from, to string) error {
	fd := int(dir.Fd())
	err := retry(func() error { return n.rename(fd, from, to) })
	switch err {
	case unix.EINVAL, unix.ENOSYS, unix.ENOTSUP, unix.EPERM:
	default:
		return err
	}
	err = retry(func() error { return n.link(fd, from, to) })
	switch err {
	case nil:
		removeFirst(fd, from)
		return nil
	case unix.EEXIST:
		if !sameFile(fd, from, to) {
			return err
		}
		removeFirst(fd, from) // a server on the network was asked twice, and did it the first time
		return nil
	case unix.EINVAL, unix.ENOSYS, unix.ENOTSUP, unix.EPERM, unix.EMLINK, unix.EACCES:
		return renameLocked(fd, from, to)
	}
	return err
}

// removeFirst removes the name that the file had before. The file has its new name already:
// where this fails, the other is left behind, as after a crash.
func removeFirst(dir int, from string) {
	retry(func() error { return unix.Unlinkat(dir, from, 0) }) //nolint:errcheck // see above
}

func sameFile(dir int, a, b string) bool {
	var x, y unix.Stat_t
	return unix.Fstatat(dir, a, &x, unix.AT_SYMLINK_NOFOLLOW) == nil &&
		unix.Fstatat(dir, b, &y, unix.AT_SYMLINK_NOFOLLOW) == nil && x.Dev == y.Dev && x.Ino == y.Ino
}

// renameLocked renames while it holds the lock of the folder.
func renameLocked(dir int, from, to string) error {
	lock := -1 // of its own: those who share an open folder share its lock, too
	err := retry(func() (err error) {
		lock, err = unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return err
	}
	defer unix.Close(lock) //nolint:errcheck // nothing was written to it
	if err := retry(func() error { return unix.Flock(lock, unix.LOCK_EX) }); err != nil {
		return fmt.Errorf("cannot lock the folder: %w", err)
	}
	var st unix.Stat_t
	err = retry(func() error { return unix.Fstatat(dir, to, &st, unix.AT_SYMLINK_NOFOLLOW) })
	switch err {
	case nil:
		return unix.EEXIST
	case unix.ENOENT:
		return retry(func() error { return unix.Renameat(dir, from, dir, to) })
	}
	return err
}

// retry does again what a signal cut short.
func retry(do func() error) error {
	for {
		if err := do(); err != unix.EINTR {
			return err
		}
	}
}

// SyncNames makes the names in an open folder durable. A file system that has no such
// operation for folders, as SMB, does that by itself, or not at all: it is no error.
func SyncNames(dir *os.File) error {
	err := retry(func() error { return unix.Fsync(int(dir.Fd())) })
	switch err {
	case nil, unix.EINVAL, unix.ENOSYS, unix.ENOTSUP:
		return nil
	}
	return fmt.Errorf("cannot sync folder %s: %w", dir.Name(), err)
}
