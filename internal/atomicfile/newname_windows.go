package atomicfile

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// renameNew goes by the folder's path: Windows lets nobody rename a folder that is open.
func renameNew(dir *os.File, from, to string) error {
	f, err := windows.UTF16PtrFromString(filepath.Join(dir.Name(), from))
	if err != nil {
		return err
	}
	t, err := windows.UTF16PtrFromString(filepath.Join(dir.Name(), to))
	if err != nil {
		return err
	}
	return windows.MoveFileEx(f, t, windows.MOVEFILE_WRITE_THROUGH)
}

// SyncNames does nothing: Windows makes a rename durable with the file itself.
func SyncNames(*os.File) error { return nil }
