package host

import "io/fs"

// FileOwner returns who owns a file; -1 where files have no such owners.
func FileOwner(fs.FileInfo) (uid, gid int) { return -1, -1 }
