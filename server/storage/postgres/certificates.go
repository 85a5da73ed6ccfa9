package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/jackc/pgx/v5"

	"github.com/foyer-server/foyer/internal/pause"
	"github.com/foyer-server/foyer/server/kinto"
)

// lease is how long a node holds what it locked without saying again that it lives.
const lease = 30 * time.Second

// Certificates is a certmagic.Storage in the database: nodes of one name show the
// same certificates, and one of them at a time gets a new one. It is good until
// Close.
func (db *DB) Certificates() certmagic.Storage {
	return &certificates{db: db, lease: lease, held: map[string]*holding{}}
}

// certificates keeps values under paths. A lock is a row with an end that whoever
// holds it moves on; one whose holder died ends by itself.
type certificates struct {
	db    *DB
	lease time.Duration

	mu   sync.Mutex
	held map[string]*holding // by this node
}

type holding struct {
	holder string
	stop   context.CancelFunc // of its renewal
	ended  chan struct{}
}

var (
	_ certmagic.Storage   = (*certificates)(nil)
	_ certmagic.TryLocker = (*certificates)(nil)
)

// folder is a prefix as the keys below it have it: without slashes at its ends.
func folder(prefix string) string {
	if prefix = path.Clean("/" + prefix); prefix == "/" {
		return ""
	}
	return prefix[1:]
}

// Store implements certmagic.Storage.
func (c *certificates) Store(ctx context.Context, key string, value []byte) error {
	if value == nil {
		value = []byte{}
	}
	_, err := c.db.exec(ctx, "certificate_set", folder(key), value)
	return fail(err)
}

// Load implements certmagic.Storage.
func (c *certificates) Load(ctx context.Context, key string) ([]byte, error) {
	value, _, err := c.load(ctx, key)
	return value, err
}

func (c *certificates) load(ctx context.Context, key string) (value []byte, modified time.Time, err error) {
	err = c.db.run(ctx, func(q querier) error {
		return q.QueryRow(ctx, statement("certificate"), folder(key)).Scan(&value, &modified)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, modified, fs.ErrNotExist
	}
	return value, modified, fail(err)
}

// Delete implements certmagic.Storage: key and all keys below it.
func (c *certificates) Delete(ctx context.Context, key string) error {
	_, err := c.db.exec(ctx, "certificates_remove", folder(key))
	return fail(err)
}

// Exists implements certmagic.Storage.
func (c *certificates) Exists(ctx context.Context, key string) bool {
	_, err := c.Stat(ctx, key)
	return err == nil
}

// Stat implements certmagic.Storage.
func (c *certificates) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	value, modified, err := c.load(ctx, key)
	if !errors.Is(err, fs.ErrNotExist) {
		return certmagic.KeyInfo{Key: key, Modified: modified, Size: int64(len(value)), IsTerminal: true}, err
	}
	below, err := c.below(ctx, key)
	if err == nil && len(below) == 0 {
		err = fs.ErrNotExist
	}
	return certmagic.KeyInfo{Key: key}, err
}

func (c *certificates) below(ctx context.Context, prefix string) ([]string, error) {
	var keys []string
	err := c.db.run(ctx, func(q querier) error {
		rows, err := q.Query(ctx, statement("certificates_below"), folder(prefix))
		if err == nil {
			keys, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		return err
	})
	return keys, fail(err)
}

// List implements certmagic.Storage: keys and the folders they are in, those right
// below prefix or all. A folder that holds nothing is fs.ErrNotExist.
func (c *certificates) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	keys, err := c.below(ctx, prefix)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, fs.ErrNotExist
	}
	var out []string
	seen := map[string]bool{}
	above := folder(prefix)
	for _, key := range keys {
		rest := strings.TrimPrefix(strings.TrimPrefix(key, above), "/")
		at := above
		for word := range strings.SplitSeq(rest, "/") {
			if at = path.Join(at, word); !seen[at] {
				seen[at] = true
				out = append(out, at)
			}
			if !recursive {
				break
			}
		}
	}
	return out, nil
}

// Lock implements certmagic.Locker.
func (c *certificates) Lock(ctx context.Context, name string) error {
	for {
		ok, err := c.TryLock(ctx, name)
		if ok || err != nil {
			return err
		}
		if !pause.For(ctx, c.lease/60+mathrand.N(c.lease/60)) {
			return ctx.Err()
		}
	}
}

// TryLock implements certmagic.TryLocker.
func (c *certificates) TryLock(ctx context.Context, name string) (bool, error) {
	holder := rand.Text()
	tag, err := c.db.exec(ctx, "certificate_lock", name, holder, c.lease.Milliseconds())
	if err != nil {
		return false, fail(err)
	}
	if tag.RowsAffected() == 0 {
		return false, nil
	}
	run, stop := context.WithCancel(context.Background())
	h := &holding{holder: holder, stop: stop, ended: make(chan struct{})}
	c.db.mu.Lock()
	defer c.db.mu.Unlock()
	if c.db.closed {
		stop()
		return false, fmt.Errorf("%w: %w", kinto.ErrUnavailable, errClosed)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held[name] = h
	c.db.closings.Go(func() {
		defer close(h.ended)
		c.renew(run, name, holder)
	})
	return true, nil
}

// renew says in time that the holder of a lock lives, until ctx or the store ends.
func (c *certificates) renew(ctx context.Context, name, holder string) {
	tick := time.NewTicker(c.lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.db.running.Done():
			return
		case <-tick.C:
		}
		if _, err := c.db.exec(ctx, "certificate_renew", name, holder, c.lease.Milliseconds()); err != nil && ctx.Err() == nil {
			c.db.log.Warn("a lock on a certificate could not be renewed yet", "err", fail(err))
		}
	}
}

// Unlock implements certmagic.Locker.
func (c *certificates) Unlock(ctx context.Context, name string) error {
	c.mu.Lock()
	h := c.held[name]
	delete(c.held, name)
	c.mu.Unlock()
	if h == nil {
		return nil
	}
	h.stop()
	<-h.ended
	_, err := c.db.exec(ctx, "certificate_unlock", name, h.holder)
	return fail(err)
}
