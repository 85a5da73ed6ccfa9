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
// So with one that wants all of a list, which can be large; of those more may wait, since
// good clients ask for several lists at once.
const (
	searchesWaiting = 64
	searchesOfOne   = 16 // running or waiting
	listsWaiting    = 1024
	listsOfOne      = 256
	fewObjects      = 100 // that is no large part of a list
)

func searchesAtOnce() int { return max(2, runtime.GOMAXPROCS(0)) }

// searches reports whether a request looks through its list.
func searches(req *kinto.Request) bool {
	return req.ID == "" && (req.Op == kinto.Get || req.Op == kinto.Count || req.Op == kinto.Delete) && (len(req.Query.Filters) > 0 || len(req.Query.Sort) > 1)
}

// lists reports whether a request may read a large part of a list.
func lists(req *kinto.Request) bool {
	return req.ID == "" && req.Op == kinto.Get && (req.Query.Limit <= 0 || req.Query.Limit > fewObjects)
}

// inTurn does a request when its turn comes. In a transaction nobody waits.
func (c *call) inTurn(req *kinto.Request) (*kinto.Answer, error) {
	queue, what := c.searches, "searches"
	switch {
	case c.within != nil && c.within.writes, !searches(req) && !lists(req):
		return c.kinto.Do(c.r.Context(), req)
	case !searches(req):
		queue, what = c.lists, "large answers"
	}
	leave, err := queue.Enter(c.r.Context(), front.Origin(c.r))
	if errors.Is(err, fair.ErrFull) {
		return nil, &kinto.BusyError{What: what}
	}
	if err != nil {
		return nil, err
	}
	defer leave()
	if c.held.full(front.Origin(c.r)) { // what is read now could not be answered
		return nil, &kinto.BusyError{What: "large answers"}
	}
	return c.kinto.Do(c.r.Context(), req)
}

// Large answers are held only as long as all of them together stay within answersHeld,
// and those that go to one address within half of it: clients that ask for much and read
// slowly can neither fill the memory nor keep others from large answers. What is smaller
// than smallAnswer is not counted.
const (
	smallAnswer = 64 << 10
	answersHeld = 64 << 20
)

// holdings counts bytes that are held. It is safe for concurrent use.
type holdings struct {
	most int

	mu  sync.Mutex
	now int
	by  map[string]int // address
}

func newHoldings(most int) *holdings { return &holdings{most: most, by: map[string]int{}} }

// hold takes so many bytes for an address; release gives them back. It reports false when
// there is no room. The first one of all always finds room, however large it is.
func (h *holdings) hold(from string, n int) (release func(), ok bool) {
	if n < smallAnswer {
		return func() {}, true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.room(from, n) {
		return nil, false
	}
	h.now += n
	h.by[from] += n
	return sync.OnceFunc(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.now -= n
		if h.by[from] -= n; h.by[from] == 0 {
			delete(h.by, from)
		}
	}), true
}

func (h *holdings) room(from string, n int) bool {
	return h.now == 0 || h.now+n <= h.most && (h.by[from] == 0 || h.by[from]+n <= h.most/2)
}

// full reports whether there is no room for anything large for an address.
func (h *holdings) full(from string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.room(from, smallAnswer)
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
