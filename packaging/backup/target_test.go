//go:build e2e && linux

package backup

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/packaging/faultfs"
	"github.com/foyer-server/foyer/supervisor/backup/target"
	"github.com/foyer-server/foyer/supervisor/backup/target/targettest"
)

// folder makes a target in a folder on a disk, and opens it.
func folder(t *testing.T, dir string) (*target.Folder, target.FolderIdentity) {
	t.Helper()
	data := t.TempDir()
	identity, err := target.PrepareFolder(t.Context(), dir, target.FolderOptions{Data: data})
	if err != nil {
		t.Fatal(err)
	}
	return open(t, identity), identity
}

func open(t *testing.T, identity target.FolderIdentity) *target.Folder {
	t.Helper()
	f, err := target.OpenFolder(t.Context(), identity, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// sizeOf is the size of the n-th object that is put until the power is cut.
func sizeOf(n int) int64 { return []int64{300, 0, 70_000, 1 << 20}[n%4] + int64(n%1000) }

// putUntilCut puts objects and says which were taken: a process of its own, as the
// disk is served by that of the test.
func putUntilCut(t *testing.T, known string) {
	var identity target.FolderIdentity
	var from int
	if err := errors.Join(json.Unmarshal([]byte(known), &identity), json.Unmarshal([]byte(os.Getenv("FOYER_TEST_FROM")), &from)); err != nil {
		t.Fatal(err)
	}
	f := open(t, identity)
	for n := from; ; n++ {
		name := fmt.Sprintf("chain-%d/b/%d", from, n)
		if n%2 == 1 {
			name = fmt.Sprintf("chain-%d/%d", from, n)
		}
		if err := f.Put(context.Background(), name, targettest.Content(uint64(n), sizeOf(n)), sizeOf(n)); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("TAKEN %s\n", name)
	}
}

// The power is cut at any moment, and the disk forgets what was not synced, all of it or some: what
// Put took is there, whole, and whatever else is there is whole, too.
func TestPowerCutWhilePutting(t *testing.T) {
	if known := os.Getenv("FOYER_TEST_FOLDER"); known != "" {
		putUntilCut(t, known)
	}
	t.Attr("shows", "backups")
	t.Parallel()
	disk := faultfs.NewDisk(t, faultfs.DiskConfig{Size: 256 << 20})
	_, identity := folder(t, disk.Path)
	known, err := json.Marshal(identity)
	if err != nil {
		t.Fatal(err)
	}
	const cuts = 12
	all, objects := map[string]bool{}, 0
	for cut := range cuts {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestPowerCutWhilePutting$")
		cmd.Env = append(os.Environ(), "FOYER_TEST_FOLDER="+string(known), fmt.Sprintf("FOYER_TEST_FROM=%d", cut*1_000_000), "TMPDIR="+t.TempDir()) // its folders are left behind
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		now, ended := make(chan struct{}), make(chan struct{})
		var dark atomic.Bool
		go func() { // what it says after the cut was not taken before it
			defer close(ended)
			for lines, n := bufio.NewScanner(out), 0; lines.Scan(); {
				name, ok := strings.CutPrefix(lines.Text(), "TAKEN ")
				if !ok || dark.Load() {
					continue
				}
				all[name] = true
				if n++; n == 3 {
					close(now)
				}
			}
		}()
		select {
		case <-now:
		case <-ended:
			t.Fatal("the process ended before it had put anything")
		}
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
		dark.Store(true)
		if cut%3 == 0 {
			disk.PowerCut()
		} else {
			disk.PowerCutKeepSome(uint64(cut))
		}
		cmd.Process.Kill()
		<-ended
		cmd.Wait() // killed, as was wanted
		disk.Mount()

		f, there := open(t, identity), map[string]bool{}
		err = f.List(t.Context(), "", func(o target.Object) error {
			there[o.Name] = true
			var n int
			if _, err := fmt.Sscan(filepath.Base(o.Name), &n); err != nil {
				return err
			}
			r, err := f.Get(t.Context(), o.Name, 0)
			if err != nil {
				return err
			}
			defer r.Close()
			if err := targettest.Same(r, uint64(n), sizeOf(n), 0); err != nil {
				t.Errorf("cut %d: %s is not whole: %v", cut, o.Name, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for name := range all {
			if !there[name] {
				t.Errorf("cut %d: %s was taken, and is not there", cut, name)
			}
		}
		objects += len(there)
		// Room for the next: what was deleted before a cut has gone after it.
		for name := range there {
			if err := f.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		clear(all)
		disk.PowerCut()
		disk.Mount()
		if err := open(t, identity).List(t.Context(), "", func(o target.Object) error { return errors.New(o.Name) }); err != nil {
			t.Errorf("cut %d: what was deleted is there: %v", cut, err)
		}
	}
	t.Logf("SHOW %d power cuts while putting, on a disk that forgets what was not synced: %d objects, each whole; every one that was taken is there, no one that was deleted", cuts, objects)
}

// code is that of the error for people.
func code(err error) string {
	if e := hint.Find(err); e != nil {
		return e.Code
	}
	return ""
}

// What a disk says that fails or is full becomes an error by name, and nothing is left of the object.
func TestDiskFailsWhilePutting(t *testing.T) {
	t.Attr("shows", "backups")
	t.Parallel()
	for _, c := range []struct {
		name  string
		op    faultfs.Op
		errno syscall.Errno
		want  error
		code  string
	}{
		{"fsync fails", faultfs.Fsync, syscall.EIO, target.ErrFailing, "target-failing"},
		{"a write fails", faultfs.Write, syscall.EIO, target.ErrFailing, "target-failing"},
		{"it is full", faultfs.Write, syscall.ENOSPC, target.ErrFull, "target-full"},
		{"it is full when it is synced", faultfs.Fsync, syscall.ENOSPC, target.ErrFull, "target-full"},
		{"the quota is used up", faultfs.Write, syscall.EDQUOT, target.ErrFull, "target-full"},
		{"it became read-only", faultfs.Write, syscall.EROFS, target.ErrReadOnly, "target-readonly"},
		{"it may not be written", faultfs.Write, syscall.EACCES, target.ErrDenied, "target-denied"},
		{"it was pulled out", faultfs.Write, syscall.ENODEV, target.ErrAway, "target-away"},
		{"its server was exchanged", faultfs.Write, syscall.ESTALE, target.ErrAway, "target-away"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			disk := faultfs.NewFolder(t, "")
			f, _ := folder(t, disk.Path)
			put := func(name string) error {
				return f.Put(t.Context(), name, targettest.Content(1, 3<<20), 3<<20)
			}
			if err := put("chain/1"); err != nil {
				t.Fatal(err)
			}
			// The first or a later one: that of the file, or of its folder.
			for times := range 2 {
				if times == 1 && c.op == faultfs.Fsync {
					if err := put("chain/2"); err != nil {
						t.Fatal(err)
					}
				}
				disk.Fail(c.op, c.errno, 1)
				if err := put("chain/x"); !errors.Is(err, c.want) || code(err) != c.code {
					t.Errorf("error %v", err)
				}
			}
			err := f.List(t.Context(), "", func(o target.Object) error {
				if o.Name == "chain/x" {
					return errors.New("it is there")
				}
				return nil
			})
			if left, gerr := filepath.Glob(filepath.Join(disk.Backing, "*", ".foyer-tmp-*")); err != nil || gerr != nil || len(left) > 0 {
				t.Errorf("%v; left behind: %q", err, left)
			}
			if err := put("chain/x"); err != nil {
				t.Errorf("when it is well again: %v", err)
			}
		})
	}
}

// The first object in a folder has that folder synced into the one above, too: a file system other
// than ext4 may forget it otherwise.
func TestFoldersAreSynced(t *testing.T) {
	t.Parallel()
	disk := faultfs.NewFolder(t, "")
	f, identity := folder(t, disk.Path)
	for i, c := range []struct {
		name   string
		fsyncs int
	}{
		{"chain/b/1", 4}, // the root, chain, the file, chain/b
		{"chain/b/2", 2},
		{"chain/1", 2},
		{"other/1", 3},
	} {
		before := disk.Count(faultfs.Fsync)
		if err := f.Put(t.Context(), c.name, targettest.Content(1, 10), 10); err != nil {
			t.Fatal(err)
		}
		if n := disk.Count(faultfs.Fsync) - before; n != c.fsyncs {
			t.Errorf("%d: %d fsyncs for %s, of %d", i, n, c.name, c.fsyncs)
		}
	}
	// Another process may have made the folder, and died before it was synced.
	f = open(t, identity)
	before := disk.Count(faultfs.Fsync)
	if err := f.Put(t.Context(), "chain/b/3", targettest.Content(1, 10), 10); err != nil {
		t.Fatal(err)
	}
	if n := disk.Count(faultfs.Fsync) - before; n != 4 {
		t.Errorf("%d fsyncs after a start, of 4", n)
	}
}

// A disk that cannot sync is no place for backups, and told so before.
func TestPrepareOnADiskThatFails(t *testing.T) {
	t.Parallel()
	disk := faultfs.NewFolder(t, "")
	disk.Fail(faultfs.Fsync, syscall.EIO, faultfs.Always)
	if _, err := target.PrepareFolder(t.Context(), disk.Path, target.FolderOptions{Data: t.TempDir()}); code(err) != "target-failing" {
		t.Errorf("error %v", err)
	}
	if left, err := os.ReadDir(disk.Backing); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A disk that hangs holds up one call, which ends with its context; when it is back all goes on, and
// nothing is half there.
func TestDiskHangsWhilePutting(t *testing.T) {
	t.Attr("shows", "backups")
	t.Parallel()
	disk := faultfs.NewFolder(t, "")
	f, _ := folder(t, disk.Path)
	put := func(ctx context.Context, name string) error {
		return f.Put(ctx, name, targettest.Content(1, 70_000), 70_000)
	}
	before, held := disk.Count(faultfs.Fsync), disk.Hang(faultfs.Fsync)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-held
		cancel()
	}()
	if err := put(ctx, "chain/1"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	for name, do := range map[string]func() error{
		"put":  func() error { return put(t.Context(), "chain/2") },
		"list": func() error { return f.List(t.Context(), "", func(target.Object) error { return nil }) },
		"get":  func() error { _, err := f.Get(t.Context(), "chain/1", 0); return err },
	} {
		if err := do(); !errors.Is(err, target.ErrSlow) || code(err) != "target-slow" {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Logf("SHOW a disk that hangs: the call on it ended with its context, three others with target-slow; %d system calls were left waiting", disk.Count(faultfs.Fsync)-before)
	disk.Clear()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		err := put(t.Context(), "chain/2")
		if err == nil {
			break
		}
		if !errors.Is(err, target.ErrSlow) || time.Now().After(end) {
			t.Fatalf("it is back: %v", err)
		}
	}
	if err := put(t.Context(), "chain/1"); err != nil && !errors.Is(err, target.ErrExists) {
		t.Error(err)
	}
	for _, name := range []string{"chain/1", "chain/2"} {
		r, err := f.Get(t.Context(), name, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := targettest.Same(r, 1, 70_000, 0); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		r.Close()
	}
}

// What every target promises, on file systems that lack what others have.
func TestFileSystemsThatLackSomething(t *testing.T) {
	t.Attr("shows", "backups")
	t.Parallel()
	for _, c := range []struct {
		name string
		lack func(*faultfs.Folder)
	}{
		{"no flags of renames, as NFS", (*faultfs.Folder).LackRenameFlags},
		{"neither flags nor links, as exFAT by FUSE", func(f *faultfs.Folder) { f.LackRenameFlags(); f.LackLinks() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := faultfs.NewFolder(t, "")
			c.lack(disk)
			targettest.Run(t, func(t *testing.T) (one, other target.Target) {
				dir, err := os.MkdirTemp(disk.Path, "target-")
				if err != nil {
					t.Fatal(err)
				}
				f, identity := folder(t, dir)
				return f, open(t, identity)
			})
			t.Logf("SHOW what every target promises holds on a file system with %s", c.name)
		})
	}
}
