package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/foyer-server/foyer/server/kinto"
)

// What a read finds in the cache it believes at first, and proves before it ends:
// the statement it runs next, if it runs one, brings the generation along; a read
// that was answered by the cache alone asks for it. A read that believed wrongly is
// run again and believes nothing.
//
// Most reads are of that kind, or fetch one object more. They share their
// questions, as writes share their commits: who asks while a question is under way
// is part of the next, one statement, which is a snapshot for all of them. A read
// that turns out to want more is run again, in a snapshot of its own.

// errTorn: what was read so far is not of one snapshot.
var errTorn = errors.New("this read needs a snapshot of its own")

// question is asked for all who came before it was sent, so that the answer is not
// older than their wish for it.
type question struct {
	parents, kinds, ids []string // of the objects that are wanted

	done       chan struct{} // closed when there is an answer
	generation int64
	found      []*kinto.Object // by the order of ids; nil: not there
	err        error
}

// ask returns the generation of a moment after ask was called and, if id is not
// empty, the object or tombstone of that moment.
func (db *DB) ask(ctx context.Context, l kinto.List, id string) (int64, *kinto.Object, error) {
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		return 0, nil, fmt.Errorf("%w: %w", kinto.ErrUnavailable, errClosed)
	}
	q := db.next
	if q == nil {
		q = &question{done: make(chan struct{})}
		db.next = q
	}
	at := len(q.ids)
	if id != "" {
		q.parents, q.kinds, q.ids = append(q.parents, l.Parent), append(q.kinds, string(l.Kind)), append(q.ids, id)
	}
	if !db.asking {
		db.asking = true
		db.closings.Go(db.answer)
	}
	db.mu.Unlock()
	select {
	case <-q.done:
	case <-ctx.Done():
		return 0, nil, ctx.Err()
	}
	if q.err != nil || id == "" {
		return q.generation, nil, q.err
	}
	return q.generation, q.found[at], nil
}

// answer answers one question after the other, until nobody wants to know.
func (db *DB) answer() {
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
		q.err = fail(db.put(ctx, q))
		cancel()
		close(q.done)
	}
}

// put puts a question to the database. A connection that turns out to be dead says
// that others are, too: once, it is tried on a new one.
func (db *DB) put(ctx context.Context, q *question) error {
	for again := true; ; again = false {
		conn, err := db.acquire(ctx)
		if err != nil {
			return err
		}
		err = db.dialer.on(ctx, conn.Conn(), func(c querier) error { return q.put(ctx, c) })
		dead := conn.Conn().IsClosed()
		conn.Release()
		if err == nil || !again || !dead || ctx.Err() != nil {
			return err
		}
		db.pool.Reset()
	}
}

func (q *question) put(ctx context.Context, conn querier) error {
	if len(q.ids) == 0 {
		return conn.QueryRow(ctx, statement("generation")).Scan(&q.generation)
	}
	q.found = make([]*kinto.Object, len(q.ids))
	rows, err := conn.Query(ctx, statement("ask"), q.parents, q.kinds, q.ids)
	if err != nil {
		return err
	}
	return drain(rows, func(r row) bool {
		q.generation = r.int(0)
		if at := r.int(1) - 1; r[2] != nil {
			q.found[at] = object(q.ids[at], r[2:])
		}
		return true
	})
}
