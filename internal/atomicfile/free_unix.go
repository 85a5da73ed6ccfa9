//go:build linux || darwin

package atomicfile

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// FreeSpace returns the bytes an unprivileged process can still write on the
// disk that holds path, and how many bytes that disk has in all (statfs(2)).
func FreeSpace(path string) (free, total uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, 0, fmt.Errorf("cannot tell the free space of %s: %w", path, err)
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), nil
}

// FreeSpaceOf is FreeSpace for the disk that an open file or folder is on.
func FreeSpaceOf(f *os.File) (free, total uint64, err error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(int(f.Fd()), &st) }); err != nil {
		return 0, 0, fmt.Errorf("cannot tell the free space of %s: %w", f.Name(), err)
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), nil
}
