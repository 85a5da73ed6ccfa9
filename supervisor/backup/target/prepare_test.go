package target_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup/target"
	"github.com/foyer-server/foyer/supervisor/backup/target/targettest"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What is of no use as a target is refused in words, and left as it was.
func TestFoldersThatAreRefused(t *testing.T) {
	t.Attr("shows", "backups")
	for _, c := range []struct {
		name, dir string // below a folder that has data/
		make      string // a file
		sameDisk  bool
		code      string
	}{
		{"on the disk of the data", "backups", "backups/lost+found/x", false, "target-same-disk"},
		{"not there yet, on the disk of the data", "backups", "", false, "target-same-disk"},
		{"the folder of the data", "data", "", true, "target-inside"},
		{"in the folder of the data", "data/backups", "", true, "target-inside"},
		{"deep in the folder of the data", "data/a/b", "data/a/file", true, "target-inside"},
		{"in the folder of the data, by a link", "link/backups", "", true, "target-inside"},
		{"above the folder of the data", ".", "", true, "target-occupied"},
		{"with photos in it", "backups", "backups/photo.jpg", true, "target-occupied"},
		{"with a folder in it", "backups", "backups/photos/1.jpg", true, "target-occupied"},
		{"a file", "backups", "backups", true, "target-away"},
		{"in a folder that is not there", "a/b", "", true, "target-away"},
		{"below a file", "a/b", "a", true, "target-away"},
		{"of a newer version", "backups", "backups/foyer-target.json", true, "target-newer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			write(t, filepath.Join(root, "data", "data.db"), "data")
			if err := os.Symlink("data", filepath.Join(root, "link")); err != nil {
				t.Skip(err)
			}
			if c.make != "" {
				write(t, filepath.Join(root, c.make), `{"foyer":"target","format":2,"id":"00112233445566778899aabbccddeeff","new":true}`)
			}
			before := tree(t, root)
			identity, err := target.PrepareFolder(t.Context(), filepath.Join(root, c.dir), target.FolderOptions{Data: filepath.Join(root, "data"), SameDisk: c.sameDisk})
			e := hint.Find(err)
			if e == nil || e.Code != c.code || identity != (target.FolderIdentity{}) {
				t.Fatalf("%+v, %v", identity, err)
			}
			for _, l := range hint.Langs {
				if lines := e.Lines(l); len(lines) < 2 || !strings.Contains(strings.Join(lines, " "), filepath.Base(root)) {
					t.Errorf("%s: %q", l, lines)
				}
			}
			if after := tree(t, root); !slices.Equal(before, after) {
				t.Errorf("there were %q, there are %q", before, after)
			}
			if _, err := os.Lstat(filepath.Join(root, "backups")); err == nil && !strings.HasPrefix(c.make, "backups") {
				t.Error("a folder was made")
			}
		})
	}
}

// A folder is made where it is missing, and known by where it really is; what systems put on a disk by themselves is in nobody's way.
func TestFoldersThatAreTaken(t *testing.T) {
	root := t.TempDir()
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		t.Fatal(err)
	}
	o := target.FolderOptions{Data: filepath.Join(root, "data-to-be"), SameDisk: true}
	write(t, filepath.Join(root, "there", "lost+found", "x"), "")
	write(t, filepath.Join(root, "there", ".Trash-1000", "x"), "")
	write(t, filepath.Join(root, "there", ".foyer-tmp-OLD"), "")
	if err := os.Symlink("there", filepath.Join(root, "link")); err != nil {
		t.Skip(err)
	}
	for _, c := range [][2]string{{"there", "there"}, {"link/new", "there/new"}, {"new", "new"}} { // the second is in the first
		dir, want := c[0], c[1]
		identity, err := target.PrepareFolder(t.Context(), filepath.Join(root, dir), o)
		if err != nil {
			t.Fatal(err)
		}
		if identity.Path != filepath.Join(real, want) || len(identity.ID) != 32 || !identity.SameDisk {
			t.Errorf("%s is known as %+v", dir, identity)
		}
		if fi, err := os.Stat(filepath.Join(root, want, "foyer-target.json")); err != nil || fi.Mode().Perm()&0o077 != 0 {
			t.Errorf("%v, %v", fi.Mode(), err)
		}
		if left, err := filepath.Glob(filepath.Join(root, want, ".foyer-tmp-*")); err != nil || len(left) > 1 || len(left) == 1 && filepath.Base(left[0]) != ".foyer-tmp-OLD" {
			t.Errorf("left behind: %q, %v", left, err)
		}
	}
}

// Who prepares a target again keeps it; one whose identity is damaged is told so, and gets a new
// one, with all that is in it.
func TestPrepareAgain(t *testing.T) {
	t.Attr("shows", "backups")
	identity := here(t)
	o := target.FolderOptions{Data: t.TempDir(), SameDisk: true}
	f := open(t, identity, o.Data)
	put := func(name string) {
		t.Helper()
		if err := f.Put(t.Context(), name, targettest.Content(1, 10), 10); err != nil {
			t.Fatal(err)
		}
	}
	put("chain/1")
	again, err := target.PrepareFolder(t.Context(), identity.Path, o)
	if err != nil || again != identity {
		t.Errorf("prepared again it is %+v, and not %+v, %v", again, identity, err)
	}
	put("chain/2")

	path := filepath.Join(identity.Path, "foyer-target.json")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := slices.Clone(whole)
	flipped[slices.Index(flipped, '-')+1]++ // in the time it was made
	for name, text := range map[string][]byte{"empty": nil, "cut": whole[:len(whole)/2], "flipped": flipped, "twice": slices.Concat(whole, whole), "zeros": make([]byte, 512)} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := target.OpenFolder(t.Context(), identity, o.Data); hint.Find(err) == nil || hint.Find(err).Code != "target-damaged" {
			t.Errorf("%s: %v", name, err)
		}
		if err := f.Put(t.Context(), "chain/3", targettest.Content(1, 10), 10); hint.Find(err) == nil || hint.Find(err).Code != "target-damaged" {
			t.Errorf("%s, put: %v", name, err)
		}
	}
	anew, err := target.PrepareFolder(t.Context(), identity.Path, o)
	if err != nil || anew.ID == identity.ID {
		t.Errorf("%+v, %v", anew, err)
	}
	f = open(t, anew, o.Data)
	put("chain/3")
	if got := tree(t, identity.Path); !slices.Equal(got, []string{"chain/1", "chain/2", "chain/3"}) {
		t.Errorf("there are %q", got)
	}
}
