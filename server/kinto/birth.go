package kinto

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// Names come back: who makes an account, a group, a bucket or a collection again that
// was deleted is somebody, or something, else. So each has a birth: how often its name,
// and those of what it is in, were given up before. What refers to one by name (grants,
// members of groups, whose a bucket is) says which birth it means, after a "#":
// "account:anna#1", "/buckets/b/groups/g#0.1.0". A first birth is not written, so that
// nearly everything is as clients sent it; clients never see a "#", nor what refers to a
// birth that is over. A reference to a name that nobody has means the next birth.
//
// How often a name was given up is a fact in the store's meta, from the first time on;
// an object of a later birth carries its own in its permissions, under a name that is
// none.

const (
	metaBirths = "birth." // begins the facts; then a principal, or the URI of an object
	birthKey   = "#"      // of permissions
	markedKey  = "##"     // of permissions: of a collection, where its bucket's history was
)

// birthOf is the birth of an object; empty: the first of its name.
func birthOf(o *Object) string { return hidden(o, birthKey) }

func hidden(o *Object, name string) string {
	if o == nil || !bytes.Contains(o.Permissions, []byte(`"`+name+`":`)) {
		return ""
	}
	found := ""
	gjson.ParseBytes(o.Permissions).ForEach(func(k, v gjson.Result) bool {
		if k.Str == name {
			found = v.Get("0").Str
		}
		return k.Str != name
	})
	return found
}

// deaths is how often a name was given up.
func deaths(tx Reader, name string) (int, error) {
	raw, err := tx.Meta(metaBirths + name)
	if err != nil || raw == nil {
		return 0, err
	}
	return strconv.Atoi(string(raw))
}

// GiveUp says that a name, of an account as a principal or else as a URI, means somebody
// else from now on.
func GiveUp(tx Tx, name string) error {
	n, err := deaths(tx, name)
	if err != nil {
		return err
	}
	return tx.SetMeta(metaBirths+name, []byte(strconv.Itoa(n+1)))
}

// NextBirth is the birth that the next object of a name will have; empty: the first.
func NextBirth(tx Reader, l List, id string) (string, error) {
	var parts []int
	add := func(name string) error {
		n, err := deaths(tx, name)
		parts = append(parts, n)
		return err
	}
	if l.Kind == Account {
		if err := add(accountPrefix + id); err != nil {
			return "", err
		}
		return joinBirth(parts), nil
	}
	err := add(l.URI(id))
	err = errors.Join(err, l.parents(func(up List, id string) error { return add(up.URI(id)) }))
	err = errors.Join(err, add("")) // everything there was
	slices.Reverse(parts)
	return joinBirth(parts), err
}

func joinBirth(parts []int) string {
	if slices.Max(parts) == 0 {
		return ""
	}
	var out []string
	for _, n := range parts {
		out = append(out, strconv.Itoa(n))
	}
	return strings.Join(out, ".")
}

// bears reports whether objects of a kind have births.
func (k Kind) bears() bool { return k == Bucket || k == Collection || k == Group || k == Account }

// born gives a new object its birth.
func born(tx Reader, l List, o *Object, held Permissions) error {
	if !l.Kind.bears() {
		return nil
	}
	birth, err := NextBirth(tx, l, o.ID)
	if err != nil || birth == "" {
		return err
	}
	held[birthKey] = []string{birth}
	if l.Kind == Collection {
		ts, _, err := tx.Timestamp(List{Parent: bucketOf(List{Parent: l.URI(o.ID), Kind: Record}), Kind: History})
		held[markedKey] = []string{strconv.FormatInt(ts, 10)}
		return err
	}
	return nil
}

// named is whom a principal names who has births: the list and the id of an account or
// a group.
func named(principal string) (l List, id string, ok bool) {
	if name, ok := strings.CutPrefix(principal, accountPrefix); ok {
		return List{Parent: name, Kind: Account}, name, Account.ValidID(name)
	}
	if !strings.HasPrefix(principal, "/buckets/") {
		return List{}, "", false
	}
	l, id, ok = Locate(principal)
	return l, id, ok && l.Kind == Group && id != ""
}

// refer is how something refers to a principal from now on.
func refer(tx Reader, principal string) (string, error) {
	l, id, ok := named(principal)
	if !ok {
		if strings.Contains(principal, "#") && (strings.HasPrefix(principal, accountPrefix) || strings.HasPrefix(principal, "/buckets/")) {
			return principal + "#", nil // nobody has this name: it is not to look like a birth
		}
		return principal, nil
	}
	o, err := tx.Get(l, id)
	if err != nil {
		return "", err
	}
	birth := birthOf(o)
	if o == nil {
		if birth, err = NextBirth(tx, l, id); err != nil {
			return "", err
		}
	}
	if birth == "" {
		return principal, nil
	}
	return principal + "#" + birth, nil
}

// referAll is refer for several.
func referAll(tx Reader, principals []string) ([]string, error) {
	out := make([]string, len(principals))
	for i, p := range principals {
		var err error
		if out[i], err = refer(tx, p); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// plainName is a principal as clients know it.
func plainName(principal string) string {
	if !strings.HasPrefix(principal, accountPrefix) && !strings.HasPrefix(principal, "/buckets/") {
		return principal
	}
	if i := strings.LastIndexByte(principal, '#'); i >= 0 {
		return principal[:i]
	}
	return principal
}

// Principals are what somebody known by an id may be granted as: the id, the groups it is
// in, and what everybody is.
func Principals(tx Reader, id string) ([]string, error) {
	self, err := refer(tx, id)
	if err != nil {
		return nil, err
	}
	groups, err := tx.Groups(self, Authenticated)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(groups)+3)
	out = append(out, self)
	for _, uri := range groups {
		g, err := refer(tx, uri)
		if err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	return append(out, Authenticated, Everyone), nil
}

// Principal is the one that is the caller's alone, with its birth; empty: nobody is known.
func (c Caller) Principal() string {
	if c.ID == "" || len(c.Principals) == 0 {
		return c.ID
	}
	return c.Principals[0]
}

// is reports whether the caller is, or is in, what a setting names: an account by its
// name, whose birth settings cannot know and only an owner gives away.
func (c Caller) is(principal string) bool {
	return c.ID != "" && principal == c.ID || slices.Contains(c.Principals, principal)
}

// Plain are the caller's principals as clients know them.
func (c Caller) Plain() []string {
	out := make([]string, len(c.Principals))
	for i, p := range c.Principals {
		out[i] = plainName(p)
	}
	return out
}

// living are those of some references whose birth is not over, as clients know them. mine
// are known to be.
func living(tx Reader, refs, mine []string) ([]string, error) {
	var out []string
	for _, ref := range refs {
		name := plainName(ref)
		if !slices.Contains(mine, ref) {
			now, err := refer(tx, name)
			if err != nil {
				return nil, err
			}
			if now != ref {
				continue
			}
		}
		out = append(out, name)
	}
	return out, nil
}

// shown are permissions as clients know them.
func shown(tx Reader, who Caller, raw []byte) ([]byte, error) {
	if plainlyShown(who, raw) {
		return raw, nil
	}
	held, err := DecodePermissions(raw)
	if err != nil {
		return nil, err
	}
	changed := bytes.Contains(raw, []byte(`"`+birthKey))
	for name, refs := range held {
		names, err := living(tx, refs, who.Principals)
		if err != nil {
			return nil, err
		}
		if !slices.Equal(names, refs) {
			held[name], changed = names, true
		}
	}
	if !changed {
		return raw, nil
	}
	return held.Encode(), nil
}

// plainlyShown is the quick answer for nearly every object: all that is granted is the
// caller's own, or nobody's in particular, and of a first birth.
func plainlyShown(who Caller, raw []byte) bool {
	if bytes.IndexByte(raw, '#') >= 0 {
		return false
	}
	plain := true
	gjson.ParseBytes(raw).ForEach(func(_, list gjson.Result) bool {
		list.ForEach(func(_, p gjson.Result) bool {
			plain = p.Str == who.ID && who.Principal() == who.ID || p.Str == Everyone || p.Str == Authenticated
			return plain
		})
		return plain
	})
	return plain
}

// shownGroup is a group as clients know it.
func shownGroup(tx Reader, who Caller, o *Object) (*Object, error) {
	if o.Deleted {
		return o, nil
	}
	refs := Members(o)
	names, err := living(tx, refs, who.Principals)
	if err != nil || slices.Equal(names, refs) {
		return o, err
	}
	out := *o
	out.Data = withMembers(o.Data, names)
	return &out, nil
}

// withMembers is the data of a group with other members.
func withMembers(data []byte, members []string) []byte {
	b := []byte(`{"members":[`)
	for i, m := range members {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, quote(m)...)
	}
	return merge(data, append(b, "]}"...))
}

// present makes an answer what clients may see of it.
func present(tx Reader, r *Request, a *Answer) (err error) {
	if a == nil {
		return nil
	}
	if len(a.Permissions) > 0 {
		if a.Permissions, err = shown(tx, r.Who, a.Permissions); err != nil {
			return err
		}
	}
	if r.List.Kind != Group {
		return nil
	}
	if a.Object != nil {
		if a.Object, err = shownGroup(tx, r.Who, a.Object); err != nil {
			return err
		}
	}
	objects := make([]Object, len(a.Objects)) // others may share those found
	for i := range a.Objects {
		o, err := shownGroup(tx, r.Who, &a.Objects[i])
		if err != nil {
			return err
		}
		objects[i] = *o
	}
	a.Objects = objects
	if raw := attribute(a.Part, "members"); raw != nil {
		names, err := living(tx, Members(&Object{Data: a.Part}), r.Who.Principals)
		if err != nil {
			return err
		}
		a.Part = withMembers(a.Part, names)
	}
	return nil
}
