package kinto

import (
	"context"
	"slices"
	"strings"
)

// OwnNames are the ids that a caller's default bucket may have.
type OwnNames struct {
	// Known is the id that the reference gives it, where anybody who knows the caller's
	// id can work it out; empty: nobody else can work out any.
	Known string
	// Secret is one that nobody else can work out.
	Secret string
}

// ids are those that there are.
func (n OwnNames) ids() []string {
	if n.Known == "" {
		return []string{n.Secret}
	}
	return []string{n.Known, n.Secret}
}

// OwnBucket is the id of the caller's default bucket, which need not be there: the known
// one, so that the data of whoever moves here from the reference are found, unless that
// is a bucket which somebody else made to be taken for it. Then it is the secret one, as
// it is for whoever has a bucket by that and none by the other.
func (s *Service) OwnBucket(ctx context.Context, who Caller, names OwnNames) (id string, err error) {
	err = s.store.Read(ctx, func(tx Reader) error {
		id, err = s.reader().ownBucket(tx, who, names)
		return err
	})
	return id, err
}

func (s reader) ownBucket(tx Reader, who Caller, names OwnNames) (string, error) {
	if names.Known == "" {
		return names.Secret, nil
	}
	known, err := tx.Get(List{Kind: Bucket}, names.Known)
	if err != nil {
		return "", err
	}
	if known != nil {
		if theirs, err := s.meantFor(tx, who, known); err != nil || theirs {
			return names.Known, err
		}
		return names.Secret, nil
	}
	if secret, err := tx.Get(List{Kind: Bucket}, names.Secret); err != nil || secret != nil {
		return names.Secret, err
	}
	return names.Known, nil
}

// meantFor reports whether a bucket whose id says that it is the caller's really is. It
// is if the caller made it; and if the caller may write to it and it was brought here from
// another server by somebody who could do worse than that: an owner of this one, or whom the
// settings let write every bucket or every account. The id of a caller of basicauth is made
// of a password, so that nobody can know what their bucket will be called before they tell.
func (s reader) meantFor(tx Reader, who Caller, b *Object) (bool, error) {
	maker, err := tx.Owner(List{Kind: Bucket}.URI(b.ID))
	if err != nil || maker == who.Principal() {
		return err == nil, err
	}
	switch {
	case !grants(b.Permissions, "write", who.Principals):
		return false, nil
	case maker == "" || strings.HasPrefix(who.ID, "basicauth:"):
		return true, nil
	}
	name := plainName(maker)
	principals, err := Principals(tx, name)
	if err != nil || principals[0] != maker {
		return false, err // the account that made it is gone
	}
	mayAll := Caller{ID: name, Principals: principals}.is
	if slices.ContainsFunc(s.granted[Bucket]["write"], mayAll) || slices.ContainsFunc(s.granted[Account]["write"], mayAll) {
		return true, nil
	}
	account, ok := strings.CutPrefix(name, accountPrefix)
	if !ok || s.accounts == nil {
		return false, nil
	}
	return s.accounts.OwnsServer(tx, account)
}

// place is an object and the list it is in.
type place struct {
	list List
	id   string
}

// ownPlaces are a default bucket and, unless it is empty, a collection in it.
func ownPlaces(bucket, collection string) []place {
	all := []place{{List{Kind: Bucket}, bucket}}
	if collection != "" {
		all = append(all, place{List{Parent: List{Kind: Bucket}.URI(bucket), Kind: Collection}, collection})
	}
	return all
}

// Ensure makes the caller's default bucket, and unless it is empty the collection in
// it, if they are not there: they come to be by being used (protocol §8,
// default_bucket). The caller may write what is made. It returns the bucket's id, as
// OwnBucket does.
func (s *Service) Ensure(ctx context.Context, who Caller, names OwnNames, collection string) (bucket string, err error) {
	if s.readonly {
		return "", ErrReadOnly
	}
	if collection != "" && !Collection.ValidID(collection) {
		return "", &InvalidError{[]Problem{{Location: "path", NoName: true, Description: "Invalid collection id"}}}
	}
	there := true
	err = s.store.Read(ctx, func(tx Reader) error {
		if bucket, err = s.reader().ownBucket(tx, who, names); err != nil {
			return err
		}
		there = true
		for _, p := range ownPlaces(bucket, collection) {
			o, err := tx.Get(p.list, p.id)
			if err != nil {
				return err
			}
			there = there && o != nil
		}
		return nil
	})
	if err != nil || there {
		return bucket, err
	}
	var about []List
	for _, id := range names.ids() {
		for _, p := range ownPlaces(id, collection) {
			about = append(about, s.About(p.list, p.id)...)
		}
	}
	err = s.store.Write(ctx, about, func(tx Tx) error {
		var err error
		if bucket, err = s.reader().ownBucket(tx, who, names); err != nil { // somebody may have been quicker
			return err
		}
		all := ownPlaces(bucket, collection)
		first, err := tx.Get(all[0].list, bucket)
		if err != nil {
			return err
		}
		bill, err := s.writer().bill(tx, who, all[0].list, bucket, first == nil)
		if err != nil {
			return err
		}
		for _, p := range all {
			o, err := tx.Get(p.list, p.id)
			if err != nil {
				return err
			}
			if o != nil {
				continue
			}
			held := Permissions{"write": {who.Principal()}}
			o = &Object{ID: p.id, Data: []byte("{}")}
			if err := born(tx, p.list, o, held); err != nil {
				return err
			}
			o.Permissions = held.Encode()
			if o.Timestamp, err = tx.Tick(p.list, -1); err != nil {
				return err
			}
			if err := tx.Put(p.list, o, nil); err != nil {
				return err
			}
			story, err := s.writer().chronicle(tx, who, p.list)
			if err == nil {
				err = story.add(o, nil)
			}
			if err != nil {
				return err
			}
			if p.list.Kind == Bucket {
				if err := tx.SetOwner(p.list.URI(p.id), who.payer()); err != nil {
					return err
				}
			}
		}
		return bill.settle(tx)
	})
	return bucket, err
}
