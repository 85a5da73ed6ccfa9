//go:build !linux

package installer

import "time"

// sinceBoot is of systemd, which is not here.
func sinceBoot(time.Time) int64 { return 0 }
