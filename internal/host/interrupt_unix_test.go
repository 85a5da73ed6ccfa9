//go:build unix

package host

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Who waits for a line that never comes ends at the first signal, whichever it is; but a
// SIGHUP that is ignored (nohup, some service managers) stays so, also in this test.
func TestTheFirstSignalEndsTheWait(t *testing.T) {
	t.Attr("shows", "mend2")
	sigs := Interrupts()
	if !slices.Contains(sigs, os.Signal(syscall.SIGHUP)) != signal.Ignored(syscall.SIGHUP) || len(sigs) < 2 {
		t.Errorf("SIGHUP is ignored: %v; %v", signal.Ignored(syscall.SIGHUP), sigs)
	}
	for _, sig := range sigs {
		in, hand, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		waiting := make(chan struct{})
		go func() {
			_, err := Interruptible(t.Context(), func() ([]byte, error) {
				close(waiting)
				return io.ReadAll(in)
			})
			ended <- err
		}()
		<-waiting
		if err := syscall.Kill(os.Getpid(), sig.(syscall.Signal)); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if !errors.Is(err, ErrInterrupted) {
				t.Errorf("%v: %v", sig, err)
			}
		case <-time.After(2 * time.Minute):
			t.Fatalf("%v: it waits on", sig)
		}
		hand.Close()
		in.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Interruptible(ctx, func() (int, error) { return 1, nil }); !errors.Is(err, ErrInterrupted) {
		t.Errorf("a context that has ended: %v", err)
	}
	if got, err := Interruptible(t.Context(), func() (int, error) { return 1, io.EOF }); got != 1 || err != io.EOF { //nolint:errorlint // it is passed on as it is
		t.Errorf("%d, %v", got, err)
	}
}

// A line that comes right behind the signal is not obeyed, however busy the machine is.
func TestALineBehindTheSignalIsNobodys(t *testing.T) {
	t.Attr("shows", "mend2")
	stop := make(chan struct{})
	var busy sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) {
		busy.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					n *= 3
				}
			}
		})
	}
	defer busy.Wait()
	defer close(stop)
	for i := range 40 {
		got, err := Interruptible(t.Context(), func() (string, error) {
			return "yes", syscall.Kill(os.Getpid(), syscall.SIGINT)
		})
		if !errors.Is(err, ErrInterrupted) || got != "" {
			t.Fatalf("round %d: %q, %v", i, got, err)
		}
	}
}
