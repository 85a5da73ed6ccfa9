package installer

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot is a moment by the clock of systemd's times that end in Monotonic, in
// microseconds.
func sinceBoot(t time.Time) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err)
	}
	return (time.Duration(ts.Nano()) - time.Since(t)).Microseconds()
}
