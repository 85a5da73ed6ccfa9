package kinto

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// pattern is the value of Like: % is any run of characters and _ is any one, as in SQL;
// * is a run too, and without a * the value may stand anywhere. What it costs grows with
// the text alone, whatever the pattern: parts between runs are looked for one after the
// other, each as far in front as it is, with one bit for each of its characters
// (Baeza-Yates and Gonnet, "A new approach to text searching", 1992).
type pattern struct {
	first, last part // at the two ends of the text
	middle      []part
	whole       bool // there is no run: first is the text
}

// patternChars bounds the characters of a pattern, and so the bits of a part.
const patternChars = 100

// part is a piece of a pattern between runs.
type part struct {
	chars []rune
	any   bits          // where any character will do
	at    map[rune]bits // where one does
	ascii [128]uint8    // its place in table, for most
	table []bits
}

// bits are one for each character of a part.
type bits struct{ low, high uint64 }

// parsePattern reads the text of a Like; nil when it is too long.
func parsePattern(text string) *pattern {
	if strings.Contains(text, "*") {
		text = strings.ReplaceAll(text, "*", "%")
	} else {
		text = "%" + text + "%"
	}
	if utf8.RuneCountInString(text) > patternChars {
		return nil
	}
	pieces := strings.Split(text, "%")
	p := &pattern{first: newPart(pieces[0]), whole: len(pieces) == 1}
	if p.whole {
		return p
	}
	p.last = newPart(pieces[len(pieces)-1])
	for _, piece := range pieces[1 : len(pieces)-1] {
		if piece != "" {
			p.middle = append(p.middle, newPart(piece))
		}
	}
	return p
}

func newPart(text string) part {
	p := part{at: map[rune]bits{}, table: []bits{{}}}
	for i, c := range []rune(text) {
		c = unicode.ToLower(c)
		p.chars = append(p.chars, c)
		var bit bits
		if i < 64 {
			bit.low = 1 << i
		} else {
			bit.high = 1 << (i - 64)
		}
		if c == '_' {
			p.any.low |= bit.low
			p.any.high |= bit.high
			continue
		}
		b := p.at[c]
		p.at[c] = bits{b.low | bit.low, b.high | bit.high}
	}
	for c, b := range p.at {
		if c < utf8.RuneSelf {
			p.ascii[c] = uint8(len(p.table))
			p.table = append(p.table, b)
		}
	}
	return p
}

// is reports whether the character c will do at i.
func (p *part) is(i int, c rune) bool { return p.chars[i] == '_' || p.chars[i] == unicode.ToLower(c) }

// begins returns where the part ends at the beginning of text; negative: it is not there.
func (p *part) begins(text []byte) int {
	end := 0
	for i := range p.chars {
		c, n := utf8.DecodeRune(text[end:])
		if n == 0 || !p.is(i, c) {
			return -1
		}
		end += n
	}
	return end
}

// ends reports whether the part is the end of text.
func (p *part) ends(text []byte) bool {
	for i := len(p.chars) - 1; i >= 0; i-- {
		c, n := utf8.DecodeLastRune(text)
		if n == 0 || !p.is(i, c) {
			return false
		}
		text = text[:len(text)-n]
	}
	return true
}

// in returns where the part ends the first time it is in text; negative: it is not.
func (p *part) in(text []byte) int {
	last := len(p.chars) - 1
	var seen bits // how far the part is there, for each place it may have begun at
	for i := 0; i < len(text); {
		var now bits
		if c := text[i]; c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			now = p.table[p.ascii[c]]
			i++
		} else {
			r, n := utf8.DecodeRune(text[i:])
			now = p.at[unicode.ToLower(r)]
			i += n
		}
		seen.high = (seen.high<<1 | seen.low>>63) & (now.high | p.any.high)
		seen.low = (seen.low<<1 | 1) & (now.low | p.any.low)
		if last < 64 && seen.low>>last&1 != 0 || last >= 64 && seen.high>>(last-64)&1 != 0 {
			return i
		}
	}
	return -1
}

// matches reports whether text is as the pattern says, whatever its case.
func (p *pattern) matches(text []byte) bool {
	end := p.first.begins(text)
	if p.whole || end < 0 {
		return end == len(text)
	}
	text = text[end:]
	for i := range p.middle {
		if end = p.middle[i].in(text); end < 0 {
			return false
		}
		text = text[end:]
	}
	return p.last.ends(text)
}
