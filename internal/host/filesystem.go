package host

import (
	"os"
	"path/filepath"
)

// Filesystem is what tells one file system from another.
type Filesystem struct {
	// Device differs for any two file systems that are mounted at one time, and may be
	// another one at the next start of the machine. Subvolumes of btrfs have one each.
	Device uint64
	// UUID is the same wherever and whenever the file system is mounted: the serial number
	// of a FAT or of a volume of Windows, the UUID of others. "" where there is none, as of
	// network file systems and those in memory, and where the system does not say: macOS.
	UUID string
	// Gone: the disk that it is on was unplugged, and it is still mounted.
	Gone bool
}

// FilesystemOf tells which file system an open file or folder is on.
func FilesystemOf(f *os.File) (Filesystem, error) { return filesystemOf("/", f) }

// FilesystemAt tells which file system a file or folder is on. It takes no right to read it,
// but then may not know the UUID.
func FilesystemAt(path string) (Filesystem, error) { return filesystemAt("/", path) }

// Same reports whether two that were asked at one time are the same file system.
func (a Filesystem) Same(b Filesystem) bool {
	return a.Device == b.Device || a.UUID != "" && a.UUID == b.UUID
}

// MountPoint is where the file system that holds the folder at path begins: without
// what is mounted there, the path would lead to another one, or nowhere. "" where it is that
// of the root folder, or of a drive. path is absolute and has no links in it.
func MountPoint(path string) (string, error) {
	for at := filepath.Clean(path); ; {
		above := filepath.Dir(at)
		if above == at {
			return "", nil
		}
		here, err := FilesystemAt(at)
		if err != nil {
			return "", err
		}
		there, err := FilesystemAt(above)
		if err != nil {
			return "", err
		}
		if !here.Same(there) {
			return at, nil
		}
		at = above
	}
}
