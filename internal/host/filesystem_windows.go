package host

import (
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

func filesystemAt(root, path string) (Filesystem, error) {
	f, err := os.Open(path)
	if err != nil {
		return Filesystem{}, err
	}
	defer f.Close() //nolint:errcheck // it was only looked at
	return filesystemOf(root, f)
}

func filesystemOf(_ string, f *os.File) (Filesystem, error) {
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(windows.Handle(f.Fd()), &info); err != nil {
		return Filesystem{}, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	serial := info.VolumeSerialNumber
	return Filesystem{Device: uint64(serial), UUID: fmt.Sprintf("%04X-%04X", serial>>16, serial&0xffff)}, nil
}
