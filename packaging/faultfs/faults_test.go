package faultfs

import (
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestFailsSoManyTimes(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  func(*Faults)
		want []syscall.Errno // of three writes
	}{
		{"no fault", func(*Faults) {}, []syscall.Errno{0, 0, 0}},
		{"once", func(f *Faults) { f.Fail(Write, syscall.EIO, 1) }, []syscall.Errno{syscall.EIO, 0, 0}},
		{"twice", func(f *Faults) { f.Fail(Write, syscall.ENOSPC, 2) }, []syscall.Errno{syscall.ENOSPC, syscall.ENOSPC, 0}},
		{"always", func(f *Faults) { f.Fail(Write, syscall.EIO, Always) }, []syscall.Errno{syscall.EIO, syscall.EIO, syscall.EIO}},
		{"another op", func(f *Faults) { f.Fail(Read, syscall.EIO, Always) }, []syscall.Errno{0, 0, 0}},
		{"ended by zero times", func(f *Faults) { f.Fail(Write, syscall.EIO, Always); f.Fail(Write, 0, 0) }, []syscall.Errno{0, 0, 0}},
		{"cleared", func(f *Faults) { f.Fail(Write, syscall.EIO, Always); f.Clear() }, []syscall.Errno{0, 0, 0}},
		{"after the end", func(f *Faults) { f.end(); f.Fail(Write, syscall.EIO, Always); f.Hang(Write) }, []syscall.Errno{0, 0, 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var f Faults
			tc.set(&f)
			var got []syscall.Errno
			for range 3 {
				got = append(got, f.enter(Write, nil))
			}
			if !slices.Equal(got, tc.want) || f.Count(Write) != 3 {
				t.Errorf("got %v, %d counted; want %v, 3 counted", got, f.Count(Write), tc.want)
			}
		})
	}
}

func TestDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Faults
		took := func() time.Duration {
			start := time.Now()
			f.enter(Fsync, nil)
			return time.Since(start)
		}
		f.Delay(Fsync, time.Minute)
		if d := took(); d != time.Minute {
			t.Errorf("delayed by %s, not a minute", d)
		}
		time.AfterFunc(time.Second, f.Clear)
		if d := took(); d != time.Second {
			t.Errorf("cleared after a second, it went on after %s", d)
		}
		if d := took(); d != 0 {
			t.Errorf("delayed by %s after Clear", d)
		}
	})
}

func TestHangs(t *testing.T) {
	for _, tc := range []struct {
		name string
		free func(*Faults, chan struct{})
	}{
		{"Release", func(f *Faults, _ chan struct{}) { f.Release(Write) }},
		{"Clear", func(f *Faults, _ chan struct{}) { f.Clear() }},
		{"end", func(f *Faults, _ chan struct{}) { f.end() }},
		{"a power cut", func(_ *Faults, dead chan struct{}) { close(dead) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var f Faults
				dead := make(chan struct{})
				held, returned := f.Hang(Write), make(chan struct{})
				if f.Hang(Write) != held {
					t.Error("Hang has another channel the second time")
				}
				for range 2 {
					go func() {
						f.enter(Write, dead)
						returned <- struct{}{}
					}()
				}
				<-held
				f.enter(Read, dead)
				synctest.Wait()
				select {
				case <-returned:
					t.Error("not held")
				default:
				}
				tc.free(&f, dead)
				<-returned
				<-returned
			})
		})
	}
}
