package hint

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

// How much of what others wrote is shown, in characters; a piece of it stands inside
// of a sentence of ours, a whole may be such a sentence, or a line of a log.
const (
	longestPiece = 1000
	longestWhole = 4096
)

// Printable is s as one line that only shows something. Terminals obey control
// characters (ESC and its one-character form U+009B begin commands that write
// titles, clear screens, answer back), line ends forge lines, and marks of the
// direction of writing show text in an order that it is not in. Control characters,
// line and paragraph separators become spaces; what is invisible and changes how the
// rest is read (bidirectional controls, zero-width spaces, tags) goes; bytes that are
// not UTF-8 become U+FFFD. The joiners U+200C and U+200D stay after a character
// that is not ASCII: emoji and many scripts are written with them.
// Printable(Printable(s)) is Printable(s).
func Printable(s string) string { return printable(s, false, 0) }

// PrintableLines is Printable for a text of several lines, as only we write them:
// line ends and tabs stay.
func PrintableLines(s string) string { return printable(s, true, 0) }

// Short is Printable(s), of which no more than so many characters are shown and an
// ellipsis. It is for what strangers may make as long as they like.
func Short(s string, most int) string { return printable(s, false, most) }

// IsPrintable reports whether Printable leaves r as it is, but for joiners after
// ASCII.
func IsPrintable(r rune) bool { return visible(r) == r }

// printable is s made visible, a line or lines; of no more than most characters,
// unless that is 0.
func printable(s string, lines bool, most int) string {
	if isASCIILine(s) && (most == 0 || len(s) <= most) {
		return s
	}
	var b strings.Builder
	count, last, broken := 0, rune(0), false
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		wasBroken := broken
		broken = r == utf8.RuneError && size == 1
		switch {
		case broken && wasBroken: // one mark for all of them
			continue
		case lines && (r == '\n' || r == '\t'):
		case lines && r == '\r' && strings.HasPrefix(s[i:], "\n"):
			continue
		case isJoiner(r) && (last <= unicode.MaxASCII || isJoiner(last)): // it joins nothing, and hides
			continue
		default:
			if r = visible(r); r < 0 {
				continue
			}
		}
		if most > 0 && count == most {
			b.WriteRune('…')
			break
		}
		b.WriteRune(r)
		last = r
		count++
	}
	return b.String()
}

// isASCIILine is the quick answer for nearly every text.
func isASCIILine(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func isJoiner(r rune) bool { return r == '\u200c' || r == '\u200d' }

// visible is what is shown of r: itself, a space, or nothing, which is -1.
func visible(r rune) rune {
	switch {
	case r < ' ', r >= 0x7f && r < 0xa0, r == '\u2028', r == '\u2029':
		return ' '
	case r <= unicode.MaxLatin1 && r != '\u00ad', isJoiner(r):
		return r
	case unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r):
		return -1 // the controls of direction, U+200B, U+2060, U+FEFF, tags, and their like
	case unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) && !unicode.IsLetter(r) && !unicode.IsMark(r):
		return -1 // those that Unicode keeps free for more of them, most of the block of the tags
	}
	return r
}

// ASCII is s for a terminal that shows nothing else: what has a likeness is written
// like that, anything else as a question mark. Line ends stay. A terminal of eight
// bits would take some bytes of UTF-8 for control characters.
func ASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return '?'
		}
		return r
	}, likeness.Replace(s))
}

var likeness = strings.NewReplacer(
	"…", "...", "’", "'", "“", `"`, "”", `"`, "«", `"`, "»", `"`, "–", "-", "—", "-", "·", "-", "×", "x", "→", "->", "✓", "*", "✗", "x", "•", "*", "●", "*", "─", "-", "│", "|",
	"↑", "^", "↓", "v", "\u00a0", " ", "\u202f", " ", "œ", "oe", "Œ", "OE",
	"à", "a", "â", "a", "ç", "c", "é", "e", "è", "e", "ê", "e", "ë", "e", "î", "i", "ï", "i", "ô", "o", "ù", "u", "û", "u", "ü", "u",
	"À", "A", "Â", "A", "Ç", "C", "É", "E", "È", "E", "Ê", "E", "Î", "I", "Ï", "I", "Ô", "O", "Ù", "U", "Û", "U",
)

// Clean returns a copy of v, which came from another process or is made of what
// did, in which every text is Short: those in exported fields, lists, maps and their
// keys, however deep. It is for values as decoded from JSON. What is cleaned where it
// comes in needs no thought where it is shown.
func Clean[T any](v T) T {
	out := reflect.New(reflect.TypeFor[T]()).Elem()
	out.Set(cleaned(reflect.ValueOf(&v).Elem()))
	return *out.Addr().Interface().(*T)
}

func cleaned(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.String:
		out.SetString(Short(v.String(), longestWhole))
	case reflect.Struct:
		out.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(cleaned(v.Field(i)))
			}
		}
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			out.Index(i).Set(cleaned(v.Index(i)))
		}
	case reflect.Array:
		for i := range v.Len() {
			out.Index(i).Set(cleaned(v.Index(i)))
		}
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
		for k, e := range v.Seq2() {
			out.SetMapIndex(cleaned(k), cleaned(e))
		}
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		out.Set(reflect.New(v.Type().Elem()))
		out.Elem().Set(cleaned(v.Elem()))
	case reflect.Interface:
		if v.IsNil() {
			return v
		}
		out.Set(cleaned(v.Elem()))
	default:
		return v
	}
	return out
}

// Block is text of others that is shown line by line, as the end of a log: among the
// arguments of T, each line stays one.
type Block []string

// Sprintf is fmt.Sprintf in language l for what a person reads: whatever is put into
// format is Short, so that only format itself ends lines and is as long as it likes.
// A Text is put in that language, a Block line by line.
func Sprintf(l Lang, format string, args ...any) string {
	in := make([]any, len(args))
	for i, arg := range args {
		switch a := arg.(type) {
		case nil, bool, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64:
			in[i] = a
		case Text:
			in[i] = Short(a.In(l), longestWhole)
		case Block:
			lines := make([]string, len(a))
			for j, line := range a {
				lines[j] = Short(line, longestPiece)
			}
			in[i] = strings.Join(lines, "\n")
		case string:
			if in[i] = a; Short(a, longestPiece) != a {
				in[i] = piece{a}
			}
		default:
			in[i] = piece{a}
		}
	}
	return fmt.Sprintf(format, in...)
}

// piece is an argument that is formatted as it is, and then cleaned: %q still writes
// what it finds as an escape.
type piece struct{ v any }

func (p piece) Format(f fmt.State, verb rune) {
	io.WriteString(f, Short(fmt.Sprintf(fmt.FormatString(f, verb), p.v), longestPiece)) //nolint:errcheck // it is memory
}
