//go:build unix

package safepath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// somebody is an account that is neither root's nor Foyer's; foyer is Foyer's.
const (
	somebody = 65534
	foyer    = 4321
)

func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files to others")
	}
}

// ways are both ways a folder is opened by root.
func ways(t *testing.T, f func(t *testing.T, h how)) {
	for name, h := range map[string]how{"openat2": {guard: true}, "name by name": {guard: true, byName: true}} {
		t.Run(name, func(t *testing.T) { f(t, h) })
	}
}

// plant makes files, folders (a/) and links (a -> b) below dir, all of them uid's.
func plant(t *testing.T, dir string, uid int, what ...string) {
	t.Helper()
	for _, w := range what {
		var err error
		name, target, link := strings.Cut(w, " -> ")
		path := filepath.Join(dir, name)
		switch {
		case link:
			err = os.Symlink(target, path)
		case strings.HasSuffix(w, "/"):
			err = os.MkdirAll(path, 0o755)
		default:
			err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(name), 0o600))
		}
		if err == nil && uid != os.Geteuid() {
			err = os.Lchown(path, uid, uid)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// listing is what lies below dir: kind, mode, owner and contents.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		is := fmt.Sprintf("%o %d:%d", st.Mode, st.Uid, st.Gid)
		if d.Type().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			is += " " + string(data)
		}
		out[rel] = is
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func why(err error) Why {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Why
	}
	return 0
}

func mustOpen(t *testing.T, h how, path string) *Dir {
	t.Helper()
	d, err := h.open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func nothing(string) bool { return false }

// A link is followed where root alone can have made it, and nowhere else.
func TestLinksOnTheWay(t *testing.T) {
	asRoot(t)
	ways(t, func(t *testing.T, h how) {
		dir := t.TempDir()
		plant(t, dir, 0, "disk/", "disk/data/", "disk/data/inner/", "root -> disk/data", "up -> disk/../root", "away -> "+dir+"/disk", "dangling -> nowhere", "loop -> loop", "file", "open/", "sticky/")
		plant(t, dir, somebody, "home/", "planted -> disk/data")
		plant(t, filepath.Join(dir, "home"), 0, "rootlink -> ../disk/data", "real/")
		plant(t, filepath.Join(dir, "disk/data"), somebody, "theirs/")
		for path, mode := range map[string]fs.FileMode{"open": 0o777, "sticky": 0o777 | fs.ModeSticky} {
			if err := os.Chmod(filepath.Join(dir, path), mode); err != nil {
				t.Fatal(err)
			}
			plant(t, filepath.Join(dir, path), 0, "link -> ../disk/data", "real/")
		}
		for path, want := range map[string]struct {
			why     Why
			is      error
			trusted bool
			way     Hazard
		}{
			"disk/data":         {trusted: true},
			"root":              {trusted: true},
			"root/inner":        {trusted: true},
			"up/inner":          {trusted: true},
			"away/data":         {trusted: true},
			"disk/data/theirs":  {trusted: true},
			"sticky/real":       {trusted: true},
			"planted":           {why: Link},
			"planted/inner":     {why: Link},
			"home/rootlink":     {why: Link},
			"open/link":         {why: Link},
			"sticky/link":       {why: Link},
			"home/real":         {way: Hazard{Folder: dir + "/home"}},
			"open/real":         {way: Hazard{dir + "/open", true}},
			"dangling":          {is: fs.ErrNotExist},
			"disk/nowhere/data": {is: fs.ErrNotExist},
			"loop":              {is: unix.ELOOP},
			"file":              {why: NotFolder},
			"file/inner":        {why: NotFolder},
		} {
			d, err := h.open(filepath.Join(dir, path))
			if why(err) != want.why || want.is != nil && !errors.Is(err, want.is) {
				t.Errorf("%s: error %v, want %v %v", path, err, want.why, want.is)
			}
			if err != nil {
				continue
			}
			if d.Trusted() != want.trusted || d.Way() != want.way {
				t.Errorf("%s: trusted %t, way %+v; want %+v", path, d.Trusted(), d.Way(), want)
			}
			d.Close()
		}
	})
}

// Whoever is not root follows links, as they could anyway.
func TestWithoutRootLinksAreLinks(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, os.Geteuid(), "data/", "data/file", "link -> data", "data/inner -> file")
	d := mustOpen(t, how{}, filepath.Join(dir, "link"))
	for _, name := range []string{"file", "inner"} {
		if got, err := d.ReadFile(name, 100); err != nil || string(got) != "data/file" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(dir, "data/pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ReadFile("pipe", 100); why(err) != NotRegular {
		t.Errorf("a pipe: %v", err)
	}
	if _, err := ReadFile(filepath.Join(dir, "link", "file"), 4); os.Geteuid() != 0 && why(err) != TooLarge {
		t.Errorf("a large file: %v", err)
	}
}

// Files, too, are reached through links that root made, and through no others.
func TestFilesByTheirPath(t *testing.T) {
	asRoot(t)
	dir := t.TempDir()
	plant(t, dir, 0, "etc/", "etc/real", "etc/link -> real", "way -> etc", "etc/two")
	plant(t, dir, somebody, "home/", "home/link -> ../etc/real", "etc/theirs -> real")
	if err := os.Link(filepath.Join(dir, "etc/two"), filepath.Join(dir, "etc/names")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]Why{"etc/real": 0, "etc/link": 0, "way/link": 0, "home/link": Link, "etc/theirs": Link, "etc/two": SecondName, "etc": NotRegular} {
		path = filepath.Join(dir, path)
		err := OwnFile(path, func(is Info) Info { return Info{-1, foyer, is.Mode | 0o040} })
		if why(err) != want || (err == nil) != (want == 0) {
			t.Errorf("%s: %v", path, err)
		}
		got, err := ReadFile(path, 100)
		if want == 0 && (err != nil || string(got) != "etc/real") || want == Link && why(err) != Link {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	if now := listing(t, filepath.Join(dir, "etc")); now["real"] != fmt.Sprintf("100640 0:%d etc/real", foyer) || now["two"] != "100600 0:0 etc/two" {
		t.Errorf("now %v", now)
	}
	if err := OwnFile(filepath.Join(dir, "nowhere"), func(is Info) Info { return is }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

// What user foyer could not read is not read for them.
func TestOnlyFitFilesAreRead(t *testing.T) {
	asRoot(t)
	ways(t, func(t *testing.T, h how) {
		dir := t.TempDir()
		data := filepath.Join(dir, "data")
		plant(t, dir, foyer, "data/", "data/sub/")
		plant(t, dir, 0, "secret", "data/theirs", "data/public", "outside/", "outside/file", "data/link -> ../secret", "data/folder -> ../outside")
		plant(t, data, foyer, "own", "sub/own", "large")
		for _, err := range []error{
			os.Chmod(filepath.Join(data, "public"), 0o644), os.Link(filepath.Join(dir, "secret"), filepath.Join(data, "hard")),
			os.WriteFile(filepath.Join(data, "large"), make([]byte, 101), 0o600),
			unix.Mkfifo(filepath.Join(data, "pipe"), 0o666), unix.Mknod(filepath.Join(data, "device"), unix.S_IFCHR|0o666, 1<<8|5),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		d := mustOpen(t, h, data)
		for name, want := range map[string]Why{
			"own": 0, "public": 0, "sub/own": 0, "theirs": Foreign, "link": Link, "folder/file": Link, "hard": SecondName, "large": TooLarge,
			"pipe": NotRegular, "device": NotRegular, "sub": NotRegular,
		} {
			got, err := d.ReadFile(name, 100)
			if why(err) != want || (err == nil) != (want == 0) || want != 0 && got != nil {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		if _, err := d.ReadFile("missing", 100); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a missing file: %v", err)
		}
		if got, err := mustOpen(t, h, dir).ReadFile("secret", 100); err != nil || string(got) != "secret" {
			t.Errorf("root's own file: %q, %v", got, err)
		}
	})
}

// A secret is read where nobody but its owner may read or change it.
func TestOnlySecretsAreSecret(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(dir, path string) error
		want Why
	}{
		{"a secret", func(string, string) error { return nil }, 0},
		{"that nobody changes", func(_, path string) error { return os.Chmod(path, 0o400) }, 0},
		{"that a group reads", func(_, path string) error { return os.Chmod(path, 0o640) }, Exposed},
		{"that others write", func(_, path string) error { return os.Chmod(path, 0o602) }, Exposed},
		{"with a second name", func(dir, path string) error { return os.Link(path, filepath.Join(dir, "again")) }, SecondName},
		{"too large a one", func(_, path string) error { return os.WriteFile(path, make([]byte, 101), 0o600) }, TooLarge},
		{"a folder", func(_, path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, NotRegular},
		{"somebody's", func(_, path string) error { return os.Chown(path, somebody, somebody) }, Foreign},
		{"somebody's, in a folder that is his, too", func(dir, path string) error {
			return errors.Join(os.Chown(path, somebody, somebody), os.Chown(dir, somebody, somebody))
		}, 0},
		{"somebody's, in another one's folder", func(dir, path string) error {
			return errors.Join(os.Chown(path, somebody, somebody), os.Chown(dir, foyer, foyer))
		}, Foreign},
	} {
		t.Run(c.name, func(t *testing.T) {
			if strings.HasPrefix(c.name, "somebody") {
				asRoot(t)
			}
			dir := t.TempDir()
			plant(t, dir, os.Geteuid(), "secret")
			path := filepath.Join(dir, "secret")
			if err := c.do(dir, path); err != nil {
				t.Fatal(err)
			}
			text, err := ReadSecret(path, 100)
			if why(err) != c.want || (err == nil) != (c.want == 0) || err == nil && string(text) != "secret" {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
	if _, err := ReadSecret(filepath.Join(t.TempDir(), "secret"), 100); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestEmptyStaysInside(t *testing.T) {
	both := func(t *testing.T, h how) {
		dir := t.TempDir()
		plant(t, dir, os.Geteuid(), "outside/", "outside/secret", "data/", "data/file", "data/sub/a/b/c", "data/lost+found/kept", "data/link -> ../outside", "data/sub/link -> ../../outside", "data/dangling -> nowhere")
		if err := errors.Join(os.Link(filepath.Join(dir, "outside/secret"), filepath.Join(data(dir), "hard")), unix.Mkfifo(filepath.Join(data(dir), "pipe"), 0o600)); err != nil {
			t.Fatal(err)
		}
		deep := filepath.Join(data(dir), strings.Repeat("d/", 5*mostDeep))
		if err := os.MkdirAll(deep, 0o755); err != nil {
			t.Fatal(err)
		}
		plant(t, deep, os.Geteuid(), "file")
		for i := range 1100 { // more than are read at a time
			if err := os.WriteFile(filepath.Join(data(dir), fmt.Sprintf("many%d", i)), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		before := listing(t, filepath.Join(dir, "outside"))
		left, err := mustOpen(t, h, data(dir)).Empty(func(name string) bool { return name == "lost+found" })
		if err != nil || len(left) > 0 {
			t.Errorf("left %q, %v", left, err)
		}
		if diff := cmp.Diff(before, listing(t, filepath.Join(dir, "outside"))); diff != "" {
			t.Errorf("outside: %s", diff)
		}
		if now := listing(t, data(dir)); len(now) != 3 || now["lost+found/kept"] == "" {
			t.Errorf("inside: %v", now)
		}
	}
	t.Run("not root", func(t *testing.T) { both(t, how{}) })
	t.Run("not root, name by name", func(t *testing.T) { both(t, how{byName: true}) })
	ways(t, both)
}

func data(dir string) string { return filepath.Join(dir, "data") }

// Files change their owner when nobody loses one by it.
func TestTakeOver(t *testing.T) {
	asRoot(t)
	for name, c := range map[string]struct {
		folder int // owner of the data folder
		plant  func(t *testing.T, dir string)
		fit    bool
	}{
		"copied by root":          {0, func(t *testing.T, dir string) { plant(t, dir, 0, "data.db", "certificates/", "certificates/key") }, true},
		"copied by root for many": {0, func(t *testing.T, dir string) { plant(t, dir, somebody, "data.db") }, true},
		"copied by somebody": {somebody, func(t *testing.T, dir string) {
			plant(t, dir, somebody, "data.db", "certificates/", "certificates/key")
		}, true},
		"half given":               {0, func(t *testing.T, dir string) { plant(t, dir, foyer, "data.db"); plant(t, dir, 0, "more") }, true},
		"a file of root's, theirs": {somebody, func(t *testing.T, dir string) { plant(t, dir, somebody, "data.db"); plant(t, dir, 0, "stale") }, false},
		"a folder of root's":       {somebody, func(t *testing.T, dir string) { plant(t, dir, somebody, "data.db"); plant(t, dir, 0, "stale/") }, false},
		"in a folder of foyer's": {0, func(t *testing.T, dir string) {
			plant(t, dir, foyer, "certificates/")
			plant(t, dir, 0, "certificates/stale")
		}, false},
		"a second name": {0, func(t *testing.T, dir string) {
			plant(t, dir, 0, "data.db")
			if err := os.Link(filepath.Join(dir, "../secret"), filepath.Join(dir, "zz")); err != nil {
				t.Fatal(err)
			}
		}, false},
		"deeper than anybody means": {0, func(t *testing.T, dir string) { plant(t, dir, 0, "data.db", strings.Repeat("d/", mostDeep+2)) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			ways(t, func(t *testing.T, h how) {
				dir := t.TempDir()
				plant(t, dir, 0, "secret", "outside/", "outside/file")
				plant(t, dir, c.folder, "data/")
				c.plant(t, data(dir))
				plant(t, data(dir), c.folder, "link -> ../outside/file", "folder -> ../outside", "lost+found/", "lost+found/kept")
				if err := unix.Mkfifo(filepath.Join(data(dir), "pipe"), 0o600); err != nil {
					t.Fatal(err)
				}
				before := listing(t, dir)
				err := mustOpen(t, h, data(dir)).TakeOver(foyer, foyer, func(name string) bool { return name == "lost+found" })
				after := listing(t, dir)
				if (err == nil) != c.fit {
					t.Errorf("error %v", err)
				}
				for path, is := range before {
					inside := strings.HasPrefix(path, "data/") && !strings.Contains(path, "lost+found") && !slices.Contains([]string{"data/link", "data/folder", "data/pipe"}, path)
					if given := strings.Contains(after[path], " 4321:4321"); c.fit && inside && !given || !(c.fit && inside) && is != after[path] {
						t.Errorf("%s: %s, before %s", path, after[path], is)
					}
				}
			})
		})
	}
}

// Somebody swaps folder and link, or puts links where files come, all the while.
func TestRaces(t *testing.T) {
	t.Attr("shows", "mend")
	asRoot(t)
	ways(t, func(t *testing.T, h how) {
		dir := t.TempDir()
		plant(t, dir, 0, "outside/", "outside/secret", "outside/sub/secret", "outside/claim.json", "secret")
		plant(t, dir, somebody, "home/", "home/data/", "home/other -> ../outside")
		at := filepath.Join(dir, "home/data")
		before := listing(t, filepath.Join(dir, "outside"))
		end := make(chan struct{})
		var wg sync.WaitGroup
		swap := func(a, b string) {
			wg.Go(func() {
				for {
					select {
					case <-end:
						return
					default:
						exchange(a, b)
					}
				}
			})
		}
		swap(at, filepath.Join(dir, "home/other"))
		done := map[string]int{}
		for range 300 {
			d, err := h.open(at)
			if why(err) == Link || why(err) == NotFolder {
				done["refused"]++
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			for what, do := range map[string]func() error{
				"own":    func() error { return d.Own(0o700, foyer, foyer) },
				"write":  func() error { return d.Write("claim.json", []byte("new"), 0o600, foyer, foyer) },
				"remove": func() error { return d.Remove("claim.json") },
				"take":   func() error { return d.TakeOver(foyer, foyer, nothing) },
				"make": func() error {
					sub, err := d.Make("sub", 0o755, foyer, foyer)
					if err == nil {
						sub.Close()
					}
					return err
				},
				"empty": func() error { _, err := d.Empty(nothing); return err },
			} {
				if err := do(); err == nil {
					done[what]++
				} else if !errors.Is(err, fs.ErrExist) {
					t.Errorf("%s: %v", what, err)
				}
			}
			d.Close()
		}
		close(end)
		wg.Wait()
		if diff := cmp.Diff(before, listing(t, filepath.Join(dir, "outside"))); diff != "" {
			t.Errorf("outside: %s", diff)
		}
		t.Logf("done: %v", done)
	})
}

// A folder that was just made is swapped for another one before it is given away.
func TestRacesWhileMaking(t *testing.T) {
	asRoot(t)
	ways(t, func(t *testing.T, h how) {
		dir := t.TempDir()
		plant(t, dir, somebody, "home/")
		plant(t, filepath.Join(dir, "home"), 0, "full/", "full/secret")
		home := filepath.Join(dir, "home")
		if err := os.Chmod(filepath.Join(home, "full"), 0o700); err != nil {
			t.Fatal(err)
		}
		end := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
					exchange(filepath.Join(home, "new"), filepath.Join(home, "full"))
				}
			}
		})
		d := mustOpen(t, h, home)
		made := 0
		for range 300 {
			sub, err := d.Make("new", 0o755, foyer, foyer)
			if err == nil {
				made++
				sub.Close()
			} else if why(err) != Exchanged && !errors.Is(err, fs.ErrExist) {
				t.Fatal(err)
			}
			for _, name := range []string{"new", "full"} { // the empty one of both
				d.RemoveDir(name)
			}
			os.Rename(filepath.Join(home, "new"), filepath.Join(home, "full"))
		}
		close(end)
		wg.Wait()
		for _, name := range []string{"new", "full"} { // both were there, as they were exchanged between two removals
			os.Remove(filepath.Join(home, name))
		}
		os.Rename(filepath.Join(home, "new"), filepath.Join(home, "full"))
		if now := listing(t, home); now["full"] != "40700 0:0" || now["full/secret"] == "" {
			t.Errorf("now %v", now)
		}
		t.Logf("made %d times", made)
	})
}

// Inside the folder links, hard links and pipes come and go under the name of a file.
func TestRacesInside(t *testing.T) {
	t.Attr("shows", "mend")
	asRoot(t)
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	plant(t, dir, 0, "secret", "outside/", "outside/file")
	plant(t, dir, foyer, "data/", "data/file", "data/sub/", "data/sub/own")
	plant(t, data(dir), foyer, "link -> ../secret", "folder -> ../outside")
	if err := errors.Join(os.Link(secret, filepath.Join(data(dir), "hard")), unix.Mkfifo(filepath.Join(data(dir), "pipe"), 0o666)); err != nil {
		t.Fatal(err)
	}
	before := listing(t, filepath.Join(dir, "outside"))
	ways(t, func(t *testing.T, h how) {
		end := make(chan struct{})
		var wg sync.WaitGroup
		defer wg.Wait()
		defer close(end)
		for _, with := range []string{"link", "hard", "pipe"} {
			wg.Go(func() {
				for {
					select {
					case <-end:
						return
					default:
						exchange(filepath.Join(data(dir), "file"), filepath.Join(data(dir), with))
						exchange(filepath.Join(data(dir), "sub"), filepath.Join(data(dir), "folder"))
					}
				}
			})
		}
		d := mustOpen(t, h, data(dir))
		read := 0
		for range 3000 {
			got, err := d.ReadFile("file", 100)
			if err == nil && string(got) != "data/file" {
				t.Fatalf("it read %q", got)
			}
			if err == nil {
				read++
			}
			if got, err := d.ReadFile("sub/own", 100); err == nil && string(got) != "data/sub/own" {
				t.Fatalf("it read %q", got)
			}
			d.TakeOver(foyer, foyer, nothing) // it may find nothing wrong, or something
		}
		t.Logf("read %d times", read)
	})
	if diff := cmp.Diff(before, listing(t, filepath.Join(dir, "outside"))); diff != "" {
		t.Errorf("outside: %s", diff)
	}
	var st unix.Stat_t
	if err := unix.Stat(secret, &st); err != nil || st.Uid != 0 || st.Mode&0o777 != 0o600 {
		t.Errorf("the secret: %+v, %v", st, err)
	}
}
