package server

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server/kinto"
)

// usedMost is how many people and buckets are named; those that hold less are not.
const usedMost = 50

// usage answers what takes room.
func (s private) usage(w http.ResponseWriter, r *http.Request) {
	used, err := s.used(r.Context())
	if err != nil {
		s.Log.Warn("what takes room is not known", "err", err)
		fail(w, hint.EN, unanswered(err))
		return
	}
	send(w, http.StatusOK, used)
}

// used adds up what lists weigh. It looks at no object but the buckets.
func (s private) used(ctx context.Context) (used report.Used, err error) {
	err = s.store.Read(ctx, func(tx kinto.Reader) error {
		used = report.Used{}
		buckets := map[string]*report.UsedIn{}
		for _, kind := range kinto.Kinds() {
			lists, err := tx.Lists(kind)
			if err != nil {
				return err
			}
			all := report.UsedKind{Kind: string(kind)}
			for _, l := range lists {
				objects, bytes, err := tx.Size(l)
				if err != nil {
					return err
				}
				all.Objects, all.Bytes = all.Objects+objects, all.Bytes+int64(bytes)
				if id := bucketOf(l); id != "" {
					b := buckets[id]
					if b == nil {
						b = &report.UsedIn{Bucket: id}
						buckets[id] = b
					}
					b.Objects, b.Bytes = b.Objects+objects, b.Bytes+int64(bytes)
				}
			}
			if all.Objects > 0 {
				used.Kinds = append(used.Kinds, all)
			}
		}
		people := map[string]bool{}
		for id, b := range buckets {
			who, err := tx.Owner("/buckets/" + id)
			if err != nil {
				return err
			}
			b.Who = who
			people[who] = true
			used.Buckets = append(used.Buckets, *b)
		}
		for who := range people {
			if who == "" {
				continue
			}
			u, err := tx.Usage(who)
			if err != nil {
				return err
			}
			used.People = append(used.People, report.UsedBy{Who: who, Records: u.Records, Bytes: u.Bytes, Files: u.FileBytes})
			used.Files += u.FileBytes
		}
		return nil
	})
	slices.SortFunc(used.People, func(a, b report.UsedBy) int {
		return cmp.Or(cmp.Compare(b.Bytes+b.Files, a.Bytes+a.Files), cmp.Compare(a.Who, b.Who))
	})
	slices.SortFunc(used.Buckets, func(a, b report.UsedIn) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Bucket, b.Bucket))
	})
	slices.SortFunc(used.Kinds, func(a, b report.UsedKind) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Kind, b.Kind))
	})
	used.People = used.People[:min(usedMost, len(used.People))]
	used.Buckets = used.Buckets[:min(usedMost, len(used.Buckets))]
	return used, err
}

// bucketOf is the id of the bucket that a list is in; empty: it is in none.
func bucketOf(l kinto.List) string {
	below, ok := strings.CutPrefix(l.Parent, "/buckets/")
	if !ok {
		return ""
	}
	id, _, _ := strings.Cut(below, "/")
	return id
}
