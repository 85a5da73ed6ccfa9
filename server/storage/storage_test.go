package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage/storagetest"
)

// scribe is the environment variable that makes the test binary the child of the
// crash test: the database it writes to.
const scribe = "FOYER_TEST_SCRIBE"

func TestMain(m *testing.M) {
	if path := os.Getenv(scribe); path != "" {
		db, err := Open(context.Background(), path, slog.New(slog.DiscardHandler))
		if err == nil {
			err = storagetest.Scribe(context.Background(), db, os.Stdout, 64)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func open(t testing.TB, path string) *SQLite {
	t.Helper()
	db, err := Open(t.Context(), path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !db.writer.queue.Closed() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return db
}

func file(t testing.TB) string { return filepath.Join(t.TempDir(), "foyer.db") }

func TestStore(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) kinto.Store { return open(t, file(t)) })
}

// TestAnsweredWritesSurviveKill kills a process in the middle of 64 writers and
// opens what it left, three times over.
func TestAnsweredWritesSurviveKill(t *testing.T) {
	path := file(t)
	for round := range 3 {
		if round > 0 {
			for _, name := range []string{path, path + "-wal", path + "-shm"} {
				if err := os.RemoveAll(name); err != nil {
					t.Fatal(err)
				}
			}
		}
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), scribe+"="+path)
		said := &killer{cmd: cmd, after: 20_000 * (round + 1)}
		cmd.Stdout = said
		var complaints bytes.Buffer
		cmd.Stderr = &complaints
		if err := cmd.Run(); err == nil || complaints.Len() > 0 {
			t.Fatalf("the child ended by itself: %v %s", err, complaints.String())
		}
		db := open(t, path)
		if told := storagetest.Audit(t, db, &said.lines); told < 500 {
			t.Errorf("only %d writes", told)
		}
		if err := db.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killer kills its command once it has said enough.
type killer struct {
	cmd   *exec.Cmd
	after int
	lines bytes.Buffer
}

func (k *killer) Write(p []byte) (int, error) {
	k.lines.Write(p)
	if k.lines.Len() > k.after {
		_ = k.cmd.Process.Kill() // it may be gone already
	}
	return len(p), nil
}

// script runs a statement where the writer would, and compares its answer.
func script(t *testing.T, db *SQLite, sql, want string) {
	t.Helper()
	err := db.Write(t.Context(), nil, func(kinto.Tx) error {
		s, err := db.writer.c.prepare(sql)
		if err != nil {
			return err
		}
		defer s.finalize()
		if _, err := s.step(); err != nil {
			return err
		}
		if got := string(s.raw(0)); got != want {
			t.Errorf("%s: %s", sql, got)
		}
		return nil
	})
	if err != nil {
		t.Errorf("%s: %v", sql, err)
	}
}

func put(tx kinto.Tx, l kinto.List, id string, size int) error {
	ts, err := tx.Tick(l, -1)
	if err != nil {
		return err
	}
	return tx.Put(l, &kinto.Object{ID: id, Timestamp: ts, Data: []byte(`{"x":"` + strings.Repeat("x", size) + `"}`), Permissions: []byte(`{"write":["a","b"]}`)}, nil)
}

var records = kinto.List{Parent: "/buckets/b/collections/c", Kind: kinto.Record}

func TestReopenKeepsEverythingAndItsModeIsPrivate(t *testing.T) {
	path := file(t)
	db := open(t, path)
	if err := db.Write(t.Context(), nil, func(tx kinto.Tx) error { return put(tx, records, "r", 10) }); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" {
		for _, name := range []string{path, path + "-wal", path + "-shm"} {
			fi, err := os.Stat(name)
			if err != nil || fi.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", name, fi.Mode(), err)
			}
		}
	}
	if err := db.Health(t.Context()); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{db.Health(t.Context()), db.Write(t.Context(), nil, nil)} {
		if !errors.Is(err, kinto.ErrUnavailable) {
			t.Errorf("after Close: %v", err)
		}
	}
	db = open(t, path)
	err := db.Read(t.Context(), func(tx kinto.Reader) error {
		o, err := tx.Get(records, "r")
		if o == nil {
			t.Error("the record is gone")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestDatabaseOfANewerFoyerIsLeftAlone(t *testing.T) {
	path := file(t)
	db := open(t, path)
	script(t, db, "PRAGMA user_version = 99", "")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), path, slog.New(slog.DiscardHandler))
	if e := hint.Find(err); e == nil || e.Code != "database-newer" {
		t.Errorf("got %v", err)
	}
}

// TestDiskFull: writes are refused by name, reads and smaller writes go on, and
// nothing of a refused write stays.
func TestDiskFull(t *testing.T) {
	db := open(t, file(t))
	write := func(id string, size int) error {
		return db.Write(t.Context(), nil, func(tx kinto.Tx) error { return put(tx, records, id, size) })
	}
	if err := write("first", 100); err != nil {
		t.Fatal(err)
	}
	// A database that may not grow fails as one on a full disk does.
	script(t, db, "PRAGMA max_page_count = 40", "40")
	errs := make(chan error)
	for i := range 8 {
		go func() { errs <- write(fmt.Sprintf("big%d", i), 1<<20) }()
		go func() { errs <- write(fmt.Sprintf("small%d", i), 10) }()
	}
	full := 0
	for range 16 {
		if err := <-errs; errors.Is(err, kinto.ErrFull) {
			full++
		} else if err != nil {
			t.Errorf("got %v", err)
		}
	}
	if full != 8 {
		t.Errorf("%d writes were refused because the disk is full, want the 8 large ones", full)
	}
	err := db.Read(t.Context(), func(tx kinto.Reader) error {
		all, _, err := tx.Select(records, kinto.Everything())
		if len(all) != 9 {
			t.Errorf("%d records", len(all))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if err := db.Health(t.Context()); err != nil {
		t.Error(err)
	}
	script(t, db, "PRAGMA max_page_count = 100000", "100000")
	if err := write("afterwards", 1<<20); err != nil {
		t.Errorf("after room was made: %v", err)
	}
}

// TestLocked: while somebody else holds the database, writes are refused by name
// and reads go on.
func TestLocked(t *testing.T) {
	path := file(t)
	db := open(t, path)
	fill(t, db, 1)
	run(t, db, "PRAGMA busy_timeout = 50")
	other, err := openConn(path, sqlite3.SQLITE_OPEN_READWRITE, db.writer.c.sql)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.do("begin_immediate").run(); err != nil {
		t.Fatal(err)
	}
	write := func() error {
		return db.Write(t.Context(), nil, func(tx kinto.Tx) error { return put(tx, records, "late", 10) })
	}
	if err := write(); !errors.Is(err, kinto.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	err = db.Read(t.Context(), func(tx kinto.Reader) error {
		o, err := tx.Get(records, "r0")
		late, err2 := tx.Get(records, "late")
		if o == nil || late != nil {
			t.Errorf("read %v and %v", o, late)
		}
		return errors.Join(err, err2)
	})
	if err := errors.Join(err, db.Health(t.Context())); err != nil {
		t.Error(err)
	}
	if err := errors.Join(other.do("rollback").run(), other.close()); err != nil {
		t.Fatal(err)
	}
	if err := write(); err != nil {
		t.Errorf("after it let go: %v", err)
	}
}

// TestSweep: what was purged leaves the file, bit by bit, with its grants, also
// when a restart comes between.
func TestSweep(t *testing.T) {
	path := file(t)
	db := open(t, path)
	err := db.Write(t.Context(), nil, func(tx kinto.Tx) error {
		for i := range 1800 {
			if err := put(tx, records, fmt.Sprintf("r%d", i), 10); err != nil {
				return err
			}
		}
		other := kinto.List{Parent: "/buckets/other/collections/c", Kind: kinto.Record}
		return put(tx, other, "stays", 10)
	})
	if err != nil {
		t.Fatal(err)
	}
	// The purge is the last thing before the restart.
	if err := db.Write(t.Context(), nil, func(tx kinto.Tx) error { return tx.Purge("/buckets/b") }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, path)
	for n := 0; ; n++ {
		if n > 1000 {
			t.Fatal("the sweep does not end")
		}
		left := map[string]int64{}
		err := db.Write(t.Context(), nil, func(tx kinto.Tx) error { // between two steps of the sweep
			for _, table := range []string{"lists", "objects", "grants"} {
				s, err := db.writer.c.prepare("SELECT count(*) FROM " + table)
				if err != nil {
					return err
				}
				if _, err := s.step(); err != nil {
					return err
				}
				left[table] = s.number(0)
				s.finalize()
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if left["lists"] == 1 {
			if left["objects"] != 1 || left["grants"] != 2 {
				t.Errorf("left: %v", left)
			}
			return
		}
	}
}

// replace puts data over what is there.
func replace(db *SQLite, l kinto.List, id, data string) error {
	return db.Write(context.Background(), nil, func(tx kinto.Tx) error {
		old, err := tx.Get(l, id)
		if err != nil {
			return err
		}
		ts, err := tx.Tick(l, -1)
		if err != nil {
			return err
		}
		o := &kinto.Object{ID: id, Timestamp: ts, Data: []byte(data), Deleted: data == ""}
		return tx.Put(l, o, old)
	})
}

// TestSweepOfWhatTimeEnds: notes whose time is over leave the file, and so do
// attachments of purged lists; timestamps of lists purged long ago become one.
func TestSweepOfWhatTimeEnds(t *testing.T) {
	path := file(t)
	db := open(t, path)
	now := time.Now()
	long := now.Add(-2 * settled).UnixMilli()
	err := db.Write(t.Context(), nil, func(tx kinto.Tx) error {
		for i := range 120 {
			if err := tx.SetNote(fmt.Sprintf("over%d", i), []byte("x"), now.Add(-time.Hour)); err != nil {
				return err
			}
		}
		if err := tx.SetNote("stays", []byte("x"), now.Add(time.Hour)); err != nil {
			return err
		}
		for i := range 3 {
			if err := put(tx, records, fmt.Sprintf("r%d", i), 10); err != nil {
				return err
			}
			if err := tx.Attach(records, fmt.Sprintf("r%d", i), &kinto.File{Location: fmt.Sprint(i), Hash: "h", Size: 1}); err != nil {
				return err
			}
		}
		return tx.Purge("/buckets/b")
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, db, fmt.Sprintf("UPDATE floors SET ts = %d", long))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, path) // and it sweeps
	want := map[string]int64{"lists": 0, "objects": 0, "grants": 0, "files": 0, "notes": 1, "floors": 1, "floors WHERE parent = '#'": 1}
	for n := 0; ; n++ {
		left := map[string]int64{}
		for table := range want {
			left[table] = number(t, db, "SELECT count(*) FROM "+table)
		}
		if cmp.Equal(left, want) {
			break
		}
		if n > 1000 {
			t.Fatalf("left: %v", left)
		}
	}
	if got := number(t, db, "SELECT ts FROM floors WHERE parent = '#'"); got != long {
		t.Errorf("the floor of all is %d, not %d", got, long)
	}
	if got := number(t, db, "SELECT length(value) FROM notes"); got != 1 {
		t.Errorf("the note has %d bytes", got)
	}
}

// number asks where the writer would, for one number.
func number(t *testing.T, db *SQLite, sql string) (n int64) {
	t.Helper()
	err := db.Write(t.Context(), nil, func(kinto.Tx) error {
		s, err := db.writer.c.prepare(sql)
		if err != nil {
			return err
		}
		defer s.finalize()
		if _, err := s.step(); err != nil {
			return err
		}
		n = s.number(0)
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// run runs a script where the writer would.
func run(t *testing.T, db *SQLite, sql string) {
	t.Helper()
	if err := db.Write(t.Context(), nil, func(kinto.Tx) error { return db.writer.c.exec(sql) }); err != nil {
		t.Fatal(err)
	}
}

// TestTimestampsGoOnAfterRestart: also when they are ahead of the clock, and also
// those of lists that were purged.
func TestTimestampsGoOnAfterRestart(t *testing.T) {
	path := file(t)
	purged := kinto.List{Parent: "/buckets/gone/collections/c", Kind: kinto.Record}
	ahead := time.Now().Add(24 * time.Hour).UnixMilli()
	last := map[kinto.List]int64{}
	for round := range 3 {
		db := open(t, path)
		err := db.Write(t.Context(), nil, func(tx kinto.Tx) error {
			for _, l := range []kinto.List{records, purged} {
				want := int64(-1)
				if round == 0 {
					want = ahead
				}
				ts, err := tx.Tick(l, want)
				if err != nil {
					return err
				}
				if ts <= last[l] || ts < ahead {
					t.Errorf("round %d: %v is at %d, was at %d", round, l, ts, last[l])
				}
				last[l] = ts
			}
			return tx.Purge("/buckets/gone")
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOlderDatabase: what is in it is counted when it is brought up to date, and
// who may what stays.
func TestOlderDatabase(t *testing.T) {
	path := file(t)
	c, err := openConn(path, sqlite3.SQLITE_OPEN_READWRITE|sqlite3.SQLITE_OPEN_CREATE, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sql/0001_objects.sql", "sql/0002_members.sql"} {
		text, err := migrations.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.exec(string(text)); err != nil {
			t.Fatal(err)
		}
	}
	err = c.exec(`PRAGMA user_version = 2;
		INSERT INTO lists (pk, parent, kind, ts) VALUES (1, '/buckets/b/collections/c', 'record', 30), (2, '', 'bucket', 10), (3, '#3', 'dead', 10);
		INSERT INTO objects (list, id, ts, deleted, data, permissions) VALUES
			(1, 'a', 10, 0, '{"é":1}', ''), (1, 'b', 20, 1, '', ''), (1, 'c', 30, 0, '{}', '{"read":["ann"],"write":["ann","bob"]}'), (3, 'x', 10, 0, '{}', '');
		INSERT INTO grants (principal, list, id, permission) VALUES ('ann', 1, 'c', 'read'), ('ann', 1, 'c', 'write'), ('bob', 1, 'c', 'write')`)
	if err := errors.Join(err, c.close()); err != nil {
		t.Fatal(err)
	}
	db := open(t, path)
	err = db.Read(t.Context(), func(tx kinto.Reader) error {
		v := tx.(*view)
		p, err := v.page(records)
		if err != nil {
			return err
		}
		if want := (tally{pk: 1, ts: 30, live: 2, tombstones: 1, bytes: 3*(64+1) + 8 + 2 + 38 + 5*(32+1)}); p.tally != want {
			t.Errorf("got %+v, want %+v", p.tally, want)
		}
		empty, err := v.page(kinto.List{Kind: kinto.Bucket})
		if want := (tally{pk: 2, ts: 10}); empty.tally != want {
			t.Errorf("got %+v, want %+v", empty.tally, want)
		}
		held, err2 := tx.Grants([]string{"ann"})
		if diff := cmp.Diff([]kinto.Granted{{List: records, ID: "c", Permissions: []string{"read", "write"}}}, held); diff != "" {
			t.Error(diff)
		}
		err = errors.Join(err, err2)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestCountersAreTheCount: after many writers, rollbacks and purges every list's
// row says what is in it.
func TestCountersAreTheCount(t *testing.T) {
	db := open(t, file(t))
	no := errors.New("no")
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 60 {
				l := kinto.List{Parent: fmt.Sprintf("/buckets/b%d/collections/c", (g+i)%5), Kind: kinto.Record}
				err := db.Write(context.Background(), nil, func(tx kinto.Tx) error {
					id := fmt.Sprintf("r%d", (g*7+i)%20)
					old, err := tx.Get(l, id)
					if err != nil {
						return err
					}
					ts, err := tx.Tick(l, -1)
					if err != nil {
						return err
					}
					o := &kinto.Object{ID: id, Timestamp: ts, Deleted: i%3 == 0, Data: []byte(strings.Repeat("x", i))}
					if err := tx.Put(l, o, old); err != nil {
						return err
					}
					if err := tx.Attach(l, id, &kinto.File{Location: l.Parent + id, Size: int64(i)}); err != nil {
						return err
					}
					if i%7 == 0 {
						if _, err := tx.Usage("x"); err != nil {
							return err
						}
					}
					if (g+i)%20 == 0 {
						if err := tx.Purge(fmt.Sprintf("/buckets/b%d", i%5)); err != nil {
							return err
						}
					}
					if i%4 == 0 {
						return no
					}
					return nil
				})
				if err != nil && !errors.Is(err, no) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := number(t, db, "SELECT count(*) FROM lists WHERE kind = 'record'"); n == 0 {
		t.Error("no lists")
	}
	wrong := number(t, db, `SELECT count(*) FROM lists WHERE kind <> 'dead' AND (live, tombstones, bytes, files) IS NOT (
		SELECT count(*) - coalesce(sum(deleted), 0), coalesce(sum(deleted), 0), coalesce(sum(64 + octet_length(id) + octet_length(data)), 0),
			(SELECT coalesce(sum(size), 0) FROM files WHERE list = lists.pk)
		FROM objects WHERE list = lists.pk)`)
	if wrong != 0 {
		t.Errorf("%d lists are counted wrong", wrong)
	}
}

// TestPlans: what is asked often finds its rows by an index.
func TestPlans(t *testing.T) {
	db := open(t, file(t))
	for name, sql := range db.writer.c.sql {
		if strings.HasPrefix(sql, "PRAGMA") || strings.HasPrefix(sql, "VACUUM") {
			continue
		}
		c := <-db.readers
		s, err := c.prepare("EXPLAIN QUERY PLAN " + sql)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for {
			more, err := s.step()
			if err != nil {
				t.Fatal(err)
			}
			if !more {
				break
			}
			step := string(s.raw(3))
			if slices.Contains([]string{"lists", "totals", "dead", "quick", "owners_forget", "load_files", "load_displaced", "contents"}, name) {
				continue // about all of them
			}
			for _, table := range []string{"lists", "objects", "grants", "notes", "files", "owners"} {
				if strings.HasPrefix(step, "SCAN "+table) {
					t.Errorf("%s: %s", name, step)
				}
			}
			if strings.Contains(step, "TEMP B-TREE FOR ORDER") && !strings.HasSuffix(name, "_granted") {
				t.Errorf("%s: %s", name, step)
			}
		}
		s.finalize()
		db.readers <- c
	}
}

func TestHealthTellsOfAWriterThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t, file(t))
		hold, held := make(chan struct{}), make(chan struct{})
		done := make(chan error)
		go func() {
			done <- db.Write(context.Background(), nil, func(kinto.Tx) error {
				close(held)
				<-hold
				return nil
			})
		}()
		<-held
		time.Sleep(patience - time.Millisecond)
		if err := db.Health(t.Context()); err != nil {
			t.Errorf("too early: %v", err)
		}
		time.Sleep(2 * time.Millisecond)
		if err := db.Health(t.Context()); err == nil {
			t.Error("it is said to be healthy")
		}
		close(hold)
		if err := <-done; err != nil {
			t.Error(err)
		}
		synctest.Wait() // the writer answers first and notes that it is done right after
		if err := db.Health(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What is known of the time before: names that were given up stay so, accounts are found
// whatever the case of a name, and the addresses of attachments lose the server's name.
func TestOlderNamesAndAddresses(t *testing.T) {
	t.Attr("shows", "mend")
	path := file(t)
	c, err := openConn(path, sqlite3.SQLITE_OPEN_READWRITE|sqlite3.SQLITE_OPEN_CREATE, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		names, err := fs.Glob(migrations, fmt.Sprintf("sql/%04d_*.sql", i+1))
		if err != nil || len(names) != 1 {
			t.Fatalf("%v, %v", names, err)
		}
		text, err := migrations.ReadFile(names[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := c.exec(string(text)); err != nil {
			t.Fatal(err)
		}
	}
	var script strings.Builder
	script.WriteString("PRAGMA user_version = 5;")
	for _, statement := range storagetest.Older {
		script.WriteString(strings.NewReplacer("false", "0", "true", "1").Replace(statement) + ";")
	}
	if err := errors.Join(c.exec(script.String()), c.close()); err != nil {
		t.Fatal(err)
	}
	storagetest.CheckOlder(t, open(t, path))
}
