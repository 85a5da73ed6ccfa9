package changelog

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// canonical reads the lines there are most of, as Append writes them: commits, objects and
// lists, whose texts have no escapes. It is five times as fast as what reads all others
// (parse), and agrees with it; ok is false for whatever it is not sure of.
func canonical(text []byte) (l Line, ok bool) {
	c := cursor{text: bytes.TrimSuffix(text, []byte("\n"))}
	switch {
	case c.skip(`{"object":[`):
		l.Kind = Object
		l.Parent, l.Of, l.ID = c.three()
		if l.Time = c.number(); !c.skip("]") {
			return l, false
		}
		if l.Gone = c.skip(`,"gone":true}`); !l.Gone {
			l.Permissions, l.Data = c.values()
		}
	case c.skip(`{"list":[`):
		l.Kind = List
		l.Parent, l.Of = c.two()
		l.Time = c.number()
		c.want("]}")
	case c.skip(`{"seq":`):
		l.Kind = Commit
		l.Seq = c.number()
		c.want(`,"at":`)
		l.Time = c.number()
		if c.skip(`,"sum":"`) {
			l.Sum = string(c.string())
		}
		c.want("}")
	default:
		return l, false
	}
	return l, !c.lost && len(c.text) == 0
}

// cursor goes through a text; lost: it is not what was expected.
type cursor struct {
	text []byte
	lost bool
}

// skip goes behind a text, if it is there.
func (c *cursor) skip(text string) bool {
	if len(c.text) < len(text) || string(c.text[:len(text)]) != text {
		return false
	}
	c.text = c.text[len(text):]
	return true
}

func (c *cursor) want(text string) {
	if !c.skip(text) {
		c.lost = true
	}
}

// string is a string whose first quotation mark was passed.
func (c *cursor) string() []byte {
	plain := true
	for i, b := range c.text {
		switch {
		case b == '"':
			s := c.text[:i]
			c.text = c.text[i+1:]
			c.lost = c.lost || !plain && !utf8.Valid(s)
			return s
		case b == '\\' || b < 0x20:
			c.lost = true
			return nil
		case b >= utf8.RuneSelf:
			plain = false
		}
	}
	c.lost = true
	return nil
}

// two are two strings, with a comma behind each, in one piece of memory.
func (c *cursor) two() (first, second string) {
	begin := c.text
	c.want(`"`)
	a := len(c.string())
	c.want(`,"`)
	b := len(c.string())
	c.want(",")
	if c.lost {
		return "", ""
	}
	both := string(begin[:a+b+5])
	return both[1 : 1+a], both[4+a : 4+a+b]
}

// three are three of them.
func (c *cursor) three() (first, second, third string) {
	first, second = c.two()
	c.want(`"`)
	third = string(c.string())
	c.want(",")
	return first, second, third
}

// number is a number as Append writes it: of not too many digits, and nothing before it.
func (c *cursor) number() (n int64) {
	i := 0
	for ; i < len(c.text) && i < 18 && c.text[i] >= '0' && c.text[i] <= '9'; i++ {
		n = n*10 + int64(c.text[i]-'0')
	}
	if i == 0 || i > 1 && c.text[0] == '0' {
		c.lost = true
	}
	c.text = c.text[i:]
	return n
}

// values are those of an object, up to its end, in one piece of memory.
func (c *cursor) values() (permissions, data []byte) {
	var there []byte
	if c.skip(`,"permissions":`) {
		there = c.text[:c.object()]
		c.text = c.text[len(there):]
	}
	c.want(`,"data":`)
	rest, ended := bytes.CutSuffix(c.text, []byte("}"))
	c.text = nil
	if c.lost = c.lost || !ended || len(rest) == 0 || rest[0] != '{' || !json.Valid(rest) || there != nil && !json.Valid(there); c.lost {
		return nil, nil
	}
	both := append(append(make([]byte, 0, len(rest)+len(there)), rest...), there...)
	data = both[:len(rest):len(rest)]
	if there != nil {
		permissions = both[len(rest):]
	}
	return permissions, data
}

// object is where an object ends that begins here, if it is one; 0: it does not.
func (c *cursor) object() int {
	depth, in := 0, false
	for i := 0; i < len(c.text); i++ {
		switch b := c.text[i]; {
		case in && b == '\\':
			i++
		case b == '"':
			in = !in
		case in:
		case b == '{':
			depth++
		case b == '}':
			if depth--; depth == 0 {
				return i + 1
			}
		case depth == 0:
			return 0
		}
	}
	return 0
}
