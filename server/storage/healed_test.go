package storage

import (
	"errors"
	"testing"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage/storagetest"
)

func TestMovedListsAreHealed(t *testing.T) {
	path, now := file(t), time.Now().UnixMilli()
	older(t, path, storagetest.Moved(now)...)
	storagetest.CheckHealed(t, open(t, path), now)
}

// TestListsPurgedAheadAfterRestart: a list that stood years ahead begins at now, another
// goes on where it was, also when the server was restarted in between, or twice.
func TestListsPurgedAheadAfterRestart(t *testing.T) {
	path := file(t)
	far, near := kinto.List{Parent: "/buckets/b/collections/far", Kind: kinto.Record}, kinto.List{Parent: "/buckets/b/collections/near", Kind: kinto.Record}
	soon := time.Now().UnixMilli() + 3_600_000
	for round := range 3 {
		db := open(t, path)
		err := db.Write(t.Context(), nil, func(tx kinto.Tx) error {
			start := time.Now().UnixMilli()
			ts, err := tx.Tick(far, -1)
			if now := time.Now().UnixMilli(); err != nil || ts < start || ts > now {
				t.Errorf("round %d: %d, now is %d (%v)", round, ts, now, err)
			}
			if ts, err = tx.Tick(near, -1); round > 0 && ts <= soon || err != nil {
				t.Errorf("round %d: %d, was at %d (%v)", round, ts, soon, err)
			}
			soon = max(soon, ts)
			_, err = tx.Tick(far, kinto.MaxTimestamp)
			if err == nil {
				soon, err = tx.Tick(near, soon+1)
			}
			return errors.Join(err, tx.Purge("/buckets/b"))
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	db := open(t, path)
	err := db.Read(t.Context(), func(tx kinto.Reader) error {
		ts, err := tx.Former(far)
		if ts != kinto.MaxTimestamp {
			t.Errorf("formerly at %d", ts)
		}
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}
