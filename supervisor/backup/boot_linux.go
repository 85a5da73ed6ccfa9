package backup

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot is how long ago the machine was started, with the time that it slept.
func sinceBoot(time.Time) time.Duration {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) //nolint:errcheck // every kernel that runs Go has this clock
	return time.Duration(ts.Nano())
}
