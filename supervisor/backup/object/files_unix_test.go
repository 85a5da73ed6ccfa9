//go:build unix

package object

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
)

// Keys that others may read, or could have put there, are not used.
func TestKeyFilesAreForNobodyElse(t *testing.T) {
	t.Attr("shows", "backups")
	const somebody = 65534
	w := newWorld(t)
	root := os.Geteuid() == 0
	for _, c := range []struct {
		name  string
		spoil func(dir, path string) error
		fine  bool
		root  bool // only root can
	}{
		{"as it was saved", func(string, string) error { return nil }, true, false},
		{"for reading only", func(_, path string) error { return os.Chmod(path, 0o400) }, true, false},
		{"the group reads", func(_, path string) error { return os.Chmod(path, 0o640) }, false, false},
		{"everybody reads", func(_, path string) error { return os.Chmod(path, 0o604) }, false, false},
		{"everybody writes", func(_, path string) error { return os.Chmod(path, 0o602) }, false, false},
		{"a second name", func(dir, path string) error { return os.Link(path, filepath.Join(dir, "copy")) }, false, false},
		{"a folder", func(_, path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, false, false},
		{"somebody else's", func(_, path string) error { return os.Chown(path, somebody, somebody) }, false, true},
		{"the folder's owner's, read by root", func(dir, path string) error {
			return errors.Join(os.Chown(dir, somebody, somebody), os.Chown(path, somebody, somebody))
		}, true, true},
		{"a link by the folder's owner, read by root", func(dir, path string) error {
			return errors.Join(os.Chown(dir, somebody, somebody), os.Rename(path, filepath.Join(dir, "moved")), os.Symlink("moved", path))
		}, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.root && !root {
				t.Skip("only root gives files to others")
			}
			dir := t.TempDir()
			if err := errors.Join(w.machine.Save(dir), w.chain.Save(dir)); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{MachineFile, ChainFile} {
				path := filepath.Join(dir, name)
				if fi, err := os.Stat(path); err != nil || fi.Mode() != 0o600 {
					t.Errorf("%v, %v", fi.Mode(), err)
				}
				if err := c.spoil(dir, path); err != nil {
					if errors.Is(err, fs.ErrExist) {
						continue // the other one has it
					}
					t.Fatal(err)
				}
			}
			_, err := LoadMachine(dir)
			e := hint.Find(err)
			if c.fine != (err == nil) || !c.fine && (e == nil || e.Code != "backup-keys-exposed") {
				t.Errorf("the machine's: %v", err)
			}
		})
	}
}
