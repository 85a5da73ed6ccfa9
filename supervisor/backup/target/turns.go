package target

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// hungAfter is how long an operation that nobody waits for any more may take until the disk
// counts as hung.
const hungAfter = 10 * time.Second

// turns lets operations on a disk take turns, and those who wait for one go when their
// context ends: a system call on a disk that hangs cannot be ended. So at most one of them
// is left behind; from hungAfter on everybody else is told at once that
// the disk is hung, until that one has come back.
type turns struct {
	turn chan struct{} // has something in it during an operation

	mu   sync.Mutex
	hung chan struct{} // closed while the disk is hung
	now  *operation    // whose turn it is; nil: nobody's
}

func newTurns() *turns { return &turns{turn: make(chan struct{}, 1), hung: make(chan struct{})} }

// operation is what is done in one turn; of the lock of its turns.
type operation struct {
	began time.Time
	left  bool // nobody waits for it any more
	over  bool
	alarm *time.Timer
}

// take does something in a turn of its own. When ctx ends meanwhile its error is returned, or
// ErrSlow; do goes on, and late, which may be nil, follows it in the same turn. What do works
// on must not be touched by the caller then.
func (t *turns) take(ctx context.Context, do func() error, late func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	hung := t.hung
	t.mu.Unlock()
	select {
	case <-hung:
		return ErrSlow
	default:
	}
	select {
	case t.turn <- struct{}{}:
	case <-hung:
		return ErrSlow
	case <-ctx.Done():
		return ctx.Err()
	}
	o := &operation{began: time.Now()}
	t.mu.Lock()
	t.now = o
	t.mu.Unlock()
	done := make(chan error, 1)
	go func() { // who takes the turn waits for it, or leaves it behind, alone
		err := do()
		tidied := late == nil
		if t.isLeft(o) && !tidied {
			late()
			tidied = true
		}
		if t.finish(o) && !tidied {
			late()
		}
		<-t.turn
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	if !t.leave(o) {
		return <-done
	}
	if time.Since(o.began) >= hungAfter {
		return fmt.Errorf("%w: %w", ErrSlow, ctx.Err())
	}
	return ctx.Err()
}

// leave notes that nobody waits for the operation any more, unless it is over.
func (t *turns) leave(o *operation) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if o.over {
		return false
	}
	o.left = true
	rest := hungAfter - time.Since(o.began)
	if rest <= 0 {
		close(t.hung)
		return true
	}
	o.alarm = time.AfterFunc(rest, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if !o.over {
			close(t.hung)
		}
	})
	return true
}

// silent is how long the operation whose turn it is has taken; 0: there is none.
func (t *turns) silent() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now == nil {
		return 0
	}
	return time.Since(t.now.began)
}

func (t *turns) isLeft(o *operation) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return o.left
}

// finish notes that the operation is over, and tells whether nobody waits for it any more.
func (t *turns) finish(o *operation) (left bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	o.over, t.now = true, nil
	if o.left {
		if o.alarm != nil {
			o.alarm.Stop()
		}
		select {
		case <-t.hung:
			t.hung = make(chan struct{})
		default:
		}
	}
	return o.left
}

// tidy does something in a turn, whether ctx has ended or not: then nobody waits for it. On
// a disk that is hung it is not done.
func (t *turns) tidy(ctx context.Context, do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), hungAfter)
		defer cancel()
		t.take(own, func() error { do(); return nil }, nil) //nolint:errcheck // nothing can be done about a hung disk
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
