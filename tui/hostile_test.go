package tui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/event"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/job"
)

// hostile is what a terminal obeys or shows wrongly: a title, a cleared screen, a
// colour that blinks, a link, a turned direction, something hidden, a forged line.
const hostile = "nas\x1b]0;owned\x07\x1b[2J\x1b[5;31m\x1b]8;;http://evil/\x07\u009b31m\x9b5n\x7f\u202egnp\u2066\U000e0041\u200b\u2028\t\r\n[forged] All is well."

// styles are the sequences that screens may have: colours and weights, in one of the
// few combinations we use.
var styles = regexp.MustCompile("\x1b\\[(1|2|7|1;7|7;1|3[123]|1;3[123])?m")

// drawn tells what is wrong with a screen, or with lines; where everything fits on one
// line, none of ours is forged.
func drawn(content string, fits bool) error {
	text := styles.ReplaceAllString(content, "")
	for i, r := range text {
		if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == 0x200b || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x206f || r >= 0xe0000 && r < 0xe0080 ||
			r == '\ufffd' && text[i] != '\xef' {
			return fmt.Errorf("%U in %.300q", r, text[max(0, i-20):])
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		if fits && strings.HasPrefix(strings.TrimSpace(line), "[forged]") {
			return fmt.Errorf("a forged line in\n%s", text)
		}
	}
	return nil
}

func hostileStatus() report.Status {
	said := hint.Text{EN: hostile, FR: hostile}
	return report.Status{
		Version: hostile, Light: report.Red, Sentence: hint.Text{EN: "1" + hostile, FR: "1" + hostile}, Addresses: []string{hostile}, People: 2,
		Server: report.Server{State: hostile, Since: noon}, Data: report.Data{Path: hostile, Total: 1},
		Checks: []health.Result{
			{Code: hostile, Title: said, Finding: health.Finding{Severity: health.Error, What: said, Did: said, Do: said}},
			{Code: "well", Title: said, Finding: health.Finding{What: said}},
		},
		Jobs:   []job.Record{{ID: hostile, Kind: hostile, Title: said, By: hostile, State: job.Running, Done: 1, Of: 2, Unit: said, Said: []hint.Text{said}, Error: &report.Problem{Code: hostile, What: said}}},
		Lately: []event.Event{{At: noon, What: said, Did: said}}, Course: []report.Sample{{At: noon, Free: 1}},
	}
}

// The dashboard is root's, what it shows comes from the process behind the socket.
func TestDashboardShowsHostileTextHarmless(t *testing.T) {
	t.Attr("shows", "mend")
	said := hint.T("It says: %s", "Il dit : %s", hostile)
	refused := hint.New(hostile, said, said, said)
	for _, l := range hint.Langs {
		for _, width := range []int{40, 80, 400} {
			for _, utf8 := range []bool{true, false} {
				m := sampleDashboard(l, width, 40, hostileStatus(), nil)
				m.utf8 = utf8
				m.Log = func(context.Context, int) ([]string, error) {
					return []string{hostile, strings.Repeat(hostile, 1000)}, nil
				}
				m.NewClaim = func(context.Context) (control.Claim, error) { return control.Claim{Code: hostile}, nil }
				m.Restart = func(context.Context) error { return refused }
				screen := func(what string) {
					t.Helper()
					view := m.View().Content
					if err := drawn(view, width == 400); err != nil {
						t.Errorf("%s in %s, %d wide, UTF-8 %t: %v", what, l, width, utf8, err)
					}
					if !utf8 && strings.ContainsFunc(view, func(r rune) bool { return r > '~' }) {
						t.Errorf("%s in %s, %d wide: not ASCII: %q", what, l, width, view)
					}
				}
				screen("home")
				hit(m, 'r', 'y')
				screen("a refused restart")
				hit(m, 'l')
				screen("the log")
				m.Update(tea.KeyPressMsg{Code: '/', Text: "/"})
				m.Update(tea.KeyPressMsg{Code: 'x', Text: "nas\u202e\u009b"})
				screen("a filter")
				hit(m, esc, esc)
				hit(m, 'c')
				screen("a claim code")
				m.Update(claimMsg{err: errors.New(hostile)})
				screen("a refused claim code")
				hit(m, esc)
				for what, err := range map[string]error{"an error": errors.New(hostile), "a hint": refused} {
					m.Update(statusMsg{err: err})
					screen(what)
				}
			}
		}
	}
}

// hostileWizard meets a machine, an installer and answers of an earlier time that are
// full of others' words.
func hostileWizard(l hint.Lang) *Wizard {
	said := hint.Text{EN: hostile, FR: hostile}
	w := sample(l)
	w.Values = installer.Values{"name": "maison", "where": "home", "addresses": "cloud\u202e.example.org"}
	w.Look = func(context.Context) Sight { return Sight{Notes: []hint.Text{said}} }
	w.Plan = func(_ context.Context, v installer.Values) (Plan, error) {
		if v["data"] == "/boot" {
			return Plan{}, hint.New(hostile, hint.T("It says: %s", "Il dit : %s", hostile), hint.Text{}, hint.T("%v", "%v", errors.New(hostile)))
		}
		return Plan{Summary: []hint.Text{said}, Notes: []hint.Text{said}, Changes: []Change{{"+", hostile, said}, {"~", strings.Repeat(hostile, 100), said}}}, nil
	}
	w.Apply = func(_ context.Context, _ installer.Values, progress func(Progress)) (Outcome, error) {
		progress(Progress{1, 2, said, true})
		return Outcome{Addresses: []string{hostile}, Code: hostile}, nil
	}
	w.Claimed = func(context.Context) bool { return true }
	return w
}

func TestWizardShowsHostileTextHarmless(t *testing.T) {
	t.Attr("shows", "mend")
	for _, l := range hint.Langs {
		for _, width := range []int{40, 80, 400} {
			w := hostileWizard(l)
			m := open(w, width, 40)
			screen := func(what string) {
				t.Helper()
				if err := drawn(m.View().Content, width == 400); err != nil {
					t.Errorf("%s in %s, %d wide: %v", what, l, width, err)
				}
			}
			screen("a question")
			press(m, down, enter)
			screen("a field with a name from before")
			m.Update(tea.PasteMsg{Content: hostile})
			screen("what is pasted")
			press(m, esc, rune(tea.KeyUp), enter)
			screen("the plan")
			press(m, 'c')
			screen("what can be changed")
			press(m, esc)
			m.Update(planned{n: m.planning, err: fmt.Errorf("cannot plan: %s", hostile)})
			screen("a plan that failed")
			m.Update(planned{n: m.planning, err: hint.New(hostile, hint.T("It says: %s", "Il dit : %s", hostile), hint.Text{}, hint.Text{})})
			screen("a plan that is refused")
			m.at = atProgress
			m.Update(Progress{1, 2, hint.Text{EN: hostile, FR: hostile}, false})
			screen("the install")
			m.Update(applied{Outcome: Outcome{Addresses: []string{hostile}, Code: hostile}})
			screen("the end")
		}
	}
}

func TestLinesSayHostileTextHarmless(t *testing.T) {
	t.Attr("shows", "mend")
	for _, l := range hint.Langs {
		for name, typed := range map[string]string{"installing": "\n\n", "changing": "\n2\n\n1\n", "what is typed": "x\x1b[2J\n\n\n"} {
			var out bytes.Buffer
			w := hostileWizard(l)
			w.In, w.Out = strings.NewReader(typed), &out
			if _, err := w.Lines(t.Context()); err != nil && !errors.Is(err, ErrCancelled) {
				t.Fatal(err)
			}
			if err := drawn(out.String(), true); err != nil {
				t.Errorf("%s in %s: %v", name, l, err)
			}
			w.Values["data"] = "/boot"
			w.In = strings.NewReader(typed)
			out.Reset()
			w.Lines(t.Context()) //nolint:errcheck // it cannot come to an end
			if err := drawn(out.String(), true); err != nil {
				t.Errorf("%s, refused, in %s: %v", name, l, err)
			}
		}
	}
}
