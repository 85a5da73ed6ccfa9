// Package storage keeps what the rules of package kinto decide: objects, list
// timestamps, grants, members of groups, attachments' places, facts of the server.
//
// It hides the database. SQLite is spoken to through a thin layer of ours
// (conn.go). All writes go through one goroutine which gathers what waits into
// one transaction and answers after the commit was flushed to disk (writer.go): an
// answered write survives a power cut, and one that fails takes no other along.
// What lists hold is counted as it changes (ledger.go); who watches is woken after
// the commit (package commit); what is gone is cleared away bit by bit (sweep.go). Reads run
// beside it on their own connections, each call in one snapshot. Objects above
// records are cached in memory (cache.go), so one process at a time may write a
// database. When the disk is full, what takes no room goes on out of a reserve
// (reserve.go). Check and Snapshot look at it as a whole (snapshot.go). While somebody
// follows, each commit has what it changed beside it, in a log (capture.go); all of the
// contents can be written out as lines (dump.go), and made a database again (load.go).
//
// Timestamps are given out inside the transaction and are unique and strictly
// increasing in each list, also when the clock goes back. A timestamp a client
// chose in the past can belong to another object of the list already: that is
// kinto.ErrConflict, as with the reference's production backend (protocol §6).
//
// The schema is in sql/*.sql, numbered, forward only; PRAGMA user_version is the
// number of the last one. The conformance suite for every Store is storagetest.
package storage

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

//go:embed sql/*.sql
var migrations embed.FS

//go:embed queries.sql
var queries string

// patience is how long nothing may be committed while writes wait before Health complains.
const patience = 10 * time.Second

// SQLite is a kinto.Store in one file. It is safe for concurrent use.
type SQLite struct {
	path    string
	cache   *cache
	shelf   *shelf
	writer  *writer
	readers chan *conn // those at rest
	size    int
	probe   chan *conn    // Health's own; taken while it is in use
	done    atomic.Uint64 // reads
	file    os.FileInfo   // as it was opened
	trouble *trouble
	mark    mark
	helpers sync.WaitGroup
	stop    context.CancelFunc // of helpers
	log     *slog.Logger
}

var _ kinto.Store = (*SQLite)(nil)

// readers is how many read at once. Package api lets so many search and read whole lists
// that a few are left for who looks something up.
func readers() int { return 2*max(2, runtime.GOMAXPROCS(0)) + 4 }

// setUp has commits wait for fdatasync rather than fsync, and has locks belong to our
// file handle rather than to the process: some other code that opens and closes the file
// does not drop them. Where a system lacks either, the old way is as safe. It is for the
// whole process and done once, before any file is open.
var setUp = sync.OnceValue(func() error {
	if _, err := sqlite.Fdatasync(true); err != nil && !errors.Is(err, sqlite.ErrFdatasyncUnavailable) {
		return err
	}
	if _, err := sqlite.OFDLocking(true); err != nil && !errors.Is(err, sqlite.ErrOFDLockingUnavailable) && !errors.Is(err, sqlite.ErrOFDLockingTooLate) {
		return err
	}
	return nil
})

// Open opens the database file at path, makes it if it is not there (for its
// owner's eyes only), and brings its schema up to date. A database a newer Foyer
// wrote is a *hint.Error with code database-newer, one that is none any more
// database-damaged; both are left as they are. Close it.
func Open(ctx context.Context, path string, log *slog.Logger) (db *SQLite, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot open database %s: %w", path, explain(err))
		}
	}()
	if err := setUp(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // the -wal and -shm files take its mode
	if err != nil {
		return nil, err
	}
	is, err := f.Stat()
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	sql := statements(queries)
	c, err := openConn(path, sqlite3.SQLITE_OPEN_READWRITE, sql)
	if err != nil {
		return nil, err
	}
	if err := prepareFile(c); err != nil {
		return nil, errors.Join(err, c.close())
	}
	db = &SQLite{path: path, cache: newCache(), shelf: newShelf(), size: readers(), file: is, trouble: newTrouble(log), mark: markOf(path), log: log}
	db.writer = newWriter(c, db.cache, newCapture(path), newReserve(path, log), db.trouble, log)
	c.noted = db.trouble.noteWrite
	db.readers, db.probe = make(chan *conn, db.size), make(chan *conn, 1)
	for i := range db.size + 1 {
		r, err := db.openReader(sql)
		if err != nil {
			return nil, errors.Join(err, closeAll(db.readers, len(db.readers)), c.close())
		}
		if i < db.size {
			db.readers <- r
		} else {
			db.probe <- r
		}
	}
	db.begin()
	go db.writer.run()
	return db, nil
}

// openReader makes a connection that only reads.
func (db *SQLite) openReader(sql map[string]string) (*conn, error) {
	r, err := openConn(db.path, sqlite3.SQLITE_OPEN_READONLY, sql)
	if err != nil {
		return nil, err
	}
	r.noted = db.trouble.note
	if err := r.exec("PRAGMA query_only = ON; PRAGMA cell_size_check = ON; PRAGMA cache_size = -2000; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF"); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// prepareFile sets the writer's connection up and migrates the schema. The log is
// carried over after 16 MB rather than 4: ids lie all over the index, so a longer
// log holds more changes of the same page (a quarter more creations a second).
func prepareFile(c *conn) error {
	if err := c.exec("PRAGMA cell_size_check = ON; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -8000; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA journal_size_limit = 67108864"); err != nil {
		return err
	}
	s, err := c.prepare("PRAGMA journal_mode")
	if err != nil {
		return err
	}
	defer s.finalize()
	if _, err := s.step(); err != nil {
		return err
	}
	if mode := string(s.raw(0)); mode != "wal" {
		return fmt.Errorf("the journal mode is %q, not wal: the folder may be on a network file system", mode)
	}
	s.reset()
	return migrate(c, migrations)
}

// logSince is the schema that a log of changes came with. Migrations after it go past it.
const logSince = 9

// logCut has all who follow it begin anew.
const logCut = "DELETE FROM followers; UPDATE log SET seq = 1 + max(seq, (SELECT coalesce(max(seq), 0) FROM changes)), sum = randomblob(16);"

func migrate(c *conn, migrations fs.FS) error {
	s := c.do("version")
	if _, err := s.step(); err != nil {
		return err
	}
	have := int(s.number(0))
	s.reset()
	names, err := fs.Glob(migrations, "sql/*.sql")
	if err != nil {
		return err
	}
	slices.Sort(names)
	if have > len(names) {
		return hint.New("database-newer",
			hint.T("This database was written by a newer Foyer.", "Cette base de données a été écrite par un Foyer plus récent."),
			hint.T("It was left as it is.", "Elle a été laissée telle quelle."),
			hint.T("Install the newer version again, or restore a backup made by this one.", "Réinstallez la version plus récente, ou restaurez une sauvegarde faite par celle-ci.")).
			Because(fmt.Errorf("schema %d, known up to %d", have, len(names)))
	}
	var script strings.Builder
	for i, name := range names {
		number, _, _ := strings.Cut(strings.TrimPrefix(name, "sql/"), "_")
		if n, err := strconv.Atoi(number); err != nil || n != i+1 {
			panic("storage: migrations are not numbered one after the other: " + name)
		}
		if i < have {
			continue
		}
		text, err := fs.ReadFile(migrations, name)
		if err != nil {
			return err
		}
		cut := ""
		if i >= logSince {
			cut = logCut
		}
		fmt.Fprintf(&script, "%s\n%s\nPRAGMA user_version = %d;\n", text, cut, i+1)
		if have == 0 && i+1 < len(names) {
			continue // what is empty gets all of them at once
		}
		err = c.exec("BEGIN IMMEDIATE;\n" + script.String() + "COMMIT;")
		script.Reset()
		if err != nil {
			if !c.autocommit() {
				err = errors.Join(err, c.exec("ROLLBACK"))
			}
			return fmt.Errorf("cannot bring the schema to %d: %w", i+1, err)
		}
	}
	return nil
}

// Read implements kinto.Store. It waits while all connections are in use.
func (db *SQLite) Read(ctx context.Context, fn func(kinto.Reader) error) (err error) {
	var c *conn
	select {
	case c = <-db.readers:
	default:
		select {
		case c = <-db.readers:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if c == nil {
		return fmt.Errorf("%w: it is closed", kinto.ErrUnavailable)
	}
	v := &view{ctx: ctx, c: c, cache: db.cache, generation: db.cache.now(), shelf: db.shelf}
	defer func() {
		if e := v.close(); err == nil {
			err = e
		}
		if err == nil {
			db.done.Add(1)
		}
		db.readers <- c
	}()
	return fn(v)
}

// Write implements kinto.Store. Once the database is known to be damaged, or gone from
// where it was, nothing is written.
func (db *SQLite) Write(ctx context.Context, _ []kinto.List, fn func(kinto.Tx) error) error {
	if err := db.trouble.sound(); err != nil {
		return err
	}
	return db.writer.write(ctx, fn)
}

// Watch implements kinto.Store.
func (db *SQLite) Watch(l kinto.List) (changed <-chan struct{}, stop func()) {
	return db.writer.watchers.Watch(l)
}

// Health is nil when the file is where it was, a read works, and when writes that wait for more than 10 s see
// others being kept meanwhile. It has a connection of its own, so that it waits for no
// other reader; one call at a time has it.
func (db *SQLite) Health(ctx context.Context) error {
	if wait := db.writer.queue.Stuck(); wait > patience {
		return fmt.Errorf("nothing has been written for %s, and something waits", wait.Round(time.Second))
	}
	var c *conn
	select {
	case c = <-db.probe:
	case <-ctx.Done():
		return ctx.Err()
	}
	if c == nil {
		return fmt.Errorf("%w: it is closed", kinto.ErrUnavailable)
	}
	defer func() { db.probe <- c }()
	// An open file is read and written after it has gone from its folder, for nobody.
	if is, err := os.Stat(db.path); errors.Is(err, fs.ErrNotExist) || err == nil && (is.Size() == 0 || !os.SameFile(is, db.file)) {
		return fmt.Errorf("%w: %w", kinto.ErrUnavailable, db.trouble.away(db.path))
	}
	return c.do("quick").run()
}

// Close finishes what is being written and read, and closes the file. Calls
// after it fail. It is called once.
func (db *SQLite) Close() error {
	db.stop()
	db.helpers.Wait()
	db.writer.queue.Close()
	err := errors.Join(closeAll(db.readers, db.size), closeAll(db.probe, 1))
	close(db.readers)
	close(db.probe)
	if err = errors.Join(err, db.writer.c.close()); err != nil {
		return err
	}
	return db.end()
}

// closeAll closes n connections, each when it is at rest.
func closeAll(conns chan *conn, n int) error {
	var err error
	for range n {
		err = errors.Join(err, (<-conns).close())
	}
	return err
}

// Schema is the number of the schema that this version writes; it reads earlier ones.
func Schema() int {
	names, err := fs.Glob(migrations, "sql/*.sql")
	if err != nil { // the pattern is one
		panic(err)
	}
	return len(names)
}
