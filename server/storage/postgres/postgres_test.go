//go:build !windows

package postgres

import (
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
	"github.com/foyer-server/foyer/server/storage/storagetest"
)

// open opens a node, which is closed with the test.
func open(t testing.TB, dsn string) *DB {
	t.Helper()
	db, err := Open(t.Context(), dsn, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestStore(t *testing.T) {
	c := pgtest.Start(t)
	storagetest.Run(t, func(t *testing.T) kinto.Store { return open(t, c.DSN(t)) })
}

func TestOlderNamesAndAddresses(t *testing.T) {
	t.Attr("shows", "mend")
	dsn := pgtest.Start(t).DSN(t)
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	statements := []string{"CREATE TABLE schema_version (n INTEGER NOT NULL)", "INSERT INTO schema_version VALUES (2)"}
	for _, name := range []string{"sql/0001_foyer.sql", "sql/0002_certificates.sql"} {
		text, err := migrations.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		statements = append(statements, string(text))
	}
	statements = append(statements, "ALTER TABLE lists ALTER attached SET DEFAULT 0") // SQLite counts that for itself
	statements = append(statements, storagetest.Older...)
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Fatalf("%v: %.200s", err, statement)
		}
	}
	if err := conn.Close(ctx); err != nil {
		t.Fatal(err)
	}
	storagetest.CheckOlder(t, open(t, dsn))
}
