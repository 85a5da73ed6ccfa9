package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Who is at the other end of a connection, and whether we can live there.

// oldest is the oldest PostgreSQL that is used: 13.0, as server_version_num has it.
const oldest = 130000

// whoQuery asks what meet wants to know, in words that all who speak PostgreSQL's
// protocol are likely to know.
const whoQuery = "SELECT version(), pg_backend_pid(), current_setting('server_version_num'), current_setting('server_encoding'), " +
	"pg_is_in_recovery(), current_setting('transaction_read_only')"

// meet looks at who answers on a new connection: a PostgreSQL that is new enough and
// takes writes, or an error. It marks the connection as shared when there is somebody in
// between, which is errShared when the driver prepares statements on it.
func (d *dialer) meet(ctx context.Context, conn *pgconn.PgConn, prepares bool) error {
	switch {
	case conn.ParameterStatus("crdb_version") != "":
		return foreign("CockroachDB", conn.ParameterStatus("crdb_version"))
	case strings.HasSuffix(conn.ParameterStatus("server_version"), "/bouncer"):
		return console()
	}
	row, err := first(ctx, conn, whoQuery)
	if err != nil {
		return strange(ctx, conn, err)
	}
	if len(row) != 6 {
		return foreign("", fmt.Sprintf("%d columns where six were asked for", len(row)))
	}
	version, encoding := row[0], row[3]
	number, err := strconv.Atoi(row[2])
	switch {
	case named(version) != "":
		return foreign(named(version), version)
	case err != nil:
		return foreign("", version)
	case number < oldest:
		return tooOld(version)
	case encoding != "UTF8":
		return encoded(encoding)
	case row[4] == "t":
		return standby(errors.New("it is a standby: pg_is_in_recovery()"))
	case row[5] == "on":
		return forbidden()
	}
	// A pooler gives out numbers of its own, by which to cancel.
	between := row[1] != strconv.FormatUint(uint64(conn.PID()), 10)
	d.pooled.Store(between)
	if between || d.mixed.Load() {
		if prepares {
			return errShared
		}
		conn.CustomData()[shared] = true
	}
	return nil
}

// first is the first row that a statement answers.
func first(ctx context.Context, conn *pgconn.PgConn, sql string) (row []string, err error) {
	results, err := conn.Exec(ctx, sql).ReadAll()
	switch {
	case err != nil:
		return nil, err
	case len(results) == 0 || len(results[0].Rows) == 0 || len(results[0].Rows[0]) == 0:
		return nil, errors.New("the server answers nothing")
	}
	for _, value := range results[0].Rows[0] {
		row = append(row, string(value))
	}
	return row, nil
}

// strange is what to say of a server that did not answer whoQuery.
func strange(ctx context.Context, conn *pgconn.PgConn, err error) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case ctx.Err() != nil, late(err):
		return mute(err)
	case !ok || !incapable(pg):
		return err
	}
	row, e := first(ctx, conn, "SELECT version()")
	if e != nil {
		return foreign("", pg.Message)
	}
	return foreign(named(row[0]), row[0])
}

// incapable: what was asked for is nothing this server knows.
func incapable(pg *pgconn.PgError) bool { return pg.Code == "0A000" || !passing(pg) }

// named is what a server calls itself whose version this is, if it is one that is known
// to be no PostgreSQL.
func named(version string) string {
	for mark, name := range map[string]string{"CockroachDB": "CockroachDB", "-YB-": "YugabyteDB", "Yugabyte": "YugabyteDB"} {
		if strings.Contains(version, mark) {
			return name
		}
	}
	return ""
}

// examine tries whether locks hold, as there are servers that take every lock and keep
// none: one connection against another, or, where connections are shared and who holds
// one while it waits for another may wait for its like, one against the list of locks.
func (d *dialer) examine(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, 3*dialing)
	defer cancel()
	key := lockOf(lockProbe, strconv.FormatInt(rand.Int64(), 36))
	see := func() (string, error) {
		row, err := first(ctx, conn.PgConn(), "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted)")
		return strings.Join(row, ""), err
	}
	if !isShared(conn) {
		other, err := d.connect(ctx)
		if err != nil {
			return err
		}
		defer other.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing of it is wanted
		see = func() (string, error) {
			row, err := first(ctx, other.PgConn(), fmt.Sprintf("SELECT pg_try_advisory_xact_lock(%d)", key))
			return strings.Join(row, ""), err
		}
	}
	_, err := conn.PgConn().Exec(ctx, fmt.Sprintf("BEGIN; SELECT pg_advisory_xact_lock(%d)", key)).ReadAll()
	var held, free string
	if err == nil {
		held, err = see()
	}
	if err == nil {
		_, err = conn.Exec(ctx, statement("rollback"))
	}
	if err == nil {
		free, err = see()
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case ok && incapable(pg):
		return foreign("", pg.Message)
	case err != nil && (ctx.Err() != nil || late(err)):
		return mute(err)
	case err != nil:
		return err
	case held != "f" || free != "t":
		return foreign("", fmt.Sprintf("a lock that somebody had could be had by others: %s; when nobody had it: %s", held, free))
	}
	return nil
}

// owned reports whether the server connection behind conn is its own until it ends: a
// pooler in session mode leaves it that. In transaction mode another connection gets it
// meanwhile, or this one another.
func (d *dialer) owned(ctx context.Context, conn *pgx.Conn) (bool, error) {
	if !isShared(conn) {
		return true, nil
	}
	other, err := d.connect(ctx)
	if err != nil {
		return false, err
	}
	defer other.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing of it is wanted
	ctx, cancel := context.WithTimeout(ctx, dialing)
	defer cancel()
	const pid = "SELECT pg_backend_pid()"
	for range 3 {
		mine, err := first(ctx, conn.PgConn(), pid)
		if err != nil {
			return false, err
		}
		if _, err := other.Exec(ctx, statement("begin")); err != nil {
			return false, err
		}
		theirs, err := first(ctx, other.PgConn(), pid)
		if err != nil || theirs[0] == mine[0] {
			return false, err
		}
		// It is given back first: who holds one and waits for another may wait for its like.
		if _, err := other.Exec(ctx, statement("rollback")); err != nil {
			return false, err
		}
		still, err := first(ctx, conn.PgConn(), pid)
		if err != nil || still[0] != mine[0] {
			return false, err
		}
	}
	return true, nil
}

// errMixed: a statement of ours was there already on the server connection, or was not
// there any more. Somebody is in between whom meet did not see.
var errMixed = errors.New("server connections are shared")

// distrust takes all connections for shared from now on.
func (db *DB) distrust() {
	if db.dialer.mixed.CompareAndSwap(false, true) {
		db.log.Warn("somebody between Foyer and the database shares server connections; Foyer does without sessions from now on")
		db.pool.Reset()
	}
}
