package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// leafUntil is a certificate of name that ends then.
func leafUntil(t *testing.T, name string, end time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: end.Add(-day), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// renewing is a storage in which a certificate is renewed just before the sweep has
// its lock.
type renewing struct {
	*files
	key   string
	value []byte
}

func (r renewing) TryLock(ctx context.Context, name string) (bool, error) {
	if err := r.Store(ctx, r.key, r.value); err != nil {
		return false, err
	}
	return r.files.TryLock(ctx, name)
}

func TestSweep(t *testing.T) {
	t.Attr("shows", "mend")
	const site = "certificates/ca/old.home.test"
	stored := func(t *testing.T, f *files, end time.Time) {
		t.Helper()
		for ext, value := range map[string][]byte{".key": []byte("key"), ".crt": leafUntil(t, "old.home.test", end), ".json": []byte("{}")} {
			if err := f.Store(t.Context(), site+"/old.home.test"+ext, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	over := time.Now().Add(-sweepAfter - time.Hour)
	dir := func(t *testing.T) *files { return newFiles(t.TempDir(), slog.New(slog.DiscardHandler)) }
	left := func(t *testing.T, f *files) []string {
		t.Helper()
		entries, err := os.ReadDir(filepath.Join(f.Path, site))
		if err != nil {
			return nil
		}
		names := []string{}
		for _, e := range entries {
			names = append(names, strings.TrimPrefix(e.Name(), "old.home.test"))
		}
		return names
	}
	all := []string{".crt", ".json", ".key"}
	check := func(t *testing.T, what string, got, want []string) {
		t.Helper()
		if !slices.Equal(got, want) || (got == nil) != (want == nil) {
			t.Errorf("%s: left are %q, want %q", what, got, want)
		}
	}
	t.Run("by age", func(t *testing.T) {
		f := dir(t)
		stored(t, f, time.Now().Add(-sweepAfter+time.Hour))
		if err := sweep(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		check(t, "over for less than two weeks", left(t, f), all)
		stored(t, f, over)
		if err := sweep(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		check(t, "over for more", left(t, f), nil)
	})
	t.Run("empty folders", func(t *testing.T) {
		f := dir(t)
		if err := os.MkdirAll(filepath.Join(f.Path, site), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := sweep(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		check(t, "an empty folder", left(t, f), nil)
		if err := f.Store(t.Context(), site+"/old.home.test.key", []byte("key")); err != nil {
			t.Fatal(err)
		}
		if err := sweep(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		check(t, "a key whose certificate is still to come", left(t, f), []string{".key"})
	})
	t.Run("while it is issued", func(t *testing.T) {
		f := dir(t)
		stored(t, f, over)
		if err := f.Lock(t.Context(), "issue_cert_old.home.test"); err != nil {
			t.Fatal(err)
		}
		if err := sweep(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		check(t, "somebody issues it", left(t, f), all)
		if err := f.Unlock(t.Context(), "issue_cert_old.home.test"); err != nil {
			t.Fatal(err)
		}
		if err := sweep(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		check(t, "nobody does", left(t, f), nil)
	})
	t.Run("after it was renewed", func(t *testing.T) {
		f := dir(t)
		stored(t, f, over)
		r := renewing{f, site + "/old.home.test.crt", leafUntil(t, "old.home.test", time.Now().Add(day))}
		if err := sweep(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		check(t, "renewed between the look and the lock", left(t, f), all)
		if ok, err := f.TryLock(t.Context(), "issue_cert_old.home.test"); !ok || err != nil {
			t.Errorf("the lock was not given back: %v", err)
		}
	})
}

// Certificates are written while empty folders are removed: all of them are on the
// disk afterwards.
func TestFoldersAreNotSweptFromUnderAWriter(t *testing.T) {
	t.Attr("shows", "mend")
	var log strings.Builder
	f := newFiles(t.TempDir(), slog.New(slog.NewTextHandler(&log, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	var sweeper sync.WaitGroup
	sweeper.Go(func() {
		for ctx.Err() == nil {
			if err := sweep(ctx, f); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	for i := range 300 {
		key := fmt.Sprintf("certificates/ca/n%d.home.test/n%d.home.test.key", i, i)
		if err := f.Store(t.Context(), key, []byte("key")); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(f.Filename(key)); err != nil {
			t.Errorf("just written: %v", err)
		}
	}
	cancel()
	sweeper.Wait()
	if log.Len() > 0 {
		t.Errorf("the log:\n%.2000s", log.String())
	}
}
