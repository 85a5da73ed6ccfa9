package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/charmbracelet/x/term"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/tui"
)

// console is where a run of the command reads and writes, and how: the terminal or the
// pipes, the language, what a person can see there. From onPrinters on whatever is written
// to out and err is printable.
type console struct {
	in       io.Reader
	out, err io.Writer
	screen   io.Writer // standard output itself, for screens
	environ  []string

	lang  hint.Lang
	json  bool // one object on standard output, for scripts
	plain bool // no screens, one line at a time
}

func (c *console) getenv(name string) string {
	for _, kv := range c.environ {
		if k, v, _ := strings.Cut(kv, "="); k == name {
			return v
		}
	}
	return ""
}

// onTerminal reports whether a person sits at both ends and wants screens.
func (c *console) onTerminal() bool {
	return c.atTerminal() && !c.plain && !c.json && c.getenv("TERM") != "" && c.getenv("TERM") != "dumb"
}

// atTerminal reports whether a person sits at both ends.
func (c *console) atTerminal() bool {
	in, ok := c.in.(*os.File)
	return ok && term.IsTerminal(in.Fd()) && isTerminal(c.screen)
}

// term is the terminal this command runs at.
func (c *console) term() tui.Term {
	return tui.Term{In: c.in, Out: c.screen, Environ: c.environ, Lang: c.lang, UTF8: c.utf8()}
}

// ttyInstead gives a command whose standard input is a pipe, as in `curl … | sh`,
// the terminal the person sits at.
func (c *console) ttyInstead() {
	in, ok := c.in.(*os.File)
	if !ok || term.IsTerminal(in.Fd()) || !isTerminal(c.screen) {
		return
	}
	if tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
		c.in = tty
	}
}

// utf8 reports whether the terminal shows more than ASCII (setlocale(3)).
func (c *console) utf8() bool {
	locale := or(or(c.getenv("LC_ALL"), c.getenv("LC_CTYPE")), c.getenv("LANG"))
	return strings.Contains(strings.ToLower(strings.ReplaceAll(locale, "-", "")), "utf8")
}

// printf prints on standard output; what is put into format may be of others
// (hint.Sprintf).
func (c *console) printf(format string, args ...any) {
	fmt.Fprint(c.out, hint.Sprintf(c.lang, format, args...))
}

// say prints a sentence for people: on standard output, or on standard error
// when standard output carries data.
func (c *console) say(t hint.Text) {
	w := c.out
	if c.json {
		w = c.err
	}
	fmt.Fprintln(w, t.In(c.lang))
}

// complain shows an error: what it means, what Foyer did, the one thing to do.
// With --json it is one object, on standard output.
func (c *console) complain(err error) {
	if errors.Is(err, errSaid) {
		return
	}
	e := hint.Find(err)
	if c.json {
		obj := map[string]any{"error": "failed", "message": err.Error(), "exit": hint.ExitCode(err)}
		if e != nil {
			obj["error"], obj["message"], obj["did"], obj["do"] = e.Code, e.What.In(c.lang), e.Did.In(c.lang), e.Do.In(c.lang)
		}
		c.printJSON(obj)
		return
	}
	fmt.Fprintln(c.err, "foyer: "+hint.Describe(err, c.lang))
	if e != nil {
		fmt.Fprintln(c.err, hint.Sprintf(c.lang, "[%s]", e.Code))
	}
}

// line writes one line, however long.
func line(w io.Writer, text string) { fmt.Fprintln(w, hint.Printable(text)) }

// printJSON prints one object for programs. They get every text as it is: what a
// terminal would obey is escaped.
func (c *console) printJSON(v any) {
	if err := c.encode(v); err != nil {
		fmt.Fprintln(c.err, "foyer: "+hint.Describe(err, c.lang))
	}
}

// encode is printJSON for who has to know whether it was written.
func (c *console) encode(v any) error {
	enc := json.NewEncoder(c.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// notes shows what is worth knowing and not ours to change.
func (c *console) notes(notes []hint.Text) {
	for _, n := range notes {
		c.printf("· %s\n", n.In(c.lang))
	}
}

// findings prints those that want attention, each with what it means, what was
// done and what to do.
func (c *console) findings(rs []health.Result) {
	for _, r := range rs {
		if r.Severity == health.OK {
			continue
		}
		c.printf("\n%s %s: %s [%s]\n", severityMark(r.Severity), r.Title, r.What, r.Code)
		for _, t := range []hint.Text{r.Did, r.Do} {
			if !t.IsZero() {
				c.printf("  %s\n", t)
			}
		}
	}
}

func severityMark(s health.Severity) string { return [...]string{"✓", "·", "!", "✗"}[s] }

// inTOML is a line of TOML that our printer leaves as it is: beyond ASCII there are only
// characters of strings, which may be written as escapes where they are not shown.
func (c *console) inTOML(text string) string {
	if p, ok := c.out.(*printer); !ok || !p.ascii {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08X`, r)
		case r > unicode.MaxASCII:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
