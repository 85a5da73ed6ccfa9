package target_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
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

// A folder that this machine knows nothing of is read by its path, whatever its identity says;
// it is left as it was, and nothing in it can be changed through what was opened.
func TestReadFolder(t *testing.T) {
	identity := here(t)
	f := open(t, identity, t.TempDir())
	if err := f.Put(t.Context(), "a/1.seg", strings.NewReader("abc"), 3); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(path string) error{
		"as it is": func(string) error { return nil },
		"a damaged identity": func(path string) error {
			return errors.Join(os.RemoveAll(path), os.WriteFile(path, []byte("{"), 0o600))
		},
		"a copy by hand":      os.RemoveAll,
		"one that is no file": func(path string) error { return errors.Join(os.RemoveAll(path), os.Mkdir(path, 0o700)) },
	} {
		if err := spoil(filepath.Join(identity.Path, "foyer-target.json")); err != nil {
			t.Fatal(err)
		}
		before := tree(t, identity.Path)
		r, err := target.ReadFolder(t.Context(), identity.Path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var names []string
		if err := r.List(t.Context(), "", func(o target.Object) error { names = append(names, o.Name); return nil }); err != nil || !slices.Equal(names, []string{"a/1.seg"}) {
			t.Errorf("%s: %q %v", name, names, err)
		}
		body, err := r.Get(t.Context(), "a/1.seg", 1)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text, err := io.ReadAll(body)
		if err = errors.Join(err, body.Close()); err != nil || string(text) != "bc" {
			t.Errorf("%s: %q %v", name, text, err)
		}
		if _, writes := r.(interface {
			Delete(context.Context, string) error
		}); writes {
			t.Error("what is opened to be read can delete")
		}
		if after := tree(t, identity.Path); !slices.Equal(before, after) {
			t.Errorf("%s: %q became %q", name, before, after)
		}
	}
	for _, none := range []string{filepath.Join(identity.Path, "none"), filepath.Join(identity.Path, "a", "1.seg")} {
		if _, err := target.ReadFolder(t.Context(), none); !errors.Is(err, target.ErrAway) {
			t.Errorf("%s: %v", none, err)
		}
	}
}
