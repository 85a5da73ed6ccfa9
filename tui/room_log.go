package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/foyer-server/foyer/internal/hint"
)

var _ = plug(room{key: "l", name: hint.T("L: log", "L : journal"), order: 10, open: func(m *dashboard) (screen, tea.Cmd) {
	s := &logScreen{scroll: scroll{follow: true}}
	return s, s.ask(m)
}})

// logScreen shows the newest lines of the log.
type logScreen struct {
	scroll
	lines     []string
	filter    string
	filtering bool // the filter is being typed
}

type logMsg struct {
	lines []string
	err   error
}

func (s *logScreen) ask(m *dashboard) tea.Cmd {
	return func() tea.Msg {
		lines, err := m.Log(m.ctx, 1000)
		return logMsg{lines, err}
	}
}

func (s *logScreen) update(m *dashboard, msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case again:
		return s.ask(m)
	case logMsg:
		if msg.err == nil {
			s.lines = hint.Clean(msg.lines)
		}
	}
	return nil
}

func (s *logScreen) key(m *dashboard, msg tea.KeyPressMsg) (cmd tea.Cmd, leave bool) {
	k := msg.String()
	if s.filtering {
		s.typeFilter(k, msg.Text)
		return nil, false
	}
	switch k {
	case "/":
		s.filtering = true
	case "esc", "q", "left":
		return nil, true
	case "end", "G":
		s.follow = true
	default:
		s.scroll.key(k, m.height)
	}
	return nil, false
}

func (s *logScreen) typeFilter(k, text string) {
	switch k {
	case "enter":
		s.filtering = false
	case "esc":
		s.filtering, s.filter = false, ""
	case "backspace":
		if r := []rune(s.filter); len(r) > 0 {
			s.filter = string(r[:len(r)-1])
		}
	default:
		s.filter += text
	}
	s.follow = true
}

func (s *logScreen) view(m *dashboard) string {
	var body []string
	for _, l := range s.lines {
		if s.filter != "" && !strings.Contains(strings.ToLower(l), strings.ToLower(s.filter)) {
			continue
		}
		body = append(body, m.wrap(m.plain(l), 0)...)
	}
	right := fmt.Sprintf("%d", len(s.lines))
	head := m.heading(m.say(hint.T("Log", "Journal")), right)
	foot := []string{m.keys(hint.T("Esc: back", "Échap : retour"), hint.T("/: filter", "/ : filtrer"), keyScroll, hint.T("End: follow", "Fin : suivre"))}
	switch {
	case s.filtering:
		foot = []string{"/" + m.plain(s.filter) + "_"}
	case s.filter != "":
		foot = append([]string{faint.Render("/" + m.plain(s.filter))}, foot...)
	}
	top := s.top
	if s.follow {
		top = len(body)
	}
	out, shown := m.lay(head, body, foot, top)
	s.top = shown
	return out
}
