package tui

import (
	"bytes"
	std "cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// changing is a machine on which a change takes a look, waits a minute and a half, and goes
// back by itself.
type changing struct {
	mu     sync.Mutex
	asked  []installer.Values
	looks  int
	change report.Change
	state  report.JobState
	did    []string
	broken error // of Keep
	window time.Duration
}

func (c *changing) job() report.Job {
	j := report.Job{ID: "1", Kind: report.KindChange, State: c.state, Said: []hint.Text{hint.T("The settings are written.", "Les réglages sont écrits.")}}
	j.Result, _ = json.Marshal(c.change) // of this it cannot fail
	return j
}

func (c *changing) changer(l hint.Lang) *Changer {
	return &Changer{
		Term: Term{Lang: l, UTF8: true}, Questions: installer.Questions(), Values: installer.Values{"where": "home", "name": "foyer"},
		Plan: func(_ context.Context, v installer.Values) (report.ChangePlan, error) {
			if v["name"] == "bad" {
				return report.ChangePlan{}, hint.New("settings-malformed", hint.T("This name does not do.", "Ce nom ne va pas."), hint.Text{}, hint.Text{})
			}
			return samplePlanOfChange(), nil
		},
		Ask: func(_ context.Context, v installer.Values) (report.Job, string, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.asked = append(c.asked, v)
			c.state, c.change = report.JobRunning, report.Change{State: report.ChangeApplying, Plan: samplePlanOfChange()}
			return c.job(), "ABCD-EFGH-JKLM-NPQR", nil
		},
		Look: func(context.Context, string) (report.Job, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			switch c.looks++; {
			case c.looks == 1:
				return report.Job{}, errors.New("the service starts anew")
			case c.change.State == report.ChangeApplying:
				c.change.State, c.change.Until = report.ChangeWaiting, time.Now().Add(std.Or(c.window, 90*time.Second))
			case c.change.State == report.ChangeWaiting && !time.Now().Before(c.change.Until):
				c.end(report.ChangeBack, report.JobFailed, hint.T("Nobody confirmed it in time.", "Personne n'a confirmé à temps."))
			}
			return c.job(), nil
		},
		Keep: func(context.Context) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.broken != nil {
				return c.broken
			}
			c.did = append(c.did, "keep")
			c.end(report.ChangeKept, report.JobDone, hint.Text{})
			return nil
		},
		Back: func(context.Context, string) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.did = append(c.did, "back")
			c.end(report.ChangeBack, report.JobFailed, hint.T("You wanted it back.", "Vous l'avez voulu."))
			return nil
		},
	}
}

func (c *changing) end(s report.ChangeState, j report.JobState, why hint.Text) {
	c.change.State, c.change.Reason, c.state = s, why, j
}

func samplePlanOfChange() report.ChangePlan {
	return report.ChangePlan{
		Differs:   []report.Difference{{Key: "addresses", Title: hint.T("Web address", "Adresse web"), Before: hint.T("none", "aucune"), After: hint.Verbatim("cloud.jeannine-martin.fr")}},
		Steps:     []hint.Text{hint.T("Foyer starts anew.", "Foyer redémarre.")},
		Notes:     []hint.Text{hint.T("The name does not lead here yet.", "Le nom ne mène pas encore ici.")},
		Addresses: []string{"https://cloud.jeannine-martin.fr/", "https://foyer.local/"}, Gone: []string{"https://192.168.1.7/"},
		Through: []string{"https://cloud.jeannine-martin.fr/"}, Seconds: 90,
	}
}

// walk presses keys on a change and runs what comes of them; looks are run as often as they
// are said.
func walk(m *change, looks int, keys ...any) (left bool) {
	var run func(cmd tea.Cmd)
	run = func(cmd tea.Cmd) {
		if cmd == nil || m.at == atQuestion && len(m.question.Options) == 0 {
			return
		}
		switch msg := cmd().(type) {
		case planned, begunMsg, saidMsg:
			run(m.update(msg))
		case lookedMsg:
			m.update(msg)
		}
	}
	for _, k := range keys {
		switch k := k.(type) {
		case rune:
			var cmd tea.Cmd
			cmd, left = m.key(tea.KeyPressMsg{Code: k})
			run(cmd)
		case string:
			for _, r := range k {
				m.key(tea.KeyPressMsg{Code: r, Text: string(r)})
			}
		}
	}
	for range looks {
		m.update(m.look())
	}
	return left
}

func openChange(c *Changer, w, h int) *change {
	m := newChange(context.Background(), c)
	m.update(tea.WindowSizeMsg{Width: w, Height: h})
	if cmd := m.begin(); cmd != nil && m.at != atQuestion {
		m.update(cmd())
	}
	return m
}

// toTrial walks to where a change waits to be confirmed.
func toTrial(c *changing, l hint.Lang, w, h int) *change {
	m := openChange(c.changer(l), w, h)
	walk(m, 0, down, enter, "cloud.jeannine-martin.fr", enter, enter)
	walk(m, 2)
	return m
}

func TestAChangeIsAskedShownAndKept(t *testing.T) {
	t.Attr("shows", "ground2")
	c := &changing{}
	m := openChange(c.changer(hint.EN), 140, 40)
	if !strings.Contains(m.view(), "Where does this server live?") || m.cursor != 0 {
		t.Fatalf("it begins with:\n%s", m.view())
	}
	if walk(m, 0, enter); !strings.Contains(m.view(), "Nothing changes") || strings.Contains(ansi.Strip(m.view()), "Change it") {
		t.Fatalf("today's answers make this plan:\n%s", m.view())
	}
	walk(m, 0, esc, down, enter, "cloud.jeannine-martin.fr", enter)
	for _, want := range []string{"Change it?", "Web address: cloud.jeannine-martin.fr (today: none)", "Foyer starts anew", "does not lead here yet", "no more at https://192.168.1.7/", "90 seconds"} {
		if !strings.Contains(m.view(), want) {
			t.Errorf("the plan does not say %q:\n%s", want, m.view())
		}
	}
	if walk(m, 0, enter); m.at != atProgress || !strings.Contains(m.view(), "The settings are written") {
		t.Fatalf("under way it shows:\n%s", m.view())
	}
	if diff := cmp.Diff([]installer.Values{{"where": "reachable", "addresses": "cloud.jeannine-martin.fr"}}, c.asked); diff != "" {
		t.Errorf("what was asked for: %s", diff)
	}
	walk(m, 2)
	for _, want := range []string{"Does it work?", "https://cloud.jeannine-martin.fr/change/keep?code=ABCD-EFGH-JKLM-NPQR", "Keep it", "Go back"} {
		if !strings.Contains(ansi.Strip(m.view()), want) {
			t.Errorf("on trial it does not say %q:\n%s", want, m.view())
		}
	}
	if walk(m, 1, enter); len(c.did) != 1 || c.did[0] != "keep" || m.at != atDone || !strings.Contains(m.view(), "it stays so") {
		t.Errorf("%v:\n%s", c.did, m.view())
	}
	if !walk(m, 0, enter) {
		t.Error("Enter does not finish")
	}
}

func TestAChangeGoesBackByItselfAndWhenItIsWanted(t *testing.T) {
	t.Attr("shows", "ground2")
	synctest.Test(t, func(t *testing.T) {
		c := &changing{}
		m := toTrial(c, hint.EN, 80, 24)
		time.Sleep(91 * time.Second)
		if walk(m, 1); m.at != atDone || !strings.Contains(m.view(), "Everything is as it was before") || !strings.Contains(m.view(), "Nobody confirmed it in time") || len(c.did) != 0 {
			t.Errorf("%v:\n%s", c.did, m.view())
		}
	})
	c := &changing{}
	m := toTrial(c, hint.FR, 80, 24)
	if walk(m, 1, right, enter); len(c.did) != 1 || c.did[0] != "back" || !strings.Contains(m.view(), "Tout est comme avant") {
		t.Errorf("%v:\n%s", c.did, m.view())
	}
	c = &changing{broken: hint.New("change-none", hint.T("No change waits.", "Aucun changement n'attend."), hint.Text{}, hint.Text{})}
	m = toTrial(c, hint.EN, 80, 24)
	if walk(m, 1, enter); m.at != atTrial || !strings.Contains(m.view(), "No change waits") {
		t.Errorf("why it cannot be kept is not said:\n%s", m.view())
	}
}

// The dashboard opens it by S, comes back from it, and shows one that is under way.
func TestDashboardChangesSettings(t *testing.T) {
	t.Attr("shows", "ground2")
	c := &changing{}
	m := sampleDashboard(hint.EN, 80, 24, wellStatus(), nil)
	if hit(m, 's'); m.shown != nil || strings.Contains(m.View().Content, "S: settings") {
		t.Error("settings are offered where they cannot be changed")
	}
	m.Changer = func(context.Context) (*Changer, error) { return c.changer(hint.EN), nil }
	if !strings.Contains(m.View().Content, "S: settings") {
		t.Errorf("settings are not offered:\n%s", m.View().Content)
	}
	if hit(m, 's'); !strings.Contains(m.View().Content, "Where does this server live?") {
		t.Fatalf("it shows:\n%s", m.View().Content)
	}
	if hit(m, esc); m.shown != nil {
		t.Error("not back")
	}
	c.change, c.state = report.Change{State: report.ChangeWaiting, Until: time.Now().Add(time.Minute), Plan: samplePlanOfChange()}, report.JobRunning
	m.st.Jobs = append(m.st.Jobs, c.job())
	if hit(m, 's'); !strings.Contains(m.View().Content, "Does it work?") || strings.Contains(m.View().Content, "code=") {
		t.Errorf("of a change that waits it shows:\n%s", m.View().Content)
	}
	if hit(m, esc); m.shown != nil || len(c.did) != 0 {
		t.Error("leaving it decides something, or does not leave")
	}
	m.Changer = func(context.Context) (*Changer, error) { return nil, errors.New("no settings") }
	if hit(m, 's'); m.shown != nil || !strings.Contains(m.View().Content, "no settings") {
		t.Errorf("it shows:\n%s", m.View().Content)
	}
}

func TestAChangeInLines(t *testing.T) {
	t.Attr("shows", "ground2")
	for _, tt := range []struct {
		name, typed, want, did string
		window                 time.Duration
	}{
		{"kept", "2\ncloud.jeannine-martin.fr\n1\n1\n", "it stays so", "keep", time.Hour},
		{"back", "2\ncloud.jeannine-martin.fr\n1\nperhaps\n2\n", "as it was before", "back", time.Hour},
		{"nobody", "2\ncloud.jeannine-martin.fr\n1\n", "Nobody confirmed it in time", "", time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, out := &changing{window: tt.window}, &bytes.Buffer{}
			ch := c.changer(hint.EN)
			in, typing := io.Pipe()
			defer typing.Close()
			go func() {
				for line := range strings.Lines(tt.typed) { // a pipe takes a line when somebody reads it
					if _, err := io.WriteString(typing, line); err != nil {
						return // who reads has gone
					}
				}
			}()
			ch.In, ch.Out = in, out
			j, err := ch.Lines(t.Context())
			if err != nil || !j.State.Ended() {
				t.Fatalf("%v, %v:\n%s", j.State, err, out)
			}
			if !strings.Contains(out.String(), tt.want) || strings.Join(c.did, " ") != tt.did || strings.Contains(out.String(), "Looking") {
				t.Errorf("%v:\n%s", c.did, out)
			}
		})
	}
}

// shownAs is a change as a program of its own shows it.
func shownAs(m *change) tea.Model { return alone{m} }

var changeShots = []shot{
	{"settings", func(l hint.Lang, w, h int) tea.Model { return shownAs(openChange((&changing{}).changer(l), w, h)) }},
	{"settings-same", func(l hint.Lang, w, h int) tea.Model {
		m := openChange((&changing{}).changer(l), w, h)
		walk(m, 0, enter)
		return shownAs(m)
	}},
	{"settings-plan", func(l hint.Lang, w, h int) tea.Model {
		m := openChange((&changing{}).changer(l), w, h)
		walk(m, 0, down, enter, "cloud.jeannine-martin.fr", enter)
		return shownAs(m)
	}},
	{"settings-changing", func(l hint.Lang, w, h int) tea.Model {
		m := openChange((&changing{}).changer(l), w, h)
		walk(m, 0, down, enter, "cloud.jeannine-martin.fr", enter, enter)
		return shownAs(m)
	}},
	{"settings-trial", func(l hint.Lang, w, h int) tea.Model {
		m := toTrial(&changing{}, l, w, h)
		m.now = func() time.Time { return changeOf(m.job).Until.Add(-75 * time.Second) }
		return shownAs(m)
	}},
	{"settings-kept", func(l hint.Lang, w, h int) tea.Model {
		m := toTrial(&changing{}, l, w, h)
		walk(m, 1, enter)
		return shownAs(m)
	}},
	{"settings-back", func(l hint.Lang, w, h int) tea.Model {
		m := toTrial(&changing{}, l, w, h)
		walk(m, 1, right, enter)
		return shownAs(m)
	}},
}

// While a change waits for the last word a signal, Ctrl-C as a character and the end of the
// input leave it to itself: the line after it is no answer.
func TestTheLastWordIsInterrupted(t *testing.T) {
	t.Attr("shows", "ground2")
	for _, how := range []string{"signal", "character", "end"} {
		t.Run("the last word, "+how, func(t *testing.T) {
			t.Parallel()
			c, out := &changing{window: time.Hour}, &prompts{came: make(chan struct{}, 20), last: "2. Go back\n> "}
			ch := c.changer(hint.EN)
			in, typing, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			defer typing.Close()
			ch.In, ch.Out = in, out
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				_, err := ch.Lines(ctx)
				ended <- err
			}()
			io.WriteString(typing, "2\ncloud.jeannine-martin.fr\n1\n")
			for !strings.HasSuffix(out.String(), out.last) {
				select {
				case <-out.came:
				case <-time.After(2 * time.Minute):
					t.Fatalf("it does not ask:\n%s", out)
				}
			}
			switch how {
			case "signal":
				cancel()
				io.WriteString(typing, "2\n")
			case "character":
				io.WriteString(typing, "\x032\n2\n")
			case "end":
				typing.Close()
			}
			select {
			case err := <-ended:
				if !errors.Is(err, ErrLeft) || len(c.did) != 0 {
					t.Errorf("it ended with %v, and did %q\n%s", err, c.did, out)
				}
			case <-time.After(2 * time.Minute):
				t.Errorf("it goes on:\n%s", out)
			}
		})
	}
}
