package host

import "time"

// CPUTime is how long a process of this machine has been computing; false where that
// cannot be told, or there is no such process.
func CPUTime(pid int) (time.Duration, bool) {
	if pid <= 0 {
		return 0, false
	}
	return cpuTime(pid)
}
