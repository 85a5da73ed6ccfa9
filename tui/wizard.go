package tui

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"charm.land/bubbles/v2/textinput"
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
	Notes   []hint.Text // what is worth knowing
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
	atDone
)

// wizard is the model of the screens.
type wizard struct {
	*Wizard
	page
	at     place
	values installer.Values
	notes  []hint.Text
	cursor int // of options, buttons or choices
	top    int // first line of a long body that is shown

	question installer.Question
	field    textinput.Model
	wrong    hint.Text // with what is in the field
	back     []string  // keys of the questions before this one
	aside    bool      // this question came from "Change something"

	planning int // number of the plan that is waited for
	plan     Plan
	planned  bool
	refused  error // why there is no plan

	steps   []Progress
	outcome Outcome
	claimed bool
	err     error

	look, apply, ask tea.Cmd
	makePlan         func(n int, v installer.Values) tea.Cmd
}

type (
	seen    Sight
	planned struct {
		n    int
		plan Plan
		err  error
	}
	applied struct {
		Outcome
		err error
	}
	claimed bool
	tick    struct{}
)

func newWizard(w *Wizard) *wizard {
	m := &wizard{Wizard: w, page: newPage(w.Term), values: maps.Clone(w.Values), claimed: false}
	if m.values == nil {
		m.values = installer.Values{}
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
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.resize(msg.Width, msg.Height)
		m.field.SetWidth(max(8, m.width-6))
	case seen:
		return m, m.begin(msg)
	case tea.KeyPressMsg:
		return m, m.key(msg)
	case tea.PasteMsg:
		if m.at == atQuestion && len(m.question.Options) == 0 {
			return m, m.edit(msg)
		}
	case planned:
		if msg.n == m.planning {
			m.plan, m.refused, m.planned = hint.Clean(msg.plan), msg.err, true
			m.cursor, m.top = 0, 0
		}
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
	default:
		if m.at == atQuestion && len(m.question.Options) == 0 {
			return m, m.edit(msg)
		}
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

// way are the questions on the way; the language is the first where it is not sure.
func (m *wizard) way() []installer.Question {
	way := installer.Way(m.Questions, m.values)
	if m.LangSure {
		return way
	}
	for _, q := range m.Questions {
		if q.Key == "language" {
			way = append([]installer.Question{q}, way...)
		}
	}
	return way
}

// next goes to the question after key, or to the plan after the last one.
func (m *wizard) next(key string) tea.Cmd {
	way := m.way()
	at := 0
	for i, q := range way {
		if q.Key == key {
			at = i + 1
		}
	}
	if at < len(way) {
		return m.open(way[at], false)
	}
	return m.toPlan()
}

// open shows a question with what is answered so far.
func (m *wizard) open(q installer.Question, aside bool) tea.Cmd {
	m.at, m.question, m.aside, m.wrong, m.cursor, m.top = atQuestion, q, aside, hint.Text{}, 0, 0
	now := m.values.Get(q.Key)
	if q.Key == "language" && now == "" {
		now = string(m.lang)
	}
	for i, o := range q.Options {
		if o.Value == now {
			m.cursor = i
		}
	}
	if len(q.Options) > 0 {
		return nil
	}
	m.field = textinput.New()
	m.field.Prompt = "> "
	m.field.CharLimit = 1000
	m.field.SetWidth(max(8, m.width-6))
	if q.Secret {
		m.field.EchoMode, m.field.EchoCharacter = textinput.EchoPassword, '*'
	}
	m.field.SetValue(now)
	m.field.CursorEnd()
	return m.field.Focus()
}

// answer takes the answer to the question that is shown, and goes on.
func (m *wizard) answer(text string) tea.Cmd {
	text = strings.TrimSpace(text)
	if m.wrong = m.question.Check(m.values, text); !m.wrong.IsZero() {
		return nil
	}
	key := m.question.Key
	m.values[key] = text
	if text == "" {
		delete(m.values, key)
	}
	if key == "language" {
		if l, ok := hint.ParseLang(text); ok {
			m.lang = l
		}
	}
	m.values = m.values.Complete(key)
	m.Remember(maps.Clone(m.values))
	if m.aside {
		return m.toChoices(key)
	}
	m.back = append(m.back, key)
	return m.next(key)
}

func (m *wizard) toPlan() tea.Cmd {
	m.at, m.cursor, m.top, m.planned = atPlan, 0, 0, false
	m.planning++
	return m.makePlan(m.planning, m.values)
}

func (m *wizard) toChoices(key string) tea.Cmd {
	m.at, m.cursor, m.top = atChoices, 0, 0
	for i, q := range installer.Choices(m.Questions, m.values) {
		if q.Key == key {
			m.cursor = i
		}
	}
	return nil
}

// goBack goes to the question before, or from the first one out.
func (m *wizard) goBack() tea.Cmd {
	for len(m.back) > 0 {
		key := m.back[len(m.back)-1]
		m.back = m.back[:len(m.back)-1]
		for _, q := range m.way() {
			if q.Key == key {
				return m.open(q, false)
			}
		}
	}
	return tea.Quit
}

func (m *wizard) key(msg tea.KeyPressMsg) tea.Cmd {
	k := msg.String()
	if k == "ctrl+c" { // while it installs: that goes on, and coming back shows it
		return tea.Quit
	}
	switch m.at {
	case atLook:
		if k == "esc" || k == "q" {
			return tea.Quit
		}
	case atQuestion:
		return m.questionKey(k, msg)
	case atPlan:
		return m.planKey(k)
	case atChoices:
		choices := installer.Choices(m.Questions, m.values)
		switch k {
		case "up", "k", "shift+tab":
			m.cursor = max(0, m.cursor-1)
		case "down", "j", "tab":
			m.cursor = min(m.cursor+1, len(choices)) // the last one is "done"
		case "enter":
			if m.cursor < len(choices) {
				return m.open(choices[m.cursor], true)
			}
			return m.toPlan()
		case "esc", "left":
			return m.toPlan()
		}
	case atDone:
		switch k {
		case "enter", "esc", "q":
			return tea.Quit
		}
	}
	return nil
}

func (m *wizard) questionKey(k string, msg tea.Msg) tea.Cmd {
	n := len(m.question.Options)
	switch {
	case k == "esc" && m.aside:
		return m.toChoices(m.question.Key)
	case k == "esc":
		return m.goBack()
	case k == "enter" && n > 0:
		return m.answer(m.question.Options[m.cursor].Value)
	case k == "enter":
		return m.answer(m.field.Value())
	case n == 0:
		return m.edit(msg)
	}
	switch k {
	case "up", "k", "shift+tab":
		m.cursor = max(0, m.cursor-1)
	case "down", "j", "tab":
		m.cursor = min(m.cursor+1, n-1)
	case "l", "L": // until the first answer everything may still change language
		if len(m.back) == 0 && !m.aside {
			m.otherLanguage()
		}
	case "q":
		return tea.Quit
	default:
		if len(k) == 1 && k[0] >= '1' && int(k[0]-'1') < n {
			m.cursor = int(k[0] - '1')
		}
	}
	return nil
}

func (m *wizard) otherLanguage() {
	for i, l := range hint.Langs {
		if l == m.lang {
			m.lang = hint.Langs[(i+1)%len(hint.Langs)]
			break
		}
	}
	m.values["language"] = string(m.lang)
	if m.question.Key == "language" {
		m.open(m.question, false) // options only: nothing to do
	}
}

func (m *wizard) edit(msg tea.Msg) tea.Cmd {
	var cmd tea.Cmd
	before := m.field.Value()
	if m.field, cmd = m.field.Update(msg); m.field.Value() != before {
		m.wrong = hint.Text{}
	}
	return cmd
}

func (m *wizard) planKey(k string) tea.Cmd {
	if !m.planned {
		if k == "esc" {
			m.planning++ // its plan is not wanted any more
			return m.goBack()
		}
		return nil
	}
	n := len(m.planButtons())
	switch k {
	case "left", "shift+tab", "h":
		m.cursor = max(0, m.cursor-1)
	case "right", "tab":
		m.cursor = min(m.cursor+1, n-1)
	case "up", "k":
		m.top--
	case "down", "j":
		m.top++
	case "pgup":
		m.top -= m.height / 2
	case "pgdown", "space":
		m.top += m.height / 2
	case "c":
		return m.toChoices("")
	case "q":
		return tea.Quit
	case "esc":
		return m.goBack()
	case "enter":
		switch b := m.planButtons()[m.cursor]; b {
		case buttonInstall:
			m.at, m.top = atProgress, 0
			return m.apply
		case buttonAgain:
			return m.toPlan()
		case buttonChange:
			return m.toChoices("")
		}
		return tea.Quit
	}
	return nil
}

// What can be done about a plan.
var (
	buttonInstall = hint.T("Install", "Installer")
	buttonAgain   = hint.T("Look again", "Regarder de nouveau")
	buttonChange  = hint.T("Change something…", "Changer quelque chose…")
	buttonLater   = hint.T("Not now", "Pas maintenant")
)

func (m *wizard) planButtons() []hint.Text {
	if m.refused != nil {
		return []hint.Text{buttonAgain, buttonChange, buttonLater}
	}
	return []hint.Text{buttonInstall, buttonChange, buttonLater}
}

func (m *wizard) View() tea.View {
	var content string
	switch m.at {
	case atLook:
		content, _ = m.lay(m.heading("Foyer", ""), []string{m.say(looking)}, nil, 0)
	case atQuestion:
		content = m.questionView()
	case atPlan:
		content = m.planView()
	case atChoices:
		content = m.choicesView()
	case atProgress:
		content = m.progressView()
	case atDone:
		content = m.doneView()
	}
	return m.draw(content)
}

var looking = hint.T("Looking at this machine…", "Examen de cette machine…")

// What the keys do, as the last line of a screen says it.
var (
	keyGoOn   = hint.T("Enter: go on", "Entrée : continuer")
	keyChoose = hint.T("↑↓: choose", "↑↓ : choisir")
	keyBack   = hint.T("Esc: back", "Échap : retour")
	keyQuit   = hint.T("Esc: quit", "Échap : quitter")
	keyScroll = hint.T("↑↓: read", "↑↓ : lire")
	keyOther  = hint.Text{EN: "L: Français", FR: "L : English"}
)

func (m *wizard) questionView() string {
	way := m.way()
	right := ""
	for i, q := range way {
		if q.Key == m.question.Key && !m.aside {
			right = fmt.Sprintf("%d/%d", i+1, len(way)+1)
		}
	}
	head := m.heading(m.say(m.question.Title), right)
	var body []string
	if len(m.back) == 0 && !m.aside {
		if m.Resumed {
			body = append(body, m.faints(hint.T("Going on where you stopped.", "On reprend où vous en étiez."))...)
		}
		for _, n := range m.notes {
			body = append(body, m.faints(n)...)
		}
		if len(body) > 0 {
			body = append(body, "")
		}
	}
	at := 0 // the line that must be seen
	for i, o := range m.question.Options {
		title := m.say(o.Title)
		if i == m.cursor {
			at = len(body)
			for _, l := range m.marked(">", title) {
				body = append(body, chosen.Render(l))
			}
			if !o.Help.IsZero() {
				body = append(body, m.faints(o.Help, 4)...)
			}
			continue
		}
		body = append(body, m.wrap(title, 2)...)
	}
	if len(m.question.Options) == 0 {
		body = append(body, m.faints(m.question.Help)...)
		body = append(body, "")
		at = len(body)
		body = append(body, m.field.View())
		if !m.wrong.IsZero() {
			for _, l := range m.wrap(m.say(m.wrong), 0) {
				body = append(body, warning.Render(l))
			}
			at = len(body) - 1
		}
	}
	keys := []hint.Text{keyGoOn}
	if len(m.question.Options) > 0 {
		keys = append(keys, keyChoose)
	}
	if len(m.back) == 0 && !m.aside {
		keys = append(keys, keyQuit)
		if len(m.question.Options) > 0 {
			keys = append(keys, keyOther)
		}
	} else {
		keys = append(keys, keyBack)
	}
	room := m.height - len(head) - 2
	out, _ := m.lay(head, body, []string{"", m.keys(keys...)}, max(0, at-room+3))
	return out
}

// faints is a sentence that is not the main thing, wrapped.
func (m *wizard) faints(t hint.Text, indent ...int) []string {
	in := 0
	if len(indent) > 0 {
		in = indent[0]
	}
	lines := m.wrap(m.say(t), in)
	for i := range lines {
		lines[i] = faint.Render(lines[i])
	}
	return lines
}

func (m *wizard) planView() string {
	if !m.planned {
		out, _ := m.lay(m.heading(m.say(hint.T("The plan", "Le plan")), ""), []string{m.say(looking)}, []string{"", m.keys(keyBack)}, 0)
		return out
	}
	var head, body []string
	if m.refused != nil {
		head = m.heading(m.say(hint.T("This does not work yet", "Cela ne va pas encore")), "")
		body = m.wrap(m.plain(hint.Describe(m.refused, m.lang)), 0)
	} else {
		head = m.heading(m.say(hint.T("Ready?", "Prêt ?")), fmt.Sprintf("%d/%d", len(m.way())+1, len(m.way())+1))
		body = m.planLines()
	}
	foot := append([]string{""}, m.buttons(m.cursor, m.planButtons()...)...)
	room := max(1, m.height-len(head)-len(foot))
	m.top = max(0, min(m.top, len(body)-room))
	if left := len(body) - m.top - room; left > 0 {
		foot[0] = faint.Render(m.say(hint.T("↓ %d more lines", "↓ encore %d lignes", left)))
	}
	out, _ := m.lay(head, body, foot, m.top)
	return out
}

// planLines is the plan, wrapped to the width: what one gets, then what is done.
func (m *wizard) planLines() []string {
	var out []string
	for _, t := range m.plan.Summary {
		out = append(out, m.marked(m.plain("•"), m.say(t))...)
	}
	for _, n := range m.plan.Notes {
		out = append(out, m.marked(warning.Render("!"), m.say(n))...)
	}
	if len(m.plan.Changes) == 0 {
		return out
	}
	out = append(out, "")
	out = append(out, m.faints(hint.T("For that, Foyer makes these changes to this machine:", "Pour cela, Foyer fait ces changements sur cette machine :"))...)
	for _, c := range m.plan.Changes {
		text := c.Mark + " " + m.plain(c.What)
		why := m.say(c.Why)
		if pad := max(1, 42-lipgloss.Width(text)); m.width >= 70 && lipgloss.Width(text)+pad+lipgloss.Width(why) <= m.width-2 {
			out = append(out, text+strings.Repeat(" ", pad)+faint.Render(why))
			continue
		}
		out = append(out, m.wrap(text, 0)...)
		for _, l := range m.wrap(why, 4) {
			out = append(out, faint.Render(l))
		}
	}
	return out
}

func (m *wizard) choicesView() string {
	head := m.heading(m.say(hint.T("Change something", "Changer quelque chose")), "")
	choices := installer.Choices(m.Questions, m.values)
	var body []string
	at := 0
	for i, q := range choices {
		line := m.say(q.Title)
		value := m.say(q.Shown(m.values))
		if q.Key == "language" && value == "" {
			value = m.plain(map[hint.Lang]string{hint.EN: "English", hint.FR: "Français"}[m.lang])
		}
		between := m.say(hint.T(": ", " : "))
		if strings.HasSuffix(line, "?") {
			between = " "
		}
		lines := m.wrap(line+between+value, 2)
		if m.width >= 70 {
			lines = m.wrap(value, 40)
			lines[0] = "  " + line + strings.Repeat(" ", max(1, 38-lipgloss.Width(line))) + strings.TrimLeft(lines[0], " ")
		}
		if i == m.cursor {
			at = len(body)
			lines[0] = "> " + lines[0][2:]
			for j := range lines {
				lines[j] = chosen.Render(lines[j])
			}
		}
		body = append(body, lines...)
	}
	body = append(body, "")
	if m.cursor == len(choices) {
		at = len(body)
		body = append(body, m.buttons(0, hint.T("Done", "C'est bon"))...)
	} else {
		body = append(body, m.buttons(-1, hint.T("Done", "C'est bon"))...)
	}
	room := m.height - len(head) - 2
	out, _ := m.lay(head, body, []string{"", m.keys(hint.T("Enter: change", "Entrée : changer"), keyChoose, hint.T("Esc: the plan", "Échap : le plan"))}, max(0, at-room+2))
	return out
}

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
