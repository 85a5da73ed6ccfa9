package server

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/foyer-server/foyer/server/kinto"
)

// The data of a server that has an owner have an id: in the database, and, for the
// supervisor to compare and for the next start, in a file of the data folder that the
// supervisor writes. Where that file is, the database has to be there and have its id:
// else the data are gone, or others, and nothing is made in their place.
const (
	metaData = "data.id"
	fileData = "data.id"
)

// identity is the id of the data once it is known.
type identity struct{ id atomic.Pointer[string] }

// know reads the id, and makes it where there is an owner and none yet.
func (i *identity) know(ctx context.Context, db kinto.Store) error {
	if i.id.Load() != nil {
		return nil
	}
	id, err := idOf(ctx, db)
	if err == nil && id == "" {
		err = db.Write(ctx, nil, func(tx kinto.Tx) error {
			kept, err := tx.Meta(metaData)
			if err != nil || kept != nil {
				id = string(kept)
				return err
			}
			id = rand.Text()
			return tx.SetMeta(metaData, []byte(id))
		})
	}
	if err == nil {
		i.id.Store(&id)
	}
	return err
}

// get is the id, empty while it is not known.
func (i *identity) get() string {
	if id := i.id.Load(); id != nil {
		return *id
	}
	return ""
}

// identify has the data have an id. It is called once there is an owner.
func (s *server) identify(ctx context.Context) {
	if err := s.data.know(ctx, s.store); err != nil && ctx.Err() == nil {
		s.Log.Debug("the id of the data cannot be told yet", "err", err)
	}
}

// idOf is the id that a database has; empty: none yet.
func idOf(ctx context.Context, db kinto.Store) (id string, err error) {
	err = db.Read(ctx, func(tx kinto.Reader) error {
		kept, err := tx.Meta(metaData)
		id = string(kept)
		return err
	})
	return id, err
}

// expected is the id the data in a folder have to have; empty: whatever is there is theirs.
func expected(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, fileData))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(text)), err
}

// present is an error when a database file that has to be there is not, or holds nothing.
func present(path string) error {
	is, err := os.Stat(path)
	if err == nil && is.Size() > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return gone(path, err)
}
