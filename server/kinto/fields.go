package kinto

import (
	"strconv"
	"strings"
)

// Fields is a selection of attributes, by name; one with a value of its own selects
// in the object below it. nil selects everything.
type Fields map[string]Fields

// ParseFields reads "a,b.c"; nothing is everything.
func ParseFields(text string) Fields {
	var all Fields
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if all == nil {
			all = Fields{}
		}
		at, path := all, ParseField(name)
		for i, step := range path {
			below, there := at[step]
			if there && below == nil {
				break // the whole of it is selected already
			}
			if i == len(path)-1 {
				at[step] = nil
				break
			}
			if below == nil {
				below = Fields{}
				at[step] = below
			}
			at = below
		}
	}
	return all
}

// AppendFields is AppendJSON with the selected attributes; id and last_modified
// are always among them.
func (o *Object) AppendFields(b []byte, fs Fields) []byte {
	if fs == nil {
		return o.AppendJSON(b)
	}
	b = append(b, `{"id":"`...)
	b = append(b, o.ID...)
	b = append(b, `","last_modified":`...)
	b = strconv.AppendInt(b, o.Timestamp, 10)
	if _, ok := fs["deleted"]; ok && o.Deleted {
		b = append(b, `,"deleted":true`...)
	}
	if o.Deleted {
		return append(b, '}')
	}
	return append(fs.append(b, o.Data, false), '}')
}

// append appends the selected members of a checked object, without its braces.
func (fs Fields) append(b, object []byte, first bool) []byte {
	for _, f := range fields(object) {
		below, ok := fs[string(f.key)]
		if !ok {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		if below == nil || f.raw[0] != '{' {
			b = append(b, f.text...)
			continue
		}
		b = append(b, f.text[:len(f.text)-len(f.raw)]...)
		b = append(below.append(append(b, '{'), f.raw, true), '}')
	}
	return b
}
