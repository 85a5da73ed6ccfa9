package tui

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/hint"
)

var update = flag.Bool("update", false, "write the captures of the screens anew")

// sample is a wizard on a machine at home.
func sample(l hint.Lang) *Wizard {
	return &Wizard{
		Term: Term{Lang: l, UTF8: true}, LangSure: true, Questions: installer.Questions(),
		Look:     func(context.Context) Sight { return Sight{} },
		Remember: func(installer.Values) {},
		Claimed:  func(context.Context) bool { return true },
		Plan: func(_ context.Context, v installer.Values) (Plan, error) {
			if v["data"] == "/boot" {
				return Plan{}, hint.New("data-place", hint.T("The folder /boot cannot keep the data.", "Le dossier /boot ne peut pas garder les données."), hint.T("Nothing was changed.", "Rien n'a été changé."), hint.T("Choose another one.", "Choisissez-en un autre."))
			}
			return samplePlan(), nil
		},
		Apply: func(context.Context, installer.Values, func(Progress)) (Outcome, error) { return sampleOutcome, nil },
	}
}

func samplePlan() Plan {
	return Plan{
		Summary: []hint.Text{
			hint.T("Your server answers at https://foyer.local/", "Votre serveur répond à https://foyer.local/"),
			hint.T("Its connections are encrypted; each phone learns once to trust it.", "Ses connexions sont chiffrées ; chaque téléphone apprend une fois à lui faire confiance."),
		},
		Notes: []hint.Text{hint.T("Memory cards wear out: a USB disk for the data lasts longer.", "Les cartes mémoire s'usent : un disque USB pour les données dure plus longtemps.")},
		Changes: []Change{
			{"+", "user foyer", hint.T("the server runs as a user that can do nothing else", "le serveur tourne sous un utilisateur qui ne peut rien d'autre")},
			{"+", "/opt/foyer/versions/1.0.0/foyer", hint.T("the program; the server cannot change it", "le programme ; le serveur ne peut pas le modifier")},
			{"+", "/etc/foyer/foyer.toml", hint.T("the settings; yours to edit", "les réglages ; à vous de les modifier")},
			{"+", "/etc/systemd/system/foyer.service", hint.T("keeps Foyer running, from the start of the machine", "garde Foyer en marche, dès le démarrage de la machine")},
			{"~", "ufw", hint.T("lets visitors in on ports 80 and 443", "laisse entrer les visiteurs par les ports 80 et 443")},
		},
	}
}

var sampleOutcome = Outcome{Addresses: []string{"https://foyer.local/", "https://192.168.1.20/"}, Code: "K7QX-9M2P"}

// open returns a wizard of the given size at its first question, whose commands
// are run by press at once.
func open(w *Wizard, width, height int) *wizard {
	m := newWizard(w)
	m.cmds(context.Background(), func(msg tea.Msg) { m.Update(msg) })
	m.Update(tea.WindowSizeMsg{Width: width, Height: height})
	run(m, m.Init())
	return m
}

// run runs a command, and those that follow from it, but for blinking and waiting.
func run(m *wizard, cmd tea.Cmd) (quit bool) {
	if cmd == nil || m.at == atQuestion && len(m.question.Options) == 0 { // that is the cursor's
		return false
	}
	switch msg := cmd().(type) {
	case tea.QuitMsg:
		return true
	case seen, planned, applied, claimed:
		_, next := m.Update(msg)
		return run(m, next)
	}
	return false
}

func press(m *wizard, keys ...any) (quit bool) {
	for _, k := range keys {
		switch k := k.(type) {
		case rune:
			_, cmd := m.Update(tea.KeyPressMsg{Code: k})
			quit = run(m, cmd)
		case string:
			for _, r := range k {
				m.Update(tea.KeyPressMsg{Code: r, Text: string(r)})
			}
		}
	}
	return quit
}

const (
	enter = rune(tea.KeyEnter)
	esc   = rune(tea.KeyEscape)
	down  = rune(tea.KeyDown)
	right = rune(tea.KeyRight)
)

// shot is a screen that can be taken.
type shot struct {
	name string
	take func(l hint.Lang, w, h int) tea.Model
}

// shots are all the screens there are, by name, in the order of the documents.
func shots() []shot {
	return slices.Concat(wizardShots, dashboardShots, changeShots)
}

var wizardShots = []shot{
	{"language", func(l hint.Lang, w, h int) tea.Model {
		s := sample(l)
		s.LangSure = false
		return open(s, w, h)
	}},
	{"where", func(l hint.Lang, w, h int) tea.Model { return open(sample(l), w, h) }},
	{"resumed", func(l hint.Lang, w, h int) tea.Model {
		s := sample(l)
		s.Resumed, s.Values = true, installer.Values{"where": "reachable"}
		s.Look = func(context.Context) Sight {
			return Sight{Notes: []hint.Text{hint.T("nginx already answers the web on this machine: Foyer stands behind it.", "nginx répond déjà au web sur cette machine : Foyer se place derrière.")}}
		}
		return open(s, w, h)
	}},
	{"address", func(l hint.Lang, w, h int) tea.Model {
		m := open(sample(l), w, h)
		press(m, down, enter, "cloud", enter)
		return m
	}},
	{"token", func(l hint.Lang, w, h int) tea.Model {
		m := open(sample(l), w, h)
		press(m, down, enter, "jeannine.duckdns.org", enter, "secret")
		return m
	}},
	{"plan", func(l hint.Lang, w, h int) tea.Model {
		m := open(sample(l), w, h)
		press(m, enter)
		return m
	}},
	{"refused", func(l hint.Lang, w, h int) tea.Model {
		s := sample(l)
		s.Values = installer.Values{"data": "/boot"}
		m := open(s, w, h)
		press(m, enter)
		return m
	}},
	{"change", func(l hint.Lang, w, h int) tea.Model {
		m := open(sample(l), w, h)
		press(m, enter, right, enter, down, down)
		return m
	}},
	{"installing", func(l hint.Lang, w, h int) tea.Model {
		s := sample(l)
		s.Running = true
		m := newWizard(s)
		m.Update(tea.WindowSizeMsg{Width: w, Height: h})
		m.Update(Progress{1, 9, hint.T("User for the server", "Utilisateur pour le serveur"), true})
		m.Update(Progress{2, 9, hint.T("Folders", "Dossiers"), false})
		return m
	}},
	{"done", func(l hint.Lang, w, h int) tea.Model {
		s := sample(l)
		s.Claimed = func(context.Context) bool { return false }
		m := newWizard(s)
		m.Update(tea.WindowSizeMsg{Width: w, Height: h})
		m.Update(applied{sampleOutcome, nil})
		return m
	}},
	{"claimed", func(l hint.Lang, w, h int) tea.Model {
		m := open(sample(l), w, h)
		press(m, enter, enter)
		return m
	}},
}

// TestScreens compares every screen, in both languages and sizes, with its capture
// in testdata, and the captures with docs/screens.md.
func TestScreens(t *testing.T) {
	var doc strings.Builder
	doc.WriteString("# Screens\n\nEvery screen of the wizard and the dashboard, as they are on a terminal of 80×24. `go test ./tui -update` takes these captures anew.\n")
	for _, s := range shots() {
		for _, l := range hint.Langs {
			for _, size := range [][2]int{{80, 24}, {40, 12}} {
				name := fmt.Sprintf("%s-%s-%d", s.name, l, size[0])
				view := s.take(l, size[0], size[1]).View().Content
				if w, h := lipgloss.Width(view), lipgloss.Height(view); w > size[0] || h > size[1] {
					t.Errorf("%s is %d×%d", name, w, h)
				}
				var text strings.Builder
				for line := range strings.Lines(ansi.Strip(view)) {
					text.WriteString(strings.TrimRight(line, " \n") + "\n")
				}
				path := filepath.Join("testdata", name+".txt")
				if *update {
					if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), text.String()); diff != "" {
					t.Errorf("%s has changed; `go test ./tui -update` if that is wanted\n%s", name, diff)
				}
				if l == hint.EN && size[0] == 80 {
					fmt.Fprintf(&doc, "\n## %s\n\n```\n%s\n```\n", s.name, strings.TrimRight(text.String(), "\n"))
				}
			}
		}
	}
	path := filepath.Join("..", "docs", "screens.md")
	if *update {
		if err := os.WriteFile(path, []byte(doc.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil || string(have) != doc.String() {
		t.Errorf("docs/screens.md is not what the screens are (%v); `go test ./tui -update`", err)
	}
}

func TestScreensInPlainCharacters(t *testing.T) {
	for _, s := range shots() {
		for _, l := range hint.Langs {
			var view string
			switch m := s.take(l, 80, 24).(type) {
			case *wizard:
				m.utf8 = false
				view = ansi.Strip(m.View().Content)
			case *dashboard:
				m.utf8 = false
				view = ansi.Strip(m.View().Content)
			case alone:
				m.utf8 = false
				view = ansi.Strip(m.View().Content)
			default:
				t.Fatalf("%T", m)
			}
			for _, r := range view {
				if r > 126 {
					t.Errorf("%s in %s has %q without UTF-8:\n%s", s.name, l, r, view)
					break
				}
			}
		}
	}
}

func TestEverySizeIsFilledWithoutSpilling(t *testing.T) {
	for _, s := range shots() {
		for _, size := range [][2]int{{40, 12}, {41, 13}, {60, 14}, {80, 24}, {200, 60}} {
			view := s.take(hint.FR, size[0], size[1]).View().Content
			if w, h := lipgloss.Width(view), lipgloss.Height(view); w > size[0] || h > size[1] {
				t.Errorf("%s at %v is %d×%d:\n%s", s.name, size, w, h, ansi.Strip(view))
			}
		}
	}
}
