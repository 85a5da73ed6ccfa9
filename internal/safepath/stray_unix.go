//go:build unix

package safepath

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// Strays looks through the names in d that ours tells, and all that is below them on the
// same file system, for files and folders that account uid, whose d is or comes to be,
// cannot use as its own: they belong to another account, are closed to their owner, or
// others may write to them. It looks at so many names at most, tells of mostStrays at most,
// changes nothing, opens no file and follows no link.
//
// What is told with a reason (Stray.Why) is not given back, for it cannot be told whose it
// is: see GiveBack.
func Strays(d *Dir, uid int, ours func(name string) bool, most int) ([]Stray, error) {
	s := &search{uid: uid, most: most, sealed: sealed()}
	if err := s.top(d, ours); err != nil && err != errEnough {
		return nil, err
	}
	return s.found, nil
}

// GiveBack gives the strays (Strays) to account uid:gid, opens them to it, and closes them
// to what others would write, durably. That is done to what root alone can have put there,
// or taken from its owner, and to nothing else:
//
//   - a folder, for nobody moves one that he cannot write to;
//   - a file in a folder of root's that nobody else writes to;
//   - a file with one name in a folder of the account's own, where the kernel lets nobody
//     make further names of files that he could not write to (fs.protected_hardlinks,
//     proc_sys_fs(5)): else it could be a second name of a secret of root's, of which the
//     first is gone.
//
// What is unfit stays as it is, and is no error.
func GiveBack(d *Dir, uid, gid int, ours func(name string) bool) error {
	s := &search{uid: uid, gid: gid, most: -1, act: true, sealed: sealed()}
	return s.top(d, ours)
}

// errEnough ends a search that has seen what it is to see.
var errEnough = errors.New("enough was seen")

// search is one Strays or GiveBack at work.
type search struct {
	uid, gid int
	most     int // names that may still be looked at; negative: all
	act      bool
	sealed   bool
	found    []Stray
}

func (s *search) top(d *Dir, ours func(string) bool) error {
	st, err := d.stat()
	if err != nil {
		return d.fail("look at", "", err)
	}
	if int(st.Uid) != s.uid && (!rootish(st) || !d.placed) {
		return nil // somebody else's folder: TakeOver decides
	}
	return s.dir(d, st, ours, 0)
}

// dir searches a folder, which was like holder.
func (s *search) dir(d *Dir, holder unix.Stat_t, ours func(string) bool, depth int) error {
	if depth > mostDeep {
		return &Error{d.path, TooDeep}
	}
	return d.each(func(name string) error {
		if ours != nil && !ours(name) {
			return nil
		}
		if s.most--; s.most == -1 {
			return errEnough
		}
		st, err := d.lstat(name)
		if err == unix.ENOENT {
			return nil
		}
		if err != nil {
			return d.fail("look at", name, err)
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			return s.file(d, name, holder, st)
		case unix.S_IFDIR:
			return s.folder(d, name, depth)
		}
		return nil
	})
}

// wrong reports whether something is not as its account needs it; need are the rights.
func (s *search) wrong(st unix.Stat_t, need uint32) bool {
	return int(st.Uid) != s.uid || uint32(st.Mode)&need != need || st.Mode&0o022 != 0
}

// right is the mode of something that was like st.
func right(st unix.Stat_t, need uint32) fs.FileMode {
	return fs.FileMode((uint32(st.Mode) | need) & 0o755)
}

// fit says whether a file may be given back.
func (s *search) fit(holder, st unix.Stat_t) Why {
	switch {
	case int(st.Uid) == s.uid:
		return 0
	case st.Nlink != 1:
		return SecondName
	case s.sealed, rootish(holder) && holder.Mode&0o022 == 0:
		return 0
	}
	return Foreign
}

func (s *search) tell(path string, why Why) error {
	if s.found = append(s.found, Stray{path, why}); len(s.found) == mostStrays {
		return errEnough
	}
	return nil
}

func (s *search) file(d *Dir, name string, holder, st unix.Stat_t) error {
	if !s.wrong(st, 0o600) {
		return nil
	}
	if !s.act {
		return s.tell(d.in(name), s.fit(holder, st))
	}
	f, err := d.file(name, true, func(_, st unix.Stat_t) Why { return s.fit(holder, st) })
	if _, unfit := errors.AsType[*Error](err); unfit || err == errMount || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // nothing was written, and it is synced
	if err := retry(func() error { return unix.Fstat(int(f.Fd()), &st) }); err != nil {
		return d.fail("look at", name, err)
	}
	if err := f.Chown(s.uid, s.gid); err != nil {
		return d.fail("change the owner", name, err)
	}
	if err := f.Chmod(right(st, 0o600)); err != nil {
		return d.fail("change the mode", name, err)
	}
	if err := f.Sync(); err != nil {
		return d.fail("sync", name, err)
	}
	return nil
}

// folder searches the folder name, after it was given back itself: what is in it is then
// in one of the account's own.
func (s *search) folder(d *Dir, name string, depth int) error {
	sub, err := d.open(name, true)
	if _, unfit := errors.AsType[*Error](err); unfit || err == errMount || errors.Is(err, fs.ErrNotExist) {
		return nil // it is something else by now
	}
	if err != nil {
		return err
	}
	defer sub.Close() //nolint:errcheck // a folder, opened to be looked through
	st, err := sub.stat()
	if err != nil {
		return d.fail("look at", name, err)
	}
	if s.wrong(st, 0o700) {
		if !s.act {
			err = s.tell(sub.path, 0)
		} else {
			err = sub.Own(right(st, 0o700), s.uid, s.gid)
		}
		if err != nil {
			return err
		}
	}
	return s.dir(sub, st, nil, depth+1)
}
