package atomicfile

import (
	"errors"
	"io/fs"
	"slices"
	"syscall"
)

// Trouble is what an error of a file or folder says about the disk, or about its rights.
type Trouble int

// What an error says. None is anything else: a missing file, a wrong name.
const (
	None     Trouble = iota
	Full             // no room, or none for this account
	ReadOnly         // nothing can be written
	Denied           // this account may not
	Gone             // the device, or the server that has the files, is not there any more
	Failing          // reading or writing went wrong
)

// TroubleOf tells what err says.
func TroubleOf(err error) Trouble {
	errno, ok := errors.AsType[syscall.Errno](err)
	if ok {
		for _, t := range troubles {
			if slices.Contains(t.errnos, errno) {
				return t.is
			}
		}
	}
	if errors.Is(err, fs.ErrPermission) {
		return Denied
	}
	return None
}

// troublesOf are the errors of one kind.
type troublesOf struct {
	is     Trouble
	errnos []syscall.Errno
}
