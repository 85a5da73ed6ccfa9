package atomicfile

import (
	"errors"
	"fmt"
	"os"
)

// Allocate makes the file path hold so many bytes of the disk, for its owner's
// eyes only. When it cannot it leaves no file.
func Allocate(path string, size int64) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = errors.Join(allocate(f, size), f.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}
	if err != nil {
		return fmt.Errorf("cannot allocate %s: %w", path, err)
	}
	return nil
}

// zeros writes what a file system cannot promise.
func zeros(f *os.File, size int64) error {
	block := make([]byte, 1<<20)
	for at := int64(0); at < size; at += int64(len(block)) {
		if _, err := f.WriteAt(block[:min(int64(len(block)), size-at)], at); err != nil {
			return err
		}
	}
	return nil
}
