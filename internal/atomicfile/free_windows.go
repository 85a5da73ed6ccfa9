package atomicfile

import (
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// FreeSpace returns the bytes this process can still write on the disk that
// holds path, and how many bytes that disk has in all.
func FreeSpace(path string) (free, total uint64, err error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, 0, err
	}
	if err := windows.GetDiskFreeSpaceEx(p, &free, &total, nil); err != nil {
		return 0, 0, fmt.Errorf("cannot tell the free space of %s: %w", path, err)
	}
	return free, total, nil
}

// FreeSpaceOf is FreeSpace for the disk that an open file or folder is on.
func FreeSpaceOf(f *os.File) (free, total uint64, err error) { return FreeSpace(f.Name()) }
