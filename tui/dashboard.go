package tui

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/health"
)

// Dashboard shows how an installed Foyer is, for as long as somebody looks: the
// same facts as `foyer status --json`, asked for every second.
type Dashboard struct {
	Term
	Status   func(ctx context.Context) (report.Status, error)
	Log      func(ctx context.Context, lines int) ([]string, error)
	NewClaim func(ctx context.Context) (control.Claim, error)
	Restart  func(ctx context.Context) error
}

// Run shows it until the person leaves or ctx ends.
func (d *Dashboard) Run(ctx context.Context) error {
	m := newDashboard(d)
	m.cmds(ctx)
	p := d.program(ctx, m)
	if _, err := p.Run(); err != nil && !errors.Is(err, tea.ErrInterrupted) && ctx.Err() == nil {
		return fmt.Errorf("cannot use the terminal: %w", err)
	}
	return nil
}

// What the dashboard shows.
type view int

const (
	viewHome view = iota
	viewLog
	viewClaim   // a new code
	viewConfirm // whether the server is to be started anew
)

// dashboard is the model.
type dashboard struct {
	*Dashboard
	page
	view  view
	top   int // first line of a long body that is shown
	known bool
	st    report.Status
	asked time.Time // when st was
	err   error     // why there is no newer one

	lines     []string
	follow    bool // the end of the log stays in sight
	filter    string
	filtering bool // the filter is being typed

	claim    control.Claim
	claimErr error
	say1     hint.Text // what came of the last key, until the next one

	status, log, newClaim, restart tea.Cmd
	now                            func() time.Time
}

type (
	statusMsg struct {
		st  report.Status
		err error
	}
	logMsg struct {
		lines []string
		err   error
	}
	claimMsg struct {
		claim control.Claim
		err   error
	}
	restartMsg struct{ err error }
	again      struct{}
)

// every is how often the dashboard asks.
const every = time.Second

func newDashboard(d *Dashboard) *dashboard {
	return &dashboard{Dashboard: d, page: newPage(d.Term), now: time.Now}
}

func (m *dashboard) cmds(ctx context.Context) {
	m.status = func() tea.Msg {
		st, err := m.Status(ctx)
		return statusMsg{st, err}
	}
	m.log = func() tea.Msg {
		lines, err := m.Log(ctx, 1000)
		return logMsg{lines, err}
	}
	m.newClaim = func() tea.Msg {
		c, err := m.NewClaim(ctx)
		return claimMsg{c, err}
	}
	m.restart = func() tea.Msg { return restartMsg{m.Restart(ctx)} }
}

func (m *dashboard) Init() tea.Cmd { return m.status }

func (m *dashboard) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.resize(msg.Width, msg.Height)
	case statusMsg:
		if m.err = msg.err; m.err == nil {
			m.st, m.known, m.asked = hint.Clean(msg.st), true, m.now()
		}
		return m, tea.Tick(every, func(time.Time) tea.Msg { return again{} })
	case again:
		if m.view == viewLog {
			return m, tea.Batch(m.status, m.log)
		}
		return m, m.status
	case logMsg:
		if msg.err == nil {
			m.lines = hint.Clean(msg.lines)
		}
	case claimMsg:
		m.claim, m.claimErr = hint.Clean(msg.claim), msg.err
	case restartMsg:
		if msg.err != nil {
			m.say1 = hint.Says(msg.err)
		}
		return m, m.status
	case tea.KeyPressMsg:
		return m, m.key(msg)
	}
	return m, nil
}

func (m *dashboard) key(msg tea.KeyPressMsg) tea.Cmd {
	k := msg.String()
	m.say1 = hint.Text{}
	if k == "ctrl+c" {
		return tea.Quit
	}
	if m.filtering {
		m.typeFilter(k, msg.Text)
		return nil
	}
	switch k {
	case "up", "k":
		m.top--
		m.follow = false
	case "down", "j":
		m.top++
	case "pgup":
		m.top -= m.height / 2
		m.follow = false
	case "pgdown", "space":
		m.top += m.height / 2
	case "home", "g":
		m.top, m.follow = 0, false
	case "end", "G":
		m.follow = m.view == viewLog
		m.top = 1 << 20
	}
	switch m.view {
	case viewHome:
		return m.homeKey(k)
	case viewLog:
		switch k {
		case "/":
			m.filtering = true
		case "esc", "q", "left":
			m.view, m.top, m.filter = viewHome, 0, ""
		}
	case viewClaim:
		if k == "esc" || k == "q" || k == "enter" || k == "left" {
			m.view = viewHome
		}
	case viewConfirm:
		switch k {
		case "y", "o", "enter": // yes, oui
			m.view = viewHome
			m.say1 = hint.T("The server finishes its requests and is started anew.", "Le serveur finit ses requêtes et redémarre.")
			return m.restart
		case "n", "esc", "q", "left":
			m.view = viewHome
		}
	}
	return nil
}

func (m *dashboard) homeKey(k string) tea.Cmd {
	switch k {
	case "q", "esc":
		return tea.Quit
	case "l":
		m.view, m.top, m.follow, m.lines = viewLog, 0, true, nil
		return m.log
	case "c":
		if m.known && m.st.Claimed {
			m.say1 = hint.T("It has an owner; who forgot the password: `sudo foyer claim --reset`.", "Il a un propriétaire ; mot de passe oublié : `sudo foyer claim --reset`.")
			return nil
		}
		m.view, m.claim, m.claimErr = viewClaim, control.Claim{}, nil
		return m.newClaim
	case "r":
		m.view = viewConfirm
	case "L":
		m.lang = map[hint.Lang]hint.Lang{hint.EN: hint.FR, hint.FR: hint.EN}[m.lang]
	}
	return nil
}

func (m *dashboard) typeFilter(k, text string) {
	switch k {
	case "enter":
		m.filtering = false
	case "esc":
		m.filtering, m.filter = false, ""
	case "backspace":
		if r := []rune(m.filter); len(r) > 0 {
			m.filter = string(r[:len(r)-1])
		}
	default:
		m.filter += text
	}
	m.follow = true
}

func (m *dashboard) View() tea.View {
	var content string
	switch m.view {
	case viewHome:
		content = m.homeView()
	case viewLog:
		content = m.logView()
	case viewClaim:
		content = m.claimView()
	case viewConfirm:
		content, _ = m.lay(m.heading(m.say(hint.T("Start the server anew?", "Relancer le serveur ?")), ""),
			m.wrap(m.say(hint.T("It finishes the requests it has begun; visitors wait a moment, nothing is lost.", "Il finit les requêtes commencées ; les visiteurs patientent un instant, rien n'est perdu.")), 0),
			[]string{m.keys(hint.T("Y: yes", "O : oui"), hint.T("N: no", "N : non"))}, 0)
	}
	return m.draw(content)
}

// light is the traffic light and its sentence.
func (m *dashboard) light() []string {
	color, mark := good, "●"
	sentence := m.st.Sentence
	switch {
	case m.err != nil:
		color, sentence = bad, hint.Says(m.err)
	case !m.known:
		color, sentence = faint, hint.T("Asking…", "Un instant…")
	case m.st.Light == report.Yellow:
		color = warning
	case m.st.Light == report.Red:
		color = bad
	}
	if m.err != nil || m.st.Light == report.Red {
		mark = "✗"
	} else if m.st.Light == report.Yellow {
		mark = "!"
	}
	lines := m.wrap(m.plain(sentence.In(m.lang)), 2)
	for i := range lines {
		if i == 0 {
			lines[i] = color.Render(m.plain(mark)) + " " + bold.Render(lines[i][2:])
		} else {
			lines[i] = "  " + bold.Render(lines[i][2:])
		}
	}
	return lines
}

func (m *dashboard) homeView() string {
	head := m.light()
	if m.known && m.width >= 70 && len(head) == 1 {
		right := "Foyer " + m.st.Version
		if gap := m.width - 2 - lipgloss.Width(head[0]) - lipgloss.Width(right); gap > 1 {
			head[0] += strings.Repeat(" ", gap) + faint.Render(right)
		}
	}
	var body []string
	if m.known && m.err == nil {
		for _, part := range [][]string{m.findings(), m.jobs(), m.facts(), m.plots(), m.lately()} {
			if len(part) > 0 {
				body = append(append(body, ""), part...)
			}
		}
	}
	keys := m.keys(hint.T("Q: quit", "Q : quitter"), hint.T("L: log", "L : journal"), hint.T("R: start anew", "R : relancer"), hint.T("C: claim code", "C : code"), keyScroll)
	foot := []string{"", keys}
	if !m.say1.IsZero() {
		foot = append(m.wrap(m.say(m.say1), 0), keys)
	}
	out, top := m.lay(head, body, foot, m.top)
	m.top = top
	return out
}

// findings are those that want attention, each with what was done and what to do.
func (m *dashboard) findings() []string {
	var out []string
	for _, r := range m.st.Checks {
		if r.Severity == health.OK {
			continue
		}
		mark := map[health.Severity]string{health.Info: faint.Render(m.plain("·")), health.Warning: warning.Render("!"), health.Error: bad.Render(m.plain("✗"))}[r.Severity]
		if r.What != m.st.Sentence {
			out = append(out, m.marked(mark, m.say(r.What))...)
		}
		for _, t := range []hint.Text{r.Did, r.Do} {
			if !t.IsZero() {
				out = append(out, m.wrap(m.say(t), 2)...)
			}
		}
	}
	return out
}

// jobs are those that wait or run, each with how far it is.
func (m *dashboard) jobs() []string {
	var out []string
	for _, r := range m.st.Jobs {
		if r.State.Ended() {
			continue // lately tells of it
		}
		said := hint.T("%s: %s", "%s : %s", r.Title, r.State.Word())
		if share := r.Share(); share >= 0 {
			said = hint.T("%s  %s  %s", "%s  %s  %s", r.Title, bar(share, 20, m.utf8), r.HowFar())
		}
		out = append(out, m.wrap(m.say(said), 2)...)
		if n := len(r.Said); n > 0 {
			out = append(out, m.wrap(faint.Render(m.say(r.Said[n-1])), 4)...)
		}
	}
	return out
}

// bar draws how much of something is done.
func bar(share float64, width int, utf8 bool) string {
	full, left := "█", "░"
	if !utf8 {
		full, left = "#", "."
	}
	n := min(width, int(share*float64(width)+0.5))
	return strings.Repeat(full, n) + strings.Repeat(left, width-n)
}

// facts are the rows that stay: where it answers, who owns it, and what is well.
func (m *dashboard) facts() []string {
	s := m.st
	var out []string
	row := func(title, value string) {
		if value == "" {
			return
		}
		w := 14
		if m.width < 60 {
			w = 11
		}
		lines := m.wrap(value, w)
		title = lipgloss.NewStyle().MaxWidth(w - 1).Render(title)
		lines[0] = faint.Render(title) + strings.Repeat(" ", w-lipgloss.Width(title)) + strings.TrimLeft(lines[0], " ")
		out = append(out, lines...)
	}
	row(m.say(hint.T("Address", "Adresse")), strings.Join(s.Addresses, "  "))
	server := hint.T("%s for %s", "%s depuis %s", s.Server.Word(), report.Age(m.now().Sub(s.Server.Since)))
	switch s.Server.Restarts {
	case 0:
	case 1:
		server = hint.T("%s, started anew once", "%s, relancé une fois", server)
	default:
		server = hint.T("%s, started anew %d times", "%s, relancé %d fois", server, s.Server.Restarts)
	}
	row(m.say(hint.T("Server", "Serveur")), m.say(server))
	if s.People > 0 {
		row(m.say(hint.T("People", "Personnes")), strconv.Itoa(s.People))
	}
	for _, r := range s.Checks {
		if r.Severity == health.OK && !r.What.IsZero() && r.Code != "server" {
			row(m.say(r.Title), m.tick()+" "+m.say(r.What))
		}
	}
	return out
}

// plots are small pictures of the last half hour.
func (m *dashboard) plots() []string {
	c := m.st.Course
	if len(c) == 0 {
		return nil
	}
	last := c[len(c)-1]
	room := max(8, min(60, m.width-32))
	values := func(of func(report.Sample) float64) []float64 {
		var out []float64
		for _, s := range c {
			out = append(out, of(s))
		}
		return out
	}
	line := func(title hint.Text, now string, v []float64, most float64) string {
		label := m.say(title)
		return faint.Render(label) + strings.Repeat(" ", max(1, 14-lipgloss.Width(label))) + fmt.Sprintf("%9s  ", now) + plot(v, most, room, m.utf8)
	}
	out := []string{
		line(hint.T("Requests/min", "Requêtes/min"), fmt.Sprintf("%.0f", last.Requests), values(func(s report.Sample) float64 { return s.Requests }), 10),
		line(hint.T("Memory", "Mémoire"), m.say(report.Size(uint64(last.Memory))), values(func(s report.Sample) float64 { return float64(s.Memory) }), float64(100<<20)),
	}
	if total := float64(m.st.Data.Total); total > 0 {
		used := func(s report.Sample) float64 { return 100 * (1 - float64(s.Free)/total) }
		out = append(out, line(hint.T("Disk", "Disque"), fmt.Sprintf("%.0f %%", used(last)), values(used), 100))
	}
	return out
}

// plot draws values as a row of width bars; most is the least the full height
// stands for. The newest is at the right.
func plot(values []float64, most float64, width int, utf8 bool) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	if !utf8 {
		bars = []rune("_.-=+*#@")
	}
	values = values[max(0, len(values)-width):]
	for _, v := range values {
		most = max(most, v)
	}
	var b strings.Builder
	for _, v := range values {
		b.WriteRune(bars[min(len(bars)-1, max(0, int(v/most*float64(len(bars)))))])
	}
	return b.String()
}

// clock is a time of today as people say it, and one of before with its day.
func (m *dashboard) clock(t time.Time) string {
	t, now := t.Local(), m.now().Local()
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// lately is what happened, newest first.
func (m *dashboard) lately() []string {
	var out []string
	for _, e := range m.st.Lately {
		when := m.clock(e.When())
		lines := m.wrap(m.say(e.Said()), len(when)+2)
		lines[0] = faint.Render(when) + "  " + strings.TrimLeft(lines[0], " ")
		out = append(out, lines...)
	}
	if len(out) == 0 {
		return m.wrap(m.say(hint.T("Nothing happened lately.", "Rien ne s'est passé récemment.")), 0)
	}
	return out
}

func (m *dashboard) logView() string {
	var body []string
	for _, l := range m.lines {
		if m.filter != "" && !strings.Contains(strings.ToLower(l), strings.ToLower(m.filter)) {
			continue
		}
		body = append(body, m.wrap(m.plain(l), 0)...)
	}
	right := fmt.Sprintf("%d", len(m.lines))
	head := m.heading(m.say(hint.T("Log", "Journal")), right)
	foot := []string{m.keys(hint.T("Esc: back", "Échap : retour"), hint.T("/: filter", "/ : filtrer"), keyScroll, hint.T("End: follow", "Fin : suivre"))}
	switch {
	case m.filtering:
		foot = []string{"/" + m.plain(m.filter) + "_"}
	case m.filter != "":
		foot = append([]string{faint.Render("/" + m.plain(m.filter))}, foot...)
	}
	top := m.top
	if m.follow {
		top = len(body)
	}
	out, shown := m.lay(head, body, foot, top)
	m.top = shown
	return out
}

func (m *dashboard) claimView() string {
	head := m.heading(m.say(hint.T("Become its owner", "Devenir son propriétaire")), "")
	var body []string
	switch {
	case m.st.Claimed && m.claim.Code != "":
		body = append(body, m.tick()+" "+m.say(hint.T("It has its owner.", "Il a son propriétaire.")))
	case m.claimErr != nil:
		body = m.wrap(m.plain(hint.Describe(m.claimErr, m.lang)), 0)
	case m.claim.Code == "":
		body = []string{m.say(hint.T("Asking…", "Un instant…"))}
	default:
		for i, a := range m.st.Addresses {
			word := m.say(hint.T("Open", "Ouvrez"))
			if i > 0 {
				word = m.say(hint.T("or", "ou"))
			}
			body = append(body, fmt.Sprintf("%-8s %s", word, a))
		}
		body = append(body, fmt.Sprintf("%-8s %s  (24 h)", "Code", bold.Render(m.claim.Code)), "", m.say(hint.T("Waiting for the first owner…", "En attente du premier propriétaire…")))
		if m.utf8 && len(m.st.Addresses) > 0 {
			code := QR(m.st.Addresses[0] + "claim#claim=" + m.claim.Code)
			text := strings.Join(body, "\n")
			if code != "" && lipgloss.Width(code)+lipgloss.Width(text)+5 <= m.width && lipgloss.Height(code) <= m.height-4 {
				body = strings.Split(lipgloss.JoinHorizontal(lipgloss.Top, code, "   ", text), "\n")
			}
		}
	}
	out, _ := m.lay(head, body, []string{m.keys(keyBack)}, 0)
	return out
}
