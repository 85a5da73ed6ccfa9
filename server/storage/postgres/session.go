package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// What is said to the server at one time and counts at another (settings, prepared
// statements, LISTEN) needs a session: a server connection that is ours until we
// close it. A connection pooler such as PgBouncer, in transaction mode, has none to
// give: whatever server connection is free does the next transaction. Such a
// connection is shared. On it
//
//   - statements are not prepared by name: what the driver knows of a statement is kept
//     on our side, and the text is sent along each time;
//   - our settings are made in each transaction, for that transaction, and every
//     statement is in one;
//   - nobody listens (watch.go).
//
// Locks are those of transactions everywhere (lock.go), and certificates are locked by
// rows, so that none of it can be taken on one server connection and given back on
// another.
//
// Every new connection finds out for itself what it is (peer.go): a pooler may be put
// in between, or taken away, while Foyer runs.

// shared is set on a connection that has no session.
const shared = "shared"

func isShared(conn *pgx.Conn) bool { return conn.PgConn().CustomData()[shared] != nil }

// errShared: a connection is shared, and the driver was told that it is not.
var errShared = errors.New("the database is behind a connection pooler")

// dialer makes connections, and begins what is done on them. It is safe for concurrent use.
type dialer struct {
	config     *pgx.ConnConfig
	params     map[string]string // settings in the address
	unprepared bool              // the address says that statements are not to be prepared
	pooled     atomic.Bool       // the connection made last is shared
	mixed      atomic.Bool       // all of them are taken for that
}

// newDialer is a dialer for an address. It changes c.
func newDialer(c *pgx.ConnConfig) *dialer {
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = dialing
	}
	unprepared := c.DefaultQueryExecMode != pgx.QueryExecModeCacheStatement || c.StatementCacheCapacity < 1
	c.DescriptionCacheCapacity = max(c.DescriptionCacheCapacity, 512) // for all our statements
	c.OnNotice = func(conn *pgconn.PgConn, n *pgconn.Notice) {
		if n.SeverityUnlocalized == "WARNING" {
			conn.CustomData()[warned] = true
		}
	}
	return &dialer{config: c, params: takeParams(&c.Config), unprepared: unprepared}
}

// configure sets up what a new connection is made with.
func (d *dialer) configure(c *pgx.ConnConfig) {
	c.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	if d.unprepared || d.pooled.Load() || d.mixed.Load() {
		c.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	prepares := c.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement
	c.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error { return d.meet(ctx, conn, prepares) }
}

// connect makes a connection that is not of the pool.
func (d *dialer) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*dialing)
	defer cancel()
	for again := true; ; again = false {
		c := d.config.Copy()
		d.configure(c)
		conn, err := pgx.ConnectConfig(ctx, c)
		switch {
		case again && errors.Is(err, errShared):
			continue
		case err != nil:
			return nil, fail(err)
		}
		if err := d.settle(ctx, conn); err != nil {
			return nil, errors.Join(fail(err), conn.Close(ctx))
		}
		return conn, nil
	}
}

// acquire takes a connection of the pool.
func (db *DB) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	conn, err := db.pool.Acquire(ctx)
	if errors.Is(err, errShared) {
		conn, err = db.pool.Acquire(ctx)
	}
	return conn, err
}

// settle sets a new session up.
func (d *dialer) settle(ctx context.Context, conn *pgx.Conn) error {
	if isShared(conn) {
		return nil
	}
	_, err := conn.Exec(ctx, d.settings(false))
	return d.option(err)
}

// option is err as it is to be understood when settings were made: those of the address
// may be none.
func (d *dialer) option(err error) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || len(d.params) == 0 {
		return err
	}
	switch pg.Code {
	case "42704", "22023", "55P02", "42602": // undefined_object, invalid_parameter_value, cant_change_runtime_param, invalid_name
		return misset(pg.Message)
	}
	return err
}

// settings makes our settings, of the session or of the transaction: those of the
// address, then our own. Every statement of ours is to use an index, and a plan made
// while a table was empty is not to be kept. A node that vanishes is to lose its locks
// soon.
func (d *dialer) settings(local bool) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(d.params)) {
		fmt.Fprintf(&b, "SELECT set_config(%s, %s, %t); ", quote(name), quote(d.params[name]), local)
	}
	b.WriteString("SELECT ")
	for _, s := range [][2]string{
		{"enable_seqscan", "off"},
		{"jit", "off"},
		{"plan_cache_mode", "force_generic_plan"},
		{"lock_timeout", "0"},
		{"statement_timeout", "0"},
		{"idle_in_transaction_session_timeout", "60s"},
		{"timezone", "UTC"},
		{"tcp_keepalives_idle", "10"},
		{"tcp_keepalives_interval", "5"},
		{"tcp_keepalives_count", "3"},
	} {
		if local && strings.HasPrefix(s[0], "t") {
			continue // the connection is the pooler's, and poolers follow the time zone
		}
		fmt.Fprintf(&b, "set_config('%s', '%s', %t), ", s[0], s[1], local)
	}
	fmt.Fprintf(&b, "CASE WHEN current_setting('synchronous_commit') IN ('off', 'local', 'remote_write') THEN set_config('synchronous_commit', 'on', %t) END", local)
	return b.String()
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// beginning is what begins a transaction: the statement of that name, with our settings
// where they have to be made. It asks for one that writes even to read: a pooler may
// know standbys too, and that is how they refuse.
func (d *dialer) beginning(conn *pgx.Conn, name string) string {
	switch {
	case !isShared(conn):
		return statement(name)
	case name == "begin_read":
		return "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE; " + d.settings(true) + "; SET TRANSACTION READ ONLY"
	}
	return statement(name) + "; " + d.settings(true)
}

// start begins a transaction: in the batch b, or on a shared connection at once, as what
// the batch needs to know of its statements is asked for before it is sent.
func (d *dialer) start(ctx context.Context, conn *pgx.Conn, b *pgx.Batch, name string) (queued bool, err error) {
	if isShared(conn) {
		_, err := conn.Exec(ctx, d.beginning(conn, name))
		return false, err
	}
	b.Queue(statement(name))
	return true, nil
}

// querier runs statements.
type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// transact runs fn in a transaction.
func (d *dialer) transact(ctx context.Context, conn *pgx.Conn, fn func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{BeginQuery: d.beginning(conn, "begin")}, fn)
}

// on runs fn, which is one statement, on conn.
func (d *dialer) on(ctx context.Context, conn *pgx.Conn, fn func(querier) error) error {
	if isShared(conn) {
		return d.transact(ctx, conn, func(tx pgx.Tx) error { return fn(tx) })
	}
	return fn(conn)
}

// run runs fn, which is one statement, on a connection of the pool.
func (db *DB) run(ctx context.Context, fn func(querier) error) error {
	conn, err := db.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return db.dialer.on(ctx, conn.Conn(), fn)
}

// exec runs a statement that answers nothing.
func (db *DB) exec(ctx context.Context, name string, args ...any) (tag pgconn.CommandTag, err error) {
	err = db.run(ctx, func(q querier) (err error) {
		tag, err = q.Exec(ctx, statement(name), args...)
		return err
	})
	return tag, err
}

// takeParams takes the settings out of the address, to be made by us: poolers take few
// of them at the start of a connection, and forget the rest. It leaves what can be set
// then alone.
func takeParams(c *pgconn.Config) map[string]string {
	taken := map[string]string{}
	switches, rest := options(c.RuntimeParams["options"])
	delete(c.RuntimeParams, "options")
	for name, value := range c.RuntimeParams {
		if name != "application_name" {
			taken[name] = value
			delete(c.RuntimeParams, name)
		}
	}
	maps.Copy(taken, switches)
	if rest != "" {
		c.RuntimeParams["options"] = rest
	}
	delete(taken, "client_encoding")
	c.RuntimeParams["client_encoding"] = "UTF8" // the driver knows no other
	return taken
}

// options are the settings in the command-line options of a server process, and the
// options that are something else. Words are parted by spaces that no backslash precedes.
func options(text string) (settings map[string]string, rest string) {
	settings = map[string]string{}
	var words, others []string
	var word strings.Builder
	some, escaped := false, false
	for _, r := range text + " " {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\':
			some, escaped = true, true
		case strings.ContainsRune(" \t\n\r\v\f", r):
			if some {
				words = append(words, word.String())
			}
			word.Reset()
			some = false
		default:
			some = true
			word.WriteRune(r)
		}
	}
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case w == "-c" && i+1 < len(words):
			i++
			w = words[i]
		case strings.HasPrefix(w, "-c"):
			w = w[2:]
		case strings.HasPrefix(w, "--"):
			w = w[2:]
		default:
			others = append(others, escape(w))
			continue
		}
		if name, value, ok := strings.Cut(w, "="); ok {
			settings[strings.ReplaceAll(name, "-", "_")] = value
		} else {
			others = append(others, "-c "+escape(w))
		}
	}
	return settings, strings.Join(others, " ")
}

// escape writes a word as options reads it.
func escape(word string) string {
	return strings.NewReplacer(`\`, `\\`, " ", `\ `).Replace(word)
}
