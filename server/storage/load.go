package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/server/kinto"
)

// ErrIncomplete: lines that were loaded are not all there were.
var ErrIncomplete = errors.New("the log of changes is not complete")

// Load makes a database of lines: of a copy (changelog.Source), of the changes after it, and
// of what becomes of those when several are made one, in this order. The file at path must
// not be there; it is for its owner's eyes only, and on the disk when Load returns. Until all is
// taken in it has another name, path and ".loading". What fails leaves no file. done, if not nil, is told now and then how many lines were taken in.
//
// The error of the lines is returned; one that names what cannot be is an
// ErrIncomplete.
func Load(ctx context.Context, path string, lines iter.Seq2[changelog.Line, error], done func(lines int)) (err error) {
	if err := errors.Join(setUp(), ctx.Err()); err != nil {
		return err
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot make a database: %w", cmp.Or(err, error(&fs.PathError{Op: "create", Path: path, Err: fs.ErrExist})))
	}
	// What a death leaves of it opens as a database, with a part of what there was: it has no name of one.
	half := path + ".loading"
	f, err := os.OpenFile(half, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("cannot make a database: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeIfThere(half), removeIfThere(path))
		}
	}()
	if err := f.Close(); err != nil {
		return err
	}
	c, err := openConn(half, sqlite3.SQLITE_OPEN_READWRITE, statements(queries))
	if err != nil {
		return err
	}
	err = errors.Join(load(ctx, c, lines, done), c.close())
	if err == nil {
		err = atomicfile.SyncFile(half)
	}
	if err == nil {
		err = os.Rename(half, path)
	}
	if err == nil {
		err = atomicfile.SyncDir(filepath.Dir(path))
	}
	return err
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// loadedAtOnce is how many lines are taken in between two looks at the context.
const loadedAtOnce = 50_000

// loader takes lines in. It keeps no journal: what breaks off is begun anew.
type loader struct {
	c     *conn
	lists map[kinto.List]*loaded
}

// loaded is a list that is being loaded.
type loaded struct {
	pk    int64
	ts    int64
	moved bool // ts is not in the database yet

	live, tombstones, bytes int64
}

func load(ctx context.Context, c *conn, lines iter.Seq2[changelog.Line, error], done func(int)) error {
	if err := c.exec("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -8000; PRAGMA temp_store = FILE; PRAGMA trusted_schema = OFF"); err != nil {
		return err
	}
	if err := migrate(c, migrations); err != nil {
		return err
	}
	l := &loader{c: c, lists: map[kinto.List]*loaded{}}
	if err := l.c.do("begin_immediate").run(); err != nil {
		return err
	}
	n := 0
	for line, err := range lines {
		if err != nil {
			return err
		}
		if err := l.take(&line); err != nil {
			return fmt.Errorf("line %d: %w", n+1, err)
		}
		if n++; n%loadedAtOnce > 0 {
			continue
		}
		if done != nil {
			done(n)
		}
		if err := errors.Join(l.flush(), ctx.Err(), l.c.do("commit").run(), l.c.do("begin_immediate").run()); err != nil {
			return err
		}
	}
	if done != nil {
		done(n)
	}
	if err := l.flush(); err != nil {
		return err
	}
	if err := l.finish(ctx); err != nil {
		return err
	}
	return l.c.do("commit").run()
}

// take takes one line in.
func (l *loader) take(line *changelog.Line) error {
	switch line.Kind {
	case changelog.Commit:
		return nil
	case changelog.Object:
		return l.object(line)
	case changelog.List:
		in, err := l.list(line)
		if err == nil {
			in.raise(line.Time)
		}
		return err
	case changelog.Purge:
		return l.purge(line.ID)
	case changelog.Meta:
		if line.Gone {
			return l.c.do("meta_forget").text(1, line.ID).run()
		}
		return l.c.do("meta_set").text(1, line.ID).blob(2, line.Value).run()
	case changelog.Owner:
		if line.Gone {
			return l.c.do("owner_forget").text(1, line.ID).run()
		}
		return l.c.do("load_owner").text(1, line.ID).bytes(2, line.Value).int(3, line.Size).run()
	case changelog.Note:
		if line.Gone {
			return l.c.do("note_forget").text(1, line.ID).run()
		}
		return l.c.do("note_set").text(1, line.ID).blob(2, line.Value).int(3, line.Time).run()
	case changelog.File:
		if line.Gone {
			return l.c.do("file_remove").text(1, line.Location).run()
		}
		in, err := l.list(line)
		if err != nil {
			return err
		}
		return l.c.do("load_file").text(1, line.Location).int(2, in.pk).text(3, line.ID).text(4, line.Hash).int(5, line.Size).text(6, line.Type).text(7, line.Name).run()
	case changelog.Floor:
		switch {
		case line.Gone:
			return l.c.do("floor_forget").text(1, line.Parent).text(2, line.Of).run()
		case line.Parent == "#":
			return errors.Join(l.c.do("load_floor").text(1, "#").text(2, "").int(3, line.Time).run(), l.c.do("floors_sweep").int(1, line.Time).run())
		}
		return l.c.do("load_floor").text(1, line.Parent).text(2, line.Of).int(3, line.Time).run()
	case changelog.Former:
		return l.c.do("load_former").text(1, line.Parent).text(2, line.Of).int(3, line.Time).run()
	}
	return fmt.Errorf("nobody knows how to take in a line of %s", line.Kind)
}

// list returns the list of a line, and makes it if it is not there.
func (l *loader) list(line *changelog.Line) (*loaded, error) {
	name := kinto.List{Parent: line.Parent, Kind: kinto.Kind(line.Of)}
	if in := l.lists[name]; in != nil {
		return in, nil
	}
	s := l.c.do("load_list").text(1, name.Parent).text(2, string(name.Kind)).int(3, 0)
	if _, err := s.step(); err != nil {
		return nil, err
	}
	in := &loaded{pk: s.number(0)}
	s.reset()
	l.lists[name] = in
	return in, nil
}

// raise moves the list to a timestamp, if it is not beyond it.
func (in *loaded) raise(ts int64) {
	if ts > in.ts {
		in.ts, in.moved = ts, true
	}
}

// flush writes what lists were moved to.
func (l *loader) flush() error {
	for _, in := range l.lists {
		if !in.moved {
			continue
		}
		if err := l.c.do("load_list_raise").int(1, in.pk).int(2, in.ts).run(); err != nil {
			return err
		}
		in.moved = false
	}
	return nil
}

func (l *loader) object(line *changelog.Line) error {
	in, err := l.list(line)
	if err != nil {
		return err
	}
	in.raise(line.Time)
	deleted := int64(0)
	if line.Gone {
		deleted = 1
	}
	put := func() error {
		return l.c.do("load_object").int(1, in.pk).text(2, line.ID).int(3, line.Time).int(4, deleted).bytes(5, line.Data).bytes(6, line.Permissions).run()
	}
	err = put()
	if errors.Is(err, kinto.ErrConflict) {
		// In a copy that was taken beside writes, and where several changes were made one,
		// another object can have the timestamp for a while: what moved it follows.
		if err = l.c.do("load_displace").int(1, in.pk).int(2, line.Time).run(); err == nil {
			err = put()
		}
	}
	return err
}

// purge is Purge of kinto.Tx, but for the timestamps that lists had, of which there are lines.
func (l *loader) purge(uri string) error {
	if err := l.flush(); err != nil {
		return err
	}
	clear(l.lists)
	// Lists that stay are looked up again.
	if err := l.c.do("purge").text(1, uri).run(); err != nil {
		return err
	}
	if err := l.c.do("births_forget").text(1, uri).run(); err != nil {
		return err
	}
	owners := l.c.do("owner_forget").text(1, uri)
	if uri == "" {
		owners = l.c.do("owners_forget")
	}
	if err := owners.run(); err != nil {
		return err
	}
	return l.known()
}

// known reads which lists there are.
func (l *loader) known() error {
	s := l.c.do("dump_lists").int(1, -1)
	for {
		more, err := s.step()
		if !more {
			return err
		}
		l.lists[kinto.List{Parent: string(s.raw(1)), Kind: kinto.Kind(s.raw(2))}] = &loaded{pk: s.number(0), ts: s.number(3)}
	}
}

// finish clears away what was purged, counts what lists hold, and looks up who may what and
// is in which group.
func (l *loader) finish(ctx context.Context) error {
	w := &writer{c: l.c}
	for {
		pk, found, err := w.look(l.c.do("dead"))
		if err != nil {
			return err
		}
		if !found {
			break
		}
		if err := errors.Join(w.sweepList(pk), ctx.Err()); err != nil {
			return err
		}
	}
	displaced := l.c.do("load_displaced")
	found, err := displaced.step()
	if err != nil {
		return err
	}
	if found {
		err := fmt.Errorf("%w: what became of the %s %q in %q is not in it", ErrIncomplete, displaced.raw(1), displaced.raw(2), displaced.raw(0))
		displaced.reset()
		return err
	}
	kinds := map[int64]kinto.Kind{}
	counted := map[int64]*loaded{}
	for name, in := range l.lists {
		kinds[in.pk], counted[in.pk] = name.Kind, in
		in.live, in.tombstones, in.bytes = 0, 0, 0
	}
	t := &tx{view: view{ctx: ctx, c: l.c}, pairs: &pairs{}}
	s := l.c.do("dump_objects").int(1, -1)
	for n := 1; ; n++ {
		more, err := s.step()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		pk, list := s.number(0), s.number(1)
		in := counted[list]
		if in == nil {
			s.reset()
			return fmt.Errorf("%w: an object is in no list", ErrIncomplete)
		}
		o := kinto.Object{ID: string(s.raw(2)), Timestamp: s.number(3), Deleted: s.number(4) != 0, Data: s.raw(5), Permissions: s.raw(6)}
		if o.Deleted {
			in.tombstones++
		} else {
			in.live++
		}
		in.bytes += kinto.Weight(kinds[list], &o)
		err = t.each("grant", list, pk, o.Permissions)
		if err == nil && kinds[list] == kinto.Group {
			err = t.members(list, &o)
		}
		if err == nil && n%1024 == 0 {
			err = ctx.Err()
		}
		if err != nil {
			s.reset()
			return err
		}
	}
	for _, in := range counted {
		if err := l.c.do("load_list_set").int(1, in.pk).int(2, in.live).int(3, in.tombstones).int(4, in.bytes).run(); err != nil {
			return err
		}
	}
	return l.c.do("load_files").run()
}
