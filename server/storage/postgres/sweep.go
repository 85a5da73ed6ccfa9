package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// tidy is how often a node looks for what time alone makes ready to be swept.
	tidy = time.Minute
	// settled is how long ago a purged list's timestamp must be to become one with
	// those of others: no clock goes back so far, or else all lists made again begin
	// after all of these.
	settled = 30 * 24 * time.Hour
)

// sweep removes bit by bit what is gone already, until ctx ends: dead lists and what
// was in them, notes whose time is over, timestamps of lists purged long ago. One
// node at a time does.
func (db *DB) sweep(ctx context.Context) {
	clock := time.NewTicker(tidy)
	defer clock.Stop()
	for {
		for {
			again, err := db.sweepSome(ctx)
			if err != nil && ctx.Err() == nil {
				// Nothing is lost by it but room; it is tried again in a while.
				db.log.Warn("what was deleted could not be cleared away yet", "err", fail(err))
			}
			if !again || err != nil {
				break
			}
		}
		select {
		case <-clock.C:
		case <-db.dirt:
		case <-ctx.Done():
			return
		}
	}
}

func (db *DB) sweepSome(ctx context.Context) (again bool, err error) {
	conn, err := db.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	err = db.dialer.transact(ctx, conn.Conn(), func(tx pgx.Tx) error {
		var mine bool
		if err := tx.QueryRow(ctx, statement("sweep_lock"), lockSweep).Scan(&mine); err != nil || !mine {
			return err
		}
		var pk int64
		err := tx.QueryRow(ctx, statement("dead")).Scan(&pk)
		if err == nil {
			again = true
			return sweepList(ctx, tx, pk)
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		now := time.Now()
		tag, err := tx.Exec(ctx, statement("notes_sweep"), now.UnixMilli())
		if err != nil {
			return err
		}
		var past *int64
		if err := tx.QueryRow(ctx, statement("floors_past"), now.Add(-settled).UnixMilli()).Scan(&past); err != nil {
			return err
		}
		again = tag.RowsAffected() > 0 || past != nil
		if past == nil {
			return nil
		}
		if _, err := tx.Exec(ctx, statement("floors_raise"), *past); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, statement("floors_sweep"), *past)
		return err
	})
	return again, err
}

// sweepList removes a bit of a dead list; at last, the list.
func sweepList(ctx context.Context, tx pgx.Tx, pk int64) error {
	for _, name := range []string{"sweep_objects", "sweep_grants", "sweep_members", "sweep_files"} {
		tag, err := tx.Exec(ctx, statement(name), pk)
		if err != nil || tag.RowsAffected() > 0 {
			return err
		}
	}
	_, err := tx.Exec(ctx, statement("sweep_list"), pk)
	return err
}
