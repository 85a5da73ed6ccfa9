//go:build unix

package host

import (
	"math"

	"golang.org/x/sys/unix"
)

func openFiles() int {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil || uint64(l.Cur) >= math.MaxInt32 { //nolint:unconvert // Cur is signed on some systems
		return 0
	}
	return int(l.Cur)
}
