package kinto

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/tidwall/gjson"
)

// Object is a bucket, collection, group, record, account or a tombstone. Its slices are
// shared with whoever else has it and are not to be changed.
type Object struct {
	ID        string
	Timestamp int64
	Deleted   bool
	// Data is the attributes as the JSON object the client sent, without id and
	// last_modified, without insignificant white space and duplicate keys.
	Data []byte
	// Permissions is a JSON object of permission → sorted list of principals,
	// without empty lists; nil for none.
	Permissions []byte
}

// About what a store takes for an object, and for a principal that it grants something to
// or has as a member, besides ids and what is in it.
const (
	rowBytes = 64
	refBytes = 32
)

// Weight is the bytes that an object of a kind, or a tombstone, counts for in a quota: a
// row, the id, and of a live one the attributes and permissions, and for each principal in
// them, by whom stores look objects up, the id once more. Texts are counted for
// principals, those of a group for members. A tombstone weighs less than what it is the
// tombstone of, so that deleting never takes room. Migrations of the stores count so, too.
func Weight(k Kind, o *Object) int64 {
	n := rowBytes + int64(len(o.ID))
	if o.Deleted {
		return n
	}
	marks := bytes.Count(o.Permissions, quoteMark)
	if k == Group {
		marks += bytes.Count(o.Data, quoteMark)
	}
	return n + int64(len(o.Data)+len(o.Permissions)) + int64(marks/2)*(refBytes+int64(len(o.ID)))
}

var quoteMark = []byte(`"`)

// AppendJSON appends the object as clients see it.
func (o *Object) AppendJSON(b []byte) []byte {
	b = append(b, `{"id":"`...)
	b = append(b, o.ID...) // ids need no escaping
	b = append(b, `","last_modified":`...)
	b = strconv.AppendInt(b, o.Timestamp, 10)
	if o.Deleted {
		return append(b, `,"deleted":true}`...)
	}
	if len(o.Data) <= len("{}") {
		return append(b, '}')
	}
	b = append(b, ',')
	return append(b, o.Data[1:]...)
}

// Permissions is who may do what with an object: permission → principals.
type Permissions map[string][]string

// Encode is the map as an Object keeps it.
func (p Permissions) Encode() []byte {
	clean := Permissions{}
	for name, who := range p {
		if len(who) > 0 {
			clean[name] = slices.Compact(slices.Sorted(slices.Values(who)))
		}
	}
	if len(clean) == 0 {
		return nil
	}
	out, err := json.Marshal(clean) // map keys come sorted
	if err != nil {
		panic("kinto: permissions cannot be encoded: " + err.Error())
	}
	return out
}

// DecodePermissions reads what Encode wrote, without what an object hides there.
func DecodePermissions(raw []byte) (Permissions, error) {
	p := Permissions{}
	if len(raw) == 0 {
		return p, nil
	}
	err := json.Unmarshal(raw, &p)
	delete(p, birthKey)
	delete(p, markedKey)
	return p, err
}

// encodeFor is p as an object keeps it that may hide something there.
func (p Permissions) encodeFor(o *Object) []byte {
	for _, name := range []string{birthKey, markedKey} {
		if text := hidden(o, name); text != "" {
			p[name] = []string{text}
		}
	}
	return p.Encode()
}

// grants reports whether raw, as Permissions.Encode writes it, gives permission
// to one of who.
func grants(raw []byte, permission string, who []string) bool {
	found := false
	if len(raw) == 0 {
		return false
	}
	gjson.ParseBytes(raw).ForEach(func(name, list gjson.Result) bool {
		if name.Str != permission {
			return true
		}
		list.ForEach(func(_, p gjson.Result) bool {
			found = slices.Contains(who, p.Str)
			return !found
		})
		return false
	})
	return found
}

// permissions is what an object's permissions become by a request that gives some.
func (s rights) permissions(tx Reader, r *Request, id string, given Permissions, old *Object) ([]byte, error) {
	now := Permissions{}
	writer := r.Who.name()
	if r.List.Kind == Account { // whoever makes it
		birth := birthOf(old)
		if old == nil {
			var err error
			if birth, err = NextBirth(tx, r.List, id); err != nil {
				return nil, err
			}
		}
		if writer = accountPrefix + id; birth != "" {
			writer += "#" + birth
		}
	}
	if old != nil && (r.Op == Patch || len(given) == 0) {
		known := !s.explicit && r.List.Kind != Account || grants(old.Permissions, "write", []string{writer})
		if len(given) == 0 && known {
			return old.Permissions, nil
		}
		var err error
		if now, err = DecodePermissions(old.Permissions); err != nil {
			return nil, err
		}
	}
	for name, principals := range given {
		refs, err := referAll(tx, principals)
		if err != nil {
			return nil, err
		}
		now[name] = refs
	}
	if s.explicit || r.List.Kind == Account || r.Own && old == nil {
		now["write"] = append(slices.Clip(now["write"]), writer)
	}
	if old == nil {
		if err := born(tx, r.List, &Object{ID: id}, now); err != nil {
			return nil, err
		}
	}
	return now.encodeFor(old), nil
}

// name is the principal a caller writes as.
func (c Caller) name() string {
	if c.ID == "" {
		return Everyone
	}
	return c.Principal()
}
