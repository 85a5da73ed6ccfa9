// Package tui is what a person sees on a terminal: it asks and shows, and never
// does. What is done comes in as funcs; what is said comes in as hint.Text; what is
// asked comes in as data (installer.Question).
//
// There are two ways of being seen. Screens are made with Bubble Tea
// (charm.land/bubbletea/v2): the wizard and the dashboard. They hold at 80×24 and
// at 40×12, without colours (NO_COLOR: a choice is shown by a mark and by reverse
// video) and without UTF-8 (plain characters, no QR code). The mouse stays off, so
// that an address or a code can be selected and copied. Lines are for screen
// readers, serial consoles and pipes: each thing is said once, top to bottom, and
// answers are read line by line.
//
// What is shown may be of others: names of devices, answers of routers, lines of a
// log. It is cleaned where it comes in (hint.Clean) and where a text becomes part of
// a screen (page.say, page.plain); on its way to the terminal nothing passes that
// commands it but our own colours (page.draw). Lines are written by tell and prompt alone.
//
// Used by cmd/foyer where a person is asked or shown something.
package tui

import (
	"context"
	"errors"
	"io"
	"regexp"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/term"

	"github.com/foyer-server/foyer/internal/hint"
)

// Term is the terminal a person sits at.
type Term struct {
	In      io.Reader
	Out     io.Writer
	Environ []string
	Lang    hint.Lang
	UTF8    bool // it shows more than ASCII
}

// program is Bubble Tea on this terminal. It quits when the terminal is closed. The
// kernel then sends SIGHUP, but a process started with nohup ignores that; after it
// every read returns io.EOF, and Bubble Tea would wait for keys forever.
func (t Term) program(ctx context.Context, m tea.Model) *tea.Program {
	in := &input{Reader: t.In}
	var r io.Reader = in
	if f, ok := t.In.(terminalFile); ok {
		r = inputFile{terminalFile: f, in: in}
	}
	p := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(r), tea.WithOutput(t.Out), tea.WithEnvironment(t.Environ))
	in.ended = p.Quit
	return p
}

// input calls ended at its end. Other errors of a read are Bubble Tea's.
type input struct {
	io.Reader
	ended func()
}

func (i *input) Read(b []byte) (int, error) {
	n, err := i.Reader.Read(b)
	if errors.Is(err, io.EOF) {
		i.ended()
	}
	return n, err
}

// inputFile is an input that is still a terminal to Bubble Tea, which makes it raw
// and waits for it by its file descriptor.
type inputFile struct {
	terminalFile
	in *input
}

func (f inputFile) Read(b []byte) (int, error) { return f.in.Read(b) }

// terminalFile is what Bubble Tea and its cancelable reader ask of a file.
type terminalFile interface {
	term.File
	Name() string
}

var (
	bold    = lipgloss.NewStyle().Bold(true)
	chosen  = lipgloss.NewStyle().Reverse(true).Bold(true)
	faint   = lipgloss.NewStyle().Faint(true)
	good    = lipgloss.NewStyle().Foreground(lipgloss.Green)
	warning = lipgloss.NewStyle().Foreground(lipgloss.Yellow).Bold(true)
	bad     = lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true)
)

// page is what every screen is made on: it knows the size and the language, and
// lays a heading, a body and a line of keys out so that they fit.
type page struct {
	width, height int
	lang          hint.Lang
	utf8          bool
}

// newPage has the size a terminal is taken to have until it says otherwise; a
// serial console never does.
func newPage(t Term) page { return page{width: 80, height: 24, lang: t.Lang, utf8: t.UTF8} }

// resize takes a new size; a serial console says 0×0, which means nothing.
func (p *page) resize(w, h int) {
	if w > 0 && h > 0 {
		p.width, p.height = w, h
	}
}

// say is a sentence as it is shown, on one line.
func (p page) say(t hint.Text) string { return p.plain(hint.Printable(t.In(p.lang))) }

// plain is s, which may have several lines, in characters the terminal has.
func (p page) plain(s string) string {
	s = strings.ReplaceAll(hint.PrintableLines(s), "\t", " ")
	if p.utf8 {
		return s
	}
	return hint.ASCII(s)
}

// styling are the sequences by which Lip Gloss sets colours and weights (SGR).
var styling = regexp.MustCompile("\x1b\\[[0-9;:]*m")

// draw is content as the terminal gets it: whatever it was put together from, it
// writes and colours, and does nothing else.
func (p page) draw(content string) tea.View {
	var b strings.Builder
	for {
		at := styling.FindStringIndex(content)
		if at == nil {
			break
		}
		b.WriteString(p.plain(content[:at[0]]) + content[at[0]:at[1]])
		content = content[at[1]:]
	}
	b.WriteString(p.plain(content))
	v := tea.NewView(b.String())
	v.AltScreen = true
	v.WindowTitle = "Foyer"
	return v
}

// wrap breaks s into lines that fit, with indent before each.
func (p page) wrap(s string, indent int) []string {
	var out []string
	for l := range strings.SplitSeq(lipgloss.Wrap(s, max(8, p.width-2-indent), ""), "\n") {
		out = append(out, strings.Repeat(" ", indent)+strings.TrimRight(l, " "))
	}
	return out
}

// marked is s wrapped, with a mark of one column before its first line.
func (p page) marked(mark, s string) []string {
	lines := p.wrap(s, 2)
	lines[0] = mark + lines[0][1:]
	return lines
}

// lay puts a heading, the body and the foot on the screen; of a body that is too
// long the part from line top is shown. It returns where that part really begins.
func (p page) lay(head, body, foot []string, top int) (string, int) {
	room := max(1, p.height-len(head)-len(foot))
	top = max(0, min(top, len(body)-room))
	end := min(len(body), top+room)
	lines := append(append([]string{}, head...), body[top:end]...)
	if missing := p.height - len(lines) - len(foot); missing > 0 {
		lines = append(lines, make([]string, missing)...)
	}
	lines = append(lines, foot...)
	lines = lines[:min(len(lines), max(1, p.height))]
	for i, l := range lines {
		lines[i] = " " + lipgloss.NewStyle().MaxWidth(p.width-1).Render(l)
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n"), top
}

// heading is the first lines of a screen: what it is about, and at the right
// where one is.
func (p page) heading(title, right string) []string {
	gap := p.width - 2 - lipgloss.Width(title) - lipgloss.Width(right)
	if gap < 1 {
		return append(p.bolds(title), "")
	}
	return []string{bold.Render(title) + strings.Repeat(" ", gap) + faint.Render(right), ""}
}

func (p page) bolds(s string) []string {
	lines := p.wrap(s, 0)
	for i := range lines {
		lines[i] = bold.Render(lines[i])
	}
	return lines
}

// keys is the last line: what can be pressed.
func (p page) keys(pairs ...hint.Text) string {
	var words []string
	for _, t := range pairs {
		words = append(words, p.say(t))
	}
	for len(words) > 1 && lipgloss.Width(strings.Join(words, "   ")) > p.width-2 {
		words = words[:len(words)-1]
	}
	return faint.Render(strings.Join(words, "   "))
}

// buttons are what can be chosen with Enter; the chosen one is marked.
func (p page) buttons(at int, titles ...hint.Text) []string {
	var lines []string
	line := ""
	for i, t := range titles {
		b := "[ " + p.say(t) + " ]"
		if i == at {
			b = chosen.Render("> " + p.say(t) + " <")
		}
		if line != "" && lipgloss.Width(line)+2+lipgloss.Width(b) > p.width-2 {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += "  "
		}
		line += b
	}
	return append(lines, line)
}

// tick is the mark of what is done or well.
func (p page) tick() string { return good.Render(p.plain("✓")) }
