package kinto

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Body is what a request wants an object to be.
type Body struct {
	HasData     bool
	Data        []byte // checked and compact, without id and last_modified
	ID          string // data.id
	HasID       bool
	Modified    int64       // data.last_modified when it is an integer, however great; negative: none
	Permissions Permissions // by name; an empty list clears it; nil or empty: nothing said

	merge bool        // Data and Permissions are a JSON Merge Patch
	ops   []operation // a JSON Patch; not nil: nothing else is said
}

// Says reports whether there is anything in it for a Patch.
func (b *Body) Says() bool { return b.HasData || len(b.Permissions) > 0 || b.ops != nil }

// NoBody is the body of a request without one.
func NoBody() Body { return Body{Modified: -1} }

// ParseBody reads a request body for an object of kind k. An empty one says
// nothing. The error is an *InvalidError with every problem found; the Body
// then still has the id if one could be read.
func ParseBody(k Kind, text []byte) (Body, error) {
	b := NoBody()
	err := b.parse(k, text)
	return b, err
}

func (b *Body) parse(k Kind, text []byte) error {
	doc, err := document(text)
	switch {
	case err != nil:
		return err
	case doc[0] != '{':
		return problems(notMapping("", doc))
	}
	var bad []Problem
	var unknown []field
	for _, f := range fields(doc) {
		switch string(f.key) {
		case "data":
			bad = append(bad, b.data(f.raw)...)
		case "permissions":
			bad = append(bad, b.permissions(k, f.raw)...)
		default:
			unknown = append(unknown, f)
		}
	}
	if bad = append(bad, unrecognized("", unknown)...); len(bad) > 0 {
		return problems(bad...)
	}
	return nil
}

// document reads a body: an object or an array. An empty one is an object that says
// nothing. The error is an *InvalidError.
func document(text []byte) ([]byte, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return []byte("{}"), nil
	}
	doc, err := compact(text)
	why := "Should be a JSON object or an array"
	switch {
	case err != nil:
		why = "Invalid JSON: " + err.Error()
	case doc[0] == '{' || doc[0] == '[':
		return doc, nil
	}
	return nil, problems(Problem{Location: "body", Description: why}, Problem{Location: "body", Description: "Required"})
}

// unrecognized is what is wrong with an object that has members nobody knows.
func unrecognized(name string, members []field) []Problem {
	if len(members) == 0 {
		return nil
	}
	slices.SortFunc(members, func(a, b field) int { return bytes.Compare(a.key, b.key) })
	return []Problem{{Location: "body", Name: name, Description: `Unrecognized keys in mapping: "` + repr(join(members)) + `"`}}
}

// problems makes an InvalidError, sorted as the reference sorts.
func problems(p ...Problem) *InvalidError {
	slices.SortStableFunc(p, func(a, b Problem) int { return cmp.Compare(a.sortName(), b.sortName()) })
	return &InvalidError{p}
}

func (p Problem) sortName() string {
	if p.NoName {
		return "None"
	}
	return p.Name
}

// Problems joins what is wrong into one error; nil when nothing is.
func Problems(errs ...error) error {
	var all []Problem
	for _, err := range errs {
		if e, ok := err.(*InvalidError); ok && e != nil {
			all = append(all, e.Problems...)
		} else if err != nil {
			return err
		}
	}
	if len(all) == 0 {
		return nil
	}
	return problems(all...)
}

func (b *Body) data(raw []byte) []Problem {
	if raw[0] != '{' {
		return []Problem{notMapping("data", raw)}
	}
	b.HasData = true
	all := fields(raw)
	keep := all[:0]
	var bad []Problem
	for _, f := range all {
		switch string(f.key) {
		case "id":
			b.HasID = true
			if err := json.Unmarshal(f.raw, &b.ID); err != nil || f.raw[0] != '"' {
				b.ID = ""
				bad = append(bad, InvalidID().Problems...)
			}
		case "last_modified":
			n, ok := integer(f.raw)
			if ok && n < 0 {
				bad = append(bad, Problem{Location: "body", Name: "data.last_modified", Description: fmt.Sprintf("%d is less than minimum value 0", n)})
			} else if ok {
				b.Modified = n
			}
		default:
			keep = append(keep, f)
		}
	}
	b.Data = raw
	if len(keep) < len(all) {
		b.Data = join(keep)
	}
	return bad
}

// integer reads a JSON integer. One too big for a timestamp is the greatest number.
func integer(raw []byte) (int64, bool) {
	if bytes.ContainsAny(raw, `.eE"tfn[{`) {
		return 0, false
	}
	n, _ := strconv.ParseInt(string(raw), 10, 64) // clamps what is out of range
	return n, true
}

func (b *Body) permissions(k Kind, raw []byte) []Problem {
	if raw[0] != '{' {
		return []Problem{notMapping("permissions", raw)}
	}
	b.Permissions = Permissions{}
	var bad []Problem
	for _, f := range fields(raw) {
		name := string(f.key)
		if !slices.Contains(k.Permissions(), name) {
			bad = append(bad, unknownPermission(k, name))
			continue
		}
		if string(f.raw) == "null" {
			if b.merge {
				b.Permissions[name] = nil
			}
			continue
		}
		if f.raw[0] != '[' {
			bad = append(bad, Problem{Location: "body", Name: "permissions." + name, Description: fmt.Sprintf("%s is not iterable", pyText(f.raw))})
			continue
		}
		var list []json.RawMessage
		if err := json.Unmarshal(f.raw, &list); err != nil {
			panic("kinto: a checked list is none: " + err.Error())
		}
		who := make([]string, len(list))
		for i, e := range list {
			if e[0] != '"' {
				bad = append(bad, Problem{Location: "body", Name: fmt.Sprintf("permissions.%s.%d", name, i), Description: python(e) + " is not a string: {'': ''}"})
				continue
			}
			who[i] = string(key(e))
		}
		b.Permissions[name] = who
	}
	return bad
}

func unknownPermission(k Kind, name string) Problem {
	return Problem{Location: "body", Name: "permissions", Description: fmt.Sprintf(`"%s" is not one of %s`, name, strings.Join(k.Permissions(), ", "))}
}

func notMapping(name string, raw []byte) Problem {
	return Problem{Location: "body", Name: name, Description: pyText(raw) + " is not a mapping type: Does not implement dict-like functionality."}
}

// pyText shows a value in double quotes, as the reference's messages do.
func pyText(raw []byte) string {
	if raw[0] == '"' {
		return `"` + short(key(raw)) + `"`
	}
	return `"` + python(raw) + `"`
}

// python shows a value the way the reference's messages do, cut to a length a
// person reads.
func python(raw []byte) string {
	switch string(raw) {
	case "true":
		return "True"
	case "false":
		return "False"
	case "null":
		return "None"
	}
	if raw[0] == '"' || raw[0] == '[' || raw[0] == '{' {
		return repr(raw)
	}
	return short(raw)
}

func short(s []byte) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(string(s[:200]), "") + "…"
	}
	return string(s)
}
