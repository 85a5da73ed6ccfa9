package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/foyer-server/foyer/server/kinto"
)

// book is one transaction of a lane: what it read, and what its jobs wrote, which is
// sent to the database with the commit. A job that fails takes back what it wrote.
type book struct {
	ctx  context.Context
	db   *DB
	conn *pgx.Conn
	gen  int64
	err  error // why the transaction, or the job, cannot go on

	alone bool           // it has lockStructure alone
	held  map[int64]bool // locks
	top   int64          // the last one of them

	pages   shelf[kinto.List, page]
	objects shelf[place, known]
	grants  shelf[grant, bool] // whether it is there
	members shelf[place, []string]
	meta    shelf[string, []byte]
	notes   shelf[string, note]
	owners  map[string]string      // of buckets, as read
	usage   map[string]kinto.Usage // as the database has it
	undo    []func()

	structure bool // something was changed that caches hold
	purged    []string
	sent      bool // the job's writes went to the database before its end
	first     bool // no other job wrote before this one
	asking    bool // the job is run only to learn what it reads
	wanted    []place
}

// page is a list as its row says.
type page struct {
	pk     int64
	there  bool  // it has a timestamp
	stored bool  // it has a row
	ts     int64 // if it is not there: where it left off, or negative
	former int64 // where it left off, if it began below that in this transaction; or 0
	tally
	sent  tally // as the row has it
	moved bool  // in this transaction: who watches wants to hear of it
}

// tally is what a list holds.
type tally struct {
	live, tombstones int64 // objects
	bytes            int64 // what objects and tombstones weigh
	attached, files  int64 // attachments, and their bytes
}

// place is where an object is.
type place struct {
	list int64 // pk
	id   string
}

// known is what is at a place: an object, a tombstone, or nothing.
type known struct {
	o    *kinto.Object
	past bool // its timestamp was given by a client and is below the list's
}

type grant struct {
	place
	principal, permission string
}

type note struct {
	value []byte // nil: none
	until int64
}

// shelf is what a transaction knows of things of one sort, and which of them it
// changed and did not send yet.
type shelf[K comparable, V any] struct {
	all     map[K]V
	changed map[K]struct{}
}

func newShelf[K comparable, V any]() shelf[K, V] {
	return shelf[K, V]{map[K]V{}, map[K]struct{}{}}
}

// set changes k for this job.
func set[K comparable, V any](b *book, s *shelf[K, V], k K, v V) {
	old, had := s.all[k]
	_, changed := s.changed[k]
	b.undo = append(b.undo, func() {
		if had {
			s.all[k] = old
		} else {
			delete(s.all, k)
		}
		if !changed {
			delete(s.changed, k)
		}
	})
	s.all[k], s.changed[k] = v, struct{}{}
}

// newBook begins a transaction with the locks jobs need, and reads the lists they
// are about, in one round trip.
func newBook(ctx context.Context, db *DB, conn *pgx.Conn, jobs []*job) (*book, error) {
	b := &book{
		ctx: ctx, db: db, conn: conn, held: map[int64]bool{},
		pages: newShelf[kinto.List, page](), objects: newShelf[place, known](), grants: newShelf[grant, bool](),
		members: newShelf[place, []string](), meta: newShelf[string, []byte](), notes: newShelf[string, note](),
		owners: map[string]string{}, usage: map[string]kinto.Usage{},
	}
	locks, alone := sortedLocks(jobs)
	b.alone = alone
	batch := &pgx.Batch{}
	if _, err := db.dialer.start(ctx, conn, batch, "begin"); err != nil {
		return b, err
	}
	switch {
	case alone:
		batch.Queue(statement("lock"), []int64{lockStructure})
	default:
		batch.Queue(statement("lock_shared"), lockStructure)
		if len(locks) > 0 {
			batch.Queue(statement("lock"), locks)
			b.top = locks[len(locks)-1]
		}
		for _, k := range locks {
			b.held[k] = true
		}
	}
	batch.Queue(statement("generation")).QueryRow(func(r pgx.Row) error { return r.Scan(&b.gen) })
	about := map[kinto.List]bool{}
	for _, j := range jobs {
		for _, l := range j.about {
			if text(l.Parent) && (alone || l.Kind.Structural() || b.held[lockOfList(l)]) {
				about[l] = true
			}
		}
	}
	b.queuePages(batch, slices.Collect(maps.Keys(about)))
	return b, conn.SendBatch(ctx, batch).Close()
}

// queuePages asks for lists under whose locks the transaction is.
func (b *book) queuePages(batch *pgx.Batch, lists []kinto.List) {
	if len(lists) == 0 {
		return
	}
	var parents, kinds []string
	for _, l := range lists {
		parents, kinds = append(parents, l.Parent), append(kinds, string(l.Kind))
	}
	batch.Queue(statement("pages"), parents, kinds).Query(func(rows pgx.Rows) error {
		return drain(rows, func(r row) bool {
			p := page{there: r.bool(2), pk: r.int(3), ts: r.int(4), tally: tally{r.int(5), r.int(6), r.int(7), r.int(8), r.int(9)}}
			p.stored, p.sent = p.there, p.tally
			if !p.there {
				p.ts = -1
				if !r.null(10) {
					p.ts = r.int(10)
				}
			}
			b.pages.all[kinto.List{Parent: r.text(0), Kind: kinto.Kind(r.text(1))}] = p
			return true
		})
	})
}

// stop ends the transaction: whatever the job makes of the error, nothing is kept.
// With errAgain it ends the job on the spot, which is to know nothing of it: not by a
// panic, which whoever catches panics would take for a bug (docs/decisions.md).
func (b *book) stop(err error) error {
	if b.err == nil {
		b.err = err
	}
	if errors.Is(b.err, errAgain) {
		runtime.Goexit()
	}
	return fail(b.err)
}

// each implements source.
func (b *book) each(name string, fn func(row) bool, args ...any) error {
	if b.err != nil {
		return fail(b.err)
	}
	if b.asking {
		return b.stop(errAgain)
	}
	rows, err := b.conn.Query(b.ctx, statement(name), args...)
	if err == nil {
		err = drain(rows, fn)
	}
	if err != nil {
		return b.stop(err)
	}
	return nil
}

// exec runs a statement that answers nothing, at once.
func (b *book) exec(name string, args ...any) error {
	return b.each(name, func(row) bool { return true }, args...)
}

func (b *book) generation() (int64, error) { return b.gen, nil }

func (b *book) fetch(l kinto.List, id string) (*kinto.Object, error) { return fetch(b, l, id) }

// ask runs jobs to learn which objects they read first, and reads all of those at
// once.
func (b *book) ask(jobs []*job) error {
	b.asking = true
	for _, j := range jobs {
		b.job(j, false)
		b.back()
		b.err = nil
	}
	b.asking = false
	b.structure, b.purged = false, nil
	if len(b.wanted) == 0 {
		return nil
	}
	lists, ids := make([]int64, len(b.wanted)), make([]string, len(b.wanted))
	for i, p := range b.wanted {
		lists[i], ids[i] = p.list, p.id
		b.objects.all[p] = known{}
	}
	return b.each("objects", func(r row) bool {
		id := r.text(1)
		b.objects.all[place{r.int(0), id}] = known{o: object(id, r[2:])}
		return true
	}, lists, ids)
}

// back takes back what the job wrote.
func (b *book) back() {
	for i := len(b.undo) - 1; i >= 0; i-- {
		b.undo[i]()
	}
	clear(b.undo)
	b.undo = b.undo[:0]
}

// job runs one job, in a goroutine of its own, which stop may end.
func (b *book) job(j *job, first bool) {
	j.Err, j.Panic = nil, nil
	b.first = first
	clear(b.undo)
	b.undo = b.undo[:0]
	structure, purged := b.structure, len(b.purged)
	t := newTx(b, j)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		returned := false
		defer func() {
			if j.Panic = recover(); j.Panic == nil && !returned && b.err == nil {
				j.Err = errors.New("the function that writes ended its goroutine")
			}
		}()
		j.Err = j.fn(t)
		returned = true
	}()
	<-ended
	if b.err != nil {
		j.Err, j.Panic = nil, nil // what fn made of it does not count
	}
	if b.err != nil || j.Err != nil || j.Panic != nil {
		b.back()
		b.structure, b.purged = structure, b.purged[:purged]
	}
}

// lock gets a lock late: see lock.go.
func (b *book) lock(j *job, key int64) error {
	switch {
	case b.err != nil:
		return fail(b.err)
	case b.alone || b.held[key]:
		return nil
	case b.asking:
		return b.stop(errAgain)
	}
	if key > b.top {
		if err := b.exec("lock", []int64{key}); err != nil {
			return err
		}
		b.top = key
	} else if ok, err := b.try(key); err != nil {
		return err
	} else if !ok {
		j.tries++
		j.locks = append(j.locks, key)
		return b.stop(errAgain)
	}
	b.held[key] = true
	return nil
}

func (b *book) try(key int64) (ok bool, err error) {
	err = b.each("lock_try", func(r row) bool {
		ok = r.bool(0)
		return true
	}, key)
	return ok, err
}

// seclude gets lockStructure alone.
func (b *book) seclude(j *job) error {
	switch {
	case b.err != nil:
		return fail(b.err)
	case b.alone:
		return nil
	case b.asking:
		return b.stop(errAgain)
	}
	ok, err := b.try(lockStructure)
	if err != nil {
		return err
	}
	if !ok {
		j.alone = true
		return b.stop(errAgain)
	}
	b.alone = true
	return nil
}

// send brings the database up to what the job sees, before something is asked that
// memory does not answer. Only the first job of a transaction may: one that fails
// after it takes the whole transaction back.
func (b *book) send() error {
	switch {
	case b.err != nil:
		return fail(b.err)
	case b.asking || !b.first && b.dirty():
		return b.stop(errAgain)
	case !b.dirty():
		return nil
	}
	batch := &pgx.Batch{}
	b.queue(batch)
	if err := b.conn.SendBatch(b.ctx, batch).Close(); err != nil {
		return b.stop(err)
	}
	b.sent = true
	clear(b.usage)
	return nil
}

// write runs a statement that writes at once, after what memory holds.
func (b *book) write(name string, args ...any) error {
	if b.err == nil && (b.asking || !b.first) {
		return b.stop(errAgain)
	}
	if err := b.send(); err != nil {
		return err
	}
	b.sent = true
	return b.exec(name, args...)
}

// dirty: there is something to commit.
func (b *book) dirty() bool {
	return b.sent || len(b.pages.changed)+len(b.objects.changed)+len(b.grants.changed)+len(b.members.changed)+len(b.meta.changed)+len(b.notes.changed) > 0
}

// errDoubt: the server warned while it committed. It does so when it gives up
// waiting for a standby.
var errDoubt = fmt.Errorf("%w: the server warned while it committed; what was written may not be on its standby", kinto.ErrUnavailable)

// commit sends what was written and commits, in one round trip.
func (b *book) commit() error {
	batch := &pgx.Batch{}
	b.queue(batch)
	if b.structure {
		batch.Queue(statement("generation_next"), rand.Int64())
	}
	data := b.conn.PgConn().CustomData()
	delete(data, warned)
	batch.Queue(statement("commit")).Exec(func(tag pgconn.CommandTag) error {
		if tag.String() != "COMMIT" {
			return errDoubt
		}
		return nil
	})
	if err := b.conn.SendBatch(b.ctx, batch).Close(); err != nil {
		return err
	}
	if data[warned] != nil {
		return errDoubt
	}
	return nil
}

// weigh counts a bucket that has become o for its owner, if it has one.
func (b *book) weigh(bucket string, o *kinto.Object) error {
	name, bytes := "owner_weigh", kinto.Weight(kinto.Bucket, o)
	if o.Deleted { // it and its birth stay, and where lists of it left off
		name, bytes = "owner_bury", 2*bytes
	}
	err := b.write(name, bucket, bytes)
	clear(b.usage)
	return err
}

// forget drops what is known, after it was sent, because it changes in the database.
func (b *book) forget() {
	clear(b.pages.all)
	clear(b.objects.all)
	clear(b.grants.all)
	clear(b.members.all)
	clear(b.owners)
	clear(b.usage)
}
