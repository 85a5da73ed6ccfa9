// Package tui is what a person sees on a terminal: it asks and shows, and never
// does. What is done comes in as funcs; what is said comes in as hint.Text.
//
// Screens are made with Bubble Tea (charm.land/bubbletea/v2). They hold at 80×24
// and at 40×12, without colours (NO_COLOR: a choice is shown by reverse video) and
// without UTF-8 (plain characters, no QR code). The mouse stays off, so that an
// address or a code can be selected and copied.
//
// Used by cmd/foyer where a person sits at a terminal; everywhere else the same
// things are said in lines.
package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/foyer-server/foyer/internal/hint"
)

// Change is one line of the plan.
type Change struct {
	Mark string // "+" made, "~" changed, "!" kept as it was edited
	What string // a path, a name
	Why  hint.Text
}

// Progress is a step of the install beginning or, if Done, being over.
type Progress struct {
	N, Of int // this one is the Nth of Of
	Title hint.Text
	Done  bool
}

// Outcome is what the person needs to go on in a browser.
type Outcome struct {
	Addresses []string
	Code      string // claim code; empty when there is an owner
	Owner     string
}

// Installation is what the screens show and what they may have done.
type Installation struct {
	Lang    hint.Lang
	UTF8    bool
	Changes []Change
	// Apply makes the changes; it calls progress from any goroutine.
	Apply func(ctx context.Context, progress func(Progress)) (Outcome, error)
	// Claimed reports whether the server has an owner by now; asked every second.
	Claimed func(ctx context.Context) bool
}

// ErrCancelled says that the person chose not to go on; nothing was changed.
var ErrCancelled = errors.New("cancelled")

// Install shows the plan, asks, shows the progress and, at the end, where to go
// on. It returns when the person is done with the last screen, or with
// ErrCancelled when they chose not to install. Once they chose to install, only
// the end of ctx stops Apply: leaving the screen does not.
func Install(ctx context.Context, in io.Reader, out io.Writer, environ []string, i Installation) (Outcome, error) {
	m := newInstall(i)
	p := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithEnvironment(environ))
	m.apply = func() tea.Msg {
		o, err := i.Apply(ctx, func(pr Progress) { p.Send(pr) })
		return applied{o, err}
	}
	m.ask = func() tea.Msg { return claimed(i.Claimed(ctx)) }
	end, err := p.Run()
	if err != nil {
		return Outcome{}, fmt.Errorf("cannot use the terminal: %w", err)
	}
	last := end.(*install)
	switch {
	case last.err != nil:
		return Outcome{}, last.err
	case last.screen == screenPlan:
		return Outcome{}, ErrCancelled
	}
	return last.outcome, nil
}

type screen int

const (
	screenPlan screen = iota
	screenProgress
	screenDone
)

// install is the model of the three screens.
type install struct {
	Installation
	screen        screen
	width, height int
	later         bool // "Not now" is chosen
	top           int  // first line of the plan that is shown
	steps         []Progress
	outcome       Outcome
	isClaimed     bool
	err           error

	apply, ask tea.Cmd
}

type (
	applied struct {
		Outcome
		err error
	}
	claimed bool
	tick    struct{}
)

func newInstall(i Installation) *install { return &install{Installation: i, width: 80, height: 24} }

func (m *install) Init() tea.Cmd { return nil }

func (m *install) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		if msg.Width > 0 && msg.Height > 0 { // a serial console says 0×0
			m.width, m.height = msg.Width, msg.Height
		}
	case tea.KeyPressMsg:
		return m.key(msg.String())
	case Progress:
		if n := len(m.steps); n > 0 && m.steps[n-1].N == msg.N {
			m.steps[n-1] = msg
		} else {
			m.steps = append(m.steps, msg)
		}
	case applied:
		if m.outcome, m.err = msg.Outcome, msg.err; m.err != nil {
			return m, tea.Quit
		}
		m.screen = screenDone
		return m, m.ask
	case claimed:
		if m.isClaimed = bool(msg); m.isClaimed {
			return m, nil
		}
		return m, tea.Tick(time.Second, func(time.Time) tea.Msg { return tick{} })
	case tick:
		return m, m.ask
	}
	return m, nil
}

func (m *install) key(k string) (tea.Model, tea.Cmd) {
	switch m.screen {
	case screenPlan:
		switch k {
		case "left", "right", "tab", "shift+tab", "h", "l":
			m.later = !m.later
		case "up", "k":
			m.top = max(0, m.top-1)
		case "down", "j":
			m.top = min(m.top+1, m.lastTop())
		case "pgup":
			m.top = max(0, m.top-m.room())
		case "pgdown", "space":
			m.top = min(m.top+m.room(), m.lastTop())
		case "esc", "q", "ctrl+c":
			return m, tea.Quit
		case "enter":
			if m.later {
				return m, tea.Quit
			}
			m.screen = screenProgress
			return m, m.apply
		}
	case screenDone:
		switch k {
		case "enter", "esc", "q", "ctrl+c":
			return m, tea.Quit
		}
	}
	return m, nil // while it installs, keys do nothing: half an install helps nobody
}

func (m *install) View() tea.View {
	var content string
	switch m.screen {
	case screenPlan:
		content = m.planView()
	case screenProgress:
		content = m.progressView()
	case screenDone:
		content = m.doneView()
	}
	v := tea.NewView(content)
	v.AltScreen = true
	v.WindowTitle = "Foyer"
	return v
}

var (
	bold     = lipgloss.NewStyle().Bold(true)
	chosen   = lipgloss.NewStyle().Reverse(true).Bold(true)
	faint    = lipgloss.NewStyle().Faint(true)
	goodMark = lipgloss.NewStyle().Foreground(lipgloss.Green)
)

func (m *install) wrap(s string) string { return lipgloss.Wrap(s, m.width-2, "") }

func (m *install) say(t hint.Text) string { return t.In(m.Lang) }

// planLines is the plan, wrapped to the width.
func (m *install) planLines() []string {
	var out []string
	for _, c := range m.Changes {
		text := c.Mark + " " + c.What
		why := c.Why.In(m.Lang)
		if m.width >= 70 {
			pad := max(1, 40-lipgloss.Width(text))
			if lipgloss.Width(text)+pad+lipgloss.Width(why) <= m.width-2 {
				out = append(out, text+strings.Repeat(" ", pad)+faint.Render(why))
				continue
			}
		}
		out = append(out, text)
		for l := range strings.SplitSeq(lipgloss.Wrap(why, m.width-6, ""), "\n") {
			out = append(out, "    "+faint.Render(strings.TrimRight(l, " ")))
		}
	}
	return out
}

// room is how many lines of the plan fit on the screen.
func (m *install) room() int {
	return max(1, m.height-lipgloss.Height(m.wrap(m.title()))-5)
}

func (m *install) lastTop() int { return max(0, len(m.planLines())-m.room()) }

func (m *install) title() string {
	return m.say(hint.T("Foyer will make these changes to this machine:", "Foyer fera ces changements sur cette machine :"))
}

func (m *install) planView() string {
	lines := m.planLines()
	m.top = min(m.top, m.lastTop())
	end := min(len(lines), m.top+m.room())
	var b strings.Builder
	b.WriteString(" " + strings.ReplaceAll(bold.Render(m.wrap(m.title())), "\n", "\n ") + "\n\n")
	for _, l := range lines[m.top:end] {
		b.WriteString(" " + l + "\n")
	}
	more := ""
	if end < len(lines) {
		more = m.say(hint.T("↓ %d more lines", "↓ encore %d lignes", len(lines)-end))
		if !m.UTF8 {
			more = strings.Replace(more, "↓", "v", 1)
		}
	}
	b.WriteString(" " + faint.Render(more) + "\n\n")
	yes, no := m.say(hint.T(" Install ", " Installer ")), m.say(hint.T(" Not now ", " Pas maintenant "))
	if m.later {
		yes, no = "["+yes+"]", chosen.Render(">"+no+"<")
	} else {
		yes, no = chosen.Render(">"+yes+"<"), "["+no+"]"
	}
	b.WriteString(" " + yes + "  " + no)
	return b.String()
}

func (m *install) progressView() string {
	var b strings.Builder
	b.WriteString(" " + bold.Render(m.say(hint.T("Installing…", "Installation…"))) + "\n\n")
	shown := m.steps[max(0, len(m.steps)-(m.height-4)):]
	for _, s := range shown {
		mark := "·"
		if s.Done {
			mark = m.check()
		} else if !m.UTF8 {
			mark = "-"
		}
		b.WriteString(fmt.Sprintf(" %s %2d/%d %s\n", mark, s.N, s.Of, s.Title.In(m.Lang)))
	}
	return b.String()
}

func (m *install) check() string {
	if m.UTF8 {
		return goodMark.Render("✓")
	}
	return "*"
}

func (m *install) doneView() string {
	o := m.outcome
	var lines []string
	add := func(s string) { lines = append(lines, strings.Split(m.wrap(s), "\n")...) }
	add(bold.Render(m.say(hint.T("All done!", "C'est fait !"))))
	lines = append(lines, "")
	for i, a := range o.Addresses {
		word := m.say(hint.T("Open", "Ouvrez"))
		if i > 0 {
			word = m.say(hint.T("or", "ou"))
		}
		lines = append(lines, fmt.Sprintf("%-8s %s", word, a))
	}
	if o.Code != "" {
		lines = append(lines, fmt.Sprintf("%-8s %s  %s", "Code", bold.Render(o.Code), m.say(hint.T("(24 h)", "(24 h)"))))
	}
	lines = append(lines, fmt.Sprintf("%-8s %s", m.say(hint.T("Later", "Ensuite")), "sudo foyer status"), "")
	switch {
	case m.isClaimed || o.Owner != "":
		lines = append(lines, m.check()+" "+m.say(hint.T("It has its owner.", "Il a son propriétaire.")))
	default:
		add(m.say(hint.T("Waiting for the first owner…", "En attente du premier propriétaire…")))
	}
	lines = append(lines, "", chosen.Render(m.say(hint.T("> Finish <", "> Terminer <"))))
	text := strings.Join(lines, "\n")
	if o.Code != "" && !m.isClaimed && m.UTF8 && len(o.Addresses) > 0 {
		code := QR(o.Addresses[0] + "claim#claim=" + o.Code)
		if w, h := lipgloss.Width(code), lipgloss.Height(code); w+lipgloss.Width(text)+4 <= m.width && h <= m.height-1 {
			text = lipgloss.JoinHorizontal(lipgloss.Top, code, "   ", text)
		}
	}
	return lipgloss.NewStyle().MarginLeft(1).Render(text)
}
