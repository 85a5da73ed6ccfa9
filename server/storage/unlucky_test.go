package storage

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// soon waits for what a background task brings; a test fails by it only when it never comes.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// disagree makes an index of a database that leaves out what it should have. No read
// meets that; a check does.
func disagree(t *testing.T, path string) {
	t.Helper()
	c, err := openConn(path, sqlite3.SQLITE_OPEN_READWRITE, statements(queries))
	if err != nil {
		t.Fatal(err)
	}
	err = c.exec(`CREATE INDEX disagrees ON objects (data) WHERE data = '';
		PRAGMA writable_schema = ON;
		UPDATE sqlite_schema SET sql = 'CREATE INDEX disagrees ON objects (data)' WHERE name = 'disagrees'`)
	if err := errors.Join(err, c.close()); err != nil {
		t.Fatal(err)
	}
}

// After an unclean end the whole database is checked while it is in use. What is damaged
// is said, nothing more is written, and the next start knows it before its own check;
// which finds when it is mended.
func TestAnUncleanEndIsFollowedByACheck(t *testing.T) {
	t.Attr("shows", "mend2")
	path := file(t)
	db := open(t, path)
	fill(t, db, 300)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + "-open"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the mark of a database that was closed well: %v", err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	disagree(t, path)
	damaged := func(err error) bool {
		e := hint.Find(err)
		return e != nil && e.Code == "database-damaged" && errors.Is(err, kinto.ErrUnavailable)
	}
	write := func(db *SQLite) error {
		return db.Write(t.Context(), nil, func(tx kinto.Tx) error { return put(tx, records, "new", 10) })
	}
	if err := os.WriteFile(path+"-open", []byte("open\n"), 0o600); err != nil { // as a power cut leaves it
		t.Fatal(err)
	}
	db = open(t, path)
	soon(t, "an index that disagrees is found after an unclean end", func() bool { return damaged(write(db)) })
	if err := db.Read(t.Context(), func(tx kinto.Reader) error { _, err := tx.Get(records, "r1"); return err }); err != nil {
		t.Errorf("what can be read is not: %v", err)
	}
	soon(t, "the mark says so", func() bool {
		text, err := os.ReadFile(path + "-open")
		return err == nil && strings.Contains(string(text), "disagrees")
	})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	db = open(t, path)
	if err := write(db); !damaged(err) {
		t.Errorf("the next start writes to it: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	if err := os.WriteFile(path, whole, 0o600); err != nil { // somebody put a copy back
		t.Fatal(err)
	}
	db = open(t, path)
	soon(t, "what was mended is known to be", func() bool { return write(db) == nil })
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + "-open"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the mark afterwards: %v", err)
	}
}

// A file that goes, or is exchanged, while it is open: what is written to it would be
// written for nobody, so that nothing is; and Health says so.
func TestAFileThatIsGoneIsNotWrittenTo(t *testing.T) {
	t.Attr("shows", "mend2")
	for name, lose := range map[string]func(path string) error{
		"removed": os.Remove,
		"moved":   func(path string) error { return os.Rename(path, path+".elsewhere") },
		"exchanged": func(path string) error {
			return errors.Join(os.Rename(path, path+".elsewhere"), os.WriteFile(path, []byte("x"), 0o600))
		},
		"emptied": func(path string) error { return os.Truncate(path, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			path := file(t)
			db, err := Open(t.Context(), path, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			fill(t, db, 100)
			if err := lose(path); err != nil {
				t.Skip(err) // Windows keeps what is open
			}
			if e := hint.Find(db.Health(t.Context())); e == nil || e.Code != "data-gone" {
				t.Errorf("health says %v", e)
			}
			err = db.Write(t.Context(), nil, func(tx kinto.Tx) error { return put(tx, records, "new", 10) })
			if e := hint.Find(err); e == nil || e.Code != "data-gone" || !errors.Is(err, kinto.ErrUnavailable) {
				t.Errorf("a write: %v", err)
			}
			if err := db.Close(); err != nil {
				t.Log(err)
			}
		})
	}
}

// Health does not stand in the queue of readers: however many read for however long.
func TestHealthWaitsForNoReader(t *testing.T) {
	t.Attr("shows", "mend2")
	db := open(t, file(t))
	fill(t, db, 10)
	held, let := make(chan struct{}, db.size), make(chan struct{})
	var wg sync.WaitGroup
	for range db.size {
		wg.Go(func() {
			err := db.Read(context.Background(), func(tx kinto.Reader) error {
				_, err := tx.Get(records, "r1")
				held <- struct{}{}
				<-let
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	for range db.size {
		<-held
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // before, it never came
	defer cancel()
	if err := db.Health(ctx); err != nil {
		t.Errorf("all connections read, and health says: %v", err)
	}
	close(let)
	wg.Wait()
}

// A long queue of writes that moves is work; one that does not is a fault.
func TestAQueueThatMovesIsNoFault(t *testing.T) {
	t.Attr("shows", "mend2")
	synctest.Test(t, func(t *testing.T) {
		db, err := Open(t.Context(), file(t), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		slow := func(d time.Duration) {
			wg.Go(func() {
				err := db.Write(context.Background(), nil, func(kinto.Tx) error { time.Sleep(d); return nil })
				if err != nil {
					t.Error(err)
				}
			})
		}
		for range 10 {
			slow(4 * time.Second)
		}
		for range 35 {
			time.Sleep(time.Second)
			if err := db.Health(t.Context()); err != nil {
				t.Fatalf("each write takes 4 s, the last waits for 40 s, and health says: %v", err)
			}
		}
		wg.Wait()
		slow(patience + 3*time.Second)
		time.Sleep(patience + time.Second)
		if db.Health(t.Context()) == nil {
			t.Error("nothing moves, and health says nothing")
		}
		wg.Wait()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}
