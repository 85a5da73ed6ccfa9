package kinto

import "context"

// Store keeps objects, list timestamps and facts of the server. SQLite and
// PostgreSQL implement it; storagetest says what they promise.
type Store interface {
	// Read runs fn over one snapshot: everything fn reads is of one moment.
	// Calls run side by side. fn must not keep the Reader.
	Read(ctx context.Context, fn func(Reader) error) error

	// Write runs fn in a transaction and returns once its effects survive a
	// power cut. When fn returns an error nothing of it is kept and Write
	// returns that error. fn may be run more than once, so it sets its results
	// anew each time, and it is short: other writes wait for it. It sees what
	// earlier writes did, and nothing it reads is changed by anybody else until
	// its transaction ends: of two writers with the same precondition one wins.
	//
	// about are the lists fn will write to, as far as they are known: a store
	// in which writers run side by side keeps other writers of these lists away
	// from the start. Leaving one out costs time and is not wrong.
	//
	// Errors wrap ErrFull when the disk is full and ErrUnavailable when the
	// database cannot be written for another reason that may pass.
	Write(ctx context.Context, about []List, fn func(Tx) error) error
}

// Reader reads from one snapshot.
type Reader interface {
	// Get returns a live object, or nil when there is none. The object is
	// shared: it is not to be changed.
	Get(l List, id string) (*Object, error)
	// Timestamp returns a list's timestamp; false when it never had one.
	Timestamp(l List) (int64, bool, error)
	// Select returns the objects q asks for in its order, as many as its limit
	// allows and fewer if they are large, and whether there are more. Ids and
	// timestamps are looked up rather than looked for.
	Select(l List, q Query) (found []Object, more bool, err error)
	// Count counts the objects q asks for, whatever its limit and order.
	Count(l List, q Query) (int, error)
	// Groups returns the URIs of the groups that have one of these members, sorted.
	// The slice is shared: it is not to be changed.
	Groups(members ...string) ([]string, error)
	// Meta returns a fact kept under a name of the server's own, or nil.
	Meta(name string) ([]byte, error)
}

// Tx reads and writes in one transaction.
type Tx interface {
	Reader

	// Tick returns the timestamp for a write to l and moves the list's own
	// accordingly, keeping other writers of the list away until the
	// transaction ends. A list that never had a timestamp begins at now.
	//
	// With want < 0 it is max(now, timestamp+1): strictly increasing, also
	// when the clock goes back. A want greater than the timestamp is taken and
	// becomes the timestamp; an equal one is treated as none; a smaller one is
	// taken and leaves the timestamp alone (protocol §6).
	Tick(l List, want int64) (int64, error)
	// Touch returns the list's timestamp and gives it one, now, if it has none.
	Touch(l List) (int64, error)
	// Put keeps o over old, the live object with the same id as this
	// transaction sees it, or nil. A deleted o is a tombstone. The timestamp
	// of o comes from Tick. The error is ErrConflict when another object or
	// tombstone of the list has the same timestamp.
	Put(l List, o, old *Object) error
	// Purge forgets every list, object, tombstone and timestamp below the
	// object uri, not the object itself.
	Purge(uri string) error
	// SetMeta keeps a fact; nil forgets it.
	SetMeta(name string, value []byte) error
}

// List names one list: the objects of one kind under one parent.
type List struct {
	Parent string // URI of the parent object: "", "/buckets/b", "/buckets/b/collections/c"; for an account its own name
	Kind   Kind
}
