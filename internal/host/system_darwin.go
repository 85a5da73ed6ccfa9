package host

import "golang.org/x/sys/unix"

func serviceManager() string { return Launchd }

func kernel() (release string, major, minor int) { return "", 0, 0 }

func selinux() bool { return false }

func readOnly(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Flags&unix.MNT_RDONLY != 0
}

func processFile(int) (string, bool) { return "", false }
