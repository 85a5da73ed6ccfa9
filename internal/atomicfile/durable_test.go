package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var errDisk = errors.New("input/output error")

// content is what a folder holds: names, and what is under them.
func content(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		is, err := os.Readlink(path)
		if err != nil { // a file
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			is = string(data)
		}
		name, _, _ := strings.Cut(e.Name(), ".tmp-") // what follows is random
		all = append(all, name+"="+is)
	}
	return strings.Join(all, " ")
}

// watch returns a disk that notes what it is asked to make durable in dir, and what is
// there at that moment; the fail-th time it cannot.
func watch(t *testing.T, dir string, asked *[]string, fail int) disk {
	ask := func(what, where string) error {
		if where != dir {
			t.Errorf("something else is made durable: %s", where)
		}
		*asked = append(*asked, what+": "+content(t, dir))
		if len(*asked) == fail {
			return errDisk
		}
		return nil
	}
	kernel := realDisk()
	return disk{
		file:   func(f *os.File) error { return errors.Join(ask("file", filepath.Dir(f.Name())), kernel.file(f)) },
		folder: func(path string) error { return errors.Join(ask("folder", path), kernel.folder(path)) },
	}
}

// Bytes are on the disk before their name is, and the name before anybody is told; what
// the disk did not keep is not said to be kept.
func TestWhatWasWrittenIsDurable(t *testing.T) {
	t.Attr("shows", "mend")
	write := func(d disk, path string) error { return d.write(path, []byte("new"), 0o600, -1, -1) }
	symlink := func(d disk, path string) error { return d.symlink("new", path) }
	remove := disk.remove
	for _, c := range []struct {
		name  string
		do    func(d disk, path string) error
		old   string // "": nothing was there
		fail  int
		asked []string
		left  string
	}{
		{"a new file", write, "", 0, []string{"file: .f=new", "folder: f=new"}, "f=new"},
		{"another file", write, "old", 0, []string{"file: .f=new f=old", "folder: f=new"}, "f=new"},
		{"a file whose bytes are not kept", write, "old", 1, []string{"file: .f=new f=old"}, "f=old"},
		{"a file whose name is not kept", write, "old", 2, []string{"file: .f=new f=old", "folder: f=new"}, "f=new"},
		{"a link", symlink, "old", 0, []string{"folder: f=new"}, "f=new"},
		{"a link that is not kept", symlink, "old", 1, []string{"folder: f=new"}, "f=new"},
		{"a removal", remove, "old", 0, []string{"folder: "}, ""},
		{"a removal that is not kept", remove, "old", 1, []string{"folder: "}, ""},
		{"a removal, done again after a crash", remove, "", 0, []string{"folder: "}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			if c.old != "" {
				if err := os.WriteFile(path, []byte(c.old), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var asked []string
			err := c.do(watch(t, dir, &asked, c.fail), path)
			if failed := c.fail > 0; (err != nil) != failed || errors.Is(err, errDisk) != failed {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(c.asked, asked); diff != "" {
				t.Errorf("made durable, and what was there then: %s", diff)
			}
			if diff := cmp.Diff(c.left, content(t, dir)); diff != "" {
				t.Errorf("left: %s", diff)
			}
		})
	}
}

// The real disk is really asked: a file that is closed cannot be made durable.
func TestTheRealDiskIsAsked(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	if err := realDisk().file(f); err != nil {
		t.Error(err)
	}
	f.Close()
	if err := realDisk().file(f); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a closed file: %v", err)
	}
}
