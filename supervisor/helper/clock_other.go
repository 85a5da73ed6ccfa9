//go:build !linux

package helper

import "time"

// bootClock tells how long this process has run: only systemd starts it, hence Linux.
func bootClock() func() time.Duration {
	began := time.Now()
	return func() time.Duration { return time.Since(began) }
}
