package tui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// Changer asks the questions of an install once more, with today's answers, shows what would
// be otherwise, has it done, and asks whether it is to be kept: else it goes back by itself.
// Run it once, by Screens or by Lines.
type Changer struct {
	Term
	Questions []installer.Question // those that may be answered otherwise
	Values    installer.Values     // today's answers
	Job       report.Job           // a change that is under way already: nothing is asked then; else zero

	Plan func(ctx context.Context, v installer.Values) (report.ChangePlan, error)             // of answers that differ from today's; a *hint.Error is shown
	Ask  func(ctx context.Context, v installer.Values) (j report.Job, code string, err error) // begins it
	Look func(ctx context.Context, id string) (report.Job, error)                             // at the job of it; fails while the service is started anew
	Keep func(ctx context.Context) error                                                      // confirms it, as whoever sits at the machine
	Back func(ctx context.Context, id string) error                                           // undoes it now
}

// lookEvery is how often the job of a change is looked at.
const lookEvery = 500 * time.Millisecond

// differ are the answers in v that are not today's; one that is not given any more is empty.
func (c *Changer) differ(v installer.Values) installer.Values {
	out := installer.Values{}
	for k, text := range v {
		if text != c.Values[k] {
			out[k] = text
		}
	}
	for k, text := range c.Values {
		if _, ok := v[k]; !ok && text != "" {
			out[k] = ""
		}
	}
	return out
}

// plan is the plan of answers, as a person reads it.
func (c *Changer) plan(ctx context.Context, v installer.Values) (Plan, error) {
	differ := c.differ(v)
	if len(differ) == 0 {
		return Plan{Summary: []hint.Text{hint.T("All of it is as it is today.", "Tout est comme aujourd'hui.")}, Nothing: true}, nil
	}
	p, err := c.Plan(ctx, differ)
	if err != nil {
		return Plan{}, err
	}
	out := Plan{Steps: p.Steps, Notes: p.Notes, Nothing: len(p.Differs) == 0}
	if out.Nothing {
		out.Summary = []hint.Text{hint.T("All of it is as it is today.", "Tout est comme aujourd'hui.")}
		return out, nil
	}
	for _, d := range p.Differs {
		out.Summary = append(out.Summary, hint.T("%s %s (today: %s)", "%s %s (aujourd'hui : %s)", hint.Label(d.Title), d.After, d.Before))
	}
	if len(p.Addresses) > 0 {
		out.Summary = append(out.Summary, hint.T("Then it answers at %s", "Il répond alors à %s", strings.Join(p.Addresses, "  ")))
	}
	if len(p.Gone) > 0 {
		out.Notes = append(out.Notes, hint.T("And no more at %s", "Et plus à %s", strings.Join(p.Gone, "  ")))
	}
	out.Summary = append(out.Summary, hint.T("You then have %s to confirm it; otherwise everything goes back by itself to how it is now.", "Vous avez ensuite %s pour confirmer ; sinon, tout revient de soi-même comme maintenant.", span(p.Seconds)))
	return out, nil
}

// span is so many seconds as people say it.
func span(seconds int) hint.Text {
	if seconds%60 == 0 && seconds > 60 {
		return hint.T("%d minutes", "%d minutes", seconds/60)
	}
	return hint.T("%d seconds", "%d secondes", seconds)
}

// changeOf is how a change stands, as its job tells; the zero value where it says nothing yet.
func changeOf(j report.Job) (c report.Change) {
	if json.Unmarshal(j.Result, &c) != nil {
		return report.Change{}
	}
	return c
}

// cameOf is what a change that has ended came to: a sentence, and why.
func cameOf(j report.Job) (what, why hint.Text) {
	c := changeOf(j)
	switch {
	case j.State == report.JobDone:
		return hint.T("Done: it stays so.", "C'est fait : cela reste ainsi."), hint.Text{}
	case c.State == report.ChangeBack:
		return hint.T("Everything is as it was before.", "Tout est comme avant."), c.Reason
	case j.Error != nil:
		return j.Error.What, j.Error.Do
	}
	return hint.T("It was not changed: %s.", "Rien n'a été changé : %s.", j.State.Word()), hint.Text{}
}

// Screens runs it in Bubble Tea. It returns the job as it ended; ErrCancelled when the person
// chose not to change anything; and ErrLeft when they, or their terminal, went away while the
// change is under way, which goes on, or back, without them.
func (c *Changer) Screens(ctx context.Context) (report.Job, error) {
	m := newChange(ctx, c)
	end, err := c.program(ctx, alone{m}).Run()
	last, _ := end.(alone)
	switch {
	case last.change == nil && ctx.Err() != nil:
		return report.Job{}, ErrCancelled
	case last.change == nil:
		return report.Job{}, fmt.Errorf("cannot use the terminal: %w", err)
	case m.job.State.Ended() && m.job.ID != "":
		return m.job, nil
	case m.err != nil:
		return report.Job{}, m.err
	case m.job.ID != "":
		return m.job, ErrLeft
	}
	return report.Job{}, ErrCancelled
}

// alone shows a change as a program of its own.
type alone struct{ *change }

func (a alone) Init() tea.Cmd { return a.begin() }

func (a alone) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if msg, ok := msg.(tea.KeyPressMsg); ok {
		cmd, leave := a.key(msg)
		if leave || msg.String() == "ctrl+c" {
			return a, tea.Quit
		}
		return a, cmd
	}
	return a, a.update(msg)
}

func (a alone) View() tea.View { return a.draw(a.view()) }

// change is the screens of a Changer, for a program of its own or as a part of another.
type change struct {
	*Changer
	interview
	ctx context.Context //nolint:containedctx // what the screens ask for ends with it

	job  report.Job
	code string // that confirms it by a link; empty: not known here
	err  error  // why it was not begun, or what came of the last key
	gone bool   // the person left while it asked
	now  func() time.Time
}

type (
	begunMsg struct {
		job  report.Job
		code string
		err  error
	}
	lookedMsg struct {
		job report.Job
		err error
	}
	saidMsg struct{ err error } // what came of keeping or of going back
)

func newChange(ctx context.Context, c *Changer) *change {
	m := &change{Changer: c, interview: newInterview(c.Term, c.Questions, c.Values), ctx: ctx, job: c.Job, now: time.Now}
	m.langSure = true
	m.leave = func() tea.Cmd {
		m.gone = true
		return nil
	}
	m.title, m.agree = hint.T("Change it?", "Changer ?"), hint.T("Change it", "Changer")
	m.makePlan = func(n int, v installer.Values) tea.Cmd {
		v = maps.Clone(v)
		return func() tea.Msg {
			p, err := c.plan(ctx, v)
			return planned{n, p, err}
		}
	}
	m.agreed = func() tea.Cmd {
		m.at, m.top, m.err = atProgress, 0, nil
		differ := c.differ(m.values)
		return func() tea.Msg {
			j, code, err := c.Ask(ctx, differ)
			return begunMsg{j, code, err}
		}
	}
	if c.Job.ID != "" {
		m.at = atProgress
		m.settle()
	}
	return m
}

// begin opens the first question, or looks at the change that is under way.
func (m *change) begin() tea.Cmd {
	if m.job.ID != "" {
		return m.look
	}
	return m.next("")
}

func (m *change) look() tea.Msg {
	j, err := m.Look(m.ctx, m.job.ID)
	return lookedMsg{j, err}
}

// settle goes to the screen that fits how the job stands.
func (m *change) settle() {
	before := m.at
	switch {
	case m.job.State.Ended():
		m.at = atDone
	case changeOf(m.job).State == report.ChangeWaiting:
		m.at = atTrial
	default:
		m.at = atProgress
	}
	if m.at != before {
		m.cursor, m.top = 0, 0
	}
}

func (m *change) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case begunMsg:
		if msg.err != nil { // the plan says why, and may be mended
			m.at, m.planned, m.refused, m.cursor = atPlan, true, msg.err, 0
			return nil
		}
		m.job, m.code = hint.Clean(msg.job), msg.code
		m.settle()
		return m.look
	case lookedMsg:
		if msg.err == nil { // the service may be starting anew: the next look finds it
			m.job = hint.Clean(msg.job)
			m.settle()
		}
		if m.job.State.Ended() {
			return nil
		}
		return tea.Tick(lookEvery, func(time.Time) tea.Msg { return lookMsg{} })
	case lookMsg:
		return m.look
	case saidMsg:
		m.err = msg.err
		return nil
	}
	cmd, _ := m.interview.update(msg)
	return cmd
}

// lookMsg says that it is time to look at the job again.
type lookMsg struct{}

// key takes a key; leave says that the person has done with it.
func (m *change) key(msg tea.KeyPressMsg) (cmd tea.Cmd, leave bool) {
	k := msg.String()
	switch m.at {
	case atTrial:
		return m.trialKey(k), k == "q" || k == "esc"
	case atProgress:
		return nil, k == "q" || k == "esc"
	case atDone:
		return nil, k == "enter" || k == "q" || k == "esc"
	}
	cmd, _ = m.interview.key(msg)
	return cmd, m.gone
}

func (m *change) trialKey(k string) tea.Cmd {
	switch k {
	case "left", "shift+tab", "h", "right", "tab", "l":
		m.cursor = 1 - m.cursor
	case "up", "k":
		m.top--
	case "down", "j":
		m.top++
	case "enter":
		id, keep := m.job.ID, m.cursor == 0
		return func() tea.Msg {
			if keep {
				return saidMsg{m.Keep(m.ctx)}
			}
			return saidMsg{m.Back(m.ctx, id)}
		}
	}
	return nil
}

func (m *change) view() string {
	if content, ok := m.interview.view(); ok {
		return content
	}
	switch m.at {
	case atTrial:
		return m.trialView()
	case atDone:
		what, why := cameOf(m.job)
		body := m.wrap(m.say(what), 0)
		if !why.IsZero() {
			body = append(append(body, ""), m.wrap(m.say(why), 0)...)
		}
		if m.job.State == report.JobDone {
			body[0] = m.tick() + " " + body[0]
			body = append(append(body, ""), m.addresses(changeOf(m.job).Plan.Addresses)...)
		}
		out, top := m.lay(m.heading(m.say(hint.T("Change", "Changement")), ""), append(body, "", m.buttons(0, hint.T("Finish", "Terminer"))[0]), nil, m.top)
		m.top = top
		return out
	}
	return m.progressView()
}

func (m *change) addresses(all []string) []string {
	var out []string
	for _, a := range all {
		out = append(out, m.wrap(m.plain(a), 2)...)
	}
	return out
}

func (m *change) progressView() string {
	head := m.heading(m.say(hint.T("Changing…", "Changement…")), "")
	if changeOf(m.job).State == report.ChangeGoingBack {
		head = m.heading(m.say(hint.T("Going back…", "Retour…")), "")
	}
	body := []string{m.say(hint.T("A moment…", "Un instant…"))}
	if len(m.job.Said) > 0 {
		body = nil
	}
	for _, s := range m.job.Said {
		body = append(body, m.marked(m.plain("·"), m.say(s))...)
	}
	foot := append([]string{""}, m.faints(hint.T("It goes on by itself if this terminal closes.", "Il continue tout seul si ce terminal se ferme."))...)
	out, _ := m.lay(head, body, foot, len(body))
	return out
}

// Of a change that is in force.
var (
	unlessConfirmed = func(left int) hint.Text {
		return hint.T("If nobody confirms it within %d seconds, everything goes back by itself.", "Sans confirmation dans les %d secondes, tout revient de soi-même.", left)
	}
	byTheNewAddress = hint.T("Confirm it by the new address, on a phone or another computer:", "Confirmez par la nouvelle adresse, sur un téléphone ou un autre ordinateur :")
	orHere          = hint.T("Or here, if you know that it works.", "Ou ici, si vous savez que ça marche.")
	keepIt          = hint.T("Keep it", "Garder")
	goBack          = hint.T("Go back", "Revenir")
)

// trialView asks whether the change is to be kept, for as long as there is time.
func (m *change) trialView() string {
	c := changeOf(m.job)
	left := secondsTo(c, m.now())
	head := m.heading(m.say(hint.T("Does it work?", "Est-ce que ça marche ?")), m.say(hint.T("%d s", "%d s", left)))
	foot := append([]string{""}, m.buttons(m.cursor, keepIt, goBack)...)
	body := m.trialLines(c, left)
	if link := m.link(c); link != "" && m.utf8 {
		code, narrow := QR(link), *m
		narrow.width = m.width - lipgloss.Width(code) - 3
		if code != "" && narrow.width >= 38 && lipgloss.Height(code) <= m.height-len(head)-len(foot) {
			body = strings.Split(lipgloss.JoinHorizontal(lipgloss.Top, code, "   ", strings.Join(narrow.trialLines(c, left), "\n")), "\n")
		}
	}
	out, top := m.lay(head, body, foot, m.top)
	m.top = top
	return out
}

// trialLines is what is said of a change that waits, wrapped to the width.
func (m *change) trialLines(c report.Change, left int) []string {
	body := m.wrap(m.say(unlessConfirmed(left)), 0)
	if link := m.link(c); link != "" {
		body = append(append(body, ""), m.wrap(m.say(byTheNewAddress), 0)...)
		body = append(append(body, m.wrap(m.plain(link), 2)...), "")
		body = append(body, m.wrap(m.say(orHere), 0)...)
	} else {
		body = append(append(body, ""), m.addresses(c.Plan.Through)...)
	}
	if m.err != nil {
		for _, l := range m.wrap(m.plain(hint.Describe(m.err, m.lang)), 0) {
			body = append(body, warning.Render(l))
		}
	}
	return body
}

// secondsTo is how many seconds are left to confirm a change.
func secondsTo(c report.Change, now time.Time) int {
	return max(0, int(c.Until.Sub(now).Seconds()+0.5))
}

// link is where a confirmation counts; empty where the code is not known here.
func (m *change) link(c report.Change) string {
	if m.code == "" || len(c.Plan.Through) == 0 {
		return ""
	}
	return strings.TrimSuffix(c.Plan.Through[0], "/") + "/change/keep?code=" + m.code
}

// Lines runs it as lines, as Wizard.Lines does. What it returns is as Screens says.
func (c *Changer) Lines(ctx context.Context) (report.Job, error) {
	w := &Wizard{
		Term: c.Term, LangSure: true, Questions: c.Questions, Values: c.Values, Plan: c.plan,
		Look: func(context.Context) Sight { return Sight{} }, Remember: func(installer.Values) {},
	}
	l := newLines(w)
	l.agree, l.quiet = hint.T("Change it", "Changer"), true
	job, code := c.Job, ""
	if job.ID == "" {
		if err := l.askAll(ctx); err != nil {
			return report.Job{}, err
		}
		var err error
		if job, code, err = c.Ask(ctx, c.differ(l.values)); err != nil {
			return report.Job{}, err
		}
	}
	return c.follow(ctx, l, hint.Clean(job), code)
}

// follow says how a change goes, and asks whether it is to be kept.
func (c *Changer) follow(ctx context.Context, l *lines, job report.Job, code string) (report.Job, error) {
	said, asked := 0, false
	answers := make(chan string)
	asking, stop := context.WithCancel(ctx)
	var reading sync.WaitGroup // for answers, while what happens is told
	defer reading.Wait()
	defer stop()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		for ; said < len(job.Said); said++ {
			l.tell("- %s", l.say(job.Said[said]))
		}
		now := changeOf(job)
		if job.State.Ended() {
			what, why := cameOf(job)
			l.tell("")
			l.tell("%s", l.say(what))
			if !why.IsZero() {
				l.tell("%s", l.say(why))
			}
			return job, nil
		}
		if now.State == report.ChangeWaiting && !asked {
			asked = true
			m := change{code: code}
			l.tell("")
			l.tell("%s", l.say(unlessConfirmed(secondsTo(now, time.Now()))))
			if link := m.link(now); link != "" {
				l.tell("%s", l.say(byTheNewAddress))
				l.tell("  %s", link)
			}
			l.tell("  1. %s", l.say(keepIt))
			l.tell("  2. %s", l.say(goBack))
			l.prompt("> ") //nolint:errcheck // nobody reads any more: it goes on without an answer
			reading.Go(func() {
				defer close(answers)
				for {
					text, err := ReadLine(asking, l.in)
					if err != nil {
						return
					}
					select {
					case answers <- text:
					case <-asking.Done():
						return
					}
				}
			})
		}
		select {
		case <-ctx.Done():
			return job, ErrLeft
		case text, ok := <-answers:
			if !ok { // Ctrl-C, or the end of what is typed
				return job, ErrLeft
			}
			var err error
			switch text {
			case "1":
				err = c.Keep(ctx)
			case "2":
				err = c.Back(ctx, job.ID)
			default:
				err = errors.New(l.say(hint.T("A number from 1 to %d is needed.", "Il faut un nombre de 1 à %d.", 2)))
			}
			if err != nil {
				l.tell("! %s", hint.Describe(err, l.lang))
				l.prompt("> ") //nolint:errcheck // nobody reads any more: it goes on without an answer
			}
		case <-tick.C:
		}
		if next, err := c.Look(ctx, job.ID); err == nil {
			job = hint.Clean(next)
			said = min(said, len(job.Said))
		}
	}
}
