//go:build e2e

package e2e

import (
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"compress/flate"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

// searcher looks for texts in whatever form they may have been left: written in one of the ways of
// forms, wherever a stream that is compressed begins in what is looked through unpacked, and in
// what was unpacked again, as often as deepest says. A tar, and what a zip has as it is, need no
// unpacking to be searched.
//
// What it would not find: half of a text, and texts that were sealed, as those of a backup are.
type searcher struct {
	texts    []string
	prefixes [1 << (prefixBits - 6)]uint64 // which hashes of the first four bytes of a form there are
	forms    map[uint64][]form             // by their first eight bytes
	found    map[find]bool
	streams  map[string]int // unpacked, by what they were found in
	bytes    int64          // looked through, those that were unpacked included
	zstd     *zstd.Decoder
	inflater io.ReadCloser
	err      error // why not all of it was looked through
}

// find is that a text was found.
type find struct {
	text  int
	where string
	form  string
}

// form is a way in which a text may be written.
type form struct {
	text  int
	name  string
	bytes string
}

const (
	prefixBits = 20
	shortest   = 8 // bytes of a form: what is shorter may be there by chance
	// deepest is how often what was unpacked is unpacked again.
	deepest = 4
	// mostUnpacked is how many bytes a stream may come to.
	mostUnpacked = 256 << 20
)

// newSearcher makes one that looks for texts of eight bytes or more.
func newSearcher(texts []string) *searcher {
	unpacks, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		panic(err) // of options
	}
	s := &searcher{texts: texts, forms: map[uint64][]form{}, found: map[find]bool{}, streams: map[string]int{}, zstd: unpacks, inflater: flate.NewReader(nil)}
	for i, text := range texts {
		if len(text) < shortest {
			panic(fmt.Sprintf("%q is too short to be looked for", text))
		}
		for name, written := range formsOf(text) {
			if len(written) < shortest {
				continue
			}
			s.prefixes[prefixHash(written)>>6] |= 1 << (prefixHash(written) & 63)
			start := binary.LittleEndian.Uint64([]byte(written))
			s.forms[start] = append(s.forms[start], form{i, name, written})
		}
	}
	return s
}

func prefixHash[T []byte | string](at T) uint32 {
	return (uint32(at[0]) | uint32(at[1])<<8 | uint32(at[2])<<16 | uint32(at[3])<<24) * 2654435761 >> (32 - prefixBits)
}

// formsOf is a text as it may be written, by the names of the forms. One that is written as another
// is has that one's name.
func formsOf(text string) map[string]string {
	forms, known := map[string]string{}, map[string]bool{}
	add := func(name, written string) {
		if !known[written] {
			known[written], forms[name] = true, written
		}
	}
	add("raw", text)
	add("hex", hex.EncodeToString([]byte(text)))
	add("HEX", strings.ToUpper(hex.EncodeToString([]byte(text))))
	inBase64 := func(what, text string) {
		for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			for before := range 3 { // bytes before it, in the group of three in which it begins
				written := encoding.EncodeToString(append(make([]byte, before), text...))
				add(fmt.Sprintf("%s%s+%d", what, name, before), written[(before*8+5)/6:(before+len(text))*8/6])
			}
		}
	}
	inBase64("", text)
	if !utf8.ValidString(text) { // a key: nobody writes it in the ways of a text
		return forms
	}
	for name, order := range map[string]binary.ByteOrder{"UTF-16LE": binary.LittleEndian, "UTF-16BE": binary.BigEndian} {
		var wide []byte
		for _, unit := range utf16.Encode([]rune(text)) {
			wide = append(wide, 0, 0)
			order.PutUint16(wide[len(wide)-2:], unit)
		}
		add(name, string(wide))
	}
	add("lower", strings.ToLower(text))
	add("UPPER", strings.ToUpper(text))
	for name, escape := range map[string]func(string) string{"query": url.QueryEscape, "segment": url.PathEscape, "path": path, "percent": percent} {
		add(name, escape(text))
		add(name+" in small letters", lowerEscapes(escape(text)))
	}
	add("HTML", html.EscapeString(text))
	once, web := inJSON(text, false), inJSON(text, true)
	add("JSON", once)
	add("JSON for pages", web)
	inBase64("JSON in ", once)
	inBase64("JSON for pages in ", web)
	add("JSON in ASCII", asciiJSON(once))
	add("JSON in JSON", inJSON(once, false))
	add("JSON for pages in JSON", inJSON(web, false))
	add("quoted", unquote(strconv.Quote(text)))
	add("quoted in ASCII", unquote(strconv.QuoteToASCII(text)))
	return forms
}

func unquote(text string) string { return text[1 : len(text)-1] }

func path(text string) string { return (&url.URL{Path: text}).EscapedPath() }

// percent escapes every byte that is no letter and no digit.
func percent(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// lowerEscapes writes the digits of escapes in small letters.
func lowerEscapes(text string) string {
	b := []byte(text)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i:i+3], bytes.ToLower(b[i:i+3]))
		}
	}
	return string(b)
}

// inJSON is a text as it stands between the quotes of JSON.
func inJSON(text string, pages bool) string {
	var b bytes.Buffer
	to := json.NewEncoder(&b)
	to.SetEscapeHTML(pages)
	if err := to.Encode(text); err != nil {
		panic(err)
	}
	return unquote(strings.TrimSuffix(b.String(), "\n"))
}

func asciiJSON(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// look looks through data, which is of somewhere.
func (s *searcher) look(where string, data []byte) {
	s.unpack(where, data, 0)
}

func (s *searcher) unpack(where string, data []byte, depth int) {
	s.bytes += int64(len(data))
	s.scan(where, data)
	// A text may be broken into lines, those of JSON in JSON included.
	if whole := joined(data); len(whole) < len(data) {
		s.scan(where, whole)
	}
	if depth == deepest {
		return
	}
	for at := range data {
		if open := opener(data[at:]); open != nil {
			s.stream(where, data[at:], open, depth)
		}
	}
	if opener(data) == nil { // it may be one that nothing marks
		s.stream(where, data, (*searcher).inflate, depth)
	}
}

// joined is data without ends of lines.
func joined(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '\n' || c == '\r':
		case c == '\\' && i+1 < len(data) && (data[i+1] == 'n' || data[i+1] == 'r'):
			i++
		default:
			out = append(out, c)
		}
	}
	return out
}

// scan looks for the forms in bytes as they are.
func (s *searcher) scan(where string, data []byte) {
	for i := 0; i+shortest <= len(data); i++ {
		h := prefixHash(data[i : i+4])
		if s.prefixes[h>>6]&(1<<(h&63)) == 0 {
			continue
		}
		for _, f := range s.forms[binary.LittleEndian.Uint64(data[i:])] {
			if len(data)-i >= len(f.bytes) && string(data[i:i+len(f.bytes)]) == f.bytes {
				s.found[find{f.text, where, f.name}] = true
			}
		}
	}
}

// opener is what unpacks the stream that data begin with; nil: they begin with none.
func opener(data []byte) func(*searcher, []byte) (io.Reader, error) {
	if len(data) < 4 {
		return nil
	}
	switch {
	case data[0] == 0x78 && data[1]&0x20 == 0 && (uint(data[0])<<8|uint(data[1]))%31 == 0: // zlib; its sum may be cut off
		return func(s *searcher, data []byte) (io.Reader, error) { return s.inflate(data[2:]) }
	case data[0] == 0x1f && data[1] == 0x8b && data[2] == 8:
		return func(_ *searcher, data []byte) (io.Reader, error) {
			z, err := gzip.NewReader(bytes.NewReader(data))
			if err == nil {
				z.Multistream(false) // the next one is found by its own beginning
			}
			return z, err
		}
	case string(data[:4]) == "\x28\xb5\x2f\xfd":
		return func(s *searcher, data []byte) (io.Reader, error) {
			err := s.zstd.Reset(bytes.NewReader(data))
			return s.zstd, err
		}
	case string(data[:4]) == "PK\x03\x04" && len(data) >= 30 && binary.LittleEndian.Uint16(data[8:]) == zip.Deflate:
		return func(s *searcher, data []byte) (io.Reader, error) {
			begins := 30 + int(binary.LittleEndian.Uint16(data[26:])) + int(binary.LittleEndian.Uint16(data[28:]))
			return s.inflate(data[min(begins, len(data)):])
		}
	case string(data[:3]) == "BZh" && len(data) > 10 && string(data[4:10]) == "\x31\x41\x59\x26\x53\x59":
		return func(_ *searcher, data []byte) (io.Reader, error) { return bzip2.NewReader(bytes.NewReader(data)), nil }
	}
	return nil
}

func (s *searcher) inflate(data []byte) (io.Reader, error) {
	return s.inflater, s.inflater.(flate.Resetter).Reset(bytes.NewReader(data), nil)
}

// stream looks through what comes out of a stream. What only looked like one ends with an error, as
// does one that is cut short: what came before it counts.
func (s *searcher) stream(where string, data []byte, open func(*searcher, []byte) (io.Reader, error), depth int) {
	from, err := open(s, data)
	if err != nil {
		return
	}
	out, err := io.ReadAll(io.LimitReader(from, mostUnpacked))
	if len(out) == mostUnpacked {
		s.err = fmt.Errorf("%s: it comes to more than %d MB", where, mostUnpacked>>20)
		return
	}
	if err == nil {
		s.streams[where]++
	}
	if len(out) >= shortest {
		s.unpack(where, out, depth+1)
	}
}

// places are where a text was found, and in which forms.
func (s *searcher) places(text int) map[string][]string {
	out := map[string][]string{}
	for f := range s.found {
		if f.text == text {
			out[f.where] = append(out[f.where], f.form)
		}
	}
	return out
}

// count is how many forms are looked for.
func (s *searcher) count() (n int) {
	for _, forms := range s.forms {
		n += len(forms)
	}
	return n
}

// unpackedAll is how many streams were unpacked.
func (s *searcher) unpackedAll() (n int) {
	for _, times := range s.streams {
		n += times
	}
	return n
}
