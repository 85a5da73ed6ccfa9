package main

import (
	"bytes"
	"encoding/json"
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
// them ends a line (printf, line, say, complain); app.out and app.err are printers, so
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
func onPrinters(a *app) {
	a.screen = a.out
	plain := false
	a.out = &printer{w: a.out, json: &a.json, ascii: isTerminal(a.out) && !a.utf8()}
	a.err = &printer{w: a.err, json: &plain, ascii: isTerminal(a.err) && !a.utf8()}
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

// printf prints on standard output; what is put into format may be of others
// (hint.Sprintf).
func (a *app) printf(format string, args ...any) {
	fmt.Fprint(a.out, hint.Sprintf(a.lang, format, args...))
}

// line writes one line, however long.
func line(w io.Writer, text string) { fmt.Fprintln(w, hint.Printable(text)) }

// say prints a sentence for people: on standard output, or on standard error
// when standard output carries data.
func (a *app) say(t hint.Text) {
	w := a.out
	if a.json {
		w = a.err
	}
	fmt.Fprintln(w, t.In(a.lang))
}

// complain shows an error: what it means, what Foyer did, the one thing to do.
// With --json it is one object, on standard output.
func (a *app) complain(err error) {
	if errors.Is(err, errSaid) {
		return
	}
	e := hint.Find(err)
	if a.json {
		obj := map[string]any{"error": "failed", "message": err.Error(), "exit": hint.ExitCode(err)}
		if e != nil {
			obj["error"], obj["message"], obj["did"], obj["do"] = e.Code, e.What.In(a.lang), e.Did.In(a.lang), e.Do.In(a.lang)
		}
		a.printJSON(obj)
		return
	}
	fmt.Fprintln(a.err, "foyer: "+hint.Describe(err, a.lang))
	if e != nil {
		fmt.Fprintln(a.err, hint.Sprintf(a.lang, "[%s]", e.Code))
	}
}

// errSaid ends a command whose outcome was shown already; it only carries the exit code.
var errSaid = errors.New("said already")

// printJSON prints one object for programs. They get every text as it is: what a
// terminal would obey is escaped.
func (a *app) printJSON(v any) {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		fmt.Fprintln(a.err, "foyer: "+hint.Describe(err, a.lang))
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(f.Fd())
}
