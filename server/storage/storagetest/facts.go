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

// patience is how long a test waits for what comes soon.
const patience = 10 * time.Second

func account(name string) kinto.List { return kinto.List{Parent: name, Kind: kinto.Account} }

func history(bucket string) kinto.List {
	return kinto.List{Parent: "/buckets/" + bucket, Kind: kinto.History}
}

// bury puts a tombstone over an object, or over nothing.
func bury(tx kinto.Tx, l kinto.List, id string) error {
	old, err := tx.Get(l, id)
	if err != nil {
		return err
	}
	ts, err := tx.Tick(l, -1)
	if err != nil {
		return err
	}
	return tx.Put(l, &kinto.Object{ID: id, Timestamp: ts, Deleted: true}, old)
}

// purgeEverything: the root has everything below it but the accounts.
func purgeEverything(t *testing.T, s kinto.Store) {
	all := []kinto.List{buckets, {Parent: "/buckets/b", Kind: kinto.Collection}, {Parent: "/buckets/b", Kind: kinto.Group}, records, others, history("b")}
	kept := []kinto.List{account("jeannine"), account("0"), account("buckets")}
	for _, l := range slices.Concat(all, kept) {
		mustPut(t, s, l, "o", `{"members":["ann"]}`)
	}
	write(t, s, func(tx kinto.Tx) error {
		if err := tx.Attach(records, "o", &kinto.File{Location: "x/y", Hash: "h", Size: 1}); err != nil {
			return err
		}
		return tx.SetOwner("/buckets/b", "ann")
	})
	before := map[kinto.List]int64{}
	for _, l := range all {
		before[l], _ = timestamp(t, s, l)
	}
	write(t, s, func(tx kinto.Tx) error { return tx.Purge("") })
	for _, l := range all {
		if ts, ok := timestamp(t, s, l); ok {
			t.Errorf("%v is at %d", l, ts)
		}
		if o := get(t, s, l, "o"); o != nil {
			t.Errorf("%v has %v", l, o)
		}
	}
	for _, l := range kept {
		if get(t, s, l, "o") == nil {
			t.Errorf("%v lost its object", l)
		}
	}
	read(t, s, func(tx kinto.Reader) error {
		owner, err := tx.Owner("/buckets/b")
		f, err2 := tx.File("x/y")
		in, err3 := tx.Groups("ann")
		if owner != "" || f != nil || len(in) != 0 {
			t.Errorf("left: owner %q, file %v, groups %v", owner, f, in)
		}
		return errors.Join(err, err2, err3)
	})
	for _, l := range all {
		if ts := mustPut(t, s, l, "new", `{}`); ts <= before[l] {
			t.Errorf("%v began again at %d, was at %d", l, ts, before[l])
		}
	}
}

// purgeAhead: a list that is made again begins after its end, also when that is
// ahead of the clock, however it is made, and however often.
func purgeAhead(t *testing.T, s kinto.Store) {
	ahead := time.Now().UnixMilli() + 3_600_000
	for round := range 3 {
		if ts := tick(t, s, records, ahead); round == 0 && ts != ahead {
			t.Fatalf("got %d, wanted %d", ts, ahead)
		}
		end, _ := timestamp(t, s, records)
		write(t, s, func(tx kinto.Tx) error { return tx.Purge([]string{"/buckets/b", "", records.Parent}[round]) })
		var begin int64
		switch round {
		case 0:
			begin = tick(t, s, records, -1)
		case 1: // a timestamp of the past is taken; the list is not of the past
			if ts := tick(t, s, records, 1000); ts != 1000 {
				t.Errorf("a timestamp of the past became %d", ts)
			}
			begin, _ = timestamp(t, s, records)
		case 2:
			write(t, s, func(tx kinto.Tx) (err error) {
				begin, err = tx.Touch(records)
				return err
			})
		}
		if begin <= end {
			t.Errorf("round %d: began at %d, ended at %d", round, begin, end)
		}
		if ts := tick(t, s, records, -1); ts <= begin {
			t.Errorf("round %d: %d after %d", round, ts, begin)
		}
	}
	// within one transaction
	write(t, s, func(tx kinto.Tx) error {
		end, err := tx.Tick(records, -1)
		if err != nil {
			return err
		}
		if err := tx.Purge("/buckets/b"); err != nil {
			return err
		}
		if ts, ok, err := tx.Timestamp(records); ok || err != nil {
			t.Errorf("in the transaction it is at %d (%v)", ts, err)
		}
		ts, err := tx.Tick(records, -1)
		if ts <= end {
			t.Errorf("in one transaction: %d after %d", ts, end)
		}
		return err
	})
	// another list does not follow
	if ts := tick(t, s, others, -1); ts > time.Now().UnixMilli() {
		t.Errorf("another list begins ahead of the clock, at %d", ts)
	}
}

// await waits for a token.
func await(t *testing.T, what string, changed <-chan struct{}) {
	t.Helper()
	select {
	case <-changed:
	case <-time.After(patience):
		t.Fatalf("%s: nobody was woken", what)
	}
}

func watch(t *testing.T, s kinto.Store) {
	for _, c := range []struct {
		name string
		do   func(kinto.Tx) error
	}{
		{"put", func(tx kinto.Tx) error { _, err := put(tx, records, "r", `{}`); return err }},
		{"replace", func(tx kinto.Tx) error { _, err := put(tx, records, "r", `{}`); return err }},
		{"bury", func(tx kinto.Tx) error { return bury(tx, records, "r") }},
		{"tick", func(tx kinto.Tx) error { _, err := tx.Tick(records, -1); return err }},
		{"a timestamp of the past", func(tx kinto.Tx) error { _, err := tx.Tick(records, 1000); return err }},
		{"purge above", func(tx kinto.Tx) error { return tx.Purge("/buckets/b") }},
		{"the list anew", func(tx kinto.Tx) error { _, err := put(tx, records, "r", `{}`); return err }},
		{"purge right above", func(tx kinto.Tx) error { return tx.Purge(records.Parent) }},
		{"anew again", func(tx kinto.Tx) error { _, err := tx.Tick(records, -1); return err }},
		{"purge of everything", func(tx kinto.Tx) error { return tx.Purge("") }},
	} {
		one, stopOne := s.Watch(records)
		two, stopTwo := s.Watch(records)
		write(t, s, c.do)
		await(t, c.name, one)
		await(t, c.name, two)
		stopOne()
		stopTwo()
		stopTwo() // once more is nothing
	}
	// Tokens do not pile up, and none is lost: whoever takes one and looks sees
	// everything that was answered before.
	changed, stop := s.Watch(records)
	defer stop()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 20 {
				mustPut(t, s, records, fmt.Sprintf("w%d-%d", g, i), `{}`)
			}
		})
	}
	deadline := time.After(patience)
	for n := 0; n < 160; {
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%d of 160 were seen", n)
		}
		read(t, s, func(tx kinto.Reader) (err error) {
			n, err = tx.Count(records, kinto.Everything())
			return err
		})
	}
	wg.Wait()
}

func lists(t *testing.T, s kinto.Store) {
	of := func(k kinto.Kind) (parents []string) {
		read(t, s, func(tx kinto.Reader) error {
			found, err := tx.Lists(k)
			for _, l := range found {
				if l.Kind != k {
					t.Errorf("a list of %s among those of %s", l.Kind, k)
				}
				parents = append(parents, l.Parent)
			}
			return err
		})
		return parents
	}
	if got := of(kinto.Record); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
	mustPut(t, s, others, "r", `{}`)
	mustPut(t, s, records, "r", `{}`)
	write(t, s, func(tx kinto.Tx) error {
		_, err := tx.Touch(kinto.List{Parent: "/buckets/a/collections/z", Kind: kinto.Record})
		return err
	})
	mustPut(t, s, account("ann"), "ann", `{}`)
	mustPut(t, s, account("bob"), "bob", `{}`)
	mustPut(t, s, history("b"), "h", `{}`)
	for k, want := range map[kinto.Kind][]string{
		kinto.Record:  {"/buckets/a/collections/z", records.Parent, others.Parent},
		kinto.Account: {"ann", "bob"},
		kinto.History: {"/buckets/b"},
		kinto.Group:   nil,
	} {
		if diff := cmp.Diff(want, of(k)); diff != "" {
			t.Errorf("%s: %s", k, diff)
		}
	}
	write(t, s, func(tx kinto.Tx) error {
		if err := tx.Purge("/buckets/b"); err != nil {
			return err
		}
		found, err := tx.Lists(kinto.Record)
		if len(found) != 1 {
			t.Errorf("in the transaction: %v", found)
		}
		return err
	})
	if got := of(kinto.Record); !slices.Equal(got, []string{"/buckets/a/collections/z"}) {
		t.Errorf("after the purge: %v", got)
	}
}

func grants(t *testing.T, s kinto.Store) {
	give := func(l kinto.List, id string, p kinto.Permissions) {
		t.Helper()
		write(t, s, func(tx kinto.Tx) error {
			old, err := tx.Get(l, id)
			if err != nil {
				return err
			}
			ts, err := tx.Tick(l, -1)
			if err != nil {
				return err
			}
			return tx.Put(l, &kinto.Object{ID: id, Timestamp: ts, Data: []byte(`{}`), Permissions: p.Encode()}, old)
		})
	}
	held := func(who ...string) (out []string) {
		t.Helper()
		read(t, s, func(tx kinto.Reader) error {
			found, err := tx.Grants(who)
			for _, g := range found {
				out = append(out, g.List.URI(g.ID)+" "+strings.Join(g.Permissions, " "))
			}
			return err
		})
		return out
	}
	check := func(want []string, who ...string) {
		t.Helper()
		if diff := cmp.Diff(want, held(who...)); diff != "" {
			t.Errorf("%v: %s", who, diff)
		}
	}
	check(nil, "ann")
	check(nil)
	collections := kinto.List{Parent: "/buckets/b", Kind: kinto.Collection}
	give(buckets, "b", kinto.Permissions{"write": {"ann"}, "read": {"ann", "bob"}})
	give(buckets, "a", kinto.Permissions{"collection:create": {"bob"}})
	give(collections, "c", kinto.Permissions{"record:create": {"ann"}})
	give(records, "r", kinto.Permissions{"read": {"ann", `quo"te`}})
	give(records, "none", nil)
	give(account("ann"), "ann", kinto.Permissions{"write": {"ann"}})
	all := []string{"/buckets/b/collections/c/records/r read", "/buckets/b/collections/c record:create", "/buckets/b read write", "/accounts/ann write"}
	check(all, "ann")
	check([]string{"/buckets/b read", "/buckets/a collection:create"}, "bob")
	check([]string{"/buckets/b/collections/c/records/r read"}, `quo"te`)
	check(append(slices.Clone(all[:3]), "/buckets/a collection:create", all[3]), "ann", "bob", "eve")
	give(records, "r", kinto.Permissions{"read": {"bob"}})
	check(slices.Concat(all[1:]), "ann")
	write(t, s, func(tx kinto.Tx) error { return bury(tx, records, "r") })
	check([]string{"/buckets/b read", "/buckets/a collection:create"}, "bob")
	write(t, s, func(tx kinto.Tx) error {
		if err := tx.Purge("/buckets/b"); err != nil {
			return err
		}
		found, err := tx.Grants([]string{"ann"})
		if len(found) != 2 {
			t.Errorf("in the transaction: %v", found)
		}
		return err
	})
	check(all[2:], "ann")
}

// counters: what is counted is what is there, whatever happened to it.
func counters(t *testing.T, s kinto.Store) {
	count := func(tx kinto.Reader) (live, all int) {
		t.Helper()
		q := kinto.Everything()
		live, err := tx.Count(records, q)
		if err != nil {
			t.Error(err)
		}
		q.Tombstones = true
		if all, err = tx.Count(records, q); err != nil {
			t.Error(err)
		}
		// what is looked up is what is looked for
		found, _, err := tx.Select(records, q)
		if err != nil || len(found) != all {
			t.Errorf("%d counted, %d found (%v)", all, len(found), err)
		}
		return live, all
	}
	check := func(what string, live, all int) {
		t.Helper()
		read(t, s, func(tx kinto.Reader) error {
			if l, a := count(tx); l != live || a != all {
				t.Errorf("%s: %d and %d, want %d and %d", what, l, a, live, all)
			}
			objects, tombstones, err := tx.Totals()
			want := [2]map[kinto.Kind]int{{}, {}}
			if live > 0 {
				want[0][kinto.Record] = live
			}
			if all > live {
				want[1][kinto.Record] = all - live
			}
			if diff := cmp.Diff(want, [2]map[kinto.Kind]int{objects, tombstones}); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
			return err
		})
	}
	check("nothing", 0, 0)
	for _, id := range []string{"a", "b", "c"} {
		mustPut(t, s, records, id, `{}`)
	}
	check("three", 3, 3)
	mustPut(t, s, records, "a", `{"x":1}`)
	check("replaced", 3, 3)
	write(t, s, func(tx kinto.Tx) error { return bury(tx, records, "a") })
	check("buried", 2, 3)
	write(t, s, func(tx kinto.Tx) error { return bury(tx, records, "a") })
	check("buried again", 2, 3)
	write(t, s, func(tx kinto.Tx) error { return bury(tx, records, "z") })
	check("a tombstone of nothing", 2, 4)
	mustPut(t, s, records, "a", `{}`)
	check("made again", 3, 4)
	no := errors.New("no")
	err := s.Write(t.Context(), []kinto.List{records}, func(tx kinto.Tx) error {
		if _, err := put(tx, records, "d", `{}`); err != nil {
			return err
		}
		if err := bury(tx, records, "b"); err != nil {
			return err
		}
		if live, all := count(tx); live != 3 || all != 5 {
			t.Errorf("in the transaction: %d and %d", live, all)
		}
		objects, tombstones, err := tx.Totals()
		if objects[kinto.Record] != 3 || tombstones[kinto.Record] != 2 {
			t.Errorf("in the transaction: %v and %v", objects, tombstones)
		}
		if err != nil {
			return err
		}
		if _, err := put(tx, records, "e", `{}`); err != nil {
			return err
		}
		return no
	})
	if !errors.Is(err, no) {
		t.Errorf("got %v", err)
	}
	check("rolled back", 3, 4)
	write(t, s, func(tx kinto.Tx) error { return tx.Purge("/buckets/b") })
	check("purged", 0, 0)
	mustPut(t, s, records, "a", `{}`)
	check("begun again", 1, 1)
	mustPut(t, s, buckets, "b", `{}`)
	write(t, s, func(tx kinto.Tx) error { return bury(tx, buckets, "b") })
	mustPut(t, s, account("ann"), "ann", `{}`)
	read(t, s, func(tx kinto.Reader) error {
		objects, tombstones, err := tx.Totals()
		want := [2]map[kinto.Kind]int{{kinto.Record: 1, kinto.Account: 1}, {kinto.Bucket: 1}}
		if diff := cmp.Diff(want, [2]map[kinto.Kind]int{objects, tombstones}); diff != "" {
			t.Error(diff)
		}
		return err
	})

	// side by side, with some that change their mind
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 30 {
				err := s.Write(context.Background(), []kinto.List{others}, func(tx kinto.Tx) error {
					if _, err := put(tx, others, fmt.Sprintf("r%d-%d", g, i), `{}`); err != nil {
						return err
					}
					if i%3 == 0 {
						if err := bury(tx, others, fmt.Sprintf("r%d-%d", g, i)); err != nil {
							return err
						}
					}
					if i%5 == 0 {
						return no
					}
					return nil
				})
				if err != nil && !errors.Is(err, no) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	read(t, s, func(tx kinto.Reader) error {
		q := kinto.Everything()
		live, err := tx.Count(others, q)
		found, _, err2 := tx.Select(others, q)
		if live != 8*16 || len(found) != live {
			t.Errorf("%d counted, %d found", live, len(found))
		}
		return errors.Join(err, err2)
	})
}

func usage(t *testing.T, s kinto.Store) {
	check := func(what, owner string, want kinto.Usage) {
		t.Helper()
		read(t, s, func(tx kinto.Reader) error {
			got, err := tx.Usage(owner)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
			return err
		})
	}
	owner := func(bucket, want string) {
		t.Helper()
		read(t, s, func(tx kinto.Reader) error {
			got, err := tx.Owner(bucket)
			if got != want {
				t.Errorf("%s belongs to %q, want %q", bucket, got, want)
			}
			return err
		})
	}
	own := func(bucket, owner string) {
		t.Helper()
		write(t, s, func(tx kinto.Tx) error { return tx.SetOwner(bucket, owner) })
	}
	collections := func(b string) kinto.List { return kinto.List{Parent: "/buckets/" + b, Kind: kinto.Collection} }
	of := func(id, data string) int64 { return 64 + int64(len(id)+len(data)) }
	grave := func(id string) int64 { return 64 + int64(len(id)) }
	const told = `{"n":"itself, too"}`
	owner("/buckets/b", "")
	check("nobody", "ann", kinto.Usage{})
	for _, b := range []string{"b", "b-", "b0", "a"} {
		mustPut(t, s, buckets, b, told)
		mustPut(t, s, collections(b), "c", `{}`)
		l := kinto.List{Parent: "/buckets/" + b + "/collections/c", Kind: kinto.Record}
		mustPut(t, s, l, "r", `{"é":1}`)
		mustPut(t, s, l, "gone", `{"x":123}`)
		write(t, s, func(tx kinto.Tx) error { return bury(tx, l, "gone") })
	}
	held := of("c", `{}`) + of("r", `{"é":1}`) + grave("gone") // in each
	check("nobody's buckets", "", kinto.Usage{})
	own("/buckets/b", "ann")
	owner("/buckets/b", "ann")
	check("one bucket", "ann", kinto.Usage{Records: 1, Bytes: of("b", told) + held})
	own("/buckets/a", "ann")
	own("/buckets/b0", "bob")
	sum := of("b", told) + of("a", told) + 2*held
	check("two buckets", "ann", kinto.Usage{Records: 2, Bytes: sum})
	check("another's", "bob", kinto.Usage{Records: 1, Bytes: of("b0", told) + held})
	mustPut(t, s, history("b"), "h", `{"y":2}`)
	sum += of("h", `{"y":2}`)
	check("history counts, and is no record", "ann", kinto.Usage{Records: 2, Bytes: sum})
	write(t, s, func(tx kinto.Tx) error {
		if _, err := put(tx, records, "r", `{}`); err != nil {
			return err
		}
		if err := tx.Attach(records, "r", &kinto.File{Location: "l", Hash: "h", Size: 1000}); err != nil {
			return err
		}
		got, err := tx.Usage("ann")
		if diff := cmp.Diff(kinto.Usage{Records: 2, Bytes: sum - 6, FileBytes: 1000}, got); diff != "" {
			t.Errorf("in the transaction: %s", diff)
		}
		return err
	})
	sum -= 6
	check("changed", "ann", kinto.Usage{Records: 2, Bytes: sum, FileBytes: 1000})
	// Who may do what counts, of an object and of the bucket; what is taken away counts no more.
	for _, permissions := range []string{`{"write":["ann","bob"]}`, ``, `{"read":["eve"]}`} {
		for _, at := range []struct {
			l        kinto.List
			id, data string
		}{{records, "r", `{}`}, {collections("b"), "c", `{}`}, {buckets, "b", `{"n":0}`}} {
			grown := int64(0)
			write(t, s, func(tx kinto.Tx) error {
				old, err := tx.Get(at.l, at.id)
				if err != nil {
					return err
				}
				ts, err := tx.Tick(at.l, -1)
				if err != nil {
					return err
				}
				if err := tx.Put(at.l, &kinto.Object{ID: at.id, Timestamp: ts, Data: []byte(at.data), Permissions: []byte(permissions)}, old); err != nil {
					return err
				}
				more := kinto.Weight(at.l.Kind, &kinto.Object{ID: at.id, Data: []byte(at.data), Permissions: []byte(permissions)}) - kinto.Weight(at.l.Kind, old)
				got, err := tx.Usage("ann")
				if got.Bytes != sum+more {
					t.Errorf("in the transaction, %s with %q: %d bytes, want %d", at.l.URI(at.id), permissions, got.Bytes, sum+more)
				}
				grown = more
				return err
			})
			sum += grown
		}
	}
	shared := int64(len(`{"read":["eve"]}`)) + 2*(32+1) // two texts, of each of three
	sum = of("b", `{"n":0}`) + of("a", told) + 2*held - 6 + of("h", `{"y":2}`) + 3*shared
	check("shared", "ann", kinto.Usage{Records: 2, Bytes: sum, FileBytes: 1000})
	groups := kinto.List{Parent: "/buckets/b", Kind: kinto.Group}
	for _, members := range []string{`{"members":["ann"]}`, `{"members":["ann","bob","eve"]}`, `{"members":[]}`} {
		mustPut(t, s, groups, "g", members)
		got := sum + of("g", members) + int64(strings.Count(members, `"`)/2)*(32+1)
		check("members: "+members, "ann", kinto.Usage{Records: 2, Bytes: got, FileBytes: 1000})
	}
	sum += of("g", `{"members":[]}`) + 32 + 1
	no := errors.New("no")
	err := s.Write(t.Context(), nil, func(tx kinto.Tx) error {
		if _, err := put(tx, records, "more", `{"z":3}`); err != nil {
			return err
		}
		if _, err := put(tx, buckets, "b", `{"more":3}`); err != nil {
			return err
		}
		if u, err := tx.Usage("ann"); u.Records != 3 || err != nil {
			t.Errorf("in the transaction: %v, %v", u, err)
		}
		if err := tx.SetOwner("/buckets/b-", "ann"); err != nil {
			return err
		}
		return no
	})
	if !errors.Is(err, no) {
		t.Errorf("got %v", err)
	}
	check("rolled back", "ann", kinto.Usage{Records: 2, Bytes: sum, FileBytes: 1000})
	// A tombstone is lighter than what was there, and so is what is there again.
	for _, data := range []string{``, `{"again":1}`, ``, `{}`} {
		write(t, s, func(tx kinto.Tx) error {
			if data == "" {
				return bury(tx, collections("b"), "x")
			}
			_, err := put(tx, collections("b"), "x", data)
			return err
		})
		check("buried, and made again: "+data, "ann", kinto.Usage{Records: 2, Bytes: sum + grave("x") + int64(len(data)), FileBytes: 1000})
	}
	sum += of("x", `{}`)
	own("/buckets/a", "")
	owner("/buckets/a", "")
	sum -= of("a", told) + held
	check("given up", "ann", kinto.Usage{Records: 1, Bytes: sum, FileBytes: 1000})
	own("/buckets/b0", "ann")
	sum += of("b0", told) + held
	check("taken over", "bob", kinto.Usage{})
	write(t, s, func(tx kinto.Tx) error { return tx.Purge("/buckets/b/collections/c") })
	owner("/buckets/b", "ann")
	sum -= held - of("c", `{}`) - 6 + shared
	check("a collection purged", "ann", kinto.Usage{Records: 1, Bytes: sum})
	// Of a bucket that is deleted something stays, in whoever's name it is made again.
	write(t, s, func(tx kinto.Tx) error {
		if err := errors.Join(bury(tx, collections("b"), "x"), bury(tx, buckets, "b")); err != nil {
			return err
		}
		return tx.Purge("/buckets/b")
	})
	owner("/buckets/b", "")
	owner("/buckets/b0", "ann")
	sum = of("b0", told) + held + 2*grave("b") + 3*(64+int64(len("/buckets/b"))) + 64 // of collections, groups and history; x
	check("the bucket purged", "ann", kinto.Usage{Records: 1, Bytes: sum})
	mustPut(t, s, buckets, "b", told)
	own("/buckets/b", "bob")
	check("made again", "bob", kinto.Usage{Bytes: of("b", told)})
	check("by somebody else", "ann", kinto.Usage{Records: 1, Bytes: sum})
	write(t, s, func(tx kinto.Tx) error { return tx.Purge("") })
	check("everything purged", "ann", kinto.Usage{})
	check("everything purged", "bob", kinto.Usage{})
}

func notes(t *testing.T, s kinto.Store) {
	set := func(key string, value []byte, until time.Time) {
		t.Helper()
		write(t, s, func(tx kinto.Tx) error { return tx.SetNote(key, value, until) })
	}
	note := func(key string) (v []byte) {
		t.Helper()
		read(t, s, func(tx kinto.Reader) (err error) {
			v, err = tx.Note(key)
			return err
		})
		return v
	}
	hour := time.Now().Add(time.Hour)
	if v := note("x"); v != nil {
		t.Errorf("%q", v)
	}
	for _, v := range [][]byte{[]byte("one"), {0, 255}, {}, []byte(strings.Repeat("x", 3<<20))} {
		set("x", v, hour)
		if got := note("x"); string(got) != string(v) || got == nil {
			t.Errorf("set %d bytes, got %d", len(v), len(got))
		}
	}
	if v := note("y"); v != nil {
		t.Errorf("another: %q", v)
	}
	set("x", nil, hour)
	if v := note("x"); v != nil {
		t.Errorf("forgotten: %q", v)
	}
	set("x", []byte("late"), time.Now().Add(-time.Second))
	if v := note("x"); v != nil {
		t.Errorf("over before it began: %q", v)
	}
	set("x", []byte("short"), time.Now().Add(300*time.Millisecond))
	for deadline := time.Now().Add(patience); note("x") != nil; {
		if time.Now().After(deadline) {
			t.Fatal("its time is over, and it is there")
		}
	}
	set("x", []byte("longer"), hour)
	if v := note("x"); string(v) != "longer" {
		t.Errorf("again: %q", v)
	}
	no := errors.New("no")
	err := s.Write(t.Context(), nil, func(tx kinto.Tx) error {
		if err := tx.SetNote("x", []byte("never"), hour); err != nil {
			return err
		}
		if v, err := tx.Note("x"); string(v) != "never" || err != nil {
			t.Errorf("in the transaction: %q, %v", v, err)
		}
		return no
	})
	if v := note("x"); !errors.Is(err, no) || string(v) != "longer" {
		t.Errorf("rolled back: %v, %q", err, v)
	}
	// what one has read is not changed by another: none of these is lost, and
	// of those who find nothing one makes it
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				write(t, s, func(tx kinto.Tx) error {
					v, err := tx.Note("counter")
					if err != nil {
						return err
					}
					return tx.SetNote("counter", append(v, 'x'), hour)
				})
			}
		})
	}
	wg.Wait()
	if v := note("counter"); len(v) != 80 {
		t.Errorf("%d of 80 were counted", len(v))
	}
}

func files(t *testing.T, s kinto.Store) {
	file := func(location, hash string, size int64) *kinto.File {
		return &kinto.File{Location: location, Hash: hash, Size: size, Type: "image/png", Name: "é \"x\".png"}
	}
	attach := func(l kinto.List, id string, f *kinto.File) error {
		return s.Write(t.Context(), nil, func(tx kinto.Tx) error { return tx.Attach(l, id, f) })
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check := func(what, location string, want *kinto.File) {
		t.Helper()
		read(t, s, func(tx kinto.Reader) error {
			got, err := tx.File(location)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
			return err
		})
	}
	holds := func(hash string, want bool) {
		t.Helper()
		read(t, s, func(tx kinto.Reader) error {
			got, err := tx.Holds(hash)
			if got != want {
				t.Errorf("%s is held: %v", hash, got)
			}
			return err
		})
	}
	mustPut(t, s, records, "r", `{}`)
	mustPut(t, s, records, "q", `{}`)
	mustPut(t, s, others, "r", `{}`)
	attached := func(what string, l kinto.List, id string, want *kinto.File) {
		t.Helper()
		look := func(tx kinto.Reader) error {
			got, err := tx.Attached(l, id)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
			return err
		}
		read(t, s, look)
		write(t, s, func(tx kinto.Tx) error { return look(tx) })
	}
	attached("no list", kinto.List{Parent: "/buckets/none/collections/c", Kind: kinto.Record}, "r", nil)
	attached("none", records, "r", nil)
	check("nothing", "a", nil)
	holds("h1", false)
	must(attach(records, "r", nil))
	must(attach(records, "r", file("a", "h1", 10)))
	check("attached", "a", file("a", "h1", 10))
	attached("one", records, "r", file("a", "h1", 10))
	attached("another's", others, "r", nil)
	holds("h1", true)
	must(attach(records, "r", file("b", "h2", 20)))
	check("replaced", "a", nil)
	check("by this", "b", file("b", "h2", 20))
	attached("another", records, "r", file("b", "h2", 20))
	holds("h1", false)
	must(attach(records, "r", file("b", "h3", 30)))
	check("other contents at the same place", "b", file("b", "h3", 30))
	holds("h2", false)
	for _, other := range []struct {
		l  kinto.List
		id string
	}{{records, "q"}, {others, "r"}} {
		must(attach(other.l, other.id, file("mine-"+other.id+other.l.Parent, "m", 1)))
		if err := attach(other.l, other.id, file("b", "h4", 1)); !errors.Is(err, kinto.ErrConflict) {
			t.Errorf("two objects at one location: %v", err)
		}
		check("and it keeps what it had", "mine-"+other.id+other.l.Parent, file("mine-"+other.id+other.l.Parent, "m", 1))
	}
	check("as it was", "b", file("b", "h3", 30))
	must(attach(others, "r", file("d", "h3", 30)))
	must(attach(others, "r", nil))
	check("taken away", "d", nil)
	holds("h3", true)
	// the tombstone leaves it
	write(t, s, func(tx kinto.Tx) error { return bury(tx, records, "r") })
	check("buried", "b", file("b", "h3", 30))
	holds("h3", true)
	mustPut(t, s, records, "r", `{}`)
	check("made again", "b", file("b", "h3", 30))
	no := errors.New("no")
	err := s.Write(t.Context(), nil, func(tx kinto.Tx) error {
		if err := tx.Attach(records, "r", file("e", "h5", 1)); err != nil {
			return err
		}
		f, err := tx.File("e")
		old, err2 := tx.File("b")
		held, err3 := tx.Holds("h5")
		if f == nil || old != nil || !held {
			t.Errorf("in the transaction: %v, %v, %v", f, old, held)
		}
		return errors.Join(err, err2, err3, no)
	})
	if !errors.Is(err, no) {
		t.Errorf("got %v", err)
	}
	check("rolled back", "b", file("b", "h3", 30))
	check("rolled back", "e", nil)
	write(t, s, func(tx kinto.Tx) error {
		if err := tx.Purge("/buckets/b"); err != nil {
			return err
		}
		held, err := tx.Holds("h3")
		if held {
			t.Error("held in the transaction that purged it")
		}
		return err
	})
	check("purged", "b", nil)
	attached("purged", records, "r", nil)
	holds("h3", false)
	// its place is free at once
	mustPut(t, s, records, "new", `{}`)
	must(attach(records, "new", file("b", "h6", 60)))
	check("the place taken again", "b", file("b", "h6", 60))
	holds("h6", true)
	holds("h3", false)
}

// oneWins: of writers with the same precondition one sees it hold.
func oneWins(t *testing.T, s kinto.Store) {
	for round := range 10 {
		id := fmt.Sprintf("r%d", round)
		won := make([]bool, 8)
		var wg sync.WaitGroup
		for g := range won {
			wg.Go(func() {
				var about []kinto.List
				if g%2 == 0 {
					about = []kinto.List{records}
				}
				err := s.Write(context.Background(), about, func(tx kinto.Tx) error {
					won[g] = false
					old, err := tx.Get(records, id)
					if err != nil || old != nil {
						return err
					}
					won[g] = true
					_, err = put(tx, records, id, fmt.Sprintf(`{"by":%d}`, g))
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		n := 0
		for g, w := range won {
			if !w {
				continue
			}
			n++
			if o := get(t, s, records, id); o == nil || string(o.Data) != fmt.Sprintf(`{"by":%d}`, g) {
				t.Errorf("%d won, and there is %v", g, o)
			}
		}
		if n != 1 {
			t.Errorf("round %d: %d winners", round, n)
		}
	}
}
