package tui

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/control"
)

// Dashboard shows how an installed Foyer is, for as long as somebody looks: the
// same facts as `foyer status --json`, asked for every second.
type Dashboard struct {
	Term
	Status   func(ctx context.Context) (report.Status, error)
	Log      func(ctx context.Context, lines int) ([]string, error)
	NewClaim func(ctx context.Context) (control.Claim, error)
	Restart  func(ctx context.Context) error
	Changer  func(ctx context.Context) (*Changer, error) // nil: this is no machine whose settings may be changed so
}

// Run shows it until the person leaves or ctx ends.
func (d *Dashboard) Run(ctx context.Context) error {
	m := newDashboard(ctx, d)
	p := d.program(ctx, m)
	if _, err := p.Run(); err != nil && !errors.Is(err, tea.ErrInterrupted) && ctx.Err() == nil {
		return fmt.Errorf("cannot use the terminal: %w", err)
	}
	return nil
}

// screen is what is shown instead of home.
type screen interface {
	// key takes a key; leave says that home is to be shown again.
	key(m *dashboard, msg tea.KeyPressMsg) (cmd tea.Cmd, leave bool)
	// update takes any other message, and whatever a cmd of its own sent.
	update(m *dashboard, msg tea.Msg) tea.Cmd
	view(m *dashboard) string
}

// room is a screen that opens by a key on home. Each is plugged in by its own file.
type room struct {
	key   string
	name  hint.Text // among the keys: "L: log"
	order int       // of it there
	// open returns the screen, or none where it cannot be opened: m.say1 then says why.
	open func(m *dashboard) (screen, tea.Cmd)
	// has tells whether this dashboard has it; nil: all have.
	has func(m *dashboard) bool
}

// rooms are all there are, in the order of their keys.
var rooms []room

func plug(r room) struct{} {
	rooms = append(rooms, r)
	slices.SortFunc(rooms, func(a, b room) int { return cmp.Compare(a.order, b.order) })
	return struct{}{}
}

// dashboard is the model.
type dashboard struct {
	*Dashboard
	page
	ctx   context.Context //nolint:containedctx // of Run: what screens ask for ends with it
	shown screen          // nil: home
	scroll
	known bool
	st    report.Status
	asked time.Time // when st was
	err   error     // why there is no newer one
	say1  hint.Text // what came of the last key, until the next one
	now   func() time.Time
}

type (
	statusMsg struct {
		st  report.Status
		err error
	}
	again struct{}
)

// every is how often the dashboard asks.
const every = time.Second

func newDashboard(ctx context.Context, d *Dashboard) *dashboard {
	return &dashboard{Dashboard: d, page: newPage(d.Term), ctx: ctx, now: time.Now}
}

// status asks how Foyer is.
func (m *dashboard) status() tea.Msg {
	st, err := m.Status(m.ctx)
	return statusMsg{st, err}
}

func (m *dashboard) Init() tea.Cmd { return m.status }

func (m *dashboard) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.resize(msg.Width, msg.Height)
	case statusMsg:
		if m.err = msg.err; m.err == nil {
			m.st, m.known, m.asked = hint.Clean(msg.st), true, m.now()
		}
		return m, tea.Tick(every, func(time.Time) tea.Msg { return again{} })
	case again:
		if m.shown != nil {
			return m, tea.Batch(m.status, m.shown.update(m, msg))
		}
		return m, m.status
	case restartMsg:
		if msg.err != nil {
			m.say1 = hint.Says(msg.err)
		}
		return m, m.status
	case tea.KeyPressMsg:
		return m, m.key(msg)
	}
	if m.shown != nil {
		return m, m.shown.update(m, msg)
	}
	return m, nil
}

func (m *dashboard) key(msg tea.KeyPressMsg) tea.Cmd {
	k := msg.String()
	m.say1 = hint.Text{}
	if k == "ctrl+c" {
		return tea.Quit
	}
	if m.shown != nil {
		cmd, leave := m.shown.key(m, msg)
		if leave {
			m.shown, m.scroll = nil, scroll{}
		}
		return cmd
	}
	switch k {
	case "q", "esc":
		return tea.Quit
	case "L":
		m.lang = map[hint.Lang]hint.Lang{hint.EN: hint.FR, hint.FR: hint.EN}[m.lang]
		return nil
	}
	for _, r := range rooms {
		if r.key == k && (r.has == nil || r.has(m)) {
			opened, cmd := r.open(m)
			if opened != nil {
				m.shown, m.scroll = opened, scroll{}
			}
			return cmd
		}
	}
	m.scroll.key(k, m.height)
	return nil
}

func (m *dashboard) View() tea.View {
	if m.shown != nil {
		return m.draw(m.shown.view(m))
	}
	return m.draw(m.homeView())
}

// scroll is which part of a long body is shown.
type scroll struct {
	top    int  // first line
	follow bool // its end stays in sight
}

func (s *scroll) key(k string, height int) {
	switch k {
	case "up", "k":
		s.top--
		s.follow = false
	case "down", "j":
		s.top++
	case "pgup":
		s.top -= height / 2
		s.follow = false
	case "pgdown", "space":
		s.top += height / 2
	case "home", "g":
		s.top, s.follow = 0, false
	case "end", "G":
		s.top = 1 << 20
	}
}
