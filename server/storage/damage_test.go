package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// fill writes n records.
func fill(t *testing.T, db *SQLite, n int) {
	t.Helper()
	err := db.Write(t.Context(), nil, func(tx kinto.Tx) error {
		for i := range n {
			if err := put(tx, records, fmt.Sprintf("r%d", i), 200); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// overwrite puts other bytes into a file.
func overwrite(t *testing.T, path string, at int64, with []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(with, at)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// TestDamagedPages: whatever page in the file is not what was written, an answer is
// right or there is none, and the check says so.
func TestDamagedPages(t *testing.T) {
	const n = 3000
	path := file(t)
	db := open(t, path)
	fill(t, db, n)
	if err := db.Check(t.Context()); err != nil {
		t.Errorf("before: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pages := len(whole) / 4096
	want := `{"x":"` + strings.Repeat("x", 200) + `"}`
	refused := 0
	for _, page := range []int{pages / 4, pages / 2, pages / 2, pages * 3 / 4} {
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		overwrite(t, path, int64(page)*4096, noise(4096))
		db := open(t, path)
		for i := range n {
			id := fmt.Sprintf("r%d", i)
			var o *kinto.Object
			err := db.Read(t.Context(), func(tx kinto.Reader) (err error) {
				o, err = tx.Get(records, id)
				return err
			})
			switch {
			case errors.Is(err, kinto.ErrUnavailable):
				refused++
			case err != nil:
				t.Errorf("page %d: %v", page, err)
			case o == nil || string(o.Data) != want:
				t.Errorf("page %d: %s is %v", page, id, o)
			}
		}
		var all []kinto.Object
		err := db.Read(t.Context(), func(tx kinto.Reader) (err error) {
			all, _, err = tx.Select(records, kinto.Everything())
			return err
		})
		if err != nil && !errors.Is(err, kinto.ErrUnavailable) || err == nil && len(all) != n {
			t.Errorf("page %d: a list of %d, %v", page, len(all), err)
		}
		// Writes are kept or refused by name.
		for i := range 100 {
			err := db.Write(t.Context(), nil, func(tx kinto.Tx) error { return put(tx, records, fmt.Sprintf("new%d", i), 10) })
			if err != nil && !errors.Is(err, kinto.ErrUnavailable) {
				t.Errorf("page %d: a write: %v", page, err)
			}
		}
		if e := hint.Find(db.Check(t.Context())); e == nil || e.Code != "database-damaged" || e.Err == nil {
			t.Errorf("page %d: the check says %v", page, e)
		}
		if err := db.Close(); err != nil {
			t.Logf("page %d: %v", page, err)
		}
	}
	if refused == 0 {
		t.Error("no page that was damaged was ever read")
	}
}

// TestDamagedHeader: a file that is no database any more is left as it is.
func TestDamagedHeader(t *testing.T) {
	for name, damage := range map[string][]byte{"zeros": make([]byte, 4096), "noise": noise(4096), "text": bytes.Repeat([]byte("no database "), 400)} {
		path := file(t)
		db := open(t, path)
		fill(t, db, 100)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		overwrite(t, path, 0, damage)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Open(t.Context(), path, slog.New(slog.DiscardHandler))
		if e := hint.Find(err); e == nil || e.Code != "database-damaged" {
			t.Errorf("%s: %v", name, err)
		}
		after, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s: the file was changed (%v)", name, err)
		}
	}
}

// TestCheckEndsWithItsContext, and so does Snapshot, which leaves nothing behind.
func TestCheckEndsWithItsContext(t *testing.T) {
	path := file(t)
	db := open(t, path)
	fill(t, db, 100)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	to := filepath.Join(t.TempDir(), "copy")
	if err := db.Snapshot(ctx, to); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	// and in the middle of it
	ctx, cancel = context.WithCancel(t.Context())
	err := db.apart(ctx, func(c *conn) error {
		s, err := c.prepare("WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
		if err != nil {
			return err
		}
		defer s.finalize()
		cancel()
		return s.run()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left, err := filepath.Glob(to + "*"); len(left) > 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestSnapshot: a copy made while others write is whole, has every write answered
// before the call, groups of writes never by half, and goes on as a database.
func TestSnapshot(t *testing.T) {
	db := open(t, file(t))
	dir := t.TempDir()
	var mu sync.Mutex
	answered := map[string]bool{}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	for g := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				pair := fmt.Sprintf("r%d-%d", g, i)
				err := db.Write(context.Background(), nil, func(tx kinto.Tx) error {
					if err := put(tx, records, pair, 50); err != nil {
						return err
					}
					return put(tx, records, pair+"-too", 50)
				})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				answered[pair] = true
				mu.Unlock()
			}
		})
	}
	defer close(stop)
	for round := range 3 {
		var before []string
		for len(before) < 200*(round+1) {
			mu.Lock()
			before = before[:0]
			for pair := range answered {
				before = append(before, pair)
			}
			mu.Unlock()
			runtime.Gosched()
		}
		path := filepath.Join(dir, "copy.db") // over the one before
		if err := db.Snapshot(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		if fi, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && fi.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", fi.Mode(), err)
		}
		if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
		copied := open(t, path)
		if err := copied.Check(t.Context()); err != nil {
			t.Error(err)
		}
		there := map[string]bool{}
		err := copied.Read(t.Context(), func(tx kinto.Reader) error {
			all, _, err := tx.Select(records, kinto.Everything())
			for _, o := range all {
				there[o.ID] = true
			}
			n, err2 := tx.Count(records, kinto.Everything())
			if n != len(all) {
				t.Errorf("%d are counted, %d there", n, len(all))
			}
			return errors.Join(err, err2)
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, pair := range before {
			if !there[pair] {
				t.Errorf("%s was answered and is not in the copy", pair)
			}
		}
		for id := range there {
			if !there[strings.TrimSuffix(id, "-too")] || !there[strings.TrimSuffix(id, "-too")+"-too"] {
				t.Errorf("half of %s is in the copy", id)
			}
		}
		if err := copied.Write(t.Context(), nil, func(tx kinto.Tx) error { return put(tx, records, "more", 1) }); err != nil {
			t.Error(err)
		}
		if err := copied.Close(); err != nil {
			t.Error(err)
		}
	}
}
