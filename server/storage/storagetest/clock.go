package storagetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
)

const year5000 = 95617584000000

// former: a list that was days ahead of the clock begins now, and knows how far it was;
// what it did since decides where it begins the next time.
func former(t *testing.T, s kinto.Store) {
	was := func() (ts int64) {
		read(t, s, func(tx kinto.Reader) (err error) {
			ts, err = tx.Former(records)
			return err
		})
		return ts
	}
	if ts := was(); ts != -1 {
		t.Errorf("a new list was at %d", ts)
	}
	for round, far := range []int64{year5000, year5000 - 7, kinto.MaxTimestamp} {
		start := time.Now().UnixMilli()
		tick(t, s, records, far)
		most := max(far, was())
		write(t, s, func(tx kinto.Tx) error { return tx.Purge("/buckets/b") })
		var ts int64
		write(t, s, func(tx kinto.Tx) (err error) {
			if ts, err = tx.Touch(records); err != nil {
				return err
			}
			if now, err := tx.Former(records); now != most {
				t.Errorf("round %d: the transaction itself knows of %d (%v)", round, now, err)
			}
			return nil
		})
		if now := time.Now().UnixMilli(); ts < start || ts > now {
			t.Errorf("round %d: it began at %d, now %d", round, ts, now)
		}
		if ts := was(); ts != most {
			t.Errorf("round %d: it was at %d, want %d", round, ts, most)
		}
		// This life ends an hour ahead; the next begins there, whatever the one before did.
		end := tick(t, s, records, time.Now().UnixMilli()+3_600_000)
		write(t, s, func(tx kinto.Tx) error { return tx.Purge("/buckets/b") })
		if next := tick(t, s, records, -1); next != end+1 {
			t.Errorf("round %d: %d after %d", round, next, end)
		}
	}
	// Taken back with what it is in, nothing of it is left.
	no := fmt.Errorf("no")
	ts, _ := timestamp(t, s, records)
	err := s.Write(t.Context(), nil, func(tx kinto.Tx) error {
		if _, err := tx.Tick(records, kinto.MaxTimestamp+100); err != nil {
			return err
		}
		if err := tx.Purge("/buckets/b"); err != nil {
			return err
		}
		if _, err := tx.Tick(records, -1); err != nil {
			return err
		}
		return no
	})
	if now, _ := timestamp(t, s, records); err != no || now != ts || was() != kinto.MaxTimestamp {
		t.Errorf("%v: at %d, want %d; formerly %d", err, now, ts, was())
	}
}
