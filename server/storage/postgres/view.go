package postgres

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
)

// view reads from a source.
type view struct {
	ctx   context.Context
	src   source
	cache *cache
	arena []byte
}

var _ kinto.Reader = (*view)(nil)

// Get implements kinto.Reader.
func (v *view) Get(l kinto.List, id string) (*kinto.Object, error) {
	cached := l.Kind.Structural()
	if cached && v.cache.hasObject(l, id) {
		generation, err := v.src.generation()
		if err != nil {
			return nil, err
		}
		if o, known := v.cache.object(l, id, generation); known {
			return o, nil
		}
	}
	o, err := v.fetch(l, id)
	if err != nil {
		return nil, err
	}
	if o != nil && o.Deleted {
		o = nil
	}
	if !cached {
		return o, nil
	}
	generation, err := v.src.generation()
	if err != nil {
		return nil, err
	}
	if o == nil {
		v.cache.addAbsent(l, id, generation)
	} else {
		v.cache.addObject(l, o, generation)
	}
	return o, nil
}

// fetch returns an object or tombstone as the database has it.
func (v *view) fetch(l kinto.List, id string) (*kinto.Object, error) {
	if !text(l.Parent) || !text(id) || id == "" {
		return nil, nil
	}
	return v.src.fetch(l, id)
}

// fetch asks src for an object with a statement of its own.
func fetch(src source, l kinto.List, id string) (o *kinto.Object, err error) {
	err = src.each("get", func(r row) bool {
		o = object(id, r)
		return true
	}, l.Parent, string(l.Kind), id)
	return o, err
}

// object makes an object of columns ts, deleted, data and permissions.
func object(id string, r row) *kinto.Object {
	data, permissions := r[2], r[3]
	both := append(append(make([]byte, 0, len(data)+len(permissions)), data...), permissions...) // one piece of memory
	return &kinto.Object{ID: id, Timestamp: r.int(0), Deleted: r.bool(1), Data: both[:len(data):len(data)], Permissions: both[len(data):]}
}

// Timestamp implements kinto.Reader.
func (v *view) Timestamp(l kinto.List) (ts int64, ok bool, err error) {
	p, err := v.list(l)
	return p.ts, p.there, err
}

// Size implements kinto.Reader.
func (v *view) Size(l kinto.List) (objects, bytes int, err error) {
	p, err := v.list(l)
	return int(p.live + p.tombstones), int(p.bytes), err
}

// Former implements kinto.Reader.
func (v *view) Former(l kinto.List) (ts int64, err error) {
	ts = -1
	if !text(l.Parent) {
		return ts, nil
	}
	err = v.src.each("former", func(r row) bool {
		ts = r.int(0)
		return true
	}, l.Parent, string(l.Kind))
	if b, ok := v.src.(*book); ok { // it may have begun in this transaction
		ts = max(ts, b.pages.all[l].former)
	}
	return ts, err
}

// list is what the row of a list says.
func (v *view) list(l kinto.List) (p page, err error) {
	if !text(l.Parent) {
		return p, nil
	}
	err = v.src.each("list", func(r row) bool {
		p.ts, p.live, p.tombstones, p.bytes, p.there = r.int(0), r.int(1), r.int(2), r.int(3), true
		return true
	}, l.Parent, string(l.Kind))
	return p, err
}

// Select implements kinto.Reader.
func (v *view) Select(l kinto.List, q kinto.Query) ([]kinto.Object, bool, error) {
	ordered := q.IDs == nil && (len(q.Sort) == 0 || q.Oldest())
	page := kinto.NewPage(&q, ordered)
	err := v.scan(l, &q, func(o *kinto.Object, r row) bool {
		switch {
		case !page.Wants(o):
			return !page.Full()
		case ordered:
			page.Add(kinto.Object{ID: string(v.copy(r[0])), Timestamp: o.Timestamp, Deleted: o.Deleted, Data: v.copy(o.Data), Permissions: v.copy(o.Permissions)})
		default:
			// It may be turned out again, and is then to leave nothing behind.
			page.Add(kinto.Object{ID: strings.Clone(o.ID), Timestamp: o.Timestamp, Deleted: o.Deleted, Data: bytes.Clone(o.Data), Permissions: bytes.Clone(o.Permissions)})
		}
		return true
	})
	if err != nil {
		return nil, false, err
	}
	found, more := page.Done()
	return found, more, nil
}

// How many rows are asked for at once, when how many are needed is not known: what
// is on its way when a page is full is thrown away.
const (
	fewRows  = 128
	manyRows = 4096
)

// scan calls each for the objects within the bounds, ids and grants of q, until it
// returns false: in the query's order if that is one of timestamps. The object is
// good until each returns.
func (v *view) scan(l kinto.List, q *kinto.Query, each func(*kinto.Object, row) bool) error {
	if !text(l.Parent) {
		return nil
	}
	name, since, before := "select", int64(0), int64(0)
	since, before = q.Bounds()
	ordered := q.IDs == nil && (len(q.Sort) == 0 || q.Oldest())
	switch {
	case q.IDs != nil:
		name = "select_ids"
	case q.Oldest():
		name = "select_up"
	}
	args := []any{l.Parent, string(l.Kind), since, before, q.Tombstones, int64(math.MaxInt64)}
	if q.Granted != nil {
		name += "_granted"
		args = append(args, keys(q.Granted.Principals), texts(q.Granted.Permissions))
	}
	if q.IDs != nil {
		args = append(args, texts(q.IDs))
	}
	limit := int64(math.MaxInt64) // of rows in one statement
	switch {
	case ordered && q.Limit > 0 && len(q.Filters) == 0:
		limit = int64(q.Limit) + 1
	case ordered && q.Limit > 0:
		limit = fewRows
	}
	for {
		args[2], args[3], args[5] = since, before, limit
		n, done, last := int64(0), false, int64(0)
		err := v.src.each(name, func(r row) bool {
			n++
			last = r.int(1)
			o := kinto.Object{ID: r.text(0), Timestamp: last, Deleted: r.bool(2), Data: r[3], Permissions: r[4]}
			large := len(o.Data) > 16<<10
			done = !each(&o, r) || (n%256 == 0 || large) && v.ctx.Err() != nil
			return !done
		}, args...)
		switch {
		case err != nil:
			return err
		case v.ctx.Err() != nil:
			return v.ctx.Err()
		case done || n < limit:
			return nil
		case q.Oldest():
			since = last
		default:
			before = last
		}
		limit = min(max(2*limit, fewRows), manyRows)
	}
}

// keys are words as bytes.
func keys(words []string) [][]byte {
	out := make([][]byte, len(words))
	for i, w := range words {
		out[i] = []byte(w)
	}
	return out
}

// texts are the words that can be text; nothing has the others.
func texts(words []string) []string {
	out := make([]string, 0, len(words))
	for _, w := range words {
		if text(w) {
			out = append(out, w)
		}
	}
	return out
}

// copy keeps b in memory shared by many rows; nobody changes it.
func (v *view) copy(b []byte) []byte {
	if len(b) > cap(v.arena)-len(v.arena) {
		v.arena = make([]byte, 0, max(len(b), 16<<10))
	}
	at := len(v.arena)
	v.arena = append(v.arena, b...)
	return v.arena[at:len(v.arena):len(v.arena)]
}

// simple: the list's own counters answer the query.
func simple(q *kinto.Query) bool {
	since, before := q.Bounds()
	return q.IDs == nil && len(q.Filters) == 0 && q.After == nil && q.Granted == nil && since < 0 && before == math.MaxInt64
}

// Count implements kinto.Reader.
func (v *view) Count(l kinto.List, q kinto.Query) (int, error) {
	if q.IDs != nil || len(q.Filters) > 0 || q.After != nil {
		n := 0
		q.Limit = 0
		page := kinto.NewPage(&q, false)
		err := v.scan(l, &q, func(o *kinto.Object, _ row) bool {
			if page.Wants(o) {
				n++
			}
			return true
		})
		return n, err
	}
	if simple(&q) {
		p, err := v.list(l)
		if q.Tombstones {
			p.live += p.tombstones
		}
		return int(p.live), err
	}
	if !text(l.Parent) {
		return 0, nil
	}
	since, before := q.Bounds()
	name, args := "count", []any{l.Parent, string(l.Kind), since, before, q.Tombstones}
	if q.Granted != nil {
		name, args = "count_granted", append(args, keys(q.Granted.Principals), texts(q.Granted.Permissions))
	}
	n := int64(0)
	err := v.src.each(name, func(r row) bool {
		n = r.int(0)
		return true
	}, args...)
	return int(n), err
}

// Groups implements kinto.Reader.
func (v *view) Groups(members ...string) ([]string, error) {
	key := strings.Join(members, "\x00")
	if v.cache.hasGroups(key) {
		generation, err := v.src.generation()
		if err != nil {
			return nil, err
		}
		if uris, ok := v.cache.groups(key, generation); ok {
			return uris, nil
		}
	}
	uris := []string{}
	err := v.src.each("groups", func(r row) bool {
		uris = append(uris, kinto.List{Parent: r.text(0), Kind: kinto.Group}.URI(r.text(1)))
		return true
	}, keys(members), string(kinto.Group))
	if err != nil {
		return nil, err
	}
	generation, err := v.src.generation()
	if err != nil {
		return nil, err
	}
	v.cache.addGroups(key, uris, generation)
	return uris, nil
}

// value is the one value a statement finds, or nil.
func (v *view) value(name string, args ...any) (value []byte, err error) {
	err = v.src.each(name, func(r row) bool {
		value = append([]byte{}, r[0]...)
		return true
	}, args...)
	return value, err
}

// Meta implements kinto.Reader.
func (v *view) Meta(name string) ([]byte, error) { return v.value("meta", name) }

// Note implements kinto.Reader.
func (v *view) Note(key string) ([]byte, error) {
	return v.value("note", []byte(key), time.Now().UnixMilli())
}

// Lists implements kinto.Reader.
func (v *view) Lists(k kinto.Kind) (out []kinto.List, err error) {
	err = v.src.each("lists", func(r row) bool {
		out = append(out, kinto.List{Parent: r.text(0), Kind: k})
		return true
	}, string(k))
	return out, err
}

// Grants implements kinto.Reader.
func (v *view) Grants(principals []string) ([]kinto.Granted, error) {
	held := map[objectKey][]string{}
	err := v.src.each("granted", func(r row) bool {
		o := objectKey{kinto.List{Parent: r.text(0), Kind: kinto.Kind(r.text(1))}, r.text(2)}
		held[o] = append(held[o], r.text(3))
		return true
	}, keys(principals))
	if err != nil {
		return nil, err
	}
	out := make([]kinto.Granted, 0, len(held))
	for o, permissions := range held {
		slices.Sort(permissions)
		out = append(out, kinto.Granted{List: o.list, ID: o.id, Permissions: slices.Compact(permissions)})
	}
	slices.SortFunc(out, func(a, b kinto.Granted) int { return strings.Compare(b.List.URI(b.ID), a.List.URI(a.ID)) })
	return out, nil
}

// Owner implements kinto.Reader.
func (v *view) Owner(bucket string) (string, error) {
	if !text(bucket) {
		return "", nil
	}
	owner, err := v.value("owner", bucket)
	return string(owner), err
}

// Usage implements kinto.Reader.
func (v *view) Usage(owner string) (u kinto.Usage, err error) {
	err = v.src.each("usage", func(r row) bool {
		u = kinto.Usage{Records: int(r.int(0)), Bytes: r.int(1), FileBytes: r.int(2)}
		return true
	}, []byte(owner), string(kinto.Record))
	return u, err
}

// Totals implements kinto.Reader.
func (v *view) Totals() (objects, tombstones map[kinto.Kind]int, err error) {
	objects, tombstones = map[kinto.Kind]int{}, map[kinto.Kind]int{}
	err = v.src.each("totals", func(r row) bool {
		k := kinto.Kind(r.text(0))
		if n := r.int(1); n > 0 {
			objects[k] = int(n)
		}
		if n := r.int(2); n > 0 {
			tombstones[k] = int(n)
		}
		return true
	})
	return objects, tombstones, err
}

// File implements kinto.Reader.
func (v *view) File(location string) (f *kinto.File, err error) {
	if !text(location) {
		return nil, nil
	}
	err = v.src.each("file", func(r row) bool {
		f = &kinto.File{Location: location, Hash: r.text(0), Size: r.int(1), Type: r.text(2), Name: r.text(3)}
		return true
	}, location)
	return f, err
}

// Attached implements kinto.Reader.
func (v *view) Attached(l kinto.List, id string) (f *kinto.File, err error) {
	if !text(l.Parent) || !text(id) {
		return nil, nil
	}
	err = v.src.each("attached", func(r row) bool {
		f = &kinto.File{Location: r.text(0), Hash: r.text(2), Size: r.int(1), Type: r.text(3), Name: r.text(4)}
		return true
	}, l.Parent, string(l.Kind), id)
	return f, err
}

// Holds implements kinto.Reader.
func (v *view) Holds(hash string) (found bool, err error) {
	if !text(hash) {
		return false, nil
	}
	err = v.src.each("holds", func(row) bool {
		found = true
		return true
	}, hash)
	return found, err
}
