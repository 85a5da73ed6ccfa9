package host

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime: every process may read every other's clock of CPU time, whatever /proc hides
// of it. Its id is made of the number of the process (clock_getcpuclockid(3)); 2 is the
// clock that the scheduler counts.
func cpuTime(pid int) (time.Duration, bool) {
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &t); err != nil {
		return 0, false
	}
	return time.Duration(t.Nano()), true
}
