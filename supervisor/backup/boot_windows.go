package backup

import (
	"time"

	"golang.org/x/sys/windows"
)

// sinceBoot is how long ago the machine was started, with the time that it slept.
func sinceBoot(time.Time) time.Duration { return windows.DurationSinceBoot() }
