package helper

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootClock tells how long ago this machine was started, with the time it slept. It is the
// clock of trials: a machine without a battery believes to live at some time or other until
// the network tells it.
func bootClock() func() time.Duration {
	return func() time.Duration {
		var ts unix.Timespec
		unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) //nolint:errcheck // every kernel that runs Go has this clock
		return time.Duration(ts.Nano())
	}
}
