package attachment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// echo -n hello | sha256sum
const hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

func open(t *testing.T) *Folder {
	t.Helper()
	f, err := Open(filepath.Join(t.TempDir(), "attachments"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func read(t *testing.T, f *Folder, hash string) string {
	t.Helper()
	file, err := f.Open(hash)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func unfinished(t *testing.T, f *Folder) int {
	t.Helper()
	entries, err := os.ReadDir(f.unfinished())
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestPutAndOpen(t *testing.T) {
	f := open(t)
	for range 2 { // the second is there already
		u, err := f.Put(strings.NewReader("hello"), 5)
		if u.Hash != hello || u.Size != 5 || err != nil {
			t.Fatalf("%+v %v", u, err)
		}
	}
	if got := read(t, f, hello); got != "hello" {
		t.Errorf("%q", got)
	}
	if err := f.Verify(t.Context(), hello); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(f.path(hello))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if n := unfinished(t, f); n != 0 {
		t.Errorf("%d unfinished uploads", n)
	}
}

func TestWhatFailsLeavesNothing(t *testing.T) {
	f := open(t)
	if _, err := f.Put(strings.NewReader("hello"), 4); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	cut := errors.New("cut")
	if _, err := f.Put(io.MultiReader(strings.NewReader("hel"), errReader{cut}), -1); !errors.Is(err, cut) {
		t.Errorf("cut: %v", err)
	}
	if _, err := f.Open(hello); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there: %v", err)
	}
	if n := unfinished(t, f); n != 0 {
		t.Errorf("%d unfinished uploads", n)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestNamesAreHashes(t *testing.T) {
	f := open(t)
	for _, name := range []string{"", "..", "../../etc/passwd", strings.ToUpper(hello), hello[:63], hello + "0", strings.Repeat("/", 64)} {
		if _, err := f.Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestDamageIsNoticed(t *testing.T) {
	f := open(t)
	if _, err := f.Put(bytes.NewReader(bytes.Repeat([]byte("x"), 3<<20)), -1); err != nil {
		t.Fatal(err)
	}
	var hash string
	err := filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			hash = d.Name()
			file, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = file.WriteAt([]byte("y"), 2<<20)
			return errors.Join(err, file.Close())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Verify(t.Context(), hash); !errors.Is(err, ErrDamaged) {
		t.Errorf("damaged, yet %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Verify(ctx, hash); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled, yet %v", err)
	}
}

func TestCollect(t *testing.T) {
	f := open(t)
	put := func(text string) string {
		u, err := f.Put(strings.NewReader(text), -1)
		if err != nil {
			t.Fatal(err)
		}
		return u.Hash
	}
	used, unused := put("used"), put("unused")
	collect := func(before time.Time) (int, int64) {
		n, size, err := f.Collect(t.Context(), before, func(hash string) (bool, error) { return hash == used, nil })
		if err != nil {
			t.Fatal(err)
		}
		return n, size
	}
	if n, _ := collect(time.Now().Add(-time.Hour)); n != 0 {
		t.Errorf("%d young files went", n)
	}
	if n, size := collect(time.Now().Add(time.Hour)); n != 1 || size != 6 {
		t.Errorf("%d files of %d bytes went", n, size)
	}
	if _, err := f.Open(unused); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unused: %v", err)
	}
	if got := read(t, f, used); got != "used" {
		t.Errorf("used: %q", got)
	}
	broken := errors.New("broken")
	if _, _, err := f.Collect(t.Context(), time.Now().Add(time.Hour), func(string) (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if got := read(t, f, used); got != "used" {
		t.Errorf("when it cannot be told: %q", got)
	}
	if n := unfinished(t, f); n != 0 {
		t.Errorf("%d files left aside", n)
	}
}

// TestPutWhileCollecting: what Put has returned is there, whatever is collected at
// the same moment.
func TestPutWhileCollecting(t *testing.T) {
	f := open(t)
	removed := 0
	for n := range 200 {
		u, err := f.Put(strings.NewReader("hello"), -1)
		if err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(f.path(u.Hash), old, old); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if _, err := f.Put(strings.NewReader("hello"), -1); err != nil {
					t.Error(err)
				}
			})
		}
		gone := make([]int, 2)
		for i := range gone {
			wg.Go(func() {
				var err error
				if gone[i], _, err = f.Collect(t.Context(), time.Now().Add(-time.Minute), func(string) (bool, error) { return false, nil }); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		removed += gone[0] + gone[1]
		if got := read(t, f, u.Hash); got != "hello" {
			t.Fatalf("round %d: %q", n, got)
		}
	}
	t.Logf("removed and put again in %d of 200 rounds", removed)
}

func TestWhatAPowerCutLeftAsideComesBack(t *testing.T) {
	f := open(t)
	if _, err := f.Put(strings.NewReader("hello"), -1); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(f.path(hello), filepath.Join(f.unfinished(), asidePrefix+hello+"-X")); err != nil {
		t.Fatal(err)
	}
	again, err := Open(f.dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, again, hello); got != "hello" {
		t.Errorf("%q", got)
	}
}

// What came for nothing is removed at once, and nothing else is: not what was there before,
// nor what anybody put since.
func TestDrop(t *testing.T) {
	put := func(f *Folder, text string) Upload {
		u, err := f.Put(strings.NewReader(text), -1)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	for _, c := range []struct {
		name  string
		drop  func(f, other *Folder) Upload
		stays bool
	}{
		{"new", func(f, _ *Folder) Upload { return put(f, "hello") }, false},
		{"there before", func(f, other *Folder) Upload { put(other, "hello"); return put(f, "hello") }, true},
		{"put since", func(f, other *Folder) Upload { u := put(f, "hello"); put(other, "hello"); return u }, true},
		{"dropped, and put again", func(f, other *Folder) Upload {
			u := put(f, "hello")
			if err := f.Drop(u); err != nil {
				t.Error(err)
			}
			put(other, "hello")
			return u
		}, true},
		{"of a disk that keeps no times", func(f, _ *Folder) Upload {
			u := put(f, "hello")
			u.made = time.Time{}
			return u
		}, true},
		{"given another time", func(f, _ *Folder) Upload {
			u := put(f, "hello")
			if err := os.Chtimes(f.path(u.Hash), time.Now(), u.made.Truncate(100)); err != nil {
				t.Error(err)
			}
			return u
		}, true},
	} {
		f := open(t)
		other, err := Open(f.dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Drop(c.drop(f, other)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := os.Stat(f.path(hello)); (err == nil) != c.stays {
			t.Errorf("%s: stays %v, %v", c.name, err == nil, err)
		}
		if n := unfinished(t, f); n != 0 {
			t.Errorf("%s: %d files are left over", c.name, n)
		}
	}
}

// TestPutWhileDropping: what Put has returned, and was not dropped, is there, whatever
// others put, drop and collect at the same moment, by whatever process; and what nobody
// kept goes in the end.
func TestPutWhileDropping(t *testing.T) {
	t.Attr("shows", "mend2")
	dir := open(t).dir
	var folders []*Folder // as many processes
	for range 4 {
		f, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		folders = append(folders, f)
	}
	kept, dropped := 0, 0
	for round := range 200 {
		text := fmt.Sprint("round ", round)
		ups := make([]Upload, 2+round%3)
		keeps := (round / 3) % (len(ups) + 1) // the one that does; sometimes none
		if round%2 == 0 {                     // an old one is there, to be collected
			u, err := folders[0].Put(strings.NewReader(text), -1)
			old := time.Now().Add(-time.Hour)
			if err = errors.Join(err, os.Chtimes(folders[0].path(u.Hash), old, old)); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		for i := range ups {
			f := folders[i%len(folders)]
			wg.Go(func() {
				u, err := f.Put(strings.NewReader(text), -1)
				if ups[i] = u; err == nil && i != keeps {
					err = f.Drop(u)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Go(func() { // its own collections, and a process that begins
			if _, _, err := folders[round%4].Collect(t.Context(), time.Now().Add(-time.Minute), func(string) (bool, error) { return false, nil }); err != nil {
				t.Error(err)
			}
			if _, err := Open(dir); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		wanted := keeps < len(ups)
		_, err := os.Stat(folders[0].path(ups[0].Hash))
		if wanted && err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if wanted {
			kept++
		} else if err != nil {
			dropped++
		}
		if n := unfinished(t, folders[0]); n != 0 {
			t.Fatalf("round %d: %d files are left over", round, n)
		}
	}
	t.Logf("kept in %d rounds, gone in %d", kept, dropped)
}
