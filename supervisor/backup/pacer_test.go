package backup

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A copy of everything takes its time while somebody writes, and none while nobody does; what it did
// in a hurry is not made up for by waiting.
func TestPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pacer
		took := func(busy bool, pieces int) time.Duration {
			began := time.Now()
			for range pieces {
				if err := p.wait(t.Context(), busy, 4<<20); err != nil {
					t.Fatal(err)
				}
			}
			return time.Since(began)
		}
		for _, c := range []struct {
			busy   bool
			pieces int
			want   time.Duration
		}{{false, 1000, 0}, {true, 8, time.Second}, {true, 16, 2 * time.Second}, {false, 1000, 0}, {true, 8, time.Second}} {
			if got := took(c.busy, c.pieces); got != c.want {
				t.Errorf("%d pieces, somebody writes: %t: %s, want %s", c.pieces, c.busy, got, c.want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, busy := range []bool{true, false} {
			began := time.Now()
			if err := p.wait(ctx, busy, 1<<30); !errors.Is(err, context.Canceled) || time.Since(began) > 0 {
				t.Errorf("told to end, it waits %s: %v", time.Since(began), err)
			}
		}
	})
}
