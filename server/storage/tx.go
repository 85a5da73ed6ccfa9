package storage

import (
	"errors"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/server/kinto"
)

// tx is a view that writes.
type tx struct {
	view
	swept   bool // there are dead lists to sweep
	pairs   *pairs
	capture *capture

	grown  int64 // bytes of what is kept now and was not before
	buried int   // tombstones
}

var _ kinto.Tx = (*tx)(nil)

// add makes a list, and returns the timestamp of what is written to it first.
func (t *tx) add(l kinto.List, want int64) (*page, int64, error) {
	t.own = true
	s := t.c.do("floor").text(1, l.Parent).text(2, string(l.Kind))
	if _, err := s.step(); err != nil {
		return nil, 0, err
	}
	floor := int64(-1)
	if !s.null(0) {
		floor = s.number(0)
	}
	s.reset()
	ts, first := kinto.Begin(floor, time.Now().UnixMilli(), want)
	if floor >= 0 {
		if err := t.c.do("floor_forget").text(1, l.Parent).text(2, string(l.Kind)).run(); err != nil {
			return nil, 0, err
		}
		t.logList(changelog.Line{Kind: changelog.Floor, Gone: true}, l)
	}
	if floor > ts {
		s := t.c.do("former_keep").text(1, l.Parent).text(2, string(l.Kind)).int(3, floor)
		if _, err := s.step(); err != nil {
			return nil, 0, err
		}
		t.logList(changelog.Line{Kind: changelog.Former, Time: s.number(0)}, l)
		s.reset()
	}
	s = t.c.do("list_add").text(1, l.Parent).text(2, string(l.Kind)).int(3, ts)
	if _, err := s.step(); err != nil {
		return nil, 0, err
	}
	p := &page{tally: tally{pk: s.number(0), ts: ts}}
	s.reset()
	p.kept = p.tally
	t.ledger.add(l, p)
	t.logList(changelog.Line{Kind: changelog.List, Time: ts}, l)
	return p, first, nil
}

// logList takes down a line about a list.
func (t *tx) logList(line changelog.Line, l kinto.List) {
	line.Parent, line.Of = l.Parent, string(l.Kind)
	t.capture.add(&line)
}

// Tick implements kinto.Tx. The one writer is all the lock there need be.
func (t *tx) Tick(l kinto.List, want int64) (int64, error) {
	p, err := t.page(l)
	if err != nil {
		return 0, err
	}
	var ts int64
	if p == nil {
		if p, ts, err = t.add(l, want); err != nil {
			return 0, err
		}
	} else {
		t.ledger.change(l, p)
		p.ts, ts = kinto.Next(p.ts, time.Now().UnixMilli(), want)
	}
	p.move()
	return ts, nil
}

// Touch implements kinto.Tx.
func (t *tx) Touch(l kinto.List) (int64, error) {
	p, err := t.page(l)
	if p == nil && err == nil {
		p, _, err = t.add(l, -1)
	}
	if err != nil {
		return 0, err
	}
	return p.ts, nil
}

// Put implements kinto.Tx.
func (t *tx) Put(l kinto.List, o, old *kinto.Object) error {
	p, err := t.page(l)
	if err != nil {
		return err
	}
	if p == nil {
		return errors.New("cannot keep an object in a list that has no timestamp")
	}
	if l.Kind.Structural() {
		t.own = true
	}
	deleted, data, permissions := int64(0), o.Data, o.Permissions
	if o.Deleted {
		deleted, data, permissions = 1, nil, nil
	}
	put := func(name string) (done bool, err error) {
		s := t.c.do(name).int(1, p.pk).text(2, o.ID).int(3, o.Timestamp).int(4, deleted).bytes(5, data).bytes(6, permissions)
		if name == "replace" {
			dead := int64(1)
			if old != nil {
				dead = 0
			}
			s.int(7, dead)
		}
		err = s.run()
		return err == nil && t.c.changes() > 0, err
	}
	added := false
	if old == nil {
		if added, err = put("add"); err != nil {
			return err
		}
	}
	if !added {
		replaced, err := put("replace")
		if err != nil {
			return err
		}
		if !replaced {
			return errors.New("cannot replace an object that is not there, or add one that is")
		}
	}
	object := int64(0) // its pk, as far as it is known
	if added {
		object = t.c.inserted()
	}
	t.ledger.change(l, p)
	p.move()
	p.put = max(p.put, o.Timestamp)
	t.capture.add(&changelog.Line{Kind: changelog.Object, Parent: l.Parent, Of: string(l.Kind), ID: o.ID, Time: o.Timestamp, Gone: o.Deleted, Data: data, Permissions: permissions})
	switch {
	case added:
	case old != nil:
		p.live--
		p.bytes -= kinto.Weight(l.Kind, old)
	default:
		p.tombstones--
		p.bytes -= kinto.Weight(l.Kind, &kinto.Object{ID: o.ID, Deleted: true})
	}
	p.bytes += kinto.Weight(l.Kind, o)
	t.grown += int64(len(data) + len(permissions))
	if old != nil {
		t.grown -= int64(len(old.Data) + len(old.Permissions))
	} else if added {
		t.grown += int64(len(o.ID)) + rowBytes
	}
	if o.Deleted {
		t.buried++
		p.tombstones++
	} else {
		p.live++
	}
	if l.Kind == kinto.Bucket && old != nil && (o.Deleted || kinto.Weight(l.Kind, o) != kinto.Weight(l.Kind, old)) {
		if err := t.weigh(l.URI(o.ID), o); err != nil {
			return err
		}
	}
	if l.Kind == kinto.Group {
		if err := t.members(p.pk, o); err != nil {
			return err
		}
	}
	if old != nil && string(old.Permissions) == string(permissions) {
		return nil
	}
	if old == nil && len(permissions) == 0 {
		return nil
	}
	if !added {
		s := t.c.do("object").int(1, p.pk).text(2, o.ID)
		if _, err := s.step(); err != nil {
			return err
		}
		object = s.number(0)
		s.reset()
	}
	if old != nil {
		if err := t.each("revoke", p.pk, object, old.Permissions); err != nil {
			return err
		}
	}
	return t.each("grant", p.pk, object, permissions)
}

// rowBytes is about what a row takes besides what is in it.
const rowBytes = 128

// members keeps who is in a group.
func (t *tx) members(pk int64, o *kinto.Object) error {
	if err := t.c.do("leave").int(1, pk).text(2, o.ID).run(); err != nil {
		return err
	}
	for _, m := range kinto.Members(o) {
		if err := t.c.do("join").text(1, m).int(2, pk).text(3, o.ID).run(); err != nil {
			return err
		}
	}
	return nil
}

// each runs grant or revoke for every permission in raw.
func (t *tx) each(name string, list, object int64, raw []byte) error {
	if len(raw) == 0 {
		return nil
	}
	pairs, err := t.pairs.of(raw)
	if err != nil {
		return err
	}
	for _, g := range pairs {
		if err := t.c.do(name).text(1, g.principal).int(2, list).int(3, object).text(4, g.permission).run(); err != nil {
			return err
		}
	}
	return nil
}

// pairs is the permissions that were read last: writes that follow one another
// often come from the same hand.
type pairs struct {
	raw string
	all []pair
}

type pair struct{ permission, principal string }

func (p *pairs) of(raw []byte) ([]pair, error) {
	if p.raw == string(raw) {
		return p.all, nil
	}
	permissions, err := kinto.DecodePermissions(raw)
	if err != nil {
		return nil, err
	}
	p.raw, p.all = string(raw), nil
	for permission, principals := range permissions {
		for _, who := range principals {
			p.all = append(p.all, pair{permission, who})
		}
	}
	return p.all, nil
}

// Purge implements kinto.Tx: the lists are cut off at once and swept bit by bit
// later, so that a large one holds nobody up.
func (t *tx) Purge(uri string) error {
	t.own, t.swept = true, true
	if err := t.ledger.write(t.c); err != nil { // the floors are those of now
		return err
	}
	t.capture.add(&changelog.Line{Kind: changelog.Purge, ID: uri})
	if err := t.all(t.c.do("floors_keep").text(1, uri), func(s *stmt) {
		t.capture.add(&changelog.Line{Kind: changelog.Floor, Parent: string(s.raw(0)), Of: string(s.raw(1)), Time: s.number(2)})
	}); err != nil {
		return err
	}
	if err := t.c.do("purge").text(1, uri).run(); err != nil {
		return err
	}
	t.ledger.purge(uri)
	if err := t.c.do("births_forget").text(1, uri).run(); err != nil {
		return err
	}
	if uri == "" {
		return t.c.do("owners_forget").run()
	}
	return t.c.do("owner_forget").text(1, uri).run()
}

// all calls each for every row that a statement which writes answers.
func (t *tx) all(s *stmt, each func(*stmt)) error {
	for {
		more, err := s.step()
		if !more {
			return err
		}
		each(s)
	}
}

// logOwner takes down whose a bucket has become, as a statement's row says it.
func (t *tx) logOwner(s *stmt) {
	t.capture.add(&changelog.Line{Kind: changelog.Owner, ID: string(s.raw(0)), Value: s.raw(1), Size: s.number(2)})
}

// SetMeta implements kinto.Tx.
func (t *tx) SetMeta(name string, value []byte) error {
	t.capture.add(&changelog.Line{Kind: changelog.Meta, ID: name, Value: value, Gone: value == nil})
	if value == nil {
		return t.c.do("meta_forget").text(1, name).run()
	}
	return t.c.do("meta_set").text(1, name).blob(2, value).run()
}

// SetOwner implements kinto.Tx.
func (t *tx) SetOwner(bucket, owner string) error {
	if owner == "" {
		t.capture.add(&changelog.Line{Kind: changelog.Owner, ID: bucket, Gone: true})
		return t.c.do("owner_forget").text(1, bucket).run()
	}
	bytes := int64(0)
	o, err := t.Get(kinto.List{Kind: kinto.Bucket}, strings.TrimPrefix(bucket, "/buckets/"))
	if err != nil {
		return err
	}
	if o != nil {
		bytes = kinto.Weight(kinto.Bucket, o)
	}
	t.capture.add(&changelog.Line{Kind: changelog.Owner, ID: bucket, Value: []byte(owner), Size: bytes})
	return t.c.do("owner_set").text(1, bucket).text(2, owner).int(3, bytes).run()
}

// weigh counts a bucket that has become o for its owner, if it has one.
func (t *tx) weigh(bucket string, o *kinto.Object) error {
	bytes := kinto.Weight(kinto.Bucket, o)
	if !o.Deleted {
		return t.all(t.c.do("owner_weigh").text(1, bucket).int(2, bytes), t.logOwner)
	}
	if err := t.ledger.write(t.c); err != nil { // what is left of a bucket depends on what it has
		return err
	}
	return t.all(t.c.do("owner_bury").text(1, bucket).int(2, 2*bytes), t.logOwner)
}

// SetNote implements kinto.Tx.
func (t *tx) SetNote(key string, value []byte, until time.Time) error {
	t.capture.add(&changelog.Line{Kind: changelog.Note, ID: key, Value: value, Time: until.UnixMilli(), Gone: value == nil})
	if value == nil {
		return t.c.do("note_forget").text(1, key).run()
	}
	t.grown += max(0, int64(len(value))-slack)
	return t.c.do("note_set").text(1, key).blob(2, value).int(3, until.UnixMilli()).run()
}

// Attach implements kinto.Tx.
func (t *tx) Attach(l kinto.List, id string, f *kinto.File) error {
	p, err := t.page(l)
	if err != nil {
		return err
	}
	if p == nil {
		if f == nil {
			return nil
		}
		if p, _, err = t.add(l, -1); err != nil {
			return err
		}
	}
	if f != nil {
		s := t.c.do("file").text(1, f.Location)
		found, err := s.step()
		if err != nil {
			return err
		}
		if found {
			same := s.number(4) == p.pk && string(s.raw(5)) == id
			s.reset()
			if !same {
				return kinto.ErrConflict
			}
		}
		// It may be that of a list that waits to be swept.
		if !found {
			if err := t.c.do("file_remove").text(1, f.Location).run(); err != nil {
				return err
			}
		}
	}
	s := t.c.do("file_of").int(1, p.pk).text(2, id)
	found, err := s.step()
	if err != nil {
		return err
	}
	if found {
		location, size := string(s.raw(0)), s.number(1)
		s.reset()
		if err := t.c.do("file_remove").text(1, location).run(); err != nil {
			return err
		}
		t.capture.add(&changelog.Line{Kind: changelog.File, Location: location, Gone: true})
		t.ledger.change(l, p)
		p.files -= size
	}
	if f == nil {
		return nil
	}
	t.ledger.change(l, p)
	p.files += f.Size
	t.grown += int64(len(f.Location)+len(f.Name)+len(f.Type)+len(f.Hash)) + rowBytes
	t.capture.add(&changelog.Line{Kind: changelog.File, Location: f.Location, Parent: l.Parent, Of: string(l.Kind), ID: id, Hash: f.Hash, Size: f.Size, Type: f.Type, Name: f.Name})
	return t.c.do("file_add").text(1, f.Location).int(2, p.pk).text(3, id).text(4, f.Hash).int(5, f.Size).text(6, f.Type).text(7, f.Name).run()
}
