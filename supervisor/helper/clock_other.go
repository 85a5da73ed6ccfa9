//go:build !linux

package helper

import "time"

// sinceBoot is how long this process has run: only systemd starts it, hence Linux.
func sinceBoot() time.Duration { return time.Since(started) }

// started is when this process was.
var started = time.Now()
