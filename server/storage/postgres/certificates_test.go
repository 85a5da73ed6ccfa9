//go:build !windows

package postgres

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
)

func TestCertificates(t *testing.T) {
	c := pgtest.Start(t)
	dsn := c.DSN(t)
	nodes := []certmagic.Storage{open(t, dsn).Certificates(), open(t, dsn).Certificates()}
	t.Run("Keys", func(t *testing.T) { certificateKeys(t, nodes[0], nodes[1]) })
	t.Run("LikeFiles", func(t *testing.T) {
		certificateKeys(t, &certmagic.FileStorage{Path: t.TempDir()}, nil)
	})
	t.Run("OneAtATime", func(t *testing.T) { oneAtATime(t, nodes) })
	t.Run("DeadHolder", func(t *testing.T) { deadHolder(t, dsn) })
	t.Run("LongHolder", func(t *testing.T) { longHolder(t, dsn) })
}

// certificateKeys is what certmagic counts on, the same as with its own files.
func certificateKeys(t *testing.T, here, there certmagic.Storage) {
	if there == nil {
		there = here
	}
	ctx := t.Context()
	missing := func(key string) {
		t.Helper()
		_, err := there.Load(ctx, key)
		_, err2 := there.Stat(ctx, key)
		if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err2, fs.ErrNotExist) || there.Exists(ctx, key) {
			t.Errorf("%s: %v, %v", key, err, err2)
		}
	}
	list := func(prefix string, recursive bool, want ...string) {
		t.Helper()
		got, err := there.List(ctx, prefix, recursive)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %s (%v)", prefix, diff, err)
		}
	}
	missing("a/b/c.crt")
	if got, err := there.List(ctx, "a", true); len(got) > 0 || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v, %v", got, err)
	}
	for _, key := range []string{"a/b/c.crt", "a/b/c.key", "a/d", "a-b/e", "f"} {
		for _, value := range []string{"old", "\x00\xff" + key} {
			if err := here.Store(ctx, key, []byte(value)); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := there.Load(ctx, key); string(got) != "\x00\xff"+key || err != nil {
			t.Errorf("%s: %q, %v", key, got, err)
		}
		info, err := there.Stat(ctx, key)
		if err != nil || info.Key != key || info.Size != int64(len(key)+2) || !info.IsTerminal || time.Since(info.Modified).Abs() > time.Minute {
			t.Errorf("%s: %+v, %v", key, info, err)
		}
	}
	if info, err := there.Stat(ctx, "a/b"); err != nil || info.IsTerminal || !there.Exists(ctx, "a/b") {
		t.Errorf("a folder: %+v, %v", info, err)
	}
	list("a", false, "a/b", "a/d")
	list("a", true, "a/b", "a/b/c.crt", "a/b/c.key", "a/d")
	list("a/b", false, "a/b/c.crt", "a/b/c.key")
	list("", false, "a", "a-b", "f")
	for _, key := range []string{"a/b", "f", "never"} {
		if err := here.Delete(ctx, key); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	missing("a/b/c.crt")
	missing("f")
	list("a", true, "a/d")
	list("a-b", true, "a-b/e")
}

func oneAtATime(t *testing.T, nodes []certmagic.Storage) {
	var inside, n atomic.Int64
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			for range 3 {
				s := nodes[g%2]
				if err := s.Lock(context.Background(), "name"); err != nil {
					t.Error(err)
					return
				}
				if inside.Add(1) != 1 {
					t.Error("two have the lock")
				}
				n.Add(1)
				inside.Add(-1)
				if err := s.Unlock(context.Background(), "name"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n.Load() != 18 {
		t.Errorf("%d of 18", n.Load())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := nodes[0].Lock(t.Context(), "name"); err != nil {
		t.Fatal(err)
	}
	if err := nodes[1].Lock(ctx, "name"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := nodes[0].Unlock(t.Context(), "name"); err != nil {
		t.Error(err)
	}
}

// deadHolder: a lock of a node that died is free after a while.
func deadHolder(t *testing.T, dsn string) {
	dead := open(t, dsn).Certificates().(*certificates)
	dead.lease = 300 * time.Millisecond
	if err := dead.Lock(t.Context(), "dead"); err != nil {
		t.Fatal(err)
	}
	dead.held["dead"].stop() // it lives no more
	<-dead.held["dead"].ended
	other := open(t, dsn).Certificates().(*certificates)
	other.lease = 300 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := other.Lock(ctx, "dead"); err != nil {
		t.Fatal(err)
	}
	// What the first one gives back is not the other's.
	if err := dead.Unlock(ctx, "dead"); err != nil {
		t.Error(err)
	}
	if ok, err := dead.TryLock(ctx, "dead"); ok || err != nil {
		t.Errorf("the lock was given back for its holder: %v, %v", ok, err)
	}
	if err := other.Unlock(ctx, "dead"); err != nil {
		t.Error(err)
	}
}

// longHolder: who is long at work keeps the lock.
func longHolder(t *testing.T, dsn string) {
	long := open(t, dsn).Certificates().(*certificates)
	long.lease = 600 * time.Millisecond
	other := open(t, dsn).Certificates().(*certificates)
	other.lease = 600 * time.Millisecond
	if err := long.Lock(t.Context(), "long"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*long.lease)
	defer cancel()
	if err := other.Lock(ctx, "long"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := long.Unlock(t.Context(), "long"); err != nil {
		t.Error(err)
	}
}
