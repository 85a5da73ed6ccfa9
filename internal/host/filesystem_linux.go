package host

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

func filesystemAt(root, path string) (Filesystem, error) {
	if f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0); err == nil {
		defer f.Close() //nolint:errcheck // it was only looked at
		return filesystemOf(root, f)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return Filesystem{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	m, _ := holding(mounts(root), path)
	number := deviceNumber(root, st.Dev, m)
	return Filesystem{Device: st.Dev, UUID: udevUUID(root, number), Gone: unplugged(root, number)}, nil
}

func filesystemOf(root string, f *os.File) (Filesystem, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return Filesystem{}, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	fs := Filesystem{Device: st.Dev}
	m, _ := mountOf(root, f)
	number := deviceNumber(root, st.Dev, m)
	if number == "" { // on no disk of this machine: what the kernel calls its UUID is new with each mount
		return fs, nil
	}
	if fs.UUID = kernelUUID(f); fs.UUID == "" {
		fs.UUID = udevUUID(root, number)
	}
	fs.Gone = unplugged(root, number)
	return fs, nil
}

// mountOf is the mount by which a file was opened (mnt_id in proc_pid_fdinfo(5)).
func mountOf(root string, f *os.File) (mount, bool) {
	info, err := os.Open(filepath.Join(root, fmt.Sprintf("proc/self/fdinfo/%d", f.Fd())))
	if err != nil {
		return mount{}, false
	}
	defer info.Close() //nolint:errcheck // it was only read
	for lines := bufio.NewScanner(info); lines.Scan(); {
		if id, ok := strings.CutPrefix(lines.Text(), "mnt_id:"); ok {
			for _, m := range mounts(root) {
				if m.id == strings.TrimSpace(id) {
					return m, true
				}
			}
		}
	}
	return mount{}, false
}

// deviceNumber is the major:minor of the block device that a file system is on; "" for one
// that is on none. That of btrfs has a number of its own for each subvolume, and its mount says on
// what it is.
func deviceNumber(root string, device uint64, m mount) string {
	if unix.Major(device) != 0 {
		return fmt.Sprintf("%d:%d", unix.Major(device), unix.Minor(device))
	}
	if !strings.HasPrefix(m.source, "/dev/") {
		return ""
	}
	number, err := os.ReadFile(filepath.Join(root, "sys/class/block", filepath.Base(m.source), "dev"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(number))
}

// kernelUUID asks the file system itself: FS_IOC_GETFSUUID, which most have since Linux 6.9, and
// BTRFS_IOC_FS_INFO.
func kernelUUID(f *os.File) string {
	const getFSUUID, btrfsFSInfo = 0x80111500, 0x8400941f
	var answer struct {
		length uint8
		uuid   [16]byte
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), getFSUUID, uintptr(unsafe.Pointer(&answer)))
	if errno == 0 && int(answer.length) == len(answer.uuid) {
		return uuidText(answer.uuid)
	}
	var info struct {
		mostID, devices uint64
		uuid            [16]byte
		_               [992]byte
	}
	_, _, errno = unix.Syscall(unix.SYS_IOCTL, f.Fd(), btrfsFSInfo, uintptr(unsafe.Pointer(&info)))
	if errno == 0 {
		return uuidText(info.uuid)
	}
	return ""
}

func uuidText(uuid [16]byte) string {
	if uuid == [16]byte{} {
		return ""
	}
	text := hex.EncodeToString(uuid[:])
	return strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
}

// udevUUID is what udev found on the device when it was plugged in; anybody may read that.
func udevUUID(root, number string) string {
	if number == "" {
		return ""
	}
	text, err := os.ReadFile(filepath.Join(root, "run/udev/data", "b"+number))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if uuid, ok := strings.CutPrefix(line, "E:ID_FS_UUID="); ok {
			return strings.TrimSpace(uuid)
		}
	}
	return ""
}

// unplugged reports whether the kernel has no such device any more.
func unplugged(root, number string) bool {
	if major, _, _ := strings.Cut(number, ":"); major == "" || major == strconv.Itoa(0) {
		return false
	}
	devices := filepath.Join(root, "sys/dev/block")
	if _, err := os.Stat(devices); err != nil {
		return false
	}
	_, err := os.Lstat(filepath.Join(devices, number))
	return os.IsNotExist(err)
}
