//go:build unix

package host

import (
	"io/fs"
	"syscall"
)

// FileOwner returns who owns a file; -1 where files have no such owners.
func FileOwner(fi fs.FileInfo) (uid, gid int) {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid), int(st.Gid)
	}
	return -1, -1
}
