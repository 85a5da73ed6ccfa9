package storage

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage/storagetest"
)

func loadInto(t testing.TB, path string, lines iter.Seq2[changelog.Line, error]) error {
	t.Helper()
	return Load(t.Context(), path, lines, nil)
}

func TestLog(t *testing.T) {
	storagetest.Log(t, func(t *testing.T) storagetest.Followed { return open(t, file(t)) },
		func(t *testing.T, lines iter.Seq2[changelog.Line, error]) storagetest.Followed {
			path := file(t)
			if err := loadInto(t, path, lines); err != nil {
				t.Fatal(err)
			}
			db := open(t, path)
			if err := db.Check(t.Context()); err != nil {
				t.Errorf("what was loaded is not sound: %v", err)
			}
			return db
		})
}

// tablesOf reads every row of every table, without what counts rows and versions only.
func tablesOf(t *testing.T, db *SQLite) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for table, columns := range map[string]string{
		"lists":   "parent, kind, ts, live, tombstones, bytes, files",
		"objects": "(SELECT parent || ' ' || kind FROM lists WHERE pk = list), id, ts, deleted, data, permissions",
		"grants":  "principal, (SELECT parent || ' ' || kind FROM lists WHERE pk = list), (SELECT id FROM objects WHERE pk = object), permission",
		"members": "member, (SELECT parent || ' ' || kind FROM lists WHERE pk = list), id",
		"meta":    "name, hex(value)", "owners": "bucket, owner, bytes", "notes": "key, hex(value), until",
		"files":  "location, (SELECT parent || ' ' || kind FROM lists WHERE pk = list), id, hash, size, type, name",
		"floors": "parent, kind, ts", "formers": "parent, kind, ts",
	} {
		s := all(t, db, "SELECT json_array("+columns+") FROM "+table)
		slices.Sort(s)
		out[table] = s
	}
	return out
}

// all reads the first column of a statement.
func all(t *testing.T, db *SQLite, sql string) (out []string) {
	t.Helper()
	err := db.apart(t.Context(), func(c *conn) error {
		s, err := c.prepare(sql)
		if err != nil {
			return err
		}
		defer s.finalize()
		for {
			more, err := s.step()
			if !more {
				return err
			}
			out = append(out, string(s.raw(0)))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Every table of the schema is in a copy, or says why it need not be; none is empty where
// this is tried, and each is the same, row by row, after it was written out and loaded.
func TestEveryTableIsCopied(t *testing.T) {
	t.Attr("shows", "backups")
	db := open(t, file(t))
	w := storagetest.NewWriter(db, 21)
	if _, err := db.Follow(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	for range 700 {
		if err := w.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for wait := true; wait; { // until the writer has swept what was purged
		wait = len(all(t, db, "SELECT 1 FROM lists WHERE kind = 'dead'")) > 0
	}
	// Not copied: what belongs to this database alone.
	own := map[string]string{
		"changes": "the log itself", "log": "where it begins", "followers": "who follows this one",
		"sqlite_sequence": "numbers of rows",
	}
	was := tablesOf(t, db)
	for _, table := range all(t, db, "SELECT name FROM sqlite_schema WHERE type = 'table'") {
		if len(all(t, db, "SELECT count(*) FROM "+table)) == 0 || all(t, db, "SELECT count(*) FROM "+table)[0] == "0" {
			t.Errorf("table %s is empty: nobody sees whether it is copied", table)
		}
		if was[table] == nil && own[table] == "" {
			t.Errorf("table %s is compared nowhere", table)
		}
	}
	var lines []changelog.Line
	if _, _, err := db.Copy(t.Context(), "", math.MaxInt, func(text []byte) error {
		l, err := changelog.Parse(text)
		lines = append(lines, l)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "loaded.db")
	err := loadInto(t, path, func(yield func(changelog.Line, error) bool) {
		for _, l := range lines {
			if !yield(l, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	peeked, err := SummarizeFile(t.Context(), path, time.UnixMilli(0))
	if err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(path + "?*"); err != nil || len(left) > 0 {
		t.Errorf("left beside what was loaded: %q, %v", left, err)
	}
	loaded := open(t, path)
	if sum, _, err := loaded.Summarize(t.Context(), time.UnixMilli(0)); err != nil || len(sum.Differences(peeked, 9)) > 0 || sum.Of(changelog.Object).Lines == 0 {
		t.Errorf("the file comes to something else than the database: %v, %q", err, sum.Differences(peeked, 9))
	}
	rows := 0
	for table, is := range tablesOf(t, loaded) {
		rows += len(is)
		if !slices.Equal(is, was[table]) {
			t.Errorf("table %s has %d rows where there were %d, and differs", table, len(is), len(was[table]))
		}
	}
	t.Logf("SHOW every table, written out and loaded: %d tables, %d rows, the same", len(was), rows)
}

// A log that breaks off says so: what another object had is missing, a line is none, the
// file is there already. Nothing is left of it.
func TestLoadRefuses(t *testing.T) {
	object := func(id string, ts int64) changelog.Line {
		return changelog.Line{Kind: changelog.Object, Parent: "/buckets/b/collections/c", Of: "record", ID: id, Time: ts, Data: []byte(`{}`)}
	}
	broke := errors.New("the target broke off")
	for name, c := range map[string]struct {
		lines []changelog.Line
		err   error
		want  error
	}{
		"incomplete":  {[]changelog.Line{object("a", 7), object("b", 7)}, nil, ErrIncomplete},
		"breaks off":  {[]changelog.Line{object("a", 7)}, broke, broke},
		"no line":     {[]changelog.Line{{}}, nil, nil},
		"of tomorrow": {[]changelog.Line{{Kind: 99}}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			path := file(t)
			err := loadInto(t, path, func(yield func(changelog.Line, error) bool) {
				for _, l := range c.lines {
					if !yield(l, nil) {
						return
					}
				}
				if c.err != nil {
					yield(changelog.Line{}, c.err)
				}
			})
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("error %v", err)
			}
			if left, err := filepath.Glob(path + "*"); err != nil || len(left) > 0 {
				t.Errorf("left: %q, %v", left, err)
			}
		})
	}
	t.Run("there already", func(t *testing.T) {
		path := file(t)
		db := open(t, path)
		if err := db.Write(t.Context(), nil, func(tx kinto.Tx) error { return tx.SetMeta("kept", []byte("x")) }); err != nil {
			t.Fatal(err)
		}
		if err := loadInto(t, path, func(func(changelog.Line, error) bool) {}); err == nil {
			t.Error("a database is loaded over another")
		}
		if got := all(t, db, "SELECT name FROM meta"); !slices.Contains(got, "kept") {
			t.Errorf("left: %q", got)
		}
	})
}

// write writes one note of so many bytes.
func note(t *testing.T, db *SQLite, name string, bytes int) {
	t.Helper()
	if err := db.Write(t.Context(), nil, func(tx kinto.Tx) error { return tx.SetMeta(name, []byte(strings.Repeat("x", bytes))) }); err != nil {
		t.Fatal(err)
	}
}

func changesAfter(t *testing.T, db *SQLite, at changelog.Position) (n int, err error) {
	t.Helper()
	err = db.Changes(t.Context(), at, math.MaxInt, func(changelog.Entry) error { n++; return nil })
	return n, err
}

// A log that nobody fetches is cut at its bound: writes go on, and whoever follows hears it.
func TestLogIsBounded(t *testing.T) {
	db := open(t, file(t))
	db.writer.capture.bound = 100_000
	at, err := db.Follow(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	db.writer.capture.bound = 100_000
	for i := range 8 {
		note(t, db, fmt.Sprint(i), 10_000)
	}
	if n, err := changesAfter(t, db, at); n != 8 || err != nil {
		t.Fatalf("%d changes, error %v", n, err)
	}
	for i := range 8 {
		note(t, db, fmt.Sprint(i), 10_000)
	}
	if n, err := changesAfter(t, db, at); !errors.Is(err, changelog.ErrCut) {
		t.Errorf("%d changes, error %v", n, err)
	}
	if err := db.Acknowledge(t.Context(), "test", at); !errors.Is(err, changelog.ErrCut) {
		t.Errorf("acknowledged: %v", err)
	}
	for range 1000 {
		note(t, db, "later", 10)
		if len(all(t, db, "SELECT 1 FROM changes")) == 0 {
			break
		}
	}
	if left := len(all(t, db, "SELECT 1 FROM changes")); left > 0 {
		t.Errorf("%d commits stay in a log that nobody follows", left)
	}
	if at, err = db.Follow(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	note(t, db, "new", 1)
	if n, err := changesAfter(t, db, at); n != 1 || err != nil {
		t.Errorf("begun anew: %d changes, error %v", n, err)
	}
}

// Where the log alone has no room, it is cut, and what was written is kept.
func TestNoWriteFailsForTheLog(t *testing.T) {
	db := open(t, file(t))
	for i := range 200 {
		if err := replace(db, records, fmt.Sprint(i), fmt.Sprintf(`{"x":%q}`, strings.Repeat("x", 500))); err != nil {
			t.Fatal(err)
		}
	}
	at, err := db.Follow(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	// The file may not grow any more.
	if err := db.onLog(t.Context(), func(t *tx) error { return t.c.exec("PRAGMA max_page_count = 1") }); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if err := replace(db, records, fmt.Sprint(i), `{"y":1}`); err != nil {
			t.Fatalf("write %d: %v", i, err)
		}
	}
	if n, err := changesAfter(t, db, at); !errors.Is(err, changelog.ErrCut) {
		t.Errorf("%d changes, error %v: the log had room, nothing was tried", n, err)
	}
}

// The log is the same after the database was closed and opened, or was killed.
func TestLogSurvivesAnEnd(t *testing.T) {
	path := file(t)
	db := open(t, path)
	at, err := db.Follow(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	note(t, db, "a", 5)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, path)
	note(t, db, "b", 5)
	var got []string
	last := at
	if err := db.Changes(t.Context(), at, math.MaxInt, func(e changelog.Entry) error {
		if e.Seq != last.Seq+1 {
			t.Errorf("commit %d follows %d", e.Seq, last.Seq)
		}
		last = e.Position
		got = append(got, string(e.Lines))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || !strings.Contains(got[1], `{"meta":"b"`) {
		t.Errorf("the log is %q", got)
	}
}

// What time alone sweeps is in the log as far as it is more than room.
func TestSweepIsLogged(t *testing.T) {
	path := file(t)
	db := open(t, path)
	err := db.Write(t.Context(), nil, func(tx kinto.Tx) error {
		for i := range 3 {
			if err := put(tx, records, fmt.Sprintf("r%d", i), 10); err != nil {
				return err
			}
		}
		return errors.Join(tx.Purge("/buckets/b"), tx.SetNote("over", []byte("x"), time.Now().Add(-time.Hour)))
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, db, fmt.Sprintf("UPDATE floors SET ts = %d", time.Now().Add(-2*settled).UnixMilli()))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	// Followed from before it is swept: the copy is of then.
	c, err := openConn(path, sqlite3.SQLITE_OPEN_READWRITE, statements(queries))
	if err != nil {
		t.Fatal(err)
	}
	at, err := head(c)
	if err = errors.Join(err, c.do("follower_set").text(1, "test").int(2, at.seq).run()); err != nil {
		t.Fatal(err)
	}
	var lines []changelog.Line
	collect := func(text []byte) error {
		l, err := changelog.Parse(text)
		lines = append(lines, l)
		return err
	}
	d := &dump{ctx: t.Context(), c: c, lists: map[int64]kinto.List{}}
	if _, err := d.write("", math.MaxInt, func(_ *changelog.Line, text []byte) error { return collect(text) }); err != nil {
		t.Fatal(err)
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, path)
	for n := 0; number(t, db, "SELECT count(*) FROM floors WHERE parent = '#'") == 0; n++ {
		if n > 1000 {
			t.Fatal("nothing is swept")
		}
	}
	note(t, db, "after", 5)
	last := at.position()
	if err := db.Changes(t.Context(), at.position(), math.MaxInt, func(e changelog.Entry) error {
		last = e.Position
		for text := range strings.Lines(string(e.Lines)) {
			if err := collect([]byte(text)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	// The sum is of all commits, those of the sweep among them.
	next := at
	for _, body := range all(t, db, "SELECT body FROM changes ORDER BY seq") {
		next = next.after([]byte(body))
	}
	if next.position() != last {
		t.Errorf("the log ends at %+v; its lines come to %+v", last, next.position())
	}
	loaded := filepath.Join(t.TempDir(), "loaded.db")
	err = loadInto(t, loaded, func(yield func(changelog.Line, error) bool) {
		for _, l := range lines {
			if !yield(l, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	one, _, err := db.Summarize(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := open(t, loaded).Summarize(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	if d := one.Differences(other, 10); len(d) > 0 {
		t.Errorf("what was loaded differs: %q", d)
	}
}

// Whoever leaves in a transaction that takes a failed job along stays where the log is.
func TestFailedJobsLeaveTheLogAlone(t *testing.T) {
	db := open(t, file(t))
	at, err := db.Follow(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	hold, held := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := db.Write(t.Context(), nil, func(tx kinto.Tx) error {
			close(held)
			<-hold
			return tx.SetMeta("first", []byte("x"))
		}); err != nil {
			t.Error(err)
		}
	})
	<-held
	failed := errors.New("it failed after it had begun the log anew")
	for i := range 6 {
		wg.Go(func() {
			var err error
			if i%2 == 0 {
				err = db.onLog(t.Context(), func(tx *tx) error {
					tx.capture.stale, tx.capture.on = true, false
					return errors.Join(tx.capture.restart(tx.c), failed)
				})
				if errors.Is(err, failed) {
					err = nil
				}
			} else {
				err = db.Write(t.Context(), nil, func(tx kinto.Tx) error { return tx.SetMeta(fmt.Sprint(i), []byte("x")) })
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	for db.writer.queue.Waiting() < 6 {
		time.Sleep(time.Millisecond)
	}
	close(hold)
	wg.Wait()
	note(t, db, "last", 1)
	last, met := at, ""
	if err := db.Changes(t.Context(), at, math.MaxInt, func(e changelog.Entry) error {
		if e.Seq != last.Seq+1 {
			t.Errorf("commit %d follows %d", e.Seq, last.Seq)
		}
		last, met = e.Position, met+string(e.Lines)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"first", "1", "3", "5", "last"} {
		if !strings.Contains(met, fmt.Sprintf("{%q:%q", "meta", name)) {
			t.Errorf("%s is not in the log: %s", name, met)
		}
	}
}

// A migration goes past the log: whoever follows begins anew.
func TestMigrationsCutTheLog(t *testing.T) {
	path := file(t)
	db := open(t, path)
	at, err := db.Follow(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	note(t, db, "a", 5)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	more := fstest.MapFS{}
	names, err := migrations.ReadDir("sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		text, err := migrations.ReadFile("sql/" + n.Name())
		if err != nil {
			t.Fatal(err)
		}
		more["sql/"+n.Name()] = &fstest.MapFile{Data: text}
	}
	more[fmt.Sprintf("sql/%04d_later.sql", len(names)+1)] = &fstest.MapFile{Data: []byte("DELETE FROM meta;")}
	c, err := openConn(path, sqlite3.SQLITE_OPEN_READWRITE, statements(queries))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(migrate(c, more), c.exec(fmt.Sprintf("PRAGMA user_version = %d", len(names))), c.close()); err != nil {
		t.Fatal(err)
	}
	db = open(t, path)
	if n, err := changesAfter(t, db, at); !errors.Is(err, changelog.ErrCut) {
		t.Errorf("%d changes, error %v", n, err)
	}
	was := at.Seq
	if at, err = db.Follow(t.Context(), "test"); err != nil || at.Seq <= was {
		t.Errorf("position %d after %d, error %v", at.Seq, was, err)
	}
}

// Of a database that is known to be damaged nothing is copied or acknowledged, and its log can still be read.
func TestADamagedDatabaseIsNotCopied(t *testing.T) {
	db := open(t, file(t))
	at, err := db.Follow(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	fill(t, db, 3)
	db.trouble.found(damaged(errors.New("a page")), false)
	none := func([]byte) error { return nil }
	for what, err := range map[string]error{
		"Copy":        func() error { _, _, err := db.Copy(t.Context(), "", 1, none); return err }(),
		"Summarize":   func() error { _, _, err := db.Summarize(t.Context(), time.Now()); return err }(),
		"Files":       db.Files(t.Context(), func(string, int64) error { return nil }),
		"Follow":      func() error { _, err := db.Follow(t.Context(), "other"); return err }(),
		"Acknowledge": db.Acknowledge(t.Context(), "test", at),
		"Unfollow":    db.Unfollow(t.Context(), "test"),
	} {
		if e := hint.Find(err); !errors.Is(err, changelog.ErrDamaged) || e == nil || e.Code != "database-damaged" {
			t.Errorf("%s: %v", what, err)
		}
	}
	commits := 0
	if err := db.Changes(t.Context(), at, 1<<20, func(changelog.Entry) error { commits++; return nil }); err != nil || commits == 0 {
		t.Errorf("%d commits can be read: %v", commits, err)
	}
}
