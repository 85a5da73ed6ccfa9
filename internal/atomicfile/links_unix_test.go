//go:build unix

package atomicfile

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A lock is no link to another file, and a pipe under the name of a folder stops nobody.
func TestLinksAndPipesAreNoLocksAndFolders(t *testing.T) {
	dir := t.TempDir()
	target, link, pipe := filepath.Join(dir, "target"), filepath.Join(dir, "link"), filepath.Join(dir, "pipe")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, pipe} {
		if l, err := TryLock(path); err == nil {
			t.Errorf("%s is a lock", path)
			l.Unlock()
		}
	}
	if _, err := os.Lstat(target); !os.IsNotExist(err) {
		t.Errorf("what the link leads to was made: %v", err)
	}
	if err := SyncDir(pipe); err == nil {
		t.Error("a pipe is a folder")
	}
}
