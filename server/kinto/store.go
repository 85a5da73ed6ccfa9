package kinto

import (
	"context"
	"time"
)

// Store keeps objects, list timestamps and facts of the server. SQLite and
// PostgreSQL implement it; storagetest says what they promise.
type Store interface {
	// Read runs fn over one snapshot: everything fn reads is of one moment.
	// Calls run side by side. fn must not keep the Reader. It may be run more
	// than once, so it sets its results anew each time; what counts is the last.
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

	// Watch returns a channel that gets a token after commits that changed the
	// list, by whatever process: one for all those since the last token was
	// taken, and now and then one for nothing. Whoever watches looks at the list
	// after Watch returned, so that nothing is missed. stop ends it.
	Watch(l List) (changed <-chan struct{}, stop func())
}

// Reader reads from one snapshot.
type Reader interface {
	// Get returns a live object, or nil when there is none. The object is
	// shared: it is not to be changed.
	Get(l List, id string) (*Object, error)
	// Timestamp returns a list's timestamp; false when it never had one.
	Timestamp(l List) (int64, bool, error)
	// Former returns the greatest timestamp that a list had before it began anew at an
	// earlier one (Begin), or was healed: clients may still come with one up to it.
	// Negative: it never did.
	Former(l List) (int64, error)
	// Select returns the objects q asks for in its order, as many as its limit
	// allows and fewer if they are large, and whether there are more. Ids and
	// timestamps are looked up rather than looked for.
	Select(l List, q Query) (found []Object, more bool, err error)
	// Count counts the objects q asks for, whatever its limit and order.
	Count(l List, q Query) (int, error)
	// Size returns how many objects a list holds, tombstones included, and what they
	// weigh together (Weight), without looking at them.
	Size(l List) (objects, bytes int, err error)
	// Groups returns the URIs of the groups that have one of these members, sorted.
	// The slice is shared: it is not to be changed.
	Groups(members ...string) ([]string, error)
	// Meta returns a fact kept under a name of the server's own, or nil.
	Meta(name string) ([]byte, error)

	// Lists returns the lists of a kind that ever had a timestamp, sorted by parent.
	Lists(k Kind) ([]List, error)
	// Grants returns the live objects that name one of principals in their own
	// permissions, sorted by URI from the last to the first.
	Grants(principals []string) ([]Granted, error)
	// Owner returns whose quota everything below a bucket, named by its URI,
	// counts for; empty: nobody's.
	Owner(bucket string) (string, error)
	// Usage sums up what the buckets of an owner hold.
	Usage(owner string) (Usage, error)
	// Totals counts live objects and tombstones of each kind there is any of.
	Totals() (objects, tombstones map[Kind]int, err error)
	// Note returns what SetNote keeps, or nil when there is none or its time is over.
	Note(key string) ([]byte, error)
	// File returns the attachment at a location, or nil.
	File(location string) (*File, error)
	// Attached returns the attachment of the object id of a list, or nil.
	Attached(l List, id string) (*File, error)
	// Holds reports whether a live list has an attachment with these contents.
	Holds(hash string) (bool, error)
}

// Tx reads and writes in one transaction.
type Tx interface {
	Reader

	// Tick returns the timestamp for a write to l and moves the list's own
	// accordingly, keeping other writers of the list away until the
	// transaction ends: as Next says, and Begin for a list without a timestamp.
	Tick(l List, want int64) (int64, error)
	// Touch returns the list's timestamp and gives it one, now, if it has none.
	Touch(l List) (int64, error)
	// Put keeps o over old, the live object with the same id as this
	// transaction sees it, or nil. A deleted o is a tombstone. The timestamp
	// of o comes from Tick. The error is ErrConflict when another object or
	// tombstone of the list has the same timestamp.
	Put(l List, o, old *Object) error
	// Purge forgets every list, object, tombstone, timestamp, attachment and
	// owner below the object uri, not the object itself; "" is the root, below
	// which everything but accounts is. What the lists stood at is kept for when they
	// are made again (Begin).
	Purge(uri string) error
	// SetMeta keeps a fact; nil forgets it.
	SetMeta(name string, value []byte) error
	// SetOwner says whose quota a bucket that was Put, named by its URI, and everything
	// below it counts for; empty: nobody's. Purge of the bucket forgets it, but for what
	// a Put of its tombstone left: twice what that weighs, for it and for its birth, and
	// 64 bytes and their name for each list in it, and 64 for each collection that was
	// deleted, for where those left off. That counts for the owner until a Purge of the
	// root.
	SetOwner(bucket, owner string) error
	// SetNote keeps a value, of at most some megabytes, until a time; nil
	// forgets it. Until the transaction ends no other writer reads or changes a
	// note that this one has read or written.
	SetNote(key string, value []byte, until time.Time) error
	// Attach makes f the attachment of the object id of a list, instead of the
	// one it has; nil: it has none any more. A location belongs to one object at
	// a time: else the error is ErrConflict. Put of a tombstone leaves it alone.
	Attach(l List, id string, f *File) error
}

// Granted is one object on which somebody holds something.
type Granted struct {
	List        List
	ID          string
	Permissions []string // sorted
}

// Usage is what an owner's buckets hold.
type Usage struct {
	Records   int   // live records
	Bytes     int64 // what their objects and tombstones of every kind weigh (Weight), the buckets themselves among them, and what is left of buckets that were deleted
	FileBytes int64 // of attachments
}

// File is one attachment: what Kinto tells of it (protocol §8, attachments), and
// which contents it has.
type File struct {
	Location string // relative to the base URL, unguessable
	Hash     string // SHA-256 of the contents, in hexadecimal
	Size     int64
	Type     string // MIME type
	Name     string // as the client called it
}

// List names one list: the objects of one kind under one parent.
type List struct {
	Parent string // URI of the parent object: "", "/buckets/b", "/buckets/b/collections/c"; for an account its own name
	Kind   Kind
}
