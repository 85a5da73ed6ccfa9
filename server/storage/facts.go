package storage

import (
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
)

// Meta implements kinto.Reader.
func (v *view) Meta(name string) ([]byte, error) {
	if err := v.open(); err != nil {
		return nil, err
	}
	return v.value(v.c.do("meta").text(1, name))
}

// Note implements kinto.Reader.
func (v *view) Note(key string) ([]byte, error) {
	if err := v.open(); err != nil {
		return nil, err
	}
	return v.value(v.c.do("note").text(1, key).int(2, time.Now().UnixMilli()))
}

// value is the one value a statement finds, or nil.
func (v *view) value(s *stmt) ([]byte, error) {
	found, err := s.step()
	if !found {
		return nil, err
	}
	value := append([]byte{}, s.raw(0)...)
	s.reset()
	return value, nil
}

// Lists implements kinto.Reader.
func (v *view) Lists(k kinto.Kind) ([]kinto.List, error) {
	var out []kinto.List
	err := v.rows("lists", func(s *stmt) { s.text(1, string(k)) }, func(s *stmt) {
		out = append(out, kinto.List{Parent: string(s.raw(0)), Kind: k})
	})
	return out, err
}

// Grants implements kinto.Reader.
func (v *view) Grants(principals []string) ([]kinto.Granted, error) {
	type object struct {
		list kinto.List
		id   string
	}
	held := map[object][]string{}
	err := v.rows("granted", func(s *stmt) { s.text(1, list(principals)) }, func(s *stmt) {
		o := object{kinto.List{Parent: string(s.raw(0)), Kind: kinto.Kind(s.raw(1))}, string(s.raw(2))}
		held[o] = append(held[o], string(s.raw(3)))
	})
	if err != nil {
		return nil, err
	}
	type row struct {
		kinto.Granted
		uri string
	}
	var rows []row
	for o, permissions := range held {
		slices.Sort(permissions)
		rows = append(rows, row{kinto.Granted{List: o.list, ID: o.id, Permissions: slices.Compact(permissions)}, o.list.URI(o.id)})
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(b.uri, a.uri) })
	out := make([]kinto.Granted, len(rows))
	for i, r := range rows {
		out[i] = r.Granted
	}
	return out, nil
}

// Owner implements kinto.Reader.
func (v *view) Owner(bucket string) (string, error) {
	if err := v.open(); err != nil {
		return "", err
	}
	owner, err := v.value(v.c.do("owner").text(1, bucket))
	return string(owner), err
}

// Usage implements kinto.Reader.
func (v *view) Usage(owner string) (u kinto.Usage, err error) {
	err = v.rows("usage", func(s *stmt) { s.text(1, owner).text(2, string(kinto.Record)) }, func(s *stmt) {
		u = kinto.Usage{Records: int(s.number(0)), Bytes: s.number(1), FileBytes: s.number(2)}
	})
	return u, err
}

// Totals implements kinto.Reader.
func (v *view) Totals() (objects, tombstones map[kinto.Kind]int, err error) {
	objects, tombstones = map[kinto.Kind]int{}, map[kinto.Kind]int{}
	err = v.rows("totals", func(*stmt) {}, func(s *stmt) {
		k := kinto.Kind(s.raw(0))
		if n := s.number(1); n > 0 {
			objects[k] = int(n)
		}
		if n := s.number(2); n > 0 {
			tombstones[k] = int(n)
		}
	})
	return objects, tombstones, err
}

// rows calls each for every row of a statement about whole lists.
func (v *view) rows(name string, bind, each func(*stmt)) error {
	if err := v.open(); err != nil {
		return err
	}
	if v.ledger != nil {
		if err := v.ledger.write(v.c); err != nil {
			return err
		}
	}
	s := v.c.do(name)
	bind(s)
	for n := 1; ; n++ {
		more, err := s.step()
		if !more {
			return err
		}
		each(s)
		if n%256 == 0 && v.ctx.Err() != nil {
			s.reset()
			return v.ctx.Err()
		}
	}
}

// File implements kinto.Reader.
func (v *view) File(location string) (*kinto.File, error) {
	if err := v.open(); err != nil {
		return nil, err
	}
	s := v.c.do("file").text(1, location)
	found, err := s.step()
	if !found {
		return nil, err
	}
	f := &kinto.File{Location: location, Hash: string(s.raw(0)), Size: s.number(1), Type: string(s.raw(2)), Name: string(s.raw(3))}
	s.reset()
	return f, nil
}

// Attached implements kinto.Reader.
func (v *view) Attached(l kinto.List, id string) (*kinto.File, error) {
	pk, err := v.list(l)
	if pk == 0 {
		return nil, err
	}
	if err := v.open(); err != nil {
		return nil, err
	}
	s := v.c.do("file_of").int(1, pk).text(2, id)
	found, err := s.step()
	if !found {
		return nil, err
	}
	f := &kinto.File{Location: string(s.raw(0)), Hash: string(s.raw(2)), Size: s.number(1), Type: string(s.raw(3)), Name: string(s.raw(4))}
	s.reset()
	return f, nil
}

// Holds implements kinto.Reader.
func (v *view) Holds(hash string) (bool, error) {
	if err := v.open(); err != nil {
		return false, err
	}
	s := v.c.do("holds").text(1, hash)
	found, err := s.step()
	if found {
		s.reset()
	}
	return found, err
}
