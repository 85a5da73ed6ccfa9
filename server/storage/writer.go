package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage/commit"
)

// How long and how many jobs one commit may gather.
const (
	batchJobs = 512
	batchTime = 50 * time.Millisecond
)

// job is one Write that waits for its commit.
type job struct {
	commit.Entry
	ctx context.Context
	fn  func(kinto.Tx) error
}

// writer is the one goroutine that writes. Jobs that wait while it commits share
// the next commit: 64 clients cost hardly more flushes than one.
type writer struct {
	c     *conn
	cache *cache
	log   *slog.Logger
	queue *commit.Queue[*job]

	ledger   *ledger
	capture  *capture
	watchers *commit.Watchers
	pairs    pairs

	reserve *reserve
	tight   bool // there is little room: what grows is refused

	state *trouble
	done  atomic.Uint64 // commits

	own    bool      // the open transaction changed what the cache holds
	dead   bool      // there may be something to sweep
	rested time.Time // when there was last nothing to sweep
}

// tidy is how often the writer looks for what time alone makes ready to be swept.
const tidy = time.Minute

func newWriter(c *conn, cache *cache, capture *capture, reserve *reserve, state *trouble, log *slog.Logger) *writer {
	return &writer{c: c, capture: capture, state: state, cache: cache, log: log, reserve: reserve, tight: !reserve.keep(), queue: commit.NewQueue[*job](batchJobs), ledger: newLedger(), watchers: commit.NewWatchers(), dead: true}
}

// write queues fn and waits for its commit. A ctx that ends before the writer
// comes to it takes it back.
func (w *writer) write(ctx context.Context, fn func(kinto.Tx) error) error {
	err := w.queue.Do(ctx, &job{ctx: ctx, fn: fn})
	if errors.Is(err, commit.ErrClosed) {
		return fmt.Errorf("%w: %w", kinto.ErrUnavailable, err)
	}
	return err
}

// run writes until the writer is closed and nothing waits. What was deleted is
// swept when there is nothing to write, and now and then when there always is.
func (w *writer) run() {
	defer w.queue.Ended()
	clock := time.NewTicker(tidy)
	defer clock.Stop()
	for n := 1; ; n++ {
		jobs, waited, closed := w.queue.Take()
		if waited > 0 {
			w.batch(jobs)
		} else if closed {
			return
		}
		if !w.dead && time.Since(w.rested) >= tidy {
			w.dead = true
		}
		switch {
		case w.dead && (waited == 0 || n%64 == 0) && w.state.sound() == nil:
			w.sweep()
		case waited == 0:
			select {
			case <-w.queue.Wake():
			case <-clock.C:
				w.room()
			}
		}
	}
}

// batch does jobs in as few commits as may be and answers them all.
func (w *writer) batch(live []*job) {
	w.room()
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
			live[0].Err = err
		}
		w.squeeze(live[:n])
		commit.Answer(live[:n])
		live = live[n:]
	}
	w.queue.Rest()
}

// single does one job in a commit of its own.
func (w *writer) single(j *job) {
	if _, err := w.commit([]*job{j}); err != nil {
		j.Err = err
	}
}

// commit runs jobs, the first n of them if they take long, in one transaction.
// An error means that nothing was kept. Few jobs fail after they have written: only
// once one has, all are run again with a savepoint each. Where there is no room but the
// log of changes could do without, it is cut.
func (w *writer) commit(jobs []*job) (n int, err error) {
	for savepoints := false; ; {
		n, err = w.transact(jobs, savepoints)
		switch {
		case errors.Is(err, errHalf) && !savepoints:
			savepoints = true
		case (errors.Is(err, errNoRoom) || w.tight && errors.Is(err, kinto.ErrFull)) && w.capture.on && !w.capture.full:
			w.capture.full = true
		default:
			return n, err
		}
	}
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
	if err := w.capture.open(w.c); err != nil {
		return len(jobs), err
	}
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
	w.ledger.log(w.capture)
	if err := w.capture.write(w.c); err != nil {
		return n, err
	}
	if err := w.state.sound(); err != nil { // what was built on damage is not kept
		return n, err
	}
	if err := w.c.do("commit").run(); err != nil {
		return n, err
	}
	w.done.Add(1)
	w.capture.kept()
	w.state.kept()
	w.queue.Moved()
	if w.own {
		w.cache.forget()
	}
	w.tell()
	w.dead = w.dead || swept || w.capture.stale
	return n, nil
}

// job runs one job, in a savepoint or not. An error is one of the whole
// transaction; the job's own goes to the job.
func (w *writer) job(j *job, savepoint bool) (swept bool, err error) {
	j.Err, j.Panic = nil, nil
	if savepoint {
		if err := w.c.do("savepoint").run(); err != nil {
			return false, err
		}
	}
	w.ledger.begin()
	w.capture.begin()
	before := w.c.written()
	t := &tx{view: view{ctx: j.ctx, c: w.c, cache: w.cache, generation: w.cache.now(), begun: true, own: w.own, ledger: w.ledger}, pairs: &w.pairs, capture: w.capture}
	func() {
		defer func() { j.Panic = recover() }()
		j.Err = j.fn(t)
	}()
	if w.tight && j.Err == nil && j.Panic == nil {
		j.Err = w.fits(t)
	}
	failed := j.Err != nil || j.Panic != nil
	if !failed {
		w.reserve.grown += max(0, t.grown)
	}
	if w.c.autocommit() {
		// SQLite gave the whole transaction up, as it may when the disk is full.
		if j.Err == nil {
			return false, fmt.Errorf("%w: the transaction was given up", kinto.ErrUnavailable)
		}
		return false, j.Err
	}
	if failed {
		w.ledger.rollback()
		w.capture.rollback()
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

// tell wakes those who watch what the transaction changed.
func (w *writer) tell() {
	var lists []kinto.List
	for l, p := range w.ledger.pages {
		if p.moved {
			lists = append(lists, l)
		}
	}
	w.watchers.Changed(lists, w.ledger.purged)
}
