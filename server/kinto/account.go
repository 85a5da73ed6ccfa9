package kinto

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// Accounts are objects in lists of one each, below their own names (protocol §8,
// accounts). What a request sees as the list of accounts is made of those: of all
// for those who may see all, else of the caller's own.

// Accounts are the rules of accounts beyond the protocol's, and what goes with a
// change of one; package people has them. The functions with a Tx are called in the
// transaction of the change, before it and after everything else that could refuse
// it; an error refuses it.
type Accounts interface {
	// OwnsServer reports whether an account is that of an owner of this server.
	OwnsServer(tx Reader, name string) (bool, error)
	// MakeAccount: somebody is about to make an account. manager says that they may
	// make any.
	MakeAccount(tx Tx, by Caller, name string, manager bool) error
	// ChangeAccount: somebody is about to change one, or its password, too.
	ChangeAccount(tx Tx, by Caller, name string, password bool) error
	// RemoveAccount: somebody is about to remove one.
	RemoveAccount(tx Tx, by Caller, name string) error
	// ForgetAccount: one goes with everything that was ever stored.
	ForgetAccount(tx Tx, name string) error
	// HashPassword is the hash of a new password, as an account keeps it. The error is
	// an *InvalidError for what cannot be one, and a *BusyError when too many are
	// being checked. It takes tens of milliseconds.
	HashPassword(ctx context.Context, password string) (string, error)
}

// MetaOwner is the fact that names the account of the server's owner. Package auth
// keeps it.
const MetaOwner = "auth.owner"

// MetaPerson begins the name of the fact that holds what package auth keeps of an
// account beside its password. It goes with the account: whoever has the name next
// is somebody else.
const MetaPerson = "auth.person."

// MetaReserved begins the name of the fact that an account is gone and what it stored
// is not: whoever had the name next would find it. Only an owner gives it away.
const MetaReserved = "auth.reserved."

// Errors about accounts.
var (
	// ErrAccounts: nobody is told which accounts there are.
	ErrAccounts = errors.New("the caller is nobody, and cannot read accounts")
	// ErrOwner: the account of the first owner stays, and is theirs alone.
	ErrOwner = errors.New("the account of the owner is theirs alone")
)

const accountPrefix = "account:"

// manages reports whether a caller holds a permission on every account: by
// settings, or as the owner of the server.
func (s rights) manages(who Caller, permission string) bool {
	return who.Owner || slices.ContainsFunc(s.granted[Account][permission], who.is)
}

// accountLists are the lists that a request on the list of accounts is for.
func (s rights) accountLists(tx Reader, r *Request) ([]List, error) {
	if r.Who.App {
		return nil, ErrForbidden
	}
	permission := "read"
	if r.Op == Delete {
		permission = "write"
	}
	switch name, own := strings.CutPrefix(r.Who.ID, accountPrefix); {
	case s.manages(r.Who, permission):
		all, err := tx.Lists(Account)
		return slices.DeleteFunc(all, func(l List) bool { return l.Parent == "" }), err
	case r.Who.ID == "":
		return nil, ErrAccounts
	case own:
		return []List{{Parent: name, Kind: Account}}, nil
	}
	return nil, nil
}

// lookAccounts does a Get or Count of the list of accounts.
func (s reader) lookAccounts(tx Reader, r *Request) (*Answer, error) {
	lists, err := s.accountLists(tx, r)
	if err != nil {
		return nil, err
	}
	if r.Invalid != nil {
		return nil, r.Invalid
	}
	ts, ok, err := tx.Timestamp(r.List)
	if err == nil && !ok {
		err = errNoTimestamp
	}
	if err != nil {
		return nil, err
	}
	for _, l := range lists {
		own, _, err := tx.Timestamp(l)
		if err != nil {
			return nil, err
		}
		ts = max(ts, own)
	}
	q := r.Query
	if err := s.recognise(tx, r, &q, ts, append(lists, r.List)...); err != nil {
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
	if r.Op == Count {
		q.Tombstones = false
	}
	return a, s.findAccounts(tx, lists, q, a)
}

// findAccounts selects one page of several lists into a, and counts all of them.
func (s reader) findAccounts(tx Reader, lists []List, q Query, a *Answer) error {
	if q.Limit <= 0 || q.Limit > s.page {
		q.Limit = s.page
	}
	page := NewPage(&q, false)
	one := Query{Since: q.Since, Before: q.Before, Tombstones: q.Tombstones, IDs: q.IDs}
	for _, l := range lists {
		found, _, err := tx.Select(l, one)
		if err != nil {
			return err
		}
		for i := range found {
			if q.Matches(&found[i]) {
				a.Total++
			}
			if page.Wants(&found[i]) {
				page.Add(found[i])
			}
		}
	}
	found, more := page.Done()
	a.Objects, a.Limit = found, q.Limit
	if more && len(found) > 0 {
		a.Next = q.Position(&found[len(found)-1])
	}
	return nil
}

// deleteAccounts deletes accounts; the owner's stays.
func (s writer) deleteAccounts(tx Tx, r *Request) (*Answer, error) {
	a, err := s.lookAccounts(tx, r)
	if errors.Is(err, errNoTimestamp) {
		if _, err = tx.Touch(r.List); err == nil {
			a, err = s.lookAccounts(tx, r)
		}
	}
	if err != nil {
		return nil, err
	}
	if err := turnPage(tx, r, a); err != nil {
		return nil, err
	}
	var gone []Object
	for i := range a.Objects {
		old := &a.Objects[i]
		if old.Deleted {
			continue
		}
		l := List{Parent: old.ID, Kind: Account}
		switch err := s.accounts.RemoveAccount(tx, r.Who, old.ID); {
		case errors.Is(err, ErrOwner) && s.manages(r.Who, "write") && len(a.Objects) > 1:
			continue
		case err != nil:
			return nil, err
		}
		o, err := bury(tx, l, old, -1)
		if err != nil {
			return nil, err
		}
		gone = append(gone, *o)
		a.Timestamp = max(a.Timestamp, o.Timestamp)
	}
	a.Objects = gone
	return a, nil
}

// checkAccount refuses what an account is not to become. Passwords come as hashes,
// which r says it made; no other is let in.
func (s writer) checkAccount(r *Request, o, old *Object) error {
	if old == nil && r.Who.ID != "" && r.Who.ID != accountPrefix+o.ID && !s.manages(r.Who, "write") {
		return Invalid("body", "data.id", "Username and account ID do not match.")
	}
	const name = "data.password"
	now := attribute(o.Data, "password")
	switch {
	case now == nil || r.Op != Patch && !r.Body.HasData:
		return Invalid("body", name, "Required")
	case typeOf(now) != isString:
		return Invalid("body", name, python(now)+" is not a string: {'': ''}")
	case old != nil && r.Op == Patch && string(now) == string(attribute(old.Data, "password")):
	case r.Hash == "" || string(key(now)) != r.Hash:
		return Invalid("body", name, noPassword)
	}
	return nil
}

// agree asks the rules of accounts about what an account is about to become.
func (s writer) agree(tx Tx, r *Request, o, old *Object) error {
	if old == nil {
		return s.accounts.MakeAccount(tx, r.Who, o.ID, s.manages(r.Who, "write"))
	}
	return s.accounts.ChangeAccount(tx, r.Who, o.ID, string(attribute(o.Data, "password")) != string(attribute(old.Data, "password")))
}

// discreet makes an answer, or an error, about accounts one that tells nobody the hash
// of a password: whoever has it can try passwords as fast as their machines can.
func discreet(a *Answer, err error) (*Answer, error) {
	if modified, ok := err.(*ModifiedError); ok && modified.Existing != nil {
		return nil, &ModifiedError{withoutHash(modified.Existing), modified.Timestamp}
	}
	if a == nil {
		return nil, err
	}
	out := *a
	if a.Object != nil {
		out.Object = withoutHash(a.Object)
	}
	out.Objects = make([]Object, len(a.Objects))
	for i := range a.Objects {
		out.Objects[i] = *withoutHash(&a.Objects[i])
	}
	if a.Part != nil {
		out.Part = without(a.Part, "password")
	}
	return &out, err
}

func withoutHash(o *Object) *Object {
	if o.Deleted {
		return o
	}
	out := *o
	out.Data = without(o.Data, "password")
	return &out
}

// without is a checked object without one of its attributes.
func without(object []byte, name string) []byte {
	return join(slices.DeleteFunc(fields(object), func(f field) bool { return string(f.key) == name }))
}

// patchAccount is Body.patch for accounts: the hash of the password is neither seen by
// the operations nor made by them.
func (b Body) patchAccount(old *Object) (Body, error) {
	bare := withoutHash(old)
	out, err := b.patch(Account, bare)
	if err != nil {
		return out, err
	}
	if attribute(out.Data, "password") != nil {
		return out, Invalid("body", "data.password", noPassword)
	}
	if hash := attribute(old.Data, "password"); hash != nil {
		out.Data = merge(out.Data, append(append([]byte(`{"password":`), hash...), '}'))
	}
	return out, nil
}

const noPassword = "A password cannot be set in this way; use a plain PATCH or PUT"

// Password is the password that a body gives an account; false when it gives none
// that could be one.
func (b *Body) Password() (string, bool) {
	raw := attribute(b.Data, "password")
	if !b.HasData || typeOf(raw) != isString {
		return "", false
	}
	password := string(key(raw))
	return password, password != ""
}

// SetPassword makes the body give hash instead.
func (r *Request) SetPassword(hash string) {
	r.Hash = hash
	r.Body.Data = merge(r.Body.Data, append(append([]byte(`{"password":`), quote(hash)...), '}'))
}

// AccountPermissions are those of an account that is made: its person's alone.
func AccountPermissions(tx Reader, name string) ([]byte, error) {
	self, err := refer(tx, accountPrefix+name)
	if err != nil {
		return nil, err
	}
	held := Permissions{"write": {self}}
	err = born(tx, List{Parent: name, Kind: Account}, &Object{ID: name}, held)
	return held.Encode(), err
}

// HashPassword is the hash of a new password of an account; as Accounts has it.
func (s *Service) HashPassword(ctx context.Context, password string) (string, error) {
	return s.accounts.HashPassword(ctx, password)
}
