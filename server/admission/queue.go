package admission

// A place stands in two lines, that of all of its rank and that of its visitor's; both
// run through the place itself, so that moving it allocates nothing.
const (
	ofVisitor = iota
	ofAll
)

type link struct{ before, after *Place }

// queue is a line of places, who has stood in it for longest first.
type queue struct {
	kind        int // which of a place's links it runs through
	first, last *Place
}

func (q *queue) add(p *Place) {
	p.links[q.kind] = link{before: q.last}
	if q.last == nil {
		q.first = p
	} else {
		q.last.links[q.kind].after = p
	}
	q.last = p
}

// head is who has stood in it for longest, but for one; nil: nobody.
func (q *queue) head(but *Place) *Place {
	if q.first == nil || q.first != but {
		return q.first
	}
	return but.links[q.kind].after
}

func (q *queue) remove(p *Place) {
	l := &p.links[q.kind]
	if l.before == nil {
		q.first = l.after
	} else {
		l.before.links[q.kind].after = l.after
	}
	if l.after == nil {
		q.last = l.before
	} else {
		l.after.links[q.kind].before = l.before
	}
	*l = link{}
}

// byWeight is a heap of origins, who weighs most first (container/heap).
type byWeight []*origin

func (h byWeight) Len() int           { return len(h) }
func (h byWeight) Less(i, j int) bool { return h[i].weight > h[j].weight }

func (h byWeight) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// heaviest is who weighs most, but for one; nil: nobody.
func (h byWeight) heaviest(but *origin) (out *origin) {
	for _, o := range h[:min(3, len(h))] { // the first, or one of the two below it
		if o != but && (out == nil || o.weight > out.weight) {
			out = o
		}
	}
	return out
}

// Push implements heap.Interface.
func (h *byWeight) Push(x any) {
	o := x.(*origin)
	o.at = len(*h)
	*h = append(*h, o)
}

// Pop implements heap.Interface.
func (h *byWeight) Pop() any {
	last := len(*h) - 1
	o := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return o
}
