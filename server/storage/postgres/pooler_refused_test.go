//go:build !windows

package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
)

// TestWhatAPoolerRefusesIsExplained: PgBouncer says all of it under one code.
func TestWhatAPoolerRefusesIsExplained(t *testing.T) {
	t.Attr("shows", "mend3")
	c := pgtest.Start(t)
	p := c.Pooler(t, "query_wait_timeout=2")
	dsn := p.Through(c.DSN(t))
	for name, r := range map[string]struct{ dsn, code, words string }{
		"password": {strings.Replace(dsn, "secret", "hunter2", 1), "database-denied", "does not let Foyer in"},
		"user":     {strings.Replace(dsn, "user=foyer", "user=nobody", 1), "database-denied", "does not let Foyer in"},
		"name":     {p.Address() + " dbname=missing", "database-denied", "is not there"},
		"console":  {p.Address() + " dbname=pgbouncer", "database-unsuitable", "console of PgBouncer"},
		"setting":  {dsn + " wrk_mem=1", "database-unsuitable", "refuses an option"},
		"option":   {dsn + " options=-B5", "database-unsuitable", "refuses an option"},
	} {
		t.Run(name, func(t *testing.T) { refuses(t, r.dsn, r.code, r.words) })
	}
	p.Set(t, "pool_mode=statement")
	t.Run("statement mode", func(t *testing.T) {
		refuses(t, dsn, "database-unsuitable", "statement mode")
	})
	p.Set(t, "query_wait_timeout=2", "max_client_conn=1")
	t.Run("no more connections", func(t *testing.T) {
		plain(t, dsn)
		refuses(t, dsn, "database-busy", "no connection left")
	})
	p.Set(t, "query_wait_timeout=2")
	c.Stop(t)
	t.Run("no server", func(t *testing.T) {
		refuses(t, dsn, "database-busy", "no server connection")
	})
	p.Command(t, "PAUSE")
	t.Run("paused", func(t *testing.T) {
		refuses(t, dsn, "database-busy", "no server connection")
	})
}

// TestTroubleNamesWhatDoesNotPass: a node that runs says why nothing is kept any more,
// until it is again.
func TestTroubleNamesWhatDoesNotPass(t *testing.T) {
	t.Attr("shows", "mend3")
	c := pgtest.Start(t)
	p := c.Pooler(t)
	db := open(t, p.Through(c.DSN(t)))
	if _, err := write(db, records("c"), kinto.Object{ID: "r"}); err != nil || db.Trouble() != nil {
		t.Fatal(err, db.Trouble())
	}
	p.Set(t, "pool_mode=statement")
	p.Restart(t)
	if _, err := write(db, records("c"), kinto.Object{ID: "r"}); !errors.Is(err, kinto.ErrUnavailable) || hint.Find(err) != nil {
		t.Errorf("who writes is told %v", err)
	}
	if h := db.Trouble(); h == nil || h.Code != "database-unsuitable" {
		t.Errorf("in statement mode: %v", h)
	}
	if err := db.Health(t.Context()); !errors.Is(err, kinto.ErrUnavailable) {
		t.Errorf("in statement mode: %v", err)
	}
	p.Set(t)
	p.Restart(t)
	if err := db.Health(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := write(db, records("c"), kinto.Object{ID: "r"}); err != nil || db.Trouble() != nil {
		t.Error(err, db.Trouble())
	}
}

// TestAPoolerThatDoesNotAnswerIsTrouble: when nobody answered for a while there is a
// pooler to be named; without one, or at once, there is not.
func TestAPoolerThatDoesNotAnswerIsTrouble(t *testing.T) {
	t.Attr("shows", "mend3")
	c := pgtest.Start(t)
	dsn := c.DSN(t)
	timeout := fmt.Errorf("%w: %w", kinto.ErrUnavailable, context.DeadlineExceeded)
	for name, want := range map[string]string{dsn: "", c.Pooler(t).Through(dsn): "database-busy"} {
		db := open(t, name)
		if err := db.noted(timeout); !errors.Is(err, kinto.ErrUnavailable) || db.Trouble() != nil {
			t.Errorf("at once: %v, %v", err, db.Trouble())
		}
		db.mu.Lock()
		db.since = db.since.Add(-2 * patience)
		db.mu.Unlock()
		got := ""
		if h := db.Trouble(); h != nil {
			got = h.Code
		}
		if got != want {
			t.Errorf("after a while: %q, want %q", got, want)
		}
	}
}
