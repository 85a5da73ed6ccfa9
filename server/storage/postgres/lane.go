package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/foyer-server/foyer/server/kinto"
)

// How many jobs one commit may gather and for how long, and how often one is tried
// before it is done alone, or given up.
const (
	groupJobs = 256
	groupTime = 50 * time.Millisecond
	attempts  = 6
)

// job is one Write that waits for its commit.
type job struct {
	ctx   context.Context
	about []kinto.List
	fn    func(kinto.Tx) error
	at    time.Time
	taken atomic.Bool // by the lane, or by a caller who gave up
	done  chan struct{}
	err   error
	panic any // what fn panicked with, for its caller

	locks []int64 // that it turned out to need
	alone bool    // it needs lockStructure alone
	tries int
}

// lane is a goroutine that writes, with a connection of its own. Jobs that wait
// while it commits share the next transaction.
type lane struct {
	db    *DB
	conn  *pgx.Conn     // nil: none yet, or no more
	wake  chan struct{} // one token: there is something to do
	ended chan struct{}

	mu      sync.Mutex
	waiting []*job
	working []*job // taken from waiting, not yet answered
	closed  bool
	moved   time.Time // when something was last committed
}

func newLane(db *DB) *lane {
	return &lane{db: db, wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// write queues fn and waits for its commit. A ctx that ends before the lane comes to
// it takes it back.
func (l *lane) write(ctx context.Context, about []kinto.List, fn func(kinto.Tx) error) error {
	j := &job{ctx: ctx, about: about, fn: fn, at: time.Now(), done: make(chan struct{})}
	for _, list := range about {
		j.alone = j.alone || list.Kind.Structural()
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return fmt.Errorf("%w: %w", kinto.ErrUnavailable, errClosed)
	}
	l.waiting = append(l.waiting, j)
	l.mu.Unlock()
	poke(l.wake)
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

// poke puts a token into a channel for one.
func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// stuck is how long nothing has been committed although something waits; 0: nothing
// waits, or it is its turn soon.
func (l *lane) stuck() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var since time.Time
	switch {
	case len(l.working) > 0:
		since = l.working[0].at
	case len(l.waiting) > 0:
		since = l.waiting[0].at
	default:
		return 0
	}
	if since.Before(l.moved) {
		since = l.moved
	}
	return time.Since(since)
}

// close waits until everything queued is done.
func (l *lane) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	poke(l.wake)
	<-l.ended
}

// run writes until the lane is closed and nothing waits.
func (l *lane) run() {
	defer close(l.ended)
	defer l.hangUp()
	for {
		jobs, closed := l.take()
		switch {
		case len(jobs) > 0:
			l.batch(jobs)
		case closed:
			return
		default:
			<-l.wake
		}
	}
}

// take moves waiting jobs, as many as one commit may hold, to working.
func (l *lane) take() (jobs []*job, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.waiting), groupJobs)
	l.working = l.waiting[:n:n]
	if n == len(l.waiting) {
		l.waiting = nil
	} else {
		l.waiting = l.waiting[n:]
	}
	return l.working, l.closed
}

// batch does jobs in as few transactions as may be and answers them all.
func (l *lane) batch(jobs []*job) {
	live := jobs[:0:0]
	for _, j := range jobs {
		if j.taken.CompareAndSwap(false, true) {
			live = append(live, j)
		}
	}
	for len(live) > 0 {
		n, err := l.transact(live)
		switch {
		case errors.Is(err, errAgain):
			n = 0 // the first job knows what it needs now
		case err != nil && n > 1 && refused(err):
			// The transaction took them all down: each for itself, so that whoever
			// cannot be kept takes nobody along.
			l.db.log.Warn("a group of writes could not be kept; trying each for itself", "writes", n, "err", fail(err))
			for _, j := range live[:n] {
				l.single(j)
			}
		case err != nil && n == 1 && refused(err):
			l.single(live[0])
		case err != nil:
			for _, j := range live[:n] {
				j.err = fail(err)
			}
		}
		if err == nil && n > 0 {
			l.db.done.Add(1)
			l.mu.Lock()
			l.moved = time.Now()
			l.mu.Unlock()
		}
		for _, j := range live[:n] {
			close(j.done)
		}
		live = live[n:]
	}
	l.mu.Lock()
	l.working = nil
	l.mu.Unlock()
}

// single does a job in a transaction of its own, again while others are in its way.
func (l *lane) single(j *job) {
	for {
		j.tries++
		_, err := l.transact([]*job{j})
		switch {
		case err == nil:
			return
		case errors.Is(err, errAgain):
		case collided(err) && j.tries < attempts:
			pause := time.Duration(rand.Int64N(int64(time.Millisecond) << j.tries))
			select {
			case <-time.After(pause):
			case <-j.ctx.Done():
			}
		default:
			j.err = fail(err)
			return
		}
	}
}

// transact does jobs, the first n of them if they take long or one of them is to
// begin the next transaction, in one. An error means that nothing was kept, as far
// as anybody knows. A job's own error goes to the job.
func (l *lane) transact(jobs []*job) (n int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	b, err := l.begin(ctx, jobs)
	if err != nil {
		l.rollback(err)
		return len(jobs), err
	}
	if len(jobs) > 1 {
		if err := b.ask(jobs); err != nil {
			l.rollback(err)
			return len(jobs), err
		}
	}
	start := time.Now()
	for _, j := range jobs {
		if n > 0 && (time.Since(start) > groupTime || j.alone && !b.alone) {
			break
		}
		b.job(j, n == 0)
		switch {
		case b.err != nil && errors.Is(b.err, errAgain) && n > 0:
			b.err = nil // it begins the next transaction
		case b.err != nil:
			n++
			l.rollback(b.err)
			return n, b.err
		default:
			n++
			if n == 1 && b.sent && (j.err != nil || j.panic != nil) {
				// Its writes were sent already: they go, and there are no others.
				l.rollback(nil)
				return n, nil
			}
			continue
		}
		break
	}
	if !b.dirty() {
		l.rollback(nil)
		return n, nil
	}
	if err := b.commit(); err != nil {
		l.rollback(err)
		return n, err
	}
	l.db.committed(b)
	return n, nil
}

// begin begins a transaction with the locks that jobs are known to need. A
// connection that turns out to be dead is made anew, once.
func (l *lane) begin(ctx context.Context, jobs []*job) (*book, error) {
	if l.conn != nil && l.db.dialer.mixed.Load() && !isShared(l.conn) {
		l.hangUp()
	}
	for again := l.conn != nil; ; again = false {
		if l.conn == nil || l.conn.IsClosed() {
			conn, err := l.db.dialer.connect(ctx)
			if err != nil {
				return nil, err
			}
			l.conn = conn
		}
		b, err := newBook(ctx, l.db, l.conn, jobs)
		if err == nil {
			return b, nil
		}
		if !again || refused(err) {
			return nil, err
		}
		l.hangUp()
	}
}

// rollback ends a transaction that went wrong, or of which nothing is to be kept.
func (l *lane) rollback(err error) {
	if l.conn == nil {
		return
	}
	if l.conn.IsClosed() || demoted(err) {
		l.hangUp()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialing)
	defer cancel()
	if _, err := l.conn.Exec(ctx, statement("rollback")); err != nil {
		l.hangUp()
	}
}

func (l *lane) hangUp() {
	if l.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialing)
	defer cancel()
	_ = l.conn.Close(ctx) // nothing is under way that somebody waits for
	l.conn = nil
}

// sortedLocks are the locks that jobs need, in order, and whether they need the
// structure alone, which stands for all others.
func sortedLocks(jobs []*job) (locks []int64, alone bool) {
	for i, j := range jobs {
		if j.alone || j.tries >= attempts/2 {
			// Whoever comes first decides; others that are not like it begin the
			// next transaction.
			if i == 0 {
				return nil, true
			}
			continue
		}
		for _, l := range j.about {
			locks = append(locks, lockOfList(l))
		}
		locks = append(locks, j.locks...)
	}
	return unique(locks), false
}

func unique[T cmp.Ordered](s []T) []T {
	out := map[T]bool{}
	for _, v := range s {
		out[v] = true
	}
	return sorted(out)
}
