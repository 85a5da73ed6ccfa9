package kinto

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
)

// write does a Create, Put, Patch or Delete inside a transaction.
func (s writer) write(tx Tx, r *Request) (*Answer, error) {
	if r.ID == "" && r.Op == Delete {
		if r.List.Kind == Account {
			return s.deleteAccounts(tx, r)
		}
		return s.deleteList(tx, r)
	}
	sc, old, err := s.allowObject(tx, r)
	if err != nil {
		return nil, err
	}
	if old == nil && (r.Op == Patch || r.Op == Delete) {
		return nil, s.notThere(&sc, r)
	}
	if err := r.Cond.object(old); err != nil {
		return nil, s.modified(tx, r, &sc, old, err)
	}
	switch r.Op {
	case Create:
		if old != nil {
			return s.answer(r, old), nil
		}
		id := r.Body.ID
		if !r.Body.HasID {
			id = r.List.Kind.row().newID()
		}
		return s.put(tx, r, &sc, id, nil)
	case Put, Patch:
		if r.attach != nil && old != nil {
			patch := *r
			patch.Op = Patch
			r = &patch
		}
		if r.Body.HasID && r.Body.ID != r.ID {
			return nil, otherID()
		}
		return s.put(tx, r, &sc, r.ID, old)
	}
	return s.delete(tx, r, old)
}

// modified completes the error of a precondition that does not hold.
func (s reader) modified(tx Reader, r *Request, sc *scope, old *Object, err error) error {
	e, ok := err.(*ModifiedError)
	switch {
	case !ok:
	case old == nil:
		// There is no object: the timestamp is that of the list, if it has one.
		ts, has, err := tx.Timestamp(r.List)
		if err != nil {
			return err
		}
		if has {
			e.Timestamp = ts
		}
	case !s.holds(r.Who, sc, old, need{r.List.Kind, "read"}):
		// If-None-Match: * is answered to those who may only create, too.
		e.Existing = nil
	case r.List.Kind == Group:
		shown, err := shownGroup(tx, r.Who, old)
		if err != nil {
			return err
		}
		e.Existing = shown
	}
	return err
}

// put makes the object what the request says, over old or anew.
func (s writer) put(tx Tx, r *Request, sc *scope, id string, old *Object) (*Answer, error) {
	body := r.Body
	bill, err := s.bill(tx, r.Who, r.List, id, old == nil)
	if err != nil {
		return nil, err
	}
	if body.ops != nil {
		if body, err = s.patched(tx, r, old); err != nil {
			return nil, err
		}
		if body.HasID && body.ID != id {
			return nil, otherID()
		}
	}
	o := &Object{ID: id, Data: body.Data}
	switch {
	case old != nil && !body.HasData:
		o.Data = old.Data
	case r.Body.ops != nil:
	case body.merge:
		o.Data = mergePatch(old.Data, body.Data)
	case old != nil && r.Op == Patch:
		o.Data = merge(old.Data, body.Data)
	case !body.HasData:
		o.Data = []byte("{}")
	}
	if shape := r.List.Kind.row().shape; shape != nil && body.HasData {
		if o.Data, err = shape(s.schemas, o.Data); err != nil {
			return nil, err
		}
	}
	switch {
	case r.List.Kind == Account:
		if err := s.checkAccount(r, o, old); err != nil {
			return nil, err
		}
	case r.List.Kind == Group && attribute(body.Data, "members") != nil:
		if err := s.everybody(tx, o, old); err != nil {
			return nil, err
		}
		refs, err := referAll(tx, Members(o))
		if err != nil {
			return nil, err
		}
		if !slices.Equal(refs, Members(o)) {
			o.Data = withMembers(o.Data, refs)
		}
	}
	if r.attach != nil {
		o.Data = r.attach.show(o.Data)
	}
	if err := s.conform(sc, o); err != nil {
		return nil, err
	}
	want, err := chosen(tx, r.List, body.Modified, old, "body", "data.last_modified")
	if err != nil {
		return nil, err
	}
	if r.List.Kind == Account { // nothing after this refuses an account
		if err := s.agree(tx, r, o, old); err != nil {
			return nil, err
		}
	}
	if o.Permissions, err = s.permissions(tx, r, id, body.Permissions, old); err != nil {
		return nil, err
	}
	if r.List.Kind == Record {
		if err := s.mayAttach(tx, r, o, old); err != nil {
			return nil, err
		}
	}
	story, err := s.chronicle(tx, r.Who, r.List)
	if err != nil {
		return nil, err
	}
	if err := bill.affords(more(r.List, o, old, story)); err != nil {
		return nil, err
	}
	// What refuses comes before what writes: in a batch, a refused request leaves nothing
	// behind. A bill that is too high ends the whole batch.
	if r.List.Kind == Record {
		if err := s.attach(tx, r, o, old, bill); err != nil {
			return nil, err
		}
	}
	if o.Timestamp, err = tx.Tick(r.List, want); err != nil {
		return nil, err
	}
	if err := tx.Put(r.List, o, old); err != nil {
		return nil, err
	}
	if r.List.Kind == Bucket && old == nil {
		if err := tx.SetOwner(r.List.URI(id), r.Who.payer()); err != nil {
			return nil, err
		}
	}
	if err = story.add(o, old); err == nil {
		err = bill.settle(tx)
	}
	if err != nil {
		return nil, err
	}
	a := s.answer(r, o)
	if a.Created = old == nil; a.Created && r.List.Kind == Account {
		a.Permissions = o.Permissions // to nobody in particular, who is that account from now on
	}
	if r.Behavior != Full {
		sent := body.Data
		if !body.HasData {
			sent = []byte("{}")
		}
		a.Part = r.Behavior.part(old.Data, sent, o.Data)
	}
	return a, nil
}

// patched is what a JSON Patch makes of an object, which it sees as clients do.
func (s writer) patched(tx Reader, r *Request, old *Object) (Body, error) {
	seen := *old
	var err error
	if seen.Permissions, err = shown(tx, r.Who, old.Permissions); err != nil {
		return r.Body, err
	}
	switch r.List.Kind {
	case Account:
		return r.Body.patchAccount(&seen)
	case Group:
		group, err := shownGroup(tx, r.Who, &seen)
		if err != nil {
			return r.Body, err
		}
		return r.Body.patch(Group, group)
	}
	return r.Body.patch(r.List.Kind, &seen)
}

func otherID() *InvalidError {
	return Invalid("body", "id", "Object id does not match existing object")
}

func (s writer) delete(tx Tx, r *Request, old *Object) (*Answer, error) {
	want, err := chosen(tx, r.List, r.Modified, old, "querystring", "last_modified")
	if err != nil {
		return nil, err
	}
	if r.List.Kind == Account {
		if err := s.accounts.RemoveAccount(tx, r.Who, old.ID); err != nil {
			return nil, err
		}
	}
	story, err := s.chronicle(tx, r.Who, r.List)
	if err != nil {
		return nil, err
	}
	o, err := bury(tx, r.List, old, want)
	if err == nil {
		err = story.add(o, old)
	}
	if err != nil {
		return nil, err
	}
	return &Answer{Object: o, Timestamp: o.Timestamp}, nil
}

// bury leaves a tombstone where an object was and forgets everything below it.
func bury(tx Tx, l List, old *Object, want int64) (*Object, error) {
	ts, err := tx.Tick(l, want)
	if err != nil {
		return nil, err
	}
	o := &Object{ID: old.ID, Timestamp: ts, Deleted: true}
	if err := tx.Put(l, o, old); err != nil {
		return nil, err
	}
	switch {
	case l.Kind == Account: // its name is its person's still
		err = tx.SetMeta(MetaPerson+old.ID, nil)
	case l.Kind.bears():
		err = GiveUp(tx, l.URI(old.ID))
	}
	if err != nil {
		return nil, err
	}
	if l.Kind == Record && attachmentOf(old) != nil {
		if err := tx.Attach(l, old.ID, nil); err != nil {
			return nil, err
		}
	}
	if l.Kind.holdsOthers() {
		if err := tx.Purge(l.URI(old.ID)); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// Bury deletes a live object without asking anybody: for those who asked already.
func Bury(tx Tx, l List, id string) error {
	old, err := tx.Get(l, id)
	if err != nil || old == nil {
		return err
	}
	_, err = bury(tx, l, old, -1)
	return err
}

// holdsOthers reports whether objects of the kind have lists below them.
func (k Kind) holdsOthers() bool {
	for i := range kinds {
		if kinds[i].parent == k {
			return true
		}
	}
	return false
}

// deleteList deletes what the request's query finds, each with its own timestamp.
func (s writer) deleteList(tx Tx, r *Request) (*Answer, error) {
	q, err := s.allowList(tx, r)
	if err != nil {
		return nil, err
	}
	ts, err := tx.Touch(r.List)
	if err != nil {
		return nil, err
	}
	if err := s.recognise(tx, r, &q, ts, r.List); err != nil {
		return nil, err
	}
	if err := r.Cond.list(ts); err != nil {
		return nil, err
	}
	a := &Answer{Timestamp: ts}
	if q.Granted != nil && len(q.Granted.Permissions) == 0 {
		return a, nil
	}
	q.Tombstones = false
	if r.aim != nil {
		q.IDs = r.aim.ids()
	}
	if err := s.find(tx, r.List, q, a); err != nil {
		return nil, err
	}
	if r.aim != nil {
		a.Next, a.Limit = r.aim.Next, r.aim.Limit
	}
	if err := turnPage(tx, r, a); err != nil {
		return nil, err
	}
	story, err := s.chronicle(tx, r.Who, r.List)
	if err != nil {
		return nil, err
	}
	found := a.Objects
	a.Objects = make([]Object, len(found))
	for i := range found {
		// The oldest first, so that the tombstones keep the order of the objects.
		at := len(found) - 1 - i
		o, err := bury(tx, r.List, &found[at], -1)
		if err == nil {
			err = story.add(o, &found[at])
		}
		if err != nil {
			return nil, err
		}
		a.Objects[at] = *o
		a.Timestamp = o.Timestamp
	}
	return a, nil
}

// turnPage uses up the token of a deletion that goes on, and gives out another when
// there is more. A token is good once: a deletion that is sent twice does not
// delete twice as much (protocol §7, pagination).
func turnPage(tx Tx, r *Request, a *Answer) error {
	const prefix, life = "pagination:", 600 * time.Second
	if r.Token != "" {
		there, err := tx.Note(prefix + r.Token)
		if err != nil {
			return err
		}
		if there == nil {
			return UsedToken()
		}
		if err := tx.SetNote(prefix+r.Token, nil, time.Time{}); err != nil {
			return err
		}
	}
	if a.Next == nil {
		return nil
	}
	a.Token = "pagination-token-" + uuid.NewString()
	return tx.SetNote(prefix+a.Token, []byte{1}, time.Now().Add(life))
}

// takeAim finds what a deletion in a list is for before the transaction, when that
// takes looking at more than what is deleted: other writes do not wait for it. The
// transaction looks again, at what was found.
func (s writer) takeAim(ctx context.Context, r *Request) error {
	r.aim = nil
	if r.Op != Delete || r.ID != "" || r.List.Kind == Account || len(r.Query.Filters) == 0 && len(r.Query.Sort) < 2 {
		return nil
	}
	look := func(tx Reader) error {
		r.aim = nil
		q, err := s.allowList(tx, r)
		if err != nil || q.Granted != nil && len(q.Granted.Permissions) == 0 {
			return err
		}
		q.Tombstones = false
		aim := &Answer{}
		if err := s.find(tx, r.List, q, aim); err != nil {
			return err
		}
		r.aim = aim
		return nil
	}
	return s.search(ctx, &r.Query, true, func(ctx context.Context) error { return s.store.Read(ctx, look) })
}

// ids are those of the objects of a list.
func (a *Answer) ids() []string {
	out := make([]string, len(a.Objects))
	for i := range a.Objects {
		out[i] = a.Objects[i].ID
	}
	return out
}
