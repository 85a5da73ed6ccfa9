package host

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// serviceManager looks for what each manager leaves in a running system:
// sd_booted(3) for systemd, /run/openrc, the names of process 1 of the others.
func serviceManager() string {
	has := func(path string) bool {
		_, err := os.Stat(path)
		return err == nil
	}
	comm, _ := os.ReadFile("/proc/1/comm")
	switch init := strings.TrimSpace(string(comm)); {
	case has("/run/systemd/system"):
		return Systemd
	case has("/run/openrc/softlevel"):
		return OpenRC
	case init == "procd":
		return Procd
	case init == "init" && has("/sbin/upstart-udev-bridge"):
		return Upstart
	case init == "init" && has("/etc/inittab") && has("/etc/init.d"):
		return SysV
	}
	return ""
}

func kernel() (release string, major, minor int) {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "", 0, 0
	}
	release = unix.ByteSliceToString(u.Release[:])
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return release, 0, 0
	}
	return release, major, minor
}

func selinux() bool {
	data, err := os.ReadFile("/sys/fs/selinux/enforce")
	return err == nil && strings.TrimSpace(string(data)) == "1"
}

func readOnly(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Flags&unix.ST_RDONLY != 0
}

func processFile(pid int) (string, bool) {
	path, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
	if err != nil {
		return "", false
	}
	return strings.CutSuffix(path, " (deleted)")
}
