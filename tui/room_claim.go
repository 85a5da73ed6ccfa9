package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/control"
)

var _ = plug(room{key: "c", name: hint.T("C: claim code", "C : code"), order: 40, open: func(m *dashboard) (screen, tea.Cmd) {
	if m.known && m.st.Claimed {
		m.say1 = hint.T("It has an owner; who forgot the password: `sudo foyer claim --reset`.", "Il a un propriétaire ; mot de passe oublié : `sudo foyer claim --reset`.")
		return nil, nil
	}
	return &claimScreen{}, func() tea.Msg {
		c, err := m.NewClaim(m.ctx)
		return claimMsg{c, err}
	}
}})

// claimScreen shows a new code to become the owner with.
type claimScreen struct {
	claim control.Claim
	err   error
}

type claimMsg struct {
	claim control.Claim
	err   error
}

func (s *claimScreen) update(_ *dashboard, msg tea.Msg) tea.Cmd {
	if msg, ok := msg.(claimMsg); ok {
		s.claim, s.err = hint.Clean(msg.claim), msg.err
	}
	return nil
}

func (s *claimScreen) key(_ *dashboard, msg tea.KeyPressMsg) (cmd tea.Cmd, leave bool) {
	k := msg.String()
	return nil, k == "esc" || k == "q" || k == "enter" || k == "left"
}

func (s *claimScreen) view(m *dashboard) string {
	head := m.heading(m.say(hint.T("Become its owner", "Devenir son propriétaire")), "")
	var body []string
	switch {
	case m.st.Claimed && s.claim.Code != "":
		body = append(body, m.tick()+" "+m.say(hint.T("It has its owner.", "Il a son propriétaire.")))
	case s.err != nil:
		body = m.wrap(m.plain(hint.Describe(s.err, m.lang)), 0)
	case s.claim.Code == "":
		body = []string{m.say(hint.T("Asking…", "Un instant…"))}
	default:
		for i, a := range m.st.Addresses {
			word := m.say(hint.T("Open", "Ouvrez"))
			if i > 0 {
				word = m.say(hint.T("or", "ou"))
			}
			body = append(body, fmt.Sprintf("%-8s %s", word, a))
		}
		body = append(body, fmt.Sprintf("%-8s %s  (24 h)", "Code", bold.Render(s.claim.Code)), "", m.say(hint.T("Waiting for the first owner…", "En attente du premier propriétaire…")))
		if m.utf8 && len(m.st.Addresses) > 0 {
			code := QR(m.st.Addresses[0] + "claim#claim=" + s.claim.Code)
			text := strings.Join(body, "\n")
			if code != "" && lipgloss.Width(code)+lipgloss.Width(text)+5 <= m.width && lipgloss.Height(code) <= m.height-4 {
				body = strings.Split(lipgloss.JoinHorizontal(lipgloss.Top, code, "   ", text), "\n")
			}
		}
	}
	out, _ := m.lay(head, body, []string{m.keys(keyBack)}, 0)
	return out
}
