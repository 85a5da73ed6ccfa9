package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/foyer-server/foyer/supervisor/backup/kit"
)

// A disk that holds too little is told of by the verdict, before anything is written.
func TestRestoreWhereThereIsNoRoom(t *testing.T) {
	t.Attr("shows", "backups")
	if os.Geteuid() != 0 {
		t.Skip("a small disk can only be made by root")
	}
	db := openStore(t, filepath.Join(t.TempDir(), "data.db"))
	fill(t, db, 10_000, 200)
	b := backUp(t, db)
	b.cycle()
	mounted := func(size string) string {
		dir := t.TempDir()
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
			t.Skip("nothing can be mounted here: ", err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		return dir
	}
	small := mounted("4m")
	r := bring(t, b.words(), "--from", b.from, "--into", filepath.Join(small, "back"), "--yes")
	var v struct{ Needs, Free int64 }
	r.get(t, "verdict", &v)
	if r.code != 1 || r.failed() != "restore-room" || v.Free > 4<<20 || v.Needs < 4<<20 {
		t.Errorf("%s", r)
	}
	if names := left(t, small); len(names) > 0 {
		t.Errorf("left: %q", names)
	}
	// All of it fits in what is reckoned, and that is not far from the truth.
	enough := mounted("1g")
	into := filepath.Join(enough, "back")
	if r := bring(t, b.words(), "--from", b.from, "--into", into, "--yes"); r.code != 0 {
		t.Fatalf("%s", r)
	}
	info, err := os.Stat(filepath.Join(into, "data.db"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > v.Needs || info.Size()*3 < v.Needs {
		t.Errorf("%d bytes were reckoned, and it is %d", v.Needs, info.Size())
	}
	// The mount point itself cannot become the folder.
	if r := bring(t, b.words(), "--from", b.from, "--into", mounted("1g"), "--yes"); r.code != 2 || r.failed() != "restore-mount" {
		t.Errorf("into a mount point: %s", r)
	}
	t.Logf("SHOW a restore where there is no room: %d bytes reckoned for a database of %d, said before anything was written", v.Needs, info.Size())
}

// At a terminal the words are asked for again, with what is wrong with them; then whether it
// is to be done.
func TestWordsAreAskedForAgain(t *testing.T) {
	t.Attr("shows", "backups")
	db := openStore(t, filepath.Join(t.TempDir(), "data.db"))
	fill(t, db, 10, 100)
	b := backUp(t, db)
	b.cycle()
	other, err := kit.New()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := openScreen(t)
	ended := s.start(t, dir, "restore", "--from", b.from, "--into", "back")
	for _, step := range []struct{ want, typed string }{
		{"Type the 12 words", "one two three\n"},
		{"and these are 3", strings.Join(other.Words("en"), " ") + "\n"},
		{"These words do not open this backup", strings.ToUpper(b.words()) + "\n"},
		{"It can be restored here", "yes\n"},
	} {
		waiting(t, step.want, func() bool { return strings.Contains(s.text(), step.want) })
		io.WriteString(s.hand, step.typed)
	}
	select {
	case code := <-ended:
		if code != 0 {
			t.Errorf("exit code %d: %s", code, s.text())
		}
	case <-time.After(2 * time.Minute):
		t.Fatalf("it goes on: %s", s.text())
	}
	if names := left(t, filepath.Join(dir, "back")); !slices.Contains(names, "data.db") {
		t.Errorf("there are %q: %s", names, s.text())
	}
	if got := strings.Count(s.text(), "Type the 12 words"); got != 3 {
		t.Errorf("the words were asked for %d times: %s", got, s.text())
	}
}
