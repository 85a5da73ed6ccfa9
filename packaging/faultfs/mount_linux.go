package faultfs

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// require skips the test where it cannot run, and fails it where CI is set.
func require(t testing.TB, devices, programs []string) {
	t.Helper()
	var missing []string
	if os.Geteuid() != 0 {
		missing = append(missing, "root")
	}
	for _, device := range devices {
		if _, err := os.Stat(device); err != nil {
			missing = append(missing, device)
		}
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	switch {
	case len(missing) == 0:
	case os.Getenv("CI") != "":
		t.Fatalf("This machine cannot run the tests with a faulty disk. Missing: %s.", strings.Join(missing, ", "))
	default:
		t.Skipf("A test with a faulty disk needs %s.", strings.Join(missing, ", "))
	}
}

// workFolder makes a folder that every user can enter who can enter base.
func workFolder(t testing.TB, base string) string {
	t.Helper()
	if base == "" {
		base = t.TempDir()
	}
	base, err := filepath.Abs(base)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(base, "faultfs-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// serve mounts a FUSE file system at a folder until the test ends; then it first ends
// the faults and unmounts what is mounted at the folders above, which stand on it.
func serve(t testing.TB, faults *Faults, at string, root fs.InodeEmbedder, above ...string) {
	t.Helper()
	guard(t, append([]string{at}, above...))
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("cannot open /dev/fuse: %v", err)
	}
	const maxWrite = 128 << 10
	// go-fuse would let every program the test starts inherit the descriptor, and
	// with it keep the mount alive.
	options := fmt.Sprintf("fd=%d,rootmode=%o,user_id=0,group_id=0,allow_other,default_permissions,max_read=%d", fd, unix.S_IFDIR, maxWrite)
	if err := unix.Mount("faultfs", at, "fuse.faultfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		unix.Close(fd)
		t.Fatalf("cannot mount FUSE at %s: %v", at, err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() {
		faults.end()
		for _, dir := range above {
			if err := unmount(dir); err != nil {
				t.Error(err)
			}
		}
		// By force, so that it also ends if its mount was copied to another
		// namespace meanwhile.
		if err := unix.Unmount(at, unix.MNT_FORCE|unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			t.Errorf("cannot unmount %s: %v", at, err)
		}
		running.Wait()
	})
	context.AfterFunc(t.Context(), faults.end)

	mo := fuse.MountOptions{MaxWrite: maxWrite, Logger: log.New(t.Output(), "go-fuse: ", 0)}
	server, err := fuse.NewServer(fs.NewNodeFS(root, &fs.Options{MountOptions: mo}), fmt.Sprintf("/dev/fd/%d", fd), &mo)
	if err != nil {
		t.Fatalf("cannot serve FUSE: %v", err)
	}
	running.Go(server.Serve)
	if err := refusePoll(at); err != nil {
		t.Fatalf("cannot read the FUSE mount: %v", err)
	}
}

// refusePoll has the kernel poll a file that go-fuse has for this purpose, and learn
// that polling is not supported. Otherwise the Go runtime would poll files the test
// opens, at a moment when it may be unable to answer.
func refusePoll(at string) error {
	fd, err := unix.Open(filepath.Join(at, ".go-fuse-epoll-hack"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return err
}

// unmount waits a while for programs that are just ending. After that it takes the
// folder away from those that remain, and says so.
func unmount(dir string) error {
	const patience = 10 * time.Second
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := unix.Unmount(dir, unix.UMOUNT_NOFOLLOW)
		if err == nil || err == unix.EINVAL { // nothing is mounted there
			return nil
		}
		if err != unix.EBUSY || time.Now().After(end) {
			_ = unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
			return fmt.Errorf("cannot unmount %s: %w; is a program still using it?", dir, err)
		}
	}
}

// guardScript unmounts the folders, the first by force, unless a line tells it that
// this has been done. Its input may never end: a dead process whose thread waits for
// an answer of its own file system keeps its files open.
const guardScript = `
clean() {
	umount -c -f "$1"
	while [ $# -gt 0 ]; do umount -c -l "$1"; shift; done
	exit
}
trap 'clean "$@"' TERM
echo ready
read -r _ || clean "$@"
`

// guard starts a process that unmounts the folders if this one dies before the test
// can, by a panic in another goroutine, a timeout or a kill.
func guard(t testing.TB, dirs []string) {
	t.Helper()
	cmd := exec.Command("sh", append([]string{"-c", guardScript, "sh"}, dirs...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error)
	var running sync.WaitGroup
	running.Go(func() {
		// The kernel sends Pdeathsig when the thread ends that started the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	})
	if err := <-started; err != nil {
		t.Fatalf("cannot start sh: %v", err)
	}
	t.Cleanup(func() {
		_, _ = stdin.Write([]byte("done\n"))
		running.Wait()
	})
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatalf("cannot start sh: %v", err)
	}
}
