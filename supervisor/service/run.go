package service

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/kardianos/service"
)

// holdOff is how long a service that fails lives at least. systemd gives up on a
// socket whose service ends twenty times within two seconds while somebody waits
// (TriggerLimitBurst=, systemd.socket(5)); a broken settings file must not shut
// the door for good.
const holdOff = 2 * time.Second

// Run runs run under the service manager, or in the foreground when there is
// none, and returns its error. ctx given to run ends when ctx does or when the
// service manager wants the service to stop. Under systemd a run that fails at
// once is held for two seconds, with the reason as the unit's status.
func Run(ctx context.Context, run func(context.Context) error) error {
	if foreground() {
		return run(ctx)
	}
	p := &program{ctx: ctx, run: run, done: make(chan struct{})}
	svc, err := service.New(p, &service.Config{Name: Name, Option: service.KeyValue{"RunWait": p.wait}})
	if errors.Is(err, service.ErrNoServiceSystemDetected) {
		return run(ctx)
	}
	if err != nil {
		return err
	}
	if err := svc.Run(); err != nil {
		p.stop()
		<-p.done
		return errors.Join(err, p.err)
	}
	return p.err
}

// program is what kardianos/service starts and stops.
type program struct {
	ctx  context.Context
	run  func(context.Context) error
	once sync.Once
	end  context.CancelFunc
	done chan struct{} // closed when run has returned
	err  error         // of run; read after done
}

// Start begins and does not block.
func (p *program) Start(service.Service) error {
	ctx, end := context.WithCancel(p.ctx)
	p.end = end
	go func() {
		defer close(p.done)
		began := time.Now()
		p.err = p.run(ctx)
		if left := holdOff - time.Since(began); p.err != nil && left > 0 && os.Getenv("NOTIFY_SOCKET") != "" {
			Notify("STATUS=" + oneLine(p.err.Error())) //nolint:errcheck // the error itself is returned
			t := time.NewTimer(left)
			defer t.Stop()
			select {
			case <-ctx.Done():
			case <-t.C:
			}
		}
		if ctx.Err() == nil {
			ended(p.err)
		}
	}()
	return nil
}

// wait blocks until the program has ended by itself or ctx has: the caller of
// Run handles signals. (On Windows, and without RunWait, the library waits for
// the service manager or a signal and calls Stop.)
func (p *program) wait() {
	select {
	case <-p.ctx.Done():
	case <-p.done:
	}
}

// Stop ends the program and waits for it.
func (p *program) Stop(service.Service) error {
	p.stop()
	<-p.done
	return nil
}

func (p *program) stop() {
	if p.end == nil { // never started
		p.once.Do(func() { close(p.done) })
		return
	}
	p.end()
}
