package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/foyer-server/foyer/server/kinto"
)

// older makes a database of the schema before timestamps had a bound, or of the last
// one there is, with what statements say.
func older(t *testing.T, path string, statements ...string) {
	t.Helper()
	names, err := fs.Glob(migrations, "sql/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	c, err := openConn(path, sqlite3.SQLITE_OPEN_READWRITE|sqlite3.SQLITE_OPEN_CREATE, nil)
	if err != nil {
		t.Fatal(err)
	}
	version := min(len(names), 6)
	for _, name := range names[:version] {
		text, err := migrations.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.exec(string(text)); err != nil {
			t.Fatal(err)
		}
	}
	var script strings.Builder
	fmt.Fprintf(&script, "PRAGMA user_version = %d;", version)
	for _, statement := range statements {
		script.WriteString(strings.NewReplacer(" false,", " 0,", " true,", " 1,").Replace(statement) + ";")
	}
	if err := errors.Join(c.exec(script.String()), c.close()); err != nil {
		t.Fatal(err)
	}
}

// TestAMovedDatabaseIsHealed: where somebody has moved everybody's buckets, and their own
// records, to where JavaScript counts no further, both go on from now.
func TestAMovedDatabaseIsHealed(t *testing.T) {
	t.Attr("shows", "mend2")
	path := file(t)
	older(t, path,
		`INSERT INTO lists (pk, parent, kind, ts, live) VALUES (1, '', 'bucket', 9007199254740992, 2), (2, '/buckets/b/collections/c', 'record', 9007199254740991, 1)`,
		`INSERT INTO objects (list, id, ts, deleted, data, permissions) VALUES (1, 'a', 9007199254740991, 0, '{}', ''), (1, 'b', 9007199254740992, 0, '{}', ''), (2, 'r', 9007199254740991, 0, '{}', '')`)
	start := time.Now().UnixMilli()
	for round := range 2 { // healed once, and for good
		db := open(t, path)
		for l, ids := range map[kinto.List][]string{{Kind: kinto.Bucket}: {"b", "a"}, records: {"r"}} {
			last := int64(0)
			err := db.Read(t.Context(), func(tx kinto.Reader) error {
				found, _, err := tx.Select(l, kinto.Everything())
				for i := range found {
					if ts := found[i].Timestamp; found[i].ID != ids[i] || ts < start-1 || ts > time.Now().UnixMilli()+10 || i > 0 && ts >= last {
						t.Errorf("round %d: %s is at %d, now is %d", round, found[i].ID, ts, time.Now().UnixMilli())
					}
					last = found[i].Timestamp
				}
				return err
			})
			if err != nil || last == 0 {
				t.Errorf("%v: %d, %v", l, last, err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
