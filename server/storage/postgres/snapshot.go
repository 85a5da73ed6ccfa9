package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/foyer-server/foyer/server/kinto"
)

// source answers statements of one snapshot, or of one transaction that writes.
type source interface {
	// each runs a statement of queries.sql and calls fn for its rows until it
	// returns false.
	each(name string, fn func(row) bool, args ...any) error
	// generation is that of what the cache may hold.
	generation() (int64, error)
	// fetch returns an object or tombstone, nil for neither.
	fetch(l kinto.List, id string) (*kinto.Object, error)
}

// snapshot is the source of one Read. It begins with the first thing asked for, in
// the same round trip; if that is a record, in a question that many share, and
// nothing else can be asked for then.
type snapshot struct {
	db       *DB
	ctx      context.Context
	conn     *pgxpool.Conn
	gen      int64 // of the snapshot, or what is believed to be
	proven   bool  // nothing is to be believed
	believed bool  // gen was not asked for
	asked    bool  // in a question of many
	again    bool  // what was read is not of one snapshot
	failed   bool  // it could not be begun
}

func (s *snapshot) each(name string, fn func(row) bool, args ...any) error {
	switch {
	case s.asked:
		s.again = true
		return errTorn
	case s.conn == nil:
		return s.begin(name, fn, args)
	}
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	rows, err := s.conn.Query(ctx, statement(name), args...)
	if err == nil {
		err = drain(rows, fn)
	}
	return s.fail(err)
}

func (s *snapshot) generation() (int64, error) {
	switch {
	case s.conn != nil || s.believed || s.asked:
	case s.proven:
		if err := s.begin("", nil, nil); err != nil {
			return 0, err
		}
	default:
		s.believed, s.gen = true, s.db.cache.now()
	}
	return s.gen, nil
}

func (s *snapshot) fetch(l kinto.List, id string) (*kinto.Object, error) {
	if s.conn != nil || s.asked || s.proven || l.Kind.Structural() {
		return fetch(s, l, id)
	}
	generation, o, err := s.db.ask(s.ctx, l, id)
	if err != nil {
		s.failed = true
		return nil, err
	}
	s.asked = true
	if s.again = s.believed && generation != s.gen; s.again {
		return nil, errTorn
	}
	s.gen = generation
	return o, nil
}

// begin begins the snapshot and runs its first statement, if any. A connection that
// turns out to be dead says that others are, too: once, it is tried on a new one.
func (s *snapshot) begin(name string, fn func(row) bool, args []any) error {
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	for again := true; ; again = false {
		conn, err := s.db.acquire(ctx)
		if err != nil {
			s.failed = true
			return s.fail(err)
		}
		generation, called, err := s.first(ctx, conn.Conn(), name, fn, args)
		again = again && !called
		if err == nil {
			s.conn = conn
			if s.again = s.believed && generation != s.gen; s.again {
				return errTorn
			}
			s.gen = generation
			return nil
		}
		dead := conn.Conn().IsClosed()
		s.db.end(conn)
		if !again || !dead || ctx.Err() != nil {
			s.failed = true
			return s.fail(err)
		}
		s.db.pool.Reset()
	}
}

// first begins a transaction on conn and runs its first statement; called: fn may have
// been called.
func (s *snapshot) first(ctx context.Context, conn *pgx.Conn, name string, fn func(row) bool, args []any) (generation int64, called bool, err error) {
	b := &pgx.Batch{}
	queued, err := s.db.dialer.start(ctx, conn, b, "begin_read")
	if err != nil {
		return 0, false, err
	}
	b.Queue(statement("generation"))
	if name != "" {
		b.Queue(statement(name), args...)
	}
	br := conn.SendBatch(ctx, b)
	if queued {
		_, err = br.Exec()
	}
	if err == nil {
		err = br.QueryRow().Scan(&generation)
	}
	if err == nil && name != "" {
		var rows pgx.Rows
		if rows, err = br.Query(); err == nil {
			called = true
			err = drain(rows, fn)
		}
	}
	return generation, called, errors.Join(err, br.Close())
}

func (s *snapshot) fail(err error) error {
	if err != nil && s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	return fail(err)
}

func (s *snapshot) close() {
	if s.conn != nil {
		s.db.end(s.conn)
		s.conn = nil
	}
}

// end gives a connection back, at rest, while its last user goes on.
func (db *DB) end(conn *pgxpool.Conn) {
	if conn.Conn().IsClosed() {
		conn.Release()
		return
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		conn.Release() // in a transaction, it is closed by that
		return
	}
	db.closings.Go(func() {
		defer conn.Release()
		ctx, cancel := context.WithTimeout(context.Background(), dialing)
		defer cancel()
		_, _ = conn.Exec(ctx, statement("rollback")) // a connection on which this fails is not kept
	})
}
