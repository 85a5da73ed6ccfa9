package api

import (
	"errors"
	"runtime"
	"sync"

	"github.com/foyer-server/foyer/internal/fair"
	"github.com/foyer-server/foyer/server/front"
	"github.com/foyer-server/foyer/server/kinto"
)

// What requests share. A request that looks through a whole list, since it filters it or
// wants it in another order, takes long where the list does: few do so at once, in turns
// by where they come from, and others, which look up what they want, go on beside them.
const (
	searchesWaiting = 64
	searchesOfOne   = 16 // running or waiting
)

func searchesAtOnce() int { return max(2, runtime.GOMAXPROCS(0)) }

// searches reports whether a request looks through its list.
func searches(req *kinto.Request) bool {
	return req.ID == "" && (req.Op == kinto.Get || req.Op == kinto.Count || req.Op == kinto.Delete) && (len(req.Query.Filters) > 0 || len(req.Query.Sort) > 1)
}

// inTurn does a request when its turn comes.
func (c *call) inTurn(req *kinto.Request) (*kinto.Answer, error) {
	if c.within != nil || !searches(req) { // a batch is one turn, and in a transaction nobody waits
		return c.kinto.Do(c.r.Context(), req)
	}
	leave, err := c.searches.Enter(c.r.Context(), front.Origin(c.r))
	if errors.Is(err, fair.ErrFull) {
		return nil, &kinto.BusyError{What: "searches"}
	}
	if err != nil {
		return nil, err
	}
	defer leave()
	return c.kinto.Do(c.r.Context(), req)
}

// Large answers are held only as long as all of them together stay within answersHeld:
// clients that ask for much and read slowly cannot fill the memory. What is smaller than
// smallAnswer is not counted.
const (
	smallAnswer = 64 << 10
	answersHeld = 64 << 20
)

// holdings counts bytes that are held. It is safe for concurrent use.
type holdings struct {
	most int

	mu  sync.Mutex
	now int
}

// hold takes so many bytes; release gives them back. It reports false when there is no
// room. The first one always finds room.
func (h *holdings) hold(n int) (release func(), ok bool) {
	if n < smallAnswer {
		return func() {}, true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.now > 0 && h.now+n > h.most {
		return nil, false
	}
	h.now += n
	return sync.OnceFunc(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.now -= n
	}), true
}

// sizeOf is about how many bytes an answer takes.
func sizeOf(a *kinto.Answer) int {
	n := 0
	if a.Object != nil {
		n += len(a.Object.Data)
	}
	for i := range a.Objects {
		n += len(a.Objects[i].Data) + len(a.Objects[i].ID) + 64
	}
	return n
}
