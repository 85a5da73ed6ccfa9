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

// Scribe writes from so many goroutines until ctx ends, each to a list of its own
// and to one they share, and writes a line to out for each write that was answered.
func Scribe(ctx context.Context, s kinto.Store, out io.Writer, writers int) error {
	var mu sync.Mutex
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for g := range writers {
		wg.Go(func() {
			own := kinto.List{Parent: fmt.Sprintf("/buckets/b/collections/c%d", g), Kind: kinto.Record}
			for i := 0; ctx.Err() == nil; i++ {
				id := fmt.Sprintf("r%d-%d", g, i)
				var one, two int64
				err := s.Write(ctx, nil, func(tx kinto.Tx) (err error) {
					if one, err = put(tx, own, id, fmt.Sprintf(`{"i":%d}`, i)); err == nil {
						two, err = put(tx, records, id, fmt.Sprintf(`{"i":%d}`, i))
					}
					return err
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

// Audit checks that every write told of in lines is in s, whole, and that no
// timestamp is there twice or goes back. It returns how many were told of.
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
		id := fmt.Sprintf("r%d-%d", g, i)
		for l, ts := range map[kinto.List]int64{{Parent: fmt.Sprintf("/buckets/b/collections/c%d", g), Kind: kinto.Record}: one, records: two} {
			want := &kinto.Object{ID: id, Timestamp: ts, Data: fmt.Appendf(nil, `{"i":%d}`, i), Permissions: []byte{}}
			if diff := cmp.Diff(want, get(t, s, l, id)); diff != "" {
				t.Errorf("%s of %v was answered: %s", id, l, diff)
			}
		}
	}
	read(t, s, func(tx kinto.Reader) error {
		all, _, err := tx.Select(records, kinto.Everything())
		if err != nil {
			return err
		}
		for i := 1; i < len(all); i++ {
			if all[i].Timestamp >= all[i-1].Timestamp {
				t.Errorf("timestamps %d and %d", all[i-1].Timestamp, all[i].Timestamp)
			}
		}
		ts, _, err := tx.Timestamp(records)
		if len(all) > 0 && ts < all[0].Timestamp {
			t.Errorf("the list is at %d, its newest object at %d", ts, all[0].Timestamp)
		}
		return err
	})
	return told
}
