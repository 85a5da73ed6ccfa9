package kinto

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/foyer-server/foyer/internal/config"
)

// The history of a bucket is a list of entries, one for each change of the bucket
// and of what is below it, written in the transaction of the change (protocol §8,
// history). Whoever could read what was changed can read its entry. Objects that go
// with what they are in have no entry; a bucket that goes takes its history along.

// history is how it is kept.
type history struct {
	on        bool
	resources []string // left out, with all below them
	users     []string // left out
	most      int      // entries to keep; 0: all
	trimmed   []string // users whose entries count for that; empty: everybody's
	threshold int

	mu    sync.Mutex
	since map[trimming]int // entries since the oldest went
}

// trimming is one set of entries of which some are kept: about the records of one
// collection, or about the objects of another kind in one bucket.
type trimming struct {
	list       List
	kind       Kind
	collection string
}

func newHistory(k config.Kinto) *history {
	return &history{
		on: k.Includes("history"), resources: k.List("history.exclude_resources"), users: k.List("history.exclude_user_ids"),
		most: max(0, k.Int("history.auto_trim_max_count", -1)), trimmed: k.List("history.auto_trim_user_ids"),
		threshold: max(1, k.Int("history.auto_trim_threshold", 100)), since: map[trimming]int{},
	}
}

// HistoryTold is what clients are told of how history is kept; nil: it is not.
func (s *Service) HistoryTold() map[string]any {
	h := s.history
	if !h.on {
		return nil
	}
	told := map[string]any{}
	if h.most > 0 {
		told["auto_trim_max_count"] = h.most
	}
	if len(h.trimmed) > 0 {
		told["auto_trim_user_ids"] = h.trimmed
	}
	var out []map[string]string
	for _, uri := range h.resources {
		l, id, ok := Locate(uri)
		if !ok || id == "" {
			continue
		}
		one := map[string]string{string(l.Kind): id}
		_ = l.parents(func(up List, id string) error { // the function never fails
			one[string(up.Kind)] = id
			return nil
		})
		out = append(out, one)
	}
	if out != nil {
		told["excluded_resources"] = out
	}
	return told
}

// About is the lists that a write to a list, or to an object of it, will write to,
// as far as they are known.
func (s *Service) About(l List, id string) []List {
	if h, ok := s.history.list(l, id); ok {
		return []List{l, h}
	}
	return []List{l}
}

// list is where the history of an object is kept.
func (h *history) list(l List, id string) (List, bool) {
	if !h.on || l.Kind == History || l.Kind == Account || l.Kind == Bucket && id == "" {
		return List{}, false
	}
	if l.Kind == Bucket {
		return List{Parent: l.URI(id), Kind: History}, true
	}
	return List{Parent: bucketOf(l), Kind: History}, true
}

// chronicle writes the entries of one request; nil writes none.
type chronicle struct {
	*history
	tx      Tx
	who     Caller
	list    List // of the objects that change
	readers []string
}

// chronicle begins the entries of a request of who on objects of a list.
func (s writer) chronicle(tx Tx, who Caller, l List) (*chronicle, error) {
	h := s.history
	if !h.on || l.Kind == History || l.Kind == Account || who.ID != "" && slices.Contains(h.users, who.ID) {
		return nil, nil
	}
	c := &chronicle{history: h, tx: tx, who: who, list: l}
	err := l.parents(func(up List, id string) error {
		o, err := tx.Get(up, id)
		if o != nil {
			c.readers = append(c.readers, readersOf(o.Permissions)...)
		}
		return err
	})
	return c, err
}

// readersOf are those who may read an object by its own permissions.
func readersOf(permissions []byte) []string {
	p, err := DecodePermissions(permissions)
	if err != nil {
		panic("kinto: permissions that were kept cannot be read: " + err.Error())
	}
	return slices.Concat(p["read"], p["write"])
}

// add writes the entry of an object that has become o; old is what it was, if it
// was anything. It is called before what is below a deleted object is forgotten.
func (c *chronicle) add(o, old *Object) error {
	if c == nil || c.list.Kind == Bucket && o.Deleted {
		return nil
	}
	uri := c.list.URI(o.ID)
	if c.leaves(uri) {
		return nil
	}
	action, readers := "update", o.Permissions
	switch {
	case o.Deleted:
		action, readers = "delete", old.Permissions
	case old == nil:
		action = "create"
	}
	permissions, err := shown(c.tx, c.who, o.Permissions)
	if err != nil {
		return err
	}
	was := o
	if c.list.Kind == Group {
		if was, err = shownGroup(c.tx, c.who, o); err != nil {
			return err
		}
	}
	if permissions == nil {
		permissions = []byte("{}")
	}
	data := []byte(`{"date":"` + time.Now().UTC().Format("2006-01-02T15:04:05.000000") + `+00:00","action":"` + action + `","uri":"` + uri + `","user_id":`)
	if c.who.ID == "" {
		data = append(data, "null"...)
	} else {
		data = append(data, quote(c.who.ID)...)
	}
	data = append(data, `,"resource_name":"`+string(c.list.Kind)+`"`...)
	t := trimming{kind: c.list.Kind}
	if t.kind == Record {
		_, t.collection, _ = Locate(c.list.Parent)
		data = append(data, `,"collection_id":"`+t.collection+`"`...)
	}
	data = append(data, `,"`+string(c.list.Kind)+`_id":"`+o.ID+`","target":{"data":`...)
	data = append(was.AppendJSON(data), `,"permissions":`...)
	data = append(append(data, permissions...), "}}"...)

	t.list, _ = c.history.list(c.list, o.ID)
	e := &Object{ID: uuid.NewString(), Data: data, Permissions: Permissions{"read": append(readersOf(readers), c.readers...)}.Encode()}
	if e.Timestamp, err = c.tx.Tick(t.list, -1); err != nil {
		return err
	}
	if err := c.tx.Put(t.list, e, nil); err != nil {
		return err
	}
	return c.trim(t)
}

// weighs is at most what the entry of an object weighs that becomes o.
func (c *chronicle) weighs(o *Object) int64 {
	if c == nil || c.most > 0 || c.leaves(c.list.URI(o.ID)) { // where the oldest go, there may be less after it
		return 0
	}
	return rowBytes + int64(len(o.Data)+len(o.Permissions))
}

// leaves reports whether an object has no history.
func (h *history) leaves(uri string) bool {
	return slices.ContainsFunc(h.resources, func(left string) bool { return uri == left || strings.HasPrefix(uri, left+"/") })
}

// trimAtOnce bounds how many entries one change makes go.
const trimAtOnce = 1000

// trim lets the oldest entries go now and then.
func (c *chronicle) trim(t trimming) error {
	if c.most == 0 || len(c.trimmed) > 0 && !slices.Contains(c.trimmed, c.who.ID) {
		return nil
	}
	c.mu.Lock()
	if len(c.since) > 10_000 {
		clear(c.since)
	}
	c.since[t]++
	due := c.since[t] >= c.threshold
	if due {
		delete(c.since, t)
	}
	c.mu.Unlock()
	if !due {
		return nil
	}
	q := Everything()
	same := func(name string, values ...string) {
		f := Filter{Op: In, Field: Field{name}}
		for _, v := range values {
			f.Values = append(f.Values, quote(v))
		}
		f.sort()
		q.Filters = append(q.Filters, f)
	}
	same("resource_name", string(t.kind))
	if t.collection != "" {
		same("collection_id", t.collection)
	}
	if len(c.trimmed) > 0 {
		same("user_id", c.trimmed...)
	}
	for page, keep := 0, c.most; page < trimAtOnce; page++ {
		q.Limit = 100
		found, more, err := c.tx.Select(t.list, q)
		if err != nil {
			return err
		}
		for i := range found {
			q.Before = found[i].Timestamp
			if keep--; keep >= 0 {
				continue
			}
			if _, err := bury(c.tx, t.list, &found[i], -1); err != nil {
				return err
			}
		}
		if !more || keep < -trimAtOnce {
			break
		}
	}
	return nil
}

// snapshotBytes bounds what one snapshot holds.
const snapshotBytes = 64 << 20

// Snapshot returns the records of a list as they were at a time, the newest first:
// those that have not changed since, and of the others what their history tells
// (protocol §8, history). invalid is what is wrong with the request's form.
func (s *Service) Snapshot(ctx context.Context, who Caller, l List, at int64, invalid error) (found []Object, err error) {
	_, collection, _ := Locate(l.Parent)
	past := Everything()
	past.Filters = []Filter{
		{Op: Equal, Field: Field{"resource_name"}, Values: [][]byte{quote(string(Record))}},
		{Op: Equal, Field: Field{"collection_id"}, Values: [][]byte{quote(collection)}},
		{Op: AtMost, Field: Field{"target", "data", "last_modified"}, Values: [][]byte{strconv.AppendInt(nil, at, 10)}},
	}
	look := func(tx Reader) error {
		found = nil
		past := past
		sc, err := enter(tx, l)
		if err != nil {
			return err
		}
		if !s.rights().holds(who, &sc, nil, need{Record, "read"}) {
			return ErrForbidden
		}
		if invalid != nil {
			return invalid
		}
		size := 0
		add := func(o Object) error {
			found = append(found, o)
			if err := s.reader().spend(1, o.size()); err != nil {
				return err
			}
			if size += o.size(); size > snapshotBytes {
				return Invalid("path", "timestamp", "The snapshot is too large to be sent at once; read the history instead")
			}
			return nil
		}
		known := map[string]bool{}
		now := Everything()
		now.Before = at + 1
		err = s.reader().each(tx, l, now, func(o Object) error {
			known[o.ID] = true
			return add(o)
		})
		if err != nil {
			return err
		}
		if mark := hidden(sc.at(Collection), markedKey); mark != "" {
			// What was there before it was made again is not its own.
			if past.Since, err = strconv.ParseInt(mark, 10, 64); err != nil {
				return err
			}
		}
		history := List{Parent: bucketOf(l), Kind: History}
		if err := s.reader().afford(tx, history, &past); err != nil {
			return err
		}
		err = s.reader().each(tx, history, past, func(o Object) error {
			id := string(key(stringOr(attribute(o.Data, "record_id"))))
			if known[id] {
				return nil
			}
			known[id] = true
			then := NoBody()
			if attribute(lookup(o.Data, Field{"target", "data"}), "deleted") != nil || then.data(lookup(o.Data, Field{"target", "data"})) != nil {
				return nil
			}
			return add(Object{ID: id, Timestamp: then.Modified, Data: then.Data})
		})
		slices.SortFunc(found, func(a, b Object) int { return cmp.Compare(b.Timestamp, a.Timestamp) })
		return err
	}
	err = s.reader().search(ctx, &past, true, func(ctx context.Context) error { return s.store.Read(ctx, look) })
	return found, err
}

// each calls fn for all that a query finds, the newest first, page by page.
func (s reader) each(tx Reader, l List, q Query, fn func(Object) error) error {
	q.Limit = 1000
	for {
		found, more, err := tx.Select(l, q)
		if err != nil {
			return err
		}
		for i := range found {
			if err := fn(found[i]); err != nil {
				return err
			}
			q.Before = found[i].Timestamp
		}
		if !more {
			return nil
		}
	}
}
