package storage

import (
	"sync"

	"github.com/foyer-server/foyer/server/kinto"
)

// hub wakes those who watch lists.
type hub struct {
	mu       sync.Mutex
	watchers map[kinto.List]map[chan struct{}]struct{}
}

func newHub() *hub { return &hub{watchers: map[kinto.List]map[chan struct{}]struct{}{}} }

func (h *hub) watch(l kinto.List) (changed <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watchers[l] == nil {
		h.watchers[l] = map[chan struct{}]struct{}{}
	}
	h.watchers[l][ch] = struct{}{}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers[l], ch)
		if len(h.watchers[l]) == 0 {
			delete(h.watchers, l)
		}
	}
}

// wake tells of a transaction that was committed.
func (h *hub) wake(g *ledger) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.watchers) == 0 {
		return
	}
	for l, p := range g.pages {
		if p.moved {
			h.poke(l)
		}
	}
	for _, uri := range g.purged {
		for l := range h.watchers {
			if below(l, uri) {
				h.poke(l)
			}
		}
	}
}

func (h *hub) poke(l kinto.List) {
	for ch := range h.watchers[l] {
		select {
		case ch <- struct{}{}:
		default: // there is a token already
		}
	}
}
