//go:build unix

package step

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// The real disk is really asked: for a file that is closed, and for a folder that is
// none, it promises nothing.
func TestTheRealDiskIsAsked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	d := RealDisk()
	if err := errors.Join(d.File(f), d.Folder(filepath.Dir(path))); err != nil {
		t.Error(err)
	}
	f.Close()
	if err := d.File(f); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a closed file: %v", err)
	}
	if err := d.Folder(filepath.Join(path, "folder")); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a folder that is none: %v", err)
	}
}
