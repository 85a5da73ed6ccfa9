package kinto

import (
	"slices"
	"strings"

	"github.com/foyer-server/foyer/internal/config"
)

// grant is one way to hold a permission: a permission on the object of kind on.
type grant struct {
	on         Kind
	permission string
}

// need is a permission on a kind of object.
type need struct {
	on         Kind
	permission string
}

// The permission of reading an object's own attributes, wider than reading what
// lies below it (protocol §4.2).
const readAttributes = "read:attributes"

// suffices says what grants a permission (protocol §4.2).
var suffices = map[need][]grant{
	{"", "bucket:create"}: nil, // by settings only

	{Bucket, "read"}:              {{Bucket, "write"}, {Bucket, "read"}},
	{Bucket, readAttributes}:      {{Bucket, "write"}, {Bucket, "read"}, {Bucket, "collection:create"}, {Bucket, "group:create"}},
	{Bucket, "write"}:             {{Bucket, "write"}},
	{Bucket, "collection:create"}: {{Bucket, "write"}, {Bucket, "collection:create"}},
	{Bucket, "group:create"}:      {{Bucket, "write"}, {Bucket, "group:create"}},

	{Collection, "read"}:          {{Bucket, "write"}, {Bucket, "read"}, {Collection, "write"}, {Collection, "read"}},
	{Collection, readAttributes}:  {{Bucket, "write"}, {Bucket, "read"}, {Collection, "write"}, {Collection, "read"}, {Collection, "record:create"}},
	{Collection, "write"}:         {{Bucket, "write"}, {Collection, "write"}},
	{Collection, "record:create"}: {{Bucket, "write"}, {Collection, "write"}, {Collection, "record:create"}},

	{Group, "read"}:  {{Bucket, "write"}, {Bucket, "read"}, {Group, "write"}, {Group, "read"}},
	{Group, "write"}: {{Bucket, "write"}, {Group, "write"}},

	{Account, "read"}:  {{Account, "write"}, {Account, "read"}},
	{Account, "write"}: {{Account, "write"}},

	{History, "read"}:  {{Bucket, "write"}, {Bucket, "read"}, {History, "write"}, {History, "read"}},
	{History, "write"}: {{Bucket, "write"}, {History, "write"}},

	{Record, "read"}:  {{Bucket, "write"}, {Bucket, "read"}, {Collection, "write"}, {Collection, "read"}, {Record, "write"}, {Record, "read"}},
	{Record, "write"}: {{Bucket, "write"}, {Collection, "write"}, {Record, "write"}},
}

// create is the permission to add objects of a kind, held on the parent.
func create(k Kind) need { return need{k.row().parent, string(k) + ":create"} }

// grantedBySettings reads the settings RESOURCE_PERMISSION_principals. RESOURCE is
// the kind a request asks for; the permissions considered are all that suffice
// (protocol §4.4).
func grantedBySettings(settings config.Kinto) map[Kind]map[string][]string {
	out := map[Kind]map[string][]string{}
	for i := range kinds {
		k := kinds[i].name
		out[k] = map[string][]string{}
		for _, n := range []need{create(k), {k, "read"}, {k, readAttributes}, {k, "write"}} {
			names := []string{n.permission}
			for _, g := range suffices[n] {
				names = append(names, g.permission)
			}
			var who []string
			for _, p := range names {
				setting := string(k) + "_" + p
				if strings.HasPrefix(p, string(k)) {
					setting = p
				}
				who = append(who, settings.List(strings.ReplaceAll(setting, ":", "_")+"_principals")...)
			}
			out[k][n.permission] = who
		}
	}
	return out
}

// scope is where a request takes place: the objects above its list, and what is
// granted there.
type scope struct {
	list    List
	above   [2]*Object // nearest first
	missing *NotFoundError
}

// enter reads the objects above a list.
func enter(tx Reader, l List) (scope, error) {
	sc := scope{list: l}
	i := 0
	err := l.parents(func(up List, id string) error {
		o, err := tx.Get(up, id)
		if err != nil {
			return err
		}
		if o == nil && sc.missing == nil {
			sc.missing = &NotFoundError{Kind: up.Kind, ID: id, Parent: true}
		}
		sc.above[i] = o
		i++
		return nil
	})
	return sc, err
}

// holds reports whether the caller holds permission n, where self is the object
// asked about: the requested one, or nil for a list or a missing one.
func (s rights) holds(who Caller, sc *scope, self *Object, n need) bool {
	if who.Owner && sc.list.Kind == Account {
		return true
	}
	if slices.ContainsFunc(s.granted[sc.list.Kind][n.permission], who.is) {
		return true
	}
	for _, g := range suffices[n] {
		o := self
		if g.on != sc.list.Kind {
			o = sc.at(g.on)
		}
		if o != nil && grants(o.Permissions, g.permission, who.Principals) {
			return true
		}
	}
	return false
}

// at is the object of kind k above the list.
func (sc *scope) at(k Kind) *Object {
	for i, up := 0, sc.list.Kind.row().parent; up != ""; i, up = i+1, up.row().parent {
		if up == k {
			return sc.above[i]
		}
	}
	return nil
}

// own lists the permissions on an object of kind k itself that suffice for n.
func own(k Kind, permission string) []string {
	var out []string
	for _, g := range suffices[need{k, permission}] {
		if g.on == k {
			out = append(out, g.permission)
		}
	}
	return out
}

// told is the missing parent as anybody is told of it: only some kinds tell.
func (sc *scope) told() error {
	if k := sc.list.Kind.row(); k.lookup && sc.missing != nil && sc.missing.Kind == k.parent {
		return sc.missing
	}
	return nil
}
