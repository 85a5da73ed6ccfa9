// Package attachment keeps the contents of attachments: one file on disk for each
// content, called by its SHA-256, however many records it is attached to.
//
// It hides how contents become durable, how two uploads of the same thing share
// one file, and how what nobody refers to any more is cleared away. Which record
// has which attachment, and under which address, is the store's to know.
//
// Promises: contents that Put has returned survive a power cut; a file holds
// exactly the bytes its name says, or is not there; Collect removes nothing that
// was put, or put again, since the time it was given, and Drop nothing that
// another Put returned, also when several processes share the folder.
//
// Threat model. Names of files are hashes this package computed: nothing a client
// sends becomes a path. The folder is for its owner only.
//
// Used by package api, which serves and takes attachments, and by package server,
// which collects.
package attachment

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/diskroom"
	"github.com/foyer-server/foyer/server/kinto"
)

// Errors that callers tell apart.
var (
	ErrTooLarge = errors.New("the contents are too large")
	// ErrDamaged: a file does not hold the bytes its name says.
	ErrDamaged = errors.New("the contents are damaged")
)

// Folder is where contents are kept. It is safe for concurrent use, and several
// processes may use the same one.
type Folder struct {
	dir string
	met trouble
}

// young is the age up to which unfinished uploads are left alone.
const young = 24 * time.Hour

// Open uses the folder dir and makes it when it is missing. Its parent must exist.
func Open(dir string) (*Folder, error) {
	f := &Folder{dir: dir}
	err := os.MkdirAll(f.unfinished(), 0o700)
	if err == nil {
		err = errors.Join(atomicfile.SyncDir(dir), atomicfile.SyncDir(filepath.Dir(dir)))
	}
	if err == nil {
		err = f.restore()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot use the folder of attachments %s: %w", dir, err)
	}
	return f, nil
}

// restore moves back what a power cut left aside: somebody may have put it again.
func (f *Folder) restore() error {
	left, err := filepath.Glob(filepath.Join(f.unfinished(), asidePrefix+"*"))
	if err != nil {
		return err
	}
	for _, aside := range left {
		hash, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(aside), asidePrefix), "-")
		if !valid(hash) {
			continue
		}
		if err := f.putBack(aside, f.path(hash)); err != nil {
			return err
		}
	}
	return nil
}

const asidePrefix = "aside-"

// unfinished is where uploads are written until they are whole, and where files
// wait a moment before they are removed.
func (f *Folder) unfinished() string { return filepath.Join(f.dir, "unfinished") }

func (f *Folder) path(hash string) string { return filepath.Join(f.dir, hash[:2], hash) }

// Upload is contents that Put has kept.
type Upload struct {
	Hash string // SHA-256, in hexadecimal
	Size int64
	made time.Time // of the file, if this Put made it and Drop can tell; else zero
}

// looked is after how many bytes an upload looks again whether there is room.
const looked = 1 << 20

// Fits is nil when there is room on the disk for so many bytes more without its becoming short
// (diskroom.Short), or nobody can tell; else kinto.ErrFull.
func (f *Folder) Fits(size int64) error {
	room, err := diskroom.Look(f.dir)
	if err != nil {
		return nil
	}
	after := room
	after.Free -= min(room.Free, uint64(max(size, 0)))
	if after.Level() >= diskroom.Short {
		return fmt.Errorf("%w: the disk of attachments has %d bytes, and room for %d files", kinto.ErrFull, room.Free, room.FreeFiles)
	}
	return nil
}

// Put keeps what r has to give, at most limit bytes of it (negative: any number), and
// returns what it is once it is durable. What fails leaves nothing behind.
// Errors are ErrTooLarge, kinto.ErrFull, those of r, and those of the disk.
func (f *Folder) Put(r io.Reader, limit int64) (Upload, error) {
	if err := f.Fits(0); err != nil {
		return Upload{}, err
	}
	tmp, err := os.CreateTemp(f.unfinished(), "upload-")
	if err != nil {
		return Upload{}, f.fails(full(err))
	}
	defer func() {
		tmp.Close()           //nolint:errcheck // closed already where it went well
		os.Remove(tmp.Name()) //nolint:errcheck // moved away where it went well
	}()
	u := Upload{}
	if limit >= 0 && limit < math.MaxInt64 {
		r = io.LimitReader(r, limit+1)
	}
	sum := sha256.New()
	for {
		n, err := io.CopyN(io.MultiWriter(sum, tmp), r, looked)
		if u.Size += n; err == io.EOF {
			break
		}
		if err == nil {
			err = f.Fits(0)
		}
		if err != nil {
			return Upload{}, f.fails(full(err))
		}
	}
	if limit >= 0 && u.Size > limit {
		return Upload{}, ErrTooLarge
	}
	u.Hash = hex.EncodeToString(sum.Sum(nil))
	if u.made, err = f.keep(tmp, u.Hash); err != nil {
		return Upload{}, f.fails(full(fmt.Errorf("cannot keep an attachment: %w", err)))
	}
	f.There(u.Hash)
	return u, nil
}

// keep gives a whole upload its name, unless the same is there already. It returns the
// time of the file if it is this one, and the disk keeps times as they are set.
func (f *Folder) keep(tmp *os.File, hash string) (made time.Time, err error) {
	path, synced := f.path(hash), false
	for range 8 {
		there, err := freshen(path)
		if err != nil || there {
			return time.Time{}, errors.Join(err, f.settle(path)) // whoever put it may not have come as far
		}
		if !synced {
			if made, err = finish(tmp); err != nil {
				return time.Time{}, err
			}
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
				return time.Time{}, err
			}
			if synced = true; made.IsZero() {
				break
			}
		}
		// A name that is there already is not taken away from the file it is of: its
		// time says who put it last.
		if err = os.Link(tmp.Name(), path); err == nil {
			return made, f.settle(path)
		}
		if !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	// A disk without links, or one that keeps no times: what is put stays until Collect.
	if err := os.Rename(tmp.Name(), path); err != nil {
		return time.Time{}, err
	}
	return time.Time{}, f.settle(path)
}

// finish makes the bytes of an upload durable and gives it a time no other one has, which
// it returns if the disk keeps it.
func finish(tmp *os.File) (made time.Time, err error) {
	at := moment()
	if err := os.Chtimes(tmp.Name(), at, at); err != nil {
		return time.Time{}, err
	}
	info, err := tmp.Stat()
	if err == nil && info.ModTime().Equal(at) {
		made = at
	}
	return made, errors.Join(err, tmp.Sync(), tmp.Close())
}

// moment is now, to the second; what is behind that is nobody else's, and no round number.
func moment() time.Time {
	return time.Now().Add(-time.Duration(mathrand.Int64N(int64(time.Second)))).Truncate(2).Add(1)
}

// freshen makes the file at path young, with a time of its own, so that neither Collect nor
// the Drop of another removes it; false: it is not there, or nobody can tell for sure.
func freshen(path string) (there bool, err error) {
	for range 4 {
		at := moment()
		if err := os.Chtimes(path, at, at); err != nil {
			return false, missing(err)
		}
		// It may have been moved aside at this very moment, by one who did not see it.
		info, err := os.Stat(path)
		if err != nil {
			return false, missing(err)
		}
		if info.ModTime().Equal(at) {
			return true, nil
		}
	}
	return false, nil
}

// Drop removes contents that came for nothing: what Put has just returned, and no record
// will ever refer to by it. It leaves alone what was there before, what anybody put since,
// and what it cannot be sure of; Collect will see to that.
func (f *Folder) Drop(u Upload) error {
	path := f.path(u.Hash)
	untouched := func(info fs.FileInfo) bool { return info.ModTime().Equal(u.made) }
	if info, err := os.Stat(path); err != nil || u.made.IsZero() || !untouched(info) {
		return missing(err)
	}
	_, err := f.discard(path, untouched)
	return err
}

// settle makes the name of a file durable, and that of the folder it is in.
func (f *Folder) settle(path string) error {
	if err := atomicfile.SyncDir(filepath.Dir(path)); err != nil {
		return err
	}
	return atomicfile.SyncDir(f.dir)
}

// Open opens contents for reading; a hash nothing is kept under is fs.ErrNotExist.
func (f *Folder) Open(hash string) (*os.File, error) {
	if !valid(hash) {
		return nil, fs.ErrNotExist
	}
	for try := 0; ; try++ {
		file, err := os.Open(f.path(hash))
		if !errors.Is(err, fs.ErrNotExist) || try == 100 {
			return file, f.fails(err)
		}
		// It may be aside for a moment, to be looked at.
		aside, err := filepath.Glob(filepath.Join(f.unfinished(), asidePrefix+hash+"-*"))
		if err != nil || len(aside) == 0 && try > 0 {
			return nil, fs.ErrNotExist
		}
		time.Sleep(time.Duration(len(aside)) * time.Millisecond)
	}
}

// Verify reads contents whole and compares them with their hash: ErrDamaged when
// they are not what was put.
func (f *Folder) Verify(ctx context.Context, hash string) error {
	file, err := f.Open(hash)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	sum := sha256.New()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := io.CopyN(sum, file, 1<<20); err == io.EOF {
			break
		} else if err != nil {
			return f.fails(fmt.Errorf("cannot read an attachment: %w", err))
		}
	}
	if hex.EncodeToString(sum.Sum(nil)) != hash {
		f.note(hash, true)
		return fmt.Errorf("attachment %s: %w", hash, ErrDamaged)
	}
	f.whole(hash)
	return nil
}

// Collect removes the contents that used says nobody refers to and that were not
// put since the time before. It returns how many files and bytes went.
//
// Somebody may put the same contents again meanwhile, here or in another process:
// a file is moved aside, looked at once more, and put back if it became young.
// Who puts it while it is aside writes it anew.
func (f *Folder) Collect(ctx context.Context, before time.Time, used func(hash string) (bool, error)) (files int, bytes int64, err error) {
	err = filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() {
			return nil // gone meanwhile, or none of ours
		}
		if filepath.Dir(path) == f.unfinished() {
			if strings.HasPrefix(d.Name(), "upload-") && time.Since(info.ModTime()) > young {
				os.Remove(path) //nolint:errcheck // an upload that a power cut ended; the next run tries again
			}
			return nil
		}
		if !valid(d.Name()) || !info.ModTime().Before(before) {
			return nil
		}
		if there, err := used(d.Name()); err != nil || there {
			return err
		}
		gone, err := f.discard(path, func(info fs.FileInfo) bool { return info.ModTime().Before(before) })
		if gone {
			files, bytes = files+1, bytes+info.Size()
		}
		return err
	})
	if err != nil {
		return files, bytes, fmt.Errorf("cannot collect attachments: %w", err)
	}
	return files, bytes, nil
}

// discard removes the file at path if over still says so once it is aside, where nobody
// puts it again.
func (f *Folder) discard(path string, over func(fs.FileInfo) bool) (gone bool, err error) {
	aside := filepath.Join(f.unfinished(), asidePrefix+filepath.Base(path)+"-"+rand.Text())
	if err := os.Rename(path, aside); err != nil {
		return false, missing(err)
	}
	info, err := os.Stat(aside)
	if err != nil {
		return false, missing(err) // another process has just begun, and moved it back
	}
	if !over(info) {
		return false, f.putBack(aside, path)
	}
	return true, missing(os.Remove(aside))
}

// putBack gives a file that is aside its name again. If somebody put the same contents
// meanwhile, they stay, and are made young: whoever put them may not Drop them any more,
// as the file that was aside may be another's.
func (f *Folder) putBack(aside, path string) error {
	for range 8 {
		err := os.Link(aside, path)
		if errors.Is(err, fs.ErrExist) {
			there, err := freshen(path)
			if err != nil {
				return err
			}
			if !there {
				continue
			}
		} else if err != nil {
			break // no links on this disk, or it is not there any more
		}
		return errors.Join(f.settle(path), missing(os.Remove(aside)))
	}
	// What it takes the place of may be of one who could Drop it, and so may it be itself.
	at := moment()
	if err := errors.Join(missing(os.Chtimes(aside, at, at)), missing(os.Rename(aside, path))); err != nil {
		return err
	}
	return f.settle(path)
}

// missing is err unless it says that a file is not there.
func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func valid(hash string) bool {
	raw, err := hex.DecodeString(hash)
	return err == nil && len(raw) == sha256.Size && hex.EncodeToString(raw) == hash
}

// full makes an error of a disk without room one that the rules know.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", kinto.ErrFull, err)
	}
	return err
}
