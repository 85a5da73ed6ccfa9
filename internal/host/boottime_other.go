//go:build !linux && !darwin && !windows

package host

import "time"

func sinceBoot() (time.Duration, bool) { return 0, false }
