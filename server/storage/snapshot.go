package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// Check reads the whole database and looks whether all of it fits together; reads
// and writes go on. Damage is a *hint.Error with code database-damaged whose cause
// names the first problems.
func (db *SQLite) Check(ctx context.Context) error { return db.fits(ctx, true) }

// Examine is Check, or the quicker part of it. What it finds is what Trouble tells from then
// on, and what the next start knows.
func (db *SQLite) Examine(ctx context.Context, full bool) error {
	err := db.fits(ctx, full)
	if e := hint.Find(err); e != nil && e.Code == "database-damaged" {
		db.trouble.found(e, false)
		db.remember(e)
	}
	return err
}

// fits looks whether all of the database fits together. full: its indexes are compared with
// its tables, too.
func (db *SQLite) fits(ctx context.Context, full bool) error {
	looks := []string{"check_quickly", "check"} // the first finds most, much sooner
	if !full {
		looks = looks[:1]
	}
	err := db.apart(ctx, func(c *conn) error {
		for _, name := range looks {
			if err := checked(c.do(name)); err != nil {
				return err
			}
		}
		return nil
	})
	return explain(err)
}

// checked runs a statement that answers "ok", or what is damaged.
func checked(s *stmt) error {
	var found []string
	for {
		more, err := s.step()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if said := string(s.raw(0)); said != "ok" {
			found = append(found, said)
		}
	}
	if len(found) > 0 {
		return &damage{strings.Join(found, "; ")}
	}
	return nil
}

// Snapshot writes a copy of the database to path: everything that was answered
// before the call, all of one moment. Reads and writes go on. The copy is a
// database by itself, for its owner's eyes only, and on the disk when Snapshot
// returns; until then path is what it was. One call at a time for each path.
func (db *SQLite) Snapshot(ctx context.Context, path string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot copy the database to %s: %w", path, err)
		}
	}()
	part := path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(part))
		}
	}()
	if err := f.Close(); err != nil {
		return err
	}
	if err := db.apart(ctx, func(c *conn) error { return c.do("vacuum_into").text(1, part).run() }); err != nil {
		return explain(err)
	}
	if err := atomicfile.SyncFile(part); err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(path))
}

// apart runs fn on a connection of its own, which ends with ctx.
func (db *SQLite) apart(ctx context.Context, fn func(*conn) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := openConn(db.path, sqlite3.SQLITE_OPEN_READONLY, db.writer.c.sql)
	if err != nil {
		return err
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-done:
			return
		case <-ctx.Done():
		}
		tls := libc.NewTLS()
		defer tls.Close()
		for {
			sqlite3.Xsqlite3_interrupt(tls, c.db)
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond): // it may not have begun
			}
		}
	})
	err = fn(c)
	close(done)
	wg.Wait()
	if ctx.Err() != nil && err != nil {
		err = ctx.Err()
	}
	return errors.Join(err, c.close())
}

// ErrEmpty: no Foyer has put anything into the file.
var ErrEmpty = errors.New("there is nothing in the database")

// Peek has fn read the database file at path, in one snapshot, without opening it to be
// written: nothing is changed in it, its schema included, and whoever serves it is not held
// up. A file without facts, which no Foyer has begun to use, is ErrEmpty.
func Peek(ctx context.Context, path string, fn func(kinto.Reader) error) error {
	return peek(ctx, path, func(c *conn) (err error) {
		cache := newCache()
		v := &view{ctx: ctx, c: c, cache: cache, generation: cache.now()}
		defer func() { err = errors.Join(err, v.close()) }()
		return fn(v)
	})
}

// peek runs fn on a connection to a file that is only read.
func peek(ctx context.Context, path string, fn func(*conn) error) (err error) {
	if err := errors.Join(setUp(), ctx.Err()); err != nil {
		return err
	}
	c, err := openConn(path, sqlite3.SQLITE_OPEN_READONLY, statements(queries))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	there := c.do("has_meta")
	found, err := there.step()
	if err == nil && !found {
		err = ErrEmpty
	}
	if err != nil {
		return err
	}
	there.reset()
	return fn(c)
}

// Meta returns one fact of the database file at path, as Peek does; empty: it has none.
func Meta(ctx context.Context, path, name string) (value string, err error) {
	err = Peek(ctx, path, func(tx kinto.Reader) error {
		text, err := tx.Meta(name)
		value = string(text)
		return err
	})
	if errors.Is(err, ErrEmpty) {
		err = nil
	}
	return value, err
}
