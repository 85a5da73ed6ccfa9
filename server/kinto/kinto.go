// Package kinto holds the rules of the Kinto HTTP API v1: buckets, collections,
// groups and records, who may do what to them, timestamps, preconditions, tombstones.
//
// It hides how a request turns into reads and writes: a Service takes a Request,
// checks it in the protocol's order inside one transaction, and returns an Answer
// or an error of this package. Kinds of objects are rows of a table (kinds.go);
// every kind goes through the same operations. Lists are filtered, ordered and cut
// into pages by a Query (query.go, filter.go), which a Store either understands or
// leaves to a Page; a batch is many requests in one transaction (batch.go). It
// knows nothing of HTTP: package api maps methods, headers and errors; package auth
// says who is calling; package storage implements Store.
//
// Promises: a write that was answered survives a power cut (Store.Write); an
// answer's objects and timestamp are of one moment; nothing is told to a caller
// who holds no permission for it.
//
// The protocol as a whole: docs/kinto-protocol.md; § numbers in comments refer to it.
package kinto

import (
	"context"

	"github.com/foyer-server/foyer/internal/config"
)

// Service is the rules over a store. It is safe for concurrent use.
type Service struct {
	store    Store
	accounts Accounts // nil: there are none
	explicit bool     // whoever writes an object is added to its writers
	readonly bool
	quotas   Quotas
	settings config.Kinto
	validate bool // objects are checked against schemas
	schemas  *schemas
	history  *history
	spans    spans                        // of timestamps that restores took away
	page     int                          // objects in one page of a list
	reading  *allowance                   // of a transaction of many requests; nil: there is no bound
	granted  map[Kind]map[string][]string // principals that settings grant, by kind asked for and permission needed
}

// New returns the rules over store, as Resume returned it, with the given settings; accounts are nil where
// there are no accounts to ask for.
func New(store Store, settings config.Kinto, accounts Accounts) *Service {
	s := &Service{
		store:    store,
		accounts: accounts,
		explicit: settings.Bool("explicit_permissions"),
		readonly: settings.Bool("readonly"),
		quotas:   quotasOf(settings),
		settings: settings,
		validate: settings.Bool("experimental_collection_schema_validation"),
		schemas:  newSchemas(),
		history:  newHistory(settings),
		page:     pageOf(settings),
		granted:  grantedBySettings(settings),
	}
	if r, ok := store.(*resumed); ok {
		s.spans = r.lost
	}
	return s
}

// pageOf is how many objects a page may hold.
func pageOf(settings config.Kinto) int {
	n := settings.Int("storage_max_fetch_size", 10_000)
	if n <= 0 {
		n = 10_000
	}
	if by := settings.Int("paginate_by", 0); by > 0 {
		n = min(n, by)
	}
	return n
}

// Caller is who makes a request.
type Caller struct {
	ID         string   // with its prefix, "account:jeannine"; empty: nobody is known
	Principals []string // everything the caller may be granted as, system.Everyone included
	Owner      bool     // of this server: holds everything on every account
	App        bool     // somebody's app, by a password of its own: accounts are no business of its
}

// Principals every request, or every request of somebody known, has.
const (
	Everyone      = "system.Everyone"
	Authenticated = "system.Authenticated"
)

// Anonymous is the caller nothing is known of.
func Anonymous() Caller { return Caller{Principals: []string{Everyone}} }

// Op is what a request wants done.
type Op int

// The operations, in the protocol's words.
const (
	Get    Op = iota // read an object, or a list
	Count            // count a list
	Create           // add an object to a list
	Put              // replace or create an object
	Patch            // change some attributes of an object
	Delete           // delete an object, or the objects of a list
)

func (op Op) writes() bool { return op >= Create }

// Request is one request for an object (ID set) or a list.
type Request struct {
	Op   Op
	Who  Caller
	List List
	ID   string // empty: the list itself
	// Own: the object is the caller's own bucket, which they may always make.
	Own  bool
	Cond Cond
	Body Body
	// Query is for lists. Granted is the Service's to set, and Limit its to lower.
	Query Query
	// Began is the timestamp that a list had when its first page was read, of which this
	// is a later one; 0: it is none, or nobody knows.
	Began int64
	// Ahead is what the query names that lies more than a day ahead of the clock.
	Ahead []Asked
	// Fields is what the answer to a Get is to have of each object.
	Fields Fields
	// Behavior is for a Patch.
	Behavior Behavior
	// Modified is the timestamp a deletion asks for; negative: none.
	Modified int64
	// Token is what an Answer said, of a deletion that goes on where another ended.
	Token string
	// Hash is the hash of an account's password that was made for this request.
	Hash string
	// Invalid is what is wrong with the request's form. It is returned only to
	// callers who may make the request at all.
	Invalid error

	attach *attaching // of a record
	aim    *Answer    // of a deletion in a list: what a look at it found
}

// target is the id of the object that a request is for; empty: it is not said.
func (r *Request) target() string {
	if r.Op == Create {
		return r.Body.ID
	}
	return r.ID
}

// Cond are the preconditions of a request. The zero Cond asks nothing.
type Cond struct {
	Match     Tag // If-Match
	NoneMatch Tag // If-None-Match
}

// Tag is a timestamp in a precondition.
type Tag struct {
	Set       bool
	Any       bool // "*"
	Timestamp int64
}

// Answer is the outcome of a Request.
type Answer struct {
	Created   bool
	Object    *Object  // for a request on an object, and Create; a tombstone after Delete
	Part      []byte   // after a Patch that asked for a part: the attributes to show, as a JSON object
	Objects   []Object // of a list
	Next      []byte   // Query.Position to continue from; nil: there is no more
	Token     string   // to continue a deletion with, once
	Limit     int      // objects a page may hold
	Total     int      // Count
	Timestamp int64    // for ETag and Last-Modified
	Lost      bool     // a restore took away what the caller has seen: since Timestamp, they are shown everything
	Expires   int      // seconds for which what was read may be kept; negative: nothing is said
	// Permissions is the object's map as JSON, as much as the caller may see.
	Permissions []byte
}

// Do checks and does one request. Errors are those of this package; others are
// internal ones of the store.
func (s *Service) Do(ctx context.Context, r *Request) (*Answer, error) {
	if r.List.Kind == Account {
		return discreet(s.do(ctx, r))
	}
	return s.do(ctx, r)
}

func (s *Service) do(ctx context.Context, r *Request) (a *Answer, err error) {
	if !r.Op.writes() {
		return s.reader().read(ctx, r)
	}
	if s.readonly {
		return nil, ErrReadOnly
	}
	if r.Invalid != nil || r.Who.ID == "" {
		// Whoever may not write, or says nonsense, does not disturb those who write.
		if err := s.store.Read(ctx, func(tx Reader) error { return s.rights().check(tx, r) }); err != nil {
			return nil, err
		}
	}
	if err := s.writer().takeAim(ctx, r); err != nil {
		return nil, err
	}
	s.writer().readAhead(r)
	err = s.store.Write(ctx, s.About(r.List, r.target()), func(tx Tx) error {
		if a, err = s.writer().write(tx, r); err != nil {
			return err
		}
		return present(tx, r, a)
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Enter reports, as a *NotFoundError, the missing parent that is told to anybody
// before anything else: that of a record (protocol §1).
func (s *Service) Enter(ctx context.Context, l List) error {
	return s.store.Read(ctx, func(tx Reader) error {
		sc, err := enter(tx, l)
		if err != nil {
			return err
		}
		return sc.told()
	})
}

// Ping is nil when the store can be read.
func (s *Service) Ping(ctx context.Context) error {
	return s.store.Read(ctx, func(tx Reader) error {
		_, err := tx.Meta("ping")
		return err
	})
}
