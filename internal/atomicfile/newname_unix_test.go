//go:build linux || darwin

package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// namings are the ways in which file systems give new names, by what they do not know.
func namings() map[string]naming {
	lacks := func(err error) func(int, string, string) error { return func(int, string, string) error { return err } }
	all := kernelNaming()
	return map[string]naming{
		"rename without replacing": all,
		"link":                     {lacks(unix.EINVAL), all.link},
		"link, an old kernel":      {lacks(unix.ENOSYS), all.link},
		"lock":                     {lacks(unix.EINVAL), lacks(unix.EPERM)},
		"lock, FUSE":               {lacks(unix.EINVAL), lacks(unix.ENOSYS)},
	}
}

func openFolder(t *testing.T, path string) *os.File {
	t.Helper()
	dir, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir
}

// In every way a name that is taken stays what it was, whatever has it.
func TestANewNameReplacesNothing(t *testing.T) {
	for way, n := range namings() {
		t.Run(way, func(t *testing.T) {
			path := t.TempDir()
			dir := openFolder(t, path)
			put := func(name, text string) {
				t.Helper()
				if err := os.WriteFile(filepath.Join(path, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			put("tmp", "new")
			if err := n.renameNew(dir, "tmp", "to"); err != nil || content(t, path) != "to=new" {
				t.Fatalf("%v, left %q", err, content(t, path))
			}
			put("tmp", "newer")
			if err := os.Mkdir(filepath.Join(path, "folder"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("nowhere", filepath.Join(path, "link")); err != nil {
				t.Fatal(err)
			}
			for _, taken := range []string{"to", "folder", "link"} {
				if err := n.renameNew(dir, "tmp", taken); !errors.Is(err, fs.ErrExist) {
					t.Errorf("%s: %v", taken, err)
				}
			}
			os.Remove(filepath.Join(path, "folder"))
			if left := content(t, path); left != "link=nowhere tmp=newer to=new" {
				t.Errorf("left %q", left)
			}
			if err := n.renameNew(dir, "missing", "other"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("what is missing: %v", err)
			}
		})
	}
}

// Of many who want one name exactly one gets it, by several open folders.
func TestOneGetsTheName(t *testing.T) {
	for way, n := range namings() {
		t.Run(way, func(t *testing.T) {
			path := t.TempDir()
			for round := range 50 {
				to := fmt.Sprintf("to-%d", round)
				var all sync.WaitGroup
				won := make(chan string, 8)
				for i := range 8 {
					from := fmt.Sprintf("tmp-%d", i)
					if err := os.WriteFile(filepath.Join(path, from), []byte(from), 0o600); err != nil {
						t.Fatal(err)
					}
					all.Go(func() {
						dir, err := os.Open(path)
						if err != nil {
							t.Error(err)
							return
						}
						defer dir.Close()
						switch err := n.renameNew(dir, from, to); {
						case err == nil:
							won <- from
						case !errors.Is(err, fs.ErrExist):
							t.Error(err)
						}
					})
				}
				all.Wait()
				got, err := os.ReadFile(filepath.Join(path, to))
				if winner := <-won; len(won) != 0 || err != nil || string(got) != winner {
					t.Fatalf("%s won, and %d more; there is %q, %v", winner, len(won), got, err)
				}
			}
		})
	}
}

// A server on the network that made the second name, and was asked again, says that it is
// there: it is the file's.
func TestTheNameIsItsOwn(t *testing.T) {
	path := t.TempDir()
	if err := os.WriteFile(filepath.Join(path, "tmp"), []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := kernelNaming()
	twice := naming{
		rename: func(int, string, string) error { return unix.EINVAL },
		link: func(dir int, from, to string) error {
			if err := n.link(dir, from, to); err != nil {
				return err
			}
			return n.link(dir, from, to)
		},
	}
	if err := twice.renameNew(openFolder(t, path), "tmp", "to"); err != nil || content(t, path) != "to=new" {
		t.Errorf("%v, left %q", err, content(t, path))
	}
}

// The folder that is open is meant, wherever its path leads.
func TestTheOpenFolderIsMeant(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := openFolder(t, path)
	if err := os.WriteFile(filepath.Join(path, "tmp"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+"-moved"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := RenameNew(dir, "tmp", "to"); err != nil {
		t.Error(err)
	}
	if err := SyncNames(dir); err != nil {
		t.Error(err)
	}
	if there, here := content(t, path+"-moved"), content(t, path); there != "to=" || here != "" {
		t.Errorf("there %q, at the path %q", there, here)
	}
	if free, total, err := FreeSpaceOf(dir); err != nil || free == 0 || total < free {
		t.Errorf("free %d of %d, %v", free, total, err)
	}
}

func TestTroubleOf(t *testing.T) {
	for errno, want := range map[error]Trouble{
		unix.ENOSPC: Full, unix.EDQUOT: Full, unix.EROFS: ReadOnly, unix.EACCES: Denied, unix.EPERM: Denied,
		unix.ENODEV: Gone, unix.ESTALE: Gone, unix.ENOTCONN: Gone, unix.EIO: Failing, unix.ENOENT: None, nil: None,
	} {
		err := errno
		if err != nil {
			err = fmt.Errorf("cannot write: %w", &fs.PathError{Op: "write", Path: "file", Err: errno})
		}
		if got := TroubleOf(err); got != want {
			t.Errorf("%v: %d, want %d", errno, got, want)
		}
	}
}
