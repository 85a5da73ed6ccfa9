//go:build e2e && linux

package faultfs_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/foyer-server/foyer/packaging/faultfs"
	"golang.org/x/sys/unix"
)

func TestHangingStatfs(t *testing.T) {
	t.Parallel()
	f := faultfs.NewFolder(t, "")
	held, returned := f.Hang(faultfs.Statfs), make(chan error, 1)
	go func() { returned <- unix.Statfs(f.Path, new(unix.Statfs_t)) }()
	<-held
	writeSynced(t, filepath.Join(f.Path, "file"), []byte("text")) // nothing else hangs
	select {
	case err := <-returned:
		t.Errorf("not held: %v", err)
	default:
	}
	f.Release(faultfs.Statfs)
	check(t, <-returned)

	var above, below unix.Statfs_t
	check(t, unix.Statfs(f.Path, &above))
	check(t, unix.Statfs(f.Backing, &below))
	if above.Blocks != below.Blocks || f.Count(faultfs.Statfs) != 2 {
		t.Errorf("%d blocks, of %d; %d calls, of 2", above.Blocks, below.Blocks, f.Count(faultfs.Statfs))
	}
}

// A killed program stays until the folder answers it.
func TestHangingProgram(t *testing.T) {
	t.Parallel()
	f := faultfs.NewFolder(t, "")
	held := f.Hang(faultfs.Fsync)
	cmd := exec.Command("dd", "if=/dev/zero", "of="+filepath.Join(f.Path, "file"), "bs=4k", "count=1", "conv=fsync")
	check(t, cmd.Start())
	<-held
	check(t, cmd.Process.Kill())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		t.Error("the program ended while its fsync hung")
	case <-time.After(50 * time.Millisecond):
	}
	f.Release(faultfs.Fsync)
	<-ended
}

func TestFolderFaults(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		op   faultfs.Op
		err  syscall.Errno
		do   func(path string, file *os.File) error
	}{
		{"fsync", faultfs.Fsync, syscall.EIO, func(_ string, file *os.File) error { return file.Sync() }},
		{"fdatasync", faultfs.Fsync, syscall.EIO, func(_ string, file *os.File) error { return unix.Fdatasync(int(file.Fd())) }},
		{"fsync of the folder", faultfs.Fsync, syscall.EIO, func(path string, _ *os.File) error {
			dir, err := os.Open(filepath.Dir(path))
			if err != nil {
				return err
			}
			defer dir.Close()
			return dir.Sync()
		}},
		{"write EIO", faultfs.Write, syscall.EIO, func(_ string, file *os.File) error { _, err := file.WriteString("more"); return err }},
		{"write ENOSPC", faultfs.Write, syscall.ENOSPC, func(_ string, file *os.File) error { _, err := file.WriteString("more"); return err }},
		{"fallocate", faultfs.Write, syscall.ENOSPC, func(_ string, file *os.File) error { return unix.Fallocate(int(file.Fd()), 0, 0, 8192) }},
		{"read", faultfs.Read, syscall.EIO, func(path string, _ *os.File) error { _, err := os.ReadFile(path); return err }},
		{"statfs", faultfs.Statfs, syscall.EIO, func(path string, _ *os.File) error { return unix.Statfs(path, new(unix.Statfs_t)) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := faultfs.NewFolder(t, "")
			path := filepath.Join(f.Path, "file")
			file := create(t, path)
			write(t, file, "text")
			times := 1
			if tc.op == faultfs.Read {
				times = faultfs.Always // the kernel tries again what it failed to read ahead
			}
			f.Fail(tc.op, tc.err, times)
			if err := tc.do(path, file); !errors.Is(err, tc.err) {
				t.Errorf("returned %v, want %v", err, tc.err)
			}
			f.Fail(faultfs.Read, 0, 0)
			if err := tc.do(path, file); err != nil {
				t.Errorf("the second time: %v", err)
			}
			f.Delay(tc.op, 30*time.Millisecond)
			start := time.Now()
			check(t, tc.do(path, file))
			if took := time.Since(start); took < 30*time.Millisecond {
				t.Errorf("delayed by 30 ms it took %s", took)
			}
		})
	}
}

// A Folder is an ordinary folder otherwise.
func TestFolderPassesThrough(t *testing.T) {
	t.Parallel()
	f := faultfs.NewFolder(t, "")
	script := `set -e
mkdir sub; echo one >sub/a; echo two >>sub/a; mv sub/a sub/b; ln sub/b hard; ln -s sub/b soft
echo x >gone; rm gone; truncate -s 3 hard; chmod 600 hard; cp soft copy; flock copy true; ls; cat soft`
	out, err := exec.Command("sh", "-c", "cd \"$1\"\n"+script, "sh", f.Path).CombinedOutput()
	if want := "copy\nhard\nsoft\nsub\none"; err != nil || string(out) != want {
		t.Errorf("got %q, %v; want %q", out, err, want)
	}
	if got, err := os.ReadFile(filepath.Join(f.Backing, "sub", "b")); string(got) != "one" {
		t.Errorf("below it is %q, %v", got, err)
	}
}

// A Folder lacks what it is told to, and nothing else.
func TestFolderLacks(t *testing.T) {
	t.Parallel()
	f := faultfs.NewFolder(t, "")
	a, b := filepath.Join(f.Path, "a"), filepath.Join(f.Path, "b")
	exclusive := func() error { return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_NOREPLACE) }
	fresh := func() {
		t.Helper()
		check(t, os.RemoveAll(b))
		check(t, os.WriteFile(a, nil, 0o600))
	}
	fresh()
	check(t, exclusive())
	fresh()
	check(t, os.Link(a, b))
	f.LackRenameFlags()
	fresh()
	if err := exclusive(); err != unix.EINVAL {
		t.Errorf("rename with a flag: %v", err)
	}
	check(t, os.Link(a, b))
	f.LackLinks()
	fresh()
	if err := os.Link(a, b); !errors.Is(err, unix.EPERM) {
		t.Errorf("link: %v", err)
	}
	check(t, os.Rename(a, b))
}

// The rights of files hold for other users.
func TestFolderAsAnotherUser(t *testing.T) {
	t.Parallel()
	f := faultfs.NewFolder(t, "")
	check(t, os.WriteFile(filepath.Join(f.Path, "public"), nil, 0o644))
	check(t, os.WriteFile(filepath.Join(f.Path, "secret"), nil, 0o600))
	dir, err := os.Open(f.Path)
	check(t, err)
	defer dir.Close()
	done := make(chan [2]error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		// Of this thread alone: unix.Setresuid would change the whole process.
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			t.Error(errno)
		}
		var errs [2]error
		for i, name := range []string{"public", "secret"} {
			fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if errs[i] = err; err == nil {
				unix.Close(fd)
			}
		}
		done <- errs
	}()
	if got, want := <-done, [2]error{nil, syscall.EACCES}; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// However a test ends, with everything hanging, no mount and no loop device is left.
func TestLeavesNothingBehind(t *testing.T) {
	if base := os.Getenv("FAULTFS_TEST_BASE"); base != "" {
		endWhileHanging(t, base, os.Getenv("FAULTFS_TEST_ENDING"))
		return
	}
	t.Parallel()
	for _, ending := range []string{"pass", "fail", "panic", "panic elsewhere", "exit", "kill"} {
		t.Run(ending, func(t *testing.T) {
			t.Parallel()
			base := filepath.Join(t.TempDir(), "with space, comma")
			check(t, os.Mkdir(base, 0o700))
			cmd := exec.Command(os.Args[0], "-test.run=^TestLeavesNothingBehind$")
			cmd.Env = append(os.Environ(), "FAULTFS_TEST_BASE="+base, "FAULTFS_TEST_ENDING="+ending)
			out, err := cmd.CombinedOutput()
			if (err == nil) != (ending == "pass") {
				t.Errorf("it ended with %v\n%s", err, out)
			}
			name, err := os.ReadFile(filepath.Join(base, "name"))
			if err != nil {
				t.Fatalf("it ended before it hung\n%s", out)
			}
			// What is left when a process was killed goes a moment later.
			for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
				left := leftBehind(t, string(name))
				if left == "" {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("left behind: %s\n%s", left, out)
				}
			}
		})
	}
}

func endWhileHanging(t *testing.T, base, ending string) {
	disk := faultfs.NewDisk(t, faultfs.DiskConfig{Base: base})
	folder := faultfs.NewFolder(t, base)
	file, err := os.Create(filepath.Join(disk.Path, "file"))
	check(t, err)
	write(t, file, "text")
	fsync, statfs := disk.Hang(faultfs.Fsync), folder.Hang(faultfs.Statfs)
	var hanging sync.WaitGroup
	t.Cleanup(hanging.Wait) // as a test waits for the program it has killed
	hanging.Go(func() {
		_ = file.Sync()
		file.Close()
	})
	hanging.Go(func() { _ = unix.Statfs(folder.Path, new(unix.Statfs_t)) })
	<-fsync
	<-statfs
	check(t, os.WriteFile(filepath.Join(base, "name"), []byte(filepath.Base(filepath.Dir(disk.Path))), 0o600))
	switch ending {
	case "fail":
		t.Fatal("as asked")
	case "panic":
		panic("as asked")
	case "panic elsewhere":
		go func() { panic("as asked") }()
		select {}
	case "exit":
		os.Exit(3)
	case "kill":
		check(t, unix.Kill(os.Getpid(), unix.SIGKILL))
		select {}
	}
}

// leftBehind names a mount or loop device with this in its name. A mount in another
// namespace is a copy that somebody else took, and so is the loop device below it.
func leftBehind(t *testing.T, name string) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	check(t, err)
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, name) {
			return line
		}
	}
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	check(t, err)
	for _, file := range files {
		if backing, _ := os.ReadFile(file); strings.Contains(string(backing), name) && !mountedElsewhere(name) {
			return file + ": " + string(backing)
		}
	}
	return ""
}

func mountedElsewhere(name string) bool {
	all, _ := filepath.Glob("/proc/[0-9]*/mountinfo")
	for _, mounts := range all {
		if b, _ := os.ReadFile(mounts); strings.Contains(string(b), name) {
			return true
		}
	}
	return false
}
