package kinto

import "context"

// Ensure makes the bucket, and unless it is empty the collection in it, if they are
// not there: the caller's default bucket comes to be by being used (protocol §8,
// default_bucket). The caller may write what is made.
func (s *Service) Ensure(ctx context.Context, who Caller, bucket, collection string) error {
	if s.readonly {
		return ErrReadOnly
	}
	type place struct {
		list List
		id   string
	}
	all := []place{{List{Kind: Bucket}, bucket}}
	if collection != "" {
		if !Collection.ValidID(collection) {
			return &InvalidError{[]Problem{{Location: "path", NoName: true, Description: "Invalid collection id"}}}
		}
		all = append(all, place{List{Parent: List{Kind: Bucket}.URI(bucket), Kind: Collection}, collection})
	}
	there := true
	err := s.store.Read(ctx, func(tx Reader) error {
		there = true
		for _, p := range all {
			o, err := tx.Get(p.list, p.id)
			if err != nil {
				return err
			}
			there = there && o != nil
		}
		return nil
	})
	if err != nil || there {
		return err
	}
	var about []List
	for _, p := range all {
		about = append(about, s.About(p.list, p.id)...)
	}
	return s.store.Write(ctx, about, func(tx Tx) error {
		first, err := tx.Get(all[0].list, bucket)
		if err != nil {
			return err
		}
		bill, err := s.bill(tx, who, all[0].list, bucket, first == nil)
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
			story, err := s.chronicle(tx, who, p.list)
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
}
