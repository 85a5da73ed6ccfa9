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

// searchesAtOnce is how many search, and as many read whole lists; one address has all but
// one of them (package fair).
func searchesAtOnce() int { return max(2, runtime.GOMAXPROCS(0)) + 1 }

// searches reports whether a request looks through its list.
func searches(req *kinto.Request) bool {
	return req.ID == "" && (req.Op == kinto.Get || req.Op == kinto.Count || req.Op == kinto.Delete) && (len(req.Query.Filters) > 0 || len(req.Query.Sort) > 1)
}

// lists reports whether a request may read a large part of a list.
func lists(req *kinto.Request) bool {
	return req.ID == "" && req.Op == kinto.Get && (req.Query.Limit <= 0 || req.Query.Limit > fewObjects)
}

// inTurn does a request when its turn comes.
func (c *call) inTurn(req *kinto.Request) (*kinto.Answer, error) {
	var leave func()
	var err error
	switch {
	case searches(req):
		leave, err = c.turn(c.searches, "searches")
	case lists(req):
		leave, err = c.turn(c.lists, "large answers")
	default:
		leave = func() {}
	}
	if err != nil {
		return nil, err
	}
	defer leave()
	return c.kinto.Do(c.r.Context(), req)
}

// turn waits until the caller may begin with what takes long or is large; leave ends it,
// once. In a transaction of many requests nobody waits: what they read is bounded. Nothing
// large is begun for somebody whose answer could not be held.
func (c *call) turn(queue *fair.Queue, what string) (leave func(), err error) {
	if c.within != nil && c.within.writes {
		return func() {}, nil
	}
	from := front.Origin(c.r)
	leave, err = queue.Enter(c.r.Context(), from)
	if errors.Is(err, fair.ErrFull) {
		return nil, &kinto.BusyError{What: what}
	}
	if err == nil && c.held.full(from) {
		leave()
		return nil, &kinto.BusyError{What: "large answers"}
	}
	return leave, err
}

// hold takes what an answer of so many bytes takes, until release: what was read is there
// already, and is written once more. A batch holds its answers as a whole.
func (c *call) hold(bytes int) (release func(), err error) {
	if c.within != nil {
		return func() {}, nil
	}
	release, ok := c.held.hold(front.Origin(c.r), 2*bytes)
	if !ok {
		return nil, &kinto.BusyError{What: "large answers"}
	}
	return release, nil
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

// sizeOf is about how many bytes objects take.
func sizeOf(objects ...kinto.Object) int {
	n := 0
	for i := range objects {
		n += len(objects[i].Data) + len(objects[i].ID) + 64
	}
	return n
}
