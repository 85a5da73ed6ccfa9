package kinto

import (
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Kind is a kind of object, by the protocol's name.
type Kind string

// The kinds.
const (
	Bucket     Kind = "bucket"
	Collection Kind = "collection"
	Group      Kind = "group"
	Record     Kind = "record"
	Account    Kind = "account" // kept here, reached through package auth
	History    Kind = "history" // entries about the objects of a bucket
)

// Structural reports whether objects of a kind are few, change seldom and decide
// about others: what is above records, groups, accounts.
func (k Kind) Structural() bool { return k != Record && k != History }

// kind is one row of the table of kinds: what tells kinds apart.
type kind struct {
	name        Kind
	plural      string   // in URLs; empty: no URL of its own
	parent      Kind     // empty: the root
	permissions []string // that its objects can grant
	id          func(string) bool
	newID       func() string
	// shape checks what an object is about to hold and fills in what must be there;
	// nil: anything goes.
	shape  func(ss *schemas, data []byte) ([]byte, error)
	fields []string // the only ones to filter and sort by; nil: any
	ids    []string // those of them that are ids of other objects
	secret string   // one that nobody is told, and that nothing is filtered or sorted by
	lookup bool     // a missing parent is told before anything else (protocol §1, 2)
}

// idFields name the object that an entry is about.
var idFields = []string{"bucket_id", "collection_id", "group_id", "record_id", "target.data.id"}

var kinds = []kind{
	{name: Bucket, plural: "buckets", id: plainID, newID: shortID, permissions: []string{"collection:create", "group:create", "read", "write"}, shape: shapeBucket},
	{name: Collection, plural: "collections", parent: Bucket, id: plainID, newID: shortID, permissions: []string{"read", "record:create", "write"}, shape: shapeCollection},
	{name: Group, plural: "groups", parent: Bucket, id: plainID, newID: shortID, permissions: []string{"read", "write"}, shape: shapeGroup},
	{name: Record, plural: "records", parent: Collection, id: plainID, newID: longID, permissions: []string{"read", "write"}, lookup: true},
	{name: History, plural: "history", parent: Bucket, id: plainID, newID: longID, permissions: []string{"read", "write"}, fields: []string{
		"id", "last_modified", "deleted", "date", "action", "uri", "user_id", "resource_name", "bucket_id", "collection_id", "group_id", "record_id", "target",
	}, ids: idFields},
	{name: Permission, id: plainID, newID: longID, fields: []string{
		"uri", "resource_name", "permissions", "id", "bucket_id", "collection_id", "group_id", "record_id", "last_modified",
	}, ids: idFields},
	{name: Account, id: accountID, newID: shortID, secret: "password", permissions: []string{"read", "write"}},
}

func (k Kind) row() *kind {
	for i := range kinds {
		if kinds[i].name == k {
			return &kinds[i]
		}
	}
	panic("kinto: no such kind: " + string(k))
}

// Knows reports whether objects of a kind can have a field, as far as its first
// name tells.
func (k Kind) Knows(f Field) bool {
	row := k.row()
	return (row.fields == nil || slices.Contains(row.fields, f[0])) && (row.secret == "" || f[0] != row.secret)
}

// Permissions lists what objects of a kind can grant, sorted.
func (k Kind) Permissions() []string { return k.row().permissions }

// ValidID reports whether id can be the id of an object of this kind (protocol §5).
func (k Kind) ValidID(id string) bool { return k.row().id(id) }

// Locate reads the path of a list or an object, "/buckets/b/collections": its
// list, and its id ("" for a list). It reports false for a path that is neither.
// Ids are not checked.
func Locate(path string) (l List, id string, ok bool) {
	if !strings.HasPrefix(path, "/") {
		return List{}, "", false
	}
	parent, above := 0, Kind("")
	for {
		// path[parent:] is "/plural" or "/plural/id" or "/plural/id/plural…"
		rest := path[parent+1:]
		plural, rest, more := strings.Cut(rest, "/")
		k := byPlural(plural, above)
		if k == nil {
			return List{}, "", false
		}
		l = List{Parent: path[:parent], Kind: k.name}
		if !more {
			return l, "", true
		}
		id, _, more = strings.Cut(rest, "/")
		if id == "" {
			return List{}, "", false
		}
		if !more {
			return l, id, true
		}
		above = k.name
		parent += 1 + len(plural) + 1 + len(id)
	}
}

func byPlural(plural string, parent Kind) *kind {
	for i := range kinds {
		if k := &kinds[i]; k.plural == plural && k.parent == parent && plural != "" {
			return k
		}
	}
	return nil
}

// URI is the path of the object id of the list, "/buckets/b".
func (l List) URI(id string) string {
	if l.Kind == Account {
		return "/accounts/" + id
	}
	return l.Parent + "/" + l.Kind.row().plural + "/" + id
}

// parents calls each for the object above the list, then the one above that, up
// to the root.
func (l List) parents(each func(l List, id string) error) error {
	if l.Kind == Account {
		return nil
	}
	for l.Parent != "" {
		up, id, ok := Locate(l.Parent)
		if !ok {
			panic("kinto: no such parent: " + l.Parent)
		}
		if err := each(up, id); err != nil {
			return err
		}
		l = up
	}
	return nil
}

// plainID: ^[a-zA-Z0-9][a-zA-Z0-9_-]*$
func plainID(s string) bool { return idOf(s, "_-") }

// accountID: ^[a-zA-Z0-9][+.@a-zA-Z0-9_-]*$
func accountID(s string) bool { return idOf(s, "_-+.@") }

// idBytes bounds an id: it is in addresses, keys and tombstones.
const idBytes = 255

func idOf(s, signs string) bool {
	if len(s) > idBytes {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && (i == 0 || strings.IndexByte(signs, c) < 0) {
			return false
		}
	}
	return s != ""
}

// longID is a random UUID but for its first 48 bits, which are the time: objects
// made one after the other lie side by side in an index.
func longID() string {
	id := uuid.New()
	now := time.Now().UnixMilli()
	for i := range 6 {
		id[i] = byte(now >> (40 - 8*i))
	}
	return id.String()
}

func shortID() string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	raw := make([]byte, 8)
	rand.Read(raw)
	for i, b := range raw {
		if i == 0 {
			raw[i] = letters[int(b)%len(letters)]
		} else {
			raw[i] = (letters + "-_")[b%64]
		}
	}
	return string(raw)
}

// Kinds are all kinds of objects.
func Kinds() []Kind {
	out := make([]Kind, len(kinds))
	for i := range kinds {
		out[i] = kinds[i].name
	}
	return out
}
