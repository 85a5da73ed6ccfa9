package host

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// ErrInterrupted is the error of what waited for somebody who then asked this process to
// stop.
var ErrInterrupted = errors.New("interrupted")

// Interrupts are the signals by which a person, their terminal that is closed, or the
// system asks this process to stop. SIGHUP is none of them where it is ignored, as nohup
// has it.
func Interrupts() []os.Signal {
	out := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		out = append(out, syscall.SIGHUP)
	}
	return out
}

// Interruptible runs read, which may wait for as long as it likes, at a terminal, a pipe
// or a disk, and returns what it returns. The first of Interrupts ends that, as does the
// end of ctx: the error is ErrInterrupted then, and whatever read still comes to, if only
// a moment later, is nobody's. A signal that was sent before read got what it waited for
// counts, also where a busy machine delivers it afterwards.
//
// read is to change nothing: it cannot be stopped, and goes on until the process ends.
func Interruptible[T any](ctx context.Context, read func() (T, error)) (T, error) {
	var none T
	if ctx.Err() != nil {
		return none, ErrInterrupted
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, Interrupts()...)
	defer signal.Stop(asked)
	type outcome struct {
		value T
		err   error
	}
	came := make(chan outcome, 1)
	go func() {
		value, err := read()
		came <- outcome{value, err}
	}()
	var got outcome
	select {
	case <-asked:
		return none, ErrInterrupted
	case <-ctx.Done():
		return none, ErrInterrupted
	case got = <-came:
	}
	delivered()
	select {
	case <-asked:
		return none, ErrInterrupted
	case <-ctx.Done():
		return none, ErrInterrupted
	default:
	}
	return got.value, got.err
}
