package storage

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/server/kinto"
)

// dump writes out what the database holds, as lines: table by table, and each in the order
// of its key, so that it can go on from any place. It reads what others may be writing.
type dump struct {
	ctx   context.Context
	c     *conn
	lists map[int64]kinto.List // by pk; those that wait to be swept are the zero List
	line  changelog.Line
	text  []byte
}

// tables are in the order in which they are written out. A row sets the line to what it
// says, and returns whether there is anything to say, and the place it stands at.
var tables = []struct {
	name  string
	begin func(s *stmt, after string) error
	row   func(d *dump, s *stmt) (place string, says bool, err error)
}{
	{"lists", byNumber, func(d *dump, s *stmt) (string, bool, error) {
		d.line = changelog.Line{Kind: changelog.List, Parent: string(s.raw(1)), Of: string(s.raw(2)), Time: s.number(3)}
		return strconv.FormatInt(s.number(0), 10), true, nil
	}},
	{"objects", byNumber, func(d *dump, s *stmt) (string, bool, error) {
		place := strconv.FormatInt(s.number(0), 10)
		l, err := d.list(s.number(1))
		if l.Kind == "" || err != nil {
			return place, false, err
		}
		d.line = changelog.Line{Kind: changelog.Object, Parent: l.Parent, Of: string(l.Kind), ID: string(s.raw(2)), Time: s.number(3), Gone: s.number(4) != 0, Data: s.raw(5), Permissions: s.raw(6)}
		return place, true, nil
	}},
	{"meta", byText, func(d *dump, s *stmt) (string, bool, error) {
		d.line = changelog.Line{Kind: changelog.Meta, ID: string(s.raw(0)), Value: s.raw(1)}
		return d.line.ID, true, nil
	}},
	{"owners", byText, func(d *dump, s *stmt) (string, bool, error) {
		d.line = changelog.Line{Kind: changelog.Owner, ID: string(s.raw(0)), Value: s.raw(1), Size: s.number(2)}
		return d.line.ID, true, nil
	}},
	{"notes", byText, func(d *dump, s *stmt) (string, bool, error) {
		d.line = changelog.Line{Kind: changelog.Note, ID: string(s.raw(0)), Value: s.raw(1), Time: s.number(2)}
		return d.line.ID, true, nil
	}},
	{"floors", byTwo, func(d *dump, s *stmt) (string, bool, error) {
		d.line = changelog.Line{Kind: changelog.Floor, Parent: string(s.raw(0)), Of: string(s.raw(1)), Time: s.number(2)}
		return d.line.Parent + "\x00" + d.line.Of, true, nil
	}},
	{"formers", byTwo, func(d *dump, s *stmt) (string, bool, error) {
		d.line = changelog.Line{Kind: changelog.Former, Parent: string(s.raw(0)), Of: string(s.raw(1)), Time: s.number(2)}
		return d.line.Parent + "\x00" + d.line.Of, true, nil
	}},
	{"files", byText, func(d *dump, s *stmt) (string, bool, error) {
		location := string(s.raw(0))
		l, err := d.list(s.number(1))
		if l.Kind == "" || err != nil {
			return location, false, err
		}
		d.line = changelog.Line{Kind: changelog.File, Location: location, Parent: l.Parent, Of: string(l.Kind), ID: string(s.raw(2)), Hash: string(s.raw(3)), Size: s.number(4), Type: string(s.raw(5)), Name: string(s.raw(6))}
		return location, true, nil
	}},
}

func byNumber(s *stmt, after string) error {
	n := int64(-1)
	if after != "" {
		var err error
		if n, err = strconv.ParseInt(after, 10, 64); err != nil {
			return err
		}
	}
	s.int(1, n)
	return nil
}

func byText(s *stmt, after string) error {
	s.text(1, after)
	return nil
}

func byTwo(s *stmt, after string) error {
	a, b, _ := strings.Cut(after, "\x00")
	s.text(1, a).text(2, b)
	return nil
}

// list returns a list by its pk.
func (d *dump) list(pk int64) (kinto.List, error) {
	if l, ok := d.lists[pk]; ok {
		return l, nil
	}
	s := d.c.do("list_named").int(1, pk)
	found, err := s.step()
	if err != nil {
		return kinto.List{}, err
	}
	var l kinto.List
	if found {
		l = kinto.List{Parent: string(s.raw(0)), Kind: kinto.Kind(s.raw(1))}
		s.reset()
	}
	if l.Kind == "dead" {
		l = kinto.List{}
	}
	if len(d.lists) >= cacheEntries {
		clear(d.lists)
	}
	d.lists[pk] = l
	return l, nil
}

// write calls each with lines from behind a place on, until they come to so many bytes;
// it returns the place behind the last, "" at the end.
func (d *dump) write(after string, bytes int, each func(*changelog.Line, []byte) error) (string, error) {
	from, place, _ := strings.Cut(after, ":")
	passed := 0
	for _, table := range tables {
		if from != "" && from != table.name {
			continue
		}
		from = ""
		s := d.c.do("dump_" + table.name)
		if err := table.begin(s, place); err != nil {
			return "", fmt.Errorf("%w: %q: %w", changelog.ErrNoPlace, after, err)
		}
		place = ""
		for n := 1; ; n++ {
			more, err := s.step()
			if err != nil {
				return "", err
			}
			if !more {
				break
			}
			at, says, err := table.row(d, s)
			if err == nil && says {
				d.text = d.line.Append(d.text[:0])
				passed += len(d.text)
				err = each(&d.line, d.text)
			}
			if err == nil && n%256 == 0 {
				err = d.ctx.Err()
			}
			if err != nil {
				s.reset()
				return "", err
			}
			if passed >= bytes {
				s.reset()
				return table.name + ":" + at, nil
			}
		}
	}
	if from != "" {
		return "", fmt.Errorf("%w: %q", changelog.ErrNoPlace, after)
	}
	return "", nil
}

// dump runs fn on a connection of its own, in one snapshot, and returns where the log stood
// in it.
func (db *SQLite) dump(ctx context.Context, fn func(*dump) error) (at changelog.Position, err error) {
	err = db.copied(ctx, func(c *conn) error {
		if err := c.do("begin").run(); err != nil {
			return err
		}
		stands, err := head(c)
		if err != nil {
			return err
		}
		at = stands.position()
		return fn(&dump{ctx: ctx, c: c, lists: map[int64]kinto.List{}})
	})
	return at, err
}

// Copy implements changelog.Source.
func (db *SQLite) Copy(ctx context.Context, after string, bytes int, each func(line []byte) error) (next string, at changelog.Position, err error) {
	at, err = db.dump(ctx, func(d *dump) (err error) {
		next, err = d.write(after, bytes, func(_ *changelog.Line, text []byte) error { return each(text) })
		return err
	})
	return next, at, err
}

// Summarize implements changelog.Source.
func (db *SQLite) Summarize(ctx context.Context, notes time.Time) (sum *changelog.Summary, at changelog.Position, err error) {
	at, err = db.dump(ctx, func(d *dump) (err error) {
		sum, err = d.summarize(notes)
		return err
	})
	return sum, at, err
}

// Unshipped is when the first change was that not everybody who follows has acknowledged; zero:
// nobody lags, or follows.
func (db *SQLite) Unshipped(ctx context.Context) (since time.Time, err error) {
	err = db.copied(ctx, func(c *conn) error {
		s := c.do("unshipped")
		found, err := s.step()
		if found {
			since = time.UnixMilli(s.number(0))
			s.reset()
		}
		return err
	})
	return since, err
}

// Files implements changelog.Source.
func (db *SQLite) Files(ctx context.Context, each func(hash string, size int64) error) error {
	return db.copied(ctx, func(c *conn) error {
		s := c.do("contents")
		for n := 1; ; n++ {
			more, err := s.step()
			if !more || err != nil {
				return err
			}
			err = each(string(s.raw(0)), s.number(1))
			if err == nil && n%256 == 0 {
				err = ctx.Err()
			}
			if err != nil {
				s.reset()
				return err
			}
		}
	})
}

// summarize adds up everything, but for notes that end before a time.
func (d *dump) summarize(notes time.Time) (*changelog.Summary, error) {
	sum := &changelog.Summary{}
	_, err := d.write("", math.MaxInt, func(l *changelog.Line, text []byte) error {
		if l.Kind != changelog.Note || l.Time > notes.UnixMilli() {
			sum.Add(l, text)
		}
		return nil
	})
	return sum, err
}

// SummarizeFile is Summarize of the database file at path, as Peek reads it.
func SummarizeFile(ctx context.Context, path string, notes time.Time) (sum *changelog.Summary, err error) {
	err = peek(ctx, path, func(c *conn) (err error) {
		if err := c.do("begin").run(); err != nil {
			return err
		}
		sum, err = (&dump{ctx: ctx, c: c, lists: map[int64]kinto.List{}}).summarize(notes)
		return err
	})
	return sum, err
}
