//go:build !windows

package postgres

import (
	"log/slog"
	"testing"

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
