//go:build !linux && !darwin && !windows

package backup

import "time"

// sinceBoot is how long ago the first look at the clock was: by Go's own, which may not count the time that the
// machine slept.
func sinceBoot(first time.Time) time.Duration { return time.Since(first) }
