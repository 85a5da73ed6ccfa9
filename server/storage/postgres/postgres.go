// Package postgres is a kinto.Store on PostgreSQL 13 or newer, for one node or for
// several that share one database: nodes keep nothing that the database does not.
//
// Writes. Each node has a few lanes, one connection each; writes to one list take
// the same lane, and a lane does all that wait in one transaction (lane.go). Before
// anything is read, the transaction takes the advisory locks of the lists it is
// about, in order (lock.go), and keeps them to its end: timestamps are given out
// under the lock, so in each list transactions are committed in the order of their
// timestamps, and whoever asks for what is newer than what it saw misses nothing.
// What decides about others (Kind.Structural, facts, owners) is under one lock that
// every writer shares and writers of such things have alone. What a transaction
// writes is kept in memory (book.go) and sent with the COMMIT, in one round trip.
//
// A commit is durable as far as the server's synchronous_commit says, at least on.
// When the connection breaks while a commit is under way, nobody knows what became
// of it: that is kinto.ErrUnavailable, and it is not tried again.
//
// Reads. Each call has one snapshot on a connection of a pool (view.go). Objects
// above records are cached in memory (cache.go); every snapshot says which
// generation of them it sees, so that what one node takes away is gone on all of
// them at once.
//
// Watching is by NOTIFY, which is a hint and no more: now and then everybody is
// woken (watch.go). What was deleted is swept by one node at a time (sweep.go). Nodes
// share their certificates, too (certificates.go).
//
// Behind a connection pooler in transaction mode there are no sessions, and all works
// without, but for hearing of notices (session.go). Who only speaks PostgreSQL's protocol
// is refused (peer.go); what keeps a database from being used is said in words (explain.go).
//
// The schema is in sql/*.sql, numbered, forward only (schema.go).
package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage/commit"
)

//go:embed queries.sql
var queries string

var statements = parse(queries)

func parse(text string) map[string]string {
	out := map[string]string{}
	for _, part := range strings.Split(text, "-- name: ")[1:] {
		name, sql, _ := strings.Cut(part, "\n")
		if i := strings.Index(sql, "\n--"); i >= 0 {
			sql = sql[:i]
		}
		out[name] = strings.TrimSpace(sql)
	}
	return out
}

// statement is the text of a statement in queries.sql.
func statement(name string) string {
	text, ok := statements[name]
	if !ok {
		panic("postgres: no such statement: " + name)
	}
	return text
}

const (
	lanes = 4
	// patience is how long a lane may commit nothing while writes wait before Health complains.
	patience = 10 * time.Second
	// limit is how long a transaction that writes, or one statement that reads, may
	// take before it is given up: the server may have vanished without a word.
	limit = 30 * time.Second
	// dialing is how long it may take to reach a server.
	dialing = 5 * time.Second
)

// DB is a kinto.Store in a PostgreSQL database. It is safe for concurrent use.
type DB struct {
	dialer   *dialer
	pool     *pgxpool.Pool
	cache    *cache
	watchers *commit.Watchers
	lanes    [lanes]*lane
	seed     maphash.Seed
	done     atomic.Uint64 // reads and commits
	log      *slog.Logger

	changes  *changes        // to be told to other nodes
	dirt     chan struct{}   // one token: there is something to sweep
	running  context.Context // until stop
	stop     context.CancelFunc
	helpers  sync.WaitGroup // goroutines that run until stop
	closings sync.WaitGroup // reads that are being ended
	mu       sync.Mutex
	closed   bool
	damage   *hint.Error // that the server last told of
	damaged  time.Time   // when
	refused  *refusal    // why nothing works, as far as is known; nil: it does
	since    time.Time   // refused
	troubled atomic.Bool // refused is not nil
	asking   bool        // a question is under way
	next     *question   // the one after that
}

var _ kinto.Store = (*DB)(nil)

// Open connects to the database that dsn names, as a URL or as words key=value, and
// brings its schema up to date. With several hosts it is the one that takes writes.
// What a person can do something about is a *hint.Error: a database that a newer Foyer
// wrote (code database-newer), a server that is no PostgreSQL, too old, a standby, or lets
// nobody in (codes database-…). Close it.
func Open(ctx context.Context, dsn string, log *slog.Logger) (db *DB, err error) {
	defer func() {
		if err != nil {
			err = shown(fmt.Errorf("cannot open the database: %w", err))
		}
	}()
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("its address cannot be read: a URL postgres://… or words such as host=… dbname=… are wanted") // the cause would show the password
	}
	if !strings.Contains(dsn, "pool_max_conns") {
		cfg.MaxConns = int32(max(12, 4*runtime.GOMAXPROCS(0)+4)) // more than search and read whole lists at once (package api)
	}
	db = &DB{
		dialer: newDialer(cfg.ConnConfig), cache: newCache(), watchers: commit.NewWatchers(), seed: maphash.MakeSeed(), log: log,
		changes: newChanges(), dirt: make(chan struct{}, 1),
	}
	cfg.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		db.dialer.configure(c)
		return nil
	}
	cfg.AfterConnect = db.dialer.settle
	if db.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, fail(err)
	}
	err = db.prepare(ctx)
	if errors.Is(err, errMixed) {
		db.distrust()
		err = db.prepare(ctx)
	}
	if err != nil {
		db.pool.Close()
		return nil, err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	db.running, db.stop = run, stop
	for i := range db.lanes {
		db.lanes[i] = newLane(db)
		go db.lanes[i].run()
	}
	db.helpers.Go(func() { db.listen(run) })
	db.helpers.Go(func() { db.tell(run) })
	db.helpers.Go(func() { db.sweep(run) })
	return db, nil
}

// warned is set on a connection when the server warns of something.
const warned = "warned"

// prepare looks at the server and migrates the schema.
func (db *DB) prepare(ctx context.Context) error {
	conn, err := db.dialer.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is under way on it
	if err := db.dialer.examine(ctx, conn); err != nil {
		return fail(err)
	}
	fsync, err := first(ctx, conn.PgConn(), "SELECT current_setting('fsync')")
	if err != nil {
		return fail(err)
	}
	if fsync[0] != "on" {
		db.log.Warn("the database server does not flush what it is given to keep: a power cut may cost data", "fsync", fsync[0])
	}
	return fail(db.dialer.option(db.migrate(ctx, conn)))
}

// Read implements kinto.Store. It waits while all connections are in use.
func (db *DB) Read(ctx context.Context, fn func(kinto.Reader) error) error {
	db.mu.Lock()
	closed := db.closed
	db.mu.Unlock()
	if closed {
		return fmt.Errorf("%w: %w", kinto.ErrUnavailable, errClosed)
	}
	wrong, err := db.read(ctx, fn, false)
	if wrong {
		_, err = db.read(ctx, fn, true)
	}
	if err == nil {
		db.done.Add(1)
	}
	return db.noted(err)
}

// read runs fn once. Unless proven is asked for, what the cache says is believed
// until it is proven; wrong: it is not so, and all fn did may be wrong too.
func (db *DB) read(ctx context.Context, fn func(kinto.Reader) error, proven bool) (wrong bool, err error) {
	s := &snapshot{db: db, ctx: ctx, proven: proven}
	defer s.close()
	err = fn(&view{ctx: ctx, src: s, cache: db.cache})
	switch {
	case s.again:
		return true, nil
	case s.believed && s.conn == nil && !s.asked && !s.failed:
		generation, _, e := db.ask(ctx, kinto.List{}, "")
		if e != nil {
			return false, e
		}
		return generation != s.gen, err
	}
	return false, err
}

// Write implements kinto.Store.
func (db *DB) Write(ctx context.Context, about []kinto.List, fn func(kinto.Tx) error) error {
	var first kinto.List
	if len(about) > 0 {
		first = about[0]
	}
	return db.noted(db.lanes[maphash.Comparable(db.seed, first)%lanes].write(ctx, about, fn))
}

// told is how long damage is spoken of that the server told of once: only who looks
// after the server knows when it is mended.
const told = time.Hour

// noted keeps what an error says of more than one request, and returns err.
func (db *DB) noted(err error) error {
	if err == nil && !db.troubled.Load() {
		return nil
	}
	e := hint.Find(err)
	why, ok := errors.AsType[*refusal](err)
	if !ok && errors.Is(err, kinto.ErrUnavailable) && late(err) && db.dialer.pooled.Load() {
		why, ok = errors.AsType[*refusal](mute(err))
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	switch {
	case e != nil && e.Code == "database-damaged":
		if db.damage == nil {
			db.log.Error("the database server says that the database is damaged", "err", e.Err)
		}
		db.damage, db.damaged = e, time.Now()
	case err == nil:
		db.refused = nil
		db.troubled.Store(false)
	case ok:
		if db.refused == nil {
			db.since = time.Now()
		}
		db.refused = why
		db.troubled.Store(true)
	case errors.Is(err, errMixed):
		db.distrust()
	}
	return err
}

// Trouble is that the server said of the database, within the last hour, that it is
// damaged (code database-damaged); or why nothing could be read or written since, and
// that it will not be over by itself, or was not for 10 s; nil: neither. It does not block.
func (db *DB) Trouble() *hint.Error {
	db.mu.Lock()
	defer db.mu.Unlock()
	switch r := db.refused; {
	case db.damage != nil && time.Since(db.damaged) <= told:
		return db.damage
	case r != nil && (!r.passes || time.Since(db.since) > patience):
		return r.why.Because(r.cause)
	}
	return nil
}

// Progress grows with each read and each commit that succeeds. It does not block.
func (db *DB) Progress() uint64 { return db.done.Load() }

// Watch implements kinto.Store.
func (db *DB) Watch(l kinto.List) (changed <-chan struct{}, stop func()) { return db.watchers.Watch(l) }

// Health is nil when a read works, and when writes that wait for more than 10 s see
// others being kept meanwhile.
func (db *DB) Health(ctx context.Context) error {
	for _, l := range db.lanes {
		if wait := l.queue.Stuck(); wait > patience {
			return fmt.Errorf("%w: nothing has been written for %s, and something waits", kinto.ErrUnavailable, wait.Round(time.Second))
		}
	}
	return db.Read(ctx, func(r kinto.Reader) error {
		return r.(*view).src.each("quick", func(row) bool { return true })
	})
}

// Close finishes what is being written and read. Calls after it fail. It is called once.
func (db *DB) Close() error {
	for _, l := range db.lanes {
		l.queue.Close()
	}
	db.stop()
	db.helpers.Wait()
	db.mu.Lock()
	db.closed = true
	db.mu.Unlock()
	db.closings.Wait()
	db.pool.Close()
	return nil
}
