package host

import (
	"os"

	"golang.org/x/sys/unix"
)

func filesystemAt(_, path string) (Filesystem, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return Filesystem{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return Filesystem{Device: uint64(uint32(st.Dev))}, nil
}

func filesystemOf(_ string, f *os.File) (Filesystem, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return Filesystem{}, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return Filesystem{Device: uint64(uint32(st.Dev))}, nil
}
