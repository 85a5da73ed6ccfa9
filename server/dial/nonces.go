package dial

import (
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/knock"
)

const (
	nonceLives = time.Minute
	nonceMost  = 64 // expected at once; an examination makes a handful
)

// nonces are those that are expected: each once by either scheme, for a minute.
type nonces struct {
	now func() time.Time

	mu   sync.Mutex // guards live
	live map[string]*expected
}

type expected struct {
	ends time.Time
	seen map[string]bool // by scheme
}

// add makes one known. It is refused when it is none, or when there are too many.
func (n *nonces) add(nonce string) bool {
	if !knock.Nonce(nonce) {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for k, e := range n.live {
		if n.now().After(e.ends) {
			delete(n.live, k)
		}
	}
	if len(n.live) >= nonceMost || n.live[nonce] != nil {
		return false
	}
	if n.live == nil {
		n.live = map[string]*expected{}
	}
	n.live[nonce] = &expected{ends: n.now().Add(nonceLives), seen: map[string]bool{}}
	return true
}

// take reports whether it is expected over scheme, and makes that the last time.
func (n *nonces) take(nonce, scheme string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.live[nonce]
	if e == nil || e.seen[scheme] || n.now().After(e.ends) {
		return false
	}
	e.seen[scheme] = true
	return true
}
