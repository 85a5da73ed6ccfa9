package kinto

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Bounds of what one JSON Patch costs, since other writes wait for it.
const (
	patchOps   = 1000
	patchBytes = 16 << 20 // compared and copied, and 8 for each name looked at
)

// operation is one step of a JSON Patch (RFC 6902).
type operation struct {
	op         string
	path, from []string
	value      []byte // nil: none
}

// ParseMergePatch reads a JSON Merge Patch (RFC 7396) for an object of kind k.
func ParseMergePatch(k Kind, text []byte) (Body, error) {
	b := Body{Modified: -1, merge: true}
	err := b.parse(k, text)
	return b, err
}

// ParseJSONPatch reads a JSON Patch (RFC 6902) for an object of kind k. The document
// it is for: {"data": {…}, "permissions": {permission: {principal: principal}}}.
func ParseJSONPatch(k Kind, text []byte) (Body, error) {
	b := NoBody()
	doc, err := document(text)
	if err != nil {
		return b, err
	}
	if doc[0] != '[' {
		return b, Invalid("body", "", pyText(doc)+" is not iterable")
	}
	all := elements(doc)
	if len(all) > patchOps {
		return b, Invalid("body", "", fmt.Sprintf("A patch has at most %d operations", patchOps))
	}
	b.ops = []operation{}
	var bad []Problem
	for i, raw := range all {
		op, p := parseOperation(k, strconv.Itoa(i), raw)
		bad = append(bad, p...)
		b.ops = append(b.ops, op)
	}
	if len(bad) > 0 {
		return b, problems(bad...)
	}
	return b, nil
}

func parseOperation(k Kind, at string, raw []byte) (o operation, bad []Problem) {
	wrong := func(name, description string) {
		bad = append(bad, Problem{Location: "body", Name: name, Description: description})
	}
	if raw[0] != '{' {
		wrong(at, notMapping("", raw).Description)
		return o, bad
	}
	pointer := func(name string, raw []byte) []string {
		if typeOf(raw) != isString {
			wrong(at+"."+name, python(raw)+" is not a string: {'': ''}")
			return nil
		}
		text := string(key(raw))
		if !strings.HasPrefix(text, "/") {
			wrong(at+"."+name, "String does not match expected pattern")
			return nil
		}
		path := strings.Split(text[1:], "/")
		for i, s := range path {
			path[i] = strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
		}
		return path
	}
	var unknown []field
	for _, f := range fields(raw) {
		switch string(f.key) {
		case "op":
			o.op = string(key(stringOr(f.raw)))
			if !slices.Contains([]string{"test", "add", "remove", "replace", "move", "copy"}, o.op) {
				wrong(at+".op", fmt.Sprintf("%s is not one of test, add, remove, replace, move, copy", pyText(f.raw)))
			}
		case "path":
			o.path = pointer("path", f.raw)
		case "from":
			o.from = pointer("from", f.raw)
		case "value":
			o.value = f.raw
		default:
			unknown = append(unknown, f)
		}
	}
	bad = append(bad, unrecognized(at, unknown)...)
	if o.op == "" && len(bad) == 0 {
		wrong(at+".op", "Required")
	}
	if o.path == nil && len(bad) == 0 {
		wrong(at+".path", "Required")
	}
	if len(bad) > 0 {
		return o, bad
	}
	if o.op == "add" || o.op == "replace" {
		switch {
		case o.principal():
			o.value = quote(o.path[2]) // whatever was sent
		case o.path[0] == "permissions" && len(o.path) == 2:
			o.value = principals(o.value)
		case o.path[0] == "permissions" && len(o.path) == 1 && typeOf(o.value) == isObject:
			all := fields(o.value)
			for i, f := range all {
				all[i].text = append(slices.Clip(f.text[:len(f.text)-len(f.raw)]), principals(f.raw)...)
			}
			o.value = join(all)
		}
	}
	return o, bad
}

// principals is a list of principals as the document has them, {principal: principal};
// what is none is left as it is.
func principals(v []byte) []byte {
	if typeOf(v) != isArray {
		return v
	}
	var out []field
	seen := map[string]bool{}
	for _, e := range elements(v) {
		if typeOf(e) != isString {
			return v
		}
		if who := string(key(e)); !seen[who] {
			seen[who] = true
			out = append(out, field{text: slices.Concat(spelt([]byte(who)), []byte(":"), e)})
		}
	}
	return join(out)
}

// lacks is the member that an operation does not have, and needs; empty: none.
func (o *operation) lacks() string {
	switch o.op {
	case "add", "replace", "test":
		if o.value == nil {
			return "value"
		}
	case "move", "copy":
		if o.from == nil {
			return "from"
		}
	}
	return ""
}

// principal reports whether the operation is on one principal of a permission.
func (o *operation) principal() bool { return len(o.path) == 3 && o.path[0] == "permissions" }

// patch is what a body becomes once its operations were done on old.
func (b Body) patch(k Kind, old *Object) (Body, error) {
	failed := func(why string) error {
		return &InvalidError{[]Problem{{Location: "body", NoName: true, Description: "JSON Patch operation failed: " + why}}}
	}
	held, err := DecodePermissions(old.Permissions)
	if err != nil {
		return b, err
	}
	for _, name := range []string{"read", "write"} {
		if held[name] == nil {
			held[name] = []string{}
		}
	}
	doc := old.AppendJSON([]byte(`{"data":`))
	doc = append(doc, `,"permissions":{`...)
	for i, name := range k.Permissions() {
		who, ok := held[name]
		if !ok {
			continue
		}
		if i > 0 && doc[len(doc)-1] != '{' {
			doc = append(doc, ',')
		}
		doc = append(append(doc, quote(name)...), ":{"...)
		for j, p := range who {
			if j > 0 {
				doc = append(doc, ',')
			}
			doc = append(append(append(doc, quote(p)...), ':'), quote(p)...)
		}
		doc = append(doc, '}')
	}
	t := tree{root: &node{raw: append(doc, "}}"...)}, left: patchBytes}
	for _, o := range b.ops {
		if o.op == "add" && o.principal() && slices.Contains(k.Permissions(), o.path[1]) {
			if all := t.find(o.path[:1]); all != nil && t.find(o.path[:2]) == nil {
				all.set(o.path[1], &node{raw: []byte("{}")})
			}
		}
		if why := t.do(o); why != "" {
			return b, failed(why)
		}
	}
	result, err := compact(t.root.append(nil))
	if err != nil {
		return b, failed(err.Error())
	}
	if typeOf(attribute(result, "data")) != isObject {
		return b, failed("the data would be no object")
	}
	out := NoBody()
	var bad []Problem
	permissions := Permissions{}
	for _, f := range fields(result) {
		switch string(f.key) {
		case "data":
			bad = append(bad, out.data(f.raw)...)
		case "permissions":
			if typeOf(f.raw) != isObject {
				return b, failed("the permissions would be no object")
			}
			for _, p := range fields(f.raw) {
				if typeOf(p.raw) != isObject {
					return b, failed("a permission would not be an object of principals")
				}
				who := []string{}
				for _, m := range fields(p.raw) {
					who = append(who, string(m.key))
				}
				name := string(p.key)
				if !slices.Contains(k.Permissions(), name) {
					bad = append(bad, unknownPermission(k, name))
					continue
				}
				permissions[name] = who
			}
		default:
			return b, failed("there is nothing but data and permissions")
		}
	}
	out.Permissions = permissions
	if len(bad) > 0 {
		return b, problems(bad...)
	}
	return out, nil
}

// tree is a document that is being patched.
type tree struct {
	root *node
	left int // of patchBytes
}

// node is a value: raw until something below it is asked for.
type node struct {
	raw     []byte // nil: what follows
	object  bool
	members []namedNode
	list    []*node
}

type namedNode struct {
	name []byte // quoted
	node *node
}

// open takes an object or array apart; false for other values.
func (n *node) open() bool {
	if n.raw == nil {
		return true
	}
	switch typeOf(n.raw) {
	case isObject:
		n.object = true
		for _, f := range fields(n.raw) {
			n.members = append(n.members, namedNode{f.text[:len(f.text)-len(f.raw)-1], &node{raw: f.raw}})
		}
	case isArray:
		for _, e := range elements(n.raw) {
			n.list = append(n.list, &node{raw: e})
		}
	default:
		return false
	}
	n.raw = nil
	return true
}

func (n *node) append(b []byte) []byte {
	if n.raw != nil {
		return append(b, n.raw...)
	}
	if n.object {
		b = append(b, '{')
		for i, m := range n.members {
			if i > 0 {
				b = append(b, ',')
			}
			b = m.node.append(append(append(b, m.name...), ':'))
		}
		return append(b, '}')
	}
	b = append(b, '[')
	for i, e := range n.list {
		if i > 0 {
			b = append(b, ',')
		}
		b = e.append(b)
	}
	return append(b, ']')
}

func (n *node) at(name string) int {
	return slices.IndexFunc(n.members, func(m namedNode) bool { return string(key(m.name)) == name })
}

// set gives an object a member.
func (n *node) set(name string, v *node) {
	if !n.open() || !n.object {
		return
	}
	if i := n.at(name); i >= 0 {
		n.members[i].node = v
		return
	}
	n.members = append(n.members, namedNode{quote(name), v})
}

// index reads the place in an array of n elements.
func index(name string, n int) (int, bool) {
	i, err := strconv.Atoi(name)
	return i, err == nil && strconv.Itoa(i) == name && i >= 0 && i < n
}

// find returns the node at a path, or nil.
func (t *tree) find(path []string) *node {
	n := t.root
	for _, name := range path {
		if !n.open() {
			return nil
		}
		if n.object {
			t.left -= 8 * len(n.members)
			i := n.at(name)
			if i < 0 {
				return nil
			}
			n = n.members[i].node
		} else {
			i, ok := index(name, len(n.list))
			if !ok {
				return nil
			}
			n = n.list[i]
		}
	}
	return n
}

const patchTooLarge = "the patch is too large: it looks at too much"

// do does one operation; it returns why it cannot.
func (t *tree) do(o operation) string {
	path := short([]byte("/" + strings.Join(o.path, "/")))
	missing := "there is nothing at '" + path + "'"
	if t.left < 0 {
		return patchTooLarge
	}
	if name := o.lacks(); name != "" {
		return "The operation does not contain a '" + name + "' member"
	}
	switch o.op {
	case "test":
		n := t.find(o.path)
		if n == nil {
			return missing
		}
		text, ok := t.text(n)
		if !ok {
			return patchTooLarge
		}
		if compare(text, o.value) != 0 {
			return "the value at '" + path + "' is another one"
		}
	case "remove":
		if t.remove(o.path) == nil {
			return missing
		}
	case "replace":
		n := t.find(o.path)
		if n == nil {
			return missing
		}
		*n = node{raw: o.value}
	case "add":
		return t.add(o.path, &node{raw: o.value})
	case "copy":
		n := t.find(o.from)
		if n == nil {
			return "there is nothing at '" + short([]byte("/"+strings.Join(o.from, "/"))) + "'"
		}
		text, ok := t.text(n)
		if !ok {
			return patchTooLarge
		}
		return t.add(o.path, &node{raw: text})
	case "move":
		if len(o.path) > len(o.from) && slices.Equal(o.path[:len(o.from)], o.from) {
			return "a value cannot be moved into itself"
		}
		n := t.remove(o.from)
		if n == nil {
			return "there is nothing at '" + short([]byte("/"+strings.Join(o.from, "/"))) + "'"
		}
		return t.add(o.path, n)
	}
	return ""
}

// text is a node as JSON, while there is room for it.
func (t *tree) text(n *node) ([]byte, bool) {
	text := n.append(nil)
	t.left -= len(text)
	return text, t.left >= 0
}

func (t *tree) add(path []string, v *node) string {
	last := path[len(path)-1]
	n := t.find(path[:len(path)-1])
	switch {
	case n == nil || !n.open():
		return "there is nothing to add '" + short([]byte(last)) + "' to"
	case n.object:
		t.left -= 8 * len(n.members)
		n.set(last, v)
	case last == "-":
		n.list = append(n.list, v)
	default:
		i, ok := index(last, len(n.list)+1)
		if !ok {
			return "'" + short([]byte(last)) + "' is no place in the list"
		}
		n.list = slices.Insert(n.list, i, v)
	}
	return ""
}

// remove takes the node at a path out, and returns it; nil when there is none.
func (t *tree) remove(path []string) *node {
	last := path[len(path)-1]
	n := t.find(path[:len(path)-1])
	if n == nil || !n.open() {
		return nil
	}
	if n.object {
		t.left -= 8 * len(n.members)
		i := n.at(last)
		if i < 0 {
			return nil
		}
		out := n.members[i].node
		n.members = slices.Delete(n.members, i, i+1)
		return out
	}
	i, ok := index(last, len(n.list))
	if !ok {
		return nil
	}
	out := n.list[i]
	n.list = slices.Delete(n.list, i, i+1)
	return out
}
