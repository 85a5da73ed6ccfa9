//go:build !windows

package api

import (
	"log/slog"
	"testing"

	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage/postgres"
	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
)

// What holds of timestamps on SQLite (clock_test.go) holds on PostgreSQL.
func TestClocksOnPostgreSQL(t *testing.T) {
	cluster := pgtest.Start(t)
	for _, c := range []struct {
		name     string
		settings map[string]string
		begin    func(*server)
		fn       func(*server)
	}{
		{"taken back", withClocks, fill, takenBack},
		{"may choose", withClocks, fill, mayChoose},
		{"shared", withClocks, nil, sharedClock},
		{"accounts", withAccounts, enrol, accountClocks},
		{"made again", withClocks, nil, madeAgain},
	} {
		t.Run(c.name, func(t *testing.T) {
			db, err := postgres.Open(t.Context(), cluster.DSN(t), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
			s := &server{t, houseOn(t, db, c.settings)}
			if c.begin != nil {
				c.begin(s)
			}
			c.fn(s)
		})
	}
}

func enrol(s *server) {
	for _, name := range []string{"alice", "bob", "admin"} {
		s.must(201, "", "PUT "+accounts+"/"+name, `{"data":{"password":"pass","age":3}}`)
	}
}

// What holds of devices that had seen more (restored_test.go) holds on PostgreSQL.
func TestRestoredOnPostgreSQL(t *testing.T) {
	t.Attr("shows", "backups")
	cluster := pgtest.Start(t)
	for name, fn := range map[string]func(*testing.T, kinto.Store){"had seen more": hadSeenMore, "goes on": goesOn} {
		t.Run(name, func(t *testing.T) {
			db, err := postgres.Open(t.Context(), cluster.DSN(t), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
			fn(t, db)
		})
	}
}
