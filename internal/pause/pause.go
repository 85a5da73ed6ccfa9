// Package pause is waiting between two tries or looks.
//
// It promises that nobody waits longer than their context lasts, and leaves no timer
// behind.
//
// Used by whoever looks at something again and again: supervisor and its rooms, server,
// its stores.
package pause

import (
	"context"
	"time"
)

// For waits for d and reports whether ctx still lasts.
func For(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
