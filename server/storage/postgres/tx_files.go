package postgres

import (
	"errors"

	"github.com/foyer-server/foyer/server/kinto"
)

// files are the attachments of records, as a transaction has them.
type files struct{ *jobView }

// File implements kinto.Reader.
func (t files) File(location string) (*kinto.File, error) {
	if err := t.b.lock(t.j, lockOf(lockFile, location)); err != nil {
		return nil, err
	}
	return t.view.File(location)
}

// Attached implements kinto.Reader. The list is under its lock.
func (t files) Attached(l kinto.List, id string) (*kinto.File, error) {
	if _, err := t.page(l); err != nil {
		return nil, err
	}
	return t.view.Attached(l, id)
}

// Holds implements kinto.Reader.
func (t files) Holds(hash string) (bool, error) {
	if err := t.b.lock(t.j, lockOf(lockFile, hash)); err != nil {
		return false, err
	}
	return t.view.Holds(hash)
}

// Attach implements kinto.Tx.
func (t files) Attach(l kinto.List, id string, f *kinto.File) error {
	if f == nil {
		p, err := t.page(l)
		if err != nil || p.attached == 0 {
			return err
		}
	}
	p, err := t.prepare(l)
	if err != nil {
		return err
	}
	if !p.there {
		p.tick(-1)
	}
	if f != nil {
		if !text(f.Location) || !text(f.Hash) || !text(id) {
			return errors.New("cannot keep a file whose place is not text")
		}
		for _, name := range []string{f.Location, f.Hash} {
			if err := t.b.lock(t.j, lockOf(lockFile, name)); err != nil {
				return err
			}
		}
		found, same := false, false
		err := t.b.each("file", func(r row) bool {
			found, same = true, r.int(4) == p.pk && r.text(5) == id
			return true
		}, f.Location)
		switch {
		case err != nil:
			return err
		case found && !same:
			return kinto.ErrConflict
		case !found: // it may be that of a list that waits to be swept
			if err := t.b.write("file_remove", f.Location); err != nil {
				return err
			}
		}
	}
	location, hash, size, found := "", "", int64(0), false
	err = t.b.each("file_of", func(r row) bool {
		location, size, hash, found = r.text(0), r.int(1), r.text(2), true
		return true
	}, p.pk, id)
	if err != nil || !found && f == nil {
		return err
	}
	if found {
		for _, name := range []string{location, hash} {
			if err := t.b.lock(t.j, lockOf(lockFile, name)); err != nil {
				return err
			}
		}
		if err := t.b.write("file_remove", location); err != nil {
			return err
		}
		p.attached--
		p.files -= size
	}
	if f != nil {
		err := t.b.write("file_add", f.Location, p.pk, id, f.Hash, f.Size, []byte(f.Type), []byte(f.Name))
		if err != nil {
			return err
		}
		p.attached++
		p.files += f.Size
	}
	t.change(l, p)
	return nil
}
