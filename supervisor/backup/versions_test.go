package backup

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
)

// A record of many versions, written and deleted, its collection too, over weeks in which
// backups are merged, dropped and begun anew: as of each moment that can be restored, it is
// what it was.
func TestVersionsOfARecord(t *testing.T) {
	t.Attr("shows", "backups")
	versions := 1000
	if watched {
		versions = 150
	}
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			versionsOfARecord(t, seed, versions)
		})
	}
}

func versionsOfARecord(t *testing.T, seed uint64, versions int) {
	r := rand.New(rand.NewPCG(seed, 5))
	h := newHouse(t, seed)
	h.now = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	start := h.now
	if seed%2 == 1 {
		h.slow()
	}
	l := kinto.List{Parent: "/buckets/the/collections/one", Kind: kinto.Record}
	now := Version{None: true}
	was := map[int64]Version{} // by position
	h.writes(t, 5)
	bases, copying := 0, false
	for n := 0; n < versions; {
		for range 1 + r.IntN(4) {
			h.now = h.now.Add(time.Duration(r.IntN(90*60)) * time.Second)
			err := h.db.Write(t.Context(), []kinto.List{l}, func(tx kinto.Tx) error {
				old, err := tx.Get(l, "r")
				if err != nil {
					return err
				}
				what := r.IntN(20)
				if what == 0 {
					now = Version{None: true}
					return tx.Purge("/buckets/the")
				}
				ts, err := tx.Tick(l, -1)
				if err != nil {
					return err
				}
				o := &kinto.Object{ID: "r", Timestamp: ts, Data: fmt.Appendf(nil, `{"n":%d}`, n)}
				if what < 4 && old != nil {
					o.Data, o.Deleted = nil, true
				}
				now = Version{Deleted: o.Deleted, Timestamp: ts, Data: o.Data}
				return tx.Put(l, o, old)
			})
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if r.IntN(3) == 0 {
			h.writes(t, 1)
		}
		if r.IntN(120) == 0 && h.opened && h.st.Copying == nil {
			h.st.Copying = &base{From: h.st.Position} // as renew does
		}
		if copying != (h.opened && h.st.Copying != nil) {
			copying = !copying
			bases++
		}
		h.cycles(t, 1)
		was[h.st.Position.Seq] = now
	}
	h.now = h.now.Add(2 * time.Hour)
	h.cycles(t, 3)
	was[h.st.Position.Seq] = now
	b := h.found(t)
	var all []Version
	for v, err := range b.Versions(t.Context(), l.Parent, "record", "r") {
		if err != nil {
			t.Fatal(err)
		}
		if n := len(all); n > 0 && (v.Seq <= all[n-1].Seq || v.same(&all[n-1])) {
			t.Errorf("%+v after %+v", v, all[n-1])
		}
		all = append(all, v)
	}
	points, compared := b.Points(), 0
	for _, p := range points {
		want, known := was[p.Position.Seq]
		if !known {
			continue // of the middle of a cycle
		}
		got := Version{None: true}
		for _, v := range all {
			if v.Seq <= p.Position.Seq {
				got = v
			}
		}
		if !got.same(&want) {
			t.Errorf("as of %s (%d) it was %+v, and is said to have been %+v", p.At, p.Position.Seq, want, got)
		}
		compared++
	}
	if compared < len(points)-2 || compared < 10 || bases < 1 && versions > 500 {
		t.Errorf("%d of %d points were compared, with %d new copies", compared, len(points), bases)
	}
	for v := range b.Versions(t.Context(), l.Parent, "record", "never") {
		t.Errorf("of a record that never was: %+v", v)
	}
	fmt.Fprintf(os.Stderr, "SHOW a record of %d versions over %d days, merged and deleted: %d versions are left, and as of each of %d moments it is what it was\n", versions, int(h.now.Sub(start).Hours()/24), len(all), compared)
}
