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
