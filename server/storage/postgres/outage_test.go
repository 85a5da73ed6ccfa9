//go:build !windows

package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
)

// stream writes and reads, from many goroutines, while meanwhile runs and until each
// writer was answered again after it. Errors other than kinto.ErrUnavailable are the
// test's. It returns what was acknowledged, by writer.
func stream(t *testing.T, db *DB, meanwhile func(acknowledged *atomic.Int64)) (all [][]version) {
	t.Helper()
	const writers, readers = 8, 4
	var acknowledged, refused atomic.Int64
	var wg sync.WaitGroup
	over := make(chan struct{})
	deadline := time.Now().Add(3 * time.Minute)
	all = make([][]version, writers)
	for g := range writers {
		wg.Go(func() {
			for i, after := 0, 0; after < 20; i++ {
				v := version{list: "c", id: fmt.Sprintf("r%d-%d", g, i)}
				if g%2 == 1 {
					v.list = "d"
				}
				ts, err := write(db, records(v.list), kinto.Object{ID: v.id})
				switch {
				case err == nil:
					v.ts = ts
					all[g] = append(all[g], v)
					acknowledged.Add(1)
				case errors.Is(err, kinto.ErrUnavailable):
					refused.Add(1)
				default:
					t.Errorf("a write: %v", err)
				}
				if time.Now().After(deadline) {
					t.Errorf("writer %d: %d of 20 were acknowledged after it was over, last: %v", g, after, err)
					return
				}
				select {
				case <-over:
					if err == nil {
						after++
					}
				default:
				}
			}
		})
	}
	done := make(chan struct{})
	for range readers {
		wg.Go(func() {
			for well := 0; ; {
				err := db.Read(context.Background(), func(tx kinto.Reader) error {
					_, _, err := tx.Select(records("c"), kinto.Query{Since: -1, Before: -1, Limit: 100})
					return err
				})
				switch {
				case err == nil:
					well++
				case !errors.Is(err, kinto.ErrUnavailable):
					t.Errorf("a read: %v", err)
				default:
					well = 0
				}
				if time.Now().After(deadline) {
					t.Errorf("a reader is not answered, last: %v", err)
					return
				}
				select {
				case <-done:
					if well > 0 {
						return
					}
				default:
				}
			}
		})
	}
	end := sync.OnceFunc(func() {
		close(over)
		close(done)
		wg.Wait()
	})
	defer end() // nobody writes any more, also where meanwhile ends the test
	meanwhile(&acknowledged)
	end()
	t.Logf("%d writes were acknowledged, %d were told to come again", acknowledged.Load(), refused.Load())
	return all
}

// reach waits until so many more writes were acknowledged.
func reach(t *testing.T, n *atomic.Int64, more int64) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for want, deadline := n.Load()+more, time.Now().Add(2*time.Minute); n.Load() < want; <-tick.C {
		if time.Now().After(deadline) {
			t.Error("nothing is acknowledged any more")
			return
		}
	}
}

// kept checks that every acknowledged version is there, and that timestamps went up.
func kept(t *testing.T, db *DB, all [][]version) {
	t.Helper()
	err := db.Read(t.Context(), func(tx kinto.Reader) error {
		for g, mine := range all {
			last := int64(0)
			for _, v := range mine {
				o, err := tx.Get(records(v.list), v.id)
				if err != nil {
					return err
				}
				if o == nil || o.Timestamp != v.ts {
					t.Errorf("%v was acknowledged, and there is %v", v, o)
				}
				if v.ts <= last {
					t.Errorf("writer %d: %d after %d", g, v.ts, last)
				}
				last = v.ts
			}
		}
		for _, list := range []string{"c", "d"} {
			found, _, err := tx.Select(records(list), kinto.Everything())
			if err != nil {
				return err
			}
			n, err := tx.Count(records(list), kinto.Everything())
			if n != len(found) || err != nil {
				t.Errorf("%s counts %d and has %d (%v)", list, n, len(found), err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestRestart: the server goes down and comes back under way, in order and not.
func TestRestart(t *testing.T) {
	c := pgtest.Start(t)
	db := open(t, c.DSN(t))
	all := stream(t, db, func(n *atomic.Int64) {
		reach(t, n, 200)
		c.Restart(t)
		reach(t, n, 200)
		c.Kill(t)
		c.Restart(t)
		reach(t, n, 200)
	})
	kept(t, db, all)
	if err := db.Health(t.Context()); err != nil {
		t.Error(err)
	}
	c.Stop(t)
	if err := db.Health(t.Context()); !errors.Is(err, kinto.ErrUnavailable) {
		t.Errorf("without a server: %v", err)
	}
	if _, err := write(db, records("c"), kinto.Object{ID: "r"}); !errors.Is(err, kinto.ErrUnavailable) {
		t.Errorf("without a server: %v", err)
	}
}

// TestFailOver: the primary is killed, its synchronous standby takes over, and the
// node finds it. Nothing that was acknowledged is lost.
func TestFailOver(t *testing.T) {
	primary := pgtest.Start(t, "synchronous_commit=remote_apply")
	dsn := primary.DSN(t)
	standby := primary.Standby(t)
	db := open(t, pgtest.Both(dsn, primary, standby))
	all := stream(t, db, func(n *atomic.Int64) {
		reach(t, n, 300)
		primary.Kill(t)
		standby.Promote(t)
		reach(t, n, 100)
	})
	kept(t, db, all)
}

// TestNotWithoutTheStandby: a write is not acknowledged while the standby it is to
// wait for is gone, not even when the server is told to stop waiting.
func TestNotWithoutTheStandby(t *testing.T) {
	primary := pgtest.Start(t)
	db := open(t, primary.DSN(t))
	standby := primary.Standby(t)
	if _, err := write(db, records("c"), kinto.Object{ID: "one"}); err != nil {
		t.Fatal(err)
	}
	standby.Kill(t)
	answer := make(chan error, 1)
	go func() { // the answer is waited for
		_, err := write(db, records("c"), kinto.Object{ID: "two"})
		answer <- err
	}()
	waiting := "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-answer:
			if !errors.Is(err, kinto.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
			return
		case <-tick.C:
			primary.Exec(t, waiting)
		}
	}
}

// atLeastOn: a server that would answer before it has written is asked to write.
func atLeastOn(t *testing.T, c *pgtest.Cluster) {
	for setting, want := range map[string]string{"off": "on", "local": "on", "remote_apply": "remote_apply"} {
		dsn := c.DSN(t)
		_, name, _ := strings.Cut(dsn, "dbname=")
		c.Exec(t, "ALTER DATABASE "+name+" SET synchronous_commit = "+setting)
		conn, err := open(t, dsn).dialer.connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got string
		err = conn.QueryRow(t.Context(), "SELECT current_setting('synchronous_commit')").Scan(&got)
		if err := errors.Join(err, conn.Close(t.Context())); err != nil || got != want {
			t.Errorf("with %s it is %s, want %s (%v)", setting, got, want, err)
		}
	}
}

// TestStandbyIsNotOpened: a node that would read yesterday's permissions does not start.
func TestStandbyIsNotOpened(t *testing.T) {
	primary := pgtest.Start(t)
	dsn := primary.DSN(t)
	open(t, dsn)
	standby := primary.Standby(t)
	db, err := Open(t.Context(), standby.Address()+dsn[strings.Index(dsn, " dbname="):], slog.New(slog.DiscardHandler))
	if h := hint.Find(err); h == nil || h.Code != "database-readonly" || !errors.Is(err, kinto.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if db != nil {
		t.Error(db.Close())
	}
}

func TestOpen(t *testing.T) {
	c := pgtest.Start(t)
	t.Run("Together", func(t *testing.T) { openTogether(t, c.DSN(t)) })
	t.Run("NewerSchema", func(t *testing.T) { newerSchema(t, c) })
	t.Run("AtLeastOn", func(t *testing.T) { atLeastOn(t, c) })
}

// openTogether: nodes that start on an empty database at once.
func openTogether(t *testing.T, dsn string) {
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			db, err := Open(context.Background(), dsn, slog.New(slog.DiscardHandler))
			if err == nil {
				_, err = write(db, records("c"), kinto.Object{ID: "r"})
				err = errors.Join(err, db.Close())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// newerSchema: what a newer Foyer wrote is left alone.
func newerSchema(t *testing.T, c *pgtest.Cluster) {
	dsn := c.DSN(t)
	if err := open(t, dsn).Health(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(t.Context(), "UPDATE schema_version SET n = 1000")
	if err := errors.Join(err, conn.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), dsn, slog.New(slog.DiscardHandler))
	if h := hint.Find(err); h == nil || h.Code != "database-newer" {
		t.Errorf("got %v", err)
	}
}

// TestAddressIsNotShown: an address that cannot be read may hold a password.
func TestAddressIsNotShown(t *testing.T) {
	for _, dsn := range []string{"postgres://ann:hunter2@host:port/x", "password=hunter2 port=x", "postgres://ann:hunter2@127.0.0.1:1/x"} {
		_, err := Open(t.Context(), dsn, slog.New(slog.DiscardHandler))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	}
}
