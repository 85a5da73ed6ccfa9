package kinto

import (
	"bytes"
	"slices"
	"strings"
)

// Filter is one condition on an attribute (protocol §7, filtering).
type Filter struct {
	Op     FilterOp
	Field  Field
	Values [][]byte // one value of JSON; any number for In, Exclude, Contains and ContainsAny

	ids     map[string]bool // Values of In and Exclude on id
	pattern *pattern        // Value of Like
}

// FilterOp is how a filter compares, by the prefix of its parameter.
type FilterOp string

// The operators.
const (
	Equal       FilterOp = "eq"
	Not         FilterOp = "not"
	Less        FilterOp = "lt"
	AtMost      FilterOp = "max"
	Greater     FilterOp = "gt"
	AtLeast     FilterOp = "min"
	In          FilterOp = "in"
	Exclude     FilterOp = "exclude"
	Like        FilterOp = "like"
	Has         FilterOp = "has"
	Contains    FilterOp = "contains"
	ContainsAny FilterOp = "contains_any"
)

// filterOps in the order in which a prefix is looked for.
var filterOps = []FilterOp{Less, AtLeast, AtMost, Not, Equal, Greater, In, Exclude, Like, Has, ContainsAny, Contains}

// ParseFilter reads the parameter name=values of a query string; more than one
// value is a name given more than once. last_modified is not for it.
func ParseFilter(name string, values []string) (Filter, error) {
	return parseFilter(name, values, func(Field) bool { return false })
}

// ParseFilter is a filter of a list of a kind. Where a field of it holds ids, which are
// text, a value that could be something else is text, too: record_id=1 is record_id="1".
func (k Kind) ParseFilter(name string, values []string) (Filter, error) {
	return parseFilter(name, values, func(f Field) bool {
		return slices.Contains(k.row().ids, strings.Join(f, "."))
	})
}

func parseFilter(name string, values []string, isText func(Field) bool) (Filter, error) {
	f := Filter{Op: Equal, Field: ParseField(name)}
	op, field := CutOp(name)
	f.Op, f.Field = op, ParseField(field)
	invalid := Invalid("querystring", name, "Invalid value for "+name)
	if op == In || op == Exclude {
		if len(values) > 1 {
			return f, invalid
		}
		for text := range strings.SplitSeq(values[0], ",") {
			f.Values = append(f.Values, ParseValue(text))
		}
	} else if len(values) > 1 {
		list := []byte{'['}
		for i, text := range values {
			if i > 0 {
				list = append(list, ',')
			}
			list = append(list, quote(text)...)
		}
		f.Values = [][]byte{append(list, ']')}
	} else {
		f.Values = [][]byte{ParseValue(values[0])}
	}
	for _, v := range f.Values {
		if bytes.Contains(v, []byte(`\u0000`)) {
			return f, invalid
		}
	}
	if isText(f.Field) && op != Has && len(values) == 1 {
		for i, v := range f.Values {
			if t := typeOf(v); t == isNumber || t == isBool || t == isNull {
				f.Values[i] = quote(string(v))
			}
		}
	}
	id := f.Field.is("id")
	switch op {
	case Contains, ContainsAny:
		if id {
			return f, Invalid("querystring", name, "Field 'id' is not an array")
		}
		if typeOf(f.Values[0]) == isArray {
			f.Values = elements(f.Values[0])
		}
		f.sort()
		return f, nil
	case Like:
		if typeOf(f.Values[0]) != isString {
			return f, invalid
		}
		if f.pattern = parsePattern(string(key(f.Values[0]))); f.pattern == nil {
			return f, invalid
		}
		return f, nil
	case Has:
		return f, nil
	}
	if op == In || op == Exclude {
		f.sort()
	}
	if !id {
		return f, nil
	}
	f.ids = map[string]bool{}
	for i, v := range f.Values {
		if typeOf(v) != isString {
			if op == Equal || op == In {
				return f, Invalid("querystring", name, python(v)+" is not a string")
			}
			f.Values[i] = quote(string(v))
		}
		f.ids[string(key(f.Values[i]))] = true
	}
	return f, nil
}

// CutOp splits the name of a parameter: "min_x" is AtLeast on x.
func CutOp(name string) (FilterOp, string) {
	for _, op := range filterOps {
		if rest, ok := strings.CutPrefix(name, string(op)+"_"); ok && isFieldName(rest) {
			return op, rest
		}
	}
	return Equal, name
}

// IDs are the only ids that can pass the filter; nil when that is not what it says.
func (f *Filter) IDs() []string {
	if !f.Field.is("id") || f.Op != Equal && f.Op != In {
		return nil
	}
	out := make([]string, 0, len(f.ids))
	for id := range f.ids {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// largeObject is the size from which on each filter of one object takes some time.
const largeObject = 64 << 10

// Matches reports whether an object passes the filters. A large one does not when nobody
// waits for the answer any more, which the store then finds, too.
func (q *Query) Matches(o *Object) bool {
	for i := range q.Filters {
		if !q.Filters[i].matches(o) || len(o.Data) >= largeObject && q.ended != nil && q.ended() {
			return false
		}
	}
	return true
}

func (f *Filter) matches(o *Object) bool {
	if f.ids != nil {
		switch f.Op {
		case Equal, In:
			return f.ids[o.ID]
		case Not, Exclude:
			return !f.ids[o.ID]
		}
	}
	v := f.Field.of(o)
	switch f.Op {
	case Equal, In:
		return v != nil && f.place(v) >= 0
	case Not, Exclude:
		return v == nil || f.place(v) < 0
	case Less:
		return compare(v, f.Values[0]) < 0
	case AtMost:
		return compare(v, f.Values[0]) <= 0
	case Greater:
		return compare(v, f.Values[0]) > 0
	case AtLeast:
		return compare(v, f.Values[0]) >= 0
	case Has:
		return (v != nil) == truthy(f.Values[0])
	case Like:
		switch typeOf(v) {
		case isMissing, isNull:
			return false
		case isString:
			v = key(v)
		}
		return f.pattern.matches(v)
	case Contains, ContainsAny:
		if typeOf(v) != isArray {
			return false
		}
		there, left := make([]bool, len(f.Values)), len(f.Values)
		any := false
		eachElement(v, func(e []byte) bool {
			if i := f.place(e); i >= 0 && !there[i] {
				there[i], any = true, true
				left--
			}
			return left > 0 && !(any && f.Op == ContainsAny)
		})
		return f.Op == Contains && left == 0 || f.Op == ContainsAny && any
	}
	panic("kinto: no such operator: " + string(f.Op))
}

// sort puts the values of a filter that has many in order, each once, so that place
// finds one quickly: what an object costs does not grow with them.
func (f *Filter) sort() {
	f.Values = slices.Clone(f.Values)
	slices.SortFunc(f.Values, compare)
	f.Values = slices.CompactFunc(f.Values, func(a, b []byte) bool { return compare(a, b) == 0 })
}

// place is where a value stands among those of a filter; negative: nowhere.
func (f *Filter) place(v []byte) int {
	i, ok := slices.BinarySearchFunc(f.Values, v, compare)
	if !ok {
		return -1
	}
	return i
}
