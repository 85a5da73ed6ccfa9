package storagetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/server/kinto"
)

// together is how many records a group has that is written in one transaction.
const together = 5

func own(g int) kinto.List {
	return kinto.List{Parent: fmt.Sprintf("/buckets/b/collections/c%d", g), Kind: kinto.Record}
}

// group names the records of write i of writer g: one, or for every third write
// some that are written together.
func group(g, i int) []string {
	ids := []string{fmt.Sprintf("r%d-%d", g, i)}
	if i%3 == 0 {
		for n := 1; n < together; n++ {
			ids = append(ids, fmt.Sprintf("r%d-%d-%d", g, i, n))
		}
	}
	return ids
}

// Scribe writes from so many goroutines until ctx ends, each to a list of its own
// and to one they share, some writes of more than one record, and writes a line to
// out for each write that was answered.
func Scribe(ctx context.Context, s kinto.Store, out io.Writer, writers int) error {
	var mu sync.Mutex
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for g := range writers {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				var one, two int64
				err := s.Write(ctx, []kinto.List{own(g), records}, func(tx kinto.Tx) (err error) {
					for _, id := range group(g, i) {
						if one, err = put(tx, own(g), id, fmt.Sprintf(`{"i":%d}`, i)); err != nil {
							return err
						}
						if two, err = put(tx, records, id, fmt.Sprintf(`{"i":%d}`, i)); err != nil {
							return err
						}
					}
					return nil
				})
				if err == nil {
					mu.Lock()
					_, err = fmt.Fprintf(out, "%d %d %d %d\n", g, i, one, two)
					mu.Unlock()
				}
				if err != nil {
					errs[g] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Audit checks that every write told of in lines is in s, whole, that none is there
// by half, told of or not, that no timestamp is there twice or goes back, and that
// lists count what is in them. It returns how many were told of.
func Audit(t *testing.T, s kinto.Store, lines io.Reader) int {
	t.Helper()
	told := 0
	last := map[int]int64{}
	scan := bufio.NewScanner(lines)
	for scan.Scan() {
		var g, i int
		var one, two int64
		if n, err := fmt.Sscanf(scan.Text(), "%d %d %d %d", &g, &i, &one, &two); n != 4 || err != nil {
			break // the line it was killed in
		}
		told++
		if one <= last[g] {
			t.Errorf("writer %d: %d after %d", g, one, last[g])
		}
		last[g] = one
		ids := group(g, i)
		id := ids[len(ids)-1] // the timestamps are those of the last
		for l, ts := range map[kinto.List]int64{own(g): one, records: two} {
			want := &kinto.Object{ID: id, Timestamp: ts, Data: fmt.Appendf(nil, `{"i":%d}`, i), Permissions: []byte{}}
			if diff := cmp.Diff(want, get(t, s, l, id)); diff != "" {
				t.Errorf("%s of %v was answered: %s", id, l, diff)
			}
		}
	}
	read(t, s, func(tx kinto.Reader) error {
		shared, err := audit(t, tx, records)
		if err != nil {
			return err
		}
		lists, err := tx.Lists(kinto.Record)
		if err != nil {
			return err
		}
		alone := map[string]bool{}
		for _, l := range lists {
			if l == records {
				continue
			}
			ids, err := audit(t, tx, l)
			if err != nil {
				return err
			}
			for id := range ids {
				alone[id] = true
			}
		}
		for id := range shared {
			var g, i int
			if _, err := fmt.Sscanf(id, "r%d-%d", &g, &i); err != nil {
				t.Errorf("what is %s?", id)
			}
			for _, other := range group(g, i) {
				if !shared[other] {
					t.Errorf("%s is there without %s", id, other)
				}
			}
		}
		if diff := cmp.Diff(shared, alone); diff != "" {
			t.Errorf("the two halves of writes differ: %s", diff)
		}
		return nil
	})
	return told
}

// audit looks at one list and returns its ids.
func audit(t *testing.T, tx kinto.Reader, l kinto.List) (map[string]bool, error) {
	t.Helper()
	ids := map[string]bool{}
	q := kinto.Everything()
	last := int64(-1)
	for more := true; more; {
		var page []kinto.Object
		var err error
		if page, more, err = tx.Select(l, q); err != nil {
			return nil, err
		}
		for _, o := range page {
			if last >= 0 && o.Timestamp >= last {
				t.Errorf("timestamps %d and %d", last, o.Timestamp)
			}
			if ts, _, err := tx.Timestamp(l); err != nil || last < 0 && ts < o.Timestamp {
				t.Errorf("the list is at %d, its newest object at %d (%v)", ts, o.Timestamp, err)
			}
			last = o.Timestamp
			ids[o.ID] = true
		}
		if more {
			q.Before = last
		}
	}
	n, err := tx.Count(l, kinto.Everything())
	if n != len(ids) {
		t.Errorf("%v counts %d objects and has %d", l, n, len(ids))
	}
	return ids, err
}
