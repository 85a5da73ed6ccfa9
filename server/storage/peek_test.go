package storage

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/foyer-server/foyer/server/kinto"
)

// What cannot be opened has no facts that anybody could tell, which is not the same as
// having none.
func TestFactsOfWhatCannotBeOpened(t *testing.T) {
	t.Attr("shows", "ground")
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if id, err := Meta(t.Context(), empty, "data.id"); id != "" || err != nil {
		t.Errorf("an empty file: %q, %v", id, err)
	}
	read := func(kinto.Reader) error { t.Error("something was read"); return nil }
	if err := Peek(t.Context(), empty, read); !errors.Is(err, ErrEmpty) {
		t.Errorf("an empty file: %v", err)
	}
	for what, path := range map[string]string{"a folder": dir, "no file": filepath.Join(dir, "none")} {
		if id, err := Meta(t.Context(), path, "data.id"); id != "" || err == nil {
			t.Errorf("%s: %q, %v", what, id, err)
		}
		if err := Peek(t.Context(), path, read); err == nil || errors.Is(err, ErrEmpty) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
		t.Error("looking made a file")
	}
	path := filepath.Join(dir, "data.db")
	db, err := Open(t.Context(), path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	err = db.Write(t.Context(), nil, func(tx kinto.Tx) error { return tx.SetMeta("data.id", []byte("X")) })
	if err != nil {
		t.Fatal(err)
	}
	for _, open := range []bool{true, false} {
		if !open {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if id, err := Meta(t.Context(), path, "data.id"); id != "X" || err != nil {
			t.Errorf("served meanwhile: %v: %q, %v", open, id, err)
		}
		if id, err := Meta(t.Context(), path, "other"); id != "" || err != nil {
			t.Errorf("a fact it has not: %q, %v", id, err)
		}
	}
}
