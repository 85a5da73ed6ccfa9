package safepath

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// openPath opens a folder so that names can be looked up in it (O_PATH, open(2)): that
// takes no more rights than walking through it does.
func openPath(path string) (*os.File, error) {
	fd := -1
	err := retry(func() (err error) {
		fd, err = unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openFolder opens the folder name; inside wants errMount where something is mounted on it.
func openFolder(d *Dir, name string, inside bool) (*os.File, error) {
	return openBeneath(d, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, inside)
}

// openFile opens a file in the same way.
func openFile(d *Dir, name string, flags int, inside bool) (*os.File, error) {
	if flags&unix.O_NOFOLLOW == 0 {
		return openat(d, name, flags)
	}
	return openBeneath(d, name, flags, inside)
}

// openBeneath opens name without a link. Where there is no openat2(2) (a kernel before
// 5.6, a container that forbids it) one name is opened with O_NOFOLLOW, and the mounts
// are compared.
func openBeneath(d *Dir, name string, flags int, inside bool) (*os.File, error) {
	if !d.how.byName {
		how := &unix.OpenHow{
			Flags:   uint64(flags) | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
		}
		if inside {
			how.Resolve |= unix.RESOLVE_NO_XDEV
		}
		fd := -1
		err := retry(func() (err error) {
			fd, err = unix.Openat2(d.fd(), name, how)
			return err
		})
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), d.in(name)), nil
		case unix.ENOSYS, unix.EPERM:
		case unix.EXDEV:
			return nil, errMount
		default:
			return nil, err
		}
	}
	f, err := openat(d, name, flags)
	if err != nil || !inside || sameMount(d.f, f) {
		return f, err
	}
	f.Close() //nolint:errcheck // it is not looked into
	return nil, errMount
}

// sameMount compares the mounts of what is open (mnt_id in proc_pid_fdinfo(5)); a device
// does not tell a folder that is mounted a second time. Not to know is to differ.
func sameMount(a, b *os.File) bool {
	i, ok1 := mountID(a)
	j, ok2 := mountID(b)
	return ok1 && ok2 && i == j
}

func mountID(f *os.File) (id string, ok bool) {
	info, err := os.Open(fmt.Sprintf("/proc/self/fdinfo/%d", f.Fd()))
	if err != nil {
		return "", false
	}
	defer info.Close() //nolint:errcheck // it was only read
	lines := bufio.NewScanner(info)
	for lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), "mnt_id:"); ok {
			return strings.TrimSpace(id), true
		}
	}
	return "", false
}

// sealed reports whether the kernel lets nobody make a further name of a file that he could
// not write to.
func sealed() bool {
	text, err := os.ReadFile("/proc/sys/fs/protected_hardlinks")
	return err == nil && strings.TrimSpace(string(text)) == "1"
}
