package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const (
	readAtOnce = 256 << 10 // bytes read in one turn
	statAtOnce = 500       // objects looked at in one turn
)

// ReadFolder opens a folder to be read, by its path alone, on a machine that has never seen it:
// whatever is there is read, and whoever reads is to know by the objects themselves whether
// they are the right ones. Nothing is ever written to it. A copy of a target, on whatever disk, will
// do.
func ReadFolder(ctx context.Context, dir string) (Reader, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	f := &Folder{identity: FolderIdentity{Path: dir}, any: true, turns: newTurns()}
	if err := f.do(ctx, func(*os.Root) error { return nil }); err != nil {
		return nil, fmt.Errorf("cannot open the folder with backups: %w", err)
	}
	return folderToRead{f}, nil
}

// folderToRead is a Folder without what writes.
type folderToRead struct{ f *Folder }

func (r folderToRead) Get(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	return r.f.Get(ctx, name, offset)
}

func (r folderToRead) List(ctx context.Context, under string, each func(Object) error) error {
	return r.f.List(ctx, under, each)
}

func (r folderToRead) String() string { return r.f.String() }

// Get is Target.Get.
func (f *Folder) Get(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	var file *os.File // of the turn, unless it ended well
	err := f.take(ctx, func() error {
		in, err := f.enter()
		if err != nil {
			return err
		}
		defer in.Close() //nolint:errcheck // a folder, opened to be looked into
		fi, err := in.Lstat(name)
		if missing(err) || err == nil && !fi.Mode().IsRegular() {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		if file, err = in.Open(name); missing(err) {
			return ErrNotFound
		} else if err != nil {
			return err
		}
		if _, err = file.Seek(offset, io.SeekStart); err != nil {
			file.Close() //nolint:errcheck // err says what is wrong
			file = nil
		}
		return err
	}, func() {
		if file != nil {
			file.Close() //nolint:errcheck // it was not read
		}
	})
	if err != nil {
		return nil, fmt.Errorf("cannot get %s: %w", name, err)
	}
	return &folderReader{ctx: ctx, f: f, name: name, file: file, buf: make([]byte, readAtOnce)}, nil
}

// folderReader reads an object, turn by turn.
type folderReader struct {
	ctx  context.Context
	f    *Folder
	name string
	file *os.File
	buf  []byte // of the turn
	rest []byte // of buf, not given yet
	err  error  // after rest
}

func (r *folderReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 && r.err == nil && len(p) > 0 {
		n := 0
		err := r.f.take(r.ctx, func() (err error) {
			if n, err = r.file.Read(r.buf); err == io.EOF { // by its own convention then n is 0
				err = nil
			}
			return err
		}, nil)
		switch {
		case err != nil:
			r.err = fmt.Errorf("cannot read %s: %w", r.name, err)
		case n == 0:
			r.err = io.EOF
		default:
			r.rest = r.buf[:n]
		}
	}
	if len(r.rest) == 0 {
		return 0, r.err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *folderReader) Close() error {
	r.err = fs.ErrClosed
	r.rest = nil
	r.f.turns.tidy(r.ctx, func() { r.file.Close() }) //nolint:errcheck // it was only read
	return nil
}

// List is Target.List.
func (f *Folder) List(ctx context.Context, under string, each func(Object) error) error {
	if err := checkUnder(under); err != nil {
		return err
	}
	return f.list(ctx, under, each)
}

func (f *Folder) list(ctx context.Context, dir string, each func(Object) error) error {
	all, err := f.read(ctx, dir)
	if err != nil {
		return fmt.Errorf("cannot list what is in %q: %w", dir, err)
	}
	var names []string // those of folders end with a slash, which has its place in their order
	for _, e := range all {
		name := path.Join(dir, e.Name())
		switch {
		case CheckName(name) != nil:
		case e.IsDir():
			names = append(names, name+"/")
		case e.Type().IsRegular():
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for len(names) > 0 {
		some := names[:min(len(names), statAtOnce)]
		names = names[len(some):]
		objects, err := f.stat(ctx, some)
		if err != nil {
			return fmt.Errorf("cannot list what is in %q: %w", dir, err)
		}
		for _, o := range objects {
			if sub, folder := strings.CutSuffix(o.Name, "/"); !folder {
				err = each(o)
			} else if strings.Count(sub, "/") < mostSegments-1 {
				err = f.list(ctx, sub, each)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// read reads what is in a folder of objects; one that is not there holds nothing.
func (f *Folder) read(ctx context.Context, dir string) ([]fs.DirEntry, error) {
	var all []fs.DirEntry // of the turn, unless it ended well
	err := f.do(ctx, func(in *os.Root) error {
		dir := path.Join(".", dir)
		fi, err := in.Lstat(dir)
		if missing(err) || err == nil && !fi.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		d, err := in.Open(dir)
		if missing(err) {
			return nil
		}
		if err != nil {
			return err
		}
		defer d.Close() //nolint:errcheck // a folder, opened to be read
		all, err = d.ReadDir(-1)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// stat looks at objects; those that have gone meanwhile are left out, folders stay as they are.
func (f *Folder) stat(ctx context.Context, names []string) ([]Object, error) {
	var all []Object // of the turn, unless it ended well
	err := f.do(ctx, func(in *os.Root) error {
		for _, name := range names {
			if strings.HasSuffix(name, "/") {
				all = append(all, Object{Name: name})
				continue
			}
			switch fi, err := in.Lstat(name); {
			case errors.Is(err, fs.ErrNotExist):
			case err != nil:
				return err
			default:
				all = append(all, Object{name, fi.Size()})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
