package tui

import (
	"fmt"
	"maps"
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/hint"
)

// interview is the part of a screen that asks questions, from the first one to the plan that
// a person agrees to. Whoever embeds it sets what is done then.
type interview struct {
	page
	questions []installer.Question
	values    installer.Values
	langSure  bool                   // the language is not asked
	resumed   bool                   // values are of an earlier time that was cut short
	remember  func(installer.Values) // keeps the answers in case the terminal goes away
	notes     []hint.Text            // said before the first question

	at       place
	cursor   int // of options, buttons or choices
	top      int // first line of a long body that is shown
	question installer.Question
	field    textinput.Model
	wrong    hint.Text // with what is in the field
	back     []string  // keys of the questions before this one
	aside    bool      // this question came from "Change something"

	planning int // number of the plan that is waited for
	plan     Plan
	planned  bool
	refused  error // why there is no plan

	makePlan func(n int, v installer.Values) tea.Cmd
	title    hint.Text      // of the plan: "Ready?"
	agree    hint.Text      // the button that says yes to it
	agreed   func() tea.Cmd // what is done then
	leave    func() tea.Cmd // what is done when the person leaves instead
}

func newInterview(t Term, questions []installer.Question, values installer.Values) interview {
	values = maps.Clone(values)
	if values == nil {
		values = installer.Values{}
	}
	return interview{page: newPage(t), questions: questions, values: values, remember: func(installer.Values) {}, leave: func() tea.Cmd { return tea.Quit }}
}

// planned is a plan that was made, or why there is none.
type planned struct {
	n    int
	plan Plan
	err  error
}

// update takes what belongs to questions and plans; ok is false for everything else.
func (m *interview) update(msg tea.Msg) (cmd tea.Cmd, ok bool) {
	switch msg := msg.(type) {
	case planned:
		if msg.n == m.planning {
			m.plan, m.refused, m.planned = hint.Clean(msg.plan), msg.err, true
			m.cursor, m.top = 0, 0
		}
		return nil, true
	case tea.WindowSizeMsg:
		m.resize(msg.Width, msg.Height)
		m.field.SetWidth(max(8, m.width-6))
		return nil, true
	case tea.KeyPressMsg:
		return nil, false
	}
	if m.at == atQuestion && len(m.question.Options) == 0 {
		return m.edit(msg), true
	}
	return nil, false
}

// key takes a key while it asks; ok is false where it does not.
func (m *interview) key(msg tea.KeyPressMsg) (cmd tea.Cmd, ok bool) {
	switch m.at {
	case atQuestion:
		return m.questionKey(msg.String(), msg), true
	case atPlan:
		return m.planKey(msg.String()), true
	case atChoices:
		return m.choicesKey(msg.String()), true
	}
	return nil, false
}

func (m *interview) choicesKey(k string) tea.Cmd {
	choices := installer.Choices(m.questions, m.values)
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
	return nil
}

// view is what it shows; ok is false where it does not ask.
func (m *interview) view() (content string, ok bool) {
	switch m.at {
	case atQuestion:
		return m.questionView(), true
	case atPlan:
		return m.planView(), true
	case atChoices:
		return m.choicesView(), true
	}
	return "", false
}

// way are the questions on the way; the language is the first where it is not sure.
func (m *interview) way() []installer.Question {
	way := installer.Way(m.questions, m.values)
	if m.langSure {
		return way
	}
	for _, q := range m.questions {
		if q.Key == "language" {
			way = append([]installer.Question{q}, way...)
		}
	}
	return way
}

// next goes to the question after key, or to the plan after the last one.
func (m *interview) next(key string) tea.Cmd {
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
func (m *interview) open(q installer.Question, aside bool) tea.Cmd {
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
func (m *interview) answer(text string) tea.Cmd {
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
	m.remember(maps.Clone(m.values))
	if m.aside {
		return m.toChoices(key)
	}
	m.back = append(m.back, key)
	return m.next(key)
}

func (m *interview) toPlan() tea.Cmd {
	m.at, m.cursor, m.top, m.planned = atPlan, 0, 0, false
	m.planning++
	return m.makePlan(m.planning, m.values)
}

func (m *interview) toChoices(key string) tea.Cmd {
	m.at, m.cursor, m.top = atChoices, 0, 0
	for i, q := range installer.Choices(m.questions, m.values) {
		if q.Key == key {
			m.cursor = i
		}
	}
	return nil
}

// goBack goes to the question before, or from the first one out.
func (m *interview) goBack() tea.Cmd {
	for len(m.back) > 0 {
		key := m.back[len(m.back)-1]
		m.back = m.back[:len(m.back)-1]
		for _, q := range m.way() {
			if q.Key == key {
				return m.open(q, false)
			}
		}
	}
	return m.leave()
}

func (m *interview) questionKey(k string, msg tea.Msg) tea.Cmd {
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
		return m.leave()
	default:
		if len(k) == 1 && k[0] >= '1' && int(k[0]-'1') < n {
			m.cursor = int(k[0] - '1')
		}
	}
	return nil
}

func (m *interview) otherLanguage() {
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

func (m *interview) edit(msg tea.Msg) tea.Cmd {
	var cmd tea.Cmd
	before := m.field.Value()
	if m.field, cmd = m.field.Update(msg); m.field.Value() != before {
		m.wrong = hint.Text{}
	}
	return cmd
}

func (m *interview) planKey(k string) tea.Cmd {
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
		return m.leave()
	case "esc":
		return m.goBack()
	case "enter":
		switch b := m.planButtons()[m.cursor]; b {
		case m.agree:
			return m.agreed()
		case buttonAgain:
			return m.toPlan()
		case buttonChange:
			return m.toChoices("")
		}
		return m.leave()
	}
	return nil
}

func (m *interview) planButtons() []hint.Text {
	if m.refused == nil && m.plan.Nothing {
		return []hint.Text{buttonChange, buttonLater}
	}
	if m.refused != nil {
		return []hint.Text{buttonAgain, buttonChange, buttonLater}
	}
	return []hint.Text{m.agree, buttonChange, buttonLater}
}

func (m *interview) questionView() string {
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
		if m.resumed {
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
func (p page) faints(t hint.Text, indent ...int) []string {
	in := 0
	if len(indent) > 0 {
		in = indent[0]
	}
	lines := p.wrap(p.say(t), in)
	for i := range lines {
		lines[i] = faint.Render(lines[i])
	}
	return lines
}

func (m *interview) planView() string {
	if !m.planned {
		out, _ := m.lay(m.heading(m.say(hint.T("The plan", "Le plan")), ""), []string{m.say(looking)}, []string{"", m.keys(keyBack)}, 0)
		return out
	}
	var head, body []string
	if m.refused != nil {
		head = m.heading(m.say(hint.T("This does not work yet", "Cela ne va pas encore")), "")
		body = m.wrap(m.plain(hint.Describe(m.refused, m.lang)), 0)
	} else {
		title := m.title
		if m.plan.Nothing {
			title = hint.T("Nothing changes", "Rien ne change")
		}
		head = m.heading(m.say(title), fmt.Sprintf("%d/%d", len(m.way())+1, len(m.way())+1))
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
func (m *interview) planLines() []string {
	var out []string
	for _, t := range m.plan.Summary {
		out = append(out, m.marked(m.plain("•"), m.say(t))...)
	}
	for _, n := range m.plan.Notes {
		out = append(out, m.marked(warning.Render("!"), m.say(n))...)
	}
	if len(m.plan.Steps) > 0 {
		out = append(append(out, ""), m.faints(forThat)...)
	}
	for _, t := range m.plan.Steps {
		out = append(out, m.marked(m.plain("·"), m.say(t))...)
	}
	if len(m.plan.Changes) == 0 {
		return out
	}
	out = append(out, "")
	out = append(out, m.faints(forThat)...)
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

func (m *interview) choicesView() string {
	head := m.heading(m.say(hint.T("Change something", "Changer quelque chose")), "")
	choices := installer.Choices(m.questions, m.values)
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

// What can be done about a plan.
var (
	buttonAgain  = hint.T("Look again", "Regarder de nouveau")
	buttonChange = hint.T("Change something…", "Changer quelque chose…")
	buttonLater  = hint.T("Not now", "Pas maintenant")
)

var forThat = hint.T("For that, Foyer makes these changes to this machine:", "Pour cela, Foyer fait ces changements sur cette machine :")

// What the keys do, as the last line of a screen says it.
var (
	keyGoOn   = hint.T("Enter: go on", "Entrée : continuer")
	keyChoose = hint.T("↑↓: choose", "↑↓ : choisir")
	keyBack   = hint.T("Esc: back", "Échap : retour")
	keyQuit   = hint.T("Esc: quit", "Échap : quitter")
	keyScroll = hint.T("↑↓: read", "↑↓ : lire")
	keyOther  = hint.Text{EN: "L: Français", FR: "L : English"}
)
