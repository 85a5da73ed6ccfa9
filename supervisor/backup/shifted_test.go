package backup

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/foyer-server/foyer/server/storage"
)

// An older copy of the data that is put back, or data that were restored, have a shorter log. The backup
// goes on behind what it had: its newest point is what there is now, and points of before are what was there
// then; also when what was known of the chain is lost.
func TestOlderDataArePutBack(t *testing.T) {
	t.Attr("shows", "backups")
	t.Parallel()
	open := func(path string) *storage.SQLite {
		db, err := storage.Open(t.Context(), path, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		return db
	}
	for what, put := range map[string]func(h *house, copied string) string{
		"an older copy": func(_ *house, copied string) string { return copied },
		"restored data": func(h *house, _ string) string {
			b := h.found(t)
			lines, err := b.Lines(t.Context(), newest(t, b))
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "data.db")
			if err := storage.Load(t.Context(), path, lines, nil); err != nil {
				t.Fatal(err)
			}
			return path
		},
	} {
		for _, forgets := range []bool{false, true} {
			if watched && forgets {
				continue
			}
			h := newHouse(t, 101)
			h.writes(t, 30)
			h.cycles(t, 1)
			copied := filepath.Join(t.TempDir(), "data.db")
			if err := h.db.Snapshot(t.Context(), copied); err != nil {
				t.Fatal(err)
			}
			h.hours(t, 1)
			before := newest(t, h.found(t))
			want, err := restored(t, h.found(t), before, time.Time{}.Add(1)).MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			for again := range 2 {
				if again > 0 && (forgets || watched) {
					break
				}
				h.db = open(put(h, copied))
				h.Source, h.writer.Store = h.db, h.db
				if forgets {
					h.Engine = h.engine(t, h.Keys, t.TempDir())
				}
				h.writes(t, 3)
				h.now = h.now.Add(time.Minute)
				h.cycles(t, 2)
				if !watched { // it is looked at again below
					h.whole(t)
				}
				if o := h.Overview(); !o.Complete.Equal(h.now) || o.Points[0].Position != o.Position {
					t.Errorf("%s: it is complete of %s, at %s", what, o.Complete, h.now)
				}
				h.writes(t, 3)
				if _, err := h.Say(t.Context()); err != nil {
					t.Fatal(err)
				}
				h.whole(t)
				if what == "an older copy" {
					copied2 := filepath.Join(t.TempDir(), "data.db")
					if err := h.db.Snapshot(t.Context(), copied2); err != nil {
						t.Fatal(err)
					}
					h.writes(t, 5)
					h.cycles(t, 1)
					copied = copied2
				}
			}
			got, err := restored(t, h.found(t), before, time.Time{}.Add(1)).MarshalJSON()
			if err != nil || string(got) != string(want) {
				t.Errorf("%s: what was there before is another now: %v", what, err)
			}
			h.restart(t)
			h.days(t, dose(2, 1))
			h.whole(t)
		}
	}
}
