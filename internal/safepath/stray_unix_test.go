//go:build unix

package safepath

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// What root alone can have taken from an account is given back to it, and nothing else.
func TestGiveBack(t *testing.T) {
	t.Attr("shows", "mend2")
	asRoot(t)
	ours := func(name string) bool {
		return strings.HasPrefix(name, "data.db") || name == "certificates"
	}
	for name, c := range map[string]struct {
		folder int // owner of the data folder
		plant  func(t *testing.T, dir string)
		given  []string // where the kernel forbids hard links to what is not one's own
		open   []string // of these, where it does not
		unfit  []string
	}{
		"all is right": {foyer, func(t *testing.T, dir string) { plant(t, dir, foyer, "data.db", "certificates/", "certificates/key") }, nil, nil, nil},
		"files of root's": {foyer, func(t *testing.T, dir string) {
			plant(t, dir, 0, "data.db", "data.db-wal")
			plant(t, dir, foyer, "certificates/")
			plant(t, dir, 0, "certificates/key")
		}, []string{"data.db", "data.db-wal", "certificates/key"}, nil, nil},
		"a folder of root's, and what is in it": {foyer, func(t *testing.T, dir string) {
			plant(t, dir, 0, "certificates/", "certificates/home-ca/", "certificates/home-ca/key")
		}, []string{"certificates", "certificates/home-ca", "certificates/home-ca/key"}, []string{"certificates", "certificates/home-ca", "certificates/home-ca/key"}, nil},
		"of somebody's": {foyer, func(t *testing.T, dir string) { plant(t, dir, somebody, "data.db") }, []string{"data.db"}, nil, nil},
		"closed to their owner, or open to all": {foyer, func(t *testing.T, dir string) {
			plant(t, dir, foyer, "data.db", "data.db-wal", "certificates/", "certificates/key")
			for path, mode := range map[string]os.FileMode{"data.db": 0, "data.db-wal": 0o666, "certificates/key": 0o400, "certificates": 0o777} {
				if err := os.Chmod(filepath.Join(dir, path), mode); err != nil {
					t.Fatal(err)
				}
			}
		}, []string{"data.db", "data.db-wal", "certificates/key", "certificates"}, []string{"data.db", "data.db-wal", "certificates/key", "certificates"}, nil},
		"a second name": {foyer, func(t *testing.T, dir string) {
			plant(t, dir, foyer, "certificates/")
			for _, to := range []string{"data.db", "certificates/key"} {
				if err := os.Link(filepath.Join(dir, "../secret"), filepath.Join(dir, to)); err != nil {
					t.Fatal(err)
				}
			}
		}, nil, nil, []string{"certificates/key", "data.db"}},
		"names that are not Foyer's, links, pipes": {foyer, func(t *testing.T, dir string) {
			plant(t, dir, 0, "backup.tar", "notes/", "notes/mine", "data.db-link -> ../secret")
			if err := unix.Mkfifo(filepath.Join(dir, "data.db-pipe"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, nil, nil, nil},
		"somebody else's folder": {somebody, func(t *testing.T, dir string) { plant(t, dir, 0, "data.db") }, nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, closed := range []bool{true, false} {
				ways(t, func(t *testing.T, h how) {
					dir := t.TempDir()
					plant(t, dir, 0, "secret", "outside/", "outside/file")
					plant(t, dir, c.folder, "data/")
					c.plant(t, data(dir))
					before := listing(t, dir)
					d := mustOpen(t, h, data(dir))
					look := &search{uid: foyer, most: 1000, sealed: closed}
					if err := look.top(d, ours); err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(before, listing(t, dir)); diff != "" {
						t.Errorf("looking changed something: %s", diff)
					}
					var given, unfit []string
					for _, s := range look.found {
						path := strings.TrimPrefix(s.Path, data(dir)+"/")
						if s.Why == 0 {
							given = append(given, path)
						} else {
							unfit = append(unfit, path)
						}
					}
					want := slices.Clone(c.given)
					if !closed {
						want = slices.Clone(c.open)
					}
					slices.Sort(given)
					slices.Sort(want)
					slices.Sort(unfit)
					if !slices.Equal(given, want) || len(unfit) != len(c.unfit)+len(c.given)-len(want) {
						t.Errorf("sealed %t: to be given back %q, want %q; unfit %q", closed, given, want, unfit)
					}
					if err := (&search{uid: foyer, gid: foyer, most: -1, act: true, sealed: closed}).top(d, ours); err != nil {
						t.Fatal(err)
					}
					after := listing(t, dir)
					for path, is := range before {
						mine := slices.Contains(want, strings.TrimPrefix(path, "data/"))
						if mine != (is != after[path]) {
							t.Errorf("sealed %t: %s: %s, before %s", closed, path, after[path], is)
						}
					}
					again := &search{uid: foyer, most: 1000, sealed: closed}
					if err := again.top(d, ours); err != nil || len(again.found) != len(unfit) {
						t.Errorf("sealed %t: still to be done: %v, %v", closed, again.found, err)
					}
				})
			}
		})
	}
	t.Run("many", func(t *testing.T) {
		dir := t.TempDir()
		plant(t, dir, foyer, "data/", "data/certificates/")
		for i := range 100 {
			plant(t, dir, 0, "data/certificates/"+string(rune('a'+i%26))+strings.Repeat("x", i))
		}
		d, err := Open(data(dir))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if found, err := Strays(d, foyer, ours, 1000); err != nil || len(found) != mostStrays {
			t.Errorf("%d, %v", len(found), err)
		}
		if found, err := Strays(d, foyer, ours, 5); err != nil || len(found) > 5 {
			t.Errorf("%d, %v", len(found), err)
		}
	})
}
