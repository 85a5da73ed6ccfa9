package target

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A disk that hangs leaves one operation behind: who waits for it goes when its time is
// over, everybody else at once; and when it comes back all goes on.
func TestAHungDisk(t *testing.T) {
	t.Attr("shows", "backups")
	synctest.Test(t, func(t *testing.T) {
		turns, back, tidied := newTurns(), make(chan struct{}), 0
		within := func(d time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			return turns.take(ctx, func() error { return nil }, nil)
		}
		start := time.Now()
		hanging, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		waiting := make(chan error, 1)
		go func() { // it waits for as long as it takes
			synctest.Wait()
			waiting <- turns.take(context.WithoutCancel(t.Context()), func() error { return nil }, nil)
		}()
		err := turns.take(hanging, func() error { <-back; return nil }, func() { tidied++ })
		if !errors.Is(err, ErrSlow) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("it ended with %v after %s", err, time.Since(start))
		}
		if err := <-waiting; err != ErrSlow || time.Since(start) != time.Minute {
			t.Errorf("who waited was told %v after %s", err, time.Since(start))
		}
		for range 100 {
			if err := within(time.Hour); err != ErrSlow || time.Since(start) != time.Minute {
				t.Fatalf("another ended with %v after %s", err, time.Since(start))
			}
		}
		if d := turns.silent(); d != time.Minute {
			t.Errorf("it has been silent for %s", d)
		}
		turns.tidy(t.Context(), func() { t.Error("something is done on a disk that is hung") })
		close(back)
		synctest.Wait()
		if d := turns.silent(); d != 0 {
			t.Errorf("it is back, and has been silent for %s", d)
		}
		if tidied != 1 {
			t.Errorf("tidied %d times", tidied)
		}
		if err := within(time.Second); err != nil {
			t.Errorf("it is back: %v", err)
		}
	})
}

// Somebody who goes in the middle of an operation makes no hung disk of one that is at work: the next wait
// for their turn, until it has taken too long.
func TestWhoGoesEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, takes := range []time.Duration{time.Second, time.Minute} {
			turns, order := newTurns(), ""
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			err := turns.take(ctx, func() error { time.Sleep(takes); order += "done "; return nil }, func() { order += "tidied " })
			if err != context.Canceled {
				t.Errorf("it ended with %v", err)
			}
			start := time.Now()
			err = turns.take(context.WithoutCancel(ctx), func() error { order += "next"; return nil }, nil)
			switch waited := time.Since(start) + time.Millisecond; {
			case takes < hungAfter:
				if err != nil || waited != takes || order != "done tidied next" {
					t.Errorf("the next ended with %v after %s: %s", err, waited, order)
				}
			case err != ErrSlow || waited != hungAfter:
				t.Errorf("the next ended with %v after %s", err, waited)
			}
			time.Sleep(takes)
			if err := turns.take(t.Context(), func() error { order += " last"; return nil }, nil); err != nil || strings.Contains(order, "next") != (takes < hungAfter) {
				t.Errorf("later: %v: %s", err, order)
			}
		}
	})
}

// An operation that ends as its time does is over or left behind, never both.
func TestTheEndAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 200 {
			turns, tidied := newTurns(), false
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := turns.take(ctx, func() error { time.Sleep(time.Second); return nil }, func() { tidied = true })
			cancel()
			synctest.Wait()
			if (err != nil) != tidied {
				t.Fatalf("it ended with %v, tidied %v", err, tidied)
			}
			if err := turns.take(t.Context(), func() error { return nil }, nil); err != nil {
				t.Fatal(err)
			}
		}
	})
}
