package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/foyer-server/foyer/internal/pause"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage/commit"
)

// How many jobs one commit may gather and for how long, and how often one is tried
// before it is done alone, or given up.
const (
	groupJobs = 256
	groupTime = 50 * time.Millisecond
	attempts  = 6
)

// job is one Write that waits for its commit.
type job struct {
	commit.Entry
	ctx   context.Context
	about []kinto.List
	fn    func(kinto.Tx) error

	locks []int64 // that it turned out to need
	alone bool    // it needs lockStructure alone
	tries int
}

// lane is a goroutine that writes, with a connection of its own. Jobs that wait
// while it commits share the next transaction.
type lane struct {
	db    *DB
	conn  *pgx.Conn // nil: none yet, or no more
	queue *commit.Queue[*job]
}

func newLane(db *DB) *lane {
	return &lane{db: db, queue: commit.NewQueue[*job](groupJobs)}
}

// write queues fn and waits for its commit. A ctx that ends before the lane comes to
// it takes it back.
func (l *lane) write(ctx context.Context, about []kinto.List, fn func(kinto.Tx) error) error {
	j := &job{ctx: ctx, about: about, fn: fn}
	for _, list := range about {
		j.alone = j.alone || list.Kind.Structural()
	}
	err := l.queue.Do(ctx, j)
	if errors.Is(err, commit.ErrClosed) {
		return fmt.Errorf("%w: %w", kinto.ErrUnavailable, errClosed)
	}
	return err
}

// run writes until the lane is closed and nothing waits.
func (l *lane) run() {
	defer l.queue.Ended()
	defer l.hangUp()
	for {
		jobs, waited, closed := l.queue.Take()
		switch {
		case waited > 0:
			l.batch(jobs)
		case closed:
			return
		default:
			<-l.queue.Wake()
		}
	}
}

// batch does jobs in as few transactions as may be and answers them all.
func (l *lane) batch(live []*job) {
	for len(live) > 0 {
		n, err := l.transact(live)
		switch {
		case errors.Is(err, errAgain):
			n = 0 // the first job knows what it needs now
		case err != nil && n > 1 && refused(err):
			// The transaction took them all down: each for itself, so that whoever
			// cannot be kept takes nobody along.
			l.db.log.Warn("a group of writes could not be kept; trying each for itself", "writes", n, "err", fail(err))
			for _, j := range live[:n] {
				l.single(j)
			}
		case err != nil && n == 1 && refused(err):
			l.single(live[0])
		case err != nil:
			for _, j := range live[:n] {
				j.Err = fail(err)
			}
		}
		if err == nil && n > 0 {
			l.db.done.Add(1)
			l.queue.Moved()
		}
		commit.Answer(live[:n])
		live = live[n:]
	}
	l.queue.Rest()
}

// single does a job in a transaction of its own, again while others are in its way.
func (l *lane) single(j *job) {
	for {
		j.tries++
		_, err := l.transact([]*job{j})
		switch {
		case err == nil:
			return
		case errors.Is(err, errAgain):
		case collided(err) && j.tries < attempts:
			pause.For(j.ctx, time.Duration(rand.Int64N(int64(time.Millisecond)<<j.tries)))
		default:
			j.Err = fail(err)
			return
		}
	}
}

// transact does jobs, the first n of them if they take long or one of them is to
// begin the next transaction, in one. An error means that nothing was kept, as far
// as anybody knows. A job's own error goes to the job.
func (l *lane) transact(jobs []*job) (n int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	b, err := l.begin(ctx, jobs)
	if err != nil {
		l.rollback(err)
		return len(jobs), err
	}
	if len(jobs) > 1 {
		if err := b.ask(jobs); err != nil {
			l.rollback(err)
			return len(jobs), err
		}
	}
	start := time.Now()
	for _, j := range jobs {
		if n > 0 && (time.Since(start) > groupTime || j.alone && !b.alone) {
			break
		}
		b.job(j, n == 0)
		switch {
		case b.err != nil && errors.Is(b.err, errAgain) && n > 0:
			b.err = nil // it begins the next transaction
		case b.err != nil:
			n++
			l.rollback(b.err)
			return n, b.err
		default:
			n++
			if n == 1 && b.sent && (j.Err != nil || j.Panic != nil) {
				// Its writes were sent already: they go, and there are no others.
				l.rollback(nil)
				return n, nil
			}
			continue
		}
		break
	}
	if !b.dirty() {
		l.rollback(nil)
		return n, nil
	}
	if err := b.commit(); err != nil {
		l.rollback(err)
		return n, err
	}
	l.db.committed(b)
	return n, nil
}

// begin begins a transaction with the locks that jobs are known to need. A
// connection that turns out to be dead is made anew, once.
func (l *lane) begin(ctx context.Context, jobs []*job) (*book, error) {
	if l.conn != nil && l.db.dialer.mixed.Load() && !isShared(l.conn) {
		l.hangUp()
	}
	for again := l.conn != nil; ; again = false {
		if l.conn == nil || l.conn.IsClosed() {
			conn, err := l.db.dialer.connect(ctx)
			if err != nil {
				return nil, err
			}
			l.conn = conn
		}
		b, err := newBook(ctx, l.db, l.conn, jobs)
		if err == nil {
			return b, nil
		}
		if !again || refused(err) {
			return nil, err
		}
		l.hangUp()
	}
}

// rollback ends a transaction that went wrong, or of which nothing is to be kept.
func (l *lane) rollback(err error) {
	if l.conn == nil {
		return
	}
	if l.conn.IsClosed() || demoted(err) {
		l.hangUp()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialing)
	defer cancel()
	if _, err := l.conn.Exec(ctx, statement("rollback")); err != nil {
		l.hangUp()
	}
}

func (l *lane) hangUp() {
	if l.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialing)
	defer cancel()
	_ = l.conn.Close(ctx) // nothing is under way that somebody waits for
	l.conn = nil
}

// sortedLocks are the locks that jobs need, in order, and whether they need the
// structure alone, which stands for all others.
func sortedLocks(jobs []*job) (locks []int64, alone bool) {
	for i, j := range jobs {
		if j.alone || j.tries >= attempts/2 {
			// Whoever comes first decides; others that are not like it begin the
			// next transaction.
			if i == 0 {
				return nil, true
			}
			continue
		}
		for _, l := range j.about {
			locks = append(locks, lockOfList(l))
		}
		locks = append(locks, j.locks...)
	}
	return unique(locks), false
}

func unique[T cmp.Ordered](s []T) []T {
	out := map[T]bool{}
	for _, v := range s {
		out[v] = true
	}
	return sorted(out)
}
