package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/charmbracelet/x/term"

	"github.com/foyer-server/foyer/cmd/foyer/appliance"
	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/tui"
)

// wizard asks a person, on screens or in lines, and has the install done by a
// process of its own, which goes on when the terminal goes away. Coming back shows
// the install that is at work, or takes up the answers given so far.
func (a *app) wizard(ctx context.Context, f installFlags, answers *installer.Answers) error {
	w := &worker{app: a, flags: f, dir: workerDir}
	kept := a.keptAnswers()
	values := kept
	if a.langGiven {
		delete(values, "language")
	}
	for k, v := range answers.Given() { // said now wins over said before
		if values == nil {
			values = installer.Values{}
		}
		values[k] = v
	}
	if l, ok := hint.ParseLang(values["language"]); ok {
		a.lang = l
	}
	_, sure := hint.Locale(a.getenv)
	ask := &tui.Wizard{
		Term: a.term(), LangSure: sure || values["language"] != "" || a.langGiven,
		Questions: installer.Questions(), Values: values, Resumed: len(kept) > 0, Running: installing(),
		Look: func(ctx context.Context) tui.Sight {
			values, notes := appliance.Look(ctx, builtAt())
			if rec := cutOffInstall(w.dir, installing()); rec != nil {
				notes = append([]hint.Text{hint.T("The last installation was cut off %s; it can be begun again.", "La dernière installation a été interrompue %s ; elle peut être recommencée.", rec.where())}, notes...)
			}
			return tui.Sight{Values: values, Notes: notes}
		},
		Remember: a.keepAnswers,
		Plan:     func(ctx context.Context, v installer.Values) (tui.Plan, error) { return a.planFor(ctx, f, v) },
		Apply:    w.apply,
		Claimed:  func(ctx context.Context) bool { claimed, _ := a.claimedNow(ctx); return claimed },
	}
	run := ask.Screens
	if !a.onTerminal() {
		run = ask.Lines
	}
	_, err := run(ctx)
	switch {
	case errors.Is(err, tui.ErrCancelled):
		return cancelled()
	case errors.Is(err, tui.ErrLeft):
		a.say(hint.T("The installation goes on by itself; `sudo foyer` shows it.", "L'installation continue toute seule ; `sudo foyer` la montre."))
		return nil
	case err != nil:
		return err
	}
	a.forgetAnswers()
	return a.showResult(w.result.Result, installer.Plan{Changes: w.result.Plan})
}

// term is the terminal this command runs at.
func (a *app) term() tui.Term {
	return tui.Term{In: a.in, Out: a.screen, Environ: a.environ, Lang: a.lang, UTF8: a.utf8()}
}

// settle are the answers an install with these values has.
func (a *app) settle(ctx context.Context, f installFlags, v installer.Values) (*installer.Answers, error) {
	appliance.Settle(v)
	if v["language"] == "" {
		v["language"] = string(a.lang)
	}
	for k, text := range f.given {
		if _, ok := v[k]; !ok {
			v[k] = text
		}
	}
	environ := a.environ
	if f.password != "" { // wherever it was, it is not read again
		environ = append(slices.Clone(environ), "FOYER_OWNER_PASSWORD="+f.password)
	}
	return a.loadAnswers(ctx, f.answers, f.stdin(), environ, v)
}

// planFor is the plan with these answers, as people read it.
func (a *app) planFor(ctx context.Context, f installFlags, v installer.Values) (tui.Plan, error) {
	answers, err := a.settle(ctx, f, v)
	if err != nil {
		return tui.Plan{}, err
	}
	in, err := a.installer(answers, f.replaceEdited)
	if err != nil {
		return tui.Plan{}, err
	}
	plan, err := in.Plan(ctx)
	if err != nil {
		return tui.Plan{}, err
	}
	out := tui.Plan{Notes: plan.Notes}
	set, err := answers.Settings()
	if err != nil {
		return tui.Plan{}, err
	}
	out.Notes = append(out.Notes, a.appliance(set).Outlook(ctx)...)
	out.Summary = appliance.Summary(set, in.Addresses())
	for _, c := range plan.Changes {
		out.Changes = append(out.Changes, tui.Change{Mark: c.Op, What: c.KindText().In(a.lang) + " " + c.What, Why: c.Why})
	}
	return out, nil
}

// keptPath is where the answers of a wizard that was cut short are.
func keptPath() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "foyer", "wizard.json")
}

func (a *app) keptAnswers() installer.Values {
	var v installer.Values
	data, err := os.ReadFile(keptPath())
	if err != nil || json.Unmarshal(data, &v) != nil {
		return nil
	}
	for k := range v { // of another version, or by another hand
		if !slices.ContainsFunc(installer.Questions(), func(q installer.Question) bool { return q.Key == k }) {
			delete(v, k)
		}
	}
	return v
}

// keepAnswers keeps what is no secret. Where that cannot be done it is asked again.
func (a *app) keepAnswers(v installer.Values) {
	path := keptPath()
	for _, q := range installer.Questions() {
		if q.Secret {
			delete(v, q.Key)
		}
	}
	data, err := json.Marshal(v)
	if err != nil || path == "" || os.MkdirAll(filepath.Dir(path), 0o700) != nil {
		return
	}
	atomicfile.Write(path, data, 0o600) //nolint:errcheck // it is a convenience
}

func (a *app) forgetAnswers() {
	path := keptPath()
	if path != "" && os.Remove(path) == nil {
		os.Remove(filepath.Dir(path)) //nolint:errcheck // if it is empty
	}
}

// ttyInstead gives a command whose standard input is a pipe, as in `curl … | sh`,
// the terminal the person sits at.
func (a *app) ttyInstead() {
	in, ok := a.in.(*os.File)
	if !ok || term.IsTerminal(in.Fd()) || !isTerminal(a.screen) {
		return
	}
	if tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
		a.in = tty
	}
}
