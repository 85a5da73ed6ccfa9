package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/foyer-server/foyer/server/kinto"
)

// What a read finds in the cache it believes at first, and proves before it ends:
// the statement it runs next, if it runs one, brings the generation along; a read
// that was answered by the cache alone asks for it. Those who ask at the same time
// ask once. A read that believed wrongly is run again and believes nothing.

// errStale: the cache was not of the generation the snapshot is.
var errStale = errors.New("the cache is of the past")

// asking is one question for the generation. Whoever joins it does so before it is
// sent, so that the answer is not older than their wish for it.
type asking struct {
	done       chan struct{}
	generation int64
	err        error
}

// fresh returns the generation of a moment after fresh was called.
func (db *DB) fresh(ctx context.Context) (int64, error) {
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		return 0, fmt.Errorf("%w: %w", kinto.ErrUnavailable, errClosed)
	}
	q := db.next
	if q == nil {
		q = &asking{done: make(chan struct{})}
		db.next = q
	}
	if !db.asking {
		db.asking = true
		db.closings.Go(db.ask)
	}
	db.mu.Unlock()
	select {
	case <-q.done:
		return q.generation, q.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// ask asks, one question after the other, until nobody wants to know.
func (db *DB) ask() {
	for {
		db.mu.Lock()
		q := db.next
		db.next = nil
		db.asking = q != nil
		db.mu.Unlock()
		if q == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		s := &snapshot{db: db, ctx: ctx, proven: true}
		q.generation, q.err = s.generation()
		s.close()
		cancel()
		close(q.done)
	}
}
