package storage

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"strings"
	"unsafe"

	"github.com/foyer-server/foyer/server/kinto"
)

// view reads from one connection, in one snapshot. For a Tx it is the writer's.
type view struct {
	ctx        context.Context
	c          *conn
	cache      *cache
	generation uint64
	begun      bool       // a transaction is open on c
	own        bool       // this transaction changed what the cache holds: leave the cache alone
	ledger     *ledger    // of a Tx
	shelf      *shelf     // not of a Tx
	seenList   kinto.List // whose page was read last; not of a Tx
	seen       *page
	arena      []byte
}

var _ kinto.Reader = (*view)(nil)

// open begins the snapshot with the first thing read.
func (v *view) open() error {
	if v.begun {
		return nil
	}
	if err := v.c.do("begin").run(); err != nil {
		return err
	}
	v.begun = true
	return nil
}

// close ends the snapshot.
func (v *view) close() error {
	if !v.begun {
		return nil
	}
	v.begun = false
	return v.c.do("commit").run()
}

// list returns the pk of a list; 0 when it never had a timestamp.
func (v *view) list(l kinto.List) (int64, error) {
	if v.ledger != nil {
		if p := v.ledger.pages[l]; p != nil {
			return p.pk, nil
		}
	}
	if !v.own {
		if pk := v.cache.list(l); pk != 0 {
			return pk, nil
		}
	}
	p, err := v.page(l)
	if p == nil {
		return 0, err
	}
	return p.pk, nil
}

// page returns what is known of a list; nil when it never had a timestamp.
func (v *view) page(l kinto.List) (*page, error) {
	if v.ledger != nil {
		if p := v.ledger.pages[l]; p != nil {
			return p, nil
		}
	}
	if v.seen != nil && v.seenList == l {
		return v.seen, nil
	}
	if err := v.open(); err != nil {
		return nil, err
	}
	s := v.c.do("list").text(1, l.Parent).text(2, string(l.Kind))
	found, err := s.step()
	if !found {
		return nil, err
	}
	p := &page{tally: tally{pk: s.number(0), ts: s.number(1), live: s.number(2), tombstones: s.number(3), bytes: s.number(4), files: s.number(5), version: s.number(6)}}
	s.reset()
	p.kept = p.tally
	if v.ledger != nil {
		v.ledger.pages[l] = p
	} else {
		v.seenList, v.seen = l, p
	}
	if !v.own {
		v.cache.addList(l, p.pk, v.generation)
	}
	return p, nil
}

// Get implements kinto.Reader.
func (v *view) Get(l kinto.List, id string) (*kinto.Object, error) {
	if l.Kind.Structural() && !v.own {
		if o, known := v.cache.object(l, id); known {
			return o, nil
		}
	}
	absent := func(err error) (*kinto.Object, error) {
		if err == nil && l.Kind.Structural() && !v.own {
			v.cache.addAbsent(l, id, v.generation)
		}
		return nil, err
	}
	pk, err := v.list(l)
	if pk == 0 {
		return absent(err)
	}
	if err := v.open(); err != nil {
		return nil, err
	}
	s := v.c.do("get").int(1, pk).text(2, id)
	found, err := s.step()
	if !found {
		return absent(err)
	}
	// One piece of memory for both texts.
	data, permissions := s.raw(1), s.raw(2)
	both := append(append(make([]byte, 0, len(data)+len(permissions)), data...), permissions...)
	o := &kinto.Object{ID: id, Timestamp: s.number(0), Data: both[:len(data):len(data)], Permissions: both[len(data):]}
	s.reset()
	if l.Kind.Structural() && !v.own {
		v.cache.addObject(l, o, v.generation)
	}
	return o, nil
}

// Timestamp implements kinto.Reader.
func (v *view) Timestamp(l kinto.List) (int64, bool, error) {
	p, err := v.page(l)
	if p == nil {
		return 0, false, err
	}
	return p.ts, true, nil
}

// Former implements kinto.Reader.
func (v *view) Former(l kinto.List) (int64, error) {
	if err := v.open(); err != nil {
		return -1, err
	}
	s := v.c.do("former").text(1, l.Parent).text(2, string(l.Kind))
	found, err := s.step()
	if !found {
		return -1, err
	}
	defer s.reset()
	return s.number(0), nil
}

// find binds the statement for a query; nil when the list is not there.
func (v *view) find(name string, l kinto.List, q *kinto.Query) (*stmt, error) {
	pk, err := v.list(l)
	if pk == 0 {
		return nil, err
	}
	if err := v.open(); err != nil {
		return nil, err
	}
	if q.Granted != nil {
		name += "_granted"
	}
	tombstones := int64(0)
	if q.Tombstones {
		tombstones = 1
	}
	since, before := q.Bounds()
	s := v.c.do(name).int(1, pk).int(2, since).int(3, before).int(4, tombstones)
	if q.Granted != nil {
		s.text(5, list(q.Granted.Principals)).text(6, list(q.Granted.Permissions))
	}
	return s, nil
}

func list(words []string) string {
	out, err := json.Marshal(words)
	if err != nil {
		panic("storage: words cannot be encoded: " + err.Error())
	}
	return string(out)
}

// Select implements kinto.Reader.
func (v *view) Select(l kinto.List, q kinto.Query) ([]kinto.Object, bool, error) {
	if v.shelf == nil || q.Granted != nil {
		return v.selectNow(l, q)
	}
	p, err := v.page(l)
	if p == nil {
		return nil, false, err
	}
	key := string(q.AppendKey(nil))
	if s, ok := v.shelf.get(p, key); ok {
		return s.found, s.more, nil
	}
	found, more, err := v.selectNow(l, q)
	if err == nil && (len(found) > shelfFew || len(q.Filters) > 0 || len(q.Sort) > 1) {
		v.shelf.put(p, key, selected{found, more})
	}
	return found, more, err
}

// selectNow is Select from the database itself.
func (v *view) selectNow(l kinto.List, q kinto.Query) ([]kinto.Object, bool, error) {
	ordered := q.IDs == nil && (len(q.Sort) == 0 || q.Oldest())
	page := kinto.NewPage(&q, ordered)
	err := v.scan(l, &q, func(o *kinto.Object) bool {
		switch {
		case !page.Wants(o):
			return !page.Full()
		case ordered:
			id := v.copy(unsafe.Slice(unsafe.StringData(o.ID), len(o.ID)))
			page.Add(kinto.Object{
				ID: unsafe.String(unsafe.SliceData(id), len(id)), Timestamp: o.Timestamp, Deleted: o.Deleted,
				Data: v.copy(o.Data), Permissions: v.copy(o.Permissions),
			})
		default:
			// It may be turned out again, and is then to leave nothing behind.
			page.Add(kinto.Object{
				ID: strings.Clone(o.ID), Timestamp: o.Timestamp, Deleted: o.Deleted,
				Data: bytes.Clone(o.Data), Permissions: bytes.Clone(o.Permissions),
			})
		}
		return true
	})
	if err != nil {
		return nil, false, err
	}
	found, more := page.Done()
	return found, more, nil
}

// scan calls each for the objects within the bounds, ids and grants of q, until it
// returns false: in the query's order if that is one of timestamps. The object is
// good until each returns.
func (v *view) scan(l kinto.List, q *kinto.Query, each func(*kinto.Object) bool) error {
	name := "select"
	switch {
	case q.IDs != nil:
		name = "select_ids"
	case q.Oldest():
		name = "select_up"
	}
	s, err := v.find(name, l, q)
	if s == nil {
		return err
	}
	if q.IDs != nil {
		s.text(7, list(q.IDs))
	}
	var o kinto.Object
	for n := 1; ; n++ {
		more, err := s.step()
		if !more {
			return err
		}
		id := s.raw(0)
		o = kinto.Object{
			ID: unsafe.String(unsafe.SliceData(id), len(id)), Timestamp: s.number(1), Deleted: s.number(2) != 0,
			Data: s.raw(3), Permissions: s.raw(4),
		}
		large := len(o.Data) > 16<<10
		if !each(&o) {
			s.reset()
			return nil
		}
		if (n%256 == 0 || large) && v.ctx.Err() != nil {
			s.reset()
			return v.ctx.Err()
		}
	}
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

// Count implements kinto.Reader.
func (v *view) Count(l kinto.List, q kinto.Query) (int, error) {
	if q.IDs != nil || len(q.Filters) > 0 || q.After != nil {
		n := 0
		page := kinto.NewPage(&q, false)
		err := v.scan(l, &q, func(o *kinto.Object) bool {
			if page.Wants(o) {
				n++
			}
			return true
		})
		return n, err
	}
	if since, before := q.Bounds(); q.Granted == nil && since < 0 && before == math.MaxInt64 {
		p, err := v.page(l)
		switch {
		case p == nil:
			return 0, err
		case q.Tombstones:
			return int(p.live + p.tombstones), nil
		}
		return int(p.live), nil
	}
	s, err := v.find("count", l, &q)
	if s == nil {
		return 0, err
	}
	if _, err := s.step(); err != nil {
		return 0, err
	}
	n := s.number(0)
	s.reset()
	return int(n), nil
}

// Size implements kinto.Reader.
func (v *view) Size(l kinto.List) (objects, bytes int, err error) {
	p, err := v.page(l)
	if p == nil {
		return 0, 0, err
	}
	return int(p.live + p.tombstones), int(p.bytes), nil
}

// Groups implements kinto.Reader.
func (v *view) Groups(members ...string) ([]string, error) {
	key := strings.Join(members, "\x00")
	if !v.own {
		if uris, ok := v.cache.groups(key); ok {
			return uris, nil
		}
	}
	if err := v.open(); err != nil {
		return nil, err
	}
	s := v.c.do("groups").text(1, list(members)).text(2, string(kinto.Group))
	uris := []string{}
	for {
		more, err := s.step()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		l := kinto.List{Parent: string(s.raw(0)), Kind: kinto.Group}
		uris = append(uris, l.URI(string(s.raw(1))))
	}
	if !v.own {
		v.cache.addGroups(key, uris, v.generation)
	}
	return uris, nil
}
