package postgres

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/foyer-server/foyer/server/kinto"
)

// tx is a view of a transaction that writes: what memory knows (book) goes before
// what the database says, and nothing is read that is not under a lock.
type tx struct {
	view
	b *book
	j *job
}

var _ kinto.Tx = (*tx)(nil)

// guard gets the lock under which a list is read, and written if it is not of the structure.
func (t *tx) guard(l kinto.List) error {
	if l.Kind.Structural() {
		return nil // under lockStructure, which every writer has
	}
	return t.b.lock(t.j, lockOfList(l))
}

// page returns what is known of a list, which is under its lock from then on.
func (t *tx) page(l kinto.List) (page, error) {
	if t.b.err != nil {
		return page{}, fail(t.b.err)
	}
	if err := t.guard(l); err != nil {
		return page{}, err
	}
	if p, ok := t.b.pages.all[l]; ok {
		return p, nil
	}
	if !text(l.Parent) {
		return page{ts: -1}, nil
	}
	if t.b.asking {
		return page{}, t.b.stop(errAgain)
	}
	batch := &pgx.Batch{}
	t.b.queuePages(batch, []kinto.List{l})
	if err := t.b.conn.SendBatch(t.b.ctx, batch).Close(); err != nil {
		return page{}, t.b.stop(err)
	}
	return t.b.pages.all[l], nil
}

// change keeps what a list has become.
func (t *tx) change(l kinto.List, p page) {
	if l.Kind.Structural() {
		t.b.structure = true
	}
	now := t.b.pages.all[l] // it may have been sent since p was read
	p.stored, p.sent, p.moved = now.stored, now.sent, true
	set(t.b, &t.b.pages, l, p)
}

// prepare makes sure that a list may be written to.
func (t *tx) prepare(l kinto.List) (page, error) {
	if l.Kind.Structural() {
		if err := t.b.seclude(t.j); err != nil {
			return page{}, err
		}
	}
	p, err := t.page(l)
	if err == nil && !text(l.Parent) {
		err = errors.New("cannot write to a list whose name is not text")
	}
	return p, err
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

// Get implements kinto.Reader.
func (t *tx) Get(l kinto.List, id string) (*kinto.Object, error) {
	if t.b.err != nil {
		return nil, fail(t.b.err)
	}
	if l.Kind.Structural() && !t.b.structure {
		return t.view.Get(l, id)
	}
	k, err := t.at(l, id)
	if k.o == nil || k.o.Deleted || err != nil {
		return nil, err
	}
	return k.o, nil
}

// at returns what is at a place.
func (t *tx) at(l kinto.List, id string) (known, error) {
	p, err := t.page(l)
	if err != nil || !p.stored && !p.there || !text(id) {
		return known{}, err
	}
	at := place{p.pk, id}
	if k, ok := t.b.objects.all[at]; ok {
		return k, nil
	}
	if t.b.asking {
		t.b.wanted = append(t.b.wanted, at)
		return known{}, t.b.stop(errAgain)
	}
	var k known
	if p.stored {
		if k.o, err = t.fetch(l, id); err != nil {
			return known{}, err
		}
	}
	t.b.objects.all[at] = k
	return k, nil
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

// taken reports whether another object of the list has a timestamp.
func (t *tx) taken(p page, at place, ts int64) (bool, error) {
	id := ""
	if p.stored {
		err := t.b.each("taken", func(r row) bool {
			id = r.text(0)
			return true
		}, p.pk, ts)
		if err != nil {
			return false, err
		}
		// It may have moved in this transaction.
		if k, ok := t.b.objects.all[place{p.pk, id}]; ok && k.o != nil && k.o.Timestamp != ts {
			id = ""
		}
	}
	if id == "" {
		for other := range t.b.objects.changed {
			if other.list == p.pk && t.b.objects.all[other].o.Timestamp == ts {
				id = other.id
			}
		}
	}
	return id != "" && id != at.id, nil
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

// settled makes sure that what is asked of the database about objects of a list is
// what this transaction sees.
func (t *tx) settled(l kinto.List) error {
	p, err := t.page(l)
	if err != nil {
		return err
	}
	if _, ok := t.b.pages.changed[l]; !ok {
		return nil
	}
	for at := range t.b.objects.changed {
		if at.list == p.pk {
			return t.b.send()
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

// apart makes sure that what is asked about more than one list does not change.
func (t *tx) apart() error {
	if err := t.b.seclude(t.j); err != nil {
		return err
	}
	return t.b.send()
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

// Usage implements kinto.Reader. Those who ask wait for each other, so that two who
// would add something do not both find the same room; who adds without asking, or
// makes less of it, does not wait.
func (t *tx) Usage(owner string) (kinto.Usage, error) {
	if err := t.b.lock(t.j, lockOf(lockOwner, owner)); err != nil {
		return kinto.Usage{}, err
	}
	u, ok := t.b.usage[owner]
	if !ok {
		var err error
		if u, err = t.view.Usage(owner); err != nil {
			return kinto.Usage{}, err
		}
		t.b.usage[owner] = u
	}
	for l := range t.b.pages.changed {
		bucket := bucketOf(l)
		if bucket == "" {
			continue
		}
		if who, err := t.Owner(bucket); err != nil {
			return kinto.Usage{}, err
		} else if who != owner {
			continue
		}
		p := t.b.pages.all[l]
		if l.Kind == kinto.Record {
			u.Records += int(p.live - p.sent.live)
		}
		u.Bytes += p.bytes - p.sent.bytes
		u.FileBytes += p.files - p.sent.files
	}
	return u, nil
}

// bucketOf is the URI of the bucket that a list is below.
func bucketOf(l kinto.List) string {
	const root = "/buckets/"
	rest, ok := strings.CutPrefix(l.Parent, root)
	if !ok || l.Kind == kinto.Account {
		return ""
	}
	id, _, _ := strings.Cut(rest, "/")
	return root + id
}

// Owner implements kinto.Reader.
func (t *tx) Owner(bucket string) (string, error) {
	if t.b.err != nil {
		return "", fail(t.b.err)
	}
	if who, ok := t.b.owners[bucket]; ok {
		return who, nil
	}
	who, err := t.view.Owner(bucket)
	if err == nil {
		t.b.owners[bucket] = who
	}
	return who, err
}

// SetOwner implements kinto.Tx.
func (t *tx) SetOwner(bucket, owner string) error {
	if err := t.b.seclude(t.j); err != nil {
		return err
	}
	o, err := t.Get(kinto.List{Kind: kinto.Bucket}, strings.TrimPrefix(bucket, "/buckets/"))
	if err != nil {
		return err
	}
	bytes := int64(0)
	if o != nil {
		bytes = kinto.Weight(kinto.Bucket, o)
	}
	name, args := "owner_set", []any{bucket, []byte(owner), bytes}
	if owner == "" {
		name, args = "owner_forget", args[:1]
	}
	if err := t.b.write(name, args...); err != nil {
		return err
	}
	clear(t.b.owners)
	clear(t.b.usage)
	return nil
}

// Meta implements kinto.Reader.
func (t *tx) Meta(name string) ([]byte, error) {
	if t.b.err != nil {
		return nil, fail(t.b.err)
	}
	if v, ok := t.b.meta.all[name]; ok {
		return v, nil
	}
	return t.view.Meta(name)
}

// SetMeta implements kinto.Tx.
func (t *tx) SetMeta(name string, value []byte) error {
	if err := t.b.seclude(t.j); err != nil {
		return err
	}
	set(t.b, &t.b.meta, name, slices.Clone(value))
	return nil
}

// Note implements kinto.Reader.
func (t *tx) Note(key string) ([]byte, error) {
	if err := t.b.lock(t.j, lockOf(lockNote, key)); err != nil {
		return nil, err
	}
	if n, ok := t.b.notes.all[key]; ok {
		if n.until <= time.Now().UnixMilli() {
			return nil, nil
		}
		return slices.Clone(n.value), nil
	}
	return t.view.Note(key)
}

// SetNote implements kinto.Tx.
func (t *tx) SetNote(key string, value []byte, until time.Time) error {
	if err := t.b.lock(t.j, lockOf(lockNote, key)); err != nil {
		return err
	}
	set(t.b, &t.b.notes, key, note{slices.Clone(value), until.UnixMilli()})
	return nil
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

// File implements kinto.Reader.
func (t *tx) File(location string) (*kinto.File, error) {
	if err := t.b.lock(t.j, lockOf(lockFile, location)); err != nil {
		return nil, err
	}
	return t.view.File(location)
}

// Attached implements kinto.Reader. The list is under its lock.
func (t *tx) Attached(l kinto.List, id string) (*kinto.File, error) {
	if _, err := t.page(l); err != nil {
		return nil, err
	}
	return t.view.Attached(l, id)
}

// Holds implements kinto.Reader.
func (t *tx) Holds(hash string) (bool, error) {
	if err := t.b.lock(t.j, lockOf(lockFile, hash)); err != nil {
		return false, err
	}
	return t.view.Holds(hash)
}

// Attach implements kinto.Tx.
func (t *tx) Attach(l kinto.List, id string, f *kinto.File) error {
	if f == nil {
		p, err := t.page(l)
		if err != nil || p.attached == 0 {
			return err
		}
	}
	p, err := t.prepare(l)
	if err != nil {
		return err
	}
	if !p.there {
		p.tick(-1)
	}
	if f != nil {
		if !text(f.Location) || !text(f.Hash) || !text(id) {
			return errors.New("cannot keep a file whose place is not text")
		}
		for _, name := range []string{f.Location, f.Hash} {
			if err := t.b.lock(t.j, lockOf(lockFile, name)); err != nil {
				return err
			}
		}
		found, same := false, false
		err := t.b.each("file", func(r row) bool {
			found, same = true, r.int(4) == p.pk && r.text(5) == id
			return true
		}, f.Location)
		switch {
		case err != nil:
			return err
		case found && !same:
			return kinto.ErrConflict
		case !found: // it may be that of a list that waits to be swept
			if err := t.b.write("file_remove", f.Location); err != nil {
				return err
			}
		}
	}
	location, hash, size, found := "", "", int64(0), false
	err = t.b.each("file_of", func(r row) bool {
		location, size, hash, found = r.text(0), r.int(1), r.text(2), true
		return true
	}, p.pk, id)
	if err != nil || !found && f == nil {
		return err
	}
	if found {
		for _, name := range []string{location, hash} {
			if err := t.b.lock(t.j, lockOf(lockFile, name)); err != nil {
				return err
			}
		}
		if err := t.b.write("file_remove", location); err != nil {
			return err
		}
		p.attached--
		p.files -= size
	}
	if f != nil {
		err := t.b.write("file_add", f.Location, p.pk, id, f.Hash, f.Size, []byte(f.Type), []byte(f.Name))
		if err != nil {
			return err
		}
		p.attached++
		p.files += f.Size
	}
	t.change(l, p)
	return nil
}
