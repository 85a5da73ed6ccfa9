//go:build linux || darwin

package diskroom

import "golang.org/x/sys/unix"

// files that can still be made on the disk that holds path, and in all; 0 where nothing says.
func files(path string) (free, most uint64) {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil || st.Files == 0 {
		return 0, 0
	}
	return st.Ffree, st.Files
}
