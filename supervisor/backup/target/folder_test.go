package target_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/supervisor/backup/target"
	"github.com/foyer-server/foyer/supervisor/backup/target/targettest"
)

// here makes a target in a folder on the disk of the tests.
func here(t *testing.T) target.FolderIdentity {
	t.Helper()
	identity, err := target.PrepareFolder(t.Context(), t.TempDir(), target.FolderOptions{Data: t.TempDir(), SameDisk: true})
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

func open(t *testing.T, identity target.FolderIdentity, data string) *target.Folder {
	t.Helper()
	f, err := target.OpenFolder(t.Context(), identity, data)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// tree is every file below dir but the identity.
func tree(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "foyer-target.json" {
			files = append(files, strings.TrimPrefix(path, dir+string(filepath.Separator)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// What every target promises, in a folder; and no temporary file is left behind.
func TestFolder(t *testing.T) {
	t.Attr("shows", "backups")
	targettest.Run(t, func(t *testing.T) (one, other target.Target) {
		identity := here(t)
		t.Cleanup(func() {
			left := func() string { return strings.Join(tree(t, identity.Path), " ") }
			for end := time.Now().Add(2 * time.Minute); strings.Contains(left(), ".foyer-tmp-"); time.Sleep(time.Millisecond) {
				if time.Now().After(end) { // whoever cancels a call does not wait for it to be tidied up
					t.Fatalf("left behind: %s", left())
				}
			}
		})
		return open(t, identity, t.TempDir()), open(t, identity, t.TempDir())
	})
}
