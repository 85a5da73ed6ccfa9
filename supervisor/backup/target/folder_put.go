package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

const chunk = 1 << 20 // bytes written in one turn

// Put is Target.Put.
func (f *Folder) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if size < 0 {
		return fmt.Errorf("cannot put %s: its size is negative", name)
	}
	u := &upload{f: f, dir: path.Dir(name), base: path.Base(name)}
	err := u.all(ctx, r, size)
	f.turns.tidy(ctx, u.drop)
	if err != nil {
		return fmt.Errorf("cannot put %s: %w", name, err)
	}
	return nil
}

// upload is an object that is being written. Its fields below base are of the turns.
type upload struct {
	f         *Folder
	dir, base string // of its name

	in   *os.Root // dir
	file *os.File
	tmp  string // name of the file in dir, until it is the object's
}

func (u *upload) all(ctx context.Context, r io.Reader, size int64) error {
	if err := u.f.take(ctx, u.begin, u.drop); err != nil {
		return err
	}
	buf := make([]byte, min(size, chunk))
	for left := size; left > 0; left -= int64(len(buf)) {
		buf = buf[:min(left, int64(len(buf)))]
		if _, err := io.ReadFull(r, buf); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("cannot read it: %w", err)
		}
		err := u.f.take(ctx, func() error { _, err := u.file.Write(buf); return err }, u.drop)
		if err != nil {
			return err
		}
	}
	switch _, err := io.ReadFull(r, make([]byte, 1)); err {
	case io.EOF:
	case nil:
		return fmt.Errorf("it has more than %d bytes", size)
	default:
		return fmt.Errorf("cannot read it: %w", err)
	}
	return u.f.take(ctx, u.end, u.drop)
}

// begin makes the file.
func (u *upload) begin() error {
	in, err := u.f.enter()
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // a folder, opened to be walked through
	if u.in, err = u.f.makeFolder(in, u.dir); err != nil {
		return err
	}
	if _, err := u.in.Lstat(u.base); err == nil {
		return u.exists()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	u.file, u.tmp, err = createTemporary(u.in)
	return err
}

// end makes the file the object, durably.
func (u *upload) end() error {
	err := u.file.Sync()
	if cerr := u.file.Close(); err == nil {
		err = cerr
	}
	u.file = nil
	if err != nil {
		return err
	}
	if err := rename(u.in, u.tmp, u.base); errors.Is(err, fs.ErrExist) {
		return u.exists()
	} else if err != nil {
		return err
	}
	u.tmp = ""
	if err := syncNames(u.in); err != nil {
		u.in.Remove(u.base) //nolint:errcheck // err says what is wrong; it may stay, and is whole
		return err
	}
	return nil
}

// exists says that the object is there, once its name is durable: whoever put it may not have come so
// far, or was told that it failed, and could not take it back.
func (u *upload) exists() error {
	if err := syncNames(u.in); err != nil {
		return err
	}
	return ErrExists
}

// Sync is Target.Sync.
func (f *Folder) Sync(ctx context.Context, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	err := f.do(ctx, func(in *os.Root) error {
		switch fi, err := in.Lstat(name); {
		case missing(err):
			return ErrNotFound
		case err != nil:
			return err
		case !fi.Mode().IsRegular():
			return ErrNotFound
		}
		// Its contents are on the disk since before it had this name.
		dir, err := f.makeFolder(in, path.Dir(name)) // which is there, and durable then
		if err != nil {
			return err
		}
		defer dir.Close() //nolint:errcheck // a folder, opened to be synced
		return syncNames(dir)
	})
	if err != nil {
		return fmt.Errorf("cannot sync %s: %w", name, err)
	}
	return nil
}

// drop lets go of everything, and removes the file unless it is the object. It may be
// called again.
func (u *upload) drop() {
	if u.file != nil {
		u.file.Close() //nolint:errcheck // it goes
		u.file = nil
	}
	if u.tmp != "" {
		u.in.Remove(u.tmp) //nolint:errcheck // what cannot be removed now is collected later
		u.tmp = ""
	}
	if u.in != nil {
		u.in.Close() //nolint:errcheck // a folder, opened to be worked in
		u.in = nil
	}
}

// makeFolder opens the folder dir, which it makes if need be, and what is above it: durably.
func (f *Folder) makeFolder(in *os.Root, dir string) (*os.Root, error) {
	at, err := in.OpenRoot(".")
	if err != nil || dir == "." {
		return at, err
	}
	whole := ""
	for segment := range strings.SplitSeq(dir, "/") {
		whole = path.Join(whole, segment)
		next, err := f.makeIn(at, segment, whole)
		at.Close() //nolint:errcheck // a folder, opened to be walked through
		if err != nil {
			return nil, err
		}
		at = next
	}
	return at, nil
}

func (f *Folder) makeIn(at *os.Root, segment, whole string) (*os.Root, error) {
	switch err := at.Mkdir(segment, 0o700); {
	case err == nil:
		f.noteDurable(whole, false)
	case !errors.Is(err, fs.ErrExist):
		return nil, err
	}
	fi, err := at.Lstat(segment)
	if err != nil {
		return nil, err
	}
	if !fi.IsDir() {
		return nil, ErrExists
	}
	if !f.isDurable(whole) {
		if err := syncNames(at); err != nil {
			return nil, err
		}
		f.noteDurable(whole, true)
	}
	return at.OpenRoot(segment)
}

func (f *Folder) isDurable(dir string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.durable[dir]
}

func (f *Folder) noteDurable(dir string, is bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.durable[dir] = is
}
