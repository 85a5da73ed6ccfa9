package postgres

import (
	"errors"
	"maps"
	"strings"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
)

// tx is a transaction that writes, as a job has it: the objects of lists here, what else is
// kept beside them in its parts.
type tx struct {
	*jobView
	facts
	files
}

var _ kinto.Tx = (*tx)(nil)

func newTx(b *book, j *job) *tx {
	v := &jobView{view: view{ctx: j.ctx, src: b, cache: b.db.cache}, b: b, j: j}
	return &tx{v, facts{v}, files{v}}
}

// tick moves a list, and returns the timestamp of what is written to it.
func (p *page) tick(want int64) (ts int64) {
	now := time.Now().UnixMilli()
	if p.there {
		p.ts, ts = kinto.Next(p.ts, now, want)
	} else {
		floor := p.ts
		if p.ts, ts = kinto.Begin(floor, now, want); floor > p.ts {
			p.former = floor
		}
	}
	p.there = true
	return ts
}

// Tick implements kinto.Tx.
func (t *tx) Tick(l kinto.List, want int64) (int64, error) {
	p, err := t.prepare(l)
	if err != nil {
		return 0, err
	}
	ts := p.tick(want)
	t.change(l, p)
	return ts, nil
}

// Touch implements kinto.Tx.
func (t *tx) Touch(l kinto.List) (int64, error) {
	p, err := t.page(l)
	if p.there || err != nil {
		return p.ts, err
	}
	if p, err = t.prepare(l); err != nil {
		return 0, err
	}
	p.tick(-1)
	t.change(l, p)
	return p.ts, nil
}

// Put implements kinto.Tx.
func (t *tx) Put(l kinto.List, o, old *kinto.Object) error {
	p, err := t.prepare(l)
	if err != nil {
		return err
	}
	if !p.there {
		return errors.New("cannot keep an object in a list that has no timestamp")
	}
	if !text(o.ID) {
		return errors.New("cannot keep an object whose id is not text")
	}
	at := place{p.pk, o.ID}
	was, ok := t.b.objects.all[at]
	if !ok && old != nil {
		was, ok = known{o: old}, true // it was read by Select
	}
	if !ok {
		if was, err = t.at(l, o.ID); err != nil {
			return err
		}
	}
	if (old != nil) != (was.o != nil && !was.o.Deleted) {
		return errors.New("cannot replace an object that is not there, or add one that is")
	}
	k := known{o: &kinto.Object{ID: o.ID, Timestamp: o.Timestamp, Deleted: o.Deleted, Data: o.Data, Permissions: o.Permissions}}
	if o.Deleted {
		k.o.Data, k.o.Permissions = nil, nil
	}
	if o.Timestamp < p.ts && !(was.o != nil && was.o.Timestamp == o.Timestamp) {
		// Those that Tick makes are above all others, and this is not the last.
		if k.past = true; t.b.err == nil {
			if taken, err := t.taken(p, at, o.Timestamp); err != nil {
				return err
			} else if taken {
				return kinto.ErrConflict
			}
		}
	}
	if was.o != nil {
		p.bytes -= kinto.Weight(l.Kind, was.o)
		if was.o.Deleted {
			p.tombstones--
		} else {
			p.live--
		}
	}
	p.bytes += kinto.Weight(l.Kind, o)
	if o.Deleted {
		p.tombstones++
	} else {
		p.live++
	}
	t.change(l, p)
	set(t.b, &t.b.objects, at, k)
	if l.Kind == kinto.Group {
		set(t.b, &t.b.members, at, unique(kinto.Members(o)))
	}
	var before []byte
	if old != nil {
		before = old.Permissions
	}
	if err := t.grants(at, before, k.o.Permissions); err != nil || l.Kind != kinto.Bucket || old == nil {
		return err
	}
	if o.Deleted || kinto.Weight(l.Kind, o) != kinto.Weight(l.Kind, old) {
		return t.b.weigh(l.URI(o.ID), o)
	}
	return nil
}

// grants keeps who is granted what by an object.
func (t *tx) grants(at place, before, after []byte) error {
	if string(before) == string(after) {
		return nil
	}
	for i, raw := range [][]byte{before, after} {
		if len(raw) == 0 {
			continue
		}
		permissions, err := kinto.DecodePermissions(raw)
		if err != nil {
			return err
		}
		for permission, principals := range permissions {
			for _, who := range principals {
				set(t.b, &t.b.grants, grant{at, who, permission}, i == 1)
			}
		}
	}
	return nil
}

// Timestamp implements kinto.Reader.
func (t *tx) Timestamp(l kinto.List) (int64, bool, error) {
	p, err := t.page(l)
	if !p.there || err != nil {
		return 0, false, err
	}
	return p.ts, true, nil
}

// Select implements kinto.Reader.
func (t *tx) Select(l kinto.List, q kinto.Query) ([]kinto.Object, bool, error) {
	if err := t.settled(l); err != nil {
		return nil, false, err
	}
	return t.view.Select(l, q)
}

// Count implements kinto.Reader.
func (t *tx) Count(l kinto.List, q kinto.Query) (int, error) {
	if simple(&q) {
		p, err := t.page(l)
		if q.Tombstones {
			p.live += p.tombstones
		}
		return int(p.live), err
	}
	if err := t.settled(l); err != nil {
		return 0, err
	}
	return t.view.Count(l, q)
}

// Size implements kinto.Reader.
func (t *tx) Size(l kinto.List) (objects, bytes int, err error) {
	p, err := t.page(l)
	return int(p.live + p.tombstones), int(p.bytes), err
}

// Groups implements kinto.Reader.
func (t *tx) Groups(members ...string) ([]string, error) {
	if t.b.err != nil {
		return nil, fail(t.b.err)
	}
	if !t.b.structure {
		return t.view.Groups(members...)
	}
	if err := t.b.send(); err != nil {
		return nil, err
	}
	return (&view{ctx: t.ctx, src: t.b, cache: newCache()}).Groups(members...)
}

// Lists implements kinto.Reader.
func (t *tx) Lists(k kinto.Kind) ([]kinto.List, error) {
	if err := t.apart(); err != nil {
		return nil, err
	}
	return t.view.Lists(k)
}

// Grants implements kinto.Reader.
func (t *tx) Grants(principals []string) ([]kinto.Granted, error) {
	if err := t.apart(); err != nil {
		return nil, err
	}
	return t.view.Grants(principals)
}

// Totals implements kinto.Reader.
func (t *tx) Totals() (objects, tombstones map[kinto.Kind]int, err error) {
	if err := t.apart(); err != nil {
		return nil, nil, err
	}
	return t.view.Totals()
}

// Purge implements kinto.Tx: the lists are cut off at once and swept bit by bit
// later, so that a large one holds nobody up.
func (t *tx) Purge(uri string) error {
	if err := t.b.seclude(t.j); err != nil {
		return err
	}
	if !text(uri) {
		return errors.New("cannot purge what is not text")
	}
	for _, name := range []string{"floors_keep", "purge", "births_forget"} { // the floors are those of now
		if err := t.b.write(name, uri); err != nil {
			return err
		}
	}
	t.b.forget()
	maps.DeleteFunc(t.b.meta.all, func(name string, _ []byte) bool { return strings.HasPrefix(name, "birth."+uri+"/") })
	t.b.structure = true
	t.b.purged = append(t.b.purged, uri)
	if uri == "" {
		return t.b.write("owners_forget")
	}
	return t.b.write("owner_forget", uri)
}
