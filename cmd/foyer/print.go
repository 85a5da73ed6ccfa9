package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/charmbracelet/x/term"

	"github.com/foyer-server/foyer/internal/hint"
)

// Whatever this command writes goes through here, and is printable: names of devices
// and programs, answers of routers and authorities, what the process behind the
// control socket says. Sentences and values are cleaned one by one, so that none of
// them ends a line (console.go: printf, line, say, complain); console.out and app.err are printers, so
// that what missed that is harmless still. Only Bubble Tea gets at the terminal itself,
// and tui sees to what it draws.

// printer writes text of any size and origin: line ends and tabs are kept, other
// control characters and what is invisible are not (hint.PrintableLines). JSON keeps
// them, as escapes that mean the same. It is safe for concurrent use.
type printer struct {
	mu    sync.Mutex
	w     io.Writer
	json  *bool // what is written is JSON
	ascii bool  // the terminal shows nothing else
	part  []byte
}

// onPrinters puts one before standard output and one before standard error; screen
// is the terminal itself.
func onPrinters(c *console) {
	c.screen = c.out
	plain := false
	c.out = &printer{w: c.out, json: &c.json, ascii: isTerminal(c.out) && !c.utf8()}
	c.err = &printer{w: c.err, json: &plain, ascii: isTerminal(c.err) && !c.utf8()}
}

// Write implements io.Writer. The beginning of a character is kept until its end
// comes.
func (p *printer) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := append(p.part, b...)
	whole := len(text) - begun(text)
	p.part = bytes.Clone(text[whole:])
	var out string
	switch {
	case *p.json:
		out = escaped(string(text[:whole]), p.ascii)
	case p.ascii:
		out = hint.ASCII(hint.PrintableLines(string(text[:whole])))
	default:
		out = hint.PrintableLines(string(text[:whole]))
	}
	if _, err := io.WriteString(p.w, out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// begun is how many bytes at the end of text are the beginning of a character.
func begun(text []byte) int {
	for n := 1; n <= min(utf8.UTFMax, len(text)); n++ {
		if last := text[len(text)-n:]; utf8.RuneStart(last[0]) {
			if utf8.FullRune(last) {
				return 0
			}
			return n
		}
	}
	return 0
}

// escaped is JSON text with what is not printable as \u escapes. Outside of its
// strings there is none of that but line ends.
func escaped(text string, ascii bool) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n', hint.IsPrintable(r) && (!ascii || r <= unicode.MaxASCII):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// errSaid ends a command whose outcome was shown already; it only carries the exit code.
var errSaid = errors.New("said already")

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(f.Fd())
}
