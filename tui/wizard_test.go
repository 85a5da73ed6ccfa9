package tui

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/hint"
)

func TestTwoEntersInstallAtHome(t *testing.T) {
	w := sample(hint.EN)
	var got installer.Values
	w.Apply = func(_ context.Context, v installer.Values, progress func(Progress)) (Outcome, error) {
		got = v
		progress(Progress{1, 1, hint.T("User", "Utilisateur"), true})
		return sampleOutcome, nil
	}
	m := open(w, 80, 24)
	press(m, enter, enter)
	if m.at != atDone || !strings.Contains(m.View().Content, "It has its owner") {
		t.Fatalf("place %d:\n%s", m.at, m.View().Content)
	}
	if diff := cmp.Diff(installer.Values{"where": "home"}, got); diff != "" {
		t.Error(diff)
	}
	if !press(m, enter) {
		t.Error("Enter does not finish")
	}
}

func TestANameOfADynamicServiceAsksForItsToken(t *testing.T) {
	w := sample(hint.EN)
	var kept []installer.Values
	w.Remember = func(v installer.Values) { kept = append(kept, v) }
	m := open(w, 80, 24)
	press(m, down, enter)
	if press(m, enter); m.at != atQuestion || m.wrong.IsZero() {
		t.Fatalf("an empty name was taken: %v", m.values)
	}
	press(m, "jeannine.duckdns.org", enter, "sesame", enter)
	want := installer.Values{"where": "reachable", "addresses": "jeannine.duckdns.org", "dns.provider": "duckdns", "dns.credentials": "token=sesame"}
	if diff := cmp.Diff(want, m.values); diff != "" || m.at != atPlan {
		t.Errorf("place %d: %s", m.at, diff)
	}
	if len(kept) != 3 {
		t.Errorf("answers were kept %d times", len(kept))
	}
	if _, err := installer.LoadAnswers("", nil, nil, m.values); err != nil {
		t.Errorf("these answers are refused as a file: %v", err)
	}
}

func TestBackGoesTheWayBack(t *testing.T) {
	m := open(sample(hint.EN), 80, 24)
	press(m, down, enter, "cloud.jeannine-martin.fr", enter)
	if m.at != atPlan {
		t.Fatalf("place %d", m.at)
	}
	press(m, esc)
	if m.question.Key != "addresses" || m.field.Value() != "cloud.jeannine-martin.fr" {
		t.Fatalf("%s: %q", m.question.Key, m.field.Value())
	}
	press(m, esc)
	if m.question.Key != "where" || m.cursor != 1 {
		t.Fatalf("%s, %d", m.question.Key, m.cursor)
	}
	press(m, rune(tea.KeyUp), enter) // at home after all: the name is forgotten
	if _, ok := m.values["addresses"]; ok || m.at != atPlan {
		t.Errorf("place %d, %v", m.at, m.values)
	}
	if press(m, esc); m.question.Key != "where" {
		t.Error("not back")
	}
	if !press(m, esc) {
		t.Error("Escape at the first question does not leave")
	}
}

func TestChangingSomethingMakesANewPlan(t *testing.T) {
	w := sample(hint.EN)
	var asked []installer.Values
	plan := w.Plan
	w.Plan = func(ctx context.Context, v installer.Values) (Plan, error) {
		asked = append(asked, v)
		return plan(ctx, v)
	}
	m := open(w, 80, 24)
	press(m, enter, 'c')
	for m.cursor < len(installer.Choices(m.Questions, m.values)) && installer.Choices(m.Questions, m.values)[m.cursor].Key != "name" {
		press(m, down)
	}
	press(m, enter)
	press(m, rune(tea.KeyBackspace), rune(tea.KeyBackspace), rune(tea.KeyBackspace), rune(tea.KeyBackspace), rune(tea.KeyBackspace), "a b", enter)
	if m.wrong.IsZero() {
		t.Fatalf("a name with a space was taken: %v", m.values)
	}
	press(m, rune(tea.KeyBackspace), rune(tea.KeyBackspace), rune(tea.KeyBackspace), "maison", enter, esc)
	if m.at != atPlan || len(asked) != 2 || asked[1]["name"] != "maison" {
		t.Errorf("place %d, %v", m.at, asked)
	}
}

func TestLanguageChangesEverythingOnTheFirstScreen(t *testing.T) {
	m := open(sample(hint.EN), 80, 24)
	press(m, 'l')
	if !strings.Contains(m.View().Content, "Où vit ce serveur") || m.values["language"] != "fr" {
		t.Errorf("%v:\n%s", m.values, m.View().Content)
	}
	w := sample(hint.EN)
	w.LangSure = false
	m = open(w, 80, 24)
	press(m, down, enter)
	if !strings.Contains(m.View().Content, "Où vit ce serveur") || m.values["language"] != "fr" {
		t.Errorf("%v:\n%s", m.values, m.View().Content)
	}
}

func TestWhatIsSeenPreselects(t *testing.T) {
	w := sample(hint.EN)
	w.Look = func(context.Context) Sight { return Sight{Values: installer.Values{"where": "server", "name": "seen"}} }
	w.Values = installer.Values{"name": "said"}
	m := open(w, 80, 24)
	if m.cursor != 2 || m.values["name"] != "said" {
		t.Errorf("cursor %d, %v", m.cursor, m.values)
	}
	if maps.Equal(w.Values, m.values) {
		t.Error("the wizard writes into what it was given")
	}
}

func TestNothingInstallsWithoutAYes(t *testing.T) {
	for name, keys := range map[string][]any{
		"not now": {enter, right, right, enter}, "escape": {esc}, "q at the plan": {enter, 'q'}, "ctrl+c": {enter},
	} {
		t.Run(name, func(t *testing.T) {
			w := sample(hint.FR)
			w.Apply = func(context.Context, installer.Values, func(Progress)) (Outcome, error) {
				t.Error("installed")
				return Outcome{}, nil
			}
			m := open(w, 80, 24)
			quit := press(m, keys...)
			if name == "ctrl+c" {
				_, cmd := m.Update(tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl})
				quit = run(m, cmd)
			}
			if !quit {
				t.Errorf("place %d, and no end", m.at)
			}
		})
	}
}

func TestALatePlanIsNotTheOneThatCounts(t *testing.T) {
	m := open(sample(hint.EN), 80, 24)
	m.toPlan()
	m.toPlan()
	m.Update(planned{n: m.planning - 1, err: errors.New("old")})
	if m.planned {
		t.Fatal("a plan for other answers was shown")
	}
	m.Update(planned{n: m.planning, plan: samplePlan()})
	if !m.planned || m.refused != nil {
		t.Error("the plan is not shown")
	}
}

func TestFailureEndsTheScreens(t *testing.T) {
	w := sample(hint.EN)
	w.Apply = func(context.Context, installer.Values, func(Progress)) (Outcome, error) {
		return Outcome{}, errors.New("no")
	}
	m := open(w, 80, 24)
	if !press(m, enter, enter) || m.err == nil {
		t.Error("the error is lost")
	}
}

func TestPlanScrolls(t *testing.T) {
	m := open(sample(hint.EN), 40, 12)
	press(m, enter)
	if v := m.View().Content; !strings.Contains(v, "more lines") || strings.Contains(v, "ufw") {
		t.Fatalf("all of it fits:\n%s", v)
	}
	for range 50 {
		press(m, down)
	}
	if v := m.View().Content; !strings.Contains(v, "ufw") || strings.Contains(v, "more lines") {
		t.Errorf("the end is not reached:\n%s", v)
	}
}

func TestChoicesAreSeenWithoutColours(t *testing.T) {
	m := open(sample(hint.EN), 80, 24)
	seen := map[string]bool{ansi.Strip(m.View().Content): true}
	press(m, down)
	seen[ansi.Strip(m.View().Content)] = true
	press(m, rune(tea.KeyUp), enter)
	for range 3 {
		seen[ansi.Strip(m.View().Content)] = true
		press(m, right)
	}
	if len(seen) != 5 {
		t.Errorf("%d screens of 5 differ: what is chosen shows by colour only", len(seen))
	}
}

func TestPasteIsTaken(t *testing.T) {
	m := open(sample(hint.EN), 80, 24)
	press(m, down, enter)
	m.Update(tea.PasteMsg{Content: "cloud.jeannine-martin.fr\n"})
	if press(m, enter); m.values["addresses"] != "cloud.jeannine-martin.fr" {
		t.Errorf("%v", m.values)
	}
}

func TestSizeOfASerialConsole(t *testing.T) {
	m := open(sample(hint.EN), 0, 0)
	if w, h := lipgloss.Width(m.View().Content), lipgloss.Height(m.View().Content); w > 80 || h != 24 {
		t.Errorf("%d×%d", w, h)
	}
}

func TestRealProgramEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := sample(hint.EN)
	w.In, w.Out = strings.NewReader(""), &strings.Builder{}
	if _, err := w.Screens(ctx); err == nil {
		t.Error("no error")
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
