package host

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot: macOS counts sleep in this clock.
func sinceBoot() (time.Duration, bool) {
	var ts unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return time.Duration(ts.Nano()), err == nil
}
