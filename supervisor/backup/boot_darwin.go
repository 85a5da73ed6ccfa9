package backup

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot is how long ago the machine was started, with the time that it slept: macOS counts that here.
func sinceBoot(time.Time) time.Duration {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) //nolint:errcheck // every macOS that runs Go has this clock
	return time.Duration(ts.Nano())
}
