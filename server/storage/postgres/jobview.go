package postgres

import (
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/foyer-server/foyer/server/kinto"
)

// jobView is what a job sees of its transaction: what memory knows (book) goes before what
// the database says, and nothing is read that is not under a lock.
type jobView struct {
	view
	b *book
	j *job
}

// guard gets the lock under which a list is read, and written if it is not of the structure.
func (t *jobView) guard(l kinto.List) error {
	if l.Kind.Structural() {
		return nil // under lockStructure, which every writer has
	}
	return t.b.lock(t.j, lockOfList(l))
}

// page returns what is known of a list, which is under its lock from then on.
func (t *jobView) page(l kinto.List) (page, error) {
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
func (t *jobView) change(l kinto.List, p page) {
	if l.Kind.Structural() {
		t.b.structure = true
	}
	now := t.b.pages.all[l] // it may have been sent since p was read
	p.stored, p.sent, p.moved = now.stored, now.sent, true
	set(t.b, &t.b.pages, l, p)
}

// prepare makes sure that a list may be written to.
func (t *jobView) prepare(l kinto.List) (page, error) {
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

// Get implements kinto.Reader.
func (t *jobView) Get(l kinto.List, id string) (*kinto.Object, error) {
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
func (t *jobView) at(l kinto.List, id string) (known, error) {
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

// taken reports whether another object of the list has a timestamp.
func (t *jobView) taken(p page, at place, ts int64) (bool, error) {
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

// settled makes sure that what is asked of the database about objects of a list is
// what this transaction sees.
func (t *jobView) settled(l kinto.List) error {
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

// apart makes sure that what is asked about more than one list does not change.
func (t *jobView) apart() error {
	if err := t.b.seclude(t.j); err != nil {
		return err
	}
	return t.b.send()
}
