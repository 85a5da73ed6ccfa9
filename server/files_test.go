package server

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage"
)

// TestContentsOfNoRecordAreCollected: what a record has stays, what none has goes.
func TestContentsOfNoRecordAreCollected(t *testing.T) {
	set := config.Default()
	set.Data = t.TempDir()
	log := slog.New(slog.DiscardHandler)
	db, err := storage.Open(t.Context(), filepath.Join(set.Data, "data.db"), log)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // nothing more is asked of it
	files, err := openFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Config: Config{Settings: set, Log: log}, kinto: kinto.New(db, set.Kinto, nil), files: files}
	put := func(text string) string {
		u, err := files.Put(strings.NewReader(text), -1)
		if err != nil {
			t.Fatal(err)
		}
		return u.Hash
	}
	attached, loose := put("attached"), put("loose")
	l := kinto.List{Parent: "/buckets/b/collections/c", Kind: kinto.Record}
	attach := func(f *kinto.File) {
		t.Helper()
		if err := db.Write(context.Background(), nil, func(tx kinto.Tx) error {
			if _, err := tx.Touch(l); err != nil {
				return err
			}
			return tx.Attach(l, "r", f)
		}); err != nil {
			t.Fatal(err)
		}
	}
	attach(&kinto.File{Location: "x", Hash: attached, Size: 8, Type: "text/plain", Name: "x.txt"})
	collector{s}.collectOnce(t.Context(), time.Now().Add(-time.Minute))
	if f, err := files.Open(loose); err != nil {
		t.Errorf("a young one went: %v", err)
	} else {
		f.Close()
	}
	collector{s}.collectOnce(t.Context(), time.Now().Add(time.Minute))
	if _, err := files.Open(loose); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a loose one stayed: %v", err)
	}
	if f, err := files.Open(attached); err != nil {
		t.Errorf("an attached one went: %v", err)
	} else {
		f.Close()
	}
	attach(nil)
	collector{s}.collectOnce(t.Context(), time.Now().Add(time.Minute))
	if _, err := files.Open(attached); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("taken away, yet it stayed: %v", err)
	}
}

// While a backup lags, contents that nobody refers to any more stay: what it has not seen yet
// may. One that has not come for days is not waited for.
func TestContentsWaitForABackup(t *testing.T) {
	t.Attr("shows", "backups")
	set := config.Default()
	set.Data = t.TempDir()
	log := slog.New(slog.DiscardHandler)
	db, err := storage.Open(t.Context(), filepath.Join(set.Data, "data.db"), log)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // nothing more is asked of it
	s := collector{&server{Config: Config{Settings: set, Log: log}, store: db}}
	now := time.Now()
	lags := func(when string, want map[time.Duration]bool) {
		t.Helper()
		for after, lag := range want {
			if got := s.lags(t.Context(), now.Add(after)); got != lag {
				t.Errorf("%s, %s later: somebody lags: %t", when, after, got)
			}
		}
	}
	change := func(name string) {
		t.Helper()
		if err := db.Write(t.Context(), nil, func(tx kinto.Tx) error { return tx.SetMeta(name, []byte("x")) }); err != nil {
			t.Fatal(err)
		}
	}
	never := map[time.Duration]bool{0: false, time.Hour: false, 100 * time.Hour: false}
	lags("nobody follows", never)
	at, err := db.Follow(t.Context(), "backup")
	if err != nil {
		t.Fatal(err)
	}
	lags("nothing has changed", never)
	change("a")
	behind := map[time.Duration]bool{time.Minute: false, time.Hour: true, 71 * time.Hour: true, 73 * time.Hour: false}
	lags("something has", behind)
	if err := db.Changes(t.Context(), at, 1<<20, func(e changelog.Entry) error { at = e.Position; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := db.Acknowledge(t.Context(), "backup", at); err != nil {
		t.Fatal(err)
	}
	lags("it is in the backup", never)
	if _, err := db.Follow(t.Context(), "another"); err != nil {
		t.Fatal(err)
	}
	change("b")
	for _, name := range []string{"backup", "another"} {
		lags("two follow, and "+name+" has not got it", behind)
		if err := db.Unfollow(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	lags("nobody follows any more", never)
}
