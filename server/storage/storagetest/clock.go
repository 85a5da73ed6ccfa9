package storagetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/server/kinto"
)

// Lists of a database that somebody moved beyond every bound, before there was one.
var (
	movedBuckets  = kinto.List{Kind: kinto.Bucket}
	movedAccount  = kinto.List{Parent: "me", Kind: kinto.Account}
	movedRecords  = kinto.List{Parent: "/buckets/b/collections/c", Kind: kinto.Record}
	countedBeyond = kinto.List{Parent: "/buckets/b/collections/d", Kind: kinto.Record}
	movedEmpty    = kinto.List{Parent: "/buckets/b/collections/e", Kind: kinto.Record}
	movedGone     = kinto.List{Parent: "/buckets/gone/collections/c", Kind: kinto.Record}
	movedOwn      = kinto.List{Parent: "/buckets/b", Kind: kinto.Collection} // as far as one may
	movedHistory  = kinto.List{Parent: "/buckets/b", Kind: kinto.History}
)

const year5000 = 95617584000000

// Moved is such a database as statements for the tables of then, which both stores have
// alike. now is when it is brought up to date, in milliseconds.
func Moved(now int64) []string {
	entry := func(user, data string) string {
		return `{"date":"2026-11-27T00:00:00.000000+00:00","action":"update","uri":"/buckets/b","user_id":"` + user + `","resource_name":"record","collection_id":"c","record_id":"r","target":{"data":` + data + `,"permissions":{}}}`
	}
	return []string{
		fmt.Sprintf(`INSERT INTO lists (pk, parent, kind, ts, live, tombstones, bytes, files) VALUES
			(1, '', 'bucket', 9007199254740999, 4, 1, 8, 0), (2, 'me', 'account', %d, 1, 0, 2, 0), (3, '/buckets/b', 'collection', %d, 1, 0, 2, 0),
			(4, '/buckets/b/collections/c', 'record', 9007199254740995, 4, 1, 8, 7), (5, '/buckets/b/collections/d', 'record', %d, 4, 0, 8, 0),
			(6, '/buckets/b/collections/e', 'record', 9007199254740993, 0, 0, 0, 0), (7, '/buckets/b', 'history', %d, 4, 0, 9999, 0), (8, '#8', 'dead', 9007199254740999, 1, 0, 2, 0)`,
			now+1000*365*86_400_000, int64(year5000), int64(kinto.MaxTimestamp)+5, now-10),
		fmt.Sprintf(`INSERT INTO objects (list, id, ts, deleted, data, permissions) VALUES
			(1, 'old', 1000, false, '{}', ''), (1, 'hour', %d, false, '{}', ''), (1, 'days', %d, false, '{}', ''), (1, 'gone', 9007199254740991, true, '', ''), (1, 'b', 9007199254740999, false, '{}', '{"write":["me"]}'),
			(2, 'me', %d, false, '{}', ''), (3, 'c', %d, false, '{}', ''), (8, 'x', 9007199254740999, false, '{}', '')`,
			now+3_600_000, now+10*86_400_000, now+1000*365*86_400_000, int64(year5000)),
		fmt.Sprintf(`INSERT INTO objects (list, id, ts, deleted, data, permissions) VALUES
			(4, 'past', 1000, false, '{}', ''), (4, 'future', %d, false, '{}', ''), (4, 'z', 9007199254740991, false, '{}', ''), (4, 'y', 9007199254740993, true, '', ''), (4, 'x', 9007199254740995, false, '{}', ''),
			(5, 'a', %d, false, '{}', ''), (5, 'b', %d, false, '{}', ''), (5, 'c', %d, false, '{}', ''), (5, 'd', %d, false, '{}', '')`,
			int64(year5000), int64(kinto.MaxTimestamp), int64(kinto.MaxTimestamp)+2, int64(kinto.MaxTimestamp)+3, int64(kinto.MaxTimestamp)+5),
		fmt.Sprintf(`INSERT INTO objects (list, id, ts, deleted, data, permissions) VALUES
			(7, 'plain', %d, false, '%s', ''), (7, 'moved', %d, false, '%s', ''), (7, 'tombstone', %d, false, '%s', ''), (7, 'tricky', %d, false, '%s', '')`,
			now-40, entry("é", `{"id":"past","last_modified":1000,"n":{"last_modified":9007199254740991}}`),
			now-30, entry("é", `{"id":"z","last_modified":9007199254740991,"é":{"target":{"data":{"id":"z","last_modified":9007199254740991}}}}`),
			now-20, entry("me", `{"id":"y","last_modified":9007199254740993,"deleted":true}`),
			now-10, entry(`x\"target\":{\"data\":{\"id\":\"`, `{"id":"x","last_modified":9007199254740995,"s":"\"target\":{\"data\":{\"id\":\"x\",\"last_modified\":9007199254740995"}`)),
		`INSERT INTO files (location, list, id, hash, size, type, name) VALUES ('x.txt', 4, 'x', 'h', 7, 'text/plain', 'x')`,
		`INSERT INTO floors (parent, kind, ts) VALUES ('/buckets/gone/collections/c', 'record', 9007199254740991)`,
	}
}

// CheckHealed looks at such a database once a store has brought it up to date, at now or
// a little later: every list is where it can go on, in its order; what could stay did.
func CheckHealed(t *testing.T, db kinto.Store, now int64) {
	t.Helper()
	const day = 86_400_000
	soon := func(ts int64) bool { return ts >= now && ts <= time.Now().UnixMilli()+1000 }
	near := func(ts int64) bool { return ts >= now && ts < now+day }
	for _, c := range []struct {
		list   kinto.List
		order  []string // the newest first; -id is a tombstone
		kept   map[string]int64
		former int64
		stands func(int64) bool
	}{
		{movedBuckets, []string{"b", "-gone", "days", "hour", "old"}, map[string]int64{"old": 1000, "hour": now + 3_600_000}, 9007199254741000, near},
		{movedAccount, []string{"me"}, nil, now + 1000*365*day + 1, soon},
		{movedRecords, []string{"x", "-y", "z", "future", "past"}, map[string]int64{"past": 1000, "future": year5000}, 9007199254740996, func(ts int64) bool { return ts == year5000+3 }},
		{countedBeyond, []string{"d", "c", "b", "a"}, map[string]int64{"a": kinto.MaxTimestamp, "b": kinto.MaxTimestamp + 1, "c": kinto.MaxTimestamp + 2, "d": kinto.MaxTimestamp + 3}, kinto.MaxTimestamp + 6, func(ts int64) bool { return ts == kinto.MaxTimestamp+3 }},
		{movedEmpty, []string{}, nil, 9007199254740994, soon},
		{movedOwn, []string{"c"}, map[string]int64{"c": year5000}, -1, func(ts int64) bool { return ts == year5000 }},
	} {
		stands, ok := timestamp(t, db, c.list)
		if !ok || !c.stands(stands) {
			t.Errorf("%v stands at %d", c.list, stands)
		}
		read(t, db, func(tx kinto.Reader) error {
			all := kinto.Everything()
			all.Tombstones = true
			found, _, err := tx.Select(c.list, all)
			if diff := cmp.Diff(c.order, ids(found)); diff != "" {
				t.Errorf("%v: %s", c.list, diff)
			}
			for i, o := range found {
				if want, ok := c.kept[o.ID]; ok && want != o.Timestamp {
					t.Errorf("%v: %s is at %d, want %d", c.list, o.ID, o.Timestamp, want)
				}
				if i > 0 && o.Timestamp >= found[i-1].Timestamp || o.Timestamp > stands {
					t.Errorf("%v: %s is at %d, of %d", c.list, o.ID, o.Timestamp, stands)
				}
			}
			if former, err := tx.Former(c.list); former != c.former {
				t.Errorf("%v: formerly %d, want %d (%v)", c.list, former, c.former, err)
			}
			return err
		})
		if next := tick(t, db, c.list, -1); next <= stands || next > max(stands+1, time.Now().UnixMilli()) {
			t.Errorf("%v: %d after %d", c.list, next, stands)
		}
	}
	if began := tick(t, db, movedGone, -1); !soon(began) {
		t.Errorf("a list that was purged began again at %d", began)
	}
	size := 0
	read(t, db, func(tx kinto.Reader) error {
		size = 0
		for id, want := range map[string]string{
			"plain":     `{"id":"past","last_modified":1000,"n":{"last_modified":9007199254740991}}`,
			"moved":     fmt.Sprintf(`{"id":"z","last_modified":%d,"é":{"target":{"data":{"id":"z","last_modified":9007199254740991}}}}`, now-30),
			"tombstone": fmt.Sprintf(`{"id":"y","last_modified":%d,"deleted":true}`, now-20),
			"tricky":    fmt.Sprintf(`{"id":"x","last_modified":%d,"s":"\"target\":{\"data\":{\"id\":\"x\",\"last_modified\":9007199254740995"}`, now-10),
		} {
			o, err := tx.Get(movedHistory, id)
			if err != nil {
				return err
			}
			size += len(o.Data)
			if at := slices.Index([]string{"tricky", "tombstone", "moved", "plain"}, id); o.Timestamp != now-10*int64(at+1) {
				t.Errorf("entry %s is at %d", id, o.Timestamp)
			}
			if got := string(o.Data); !cmp.Equal(got[len(got)-len(want)-len(`,"permissions":{}}}`):], want+`,"permissions":{}}}`) {
				t.Errorf("entry %s: %s", id, got)
			}
		}
		f, err := tx.File("x.txt")
		if f == nil {
			t.Error("the file is gone")
		}
		return err
	})
	write(t, db, func(tx kinto.Tx) error {
		if err := tx.SetOwner("/buckets/b", "somebody"); err != nil {
			return err
		}
		bucket, err := tx.Get(kinto.List{Kind: kinto.Bucket}, "b")
		if err != nil {
			return err
		}
		want := int64(0)
		if bucket != nil {
			want = kinto.Weight(kinto.Bucket, bucket)
		}
		for _, k := range []kinto.Kind{kinto.Collection, kinto.Group, kinto.Record, kinto.History} {
			lists, err := tx.Lists(k)
			if err != nil {
				return err
			}
			for _, l := range lists {
				all := kinto.Everything()
				all.Tombstones = true
				found, _, err := tx.Select(l, all)
				if err != nil {
					return err
				}
				for i := range found {
					want += kinto.Weight(k, &found[i])
				}
			}
		}
		u, err := tx.Usage("somebody")
		if u.Bytes != want || want < int64(size) {
			t.Errorf("%d bytes are counted, want %d", u.Bytes, want)
		}
		return err
	})
}

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
