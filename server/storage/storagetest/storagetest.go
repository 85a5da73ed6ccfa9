// Package storagetest says what every kinto.Store promises, as a suite of tests:
// call Run from the store's own tests with a function that makes an empty one.
//
// It also holds the two halves of the crash test (crash.go): Scribe writes from many
// goroutines and tells of every write that was answered, until it is killed;
// Audit looks, in what is left, for every write that was told of.
package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/server/kinto"
)

var (
	buckets = kinto.List{Kind: kinto.Bucket}
	records = kinto.List{Parent: "/buckets/b/collections/c", Kind: kinto.Record}
	others  = kinto.List{Parent: "/buckets/b/collections/d", Kind: kinto.Record}
)

// Run runs the suite; open returns an empty store, which it closes with the test.
func Run(t *testing.T, open func(*testing.T) kinto.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, kinto.Store)
	}{
		{"PutAndGet", putAndGet},
		{"Ticks", ticks},
		{"Touch", touch},
		{"Collision", collision},
		{"RollBack", rollBack},
		{"Panic", panics},
		{"Snapshot", snapshot},
		{"OneMoment", oneMoment},
		{"ReadYourWrites", readYourWrites},
		{"Select", selects},
		{"SelectAgain", selectAgain},
		{"Granted", granted},
		{"Pages", pages},
		{"Groups", groups},
		{"Purge", purge},
		{"PurgeEverything", purgeEverything},
		{"PurgeAhead", purgeAhead},
		{"Former", former},
		{"Meta", meta},
		{"Watch", watch},
		{"Lists", lists},
		{"Grants", grants},
		{"Counters", counters},
		{"Usage", usage},
		{"Notes", notes},
		{"Files", files},
		{"OneWins", oneWins},
		{"Cancelled", cancelled},
		{"ManyWriters", manyWriters},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, open(t))
		})
	}
}

func write(t *testing.T, s kinto.Store, fn func(kinto.Tx) error) {
	t.Helper()
	if err := s.Write(t.Context(), nil, fn); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, s kinto.Store, fn func(kinto.Reader) error) {
	t.Helper()
	if err := s.Read(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// put writes one object with a fresh timestamp.
func put(tx kinto.Tx, l kinto.List, id, data string) (int64, error) {
	old, err := tx.Get(l, id)
	if err != nil {
		return 0, err
	}
	ts, err := tx.Tick(l, -1)
	if err != nil {
		return 0, err
	}
	return ts, tx.Put(l, &kinto.Object{ID: id, Timestamp: ts, Data: []byte(data)}, old)
}

func mustPut(t *testing.T, s kinto.Store, l kinto.List, id, data string) (ts int64) {
	t.Helper()
	write(t, s, func(tx kinto.Tx) (err error) {
		ts, err = put(tx, l, id, data)
		return err
	})
	return ts
}

func get(t *testing.T, s kinto.Store, l kinto.List, id string) (o *kinto.Object) {
	t.Helper()
	read(t, s, func(tx kinto.Reader) (err error) {
		o, err = tx.Get(l, id)
		return err
	})
	return o
}

func putAndGet(t *testing.T, s kinto.Store) {
	data := `{"é":"\u0000 \ud83d","n":12345678901234567890.10}`
	permissions := kinto.Permissions{"write": {"a", "b"}, "read": {"system.Everyone"}}.Encode()
	o := &kinto.Object{ID: "r", Data: []byte(data), Permissions: permissions}
	write(t, s, func(tx kinto.Tx) (err error) {
		if o.Timestamp, err = tx.Tick(records, -1); err != nil {
			return err
		}
		return tx.Put(records, o, nil)
	})
	if diff := cmp.Diff(o, get(t, s, records, "r")); diff != "" {
		t.Error(diff)
	}
	for _, l := range []kinto.List{others, {Parent: records.Parent, Kind: kinto.Collection}} {
		if o := get(t, s, l, "r"); o != nil {
			t.Errorf("%v has %v", l, o)
		}
	}
	big := `{"x":"` + strings.Repeat("x", 3<<20) + `"}`
	mustPut(t, s, records, "big", big)
	if got := get(t, s, records, "big"); string(got.Data) != big {
		t.Error("a large object did not come back")
	}
	mustPut(t, s, records, "r", `{}`)
	if got := get(t, s, records, "r"); string(got.Data) != `{}` || len(got.Permissions) != 0 {
		t.Errorf("replaced: %+v", got)
	}
	write(t, s, func(tx kinto.Tx) error {
		old, err := tx.Get(records, "r")
		if err != nil {
			return err
		}
		ts, err := tx.Tick(records, -1)
		if err != nil {
			return err
		}
		return tx.Put(records, &kinto.Object{ID: "r", Timestamp: ts, Deleted: true}, old)
	})
	if o := get(t, s, records, "r"); o != nil {
		t.Errorf("deleted, yet there: %v", o)
	}
	mustPut(t, s, records, "r", `{"again":1}`)
	if o := get(t, s, records, "r"); string(o.Data) != `{"again":1}` {
		t.Errorf("made again: %v", o)
	}
}

func tick(t *testing.T, s kinto.Store, l kinto.List, want int64) (ts int64) {
	t.Helper()
	write(t, s, func(tx kinto.Tx) (err error) {
		ts, err = tx.Tick(l, want)
		return err
	})
	return ts
}

func timestamp(t *testing.T, s kinto.Store, l kinto.List) (ts int64, ok bool) {
	t.Helper()
	read(t, s, func(tx kinto.Reader) (err error) {
		ts, ok, err = tx.Timestamp(l)
		return err
	})
	return ts, ok
}

// ticks is the protocol's §6.
func ticks(t *testing.T, s kinto.Store) {
	if _, ok := timestamp(t, s, records); ok {
		t.Error("a list nobody touched has a timestamp")
	}
	start := time.Now().UnixMilli()
	last := tick(t, s, records, -1)
	if now := time.Now().UnixMilli(); last < start || last > now {
		t.Errorf("the first tick is %d, now %d", last, now)
	}
	for range 50 {
		ts := tick(t, s, records, -1)
		if ts <= last {
			t.Fatalf("%d after %d", ts, last)
		}
		last = ts
	}
	// As far ahead as the clock would be behind after it went back an hour.
	ahead := last + 3_600_000
	for _, c := range []struct {
		name       string
		want, tick int64
		list       int64
	}{
		{"past", 1000, 1000, last},
		{"zero", 0, 0, last},
		{"future", ahead, ahead, ahead},
		{"clock behind the list", -1, ahead + 1, ahead + 1},
		{"equal", ahead + 1, ahead + 2, ahead + 2},
		{"just before", ahead + 1, ahead + 1, ahead + 2},
	} {
		if ts := tick(t, s, records, c.want); ts != c.tick {
			t.Errorf("%s: %d, want %d", c.name, ts, c.tick)
		}
		if ts, _ := timestamp(t, s, records); ts != c.list {
			t.Errorf("%s: list at %d, want %d", c.name, ts, c.list)
		}
	}
	if ts, ok := timestamp(t, s, others); ok {
		t.Errorf("another list moved to %d", ts)
	}
	// The first write to a list may be of the past: the list begins at now.
	if ts := tick(t, s, others, 1000); ts != 1000 {
		t.Errorf("first tick into the past: %d", ts)
	}
	if ts, _ := timestamp(t, s, others); ts < start {
		t.Errorf("the list began at %d", ts)
	}
}

func touch(t *testing.T, s kinto.Store) {
	var first, again int64
	write(t, s, func(tx kinto.Tx) (err error) {
		first, err = tx.Touch(records)
		return err
	})
	write(t, s, func(tx kinto.Tx) (err error) {
		again, err = tx.Touch(records)
		return err
	})
	if kept, ok := timestamp(t, s, records); !ok || first != again || kept != first || first < 1e12 {
		t.Errorf("touched: %d, %d, %d", first, again, kept)
	}
	if ts := tick(t, s, records, -1); ts <= first {
		t.Errorf("%d after %d", ts, first)
	}
}

func collision(t *testing.T, s kinto.Store) {
	at := func(id string, ts int64) error {
		return s.Write(t.Context(), nil, func(tx kinto.Tx) error {
			ts, err := tx.Tick(records, ts)
			if err != nil {
				return err
			}
			old, err := tx.Get(records, id)
			if err != nil {
				return err
			}
			return tx.Put(records, &kinto.Object{ID: id, Timestamp: ts, Data: []byte(`{}`)}, old)
		})
	}
	if err := at("a", 1000); err != nil {
		t.Fatal(err)
	}
	if err := at("b", 1000); !errors.Is(err, kinto.ErrConflict) {
		t.Errorf("two objects at one timestamp: %v", err)
	}
	if o := get(t, s, records, "b"); o != nil {
		t.Errorf("kept nonetheless: %v", o)
	}
	if err := at("a", 1000); err != nil {
		t.Errorf("the object itself may keep it: %v", err)
	}
}

func rollBack(t *testing.T, s kinto.Store) {
	kept := mustPut(t, s, records, "kept", `{}`)
	no := errors.New("no")
	err := s.Write(t.Context(), nil, func(tx kinto.Tx) error {
		for _, l := range []kinto.List{records, others, buckets} {
			if _, err := put(tx, l, "lost", `{}`); err != nil {
				return err
			}
		}
		if err := tx.SetMeta("lost", []byte("x")); err != nil {
			return err
		}
		if err := tx.Purge("/buckets/b"); err != nil {
			return err
		}
		return no
	})
	if !errors.Is(err, no) {
		t.Fatalf("got %v", err)
	}
	for _, l := range []kinto.List{records, others, buckets} {
		if o := get(t, s, l, "lost"); o != nil {
			t.Errorf("%v kept %v", l, o)
		}
	}
	if o := get(t, s, records, "kept"); o == nil {
		t.Error("what was there is gone")
	}
	if ts, _ := timestamp(t, s, records); ts != kept {
		t.Errorf("the list's timestamp moved from %d to %d", kept, ts)
	}
	if _, ok := timestamp(t, s, others); ok {
		t.Error("a list stayed")
	}
	read(t, s, func(tx kinto.Reader) error {
		value, err := tx.Meta("lost")
		if value != nil {
			t.Errorf("meta: %s", value)
		}
		return err
	})
	if ts := mustPut(t, s, others, "next", `{}`); ts == 0 {
		t.Error("no timestamp after a rollback")
	}
	if o := get(t, s, others, "next"); o == nil {
		t.Error("what was written after a rollback is not there")
	}
}

func panics(t *testing.T, s kinto.Store) {
	func() {
		defer func() {
			if p := recover(); p != "bug" {
				t.Errorf("recovered %v", p)
			}
		}()
		_ = s.Write(t.Context(), nil, func(tx kinto.Tx) error {
			if _, err := put(tx, records, "lost", `{}`); err != nil {
				return err
			}
			panic("bug")
		})
	}()
	if get(t, s, records, "lost") != nil {
		t.Error("half a write was kept")
	}
	mustPut(t, s, records, "next", `{}`)
}

// snapshot: while writers go on, a reader's timestamp and rows are of one moment.
func snapshot(t *testing.T, s kinto.Store) {
	mustPut(t, s, records, "r", `{}`)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				err := s.Write(context.Background(), nil, func(tx kinto.Tx) error {
					_, err := put(tx, records, fmt.Sprintf("r%d", i%7), `{}`)
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 200 {
		read(t, s, func(tx kinto.Reader) error {
			ts, _, err := tx.Timestamp(records)
			if err != nil {
				return err
			}
			all, _, err := tx.Select(records, kinto.Everything())
			if err == nil && all[0].Timestamp != ts {
				t.Errorf("the list is at %d, its newest object at %d", ts, all[0].Timestamp)
			}
			return err
		})
	}
	close(stop)
	wg.Wait()
}

// oneMoment: whatever a reader reads first, the rest is of the same moment.
func oneMoment(t *testing.T, s kinto.Store) {
	for name, first := range map[string]func(kinto.Reader) error{
		"an object": func(tx kinto.Reader) error { _, err := tx.Get(records, "r"); return err },
		"no object": func(tx kinto.Reader) error { _, err := tx.Get(records, "none"); return err },
		"two objects": func(tx kinto.Reader) error {
			_, err := tx.Get(records, "r")
			_, err2 := tx.Get(others, "r")
			return errors.Join(err, err2)
		},
		"a timestamp":   func(tx kinto.Reader) error { _, _, err := tx.Timestamp(records); return err },
		"a list":        func(tx kinto.Reader) error { _, _, err := tx.Select(records, kinto.Everything()); return err },
		"a count":       func(tx kinto.Reader) error { _, err := tx.Count(records, kinto.Everything()); return err },
		"a fact":        func(tx kinto.Reader) error { _, err := tx.Meta("x"); return err },
		"a note":        func(tx kinto.Reader) error { _, err := tx.Note("x"); return err },
		"what is used":  func(tx kinto.Reader) error { _, err := tx.Usage("x"); return err },
		"an attachment": func(tx kinto.Reader) error { _, err := tx.File("x"); return err },
	} {
		for _, l := range []kinto.List{records, others} {
			mustPut(t, s, l, "r", `{"run":0}`)
		}
		// The function may be run more than once, and finds then what it wrote itself before.
		run, wrong := 0, []string(nil)
		read(t, s, func(tx kinto.Reader) error {
			before := fmt.Sprintf(`{"run":%d}`, run)
			wrong = nil
			if err := first(tx); err != nil {
				return err
			}
			run++
			for _, l := range []kinto.List{records, others} {
				mustPut(t, s, l, "r", fmt.Sprintf(`{"run":%d}`, run))
				mustPut(t, s, l, fmt.Sprintf("%s, %d", name, run), `{}`)
			}
			for _, l := range []kinto.List{others, records} {
				o, err := tx.Get(l, "r")
				if err != nil {
					return err
				}
				if o == nil || string(o.Data) != before {
					wrong = append(wrong, fmt.Sprintf("the object is %v", o))
				}
				ts, _, err := tx.Timestamp(l)
				if err != nil {
					return err
				}
				found, _, err := tx.Select(l, kinto.Everything())
				if err != nil {
					return err
				}
				if len(found) == 0 || found[0].Timestamp != ts || run == 1 && found[0].ID != "r" {
					wrong = append(wrong, fmt.Sprintf("the list is at %d and has %v", ts, found))
				}
			}
			return nil
		})
		for _, w := range wrong {
			t.Errorf("after %s, in run %d: %s", name, run, w)
		}
	}
}

// readYourWrites: what was answered is seen by every later read, whatever is cached.
func readYourWrites(t *testing.T, s kinto.Store) {
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			id := fmt.Sprintf("b%d", g)
			for i := range 40 {
				want := fmt.Sprintf(`{"i":%d}`, i)
				mustPut(t, s, buckets, id, want)
				if got := get(t, s, buckets, id); got == nil || string(got.Data) != want {
					t.Errorf("wrote %s, read %v", want, got)
				}
				// and by a later transaction
				write(t, s, func(tx kinto.Tx) error {
					got, err := tx.Get(buckets, id)
					if got == nil || string(got.Data) != want {
						t.Errorf("wrote %s, a transaction read %v", want, got)
					}
					return err
				})
			}
		})
	}
	wg.Wait()
}

func ids(objects []kinto.Object) []string {
	out := []string{}
	for _, o := range objects {
		id := o.ID
		if o.Deleted {
			id = "-" + id
		}
		out = append(out, id)
	}
	return out
}

func selects(t *testing.T, s kinto.Store) {
	var ts [5]int64
	for i, id := range []string{"a", "b", "c", "d"} {
		ts[i] = mustPut(t, s, records, id, `{}`)
	}
	write(t, s, func(tx kinto.Tx) error {
		old, err := tx.Get(records, "b")
		if err != nil {
			return err
		}
		if ts[4], err = tx.Tick(records, -1); err != nil {
			return err
		}
		return tx.Put(records, &kinto.Object{ID: "b", Timestamp: ts[4], Deleted: true}, old)
	})
	sizes := func(tx kinto.Reader, objects, least int) error {
		n, bytes, err := tx.Size(records)
		if n != objects || bytes < least || bytes > least+1000 {
			t.Errorf("the size is %d objects and %d bytes, not %d and about %d", n, bytes, objects, least)
		}
		return err
	}
	read(t, s, func(tx kinto.Reader) error { return sizes(tx, 4, 6) })
	none := errors.New("nothing is kept")
	err := s.Write(t.Context(), nil, func(tx kinto.Tx) error {
		text := strings.Repeat("x", 10_000)
		if _, err := put(tx, records, "e", `{"a":"`+text+`"}`); err != nil {
			return err
		}
		return errors.Join(sizes(tx, 5, 10_006), none)
	})
	if !errors.Is(err, none) {
		t.Error(err)
	}
	read(t, s, func(tx kinto.Reader) error { return sizes(tx, 4, 6) })
	for _, c := range []struct {
		name string
		q    kinto.Query
		want []string
	}{
		{"all", kinto.Everything(), []string{"d", "c", "a"}},
		{"with tombstones", kinto.Query{Since: -1, Before: -1, Tombstones: true}, []string{"-b", "d", "c", "a"}},
		{"since", kinto.Query{Since: ts[2], Before: -1, Tombstones: true}, []string{"-b", "d"}},
		{"before", kinto.Query{Since: -1, Before: ts[2]}, []string{"a"}},
		{"between", kinto.Query{Since: ts[0], Before: ts[4]}, []string{"d", "c"}},
		{"limit", kinto.Query{Since: -1, Before: -1, Limit: 2}, []string{"d", "c"}},
		{"nothing", kinto.Query{Since: ts[4], Before: -1, Tombstones: true}, []string{}},
	} {
		read(t, s, func(tx kinto.Reader) error {
			got, _, err := tx.Select(records, c.q)
			if diff := cmp.Diff(c.want, ids(got)); diff != "" {
				t.Errorf("%s: %s", c.name, diff)
			}
			if err != nil {
				return err
			}
			n, err := tx.Count(records, c.q)
			c.q.Limit = 0
			all, _, err2 := tx.Select(records, c.q)
			if n != len(all) {
				t.Errorf("%s: counted %d", c.name, n)
			}
			return errors.Join(err, err2)
		})
	}
	read(t, s, func(tx kinto.Reader) error {
		got, _, err := tx.Select(others, kinto.Everything())
		n, err2 := tx.Count(others, kinto.Everything())
		if len(got) != 0 || n != 0 {
			t.Errorf("a list that never was: %v, %d", got, n)
		}
		objects, bytes, err3 := tx.Size(others)
		if objects != 0 || bytes != 0 {
			t.Errorf("the size of a list that never was: %d, %d", objects, bytes)
		}
		return errors.Join(err, err2, err3)
	})
}

// groups: who is in which group is known as soon as it is answered.
func groups(t *testing.T, s kinto.Store) {
	in := func(bucket string) kinto.List { return kinto.List{Parent: "/buckets/" + bucket, Kind: kinto.Group} }
	of := func(members ...string) (uris []string) {
		t.Helper()
		read(t, s, func(tx kinto.Reader) (err error) {
			uris, err = tx.Groups(members...)
			return err
		})
		return uris
	}
	check := func(want []string, members ...string) {
		t.Helper()
		if got := of(members...); !slices.Equal(got, want) {
			t.Errorf("%v: %v, want %v", members, got, want)
		}
	}
	check(nil, "ann")
	mustPut(t, s, in("b"), "g", `{"members":["ann","bob","ann",1]}`)
	mustPut(t, s, in("a"), "h", `{"members":["ann"]}`)
	mustPut(t, s, in("b"), "none", `{}`)
	mustPut(t, s, records, "r", `{"members":["ann"]}`)
	check([]string{"/buckets/a/groups/h", "/buckets/b/groups/g"}, "ann")
	check([]string{"/buckets/a/groups/h", "/buckets/b/groups/g"}, "ann", "bob", "")
	check([]string{"/buckets/b/groups/g"}, "bob")
	mustPut(t, s, in("b"), "g", `{"members":["bob"]}`)
	check([]string{"/buckets/a/groups/h"}, "ann")
	write(t, s, func(tx kinto.Tx) error { return tx.Purge("/buckets/a") })
	check(nil, "ann")
	write(t, s, func(tx kinto.Tx) error {
		old, err := tx.Get(in("b"), "g")
		if err != nil {
			return err
		}
		ts, err := tx.Tick(in("b"), -1)
		if err != nil {
			return err
		}
		if err := tx.Put(in("b"), &kinto.Object{ID: "g", Timestamp: ts, Deleted: true}, old); err != nil {
			return err
		}
		got, err := tx.Groups("bob")
		if len(got) > 0 {
			t.Errorf("in the transaction: %v", got)
		}
		return err
	})
	check(nil, "bob")
}

// pages: whatever the order, filters and size of a page, the pages together are the
// whole, in order.
func pages(t *testing.T, s kinto.Store) {
	write(t, s, func(tx kinto.Tx) error {
		for i := range 60 {
			data := []string{`{}`, `{"a":null}`, `{"a":"x"}`, `{"a":2,"b":{"c":1}}`, `{"a":10,"b":{"c":"z"}}`, `{"a":true}`}[i%6]
			if _, err := put(tx, records, fmt.Sprintf("r%02d", i), data); err != nil {
				return err
			}
		}
		return nil
	})
	filter := func(name, value string) kinto.Filter {
		f, err := kinto.ParseFilter(name, []string{value})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for _, c := range []struct {
		sort  string
		ids   []string
		where []kinto.Filter
		n     int
		first string
	}{
		{"", nil, nil, 60, "r59"},
		{"last_modified", nil, nil, 60, "r00"},
		{"id", nil, nil, 60, "r00"},
		{"-id", nil, nil, 60, "r59"},
		{"a", nil, nil, 60, "r55"},                // null first
		{"-a,last_modified", nil, nil, 60, "r00"}, // missing first
		{"-b.c,a", nil, nil, 60, "r55"},
		{"a", nil, []kinto.Filter{filter("gt_a", "2")}, 30, "r58"},
		{"", nil, []kinto.Filter{filter("a", "x"), filter("gt_id", "r20")}, 6, "r56"},
		{"", []string{"r07", "r03", "no", "r03"}, nil, 2, "r07"},
		{"last_modified", []string{"r07", "r03"}, nil, 2, "r03"},
		{"a", []string{"r07", "r03"}, []kinto.Filter{filter("has_b", "true")}, 1, "r03"},
	} {
		for _, limit := range []int{0, 1, 7, 60, 61} {
			q := kinto.Everything()
			q.Sort, q.IDs, q.Filters, q.Limit = kinto.ParseSort(c.sort), c.ids, c.where, limit
			var got []kinto.Object
			read(t, s, func(tx kinto.Reader) error {
				n, err := tx.Count(records, q)
				if n != c.n {
					t.Errorf("%+v: counted %d", c, n)
				}
				for more := true; more && err == nil; {
					var found []kinto.Object
					if found, more, err = tx.Select(records, q); err != nil {
						break
					}
					if more != (limit > 0 && len(got)+len(found) < c.n) || limit > 0 && len(found) > limit {
						t.Fatalf("%+v by %d: %d found after %d, more %v", c, limit, len(found), len(got), more)
					}
					got = append(got, found...)
					if more {
						next := q.Position(&found[len(found)-1])
						q.After = nil
						if !q.Continue(next) {
							t.Fatalf("%s is no position", next)
						}
					}
				}
				return err
			})
			seen := map[string]bool{}
			for _, o := range got {
				seen[o.ID] = true
			}
			if len(got) != c.n || len(seen) != c.n || got[0].ID != c.first {
				t.Errorf("%+v by %d: %v", c, limit, ids(got))
			}
		}
	}
}

func granted(t *testing.T, s kinto.Store) {
	grant := func(id string, p kinto.Permissions, deleted bool) {
		t.Helper()
		write(t, s, func(tx kinto.Tx) error {
			old, err := tx.Get(records, id)
			if err != nil {
				return err
			}
			ts, err := tx.Tick(records, -1)
			if err != nil {
				return err
			}
			return tx.Put(records, &kinto.Object{ID: id, Timestamp: ts, Data: []byte(`{}`), Permissions: p.Encode(), Deleted: deleted}, old)
		})
	}
	sees := func(principals, permissions []string) []string {
		var out []string
		read(t, s, func(tx kinto.Reader) error {
			q := kinto.Everything()
			q.Tombstones = true
			q.Granted = &kinto.Grant{Principals: principals, Permissions: permissions}
			got, _, err := tx.Select(records, q)
			if err != nil {
				return err
			}
			out = ids(got)
			n, err := tx.Count(records, q)
			if n != len(out) {
				t.Errorf("counted %d of %v", n, out)
			}
			return err
		})
		return out
	}
	grant("a", kinto.Permissions{"write": {"ann"}, "read": {"bob"}}, false)
	grant("b", kinto.Permissions{"read": {"ann", `quo"te`}}, false)
	grant("c", nil, false)
	for _, c := range []struct {
		principals, permissions, want []string
	}{
		{[]string{"ann"}, []string{"read", "write"}, []string{"b", "a"}},
		{[]string{"ann"}, []string{"write"}, []string{"a"}},
		{[]string{"bob", "ann"}, []string{"read"}, []string{"b", "a"}},
		{[]string{`quo"te`}, []string{"read"}, []string{"b"}},
		{[]string{"eve"}, []string{"read", "write"}, []string{}},
		{[]string{"ann"}, nil, []string{}},
		{nil, []string{"read"}, []string{}},
	} {
		if diff := cmp.Diff(c.want, sees(c.principals, c.permissions)); diff != "" {
			t.Errorf("%v %v: %s", c.principals, c.permissions, diff)
		}
	}
	grant("a", kinto.Permissions{"write": {"bob"}}, false)
	if got := sees([]string{"ann"}, []string{"read", "write"}); !slices.Equal(got, []string{"b"}) {
		t.Errorf("after it was taken away: %v", got)
	}
	grant("b", nil, true)
	if got := sees([]string{"ann"}, []string{"read", "write"}); len(got) != 0 {
		t.Errorf("after the deletion: %v", got)
	}
}

func purge(t *testing.T, s kinto.Store) {
	lists := []kinto.List{
		{Parent: "/buckets/b", Kind: kinto.Collection},
		records, others,
		{Parent: "/buckets/b2", Kind: kinto.Collection},
		{Parent: "/buckets/b-", Kind: kinto.Collection},
		{Parent: "/buckets/b0", Kind: kinto.Collection},
		buckets,
	}
	for _, l := range lists {
		for i := range 3 {
			mustPut(t, s, l, fmt.Sprintf("o%d", i), `{}`)
		}
		get(t, s, l, "o1")
	}
	before, _ := timestamp(t, s, records)
	write(t, s, func(tx kinto.Tx) error {
		if err := tx.Purge("/buckets/b"); err != nil {
			return err
		}
		o, err := tx.Get(lists[0], "o1")
		if o != nil {
			t.Error("the transaction itself still sees it")
		}
		return err
	})
	for i, l := range lists {
		gone := i < 3
		if o := get(t, s, l, "o1"); (o == nil) != gone {
			t.Errorf("%v: %v", l, o)
		}
		if _, ok := timestamp(t, s, l); ok == gone {
			t.Errorf("%v: has a timestamp: %v", l, ok)
		}
	}
	after := mustPut(t, s, records, "new", `{}`)
	if after <= before {
		t.Errorf("began again at %d, was at %d", after, before)
	}
	read(t, s, func(tx kinto.Reader) error {
		got, _, err := tx.Select(records, kinto.Query{Since: -1, Before: -1, Tombstones: true})
		if diff := cmp.Diff([]string{"new"}, ids(got)); diff != "" {
			t.Error(diff)
		}
		return err
	})
}

func meta(t *testing.T, s kinto.Store) {
	value := func(name string) (v []byte) {
		read(t, s, func(tx kinto.Reader) (err error) {
			v, err = tx.Meta(name)
			return err
		})
		return v
	}
	set := func(name string, v []byte) {
		write(t, s, func(tx kinto.Tx) error { return tx.SetMeta(name, v) })
	}
	if v := value("x"); v != nil {
		t.Errorf("%q", v)
	}
	for _, v := range [][]byte{[]byte("one"), {0, 255}, {}} {
		set("x", v)
		if got := value("x"); string(got) != string(v) || got == nil {
			t.Errorf("set %q, got %q", v, got)
		}
	}
	set("x", nil)
	if v := value("x"); v != nil {
		t.Errorf("forgotten: %q", v)
	}
}

// cancelled: a write whose caller gave up in time is not done, and the next one is.
func cancelled(t *testing.T, s kinto.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var wg sync.WaitGroup
	hold, held := make(chan struct{}), make(chan struct{})
	wg.Go(func() {
		write(t, s, func(kinto.Tx) error {
			close(held)
			<-hold
			return nil
		})
	})
	<-held
	err := s.Write(ctx, nil, func(tx kinto.Tx) error {
		_, err := put(tx, records, "late", `{}`)
		return err
	})
	close(hold)
	wg.Wait()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	mustPut(t, s, records, "next", `{}`)
	if get(t, s, records, "late") != nil {
		t.Error("it was written after its caller gave up")
	}
}

// manyWriters: no timestamp twice, none lost, one bad job harms nobody.
func manyWriters(t *testing.T, s kinto.Store) {
	const writers, each = 32, 40
	no := errors.New("no")
	seen := make([][]int64, writers)
	var wg sync.WaitGroup
	for g := range writers {
		wg.Go(func() {
			for i := range each {
				bad := (g+i)%5 == 0
				var ts int64
				err := s.Write(context.Background(), nil, func(tx kinto.Tx) (err error) {
					if ts, err = put(tx, records, fmt.Sprintf("r%d-%d", g, i), `{}`); err == nil && bad {
						err = no
					}
					return err
				})
				switch {
				case bad && !errors.Is(err, no), !bad && err != nil:
					t.Errorf("got %v", err)
				case !bad:
					seen[g] = append(seen[g], ts)
				}
			}
			if !slices.IsSorted(seen[g]) {
				t.Error("a writer's timestamps go back")
			}
		})
	}
	wg.Wait()
	all := slices.Sorted(slices.Values(slices.Concat(seen...)))
	if n := len(slices.Compact(slices.Clone(all))); n != len(all) {
		t.Errorf("%d timestamps for %d writes", n, len(all))
	}
	read(t, s, func(tx kinto.Reader) error {
		n, err := tx.Count(records, kinto.Everything())
		if n != len(all) {
			t.Errorf("%d objects of %d", n, len(all))
		}
		return err
	})
}

// selectAgain: whatever a list was asked before, the answer is of now.
func selectAgain(t *testing.T, s kinto.Store) {
	for i := range 40 {
		mustPut(t, s, records, fmt.Sprintf("r%02d", i), fmt.Sprintf(`{"n":%d}`, i*7%40))
	}
	even, err := kinto.ParseFilter("in_n", []string{"0,2,4,6,8,10,12"})
	if err != nil {
		t.Fatal(err)
	}
	queries := map[string]kinto.Query{
		"all": kinto.Everything(), "oldest": kinto.Everything(), "by n": kinto.Everything(), "filtered": kinto.Everything(), "since": kinto.Everything(), "ten": kinto.Everything(), "tombstones": kinto.Everything(),
	}
	for name, q := range queries {
		switch name {
		case "oldest":
			q.Sort = kinto.ParseSort("last_modified")
		case "by n":
			q.Sort = kinto.ParseSort("n")
		case "filtered":
			q.Filters = []kinto.Filter{even}
		case "since":
			read(t, s, func(tx kinto.Reader) error {
				o, err := tx.Get(records, "r05")
				q.Since = o.Timestamp
				return err
			})
		case "ten":
			q.Limit = 10
		case "tombstones":
			q.Tombstones = true
		}
		queries[name] = q
	}
	ask := func() map[string]string {
		out := map[string]string{}
		for name, q := range queries {
			read(t, s, func(tx kinto.Reader) error {
				found, more, err := tx.Select(records, q)
				var text strings.Builder
				text.WriteString(fmt.Sprint(more))
				for i := range found {
					text.WriteString(string(found[i].AppendJSON(nil)))
				}
				out[name] = text.String()
				return err
			})
		}
		return out
	}
	first := ask()
	if diff := cmp.Diff(first, ask()); diff != "" {
		t.Errorf("asked twice: %s", diff)
	}
	for name, text := range first {
		for other, same := range first {
			if name != other && text == same && !(name == "all" && other == "tombstones" || name == "tombstones" && other == "all") {
				t.Errorf("%s and %s are answered the same", name, other)
			}
		}
	}
	// Each kind of change shows in every answer it concerns, also one that leaves
	// the list's timestamp and the number of bytes as they are.
	past := func(id, data string, ts int64) func(kinto.Tx) error {
		return func(tx kinto.Tx) error {
			old, err := tx.Get(records, id)
			if err != nil {
				return err
			}
			if ts, err = tx.Tick(records, ts); err != nil {
				return err
			}
			return tx.Put(records, &kinto.Object{ID: id, Timestamp: ts, Data: []byte(data)}, old)
		}
	}
	for _, c := range []struct {
		name   string
		change func(kinto.Tx) error
		shows  []string
	}{
		{"a new one of the past", past("past", `{"n":2}`, 1000), []string{"all", "oldest", "by n", "filtered", "tombstones"}},
		{"the same size", past("past", `{"n":3}`, 2000), []string{"all", "oldest", "by n", "filtered", "tombstones"}},
		{"a new one", past("new", `{"n":9}`, -1), []string{"all", "oldest", "by n", "since", "ten", "tombstones"}},
		{"a deletion", func(tx kinto.Tx) error {
			old, err := tx.Get(records, "r30")
			if err != nil {
				return err
			}
			ts, err := tx.Tick(records, -1)
			if err != nil {
				return err
			}
			return tx.Put(records, &kinto.Object{ID: "r30", Timestamp: ts, Deleted: true}, old)
		}, []string{"all", "oldest", "by n", "since", "tombstones"}},
		{"all of it", func(tx kinto.Tx) error { return tx.Purge("/buckets/b") }, []string{"all", "oldest", "by n", "filtered", "since", "ten", "tombstones"}},
	} {
		before := ask()
		write(t, s, c.change)
		after := ask()
		for _, name := range c.shows {
			if before[name] == after[name] {
				t.Errorf("%s does not show in %s: %.200s", c.name, name, after[name])
			}
		}
	}
	mustPut(t, s, records, "again", `{}`)
	if got := ask()["all"]; !strings.Contains(got, `"id":"again"`) || strings.Contains(got, "r00") {
		t.Errorf("made again: %.200s", got)
	}
}
