package server

import (
	"context"
	"errors"
	"path/filepath"
	"sync"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage"
	"github.com/foyer-server/foyer/server/storage/postgres"
)

// store is what the server asks of the storage.
type store interface {
	kinto.Store
	Health(ctx context.Context) error
	// Trouble is what is wrong for more than one request; nil: nothing. It does not block.
	Trouble() *hint.Error
	// Progress grows with whatever is read and written. It does not block.
	Progress() uint64
	Close() error
}

// openStore opens the storage and the certificates: side by side when both wait
// for this machine's disk, one in the other when there is a database that several
// servers share. Data that are not those of this server are left as they are, and no
// certificates are made beside them. Certificates may be open when an error is returned.
func (s *server) openStore(ctx context.Context) error {
	if s.Settings.PostgreSQL() != "" {
		s.apart = true
		db, err := s.openData(ctx)
		if err != nil {
			return err
		}
		s.store = db
		return s.openCerts(ctx, db.(*postgres.DB).Certificates())
	}
	want, err := expected(s.Settings.Data)
	if err == nil && want != "" {
		err = s.sameFile(ctx, want)
	}
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	var certsErr error
	wg.Go(func() { certsErr = s.openCerts(ctx, nil) })
	db, err := storage.Open(ctx, s.file(), s.Log)
	wg.Wait()
	if err == nil {
		s.store = db
	}
	return errors.Join(err, certsErr)
}

// file is the database where it is a file.
func (s *server) file() string { return filepath.Join(s.Settings.Data, "data.db") }

// sameFile is nil when the database file is there and has the id want, or cannot be read
// far enough to tell, which opening it then explains.
func (s *server) sameFile(ctx context.Context, want string) error {
	if err := present(s.file()); err != nil {
		return err
	}
	if id, err := storage.Meta(ctx, s.file(), metaData); err == nil && id != want {
		return other()
	}
	return nil
}

// openData opens the storage alone, if it is that of this server.
func (s *server) openData(ctx context.Context) (store, error) {
	want, err := expected(s.Settings.Data)
	if err != nil {
		return nil, err
	}
	address := s.Settings.PostgreSQL()
	if address == "" {
		if want != "" {
			if err := s.sameFile(ctx, want); err != nil {
				return nil, err
			}
		}
		return storage.Open(ctx, s.file(), s.Log)
	}
	db, err := postgres.Open(ctx, address, s.Log)
	if err != nil {
		return nil, unreachable(err)
	}
	if want != "" {
		id, err := idOf(ctx, db)
		if err == nil && id != want {
			err = other()
		}
		if err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return db, nil
}
