// Package admission decides who may stay when more come than there is room for.
//
// It hides a table of places, one for each connection (or each change feed), with whose
// each is, how long it has done nothing, and how much would be lost if it went. Whoever
// comes is taken at once, and who has to go for them is found at once, however many there
// are: of the address that holds most the one that has been idle for longest, so that a
// flood makes room at its own cost; and where nobody holds more than another, the one
// that has been idle for longest of all. Time counts more for who has not asked for
// anything yet, or has not signed in (haste). Listener (listener.go) has net/http accept
// through such a table.
//
// Promises: no more places than the limit are held, and of one visitor no more than their
// share; nothing is queued, so that nobody waits behind a flood; a place that was left or
// taken away is forgotten; who has to go is closed without any lock held.
//
// Threat model. A stranger has as many connections as they like, from one address or from
// thousands, sends nothing, or half a request, or whole ones, and reads answers slowly or
// not at all. What they cannot have is somebody's account: the connections of who has
// signed in weigh little, and go after everybody else's.
//
// Used by package server for connections, and by package api for change feeds.
package admission

import (
	"container/heap"
	"sync"
	"sync/atomic"
	"time"
)

// rank orders places by what is lost when one goes: the least first.
type rank int

const (
	fresh     rank = iota // has not asked for anything yet
	idle                  // was answered, and asks for nothing
	idleKnown             // the same, of somebody who has signed in
	feed                  // a change feed, which its client opens again
	busy                  // a request is being answered
	feedKnown
	busyKnown
	ranks
)

// haste is how many times the idle time of a rank counts: somebody half a second into
// the handshake of TLS is not older than a connection that was used ten seconds ago,
// and one that has said nothing for ten seconds is.
var haste = [...]time.Duration{fresh: 16, idle: 4, idleKnown: 1}

// What a place weighs when it is asked who holds most. A family behind one address, who
// have all signed in, weighs no more than one stranger.
const (
	heavy = 64
	light = 1
)

// Table is who has a place. It is safe for concurrent use.
type Table struct {
	limit, share int

	mu      sync.Mutex
	held    int
	origins map[string]*origin
	most    byWeight     // the origins, who weighs most first
	lines   [ranks]queue // all places
}

// NewTable returns an empty one of so many places, of which one visitor may hold Share
// of the limit.
func NewTable(limit int) *Table {
	limit = max(1, limit)
	t := &Table{limit: limit, share: Share(limit), origins: map[string]*origin{}}
	for r := range t.lines {
		t.lines[r].kind = ofAll
	}
	return t
}

// Share is how many of so many places one visitor may hold: a quarter, and where that is
// fewer than 16, 16 or half of them. So four addresses together can fill a table, and
// none can alone; a whole community behind one address has 1,024 of 4,096.
func Share(limit int) int { return max(1, min(max(limit/4, 16), limit/2)) }

// Place is one in a Table. The nil Place is nobody's, and all its methods do nothing.
type Place struct {
	table *Table
	shed  func()
	from  *origin // nil: somebody without a name
	rank  rank
	since time.Time   // it has had that rank
	asked atomic.Bool // for something, ever; changes while the table is locked
	busy  bool
	known bool
	feeds int
	gone  bool
	links [2]link
}

// origin is one visitor, however many places they hold.
type origin struct {
	name           string
	places, weight int
	lines          [ranks]queue
	at             int // in Table.most
}

// Enter takes a place for a visitor, who has signed in or not; whoever has to go for them
// is shed before it returns. nil: there is none, which means that the visitor holds their share, or that
// nobody else can go. shed is called once if the place is taken away later, by whoever
// comes then; it must not block, nor call the table but for Leave. Visitors without a name
// have no share: those are many behind one address, or this machine itself.
func (t *Table) Enter(name string, known bool, shed func()) *Place {
	p := &Place{table: t, shed: shed, since: time.Now(), known: known && name != ""}
	t.mu.Lock()
	t.held++
	t.seat(p, name)
	out := t.tooMany(p)
	t.remove(out)
	t.mu.Unlock()
	if out == p {
		return nil
	}
	out.end()
	return p
}

// Held is how many places are taken.
func (t *Table) Held() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held
}

// Limit is how many there are.
func (t *Table) Limit() int { return t.limit }

// Shed takes away the place whose end costs least, if there is one that does nothing.
func (t *Table) Shed() {
	t.mu.Lock()
	out := oldest(&t.lines, idleKnown, nil)
	t.remove(out)
	t.mu.Unlock()
	out.end()
}

// tooMany is who has to go now that p is there: nil for nobody, p itself when there is
// nobody else.
func (t *Table) tooMany(p *Place) (out *Place) {
	o := p.from
	switch {
	case o != nil && o.places > t.share:
		out = oldest(&o.lines, idleKnown, p)
	case t.held <= t.limit:
		return nil
	default:
		if out = t.idler(p); out == nil {
			out = t.worker(p)
		}
	}
	if out == nil {
		return p
	}
	return out
}

// few is how many connections one browser opens, and somewhat more: who holds no more is
// no flood.
const few = 8

// idler is who does nothing and goes for p: one of whoever holds most, where that is
// more than a few, or else of all. The feeds of somebody who holds many are among what
// does nothing, but not for more of their own.
func (t *Table) idler(p *Place) (out *Place) {
	if len(t.most) > 0 && t.most[0].weight > few*heavy {
		worst := feed
		if t.most[0] == p.from {
			worst = idleKnown
		}
		out = oldest(&t.most[0].lines, worst, p)
	}
	if out == nil {
		out = oldest(&t.lines, idleKnown, p)
	}
	return out
}

// worker is who is cut off in the middle of something for p, where all are: one of
// whoever holds more, or a stranger for whoever holds nothing yet.
func (t *Table) worker(p *Place) (out *Place) {
	o, other := p.from, t.most.heaviest(p.from)
	if o == nil || o.places == 1 && (other == nil || other.weight <= o.weight) {
		out = oldest(&t.lines, busy, p)
	}
	if out == nil && other != nil && (o == nil || other.weight > o.weight || other.places > o.places) {
		out = oldest(&other.lines, busyKnown, p)
	}
	return out
}

// oldest is the place whose end costs least, of rank worst at most: the one that has been
// idle for longest, else the one that has had the lowest rank for longest; not but.
func oldest(lines *[ranks]queue, worst rank, but *Place) (out *Place) {
	longest, now := time.Duration(-1), time.Now()
	for r := range idleKnown + 1 {
		if p := lines[r].head(but); p != nil {
			if age := now.Sub(p.since) * haste[r]; age > longest {
				out, longest = p, age
			}
		}
	}
	for r := idleKnown + 1; r <= worst && out == nil; r++ {
		out = lines[r].head(but)
	}
	return out
}

// seat puts p, which stands nowhere, where it belongs.
func (t *Table) seat(p *Place, name string) {
	p.rank = p.worth()
	t.lines[p.rank].add(p)
	if name == "" {
		return
	}
	o := t.origins[name]
	if o == nil {
		o = &origin{name: name}
		t.origins[name] = o
		heap.Push(&t.most, o)
	}
	p.from = o
	o.places++
	o.lines[p.rank].add(p)
	t.weigh(o, p.weight())
}

// unseat takes p from where it stands.
func (t *Table) unseat(p *Place) {
	t.lines[p.rank].remove(p)
	o := p.from
	if o == nil {
		return
	}
	o.lines[p.rank].remove(p)
	p.from = nil
	if o.places--; o.places == 0 {
		heap.Remove(&t.most, o.at)
		delete(t.origins, o.name)
		return
	}
	t.weigh(o, -p.weight())
}

func (t *Table) weigh(o *origin, more int) {
	o.weight += more
	heap.Fix(&t.most, o.at)
}

// remove forgets p; nil and one that is forgotten are none.
func (t *Table) remove(p *Place) {
	if p == nil || p.gone {
		return
	}
	t.unseat(p)
	p.gone = true
	t.held--
}

// end tells whoever holds p that it is gone.
func (p *Place) end() {
	if p != nil {
		p.shed()
	}
}

// worth is the rank of p by what it does.
func (p *Place) worth() rank {
	var r rank
	switch {
	case !p.asked.Load():
		return fresh
	case p.feeds > 0:
		r = feed
	case p.busy:
		r = busy
	case p.known:
		return idleKnown
	default:
		return idle
	}
	if p.known {
		r += feedKnown - feed
	}
	return r
}

func (p *Place) weight() int {
	if p.known {
		return light
	}
	return heavy
}

// change does something to p, and moves it to the end of the line of its new rank.
func (p *Place) change(do func()) {
	if p == nil {
		return
	}
	t := p.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.gone {
		return
	}
	before := p.weight()
	do()
	r := p.worth()
	if r == p.rank {
		return
	}
	t.lines[p.rank].remove(p)
	t.lines[r].add(p)
	if o := p.from; o != nil {
		o.lines[p.rank].remove(p)
		o.lines[r].add(p)
		if more := p.weight() - before; more != 0 {
			t.weigh(o, more)
		}
	}
	p.rank, p.since = r, time.Now()
}

// Asked says that a whole request has come.
func (p *Place) Asked() {
	if p != nil && !p.asked.Load() {
		p.change(func() { p.asked.Store(true) })
	}
}

// Busy says that something is being answered.
func (p *Place) Busy() { p.change(func() { p.busy = true }) }

// Idle says that all of it is answered.
func (p *Place) Idle() { p.change(func() { p.busy = false }) }

// Feed says that a change feed begins; the func it returns is for its end.
func (p *Place) Feed() (end func()) {
	p.change(func() { p.asked.Store(true); p.feeds++ })
	return func() { p.change(func() { p.feeds-- }) }
}

// Known says that whoever asks has signed in. Of a place without a name nobody believes
// it: the next who asks by it is another.
func (p *Place) Known() {
	if p == nil {
		return
	}
	p.change(func() { p.known = p.known || p.asked.Load() && p.from != nil })
}

// Come says whose p is, once that is known. p itself goes, or another of theirs, when
// they hold their share already.
func (p *Place) Come(name string) {
	if p == nil {
		return
	}
	t := p.table
	t.mu.Lock()
	var out *Place
	switch {
	case p.gone, p.from != nil && p.from.name == name, p.from == nil && name == "":
	default:
		t.unseat(p)
		t.seat(p, name)
		out = t.tooMany(p)
		t.remove(out)
	}
	t.mu.Unlock()
	out.end()
}

// Leave gives the place back. It may be called again.
func (p *Place) Leave() {
	if p == nil {
		return
	}
	p.table.mu.Lock()
	defer p.table.mu.Unlock()
	p.table.remove(p)
}
