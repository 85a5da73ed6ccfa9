package host

import "time"

// SinceBoot is how long ago this machine was started, with the time that it slept; false where it
// does not say.
func SinceBoot() (time.Duration, bool) { return sinceBoot() }
