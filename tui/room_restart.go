package tui

import (
	tea "charm.land/bubbletea/v2"

	"github.com/foyer-server/foyer/internal/hint"
)

var _ = plug(room{key: "r", name: hint.T("R: start anew", "R : relancer"), order: 20, open: func(*dashboard) (screen, tea.Cmd) {
	return restartScreen{}, nil
}})

// restartScreen asks whether the server is to be started anew.
type restartScreen struct{}

type restartMsg struct{ err error }

func (restartScreen) update(*dashboard, tea.Msg) tea.Cmd { return nil }

func (restartScreen) key(m *dashboard, msg tea.KeyPressMsg) (cmd tea.Cmd, leave bool) {
	switch msg.String() {
	case "y", "o", "enter": // yes, oui
		m.say1 = hint.T("The server finishes its requests and is started anew.", "Le serveur finit ses requêtes et redémarre.")
		return func() tea.Msg { return restartMsg{m.Restart(m.ctx)} }, true
	case "n", "esc", "q", "left":
		return nil, true
	}
	return nil, false
}

func (restartScreen) view(m *dashboard) string {
	content, _ := m.lay(m.heading(m.say(hint.T("Start the server anew?", "Relancer le serveur ?")), ""),
		m.wrap(m.say(hint.T("It finishes the requests it has begun; visitors wait a moment, nothing is lost.", "Il finit les requêtes commencées ; les visiteurs patientent un instant, rien n'est perdu.")), 0),
		[]string{m.keys(hint.T("Y: yes", "O : oui"), hint.T("N: no", "N : non"))}, 0)
	return content
}
