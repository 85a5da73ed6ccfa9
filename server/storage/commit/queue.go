// Package commit holds what both stores need around a commit: the line of those who wait
// for the next one (Queue), and those who want to hear what it changed (Watchers).
//
// Used by storage and storage/postgres.
package commit

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Entry is what a job that waits for its commit embeds.
type Entry struct {
	// Err is how the job came out, and Panic what it panicked with, for its caller. Whoever
	// took it sets them, before Answer.
	Err   error
	Panic any

	at    time.Time
	taken atomic.Bool // by who commits, or by a caller who gave up
	done  chan struct{}
}

func (e *Entry) entry() *Entry { return e }

// Queued is a pointer to something that embeds Entry.
type Queued interface{ entry() *Entry }

// ErrClosed: no more jobs are let in.
var ErrClosed = errors.New("it is closed")

// Queue is the line before one who commits. Jobs that wait while he does share the next
// commit. Do may be called by many at once; Take, Rest and Ended by him alone.
type Queue[J Queued] struct {
	atOnce int
	wake   chan struct{} // one token: there is something to do
	ended  chan struct{}

	mu      sync.Mutex
	waiting []J
	working []J // taken from waiting, not yet answered
	closed  bool
	moved   time.Time // when something was last committed
}

// NewQueue is a line from which at most so many jobs are taken together.
func NewQueue[J Queued](atOnce int) *Queue[J] {
	return &Queue[J]{atOnce: atOnce, wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// Do puts a job into the line and waits until it is answered, to return its error; it
// panics with what the job panicked with. A ctx that ends before the job is taken takes it
// back, and Do returns its error. Where the line is closed that is ErrClosed.
func (q *Queue[J]) Do(ctx context.Context, job J) error {
	e := job.entry()
	e.at, e.done = time.Now(), make(chan struct{})
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return ErrClosed
	}
	q.waiting = append(q.waiting, job)
	q.mu.Unlock()
	Poke(q.wake)
	select {
	case <-e.done:
	case <-ctx.Done():
		if e.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		<-e.done
	}
	if e.Panic != nil {
		panic(e.Panic)
	}
	return e.Err
}

// Take takes the jobs that wait, as many as are taken together, but for those whose callers
// gave up. waited is how many it went through, and closed whether no more will come.
func (q *Queue[J]) Take() (jobs []J, waited int, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	waited = min(len(q.waiting), q.atOnce)
	q.working = q.waiting[:waited:waited]
	if q.waiting = q.waiting[waited:]; len(q.waiting) == 0 {
		q.waiting = nil
	}
	for _, j := range q.working {
		if j.entry().taken.CompareAndSwap(false, true) {
			jobs = append(jobs, j)
		}
	}
	return jobs, waited, q.closed
}

// Answer lets the callers of jobs go on.
func Answer[J Queued](jobs []J) {
	for _, j := range jobs {
		close(j.entry().done)
	}
}

// Rest says that all that was taken is answered.
func (q *Queue[J]) Rest() {
	q.mu.Lock()
	q.working = nil
	q.mu.Unlock()
}

// Moved says that something was committed.
func (q *Queue[J]) Moved() {
	q.mu.Lock()
	q.moved = time.Now()
	q.mu.Unlock()
}

// Wake has a token when there is something to do.
func (q *Queue[J]) Wake() <-chan struct{} { return q.wake }

// Stuck is how long nothing has been committed although something waits; 0: nothing
// waits, or it is its turn soon.
func (q *Queue[J]) Stuck() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	var since time.Time
	switch {
	case len(q.working) > 0:
		since = q.working[0].entry().at
	case len(q.waiting) > 0:
		since = q.waiting[0].entry().at
	default:
		return 0
	}
	if since.Before(q.moved) {
		since = q.moved
	}
	return time.Since(since)
}

// Waiting is how many jobs nobody has taken yet.
func (q *Queue[J]) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// Ended says that nobody takes anything any more.
func (q *Queue[J]) Ended() { close(q.ended) }

// Close lets no more in, and waits until what is in the line is done.
func (q *Queue[J]) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	Poke(q.wake)
	<-q.ended
}

// Closed reports whether no more jobs are let in.
func (q *Queue[J]) Closed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// Poke puts a token into a channel for one, unless there is one.
func Poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
