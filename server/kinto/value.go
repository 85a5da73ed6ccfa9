package kinto

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
)

// Values are raw JSON, checked and compact; nil is a missing value.

// ParseValue reads a value as query strings write it: JSON where it is JSON, else
// the text itself as a string.
func ParseValue(text string) []byte {
	if doc, err := compact([]byte(text)); err == nil {
		return doc
	}
	return quote(text)
}

// quote is text as a JSON string.
func quote(text string) []byte {
	out, err := json.Marshal(text)
	if err != nil {
		panic("kinto: text cannot be encoded: " + err.Error())
	}
	return out
}

// lookup finds the value at a path in a checked object.
func lookup(doc []byte, path []string) []byte {
	for _, name := range path {
		if doc = attribute(doc, name); doc == nil {
			return nil
		}
	}
	return doc
}

// attribute is the value of one member of a checked value; nil when it is no object
// or has no such member.
func attribute(doc []byte, name string) []byte {
	if len(doc) == 0 || doc[0] != '{' {
		return nil
	}
	for i := 1; doc[i] != '}'; {
		start := i
		i = skip(doc, i)
		found := string(key(doc[start:i])) == name
		i++ // colon
		from := i
		i = skip(doc, i)
		if found {
			return doc[from:i:i]
		}
		if doc[i] == ',' {
			i++
		}
	}
	return nil
}

// elements splits a checked array.
func elements(array []byte) [][]byte {
	var out [][]byte
	eachElement(array, func(e []byte) bool {
		out = append(out, e)
		return true
	})
	return out
}

// eachElement calls fn for the elements of a checked array, until it returns false.
func eachElement(array []byte, fn func([]byte) bool) {
	for i := 1; array[i] != ']'; {
		from := i
		i = skip(array, i)
		if !fn(array[from:i:i]) {
			return
		}
		if array[i] == ',' {
			i++
		}
	}
}

// parts counts the elements of a checked array or the members of an object.
func parts(v []byte) (n int) {
	for i := 1; v[i] != ']' && v[i] != '}'; n++ {
		if i = skip(v, i); v[i] == ':' {
			i = skip(v, i+1)
		}
		if v[i] == ',' {
			i++
		}
	}
	return n
}

// The types of values, in their order.
const (
	isNull = iota
	isString
	isNumber
	isBool
	isArray
	isObject
	isMissing
)

func typeOf(v []byte) int {
	if v == nil {
		return isMissing
	}
	switch v[0] {
	case 'n':
		return isNull
	case '"':
		return isString
	case 't', 'f':
		return isBool
	case '[':
		return isArray
	case '{':
		return isObject
	}
	return isNumber
}

// compare orders values: null < string < number < boolean < array < object <
// missing; strings by bytes, arrays and objects by length first (protocol §7).
// Zero is equality of JSON values.
func compare(a, b []byte) int {
	t := typeOf(a)
	if c := cmp.Compare(t, typeOf(b)); c != 0 {
		return c
	}
	switch t {
	case isString:
		return bytes.Compare(key(a), key(b))
	case isNumber:
		return compareNumbers(a, b)
	case isBool:
		return cmp.Compare(a[0], b[0]) // "false" < "true"
	case isArray:
		if c := cmp.Compare(parts(a), parts(b)); c != 0 {
			return c // the most there can be to compare, a filter brings along
		}
		x, y := elements(a), elements(b)
		for i := range x {
			if c := compare(x[i], y[i]); c != 0 {
				return c
			}
		}
	case isObject:
		if c := cmp.Compare(parts(a), parts(b)); c != 0 {
			return c
		}
		x, y := sortedFields(a), sortedFields(b)
		for i := range x {
			if c := compareKeys(x[i], y[i]); c != 0 {
				return c
			}
			if c := compare(x[i].raw, y[i].raw); c != 0 {
				return c
			}
		}
	}
	return 0
}

func sortedFields(object []byte) []field {
	fs := fields(object)
	slices.SortFunc(fs, compareKeys)
	return fs
}

func compareKeys(a, b field) int {
	return cmp.Or(cmp.Compare(len(a.key), len(b.key)), bytes.Compare(a.key, b.key))
}

// compareNumbers compares digits rather than floats: exact, whatever the size.
func compareNumbers(a, b []byte) int {
	if len(a) <= 18 && len(b) <= 18 {
		x, err := strconv.ParseInt(string(a), 10, 64)
		y, err2 := strconv.ParseInt(string(b), 10, 64)
		if err == nil && err2 == nil {
			return cmp.Compare(x, y)
		}
	}
	x, y := newDecimal(a), newDecimal(b)
	if c := cmp.Compare(x.sign, y.sign); c != 0 || x.sign == 0 {
		return c
	}
	return x.sign * cmp.Or(cmp.Compare(x.exponent, y.exponent), bytes.Compare(x.digits, y.digits))
}

// decimal is sign · 0.digits · 10^exponent; digits neither begin nor end with 0.
type decimal struct {
	sign     int
	digits   []byte
	exponent int64
}

func newDecimal(raw []byte) decimal {
	d := decimal{sign: 1}
	if raw[0] == '-' {
		d.sign, raw = -1, raw[1:]
	}
	if i := bytes.IndexAny(raw, "eE"); i >= 0 {
		d.exponent, _ = strconv.ParseInt(string(raw[i+1:]), 10, 32) // clamps what is out of range
		raw = raw[:i]
	}
	whole, fraction, _ := bytes.Cut(raw, []byte{'.'})
	d.exponent += int64(len(whole))
	all := append(slices.Clip(whole), fraction...)
	d.digits = bytes.TrimLeft(all, "0")
	d.exponent -= int64(len(all) - len(d.digits))
	d.digits = bytes.TrimRight(d.digits, "0")
	if len(d.digits) == 0 {
		d.sign = 0
	}
	return d
}

// truthy is what the reference's language makes of a value.
func truthy(v []byte) bool {
	switch string(v) {
	case "null", "false", `""`, "[]", "{}":
		return false
	}
	return typeOf(v) != isNumber || newDecimal(v).sign != 0
}
