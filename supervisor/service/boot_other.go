//go:build !linux

package service

import "time"

// sinceBoot is for systemd, which is not here.
func sinceBoot() (time.Duration, bool) { return 0, false }
