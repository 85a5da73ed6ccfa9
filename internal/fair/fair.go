// Package fair shares what a machine can do at once among callers: so much runs, some
// wait, callers take turns, and where two or more run at once, one caller leaves a slot to
// the others.
//
// Used where work is slow or holds something scarce: hashing passwords, looking through
// long lists.
package fair

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// ErrFull: too many wait, or too many of this caller's.
var ErrFull = errors.New("too many are waiting")

// Queue is a number of slots, and lines before them, one for each caller. It is safe for
// concurrent use.
type Queue struct {
	most  int // that may wait
	each  int // places of one caller, running or waiting
	share int // slots of one caller

	mu      sync.Mutex
	free    int // slots
	waiting int
	callers map[string]*caller
	turns   []*caller // who is next: those with somebody waiting, each once
}

type caller struct {
	name    string
	places  int
	running int
	line    []chan struct{} // closed when it is its turn
}

// NewQueue returns one in which so many run at once, so many more may wait, and each
// caller holds at most so many places, running or waiting.
func NewQueue(slots, waiting, each int) *Queue {
	return &Queue{most: waiting, each: each, share: max(1, slots-1), free: slots, callers: map[string]*caller{}}
}

// Enter waits for a slot for a caller; those without a name share one turn, and no limit
// of their own. leave gives the slot back, once. Errors are ErrFull, at once, and that of
// the context.
func (q *Queue) Enter(ctx context.Context, name string) (leave func(), err error) {
	q.mu.Lock()
	c := q.callers[name]
	if c == nil {
		c = &caller{name: name}
	}
	runs := q.free > 0 && q.may(c) && len(c.line) == 0
	if name != "" && c.places >= q.each || !runs && q.waiting >= q.most {
		q.mu.Unlock()
		return nil, ErrFull
	}
	q.callers[name] = c
	c.places++
	leave = func() { q.leave(c) }
	if runs {
		q.free--
		c.running++
		q.mu.Unlock()
		return leave, nil
	}
	turn := make(chan struct{})
	q.waiting++
	if c.line = append(c.line, turn); len(c.line) == 1 {
		q.turns = append(q.turns, c)
	}
	q.mu.Unlock()
	select {
	case <-turn:
		return leave, nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(c.line, turn); i >= 0 {
		c.line = slices.Delete(c.line, i, i+1)
		q.waiting--
		if len(c.line) == 0 {
			q.turns = slices.DeleteFunc(q.turns, func(o *caller) bool { return o == c })
		}
		q.gone(c)
	} else {
		q.end(c) // its turn came at the same moment
	}
	return nil, ctx.Err()
}

// may reports whether a caller may have one more of the slots.
func (q *Queue) may(c *caller) bool { return c.name == "" || c.running < q.share }

// Do runs fn in a slot; errors are those of Enter.
func (q *Queue) Do(ctx context.Context, name string, fn func()) error {
	leave, err := q.Enter(ctx, name)
	if err != nil {
		return err
	}
	defer leave()
	fn()
	return nil
}

// Waiting is how many wait now.
func (q *Queue) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting
}

func (q *Queue) leave(c *caller) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.end(c)
}

// end gives a slot of a caller's back, to whose turn it is.
func (q *Queue) end(c *caller) {
	q.free++
	c.running--
	for i := 0; q.free > 0 && i < len(q.turns); {
		next := q.turns[i]
		if !q.may(next) {
			i++
			continue
		}
		turn := next.line[0]
		next.line, q.turns = next.line[1:], slices.Delete(q.turns, i, i+1)
		if len(next.line) > 0 {
			q.turns = append(q.turns, next)
		}
		q.waiting--
		q.free--
		next.running++
		close(turn)
	}
	q.gone(c)
}

// gone gives a place of a caller's back.
func (q *Queue) gone(c *caller) {
	if c.places--; c.places == 0 {
		delete(q.callers, c.name)
	}
}
