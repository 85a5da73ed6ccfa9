package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/event"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/job"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.Local)

func wellStatus() report.Status {
	st := report.Status{
		Version: "1.0.0", Light: report.Green, Sentence: hint.T("All is well.", "Tout va bien."), Claimed: true, People: 3,
		Addresses: []string{"https://foyer.local/", "https://192.168.1.20/"},
		Server:    report.Server{State: "healthy", PID: 7, Since: noon.Add(-3 * time.Hour), Restarts: 1},
		Data:      report.Data{Path: "/var/lib/foyer", Free: 20 << 30, Total: 32 << 30},
		Checks: []health.Result{
			{Code: "server", Title: hint.T("Server", "Serveur"), Finding: health.Finding{What: hint.T("The server answers.", "Le serveur répond.")}},
			{Code: "disk", Title: hint.T("Disk space", "Place sur le disque"), Finding: health.Finding{What: hint.T("20 GB free.", "20 Go libres.")}},
			{Code: "certificate", Title: hint.T("Certificate", "Certificat"), Finding: health.Finding{What: hint.T("Good for 80 days; renewed by itself.", "Valable 80 jours ; renouvelé tout seul.")}},
		},
		Lately: []event.Event{{At: noon.Add(-time.Hour), What: hint.T("The server stopped (signal: killed); Foyer started it again.", "Le serveur s'est arrêté (signal: killed) ; Foyer l'a relancé.")}},
	}
	for i := range 100 {
		st.Course = append(st.Course, report.Sample{At: noon.Add(time.Duration(i-100) * 10 * time.Second), Requests: float64(i % 17 * 3), Memory: int64(30+i/5) << 20, Free: 20 << 30})
	}
	return st
}

// busyStatus has a job under way, one that waits and one that has ended.
func busyStatus() report.Status {
	st := wellStatus()
	title := hint.T("Check the database", "Vérifier la base de données")
	st.Jobs = []job.Record{
		{Kind: "what-takes-room", Title: hint.T("See what takes room", "Voir ce qui prend de la place"), State: job.Waiting},
		{Kind: "check-database", Title: title, State: job.Running, Done: 84_000, Of: 200_000, Unit: hint.T("objects", "objets"), Left: 190, Said: []hint.Text{hint.T("Reading every object.", "Lecture de chaque objet.")}},
		{Kind: "check-database", Title: title, State: job.Failed, Ended: noon},
	}
	return st
}

func illStatus() report.Status {
	st := wellStatus()
	st.Light, st.Sentence = report.Red, hint.T("The disk is full: new things cannot be stored.", "Le disque est plein : plus rien ne peut être enregistré.")
	st.Checks[1].Finding = health.Finding{
		Severity: health.Error, What: st.Sentence, Did: hint.T("Foyer goes on reading and deleting.", "Foyer continue à lire et à effacer."),
		Do: hint.T("Free some room, or plug in a bigger disk.", "Libérez de la place, ou branchez un disque plus grand."),
	}
	return st
}

func sampleDashboard(l hint.Lang, w, h int, st report.Status, err error) *dashboard {
	m := newDashboard(context.Background(), &Dashboard{
		Term: Term{Lang: l, UTF8: true}, Status: func(context.Context) (report.Status, error) { return st, err },
		Log: func(context.Context, int) ([]string, error) {
			return []string{"level=INFO msg=\"server started\" pid=7", "level=WARN msg=\"\x1b[31mred\" pid=8", "level=INFO msg=\"server healthy\" pid=7"}, nil
		},
		NewClaim: func(context.Context) (control.Claim, error) {
			return control.Claim{Code: "K7QX-9M2P", Expires: noon}, nil
		},
		Restart: func(context.Context) error { return nil },
	})
	m.now = func() time.Time { return noon }
	m.Update(tea.WindowSizeMsg{Width: w, Height: h})
	m.Update(m.Init()())
	return m
}

// hit presses keys and runs what comes of them, but for waiting.
func hit(m *dashboard, keys ...rune) (quit bool) {
	for _, k := range keys {
		msg := tea.KeyPressMsg{Code: k}
		if k >= 0x20 && k < 0x7f {
			msg.Text = string(k)
		}
		_, cmd := m.Update(msg)
		if cmd == nil {
			continue
		}
		switch got := cmd().(type) {
		case tea.QuitMsg:
			return true
		case logMsg, claimMsg, restartMsg, changerMsg, lookedMsg:
			m.Update(got)
		}
	}
	return false
}

func notRunning() error {
	return hint.New("not-running", hint.T("Foyer is not running on this machine.", "Foyer ne tourne pas sur cette machine."), hint.Text{}, hint.T("Start it: sudo systemctl start foyer.", "Démarrez-le : sudo systemctl start foyer."))
}

var dashboardShots = []shot{
	{"dashboard", func(l hint.Lang, w, h int) tea.Model { return sampleDashboard(l, w, h, wellStatus(), nil) }},
	{"dashboard-red", func(l hint.Lang, w, h int) tea.Model { return sampleDashboard(l, w, h, illStatus(), nil) }},
	{"dashboard-jobs", func(l hint.Lang, w, h int) tea.Model { return sampleDashboard(l, w, h, busyStatus(), nil) }},
	{"dashboard-stopped", func(l hint.Lang, w, h int) tea.Model {
		m := sampleDashboard(l, w, h, wellStatus(), nil)
		m.Update(statusMsg{err: notRunning()})
		return m
	}},
	{"dashboard-log", func(l hint.Lang, w, h int) tea.Model {
		m := sampleDashboard(l, w, h, wellStatus(), nil)
		hit(m, 'l', '/', 's', 'e', 'r', enter)
		return m
	}},
	{"dashboard-claim", func(l hint.Lang, w, h int) tea.Model {
		st := wellStatus()
		st.Claimed = false
		m := sampleDashboard(l, w, h, st, nil)
		hit(m, 'c')
		return m
	}},
	{"dashboard-restart", func(l hint.Lang, w, h int) tea.Model {
		m := sampleDashboard(l, w, h, wellStatus(), nil)
		hit(m, 'r')
		return m
	}},
}

func TestDashboardShowsWhatIsAsked(t *testing.T) {
	m := sampleDashboard(hint.EN, 80, 24, wellStatus(), nil)
	m.Update(statusMsg{err: errors.New("no")})
	if v := m.View().Content; strings.Contains(v, "All is well") {
		t.Errorf("nobody answers, and it says:\n%s", v)
	}
	m.Update(statusMsg{st: illStatus()})
	if v := ansi.Strip(m.View().Content); !strings.Contains(v, "The disk is full") || strings.Count(v, "The disk is full") != 1 || !strings.Contains(v, "plug in a bigger disk") {
		t.Errorf("it says:\n%s", v)
	}
	if !hit(m, 'q') {
		t.Error("q does not leave")
	}
}

func TestDashboardRestartsAfterAYesOnly(t *testing.T) {
	n := 0
	m := sampleDashboard(hint.EN, 80, 24, wellStatus(), nil)
	m.Restart = func(context.Context) error { n++; return nil }
	if hit(m, 'r', 'n'); n != 0 || m.shown != nil {
		t.Fatalf("restarted %d times after a no", n)
	}
	if hit(m, 'r', 'y'); n != 1 || m.shown != nil {
		t.Errorf("restarted %d times after a yes", n)
	}
}

func TestDashboardGivesNoCodeToASecondOwner(t *testing.T) {
	m := sampleDashboard(hint.EN, 80, 24, wellStatus(), nil)
	m.NewClaim = func(context.Context) (control.Claim, error) { t.Error("asked"); return control.Claim{}, nil }
	if hit(m, 'c'); m.shown != nil || !strings.Contains(m.View().Content, "It has an owner") {
		t.Errorf("it says:\n%s", m.View().Content)
	}
}

func TestLogIsFilteredAndHarmless(t *testing.T) {
	m := sampleDashboard(hint.EN, 80, 24, wellStatus(), nil)
	hit(m, 'l')
	if v := m.View().Content; strings.Contains(v, "\x1b[31mred") || !strings.Contains(v, "[31mred") {
		t.Errorf("a log line moves the terminal: %q", v)
	}
	hit(m, '/', 'H', 'e', 'a', 'l', enter)
	if v := ansi.Strip(m.View().Content); strings.Contains(v, "started") || !strings.Contains(v, "server healthy") {
		t.Errorf("the filter shows:\n%s", v)
	}
	if hit(m, esc); m.shown != nil {
		t.Error("not back")
	}
}

func TestLogFollowsItsEnd(t *testing.T) {
	m := sampleDashboard(hint.EN, 80, 24, wellStatus(), nil)
	var lines []string
	for i := range 100 {
		lines = append(lines, fmt.Sprintf("line %d.", i))
	}
	m.Log = func(context.Context, int) ([]string, error) { return lines, nil }
	hit(m, 'l')
	if v := m.View().Content; !strings.Contains(v, "line 99.") {
		t.Errorf("the end is not in sight:\n%s", v)
	}
	hit(m, rune(tea.KeyUp))
	m.View()
	m.Update(logMsg{lines: append(lines, "line 100.")})
	if v := m.View().Content; strings.Contains(v, "line 100.") {
		t.Errorf("who reads up there is pulled down:\n%s", v)
	}
}

func TestPlot(t *testing.T) {
	for _, c := range []struct {
		values []float64
		most   float64
		width  int
		utf8   bool
		want   string
	}{
		{nil, 1, 5, true, ""},
		{[]float64{0, 5, 10}, 10, 5, true, "▁▅█"},
		{[]float64{0, 5, 10}, 10, 2, true, "▅█"},
		{[]float64{0, 50, 100}, 10, 5, true, "▁▅█"}, // what is more than most sets the height
		{[]float64{0, 10}, 10, 5, false, "_@"},
	} {
		if got := plot(c.values, c.most, c.width, c.utf8); got != c.want {
			t.Errorf("%v: %q, want %q", c.values, got, c.want)
		}
	}
}

// A job under way is shown with the figures of its record, in every language; one that has
// ended is not.
func TestDashboardShowsJobs(t *testing.T) {
	t.Attr("shows", "ground")
	for l, want := range map[hint.Lang][]string{
		hint.EN: {"Check the database  ████████░░░░░░░░░░░░  42% (84000 of 200000 objects), some 3 minutes left", "Reading every object.", "See what takes room: waiting"},
		hint.FR: {"Vérifier la base de données  ████████░░░░░░░░░░░░  42 % (84000 sur 200000 objets), encore 3 minutes environ", "Lecture de chaque objet.", "Voir ce qui prend de la place : en attente"},
	} {
		v := ansi.Strip(sampleDashboard(l, 130, 60, busyStatus(), nil).View().Content)
		for _, text := range want {
			if strings.Count(v, text) != 1 {
				t.Errorf("%q is not there once:\n%s", text, v)
			}
		}
		if strings.Contains(v, "failed") || strings.Contains(v, "échec") {
			t.Errorf("what has ended is shown:\n%s", v)
		}
	}
}

func TestDashboardFits(t *testing.T) {
	for _, st := range []report.Status{wellStatus(), illStatus(), busyStatus(), {}} {
		for _, size := range [][2]int{{40, 12}, {41, 13}, {80, 24}, {200, 60}} {
			v := sampleDashboard(hint.FR, size[0], size[1], st, nil).View().Content
			if w, h := lipgloss.Width(v), lipgloss.Height(v); w > size[0] || h > size[1] {
				t.Errorf("%v: %d×%d", size, w, h)
			}
		}
	}
}
