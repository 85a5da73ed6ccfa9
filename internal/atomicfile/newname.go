package atomicfile

import (
	"fmt"
	"io/fs"
	"os"
)

// RenameNew gives a file in an open folder another name there, unless something has it:
// then the error matches fs.ErrExist, and the file keeps the name that it had. It is done
// in the folder that is open, whatever becomes of its path. SyncNames makes it durable.
//
// A file system does it in one of three ways, the first that it knows:
//
//   - It renames and never replaces (renameat2(2) with RENAME_NOREPLACE; macOS has
//     renameatx_np(2), Windows MoveFileEx): every file system of Linux's own that is on a
//     disk, and SMB. After a crash the file has the one name or the other.
//   - It makes a second name (link(2)), and the first is removed: NFS, NTFS by FUSE. After
//     a crash the file may have both names.
//   - Where neither exists, as with exFAT by FUSE, the folder is locked (flock(2)), and the file is
//     renamed if nothing has the name. After a crash the file has the one name or the
//     other, and the lock is free. This holds the processes of one machine apart,
//     as far as they come by this function: such a file system is used by one machine.
func RenameNew(dir *os.File, from, to string) error {
	if err := renameNew(dir, from, to); err != nil {
		return fmt.Errorf("cannot rename: %w", &fs.PathError{Op: "rename", Path: to, Err: err})
	}
	return nil
}
