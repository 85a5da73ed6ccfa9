package config

import (
	"bytes"
	"errors"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// What an item of a TOML text is.
type itemKind int

const (
	itemComment itemKind = iota // a line that is a comment alone
	itemHeader                  // [table] or [[table]]
	itemEntry                   // key = value
)

// item is a part of a TOML text, by where it stands. Names are dotted, as Flatten makes them.
type item struct {
	kind       itemKind
	table      string // in which it stands, by the last header; that of a header itself
	name       string // of an entry or header, whole
	dotted     string // the table that a key with dots names, as in dns.zone; "" = none
	start, end int    // its lines, with the last line end; of an entry in an inline table, it alone
	key, value [2]int // where they stand, of an entry
	inline     bool   // its value is an inline table
	in         int    // the inline table it stands in, as an index; -1: none
	comments   []string
}

// noTable is the table of what stands below an [[array]]: no setting does.
const noTable = "\x00"

// errScan says that a text cannot be taken apart; whoever gets it has read it as TOML before.
var errScan = errors.New("cannot take the file apart")

// scanner takes a text apart that is known to be TOML.
type scanner struct {
	text  []byte
	at    int
	table string
	items []item
	said  []string // comments since the entry or header began
}

// scan takes a text apart; its byte-order mark and CRLF line ends are left where they are.
func scan(text []byte) ([]item, error) {
	s := &scanner{text: text}
	if bytes.HasPrefix(text, []byte("\xef\xbb\xbf")) {
		s.at = 3
	}
	for s.at < len(text) {
		if err := s.line(); err != nil {
			return nil, err
		}
	}
	return s.items, nil
}

// line takes one expression with the rest of its lines.
func (s *scanner) line() error {
	start := s.at
	s.said = nil
	s.blanks(false)
	switch {
	case s.done():
		return nil
	case s.is("\n"):
		s.at++
		return nil
	case s.is("#"):
		s.comment()
		s.at = min(s.at+1, len(s.text))
		s.items = append(s.items, item{kind: itemComment, table: s.table, start: start, end: s.at, comments: s.said, in: -1})
		return nil
	case s.is("["):
		return s.header(start)
	}
	i, err := s.entry(start, s.table, -1)
	if err != nil {
		return err
	}
	if err := s.lineEnd(); err != nil {
		return err
	}
	s.items[i].end, s.items[i].comments = s.at, s.said
	return nil
}

func (s *scanner) header(start int) error {
	brackets := 1
	if s.is("[[") {
		brackets = 2
	}
	s.at += brackets
	parts, err := s.name()
	if err != nil || !s.is(strings.Repeat("]", brackets)) {
		return errors.Join(errScan, err)
	}
	s.at += brackets
	name := strings.Join(parts, ".")
	if s.table = name; brackets == 2 {
		s.table = noTable
	}
	if err := s.lineEnd(); err != nil {
		return err
	}
	s.items = append(s.items, item{kind: itemHeader, table: s.table, name: name, start: start, end: s.at, comments: s.said, in: -1})
	return nil
}

// lineEnd takes what may follow on the line.
func (s *scanner) lineEnd() error {
	s.blanks(false)
	if s.is("#") {
		s.comment()
	}
	if !s.done() && !s.is("\n") {
		return errScan
	}
	s.at = min(s.at+1, len(s.text))
	return nil
}

// entry takes a key with its value, and what is in that; it returns its index.
func (s *scanner) entry(start int, table string, in int) (int, error) {
	from := s.at
	parts, err := s.name()
	if err != nil {
		return 0, err
	}
	to, name, dotted := s.at, strings.Join(parts, "."), ""
	if len(parts) > 1 {
		dotted = parts[0]
	}
	s.blanks(false)
	if !s.is("=") {
		return 0, errScan
	}
	s.at++
	s.blanks(false)
	if table != "" {
		name = table + "." + name
	}
	i := len(s.items)
	s.items = append(s.items, item{kind: itemEntry, table: s.table, name: name, dotted: dotted, start: start, key: [2]int{from, to}, inline: s.is("{"), in: in})
	begin := s.at
	if err := s.value(name, i); err != nil {
		return 0, err
	}
	s.items[i].value, s.items[i].end = [2]int{begin, s.at}, s.at
	return i, nil
}

// value goes beyond a value; name and i are those of the entry that has it, and i is -1
// within a list.
func (s *scanner) value(name string, i int) error {
	switch {
	case s.is(`"`), s.is("'"):
		return s.quoted()
	case s.is("["):
		return s.several("]", func() error { return s.value(name, -1) })
	case s.is("{"):
		return s.several("}", func() error {
			table := name
			if i < 0 {
				table = noTable
			}
			_, err := s.entry(s.at, table, i)
			return err
		})
	}
	start := s.at
	for !s.done() && !strings.ContainsRune(",]}#\n", rune(s.text[s.at])) {
		s.at++
	}
	s.at = start + len(bytes.TrimRight(s.text[start:s.at], " \t\r"))
	if s.at == start {
		return errScan
	}
	return nil
}

// several goes beyond a list, or an inline table, of what one takes.
func (s *scanner) several(closing string, one func() error) error {
	s.at++
	for {
		s.blanks(true)
		if s.is(closing) {
			s.at++
			return nil
		}
		if s.done() {
			return errScan
		}
		if err := one(); err != nil {
			return err
		}
		s.blanks(true)
		if s.is(",") {
			s.at++
		} else if !s.is(closing) {
			return errScan
		}
	}
}

// quoted goes beyond a string of any of the four forms.
func (s *scanner) quoted() error {
	quote := s.text[s.at : s.at+1]
	if three := bytes.Repeat(quote, 3); bytes.HasPrefix(s.text[s.at:], three) {
		quote = three
	}
	s.at += len(quote)
	for !s.done() {
		switch {
		case quote[0] == '"' && s.is(`\`):
			s.at += 2
		case bytes.HasPrefix(s.text[s.at:], quote):
			s.at += len(quote)
			for len(quote) == 3 && !s.done() && s.text[s.at] == quote[0] { // its last characters
				s.at++
			}
			return nil
		case len(quote) == 1 && s.is("\n"):
			return errScan
		default:
			s.at++
		}
	}
	return errScan
}

// name takes a key, by its parts; it ends before what follows.
func (s *scanner) name() (parts []string, err error) {
	for {
		s.blanks(false)
		start := s.at
		if s.is(`"`) || s.is("'") {
			if err := s.quoted(); err != nil {
				return nil, err
			}
			var doc struct{ K string }
			if err := toml.Unmarshal(append([]byte("K = "), s.text[start:s.at]...), &doc); err != nil {
				return nil, errors.Join(errScan, err)
			}
			parts = append(parts, doc.K)
		} else {
			for !s.done() && isBare(s.text[s.at]) {
				s.at++
			}
			if s.at == start {
				return nil, errScan
			}
			parts = append(parts, string(s.text[start:s.at]))
		}
		end := s.at
		s.blanks(false)
		if !s.is(".") {
			if !s.is("]") {
				s.at = end
			}
			return parts, nil
		}
		s.at++
	}
}

// isBare reports whether a key may have that byte without quotes.
func isBare(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// blanks goes beyond blanks, and with lines beyond line ends and comments, too.
func (s *scanner) blanks(lines bool) {
	for !s.done() {
		switch c := s.text[s.at]; {
		case c == ' ', c == '\t', c == '\r', lines && c == '\n':
			s.at++
		case lines && c == '#':
			s.comment()
		default:
			return
		}
	}
}

// comment goes to the end of the line, and keeps what it says.
func (s *scanner) comment() {
	start := s.at
	for !s.done() && !s.is("\n") {
		s.at++
	}
	s.said = append(s.said, strings.TrimRight(string(s.text[start:s.at]), "\r"))
}

func (s *scanner) done() bool { return s.at >= len(s.text) }

func (s *scanner) is(text string) bool { return bytes.HasPrefix(s.text[s.at:], []byte(text)) }
