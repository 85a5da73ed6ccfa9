// Package attachment keeps the contents of attachments: one file on disk for each
// content, called by its SHA-256, however many records it is attached to.
//
// It hides how contents become durable, how two uploads of the same thing share
// one file, and how what nobody refers to any more is cleared away. Which record
// has which attachment, and under which address, is the store's to know.
//
// Promises: contents that Put has returned survive a power cut; a file holds
// exactly the bytes its name says, or is not there; Collect removes nothing that
// was put, or put again, since the time it was given, also when several
// processes share the folder.
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
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
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
type Folder struct{ dir string }

// young is the age up to which unfinished uploads are left alone.
const young = 24 * time.Hour

// Open uses the folder dir and makes it when it is missing. Its parent must exist.
func Open(dir string) (*Folder, error) {
	f := &Folder{dir}
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
		if err := os.Rename(aside, f.path(hash)); err != nil && !errors.Is(err, fs.ErrNotExist) {
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

// Put keeps what r has to give, at most limit bytes of it (0: any number), and
// returns its hash and size once it is durable. What fails leaves nothing behind.
// Errors are ErrTooLarge, kinto.ErrFull, those of r, and those of the disk.
func (f *Folder) Put(r io.Reader, limit int64) (hash string, size int64, err error) {
	tmp, err := os.CreateTemp(f.unfinished(), "upload-")
	if err != nil {
		return "", 0, full(err)
	}
	defer func() {
		tmp.Close()           //nolint:errcheck // closed already where it went well
		os.Remove(tmp.Name()) //nolint:errcheck // moved away where it went well
	}()
	if limit > 0 {
		r = io.LimitReader(r, limit+1)
	}
	sum := sha256.New()
	if size, err = io.Copy(io.MultiWriter(sum, tmp), r); err != nil {
		return "", 0, full(err)
	}
	if limit > 0 && size > limit {
		return "", 0, ErrTooLarge
	}
	hash = hex.EncodeToString(sum.Sum(nil))
	if err := f.keep(tmp, hash); err != nil {
		return "", 0, full(fmt.Errorf("cannot keep an attachment: %w", err))
	}
	return hash, size, nil
}

// keep moves a whole upload to its place, unless the same is there already.
func (f *Folder) keep(tmp *os.File, hash string) error {
	path := f.path(hash)
	// Made young again, it is safe from Collect until it is referred to.
	now := time.Now()
	if err := os.Chtimes(path, now, now); err == nil {
		return f.settle(path) // whoever put it may not have come as far
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return f.settle(path)
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
	return os.Open(f.path(hash))
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
			return fmt.Errorf("cannot read an attachment: %w", err)
		}
	}
	if hex.EncodeToString(sum.Sum(nil)) != hash {
		return fmt.Errorf("attachment %s: %w", hash, ErrDamaged)
	}
	return nil
}

// Collect removes the contents that used says nobody refers to and that were not
// put since the time before. It returns how many files and bytes went.
//
// Somebody may put the same contents again meanwhile, here or in another process:
// a file is moved aside, looked at once more, and moved back if it became young.
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
		gone, err := f.discard(path, before)
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

func (f *Folder) discard(path string, before time.Time) (gone bool, err error) {
	aside := filepath.Join(f.unfinished(), asidePrefix+filepath.Base(path)+"-"+rand.Text())
	if err := os.Rename(path, aside); err != nil {
		return false, missing(err)
	}
	info, err := os.Stat(aside)
	if err != nil {
		return false, missing(err) // another process has just begun, and moved it back
	}
	if !info.ModTime().Before(before) {
		return false, missing(os.Rename(aside, path))
	}
	return true, missing(os.Remove(aside))
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
