package certs

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/caddyserver/certmagic"
)

// sweepAfter is how long a certificate is over before it is removed.
const sweepAfter = 14 * day

// sweep removes certificates that have been over for sweepAfter, and folders that hold
// nothing. certmagic.CleanStorage does the same, but looks first and removes later,
// and with it what was issued in between: a machine that was off for months renews
// and sweeps at the same moment. Here nothing is removed of a name whose certificate is
// being issued.
func sweep(ctx context.Context, storage certmagic.Storage) error {
	issuers, err := storage.List(ctx, "certificates", false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, issuer := range issuers {
		sites, err := storage.List(ctx, issuer, false)
		if err != nil {
			return err
		}
		for _, site := range sites {
			if err := sweepSite(ctx, storage, site); err != nil {
				return fmt.Errorf("cannot sweep %s: %w", site, err)
			}
		}
	}
	return ctx.Err()
}

// emptied is a storage that has folders, which can be left empty.
type emptied interface {
	removeEmpty(key string) error
}

func sweepSite(ctx context.Context, storage certmagic.Storage, site string) (err error) {
	key := path.Join(site, path.Base(site)+".crt")
	leaf, err := loadLeaf(ctx, storage, key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if s, ok := storage.(emptied); ok {
			return s.removeEmpty(site)
		}
		return nil
	case err != nil || time.Since(leaf.NotAfter) < sweepAfter:
		return nil // what cannot be read is made anew when it is asked for
	}
	locker, ok := storage.(certmagic.TryLocker)
	if !ok {
		return nil
	}
	for _, name := range namesOf(leaf) { // as certmagic's Config.lockKey calls it
		lock := "issue_cert_" + name
		free, err := locker.TryLock(ctx, lock)
		if err != nil || !free {
			return err
		}
		defer func() { err = errors.Join(err, storage.Unlock(context.WithoutCancel(ctx), lock)) }()
	}
	if leaf, err = loadLeaf(ctx, storage, key); err != nil || time.Since(leaf.NotAfter) < sweepAfter {
		return nil // there is another one by now
	}
	return storage.Delete(ctx, site)
}

func namesOf(leaf *x509.Certificate) []string {
	names := leaf.DNSNames
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

func loadLeaf(ctx context.Context, storage certmagic.Storage, key string) (*x509.Certificate, error) {
	text, err := storage.Load(ctx, key)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}
