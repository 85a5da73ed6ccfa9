package kinto

import (
	"container/heap"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Query says which objects of a list are wanted, and in which order.
type Query struct {
	Since, Before int64    // only timestamps > Since and < Before; negative: no bound
	Tombstones    bool     // tombstones too
	IDs           []string // only objects with these ids; nil: all
	Filters       []Filter // only objects that pass all of them
	Sort          []Key    // nil: the newest first. The last key is last_modified, so that no two objects are equal
	After         [][]byte // only objects that come after these values of the keys, one for each; nil: all
	Limit         int      // at most so many; 0: all
	Granted       *Grant   // only objects that grant this; nil: all

	ended func() bool // whoever asks does not wait any more; nil: nobody knows
}

// Everything is the Query for all live objects.
func Everything() Query { return Query{Since: -1, Before: -1} }

// AppendKey appends a text that is the same for queries that want the same, and
// another for others, whoever asks: Granted is not in it.
func (q *Query) AppendKey(b []byte) []byte {
	text := func(s string) {
		b = append(strconv.AppendInt(b, int64(len(s)), 10), ':')
		b = append(b, s...)
	}
	list := func(all []string) {
		b = append(strconv.AppendInt(b, int64(len(all)), 10), '[')
		for _, s := range all {
			text(s)
		}
	}
	since, before := q.Bounds()
	for _, n := range []int64{since, before, int64(q.Limit)} {
		b = append(strconv.AppendInt(b, n, 10), ',')
	}
	b = strconv.AppendBool(b, q.Tombstones)
	b = strconv.AppendBool(b, q.IDs != nil)
	list(q.IDs)
	values := func(all [][]byte) {
		b = append(strconv.AppendInt(b, int64(len(all)), 10), '[')
		for _, v := range all {
			b = strconv.AppendBool(b, v != nil)
			text(string(v))
		}
	}
	for i := range q.Filters {
		f := &q.Filters[i]
		text(string(f.Op))
		list(f.Field)
		values(f.Values)
	}
	b = append(b, ';')
	for _, k := range q.Sort {
		b = strconv.AppendBool(b, k.Falling)
		list(k.Field)
	}
	b = strconv.AppendBool(b, q.After != nil)
	values(q.After)
	return b
}

// Key is one thing to sort by.
type Key struct {
	Field   Field
	Falling bool // the greatest first
}

// Field is the path of an attribute: {"o", "p"} for o.p.
type Field []string

// ParseField reads a dotted name.
func ParseField(name string) Field { return strings.Split(name, ".") }

func (f Field) is(name string) bool { return len(f) == 1 && f[0] == name }

// of is the value of a field of an object; nil when it is missing.
func (f Field) of(o *Object) []byte {
	switch {
	case f.is("id") && o.ID == "":
		return nil // of a permission on everything
	case f.is("id"):
		return append(append([]byte{'"'}, o.ID...), '"')
	case f.is("last_modified"):
		return strconv.AppendInt(nil, o.Timestamp, 10)
	case !o.Deleted:
		return lookup(o.Data, f)
	case f.is("deleted"):
		return []byte("true")
	}
	return nil
}

// What one request may ask of a list, far more than apps do: each costs something with
// every object.
const (
	MaxSortKeys = 32
	MaxFilters  = 64
)

// ParseSort reads "a,-b,+c"; what cannot be a field is left out (protocol §7).
func ParseSort(text string) []Key {
	var out []Key
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimRight(name, " ")
		falling := strings.HasPrefix(strings.TrimLeft(name, " "), "-")
		name = strings.TrimLeft(name, " +-")
		if !isFieldName(name) {
			continue
		}
		k := Key{ParseField(name), falling}
		out = append(out, k)
		if k.Field.is("last_modified") {
			break // nothing after it makes a difference
		}
	}
	if len(out) > 0 && !out[len(out)-1].Field.is("last_modified") {
		out = append(out, Key{Field{"last_modified"}, true})
	}
	if len(out) == 1 && out[0].Falling {
		return nil
	}
	return out
}

// isFieldName: ^[\w.]+$
func isFieldName(s string) bool {
	for _, c := range s {
		letter := c == '_' || c == '.' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80
		if !letter {
			return false
		}
	}
	return s != ""
}

// Oldest reports that the query wants the oldest first.
func (q *Query) Oldest() bool { return len(q.Sort) == 1 }

// Bounds are Since and Before as numbers to compare with.
func (q *Query) Bounds() (since, before int64) {
	before = q.Before
	if before < 0 {
		before = math.MaxInt64
	}
	return max(q.Since, -1), before
}

// keys are the values an object is sorted by.
func (q *Query) keys(o *Object) [][]byte {
	out := make([][]byte, len(q.Sort))
	for i, k := range q.Sort {
		out[i] = k.Field.of(o)
	}
	return out
}

// order compares the keys of two objects.
func (q *Query) order(a, b [][]byte) int {
	for i, k := range q.Sort {
		if c := compare(a[i], b[i]); c != 0 {
			if k.Falling {
				return -c
			}
			return c
		}
	}
	return 0
}

// Position is the place of an object in the query's order, as a JSON object of
// what it is sorted by.
func (q *Query) Position(o *Object) []byte {
	if len(q.Sort) == 0 {
		return append(strconv.AppendInt([]byte(`{"last_modified":`), o.Timestamp, 10), '}')
	}
	out := []byte{'{'}
	for _, k := range q.Sort {
		if v := k.Field.of(o); v != nil {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(append(out, quote(strings.Join(k.Field, "."))...), ':')
			out = append(out, v...)
		}
	}
	return append(out, '}')
}

// Continue makes the query begin after a Position. It reports false for text that
// is none.
func (q *Query) Continue(position []byte) bool {
	doc, err := compact(position)
	if err != nil || doc[0] != '{' {
		return false
	}
	raw := attribute(doc, "last_modified")
	if typeOf(raw) != isNumber {
		return false
	}
	ts, ok := integer(raw)
	switch {
	case !ok || ts < 0:
		return false
	case len(q.Sort) == 0 && (q.Before < 0 || ts < q.Before):
		q.Before = ts
	case len(q.Sort) == 0:
	case q.Oldest():
		q.Since = ts // below what was asked for when all was shown (recognise)
	default:
		for _, k := range q.Sort {
			q.After = append(q.After, attribute(doc, strings.Join(k.Field, ".")))
		}
	}
	return true
}

// Grant is a set of principals that hold one of some permissions on an object itself.
type Grant struct {
	Principals  []string
	Permissions []string
}

// pageBytes is about how much one page may hold: large objects make it end early.
const pageBytes = 16 << 20

// Page gathers what a query finds, for stores that leave filters and order to it.
// It holds one page and no more, however long the list. For every object of the
// list within the query's bounds, ids and grants: Wants, and then Add.
type Page struct {
	q       *Query
	ordered bool
	bytes   int
	more    bool
	found   []Object
	rows    rows
	ceiling [][]byte // of what was turned out: nothing that comes after it
}

// NewPage begins a page. With ordered, objects come in the query's order.
func NewPage(q *Query, ordered bool) *Page {
	if !ordered && len(q.Sort) == 0 {
		newest := *q
		newest.Sort = []Key{{Field{"last_modified"}, true}}
		q = &newest
	}
	return &Page{q: q, ordered: ordered, rows: rows{q: q}}
}

// Wants reports whether o belongs to the page, as far as is known now. o is not kept.
func (p *Page) Wants(o *Object) bool {
	if !p.q.Matches(o) {
		return false
	}
	if p.ordered {
		if p.q.Limit > 0 && len(p.found) > 0 && (len(p.found) >= p.q.Limit || p.bytes >= pageBytes) {
			p.more = true
		}
		return !p.more
	}
	k := p.q.keys(o)
	if p.q.After != nil && p.q.order(k, p.q.After) <= 0 {
		return false
	}
	if p.ceiling != nil && p.q.order(k, p.ceiling) >= 0 {
		p.more = true
		return false
	}
	return true
}

// Full reports that nothing more is wanted.
func (p *Page) Full() bool { return p.more && p.ordered }

// Add takes an object that is wanted and keeps it.
func (p *Page) Add(o Object) {
	p.bytes += o.size()
	if p.ordered {
		p.found = append(p.found, o)
		return
	}
	heap.Push(&p.rows, row{o, p.q.keys(&o)})
	for p.q.Limit > 0 && (len(p.rows.all) > p.q.Limit || p.bytes >= pageBytes && len(p.rows.all) > 1) {
		last := heap.Pop(&p.rows).(row)
		p.bytes -= last.o.size()
		p.ceiling, p.more = last.keys, true
	}
}

// Done returns the objects in order, and whether there are more.
func (p *Page) Done() (found []Object, more bool) {
	if !p.ordered {
		slices.SortFunc(p.rows.all, func(a, b row) int { return p.q.order(a.keys, b.keys) })
		for _, r := range p.rows.all {
			p.found = append(p.found, r.o)
		}
	}
	return p.found, p.more
}

func (o *Object) size() int { return len(o.ID) + len(o.Data) + len(o.Permissions) + 64 }

// row is an object of a page that is not ordered yet.
type row struct {
	o    Object
	keys [][]byte
}

// rows is a heap with the last object of the page on top.
type rows struct {
	q   *Query
	all []row
}

func (r *rows) Len() int           { return len(r.all) }
func (r *rows) Less(i, j int) bool { return r.q.order(r.all[i].keys, r.all[j].keys) > 0 }
func (r *rows) Swap(i, j int)      { r.all[i], r.all[j] = r.all[j], r.all[i] }
func (r *rows) Push(x any)         { r.all = append(r.all, x.(row)) }
func (r *rows) Pop() any {
	last := r.all[len(r.all)-1]
	r.all[len(r.all)-1] = row{}
	r.all = r.all[:len(r.all)-1]
	return last
}
