package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/foyer-server/foyer/internal/pause"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage/commit"
)

const (
	// poll is how often everybody is woken, whatever was heard.
	poll = 5 * time.Second
	// most is how long a notice may be: PostgreSQL takes less than 8000 bytes.
	most = 7500
	// everything stands for all lists in a notice.
	everything = "*"
)

// wake wakes those who watch a list that is named.
func (db *DB) wake(names []string) {
	var lists []kinto.List
	var below []string
	for _, name := range names {
		switch kind, uri, _ := strings.Cut(name, " "); {
		case name == everything:
			db.watchers.Everything()
		case kind == "":
			below = append(below, uri)
		default:
			lists = append(lists, kinto.List{Parent: uri, Kind: kinto.Kind(kind)})
		}
	}
	db.watchers.Changed(lists, below)
}

// names are those of the lists a transaction changed: "kind parent", or " uri" for
// all that lie below.
func (b *book) names() (out []string) {
	for l, p := range b.pages.all {
		if p.moved {
			out = append(out, string(l.Kind)+" "+l.Parent)
		}
	}
	for _, uri := range b.purged {
		out = append(out, " "+uri)
	}
	return out
}

// committed tells of a transaction that was committed.
func (db *DB) committed(b *book) {
	if names := b.names(); len(names) > 0 {
		db.wake(names)
		db.changes.add(names)
	}
	if len(b.purged) > 0 {
		commit.Poke(db.dirt)
	}
}

// changes is what other nodes are to be told.
type changes struct {
	mu    sync.Mutex
	names map[string]bool
	wake  chan struct{}
}

func newChanges() *changes { return &changes{names: map[string]bool{}, wake: make(chan struct{}, 1)} }

func (c *changes) add(names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		c.names[name] = true
	}
	commit.Poke(c.wake)
}

// take is the notice of all that was added; empty when nothing was.
func (c *changes) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.names) == 0 {
		return ""
	}
	names := slices.Sorted(maps.Keys(c.names))
	clear(c.names)
	out, err := json.Marshal(names)
	if err != nil || len(out) > most {
		return `["` + everything + `"]`
	}
	return string(out)
}

// tell tells other nodes what was changed here, after the commit: a notice within
// it would make commits wait for each other. What is lost is only a hint.
func (db *DB) tell(ctx context.Context) {
	for {
		select {
		case <-db.changes.wake:
		case <-ctx.Done():
			return
		}
		notice := db.changes.take()
		if notice == "" {
			continue
		}
		if _, err := db.exec(ctx, "notify", notice); err != nil && ctx.Err() == nil {
			db.log.Warn("other nodes could not be told of a change; they find it by themselves in a while", "err", fail(err))
		}
	}
}

// listen hears what other nodes tell, until ctx ends, and wakes everybody now and
// then: when it may have missed something, and every few seconds.
func (db *DB) listen(ctx context.Context) {
	dozing := false
	for tries := 0; ctx.Err() == nil; tries++ {
		heard, err := db.hear(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errShared):
			if !dozing {
				dozing = true
				db.log.Info("a connection pooler shares connections to the database: what other nodes change is found every few seconds", "every", poll)
			}
			db.doze(ctx)
			continue
		case heard:
			tries, dozing = 0, false
			db.log.Warn("the connection on which other nodes tell of changes was lost", "err", fail(err))
		}
		wait := min(poll, 100*time.Millisecond<<min(tries, 10))
		pause.For(ctx, wait/2+rand.N(wait/2))
		db.watchers.Everything()
	}
}

// doze wakes everybody every few seconds, until ctx ends or it is time to see whether
// listening is possible now.
func (db *DB) doze(ctx context.Context) {
	clock := time.NewTicker(poll)
	defer clock.Stop()
	for end := time.Now().Add(tidy); time.Now().Before(end); {
		db.watchers.Everything()
		select {
		case <-clock.C:
		case <-ctx.Done():
			return
		}
	}
}

// hear listens on one connection until it breaks. It is errShared where that is not
// possible, as a pooler gives the server connection to others.
func (db *DB) hear(ctx context.Context) (heard bool, err error) {
	conn, err := db.dialer.connect(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it is broken, or not needed
	ours, err := db.dialer.owned(ctx, conn)
	if err != nil {
		return false, err
	}
	if !ours {
		return false, errShared
	}
	if _, err := conn.Exec(ctx, "LISTEN foyer"); err != nil {
		return false, err
	}
	db.watchers.Everything()
	for {
		wait, cancel := context.WithTimeout(ctx, poll)
		n, err := conn.WaitForNotification(wait)
		over := wait.Err() != nil
		cancel()
		switch {
		case err == nil:
			var names []string
			if json.Unmarshal([]byte(n.Payload), &names) != nil {
				names = []string{everything} // somebody else's; it is no harm
			}
			db.wake(names)
			continue
		case !over || ctx.Err() != nil:
			return true, err
		}
		db.watchers.Everything()
		if still, err := listens(ctx, conn.PgConn()); err != nil || !still {
			return true, cmp.Or(err, errShared)
		}
	}
}

// listens reports whether conn, which listened, does still.
func listens(ctx context.Context, conn *pgconn.PgConn) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, dialing)
	defer cancel()
	row, err := first(ctx, conn, "SELECT EXISTS (SELECT FROM pg_listening_channels() AS c WHERE c = 'foyer')")
	if err != nil {
		return false, err
	}
	return row[0] == "t", nil
}
