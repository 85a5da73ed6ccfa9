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
	moved   time.Time // when something was last committed

	ledger *ledger
	hub    *hub
	pairs  pairs

	reserve *reserve
	tight   bool // the reserve is not there

	state *trouble
	done  atomic.Uint64 // commits

	own    bool      // the open transaction changed what the cache holds
	dead   bool      // there may be something to sweep
	rested time.Time // when there was last nothing to sweep
}

// tidy is how often the writer looks for what time alone makes ready to be swept.
const tidy = time.Minute

func newWriter(c *conn, cache *cache, reserve *reserve, state *trouble, log *slog.Logger) *writer {
	return &writer{c: c, state: state, cache: cache, log: log, reserve: reserve, tight: !reserve.keep(), wake: make(chan struct{}, 1), ended: make(chan struct{}), ledger: newLedger(), hub: newHub(), dead: true}
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

// stuck is how long nothing has been committed although something waits; 0: nothing
// waits, or it is its turn soon.
func (w *writer) stuck() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var since time.Time
	switch {
	case len(w.working) > 0:
		since = w.working[0].at
	case len(w.waiting) > 0:
		since = w.waiting[0].at
	default:
		return 0
	}
	if since.Before(w.moved) {
		since = w.moved
	}
	return time.Since(since)
}

// run writes until the writer is closed and nothing waits. What was deleted is
// swept when there is nothing to write, and now and then when there always is.
func (w *writer) run() {
	defer close(w.ended)
	clock := time.NewTicker(tidy)
	defer clock.Stop()
	for n := 1; ; n++ {
		jobs, closed := w.take()
		if len(jobs) > 0 {
			w.batch(jobs)
		} else if closed {
			return
		}
		if !w.dead && time.Since(w.rested) >= tidy {
			w.dead = true
		}
		switch {
		case w.dead && (len(jobs) == 0 || n%64 == 0) && w.state.sound() == nil:
			w.sweep()
		case len(jobs) == 0:
			select {
			case <-w.wake:
			case <-clock.C:
				w.loosen()
			}
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
	w.loosen()
	for len(live) > 0 {
		n, err := w.commit(live)
		if err != nil && n > 1 {
			// The commit took them all down: each for itself, so that whoever
			// cannot be kept takes nobody along.
			w.log.Warn("a group of writes could not be kept; trying each for itself", "writes", n, "err", err)
			for _, j := range live[:n] {
				w.single(j)
			}
		} else if err != nil {
			live[0].err = err
		}
		w.squeeze(live[:n])
		for _, j := range live[:n] {
			close(j.done)
		}
		live = live[n:]
	}
	w.mu.Lock()
	w.working = nil
	w.mu.Unlock()
}

// single does one job in a commit of its own.
func (w *writer) single(j *job) {
	if _, err := w.commit([]*job{j}); err != nil {
		j.err = err
	}
}

// commit runs jobs, the first n of them if they take long, in one transaction.
// An error means that nothing was kept. Few jobs fail after they have written: only
// once one has, all are run again with a savepoint each.
func (w *writer) commit(jobs []*job) (n int, err error) {
	n, err = w.transact(jobs, false)
	if errors.Is(err, errHalf) {
		n, err = w.transact(jobs, true)
	}
	return n, err
}

// errHalf: a job failed halfway, and there was no savepoint to go back to.
var errHalf = errors.New("a write failed halfway")

func (w *writer) transact(jobs []*job, savepoints bool) (n int, err error) {
	w.own = false
	w.ledger.open()
	if err := w.state.sound(); err != nil {
		return len(jobs), err
	}
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
		s, err := w.job(j, savepoints)
		if err != nil {
			return n, err
		}
		swept = swept || s
	}
	if err := w.ledger.write(w.c); err != nil {
		return n, err
	}
	if err := w.state.sound(); err != nil { // what was built on damage is not kept
		return n, err
	}
	if err := w.c.do("commit").run(); err != nil {
		return n, err
	}
	w.done.Add(1)
	w.state.kept()
	w.mu.Lock()
	w.moved = time.Now()
	w.mu.Unlock()
	if w.own {
		w.cache.forget()
	}
	w.hub.wake(w.ledger)
	w.dead = w.dead || swept
	return n, nil
}

// job runs one job, in a savepoint or not. An error is one of the whole
// transaction; the job's own goes to the job.
func (w *writer) job(j *job, savepoint bool) (swept bool, err error) {
	j.err, j.panic = nil, nil
	if savepoint {
		if err := w.c.do("savepoint").run(); err != nil {
			return false, err
		}
	}
	w.ledger.begin()
	before := w.c.written()
	t := &tx{view: view{ctx: j.ctx, c: w.c, cache: w.cache, generation: w.cache.now(), begun: true, own: w.own, ledger: w.ledger}, pairs: &w.pairs}
	func() {
		defer func() { j.panic = recover() }()
		j.err = j.fn(t)
	}()
	if w.tight && j.err == nil && j.panic == nil {
		j.err = w.fits(t)
	}
	failed := j.err != nil || j.panic != nil
	if w.c.autocommit() {
		// SQLite gave the whole transaction up, as it may when the disk is full.
		if j.err == nil {
			return false, fmt.Errorf("%w: the transaction was given up", kinto.ErrUnavailable)
		}
		return false, j.err
	}
	if failed {
		w.ledger.rollback()
		if !savepoint && w.c.written() != before {
			return false, errHalf
		}
	}
	w.own = w.own || t.own
	if !savepoint {
		return t.swept && !failed, nil
	}
	if failed {
		if err := w.c.do("rollback_to").run(); err != nil {
			return false, err
		}
	}
	return t.swept, w.c.do("release").run()
}

// close waits until everything queued is done.
func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.poke()
	<-w.ended
}
