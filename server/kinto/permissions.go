package kinto

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

// Permission is the kind of what the list of a caller's permissions holds: entries
// that say what the caller may do with one object. They are made when they are
// asked for, and kept nowhere (protocol §8, permissions endpoint).
const Permission Kind = "permission"

// permissionEntry is one of them as clients see it.
type permissionEntry struct {
	URI         string   `json:"uri"`
	Kind        Kind     `json:"resource_name"`
	Permissions []string `json:"permissions"`
	ID          string   `json:"id,omitempty"`
	Bucket      string   `json:"bucket_id,omitempty"`
	Collection  string   `json:"collection_id,omitempty"`
	Group       string   `json:"group_id,omitempty"`
	Record      string   `json:"record_id,omitempty"`
}

// implied are the permissions on an object that one on the same object brings
// along, itself included.
func implied(k Kind, permission string) []string {
	out := []string{permission}
	for n, ways := range suffices {
		if n.on == k && slices.Contains(ways, grant{k, permission}) {
			out = append(out, n.permission)
		}
	}
	return out
}

// PermissionSort is the order of entries: addresses are unique and timestamps are
// not, so that the last key but one decides.
func PermissionSort(keys []Key) []Key {
	keys = slices.DeleteFunc(slices.Clone(keys), func(k Key) bool { return k.Field.is("last_modified") })
	return append(keys, Key{Field{"uri"}, true}, Key{Field{"last_modified"}, true})
}

// PermissionsOf does a Get or Count of what a caller holds, as far as objects or
// settings say so. The request's Sort comes from PermissionSort. The objects of the answer have everything in their Data.
func (s *Service) PermissionsOf(ctx context.Context, r *Request) (a *Answer, err error) {
	if !slices.ContainsFunc(s.settings.List("permissions_read_principals"), r.Who.is) {
		return nil, ErrForbidden
	}
	if r.Invalid != nil {
		return nil, r.Invalid
	}
	q := r.Query
	if q.Limit <= 0 || q.Limit > s.page {
		q.Limit = s.page
	}
	a = &Answer{Timestamp: time.Now().UnixMilli(), Limit: q.Limit, Expires: -1}
	if err := s.recognise(nil, r, &q, a.Timestamp); err != nil {
		return nil, err
	}
	err = s.store.Read(ctx, func(tx Reader) error {
		all, err := s.reader().entries(tx, r.Who)
		if err != nil {
			return err
		}
		if err := s.reader().spend(len(all), 0); err != nil {
			return err
		}
		page := NewPage(&q, false)
		a.Total = 0
		for i := range all {
			data, err := json.Marshal(all[i])
			if err != nil {
				return err
			}
			o := Object{ID: all[i].ID, Data: data}
			if q.IDs != nil && !slices.Contains(q.IDs, o.ID) || !q.Matches(&o) {
				continue
			}
			a.Total++
			if page.Wants(&o) {
				page.Add(o)
			}
		}
		found, more := page.Done()
		a.Objects, a.Next = found, nil
		if more && len(found) > 0 {
			a.Next = q.Position(&found[len(found)-1])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// entries are all of a caller's.
func (s reader) entries(tx Reader, who Caller) ([]permissionEntry, error) {
	held := map[string]Granted{}
	add := func(g Granted) {
		if k := g.List.Kind; k != Bucket && k != Collection && k != Group && k != Record {
			return
		}
		uri := g.List.URI(g.ID)
		all := held[uri]
		all.List, all.ID = g.List, g.ID
		for _, p := range g.Permissions {
			all.Permissions = append(all.Permissions, implied(g.List.Kind, p)...)
		}
		held[uri] = all
	}
	grants, err := tx.Grants(who.Principals)
	if err != nil {
		return nil, err
	}
	for _, g := range grants {
		add(g)
	}
	for _, k := range []Kind{Bucket, Collection, Group} {
		by := s.permissionsBySettings(k, who)
		if len(by) == 0 {
			continue
		}
		lists, err := tx.Lists(k)
		if err != nil {
			return nil, err
		}
		for _, l := range lists {
			err := s.each(tx, l, Everything(), func(o Object) error {
				add(Granted{l, o.ID, by})
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	var out []permissionEntry
	for uri, g := range held {
		e := permissionEntry{URI: uri, Kind: g.List.Kind, Permissions: slices.Compact(slices.Sorted(slices.Values(g.Permissions))), ID: g.ID}
		e.set(g.List.Kind, g.ID)
		_ = g.List.parents(func(up List, id string) error { // the function never fails
			e.set(up.Kind, id)
			return nil
		})
		out = append(out, e)
	}
	root := permissionEntry{URI: "/", Kind: "root"}
	for _, k := range []Kind{Bucket, Account} {
		n := create(k)
		if k == Account && !s.settings.Includes("accounts") {
			continue
		}
		if s.holds(who, &scope{list: List{Kind: k}}, nil, n) {
			root.Permissions = append(root.Permissions, n.permission)
		}
	}
	if root.Permissions != nil {
		out = append(out, root)
	}
	return out, nil
}

func (e *permissionEntry) set(k Kind, id string) {
	switch k {
	case Bucket:
		e.Bucket = id
	case Collection:
		e.Collection = id
	case Group:
		e.Group = id
	case Record:
		e.Record = id
	}
}

// permissionsBySettings are those that settings give a caller on every object of a
// kind.
func (s rights) permissionsBySettings(k Kind, who Caller) []string {
	names := map[string]string{"read": string(k) + "_read", "write": string(k) + "_write"}
	for i := range kinds {
		if child := kinds[i].name; kinds[i].parent == k && child != History {
			names[string(child)+":create"] = string(child) + "_create"
		}
	}
	var out []string
	for permission, name := range names {
		if slices.ContainsFunc(s.settings.List(name+"_principals"), who.is) {
			out = append(out, permission)
		}
	}
	return out
}

// AppendData appends the attributes of an object alone, those that are selected.
func (o *Object) AppendData(b []byte, fs Fields) []byte {
	if fs == nil {
		return append(b, o.Data...)
	}
	return append(fs.append(append(b, '{'), o.Data, true), '}')
}
