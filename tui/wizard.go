package tui

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/hint"
)

// Change is one line of the plan.
type Change struct {
	Mark string // "+" made, "~" changed, "!" kept as it was edited
	What string // a path, a name
	Why  hint.Text
}

// Plan is what an install with some answers comes to.
type Plan struct {
	Summary []hint.Text // what the person gets, in a few lines
	Changes []Change    // what is done to the machine for it
	Steps   []hint.Text // the same as sentences, where nobody looked at the machine
	Notes   []hint.Text // what is worth knowing
	Nothing bool        // there is nothing to agree to
}

// Sight is what was seen of the machine and its network before the first question.
type Sight struct {
	Values installer.Values // answers that follow from it; a person may change them
	Notes  []hint.Text      // what is worth knowing, each a sentence
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

// Wizard asks, shows what would be done, has it done and shows where to go on.
// Run it once, by Screens or by Lines.
type Wizard struct {
	Term
	LangSure  bool // Lang is what the person wants: it is not asked
	Questions []installer.Question
	Values    installer.Values // what is answered already
	Resumed   bool             // Values are of an earlier time that was cut short
	Running   bool             // an install is at work already: it is shown to its end, nothing is asked

	Look     func(ctx context.Context) Sight                                                             // at the machine; takes seconds at most
	Remember func(installer.Values)                                                                      // keeps the answers in case the terminal goes away
	Plan     func(ctx context.Context, v installer.Values) (Plan, error)                                 // a *hint.Error is shown and can be mended by other answers
	Apply    func(ctx context.Context, v installer.Values, progress func(Progress)) (o Outcome, e error) // calls progress from any goroutine
	Claimed  func(ctx context.Context) bool                                                              // whether the server has an owner by now; asked every second
}

// How a wizard may end without an outcome.
var (
	ErrCancelled = errors.New("cancelled") // the person chose not to go on; nothing was changed
	ErrLeft      = errors.New("left")      // the person, or their terminal, went away while it installs; that goes on
)

// Screens runs the wizard in Bubble Tea. It returns when the person is done with
// the last screen, ErrCancelled when they chose not to install, or ctx ended before that,
// ErrLeft when they went away, or it ended, while it installs.
func (w *Wizard) Screens(ctx context.Context) (Outcome, error) {
	m := newWizard(w)
	p := w.program(ctx, m)
	m.cmds(ctx, p.Send)
	end, err := p.Run()
	last, _ := end.(*wizard)
	switch {
	case last == nil && ctx.Err() != nil:
		return Outcome{}, ErrCancelled
	case last == nil:
		return Outcome{}, fmt.Errorf("cannot use the terminal: %w", err)
	case last.err != nil:
		return Outcome{}, last.err
	case last.at == atProgress:
		return Outcome{}, ErrLeft
	case last.at == atDone:
		return last.outcome, nil
	case err != nil && !errors.Is(err, tea.ErrInterrupted) && ctx.Err() == nil:
		return Outcome{}, fmt.Errorf("cannot use the terminal: %w", err)
	}
	return Outcome{}, ErrCancelled
}

// Where a wizard is.
type place int

const (
	atLook place = iota
	atQuestion
	atPlan
	atChoices // "Change something"
	atProgress
	atTrial // it is in force, and has to be confirmed
	atDone
)

// wizard is the model of the screens.
type wizard struct {
	*Wizard
	interview

	steps   []Progress
	outcome Outcome
	claimed bool
	err     error

	look, apply, ask tea.Cmd
}

type (
	seen    Sight
	applied struct {
		Outcome
		err error
	}
	claimed bool
	tick    struct{}
)

func newWizard(w *Wizard) *wizard {
	m := &wizard{Wizard: w, interview: newInterview(w.Term, w.Questions, w.Values)}
	m.langSure, m.resumed, m.remember, m.agree = w.LangSure, w.Resumed, w.Remember, hint.T("Install", "Installer")
	m.title = hint.T("Ready?", "Prêt ?")
	m.agreed = func() tea.Cmd {
		m.at, m.top = atProgress, 0
		return m.apply
	}
	if w.Running {
		m.at = atProgress
	}
	return m
}

// cmds wires what is done outside of the screens; send passes a message in.
func (m *wizard) cmds(ctx context.Context, send func(tea.Msg)) {
	m.look = func() tea.Msg { return seen(m.Look(ctx)) }
	m.ask = func() tea.Msg { return claimed(m.Claimed(ctx)) }
	m.makePlan = func(n int, v installer.Values) tea.Cmd {
		v = maps.Clone(v)
		return func() tea.Msg {
			p, err := m.Plan(ctx, v)
			return planned{n, p, err}
		}
	}
	m.apply = func() tea.Msg {
		o, err := m.Apply(ctx, m.values, func(pr Progress) { send(pr) })
		return applied{o, err}
	}
}

func (m *wizard) Init() tea.Cmd {
	if m.at == atProgress {
		return m.apply
	}
	return m.look
}

func (m *wizard) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if cmd, ok := m.update(msg); ok {
		return m, cmd
	}
	switch msg := msg.(type) {
	case seen:
		return m, m.begin(msg)
	case tea.KeyPressMsg:
		return m, m.key(msg)
	case Progress:
		msg = hint.Clean(msg)
		if n := len(m.steps); n > 0 && m.steps[n-1].N == msg.N {
			m.steps[n-1] = msg
		} else {
			m.steps = append(m.steps, msg)
		}
	case applied:
		if m.outcome, m.err = hint.Clean(msg.Outcome), msg.err; m.err != nil {
			return m, tea.Quit
		}
		m.at = atDone
		return m, m.ask
	case claimed:
		if m.claimed = bool(msg); m.claimed {
			return m, nil
		}
		return m, tea.Tick(time.Second, func(time.Time) tea.Msg { return tick{} })
	case tick:
		return m, m.ask
	}
	return m, nil
}

// begin takes what was seen of the machine and goes to the first question.
func (m *wizard) begin(s seen) tea.Cmd {
	for k, v := range s.Values {
		if _, answered := m.values[k]; !answered {
			m.values[k] = v
		}
	}
	m.notes = hint.Clean(s.Notes)
	return m.next("")
}

func (m *wizard) key(msg tea.KeyPressMsg) tea.Cmd {
	k := msg.String()
	if k == "ctrl+c" { // while it installs: that goes on, and coming back shows it
		return tea.Quit
	}
	cmd, ok := m.interview.key(msg)
	if !ok && (k == "esc" || k == "q" || k == "enter" && m.at == atDone) && (m.at == atLook || m.at == atDone) {
		return tea.Quit
	}
	return cmd
}

func (m *wizard) View() tea.View {
	content, ok := m.view()
	switch {
	case ok:
	case m.at == atLook:
		content, _ = m.lay(m.heading("Foyer", ""), []string{m.say(looking)}, nil, 0)
	case m.at == atProgress:
		content = m.progressView()
	case m.at == atDone:
		content = m.doneView()
	}
	return m.draw(content)
}

var looking = hint.T("Looking at this machine…", "Examen de cette machine…")

func (m *wizard) progressView() string {
	head := m.heading(m.say(hint.T("Installing…", "Installation…")), "")
	foot := append([]string{""}, m.faints(hint.T("It goes on by itself if this terminal closes; `sudo foyer` shows it again.", "Elle continue toute seule si ce terminal se ferme ; `sudo foyer` la montre à nouveau."))...)
	var body []string
	for _, s := range m.steps {
		mark := m.plain("·")
		if s.Done {
			mark = m.tick()
		}
		body = append(body, fmt.Sprintf("%s %2d/%d %s", mark, s.N, s.Of, m.say(s.Title)))
	}
	out, _ := m.lay(head, body, foot, len(body))
	return out
}

func (m *wizard) doneView() string {
	o := m.outcome
	var lines []string
	lines = append(lines, bold.Render(m.say(hint.T("All done!", "C'est fait !"))), "")
	for i, a := range o.Addresses {
		word := m.say(hint.T("Open", "Ouvrez"))
		if i > 0 {
			word = m.say(hint.T("or", "ou"))
		}
		lines = append(lines, fmt.Sprintf("%-8s %s", word, a))
	}
	if o.Code != "" {
		lines = append(lines, fmt.Sprintf("%-8s %s  %s", "Code", bold.Render(o.Code), "(24 h)"))
	}
	lines = append(lines, fmt.Sprintf("%-8s %s", m.say(hint.T("Later", "Ensuite")), "sudo foyer"), "")
	if m.claimed || o.Owner != "" {
		lines = append(lines, m.tick()+" "+m.say(hint.T("It has its owner.", "Il a son propriétaire.")))
	} else {
		lines = append(lines, m.say(hint.T("Waiting for the first owner…", "En attente du premier propriétaire…")))
	}
	lines = append(lines, "", m.buttons(0, hint.T("Finish", "Terminer"))[0])
	for i, l := range lines { // an address that is too long is worth two lines: it is typed by hand
		lines[i] = strings.Join(m.wrap(l, 0), "\n")
	}
	text := strings.Join(lines, "\n")
	if o.Code != "" && !m.claimed && m.utf8 && len(o.Addresses) > 0 {
		code := QR(o.Addresses[0] + "claim#claim=" + o.Code)
		if w, h := lipgloss.Width(code), lipgloss.Height(code); code != "" && w+lipgloss.Width(text)+4 <= m.width && h <= m.height-1 {
			text = lipgloss.JoinHorizontal(lipgloss.Top, code, "   ", text)
		}
	}
	return lipgloss.NewStyle().MarginLeft(1).Render(text)
}
