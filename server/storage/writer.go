package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
)

// How long and how many jobs one commit may gather.
const (
	batchJobs = 512
	batchTime = 50 * time.Millisecond
)

// job is one Write that waits for its commit.
type job struct {
	ctx   context.Context
	fn    func(kinto.Tx) error
	at    time.Time
	taken atomic.Bool // by the writer, or by a caller who gave up
	done  chan struct{}
	err   error
	panic any // what fn panicked with, for its caller
}

// writer is the one goroutine that writes. Jobs that wait while it commits share
// the next commit: 64 clients cost hardly more flushes than one.
type writer struct {
	c     *conn
	cache *cache
	log   *slog.Logger
	wake  chan struct{} // one token: there is something to do
	ended chan struct{}

	mu      sync.Mutex
	waiting []*job
	working []*job // taken from waiting, not yet answered
	closed  bool

	own  bool // the open transaction changed what the cache holds
	dead bool // there are lists to sweep
}

func newWriter(c *conn, cache *cache, log *slog.Logger) *writer {
	return &writer{c: c, cache: cache, log: log, wake: make(chan struct{}, 1), ended: make(chan struct{}), dead: true}
}

// write queues fn and waits for its commit. A ctx that ends before the writer
// comes to it takes it back.
func (w *writer) write(ctx context.Context, fn func(kinto.Tx) error) error {
	j := &job{ctx: ctx, fn: fn, at: time.Now(), done: make(chan struct{})}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return fmt.Errorf("%w: it is closed", kinto.ErrUnavailable)
	}
	w.waiting = append(w.waiting, j)
	w.mu.Unlock()
	w.poke()
	select {
	case <-j.done:
	case <-ctx.Done():
		if j.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		<-j.done
	}
	if j.panic != nil {
		panic(j.panic)
	}
	return j.err
}

func (w *writer) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// oldest is when the oldest write began to wait; zero when none does.
func (w *writer) oldest() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.working) > 0 {
		return w.working[0].at
	}
	if len(w.waiting) > 0 {
		return w.waiting[0].at
	}
	return time.Time{}
}

// run writes until the writer is closed and nothing waits.
func (w *writer) run() {
	defer close(w.ended)
	for {
		jobs, closed := w.take()
		switch {
		case len(jobs) > 0:
			w.batch(jobs)
		case closed:
			return
		case w.dead:
			w.sweep()
		default:
			<-w.wake
		}
	}
}

// take moves waiting jobs, as many as one commit may hold, to working.
func (w *writer) take() (jobs []*job, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.waiting), batchJobs)
	w.working = w.waiting[:n:n]
	if n == len(w.waiting) {
		w.waiting = nil
	} else {
		w.waiting = w.waiting[n:]
	}
	return w.working, w.closed
}

// batch does jobs in as few commits as may be and answers them all.
func (w *writer) batch(jobs []*job) {
	live := jobs[:0:0]
	for _, j := range jobs {
		if j.taken.CompareAndSwap(false, true) {
			live = append(live, j)
		}
	}
	for len(live) > 0 {
		n, err := w.commit(live)
		if err != nil && n > 1 {
			// The commit took them all down: each for itself, so that whoever
			// cannot be kept takes nobody along.
			w.log.Warn("a group of writes could not be kept; trying each for itself", "writes", n, "err", err)
			for _, j := range live[:n] {
				if _, err := w.commit([]*job{j}); err != nil {
					j.err = err
				}
			}
		} else if err != nil {
			live[0].err = err
		}
		for _, j := range live[:n] {
			close(j.done)
		}
		live = live[n:]
	}
	w.mu.Lock()
	w.working = nil
	w.mu.Unlock()
}

// commit runs jobs, the first n of them if they take long, in one transaction.
// An error means that nothing was kept.
func (w *writer) commit(jobs []*job) (n int, err error) {
	w.own = false
	if err := w.c.do("begin_immediate").run(); err != nil {
		return len(jobs), err
	}
	defer func() {
		if err != nil && !w.c.autocommit() {
			err = errors.Join(err, w.c.do("rollback").run())
		}
	}()
	swept := false
	start := time.Now()
	for _, j := range jobs {
		if n > 0 && time.Since(start) > batchTime {
			break
		}
		n++
		s, err := w.job(j)
		if err != nil {
			return n, err
		}
		swept = swept || s
	}
	if err := w.c.do("commit").run(); err != nil {
		return n, err
	}
	if w.own {
		w.cache.forget()
	}
	w.dead = w.dead || swept
	return n, nil
}

// job runs one job in a savepoint. An error is one of the whole transaction;
// the job's own goes to the job.
func (w *writer) job(j *job) (swept bool, err error) {
	j.err, j.panic = nil, nil
	if err := w.c.do("savepoint").run(); err != nil {
		return false, err
	}
	t := &tx{view: view{ctx: j.ctx, c: w.c, cache: w.cache, generation: w.cache.now(), begun: true, own: w.own}}
	func() {
		defer func() { j.panic = recover() }()
		j.err = j.fn(t)
	}()
	w.own = w.own || t.own
	if w.c.autocommit() {
		// SQLite gave the whole transaction up, as it may when the disk is full.
		if j.err == nil {
			return false, fmt.Errorf("%w: the transaction was given up", kinto.ErrUnavailable)
		}
		return false, j.err
	}
	if j.err != nil || j.panic != nil {
		if err := w.c.do("rollback_to").run(); err != nil {
			return false, err
		}
	}
	return t.swept, w.c.do("release").run()
}

// sweep removes a bit of a dead list for good.
func (w *writer) sweep() {
	again, err := w.sweepSome()
	if err != nil {
		// Nothing is lost by it but room; the next purge or start tries again.
		w.log.Warn("what was deleted could not be cleared away yet", "err", err)
		again = false
	}
	w.dead = again
}

func (w *writer) sweepSome() (again bool, err error) {
	s := w.c.do("dead")
	if found, err := s.one(); !found {
		return false, err
	}
	pk := s.number(0)
	s.reset()
	if err := w.c.do("begin_immediate").run(); err != nil {
		return false, err
	}
	defer func() {
		if err != nil && !w.c.autocommit() {
			err = errors.Join(err, w.c.do("rollback").run())
		}
	}()
	s = w.c.do("sweep_to").int(1, pk)
	if _, err := s.one(); err != nil {
		return false, err
	}
	none, to := s.null(0), s.number(0)
	s.reset()
	if none {
		err = w.c.do("sweep_list").int(1, pk).run()
	} else {
		for _, name := range []string{"sweep_grants", "sweep_members", "sweep_objects"} {
			if err = w.c.do(name).int(1, pk).int(2, to).run(); err != nil {
				break
			}
		}
	}
	if err != nil {
		return false, err
	}
	return true, w.c.do("commit").run()
}

// close waits until everything queued is done.
func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.poke()
	<-w.ended
}
