//go:build unix

package safepath

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Dir is an open folder. It stays the same one whatever becomes of its name. It is not
// for concurrent use.
type Dir struct {
	f      *os.File // for looking names up; not readable on Linux (O_PATH)
	path   string
	placed bool // nobody but root can put another folder in its place
	above  int  // owner of the folder it lies in
	way    Hazard
	how    how
}

// how the file system is gone about.
type how struct {
	guard  bool // against others: this process is root
	byName bool // without openat2
}

func usual() how { return how{guard: os.Geteuid() == 0} }

const (
	mostLinks = 40  // followed on the way, path_resolution(7)
	mostDeep  = 64  // folders held open within each other
	rounds    = 100 // looks at a folder that somebody goes on filling
)

// Open opens the folder at path. Its error is an *Error with Link where the way leads
// through a link that root did not make, or with NotFolder, or matches fs.ErrNotExist.
func Open(path string) (*Dir, error) { return usual().open(path) }

func (h how) open(path string) (*Dir, error) {
	d, _, err := h.walk(path, false)
	return d, err
}

// openFor opens the folder of the file at path; name is the file's there.
func openFor(path string) (d *Dir, name string, err error) { return usual().walk(path, true) }

// walk goes to the folder at path, or to that of the file at path.
func (h how) walk(path string, file bool) (d *Dir, name string, err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, "", err
	}
	start, todo := "/", strings.Split(abs, "/")
	if !h.guard {
		start, todo = abs, nil
		if file {
			start, todo = filepath.Dir(abs), []string{filepath.Base(abs)}
		}
	}
	f, err := openPath(start)
	if err == unix.ENOTDIR {
		return nil, "", &Error{path, NotFolder}
	}
	if err != nil {
		return nil, "", &fs.PathError{Op: "open", Path: path, Err: err}
	}
	way := []*Dir{{f: f, path: start, placed: true, how: h}}
	back := func(to int) {
		for _, d := range way[to:] {
			d.Close() //nolint:errcheck // a folder, opened to be walked through
		}
		way = way[:to]
	}
	defer func() { back(0) }()
	for links := 0; len(todo) > 0; {
		here := way[len(way)-1]
		name, todo = todo[0], todo[1:]
		switch name {
		case "", ".":
			continue
		case "..": // of a link
			back(max(1, len(way)-1))
			continue
		}
		if !h.guard { // a file, however it is reached
			break
		}
		st, err := here.lstat(name)
		if err != nil {
			return nil, "", &fs.PathError{Op: "open", Path: path, Err: err}
		}
		if st.Mode&unix.S_IFMT == unix.S_IFLNK {
			if links++; links > mostLinks {
				return nil, "", &fs.PathError{Op: "open", Path: path, Err: unix.ELOOP}
			}
			target, err := follow(here, name, st)
			if err != nil {
				return nil, "", err
			}
			if strings.HasPrefix(target, "/") {
				back(1)
			}
			todo = append(strings.Split(target, "/"), todo...)
			continue
		}
		if file && len(todo) == 0 {
			break
		}
		next, err := here.Open(name)
		if err != nil {
			return nil, "", err
		}
		way = append(way, next)
	}
	d = way[len(way)-1]
	way = way[:len(way)-1]
	if !file {
		d.path = path
	}
	return d, name, nil
}

// follow reads a link that root alone can have made.
func follow(d *Dir, name string, link unix.Stat_t) (string, error) {
	st, err := d.stat()
	if err != nil {
		return "", d.fail("look at", "", err)
	}
	if !d.placed || !rootish(st) || st.Mode&0o022 != 0 || !rootish(link) {
		return "", &Error{d.in(name), Link}
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(d.fd(), name, buf)
	if err != nil {
		return "", d.fail("read the link", name, err)
	}
	return string(buf[:n]), nil
}

// rootish reports whether something belongs to root, or to this process.
func rootish(st unix.Stat_t) bool { return st.Uid == 0 || int(st.Uid) == os.Geteuid() }

// keeps reports whether a folder that is like st keeps entry under its name: nobody but
// root can put something else there.
func keeps(st, entry unix.Stat_t) bool {
	return rootish(st) && (st.Mode&0o022 == 0 || st.Mode&unix.S_ISVTX != 0 && rootish(entry))
}

func (d *Dir) fd() int { return int(d.f.Fd()) }

func (d *Dir) stat() (st unix.Stat_t, err error) {
	err = retry(func() error { return unix.Fstat(d.fd(), &st) })
	return st, err
}

func (d *Dir) lstat(name string) (st unix.Stat_t, err error) {
	err = retry(func() error { return unix.Fstatat(d.fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return st, err
}

// retry does again what a signal cut short.
func retry(do func() error) error {
	for {
		if err := do(); err != unix.EINTR {
			return err
		}
	}
}

// Close lets go of the folder.
func (d *Dir) Close() error { return d.f.Close() }

// Trusted reports whether nobody but root can put another folder in the place of this one.
func (d *Dir) Trusted() bool { return d.placed }

// Way is the folder on the way to this one whose writers can put another in its place.
func (d *Dir) Way() Hazard { return d.way }

// Inside is Way for what is, or comes to be, in this folder.
func (d *Dir) Inside() (Hazard, error) {
	if !d.how.guard {
		return Hazard{}, nil
	}
	st, err := d.stat()
	if err != nil {
		return Hazard{}, d.fail("look at", "", err)
	}
	return d.way.and(d.path, st), nil
}

// and is the hazard with one more folder on the way; one that everybody may write to
// counts more than others.
func (h Hazard) and(path string, st unix.Stat_t) Hazard {
	open := st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0
	everybody := open && st.Mode&0o002 != 0
	if (open || !rootish(st)) && (h.Folder == "" || everybody && !h.Everybody) {
		return Hazard{path, everybody}
	}
	return h
}

// Info tells owner and mode of the folder.
func (d *Dir) Info() (Info, error) {
	st, err := d.stat()
	if err != nil {
		return Info{}, d.fail("look at", "", err)
	}
	return Info{int(st.Uid), int(st.Gid), fs.FileMode(st.Mode & 0o777)}, nil
}

// Open opens the folder name, which may be a/b, in this one: no link is followed, and
// nothing above is reached. The error is as that of the function Open.
func (d *Dir) Open(name string) (*Dir, error) {
	next := d
	for part := range strings.SplitSeq(filepath.Clean(name), "/") {
		to, err := next.open(part, false)
		if next != d {
			next.Close() //nolint:errcheck // a folder, opened to be walked through
		}
		if err != nil {
			return nil, err
		}
		next = to
	}
	return next, nil
}

// errMount is a folder that something else is mounted on.
var errMount = errors.New("another file system is mounted there")

// open opens the folder name; inside asks for errMount where another file system begins.
func (d *Dir) open(name string, inside bool) (*Dir, error) {
	if name == ".." || name == "" || strings.Contains(name, "/") {
		return nil, d.fail("open", name, unix.EINVAL)
	}
	f, err := openFolder(d, name, inside)
	if err != nil {
		if st, serr := d.lstat(name); serr == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			return nil, &Error{d.in(name), Link}
		}
		switch err {
		case errMount:
			return nil, err
		case unix.ENOTDIR:
			return nil, &Error{d.in(name), NotFolder}
		}
		return nil, d.fail("open", name, err)
	}
	to := &Dir{f: f, path: d.in(name), placed: d.placed, way: d.way, how: d.how}
	st, err1 := d.stat()
	its, err2 := to.stat()
	if err := errors.Join(err1, err2); err != nil {
		to.Close() //nolint:errcheck // err says what is wrong
		return nil, d.fail("look at", name, err)
	}
	to.above = int(st.Uid)
	if d.how.guard {
		to.placed = d.placed && keeps(st, its)
		to.way = d.way.and(d.path, st)
	}
	return to, nil
}

// openat opens by its name what is in the folder (openat(2)).
func openat(d *Dir, name string, flags int) (*os.File, error) {
	fd := -1
	err := retry(func() (err error) {
		fd, err = unix.Openat(d.fd(), name, flags|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), d.in(name)), nil
}

// readable is the folder opened so that its names can be read, and itself be changed.
func readable(d *Dir) (*os.File, error) {
	f, err := openat(d, ".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, d.fail("read", "", err)
	}
	return f, nil
}

// Names lists what is in the folder, at most so many of it, in order.
func (d *Dir) Names(most int) (names []string, err error) {
	err = d.each(func(name string) error {
		if names = append(names, name); len(names) >= most {
			return io.EOF
		}
		return nil
	})
	if err == io.EOF {
		err = nil
	}
	slices.Sort(names)
	return names, err
}

// each gives each name in the folder to do, until it returns an error. However many
// there are, few are held at a time.
func (d *Dir) each(do func(name string) error) error {
	f, err := readable(d)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	for {
		names, err := f.Readdirnames(1024)
		for _, name := range names {
			if err := do(name); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return d.fail("read", "", err)
		}
	}
}

// Sync makes the names in the folder durable.
func (d *Dir) Sync() error {
	f, err := readable(d)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // a folder, opened to be synced
	if err := f.Sync(); err != nil {
		return d.fail("sync", "", err)
	}
	return nil
}

// Own gives the folder itself an owner and a mode, durably.
func (d *Dir) Own(mode fs.FileMode, uid, gid int) error {
	f, err := readable(d)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // a folder, opened to be changed
	if err := f.Chown(uid, gid); err != nil {
		return d.fail("change the owner", "", err)
	}
	if err := f.Chmod(mode); err != nil {
		return d.fail("change the mode", "", err)
	}
	if err := f.Sync(); err != nil {
		return d.fail("sync", "", err)
	}
	return nil
}

// Make makes the folder name with that owner and mode, durably. The error matches
// fs.ErrExist where there is something of that name.
func (d *Dir) Make(name string, mode fs.FileMode, uid, gid int) (*Dir, error) {
	first := mode
	if uid != os.Geteuid() {
		first &= 0o700
	}
	if err := retry(func() error { return unix.Mkdirat(d.fd(), name, uint32(first)) }); err != nil {
		return nil, d.fail("make", name, err)
	}
	made, err := d.open(name, true)
	if err == errMount {
		err = &Error{d.in(name), Exchanged}
	}
	if err != nil {
		return nil, err
	}
	// A folder that was put in its place is somebody's, or holds something.
	st, err := made.stat()
	var names []string
	if err == nil {
		names, err = made.Names(1)
	}
	if err == nil && (int(st.Uid) != os.Geteuid() || len(names) > 0) {
		err = &Error{d.in(name), Exchanged}
	}
	if err == nil {
		err = made.Own(mode, uid, gid)
	}
	if err == nil {
		err = d.Sync()
	}
	if err != nil {
		made.Close() //nolint:errcheck // err says what is wrong
		return nil, err
	}
	return made, nil
}

// ReadFile reads the file name, which may be a/b, and has at most so many bytes. Its
// error is an *Error, or matches fs.ErrNotExist or fs.ErrPermission.
func (d *Dir) ReadFile(name string, most int64) ([]byte, error) {
	if dir := filepath.Dir(name); dir != "." {
		sub, err := d.Open(dir)
		if err != nil {
			return nil, err
		}
		defer sub.Close() //nolint:errcheck // a folder, opened to be looked into
		return sub.ReadFile(filepath.Base(name), most)
	}
	return d.read(name, most, func(*os.File) error { return nil })
}

// readSecret reads the file name of folder d if nobody but its owner may.
func readSecret(d *Dir, name string, most int64) ([]byte, error) {
	return d.read(name, most, func(f *os.File) error {
		var dir, st unix.Stat_t
		if err := errors.Join(retry(func() error { return unix.Fstat(d.fd(), &dir) }), retry(func() error { return unix.Fstat(int(f.Fd()), &st) })); err != nil {
			return d.fail("look at", name, err)
		}
		switch {
		case st.Nlink != 1:
			return &Error{d.in(name), SecondName}
		case st.Mode&0o077 != 0:
			return &Error{d.in(name), Exposed}
		case !rootish(st) && !(os.Geteuid() == 0 && st.Uid == dir.Uid):
			return &Error{d.in(name), Foreign}
		}
		return nil
	})
}

// read reads the file name, once it is open and fit.
func (d *Dir) read(name string, most int64, fit func(*os.File) error) ([]byte, error) {
	f, err := d.file(name, false, d.mayRead)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	if err := fit(f); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, d.fail("read", name, err)
	}
	if int64(len(data)) > most {
		return nil, &Error{d.in(name), TooLarge}
	}
	return data, nil
}

// Take reads the file name, as ReadFile does, and removes what has that name, whatever it
// is: what is no fit file is removed, too, and told by the error.
func (d *Dir) Take(name string, most int64) ([]byte, error) {
	data, err := d.ReadFile(name, most)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return data, errors.Join(err, d.Clear(name))
}

// Clear removes what has that name, a folder with all that is in it, as Empty does; a
// missing one is no error.
func (d *Dir) Clear(name string) error { return (&purge{top: d}).clear(d, name, 1) }

// file opens an ordinary file that is fit, without blocking and without a link; inside
// asks for errMount where it is one of another file system. It is looked at before it is
// opened, and again when it is open.
func (d *Dir) file(name string, inside bool, fit func(dir, st unix.Stat_t) Why) (*os.File, error) {
	dir, err := d.stat()
	if err != nil {
		return nil, d.fail("look at", "", err)
	}
	look := func(st unix.Stat_t) error {
		why := Why(0)
		switch {
		case st.Mode&unix.S_IFMT == unix.S_IFLNK && d.how.guard:
			why = Link
		case st.Mode&unix.S_IFMT != unix.S_IFREG:
			why = NotRegular
		case d.how.guard:
			why = fit(dir, st)
		}
		if why != 0 {
			return &Error{d.in(name), why}
		}
		return nil
	}
	flags, at := unix.O_NOFOLLOW, unix.AT_SYMLINK_NOFOLLOW
	if !d.how.guard {
		flags, at = 0, 0
	}
	var before, st unix.Stat_t
	if err := retry(func() error { return unix.Fstatat(d.fd(), name, &before, at) }); err != nil {
		return nil, d.fail("read", name, err)
	}
	if err := look(before); err != nil {
		return nil, err
	}
	f, err := openFile(d, name, flags|unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, inside)
	switch err {
	case nil:
	case errMount:
		return nil, err
	case unix.ELOOP:
		return nil, &Error{d.in(name), Link}
	default:
		return nil, d.fail("read", name, err)
	}
	if err = retry(func() error { return unix.Fstat(int(f.Fd()), &st) }); err != nil {
		err = d.fail("look at", name, err)
	} else {
		err = look(st)
	}
	if err != nil {
		f.Close() //nolint:errcheck // err says what is wrong
		return nil, err
	}
	return f, nil
}

// mayRead: what the owner of the folder could read, too. Where root alone can have put
// the file there, whatever root wants.
func (d *Dir) mayRead(dir, st unix.Stat_t) Why {
	switch {
	case d.placed && rootish(dir) && dir.Mode&0o022 == 0:
		return 0
	case st.Nlink != 1:
		return SecondName
	case st.Mode&0o004 != 0 || st.Uid == dir.Uid && st.Uid != 0:
		return 0
	}
	return Foreign
}

func (d *Dir) ownFile(name string, want func(Info) Info) error {
	f, err := d.file(name, false, func(_, st unix.Stat_t) Why {
		if st.Nlink != 1 {
			return SecondName
		}
		return 0
	})
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // nothing was written, and it is synced
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return d.fail("look at", name, err)
	}
	to := want(Info{int(st.Uid), int(st.Gid), fs.FileMode(st.Mode & 0o777)})
	if err := f.Chown(to.UID, to.GID); err != nil {
		return d.fail("change the owner", name, err)
	}
	if err := f.Chmod(to.Mode); err != nil {
		return d.fail("change the mode", name, err)
	}
	if err := f.Sync(); err != nil {
		return d.fail("sync", name, err)
	}
	return nil
}

// Write replaces the file name by data with that mode and owner, whole or not at all,
// durably. A link, a pipe or whatever else has the name is replaced, not written to.
func (d *Dir) Write(name string, data []byte, mode fs.FileMode, uid, gid int) (err error) {
	tmp := "." + name + ".tmp-" + rand.Text()[:12]
	fd := -1
	err = retry(func() (err error) {
		fd, err = unix.Openat(d.fd(), tmp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return d.fail("write", name, err)
	}
	f := os.NewFile(uintptr(fd), d.in(tmp))
	_, err = f.Write(data)
	if err == nil && (uid >= 0 || gid >= 0) {
		err = f.Chown(uid, gid)
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = retry(func() error { return unix.Renameat(d.fd(), tmp, d.fd(), name) })
	}
	if err != nil {
		unix.Unlinkat(d.fd(), tmp, 0) //nolint:errcheck // err says what is wrong
		return d.fail("write", name, err)
	}
	return d.Sync()
}

// Remove removes what has that name, if it is no folder, durably; a missing one is no error.
func (d *Dir) Remove(name string) error {
	if err := retry(func() error { return unix.Unlinkat(d.fd(), name, 0) }); err != nil && err != unix.ENOENT {
		return d.fail("remove", name, err)
	}
	return d.Sync()
}

// RemoveDir removes the empty folder of that name, durably; a missing one is no error.
// Whatever else has the name, or a folder that holds something, stays: gone is false.
func (d *Dir) RemoveDir(name string) (gone bool, err error) {
	err = retry(func() error { return unix.Unlinkat(d.fd(), name, unix.AT_REMOVEDIR) })
	switch err {
	case nil, unix.ENOENT:
		return true, d.Sync()
	case unix.ENOTEMPTY, unix.EEXIST, unix.ENOTDIR, unix.EBUSY:
		return false, nil
	}
	return false, d.fail("remove", name, err)
}

// Empty removes all that is in the folder but what keep says, durably. It follows no
// link and removes nothing of what is mounted below: left are the folders and files that
// something is mounted on. Where somebody goes on filling the folder, it ends all the
// same, and the folder is not empty.
func (d *Dir) Empty(keep func(name string) bool) (left []string, err error) {
	p := &purge{top: d}
	for n := 0; n < rounds; {
		gone, lifted := p.gone, p.lifted
		p.mounted = nil
		err := d.each(func(name string) error {
			if keep(name) {
				return nil
			}
			return p.clear(d, name, 1)
		})
		if err != nil {
			return nil, err
		}
		if p.gone == gone {
			break
		}
		if p.lifted == lifted {
			n++
		}
	}
	return p.mounted, d.Sync()
}

// purge is one Empty at work.
type purge struct {
	top     *Dir
	gone    int      // names that went
	lifted  int      // of them to the top
	mounted []string // seen in this round
}

// clear removes name in d, and all that is below it, as far as it can be.
func (p *purge) clear(d *Dir, name string, depth int) error {
	for range rounds { // it may become something else meanwhile, and be filled again
		err := retry(func() error { return unix.Unlinkat(d.fd(), name, 0) })
		switch err {
		case nil:
			p.gone++
			return nil
		case unix.ENOENT:
			return nil
		case unix.EBUSY:
			p.mounted = append(p.mounted, d.in(name))
			return nil
		case unix.EISDIR, unix.EPERM: // a folder; EPERM by POSIX
		default:
			return d.fail("remove", name, err)
		}
		if depth > mostDeep {
			return p.lift(d, name)
		}
		sub, err := d.open(name, true)
		switch unfit, _ := errors.AsType[*Error](err); {
		case err == errMount:
			p.mounted = append(p.mounted, d.in(name))
			return nil
		case unfit != nil, errors.Is(err, fs.ErrNotExist): // it is a link now, or gone
			continue
		case err != nil:
			return err
		}
		gone := p.gone
		err = sub.each(func(inner string) error { return p.clear(sub, inner, depth+1) })
		sub.Close() //nolint:errcheck // a folder, opened to be emptied
		if err != nil {
			return err
		}
		err = retry(func() error { return unix.Unlinkat(d.fd(), name, unix.AT_REMOVEDIR) })
		switch err {
		case nil:
			p.gone++
			return nil
		case unix.ENOENT, unix.ENOTDIR:
			continue
		case unix.EBUSY:
			p.mounted = append(p.mounted, d.in(name))
			return nil
		case unix.ENOTEMPTY, unix.EEXIST:
			if p.gone == gone { // nothing in it goes any more
				return nil
			}
		default:
			return d.fail("remove", name, err)
		}
	}
	return nil
}

// lift moves a folder that is too deep up to the top, under a name of its own, where
// the next round finds it.
func (p *purge) lift(d *Dir, name string) error {
	err := retry(func() error { return unix.Renameat(d.fd(), name, p.top.fd(), ".foyer-purge-"+rand.Text()[:12]) })
	switch err {
	case nil:
		p.gone, p.lifted = p.gone+1, p.lifted+1
	case unix.EBUSY:
		p.mounted = append(p.mounted, d.in(name))
	case unix.ENOENT:
	default:
		return d.fail("remove", name, err)
	}
	return nil
}

// TakeOver gives all that is in the folder, itself not, to an account: ordinary files
// and folders, on its own file system, but for what skip says. Links, pipes and the like
// stay as they are. It changes nothing, and returns an *Error, when something in it
// could be somebody's who did not mean to give it: a file with a second name, or of
// another owner than its folder where others can write to that; or the folder itself,
// in a place where others could have put it.
func (d *Dir) TakeOver(uid, gid int, skip func(name string) bool) error {
	st, err := d.stat()
	if err != nil {
		return d.fail("look at", "", err)
	}
	if owner := int(st.Uid); d.how.guard && !d.placed && owner != uid && (owner == 0 || owner != d.above) {
		if names, err := d.Names(1); err != nil || len(names) > 0 { // somebody else's folder, put here
			return errors.Join(err, &Error{d.path, Foreign})
		}
	}
	for _, act := range []bool{false, true} {
		if err := takeOver(d, uid, gid, skip, act, 0); err != nil {
			return err
		}
	}
	return nil
}

// takeOver does it from the inside out: while a folder is not given away, root's run
// that was cut short finds it as it was.
func takeOver(d *Dir, uid, gid int, skip func(string) bool, act bool, depth int) error {
	if depth > mostDeep {
		return &Error{d.path, TooDeep}
	}
	dir, err := d.stat()
	if err != nil {
		return d.fail("look at", "", err)
	}
	fit := func(dir, st unix.Stat_t) Why {
		switch {
		case st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink != 1:
			return SecondName
		case d.placed && rootish(dir) && dir.Mode&0o022 == 0, st.Uid == dir.Uid && st.Uid != 0:
			return 0
		}
		return Foreign
	}
	err = d.each(func(name string) error {
		if skip(name) {
			return nil
		}
		st, err := d.lstat(name)
		if err == unix.ENOENT {
			return nil
		}
		if err != nil {
			return d.fail("look at", name, err)
		}
		switch kind := st.Mode & unix.S_IFMT; {
		case kind == unix.S_IFDIR:
			err = takeOverDir(d, name, dir, fit, uid, gid, skip, act, depth)
		case kind != unix.S_IFREG || int(st.Uid) == uid:
		case !act:
			if why := fit(dir, st); why != 0 {
				err = &Error{d.in(name), why}
			}
		default:
			var f *os.File
			if f, err = d.file(name, true, fit); err == nil {
				err = errors.Join(f.Chown(uid, gid), f.Close())
			} else if err == errMount {
				err = nil
			}
		}
		return err
	})
	if err != nil || !act {
		return err
	}
	return d.Sync()
}

func takeOverDir(d *Dir, name string, dir unix.Stat_t, fit func(dir, st unix.Stat_t) Why, uid, gid int, skip func(string) bool, act bool, depth int) error {
	sub, err := d.open(name, true)
	if err == errMount {
		return nil
	}
	if err != nil {
		return err
	}
	defer sub.Close() //nolint:errcheck // a folder, opened to be looked through
	if err := takeOver(sub, uid, gid, skip, act, depth+1); err != nil {
		return err
	}
	st, err := sub.stat()
	if err != nil {
		return d.fail("look at", name, err)
	}
	if int(st.Uid) == uid {
		return nil
	}
	if why := fit(dir, st); why != 0 {
		return &Error{d.in(name), why}
	}
	if !act {
		return nil
	}
	return sub.Own(fs.FileMode(st.Mode&0o777), uid, gid)
}
