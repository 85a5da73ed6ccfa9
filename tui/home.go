package tui

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/health"
)

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
	names := []hint.Text{hint.T("Q: quit", "Q : quitter")}
	for _, r := range rooms {
		if r.has == nil || r.has(m) {
			names = append(names, r.name)
		}
	}
	keys := m.keys(append(names, keyScroll)...)
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
	if s.Backup != nil && s.Backup.Chain == "" {
		row(m.say(hint.T("Backup", "Sauvegarde")), m.say(s.Backup.Word(m.now())))
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

// bar draws how much of something is done.
func bar(share float64, width int, utf8 bool) string {
	full, left := "█", "░"
	if !utf8 {
		full, left = "#", "."
	}
	n := min(width, int(share*float64(width)+0.5))
	return strings.Repeat(full, n) + strings.Repeat(left, width-n)
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
