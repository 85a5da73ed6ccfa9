//go:build !windows

package postgres

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
	"github.com/foyer-server/foyer/server/storage/storagetest"
)

// moved makes a database of the schema before timestamps had a bound, with lists that
// somebody moved beyond it, and returns a connection to it.
func moved(t *testing.T, dsn string, now int64) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) }) // the server ends with the test
	statements := []string{"CREATE TABLE schema_version (n INTEGER NOT NULL)", "INSERT INTO schema_version VALUES (3)"}
	for _, name := range []string{"sql/0001_foyer.sql", "sql/0002_certificates.sql", "sql/0003_births.sql"} {
		text, err := migrations.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		statements = append(statements, string(text))
	}
	statements = append(statements, "ALTER TABLE lists ALTER attached SET DEFAULT 0, ALTER pk RESTART WITH 100") // SQLite sees to both itself
	for _, statement := range append(statements, storagetest.Moved(now)...) {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%v: %.200s", err, statement)
		}
	}
	return conn
}

func TestMovedListsAreHealed(t *testing.T) {
	dsn, now := pgtest.Start(t).DSN(t), time.Now().UnixMilli()
	moved(t, dsn, now)
	storagetest.CheckHealed(t, open(t, dsn), now)
}

// TestHealingWaitsForWriters: a node that runs still, of the version before, has read
// where a list stands and is about to write it back; two nodes that start meanwhile wait
// for it, and heal what it wrote, once.
func TestHealingWaitsForWriters(t *testing.T) {
	dsn, now := pgtest.Start(t).DSN(t), time.Now().UnixMilli()
	ctx := t.Context()
	old := moved(t, dsn, now)
	tx, err := old.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, statement("lock_shared"), lockStructure); err != nil {
		t.Fatal(err)
	}
	var stands int64
	if err := tx.QueryRow(ctx, "SELECT ts FROM lists WHERE pk = 4").Scan(&stands); err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 2)
	stores := make(chan *DB, 2)
	for range 2 {
		go func() {
			db, err := Open(ctx, dsn, slog.New(slog.DiscardHandler))
			stores <- db
			opened <- err
		}()
	}
	// Both wait: one for the writer, one for the other.
	looks, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer looks.Close(ctx) //nolint:errcheck // the server ends with the test
	// A hundred times what it takes.
	for deadline := time.Now().Add(2 * time.Minute); ; {
		var waiting int
		if err := looks.QueryRow(ctx, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		if waiting == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d wait", waiting)
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, statement := range []string{
		fmt.Sprintf("UPDATE lists SET ts = %d, live = live + 1 WHERE pk = 4", stands+2),
		fmt.Sprintf("INSERT INTO objects (list, id, ts, deleted, data, permissions) VALUES (4, 'w', %d, false, '{}', '')", stands+2),
	} {
		if _, err := tx.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		db, err := <-stores, <-opened
		if err != nil {
			t.Fatal(err)
		}
		err = db.Read(ctx, func(tx kinto.Reader) error {
			l := kinto.List{Parent: "/buckets/b/collections/c", Kind: kinto.Record}
			ts, _, err := tx.Timestamp(l)
			if err != nil {
				return err
			}
			o, err := tx.Get(l, "w")
			if err != nil {
				return err
			}
			if ts > kinto.MaxTimestamp || o == nil || o.Timestamp != ts {
				t.Errorf("the list is at %d, what was written last at %v", ts, o)
			}
			if former, err := tx.Former(l); former != stands+3 {
				t.Errorf("formerly %d, want %d (%v)", former, stands+3, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
