package tui

import (
	tea "charm.land/bubbletea/v2"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

var _ = plug(room{
	key: "s", name: hint.T("S: settings", "S : réglages"), order: 30,
	has: func(m *dashboard) bool { return m.Changer != nil },
	open: func(m *dashboard) (screen, tea.Cmd) {
		return &changeScreen{}, func() tea.Msg {
			c, err := m.Changer(m.ctx)
			return changerMsg{c, err}
		}
	},
})

// changeScreen is a change of settings within the dashboard.
type changeScreen struct{ *change } // nil until today's answers are known

type changerMsg struct {
	changer *Changer
	err     error
}

func (s *changeScreen) update(m *dashboard, msg tea.Msg) tea.Cmd {
	if msg, ok := msg.(changerMsg); ok {
		if msg.err != nil {
			m.shown, m.say1 = nil, hint.Says(msg.err)
			return nil
		}
		for _, j := range m.st.Jobs { // one that waits is shown, nothing is asked
			if j.Kind == report.KindChange && !j.State.Ended() {
				msg.changer.Job = j
			}
		}
		s.change = newChange(m.ctx, msg.changer)
		s.page = m.page
		return s.begin()
	}
	if s.change == nil {
		return nil
	}
	s.page = m.page
	return s.change.update(msg)
}

func (s *changeScreen) key(m *dashboard, msg tea.KeyPressMsg) (cmd tea.Cmd, leave bool) {
	if s.change == nil {
		k := msg.String()
		return nil, k == "esc" || k == "q"
	}
	cmd, leave = s.change.key(msg)
	if leave {
		return m.status, true
	}
	return cmd, false
}

func (s *changeScreen) view(m *dashboard) string {
	if s.change == nil {
		out, _ := m.lay(m.heading(m.say(hint.T("Settings", "Réglages")), ""), []string{m.say(hint.T("A moment…", "Un instant…"))}, []string{m.keys(keyBack)}, 0)
		return out
	}
	s.page = m.page
	return s.change.view()
}
