package kinto

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of one text: nesting, so that none costs a stack, and values, so that none
// costs many times its size in memory.
const (
	maxDepth  = 100
	maxValues = 100_000
)

// parser checks JSON (RFC 8259, UTF-8 only) and copies it without insignificant
// white space and without duplicate keys, of which the last wins. Everything
// else keeps its bytes: numbers keep their digits, strings their escapes.
type parser struct {
	in     []byte
	pos    int
	out    []byte
	values int
}

// compact returns in, checked and copied.
func compact(in []byte) ([]byte, error) {
	p := parser{in: in, out: make([]byte, 0, len(in))}
	p.space()
	if err := p.value(0); err != nil {
		return nil, err
	}
	p.space()
	if p.pos < len(p.in) {
		return nil, p.fail("nothing more")
	}
	return p.out, nil
}

func (p *parser) fail(want string) error {
	if p.pos >= len(p.in) {
		return fmt.Errorf("the text ends where %s is expected", want)
	}
	line := 1 + bytes.Count(p.in[:p.pos], []byte("\n"))
	column := p.pos - bytes.LastIndexByte(p.in[:p.pos], '\n')
	return fmt.Errorf("line %d column %d: expected %s", line, column, want)
}

func (p *parser) space() {
	for p.pos < len(p.in) {
		switch p.in[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// take copies c if it is next.
func (p *parser) take(c byte) bool {
	if p.pos < len(p.in) && p.in[p.pos] == c {
		p.pos++
		p.out = append(p.out, c)
		return true
	}
	return false
}

func (p *parser) value(depth int) error {
	if depth > maxDepth {
		return p.fail(fmt.Sprintf("a depth of at most %d", maxDepth))
	}
	if p.values++; p.values > maxValues {
		return p.fail(fmt.Sprintf("at most %d values", maxValues))
	}
	if p.pos >= len(p.in) {
		return p.fail("a value")
	}
	switch c := p.in[p.pos]; {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		return p.string()
	case c == '-' || '0' <= c && c <= '9':
		return p.number()
	}
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(p.in[p.pos:], []byte(word)) {
			p.pos += len(word)
			p.out = append(p.out, word...)
			return nil
		}
	}
	return p.fail("a value")
}

func (p *parser) object(depth int) error {
	start := len(p.out)
	p.take('{')
	p.space()
	if p.take('}') {
		return nil
	}
	twice := false
	var few [16]member
	members := few[:0]
	var seen map[string]bool // once there are many
	for {
		m := member{at: len(p.out)}
		if p.pos >= len(p.in) || p.in[p.pos] != '"' {
			return p.fail("a key in double quotes")
		}
		if err := p.string(); err != nil {
			return err
		}
		m.key = key(p.out[m.at:len(p.out)])
		if bytes.IndexByte(p.out[m.at:], '\\') >= 0 {
			// A name has one spelling: whoever looks for it finds it.
			p.out = append(p.out[:m.at], spelt(m.key)...)
		}
		p.space()
		if !p.take(':') {
			return p.fail("a colon")
		}
		p.space()
		if err := p.value(depth + 1); err != nil {
			return err
		}
		m.end = len(p.out)
		if seen == nil && len(members) == cap(few[:]) {
			seen = make(map[string]bool, 4*len(few))
			for _, m := range members {
				seen[string(m.key)] = true
			}
		}
		if seen != nil {
			twice = twice || seen[string(m.key)]
			seen[string(m.key)] = true
		} else {
			for i := range members {
				twice = twice || bytes.Equal(members[i].key, m.key)
			}
		}
		members = append(members, m)
		p.space()
		if p.take('}') {
			break
		}
		if !p.take(',') {
			return p.fail("a comma or a closing brace")
		}
		p.space()
	}
	if twice {
		p.out = append(p.out[:start], lastOfEach(p.out, members)...)
	}
	return nil
}

// member is one key and value of an object at out[at:end].
type member struct {
	key     []byte // without quotes and escapes
	at, end int
}

// lastOfEach writes an object anew with the last member of each key, in the
// place of the first.
func lastOfEach(out []byte, members []member) []byte {
	last := map[string]member{}
	for _, m := range members {
		last[string(m.key)] = m
	}
	fresh := []byte{'{'}
	for _, m := range members {
		if m, ok := last[string(m.key)]; ok {
			if len(fresh) > 1 {
				fresh = append(fresh, ',')
			}
			fresh = append(fresh, out[m.at:m.end]...)
			delete(last, string(m.key))
		}
	}
	return append(fresh, '}')
}

// spelt is a key in quotes, with no more escapes than it needs.
func spelt(key []byte) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(string(key)); err != nil {
		panic("kinto: a key cannot be encoded: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// key is a quoted key without quotes and escapes.
func key(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		panic("kinto: a checked string is none: " + err.Error())
	}
	return []byte(s)
}

func (p *parser) array(depth int) error {
	p.take('[')
	p.space()
	if p.take(']') {
		return nil
	}
	for {
		if err := p.value(depth + 1); err != nil {
			return err
		}
		p.space()
		if p.take(']') {
			return nil
		}
		if !p.take(',') {
			return p.fail("a comma or a closing bracket")
		}
		p.space()
	}
}

func (p *parser) string() error {
	start := p.pos
	p.pos++
	ascii := true
	for ; p.pos < len(p.in); p.pos++ {
		switch c := p.in[p.pos]; {
		case c == '"':
			p.pos++
			if !ascii && !utf8.Valid(p.in[start:p.pos]) {
				p.pos = start
				return p.fail("text in UTF-8")
			}
			p.out = append(p.out, p.in[start:p.pos]...)
			return nil
		case c == '\\':
			p.pos++
			if p.pos >= len(p.in) {
				return p.fail("an escape")
			}
			switch p.in[p.pos] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				unit, err := p.unit()
				if err != nil {
					return err
				}
				// Text is Unicode (RFC 8259 §8.2): half a character is none, and who reads
				// the list it is in may not be able to read any of it.
				if utf16.IsSurrogate(unit) {
					if unit >= 0xdc00 || !bytes.HasPrefix(p.in[p.pos+1:], []byte(`\u`)) {
						return p.fail("both halves of a surrogate pair")
					}
					p.pos += 2
					low, err := p.unit()
					if err != nil {
						return err
					}
					if low < 0xdc00 || low > 0xdfff {
						return p.fail("both halves of a surrogate pair")
					}
				}
			default:
				return p.fail("an escape")
			}
		case c < 0x20:
			return p.fail("an escaped control character")
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return p.fail("a closing quote")
}

// unit reads the four digits after \u; it ends on the last of them.
func (p *parser) unit() (r rune, err error) {
	for range 4 {
		p.pos++
		if p.pos >= len(p.in) || !hex(p.in[p.pos]) {
			return 0, p.fail("four hexadecimal digits")
		}
	}
	n, err := strconv.ParseUint(string(p.in[p.pos-3:p.pos+1]), 16, 16)
	return rune(n), err
}

func hex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func (p *parser) number() error {
	start := p.pos
	if p.in[p.pos] == '-' {
		p.pos++
	}
	if p.pos < len(p.in) && p.in[p.pos] == '0' {
		p.pos++
	} else if !p.digits() {
		return p.fail("a digit")
	}
	if p.pos < len(p.in) && p.in[p.pos] == '.' {
		p.pos++
		if !p.digits() {
			return p.fail("a digit")
		}
	}
	if p.pos < len(p.in) && (p.in[p.pos] == 'e' || p.in[p.pos] == 'E') {
		p.pos++
		if p.pos < len(p.in) && (p.in[p.pos] == '+' || p.in[p.pos] == '-') {
			p.pos++
		}
		if !p.digits() {
			return p.fail("a digit")
		}
	}
	// Most readers keep numbers as doubles (RFC 8259 §6): one that is none of them, such
	// as 1e400, is another number to each, or the end of the whole list.
	if text := p.in[start:p.pos]; len(text) > 300 || bytes.ContainsAny(text, "eE") {
		if _, err := strconv.ParseFloat(string(text), 64); err != nil {
			p.pos = start
			return p.fail("a number below 1.8e308")
		}
	}
	p.out = append(p.out, rounded(p.in[start:p.pos])...)
	return nil
}

// rounded is a number as everybody reads it. A whole one beyond 64 bits is a double to most
// readers, and each would make another number of its last digits: it becomes that double,
// written with all its digits (protocol §9).
func rounded(text []byte) []byte {
	const fits = 18 // digits
	whole := !bytes.ContainsAny(text, ".eE")
	if whole && len(text) <= fits {
		return text
	}
	if whole {
		if _, err := strconv.ParseInt(string(text), 10, 64); err == nil {
			return text
		}
		if _, err := strconv.ParseUint(string(text), 10, 64); err == nil {
			return text
		}
	}
	f, err := strconv.ParseFloat(string(text), 64)
	switch abs := math.Abs(f); {
	case err != nil, !whole && (abs < 1<<64 || abs >= 1e21): // as it was written; JavaScript writes no longer ones out either
		return text
	}
	return strconv.AppendFloat(nil, f, 'f', -1, 64)
}

func (p *parser) digits() bool {
	start := p.pos
	for p.pos < len(p.in) && '0' <= p.in[p.pos] && p.in[p.pos] <= '9' {
		p.pos++
	}
	return p.pos > start
}

// field is one member of a checked object.
type field struct {
	key  []byte // without quotes and escapes
	text []byte // the whole member, "key":value
	raw  []byte // the value
}

// fields splits a checked and compact object.
func fields(object []byte) []field {
	var out []field
	for i := 1; i < len(object) && object[i] != '}'; {
		start := i
		i = skip(object, i)
		f := field{key: key(object[start:i])}
		i++ // colon
		from := i
		i = skip(object, i)
		f.text, f.raw = object[start:i:i], object[from:i:i]
		out = append(out, f)
		if object[i] == ',' {
			i++
		}
	}
	return out
}

// skip returns the end of the checked value at i.
func skip(b []byte, i int) int {
	switch b[i] {
	case '"':
		for i++; b[i] != '"'; i++ {
			if b[i] == '\\' {
				i++
			}
		}
		return i + 1
	case '{', '[':
		depth := 0
		for {
			switch b[i] {
			case '"':
				i = skip(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
	}
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' {
		i++
	}
	return i
}

// join writes an object of fields.
func join(fs []field) []byte {
	n := 2
	for _, f := range fs {
		n += len(f.text) + 1
	}
	out := append(make([]byte, 0, n), '{')
	for i, f := range fs {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, f.text...)
	}
	return append(out, '}')
}
