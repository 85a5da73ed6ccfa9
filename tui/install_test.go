package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/foyer-server/foyer/internal/hint"
)

func sample(l hint.Lang) Installation {
	return Installation{Lang: l, UTF8: true, Changes: []Change{
		{"+", "user foyer", hint.T("the server runs as a user that can do nothing else", "le serveur tourne sous un utilisateur qui ne peut rien d'autre")},
		{"+", "/opt/foyer/versions/1.0.0/foyer", hint.T("the program; the server cannot change it", "le programme ; le serveur ne peut pas le modifier")},
		{"+", "/etc/foyer/foyer.toml", hint.T("the settings; yours to edit", "les réglages ; à vous de les modifier")},
		{"+", "/etc/systemd/system/foyer.service", hint.T("keeps Foyer running, from the start of the machine", "garde Foyer en marche, dès le démarrage de la machine")},
		{"~", "ufw", hint.T("lets visitors in on ports 80 and 443", "laisse entrer les visiteurs par les ports 80 et 443")},
	}}
}

var done = Outcome{Addresses: []string{"https://foyer.local/", "https://192.168.1.20/"}, Code: "K7QX-9M2P"}

// model returns a model of the given size whose commands only say that they ran.
func model(i Installation, w, h int) *install {
	m := newInstall(i)
	m.apply = func() tea.Msg { return applied{done, nil} }
	m.ask = func() tea.Msg { return claimed(true) }
	m.Update(tea.WindowSizeMsg{Width: w, Height: h})
	return m
}

func press(m *install, key rune) tea.Cmd {
	_, cmd := m.Update(tea.KeyPressMsg{Code: key})
	return cmd
}

func TestScreensFit(t *testing.T) {
	for _, l := range hint.Langs {
		for _, size := range [][2]int{{80, 24}, {40, 12}, {120, 50}, {40, 24}} {
			t.Run(fmt.Sprintf("%s %dx%d", l, size[0], size[1]), func(t *testing.T) {
				m := model(sample(l), size[0], size[1])
				m.steps = []Progress{{1, 2, hint.T("User", "Utilisateur"), true}, {2, 2, hint.T("Files", "Fichiers"), false}}
				for s, want := range map[screen]string{screenPlan: ">", screenProgress: "2/2", screenDone: "K7QX-9M2P"} {
					m.screen = s
					if s == screenDone {
						m.outcome = done
					}
					view := m.View().Content
					if w, h := lipgloss.Width(view), lipgloss.Height(view); w > size[0] || h > size[1] {
						t.Errorf("screen %d is %d×%d:\n%s", s, w, h, view)
					}
					if !strings.Contains(view, want) {
						t.Errorf("screen %d lacks %q:\n%s", s, want, view)
					}
				}
			})
		}
	}
}

func TestEnterInstallsAndEnterFinishes(t *testing.T) {
	m := model(sample(hint.EN), 80, 24)
	apply := press(m, tea.KeyEnter)
	if m.screen != screenProgress || apply == nil {
		t.Fatalf("screen %d", m.screen)
	}
	if cmd := press(m, 'q'); cmd != nil {
		t.Error("a key stopped a running install")
	}
	_, ask := m.Update(apply())
	if m.screen != screenDone || !strings.Contains(m.View().Content, "Waiting for the first owner") {
		t.Fatalf("screen %d:\n%s", m.screen, m.View().Content)
	}
	m.Update(ask())
	if !strings.Contains(m.View().Content, "It has its owner") {
		t.Errorf("the claim is not seen:\n%s", m.View().Content)
	}
	if cmd := press(m, tea.KeyEnter); cmd == nil || cmd() != (tea.QuitMsg{}) {
		t.Error("Enter does not finish")
	}
}

func TestNotNowAndEscapeChangeNothing(t *testing.T) {
	for name, keys := range map[string][]rune{"not now": {tea.KeyRight, tea.KeyEnter}, "escape": {tea.KeyEscape}} {
		t.Run(name, func(t *testing.T) {
			m := model(sample(hint.FR), 80, 24)
			var cmd tea.Cmd
			for _, k := range keys {
				cmd = press(m, k)
			}
			if m.screen != screenPlan || cmd == nil || cmd() != (tea.QuitMsg{}) {
				t.Errorf("screen %d, or no end", m.screen)
			}
		})
	}
}

func TestFailureEndsTheScreens(t *testing.T) {
	m := model(sample(hint.EN), 80, 24)
	press(m, tea.KeyEnter)
	_, cmd := m.Update(applied{err: errors.New("no")})
	if m.err == nil || cmd == nil || cmd() != (tea.QuitMsg{}) {
		t.Error("the error is lost")
	}
}

func TestPlanScrolls(t *testing.T) {
	m := model(sample(hint.EN), 40, 12)
	if v := m.View().Content; !strings.Contains(v, "more lines") || strings.Contains(v, "ufw") {
		t.Fatalf("all of it fits:\n%s", v)
	}
	for range 50 {
		press(m, tea.KeyDown)
	}
	if v := m.View().Content; !strings.Contains(v, "ufw") || strings.Contains(v, "more lines") {
		t.Errorf("the end is not reached:\n%s", v)
	}
}

func TestChoiceIsSeenWithoutColours(t *testing.T) {
	m := model(sample(hint.EN), 80, 24)
	before := m.View().Content
	press(m, tea.KeyRight)
	if after := m.View().Content; !strings.Contains(before, "> Install <") || !strings.Contains(after, "> Not now <") {
		t.Error("which button is chosen shows by colour only")
	}
}

func TestPlainCharactersWithoutUTF8(t *testing.T) {
	i := sample(hint.EN)
	i.UTF8 = false
	m := model(i, 40, 12)
	m.outcome = done
	for _, s := range []screen{screenPlan, screenDone} {
		m.screen = s
		if v := m.View().Content; strings.ContainsAny(v, "✓↓█▀▄") {
			t.Errorf("screen %d:\n%s", s, v)
		}
	}
}

func TestQRFitsItsText(t *testing.T) {
	code := QR("https://foyer.local/claim#claim=K7QX-9M2P")
	if w, h := lipgloss.Width(code), lipgloss.Height(code); w < 25 || h < 12 || w > 40 || h > 20 {
		t.Errorf("%d×%d", w, h)
	}
	if QR(strings.Repeat("x", 5000)) != "" {
		t.Error("a code for what no code can hold")
	}
}

func TestRealProgramEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Install(ctx, strings.NewReader(""), &strings.Builder{}, nil, sample(hint.EN)); err == nil {
		t.Error("no error")
	}
}
