package storage

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// capture writes what a transaction changes into the log of changes, in that transaction:
// what is committed is in the log, and what is not, is not. It belongs to the writer. While
// nobody follows it costs nothing.
//
// The log keeps nobody from writing: when it is larger than its bound, or the disk is full,
// it is cut: all followers are given up, and begin anew with a copy of everything.
type capture struct {
	on    bool   // somebody follows
	lines []byte // of the open transaction
	head  place  // the last commit in the log, or where it begins
	next  place  // head once the open transaction is committed
	bytes int64  // of all lines in it
	bound int64

	mark  int   // of lines: where those of the job begin
	was   place // head, when the job began
	wasOn bool  // likewise
	stale bool  // what is above is to be read again: the log itself was changed
	full  bool  // there was no room for it: cut it with the next commit
}

// place is a changelog.Position as the database has it.
type place struct {
	seq int64
	sum [sumBytes]byte
}

const sumBytes = 16

func (p place) position() changelog.Position {
	return changelog.Position{Seq: p.seq, Sum: hex.EncodeToString(p.sum[:])}
}

// logBytes bounds the log, and so does a share of the disk.
const (
	logBytes = 256 << 20
	logShare = 20
)

func newCapture(path string) *capture {
	k := &capture{stale: true, bound: logBytes}
	if _, total, err := atomicfile.FreeSpace(filepath.Dir(path)); err == nil && total > 0 {
		k.bound = int64(min(logBytes, total/logShare))
	}
	return k
}

// open begins a transaction.
func (k *capture) open(c *conn) error {
	k.lines, k.mark = k.lines[:0], 0
	if cap(k.lines) > 4<<20 {
		k.lines = nil
	}
	if !k.stale {
		return nil
	}
	if err := k.read(c); err != nil {
		return err
	}
	k.stale = false
	return nil
}

// read reads what the database says.
func (k *capture) read(c *conn) error {
	s := c.do("followers")
	if _, err := s.step(); err != nil {
		return err
	}
	k.on = !s.null(0)
	s.reset()
	var err error
	if k.head, err = head(c); err != nil || !k.on {
		return err
	}
	s = c.do("log_bytes")
	if _, err := s.step(); err != nil {
		return err
	}
	k.bytes = s.number(0)
	s.reset()
	return nil
}

// head is where the log stands.
func head(c *conn) (place, error) {
	var p place
	for _, name := range []string{"log_head", "log"} {
		s := c.do(name)
		found, err := s.step()
		if err != nil {
			return p, err
		}
		if found {
			p.seq = s.number(0)
			copy(p.sum[:], s.raw(1))
			s.reset()
			return p, nil
		}
	}
	return p, errors.New("the database has no log of changes")
}

// begin begins a job.
func (k *capture) begin() { k.mark, k.was, k.wasOn = len(k.lines), k.head, k.on }

// rollback undoes the job.
func (k *capture) rollback() { k.lines, k.head, k.on = k.lines[:k.mark], k.was, k.wasOn }

// add takes down what changes.
func (k *capture) add(l *changelog.Line) {
	if k.on {
		k.lines = l.Append(k.lines)
	}
}

// write adds what the open transaction changed to the log, or cuts it. The error is
// errNoRoom when the disk is full.
func (k *capture) write(c *conn) error {
	k.next = k.head
	if !k.on {
		return nil
	}
	if k.full || k.bytes+int64(len(k.lines)) > k.bound {
		return k.cut(c)
	}
	if len(k.lines) == 0 {
		return nil
	}
	k.next = k.head.after(k.lines)
	err := c.do("log_add").int(1, k.next.seq).int(2, time.Now().UnixMilli()).blob(3, k.next.sum[:]).blob(4, k.lines).run()
	if errors.Is(err, kinto.ErrFull) {
		err = fmt.Errorf("%w: %w", errNoRoom, err)
	}
	return err
}

// errNoRoom: what changed could be kept, but for the log.
var errNoRoom = errors.New("there is no room for the log of changes")

// after is the place of a commit with these lines.
func (p place) after(lines []byte) place {
	h := sha256.New()
	h.Write(p.sum[:])
	h.Write(lines)
	next := place{seq: p.seq + 1}
	copy(next.sum[:], h.Sum(nil))
	return next
}

// kept is called once the open transaction is committed.
func (k *capture) kept() {
	k.head = k.next
	k.bytes += int64(len(k.lines))
	k.full = false
}

// cut gives all followers up. What is in the log is swept later.
func (k *capture) cut(c *conn) error {
	if err := c.do("followers_forget").run(); err != nil {
		return err
	}
	k.on, k.stale = false, true
	return k.restart(c)
}

// restart begins the log where nobody has been.
func (k *capture) restart(c *conn) error {
	k.next = place{seq: k.head.seq + 1}
	rand.Read(k.next.sum[:]) //nolint:errcheck // never fails
	k.head, k.bytes = k.next, 0
	return c.do("log_set").int(1, k.next.seq).blob(2, k.next.sum[:]).run()
}

// onLog runs fn on the writer's connection, in a transaction.
func (db *SQLite) onLog(ctx context.Context, fn func(*tx) error) error {
	if err := db.trouble.sound(); err != nil {
		return harmed(err)
	}
	return harmed(db.writer.write(ctx, func(t kinto.Tx) error { return fn(t.(*tx)) }))
}

// harmed has an error that says that the database is damaged match changelog.ErrDamaged.
func harmed(err error) error {
	if err = explain(err); err == nil || errors.Is(err, changelog.ErrDamaged) {
		return err
	}
	if e := hint.Find(err); e != nil && e.Code == "database-damaged" {
		return fmt.Errorf("%w: %w", changelog.ErrDamaged, err)
	}
	return err
}

// copied runs fn, which copies something, on a connection of its own. Of a database that is known to be
// damaged nothing is copied; what is met now, everybody knows from then on.
func (db *SQLite) copied(ctx context.Context, fn func(*conn) error) error {
	err := db.trouble.sound()
	if err == nil {
		err = db.apart(ctx, func(c *conn) error {
			c.noted = db.trouble.note
			return fn(c)
		})
	}
	return harmed(err)
}

var _ changelog.Source = (*SQLite)(nil)

// Follow implements changelog.Source.
func (db *SQLite) Follow(ctx context.Context, name string) (at changelog.Position, err error) {
	err = db.onLog(ctx, func(t *tx) error {
		k := t.capture
		k.stale, k.on = true, true
		// Nobody was here while nothing was kept: the log began anew when the last follower
		// left. What other jobs of this transaction do is in it behind this place, or was
		// done before.
		at = k.head.position()
		return t.c.do("follower_set").text(1, name).int(2, k.head.seq).run()
	})
	return at, err
}

// Unfollow implements changelog.Source.
func (db *SQLite) Unfollow(ctx context.Context, name string) error {
	return db.onLog(ctx, func(t *tx) error {
		t.capture.stale, t.swept = true, true
		if err := t.c.do("follower_forget").text(1, name).run(); err != nil {
			return err
		}
		s := t.c.do("followers")
		if _, err := s.step(); err != nil {
			return err
		}
		last := s.null(0)
		s.reset()
		if !last {
			return nil
		}
		t.capture.on = false
		return t.capture.restart(t.c)
	})
}

// Acknowledge implements changelog.Source.
func (db *SQLite) Acknowledge(ctx context.Context, name string, upTo changelog.Position) error {
	return db.onLog(ctx, func(t *tx) error {
		if err := in(t.c, upTo); err != nil {
			return err
		}
		t.capture.stale = true
		if err := t.c.do("follower_move").text(1, name).int(2, upTo.Seq).run(); err != nil {
			return err
		}
		if t.c.changes() == 0 {
			return fmt.Errorf("%w: %q follows no more", changelog.ErrCut, name)
		}
		s := t.c.do("followers")
		if _, err := s.step(); err != nil {
			return err
		}
		seq := s.number(0)
		s.reset()
		s = t.c.do("log_sum").int(1, seq)
		if found, err := s.step(); !found {
			return err // all have it: the log begins behind it already
		}
		sum := append([]byte(nil), s.raw(0)...)
		s.reset()
		if err := t.c.do("log_set").int(1, seq).blob(2, sum).run(); err != nil {
			return err
		}
		if err := t.c.do("log_sweep").run(); err != nil {
			return err
		}
		t.swept = true
		return nil
	})
}

// in is nil when a position is one of the log; else it is changelog.ErrCut.
func in(c *conn, p changelog.Position) error {
	s := c.do("log_sum").int(1, p.Seq)
	found, err := s.step()
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("%w: it has no position %d", changelog.ErrCut, p.Seq)
	}
	defer s.reset()
	if hex.EncodeToString(s.raw(0)) != p.Sum {
		return fmt.Errorf("%w: position %d is another one", changelog.ErrCut, p.Seq)
	}
	return nil
}

// Changes implements changelog.Source.
func (db *SQLite) Changes(ctx context.Context, after changelog.Position, bytes int, each func(changelog.Entry) error) error {
	return harmed(db.Read(ctx, func(r kinto.Reader) error {
		v := r.(*view)
		if err := v.open(); err != nil {
			return err
		}
		if err := in(v.c, after); err != nil {
			return err
		}
		s := v.c.do("log_after").int(1, after.Seq)
		for passed := 0; passed < bytes; {
			more, err := s.step()
			if !more {
				return err
			}
			e := changelog.Entry{Time: s.number(1), Lines: s.raw(3)}
			e.Position = changelog.Position{Seq: s.number(0), Sum: hex.EncodeToString(s.raw(2))}
			passed += len(e.Lines)
			if err := errors.Join(each(e), ctx.Err()); err != nil {
				s.reset()
				return err
			}
		}
		s.reset()
		return nil
	}))
}
