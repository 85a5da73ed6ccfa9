package certs

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/foyer-server/foyer/internal/atomicfile"
)

// files is certmagic's file storage with three things changed: what is written
// survives a power cut; what cannot be written (a full or read-only disk) is kept
// in memory, since a leaf can be issued again but must be served now; and locks
// live in this process, which alone uses the folder, so that a killed server
// leaves none behind for the next one to wait for.
type files struct {
	certmagic.FileStorage
	log *slog.Logger

	folders sync.RWMutex // locked while empty ones are removed; else somebody may be about to write there

	mu     sync.Mutex
	memory map[string]kept          // what the disk did not take
	gone   map[string]bool          // what it did not let go: keys and all below them
	locks  map[string]chan struct{} // closed when given back
}

type kept struct {
	value []byte
	at    time.Time
}

var _ certmagic.Storage = (*files)(nil)

func newFiles(dir string, log *slog.Logger) *files {
	return &files{FileStorage: certmagic.FileStorage{Path: dir}, log: log, memory: map[string]kept{}, gone: map[string]bool{}, locks: map[string]chan struct{}{}}
}

// Store implements certmagic.Storage. It always succeeds.
func (f *files) Store(_ context.Context, key string, value []byte) error {
	err := f.write(f.Filename(key), value)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.memory, key)
	if err != nil {
		f.memory[key] = kept{slices.Clone(value), time.Now()}
		f.log.Warn("a certificate cannot be written to disk and is kept in memory", "err", err)
		return nil
	}
	maps.DeleteFunc(f.gone, func(k string, _ bool) bool { return under(key, k) })
	return nil
}

func (f *files) write(path string, value []byte) error {
	f.folders.RLock()
	defer f.folders.RUnlock()
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		for d := dir; len(d) > len(f.Path); d = filepath.Dir(d) {
			if err := atomicfile.SyncDir(filepath.Dir(d)); err != nil {
				return err
			}
		}
	}
	return atomicfile.Write(path, value, 0o600)
}

// Load implements certmagic.Storage.
func (f *files) Load(ctx context.Context, key string) ([]byte, error) {
	switch k, where := f.find(key); where {
	case inMemory:
		return k.value, nil
	case nowhere:
		return nil, fs.ErrNotExist
	}
	return f.FileStorage.Load(ctx, key)
}

// Exists implements certmagic.Storage.
func (f *files) Exists(ctx context.Context, key string) bool {
	_, err := f.Stat(ctx, key)
	return err == nil
}

// Stat implements certmagic.Storage.
func (f *files) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	switch k, where := f.find(key); where {
	case inMemory:
		return certmagic.KeyInfo{Key: key, Modified: k.at, Size: int64(len(k.value)), IsTerminal: true}, nil
	case nowhere:
		return certmagic.KeyInfo{}, fs.ErrNotExist
	}
	return f.FileStorage.Stat(ctx, key)
}

// Delete implements certmagic.Storage: key and all keys below it. Afterwards they
// are not found, also when there is an error.
func (f *files) Delete(ctx context.Context, key string) error {
	err := f.FileStorage.Delete(ctx, key)
	if err == nil {
		err = atomicfile.SyncDir(filepath.Dir(f.Filename(key)))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.memory, func(k string, _ kept) bool { return under(k, key) })
	if err != nil {
		f.gone[key] = true
	}
	return err
}

// removeEmpty removes a folder if nothing is in it; otherwise it stays.
func (f *files) removeEmpty(key string) error {
	f.folders.Lock()
	defer f.folders.Unlock()
	dir := f.Filename(key)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) > 0 {
		return nil
	}
	if err != nil {
		return err
	}
	return atomicfile.Remove(dir)
}

// List implements certmagic.Storage for what is on disk. A folder that does not
// exist is fs.ErrNotExist.
func (f *files) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	if _, err := os.Stat(f.Filename(prefix)); errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return f.FileStorage.List(ctx, path.Clean(prefix), recursive)
}

type place int

const (
	onDisk place = iota // or not at all
	inMemory
	nowhere
)

func (f *files) find(key string) (kept, place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if k, ok := f.memory[key]; ok {
		return k, inMemory
	}
	for k := range f.gone {
		if under(key, k) {
			return kept{}, nowhere
		}
	}
	return kept{}, onDisk
}

// under reports whether key is above itself or below it.
func under(key, above string) bool { return key == above || strings.HasPrefix(key, above+"/") }

// Lock implements certmagic.Locker.
func (f *files) Lock(ctx context.Context, name string) error {
	for {
		f.mu.Lock()
		held, ok := f.locks[name]
		if !ok {
			f.locks[name] = make(chan struct{})
			f.mu.Unlock()
			return nil
		}
		f.mu.Unlock()
		select {
		case <-held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// TryLock implements certmagic.TryLocker.
func (f *files) TryLock(_ context.Context, name string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.locks[name]; ok {
		return false, nil
	}
	f.locks[name] = make(chan struct{})
	return true, nil
}

// Unlock implements certmagic.Locker.
func (f *files) Unlock(_ context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if held, ok := f.locks[name]; ok {
		close(held)
		delete(f.locks, name)
	}
	return nil
}
