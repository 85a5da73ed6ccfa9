package kinto

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// read does a Get or Count.
func (s reader) read(ctx context.Context, r *Request) (a *Answer, err error) {
	look := func(tx Reader) error {
		if a, err = s.look(tx, r); err == nil {
			a.Expires, err = s.expires(tx, r)
		}
		if err == nil {
			err = present(tx, r, a)
		}
		return err
	}
	err = s.search(ctx, &r.Query, r.ID == "", func(ctx context.Context) error { return s.store.Read(ctx, look) })
	if errors.Is(err, errNoTimestamp) {
		// The first look at a list gives it its timestamp, which then stays (protocol §6).
		err = s.store.Write(ctx, []List{r.List}, func(tx Tx) error {
			if err := look(tx); !errors.Is(err, errNoTimestamp) {
				return err
			}
			if _, err := tx.Touch(r.List); err != nil {
				return err
			}
			return look(tx)
		})
		if errors.Is(err, ErrFull) || errors.Is(err, ErrUnavailable) {
			// Reading goes on. A list nobody has written to has nothing in it, and
			// whatever is written later is later than now.
			a, err = &Answer{Timestamp: time.Now().UnixMilli(), Expires: -1}, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

// searchTime bounds how long one request looks through a list: others want to search, too.
const searchTime = 10 * time.Second

var errLongSearch = Invalid("querystring", "", fmt.Sprintf("This search takes longer than %d s; ask for fewer fields, or for a part of the list (_since, _before)", searchTime/time.Second))

// search runs fn, which looks through a list for a query unless that is plain, as long as
// somebody waits for the answer and for searchTime at most.
func (s reader) search(ctx context.Context, q *Query, list bool, fn func(context.Context) error) error {
	if !list || q.plain() || s.reading != nil {
		return fn(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, searchTime, errLongSearch)
	defer cancel()
	q.ended = func() bool { return ctx.Err() != nil }
	err := fn(ctx)
	if err != nil && context.Cause(ctx) == errLongSearch {
		return errLongSearch
	}
	return err
}

// errNoTimestamp: the list never had a timestamp, and the caller may see it.
var errNoTimestamp = errors.New("the list has no timestamp")

func (s reader) look(tx Reader, r *Request) (*Answer, error) {
	if err := s.spend(0, 0); err != nil {
		return nil, err // used up
	}
	if r.ID != "" {
		return s.getObject(tx, r)
	}
	if r.List.Kind == Account {
		return s.lookAccounts(tx, r)
	}
	q, err := s.allowList(tx, r)
	if err != nil {
		return nil, err
	}
	ts, ok, err := tx.Timestamp(r.List)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errNoTimestamp
	}
	if err := s.recognise(tx, r, &q, ts, r.List); err != nil {
		return nil, err
	}
	if r.Cond.NoneMatch.Set && !r.Cond.NoneMatch.Any && r.Cond.NoneMatch.Timestamp == ts {
		return nil, &NotModifiedError{ts}
	}
	if err := r.Cond.list(ts); err != nil {
		return nil, err
	}
	if to, lost := s.lost(r, &q, ts); lost {
		return &Answer{Timestamp: to, Lost: true}, nil
	}
	a := &Answer{Timestamp: ts}
	switch {
	case q.Granted != nil && len(q.Granted.Permissions) == 0: // nothing to see
	case r.Op == Count:
		q.Tombstones = false
		if err = s.afford(tx, r.List, &q); err == nil {
			a.Total, err = tx.Count(r.List, q)
		}
	default:
		err = s.find(tx, r.List, q, a)
	}
	return a, err
}

// find selects one page of a list into a.
func (s reader) find(tx Reader, l List, q Query, a *Answer) error {
	if q.Limit <= 0 || q.Limit > s.page {
		q.Limit = s.page
	}
	if err := s.afford(tx, l, &q); err != nil {
		return err
	}
	found, more, err := tx.Select(l, q)
	if err == nil {
		err = s.found(&q, found)
	}
	if err != nil {
		return err
	}
	a.Objects, a.Limit = found, q.Limit
	if more && len(found) > 0 {
		a.Next = q.Position(&found[len(found)-1])
	}
	return nil
}

// list checks preconditions on a list with timestamp ts.
func (c Cond) list(ts int64) error {
	if c.NoneMatch.Any || c.Match.Set && !c.Match.Any && c.Match.Timestamp != ts {
		return &ModifiedError{Timestamp: ts}
	}
	return nil
}

// object checks preconditions on an object that exists, or does not (nil).
func (c Cond) object(o *Object) error {
	switch {
	case o == nil && c.Match.Set:
		return &ModifiedError{Timestamp: -1}
	case o == nil:
		return nil
	case c.NoneMatch.Any, c.Match.Set && !c.Match.Any && c.Match.Timestamp != o.Timestamp:
		return &ModifiedError{Existing: o, Timestamp: o.Timestamp}
	}
	return nil
}

func (s reader) getObject(tx Reader, r *Request) (*Answer, error) {
	sc, o, err := s.allowObject(tx, r)
	if err != nil {
		return nil, err
	}
	if o == nil {
		return nil, s.notThere(&sc, r)
	}
	if r.Cond.NoneMatch.Set && !r.Cond.NoneMatch.Any && r.Cond.NoneMatch.Timestamp == o.Timestamp {
		return nil, &NotModifiedError{o.Timestamp}
	}
	if err := r.Cond.object(o); err != nil {
		return nil, s.modified(tx, r, &sc, o, err)
	}
	if err := s.spend(0, o.size()); err != nil {
		return nil, err
	}
	return s.answer(r, o), nil
}

// notThere is the error for an object that does not exist, to a caller who may know.
func (s rights) notThere(sc *scope, r *Request) error {
	if sc.missing != nil {
		return sc.missing
	}
	return &NotFoundError{Kind: r.List.Kind, ID: r.ID}
}

// answer is an Answer about one object. Its permissions are shown to those in
// its own list of writers only (protocol §4.5).
func (s reader) answer(r *Request, o *Object) *Answer {
	a := &Answer{Object: o, Timestamp: o.Timestamp}
	if len(o.Permissions) > 0 && grants(o.Permissions, "write", r.Who.Principals) {
		a.Permissions = o.Permissions
	}
	return a
}

// check does everything of a write that can be done without writing, so that
// callers who may not write learn it without waiting for those who may.
func (s rights) check(tx Reader, r *Request) error {
	if r.ID == "" && r.Op == Delete {
		if r.List.Kind == Account {
			_, err := s.accountLists(tx, r)
			return err
		}
		_, err := s.allowList(tx, r)
		return err
	}
	_, _, err := s.allowObject(tx, r)
	return err
}

// allowObject decides whether the caller may do what r asks to the object, which
// it returns when there is one; then whether the request makes sense.
func (s rights) allowObject(tx Reader, r *Request) (sc scope, o *Object, err error) {
	sc, err = enter(tx, r.List)
	if err != nil {
		return sc, nil, err
	}
	k := r.List.Kind.row()
	if r.Op.writes() {
		if err := sc.told(); err != nil {
			return sc, nil, err
		}
	}
	id := r.ID
	if r.Op == Create {
		if r.Body.HasID && !k.id(r.Body.ID) {
			return sc, nil, InvalidID()
		}
		id = r.Body.ID
	}
	if id != "" && k.id(id) && sc.missing == nil {
		if o, err = tx.Get(r.List, id); err != nil {
			return sc, nil, err
		}
	}
	if r.Who.App && r.List.Kind == Account || !s.may(r, &sc, o) {
		return sc, nil, ErrForbidden
	}
	if sc.missing != nil {
		return sc, nil, sc.missing
	}
	if r.Invalid != nil {
		return sc, nil, r.Invalid
	}
	if r.Op != Create && !k.id(r.ID) {
		return sc, nil, InvalidID()
	}
	return sc, o, nil
}

// may is protocol §4.3 for an object.
func (s rights) may(r *Request, sc *scope, o *Object) bool {
	k := r.List.Kind
	if r.Own && r.Op == Put && (o == nil || r.Cond.NoneMatch.Any) {
		return true
	}
	var n need
	switch {
	case r.Op == Get:
		n = need{k, readAttributes}
		if suffices[n] == nil {
			n.permission = "read"
		}
	case r.Op == Create && o != nil:
		n = need{k, "read"}
	case (r.Op == Put || r.Op == Create) && (o == nil || r.Cond.NoneMatch.Any):
		n = create(k)
	default:
		n = need{k, "write"}
	}
	if s.holds(r.Who, sc, o, n) {
		return true
	}
	if o == nil && (r.Op == Patch || r.Op == Delete) && k.row().parent != "" {
		// Whoever may read the parent may know that the object is missing.
		return s.holds(r.Who, sc, nil, need{k.row().parent, "read"})
	}
	return false
}

// allowList decides whether the caller may read, or delete, in a list, and what
// of it (protocol §4.3, lists and partial access).
func (s rights) allowList(tx Reader, r *Request) (Query, error) {
	q := r.Query
	q.Granted = nil
	sc, err := enter(tx, r.List)
	if err != nil {
		return q, err
	}
	permission := "read"
	if r.Op == Delete {
		permission = "write"
	}
	k := r.List.Kind
	if !s.holds(r.Who, &sc, nil, need{k, permission}) {
		q.Granted = &Grant{Principals: r.Who.Principals, Permissions: own(k, permission)}
		if all := own(k, readAttributes); permission == "read" && all != nil {
			// A list shows of an object what its own address does.
			q.Granted.Permissions = all
		}
		some := Everything()
		some.Granted, some.Limit = q.Granted, 1
		found, err := tx.Count(r.List, some)
		if err != nil {
			return q, err
		}
		if found == 0 {
			if !s.holds(r.Who, &sc, nil, create(k)) {
				return q, ErrForbidden
			}
			q.Granted = &Grant{}
		}
	}
	if sc.missing != nil {
		return q, sc.missing
	}
	return q, r.Invalid
}
