package service

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot is the clock by which systemd tells times that end in Monotonic.
func sinceBoot() (time.Duration, bool) {
	var ts unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return time.Duration(ts.Nano()), err == nil
}
