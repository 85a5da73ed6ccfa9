//go:build !windows

package postgres

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/jackc/pgx/v5"

	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
	"github.com/foyer-server/foyer/server/storage/storagetest"
)

// TestStoreBehindAPooler: all that a store promises, through a PgBouncer that gives each
// transaction whichever server connection is free.
func TestStoreBehindAPooler(t *testing.T) {
	t.Attr("shows", "mend3")
	c := pgtest.Start(t)
	p := c.Pooler(t)
	storagetest.Run(t, func(t *testing.T) kinto.Store { return open(t, p.Through(c.DSN(t))) })
}

// TestNodesBehindAPooler: several nodes through one PgBouncer that has fewer server
// connections than one of them would like.
func TestNodesBehindAPooler(t *testing.T) {
	t.Attr("shows", "mend3")
	c := pgtest.Start(t)
	p := c.Pooler(t, "default_pool_size=3")
	for name, test := range map[string]func(*testing.T, *pgtest.Cluster, route){
		"NobodyMissesAVersion":      nobodyMissesAVersion,
		"TakenAwayIsGoneEverywhere": takenAwayIsGoneEverywhere,
		"OneOfTwoNodesWins":         oneOfTwoNodesWins,
		"CrossedLists":              crossedLists,
		"BadJobsHarmNobody":         badJobsHarmNobody,
	} {
		t.Run(name, func(t *testing.T) { test(t, c, p.Through) })
	}
	t.Run("OpenTogether", func(t *testing.T) { openTogether(t, p.Through(c.DSN(t))) })
	t.Run("OneCertificateAtATime", func(t *testing.T) {
		dsn := p.Through(c.DSN(t))
		oneAtATime(t, []certmagic.Storage{open(t, dsn).Certificates(), open(t, dsn).Certificates()})
	})
}

// TestAPoolerInSessionMode: there sessions are as without, and nodes hear of each other.
func TestAPoolerInSessionMode(t *testing.T) {
	t.Attr("shows", "mend3")
	c := pgtest.Start(t)
	p := c.Pooler(t, "pool_mode=session", "default_pool_size=60")
	watchHearsOtherNodes(t, c, p.Through)
	takenAwayIsGoneEverywhere(t, c, p.Through)
}

// TestWatchBehindAPooler: who watches is woken every few seconds, and no server connection
// is left listening, which would tell others.
func TestWatchBehindAPooler(t *testing.T) {
	t.Attr("shows", "mend3")
	c := pgtest.Start(t)
	p := c.Pooler(t, "default_pool_size=3", "server_idle_timeout=600")
	direct := c.DSN(t)
	here, there := open(t, direct), open(t, p.Through(direct))
	changed, stop := there.Watch(records("c"))
	defer stop()
	ts, err := write(here, records("c"), kinto.Object{ID: "r"})
	if err != nil {
		t.Fatal(err)
	}
	for seen := int64(0); seen < ts; {
		select {
		case <-changed:
		case <-time.After(2 * time.Minute):
			t.Fatal("nobody was woken")
		}
		err := there.Read(t.Context(), func(tx kinto.Reader) (err error) {
			seen, _, err = tx.Timestamp(records("c"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	conns := make([]*pgx.Conn, 3)
	for i := range conns { // one transaction on each server connection
		conns[i] = plain(t, p.Through(direct))
		if _, err := conns[i].Exec(t.Context(), "BEGIN"); err != nil {
			t.Fatal(err)
		}
		if got := show(t, conns[i], "SELECT count(*)::text FROM pg_listening_channels()"); got != "0" {
			t.Errorf("a server connection of the pool listens to %s channels", got)
		}
	}
}

// plain is a connection that prepares nothing.
func plain(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn+" default_query_exec_mode=simple_protocol")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) }) // the server ends with the test
	return conn
}

func show(t *testing.T, conn *pgx.Conn, sql string) (text string) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), sql).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

// TestSettingsBehindAPooler: a write waits for the disk on every server connection, though
// the server would not by itself; the settings in the address hold (search_path, by name
// and in options); and who shares the server connections has their own settings.
func TestSettingsBehindAPooler(t *testing.T) {
	t.Attr("shows", "mend3")
	c := pgtest.Start(t)
	p := c.Pooler(t, "server_idle_timeout=600")
	dsn := c.DSN(t)
	_, name, _ := strings.Cut(dsn, "dbname=")
	admin := plain(t, dsn)
	for _, sql := range []string{
		"ALTER DATABASE " + name + " SET synchronous_commit = off", "ALTER DATABASE " + name + " SET statement_timeout = '1s'",
		"CREATE SCHEMA ours", `CREATE SCHEMA "their's"`,
	} {
		if _, err := admin.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for schema, option := range map[string]string{`ours`: " search_path=ours", `"their's"`: ` options='-c search_path="their\'s" -c application_name=foyer'`} {
		db := open(t, p.Through(dsn)+option)
		for _, sql := range []string{
			"CREATE TABLE " + schema + ".seen (how text, seqscan text, timeout text)",
			"CREATE FUNCTION " + schema + ".note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO " + schema +
				".seen VALUES (current_setting('synchronous_commit'), current_setting('enable_seqscan'), current_setting('statement_timeout')); RETURN NULL; END $$",
			"CREATE TRIGGER note AFTER INSERT ON " + schema + ".objects FOR EACH ROW EXECUTE FUNCTION " + schema + ".note()",
		} {
			if _, err := admin.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		var wrote []chan error
		for i := range 40 {
			done := make(chan error, 1)
			wrote = append(wrote, done)
			go func() { // is waited for below
				_, err := write(db, records(fmt.Sprint("c", i)), kinto.Object{ID: "r"})
				done <- err
			}()
		}
		for _, done := range wrote {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if got := show(t, admin, "SELECT string_agg(DISTINCT how || ' ' || seqscan || ' ' || timeout, ', ') FROM "+schema+".seen"); got != "on off 0" {
			t.Errorf("in %s writes were done with %q", schema, got)
		}
		if got := show(t, admin, "SELECT count(*)::text FROM "+schema+".objects"); got != "40" {
			t.Errorf("%s objects in %s", got, schema)
		}
	}
	for range 6 { // one transaction on each server connection
		other := plain(t, p.Through(dsn))
		if _, err := other.Exec(t.Context(), "BEGIN"); err != nil {
			t.Fatal(err)
		}
		if got := show(t, other, "SELECT current_setting('enable_seqscan') || ' ' || current_setting('plan_cache_mode') || ' ' || current_setting('search_path')"); got != `on auto "$user", public` {
			t.Errorf("others find %s", got)
		}
	}
}

// TestAPoolerComesInBetween: while a node runs, its host puts PgBouncer in between, pauses
// it, reads its settings anew, restarts it, and takes it away again. Nothing that was
// acknowledged is lost, and the node goes on by itself.
func TestAPoolerComesInBetween(t *testing.T) {
	t.Attr("shows", "mend3")
	c := pgtest.Start(t)
	p := c.Pooler(t)
	direct := c.DSN(t)
	folder := strings.TrimPrefix(strings.Fields(c.Address())[0], "host=")
	link := filepath.Join(t.TempDir(), "way")
	lead := func(to string) {
		next := link + "-next"
		if err := errors.Join(os.Symlink(to, next), os.Rename(next, link)); err != nil {
			t.Fatal(err)
		}
		c.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
	}
	lead(folder)
	db := open(t, strings.Replace(direct, folder, link, 1)+" password=secret")
	all := stream(t, db, func(n *atomic.Int64) {
		reach(t, n, 100)
		lead(p.Folder())
		reach(t, n, 100)
		if !db.dialer.pooled.Load() {
			t.Error("the node speaks to somebody else than the pooler")
		}
		p.Command(t, "PAUSE")
		p.Command(t, "RESUME")
		reach(t, n, 100)
		p.Set(t, "default_pool_size=2")
		p.Command(t, "RECONNECT")
		reach(t, n, 100)
		p.Restart(t)
		reach(t, n, 100)
		c.Restart(t)
		reach(t, n, 100)
		p.Set(t, "pool_mode=session", "default_pool_size=60")
		reach(t, n, 100)
		lead(folder)
		p.Stop(t)
		reach(t, n, 100)
	})
	kept(t, db, all)
	if err := db.Health(t.Context()); err != nil {
		t.Error(err)
	}
	if db.Trouble() != nil {
		t.Error(db.Trouble())
	}
}

// TestAPoolerMovesToAStandby: what a standby knows is nothing to answer with.
func TestAPoolerMovesToAStandby(t *testing.T) {
	t.Attr("shows", "mend3")
	primary := pgtest.Start(t)
	dsn := primary.DSN(t)
	standby := primary.Standby(t)
	p := primary.Pooler(t)
	db := open(t, p.Through(dsn))
	if _, err := write(db, records("c"), kinto.Object{ID: "r"}); err != nil {
		t.Fatal(err)
	}
	read := func() error {
		return db.Read(t.Context(), func(tx kinto.Reader) error {
			_, err := tx.Get(records("c"), "r")
			return err
		})
	}
	if err := read(); err != nil {
		t.Fatal(err)
	}
	p.To(t, standby)
	p.Command(t, "RECONNECT")
	for deadline := time.Now().Add(2 * time.Minute); read() == nil; { // server connections are closed when they are free
		if time.Now().After(deadline) {
			t.Fatal("a standby is asked")
		}
	}
	for range 20 {
		if err := read(); !errors.Is(err, kinto.ErrUnavailable) {
			t.Errorf("a read: %v", err)
		}
		if _, err := write(db, records("c"), kinto.Object{ID: "s"}); !errors.Is(err, kinto.ErrUnavailable) {
			t.Errorf("a write: %v", err)
		}
	}
	p.To(t, primary)
	p.Command(t, "RECONNECT")
	for deadline := time.Now().Add(2 * time.Minute); ; {
		_, err := write(db, records("c"), kinto.Object{ID: "s"})
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the primary is back, and writes are refused: %v", err)
		}
	}
}
