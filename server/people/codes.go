package people

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/claim"
	"github.com/foyer-server/foyer/internal/fair"
	"github.com/foyer-server/foyer/server/kinto"
)

// How the short codes may be guessed by which a server is claimed, or its owner's
// password reset. A code is one of 2^40, and whoever is at the machine makes another
// whenever they like: so strangers are given that many tries that they cannot keep
// the right one out, and yet find it once in eleven million codes.
//
// A try is counted before it is compared. From one address (or home network, with
// IPv6) there are so many in a row, then a pause that doubles, and one that tries on
// does not touch what others have left. All addresses together have a number that is
// kept in the store, some ahead of their use: a restart may lose a few and gives none
// back. Then the code is spent, and a new one begins anew.
const (
	codeTriesFrom = 3_000
	codeTries     = 100_000
	codeAhead     = 100
	longestCode   = time.Hour
	codeFromMost  = 10_000 // addresses that are remembered; then all begin anew
)

// codeLimits are how many tries there are; tests have fewer.
type codeLimits struct {
	from  int // from one address, before a pause
	all   int // of one code
	ahead int // kept in the store ahead of their use
}

// codes counts tries of one code after the other.
type codes struct {
	store  kinto.Store
	queue  *fair.Queue
	limits codeLimits

	mu    sync.Mutex
	offer string              // id of the offer that is counted
	ahead int                 // tries that are in the store and not used yet
	by    map[string]*guesses // from each address
}

func newCodes(store kinto.Store) *codes {
	return &codes{store: store, queue: fair.NewQueue(1, waitingFor, waitingFor/4), limits: codeLimits{codeTriesFrom, codeTries, codeAhead}, by: map[string]*guesses{}}
}

// spent is what the store keeps of the tries of an offer.
type spent struct {
	Offer string `json:"offer"`
	Tries int    `json:"tries"`
}

// count takes one try of the code of an offer; it reports how long to wait instead.
func (c *codes) count(ctx context.Context, offer claim.Offer, from string) (wait time.Duration, err error) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock() // also while the store keeps some more: who tries meanwhile waits
	if c.offer != offer.ID {
		c.offer, c.ahead = offer.ID, 0
		clear(c.by)
	}
	g := c.by[from]
	if g == nil {
		if len(c.by) >= codeFromMost {
			clear(c.by)
		}
		g = &guesses{}
		c.by[from] = g
	}
	if now.Before(g.Until) {
		return g.Until.Sub(now), nil
	}
	if c.ahead == 0 {
		if c.ahead, err = c.reserve(ctx, offer.ID); err != nil {
			return 0, err
		}
		if c.ahead == 0 {
			return offer.Expires.Sub(now), nil
		}
	}
	c.ahead--
	g.Tries++
	if pause := pauseAfter(g.Tries, c.limits.from, longestCode); pause > 0 {
		g.Until = now.Add(pause)
	}
	return 0, nil
}

// reserve keeps in the store that some more tries are used, and returns how many.
func (c *codes) reserve(ctx context.Context, offer string) (n int, err error) {
	err = c.store.Write(context.WithoutCancel(ctx), nil, func(tx kinto.Tx) error {
		n = 0
		var s spent
		text, err := tx.Meta(metaGuesses)
		if err != nil {
			return err
		}
		if text != nil {
			if err := json.Unmarshal(text, &s); err != nil {
				return fmt.Errorf("cannot read how often a code was tried: %w", err)
			}
		}
		if s.Offer != offer {
			s = spent{Offer: offer}
		}
		if n = min(c.limits.ahead, c.limits.all-s.Tries); n <= 0 {
			n = 0
			return nil
		}
		s.Tries += n
		if text, err = json.Marshal(s); err != nil {
			return err
		}
		return tx.SetMeta(metaGuesses, text)
	})
	return n, err
}
