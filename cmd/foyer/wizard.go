package main

import (
	"context"
	"errors"
	"slices"

	"github.com/foyer-server/foyer/cmd/foyer/appliance"
	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/tui"
)

// wizard asks a person, on screens or in lines, and has the install done by a
// process of its own, which goes on when the terminal goes away. Coming back shows
// the install that is at work, or takes up the answers given so far.
func wizard(ctx context.Context, a *app, f installFlags, answers *installer.Answers) error {
	w := &worker{app: a, flags: f, dir: workerDir}
	kept := keptAnswers()
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
		Remember: keepAnswers,
		Plan:     w.planFor,
		Apply:    w.apply,
		Claimed:  func(ctx context.Context) bool { claimed, _ := claimedNow(ctx); return claimed },
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
	forgetAnswers()
	return showResult(a, w.result.Result, installer.Plan{Changes: w.result.Plan})
}

// settle are the answers an install with these values has.
func (w *worker) settle(ctx context.Context, v installer.Values) (*installer.Answers, error) {
	appliance.Settle(v)
	if v["language"] == "" {
		v["language"] = string(w.lang)
	}
	for k, text := range w.flags.given {
		if _, ok := v[k]; !ok {
			v[k] = text
		}
	}
	environ := w.environ
	if w.flags.password != "" { // wherever it was, it is not read again
		environ = append(slices.Clone(environ), "FOYER_OWNER_PASSWORD="+w.flags.password)
	}
	return loadAnswers(ctx, w.flags.answers, w.flags.stdin(), environ, v)
}

// planFor is the plan with these answers, as people read it.
func (w *worker) planFor(ctx context.Context, v installer.Values) (tui.Plan, error) {
	answers, err := w.settle(ctx, v)
	if err != nil {
		return tui.Plan{}, err
	}
	in, err := newInstaller(answers, w.flags.replaceEdited)
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
	out.Notes = append(out.Notes, w.appliance(set).Outlook(ctx)...)
	out.Summary = appliance.Summary(set, in.Addresses())
	for _, c := range plan.Changes {
		out.Changes = append(out.Changes, tui.Change{Mark: c.Op, What: c.KindText().In(w.lang) + " " + c.What, Why: c.Why})
	}
	return out, nil
}
