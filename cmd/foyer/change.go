package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/tui"
)

// changeCmd answers the questions of the install otherwise.
func (a *app) changeCmd() *cobra.Command {
	var f changeFlags
	cmd := &cobra.Command{
		Use: "change [KEY=VALUE…]", Args: apart(usage(a, cobra.ArbitraryArgs), "keep back yes", "keep back dry-run"),
		Short: hint.T("Change your mind: where this server is, its name, how it is found; it goes back by itself unless that is confirmed",
			"Changer d'avis : où est ce serveur, son nom, comment on le trouve ; tout revient de soi-même sans confirmation").In(a.lang),
		Example: "  sudo foyer change\n  sudo foyer change where=reachable addresses=cloud.example.org\n  sudo foyer change where=home --dry-run",
		RunE: func(cmd *cobra.Command, args []string) error {
			return changing{a, control.Dial(a.runDir)}.run(cmd.Context(), f, args)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.yes, "yes", false, hint.T("do not ask, and keep it once the server answers with it", "ne rien demander, et le garder dès que le serveur répond avec").In(a.lang))
	flags.BoolVar(&f.dryRun, "dry-run", false, hint.T("show what would change, and change nothing", "montrer ce qui changerait, sans rien changer").In(a.lang))
	flags.BoolVar(&f.keep, "keep", false, hint.T("confirm the change that waits for that", "confirmer le changement qui l'attend").In(a.lang))
	flags.BoolVar(&f.back, "back", false, hint.T("undo the change that waits to be confirmed, now", "annuler tout de suite le changement qui attend").In(a.lang))
	return cmd
}

// changing is the command at work.
type changing struct {
	*app
	c *control.Client
}

type changeFlags struct{ yes, dryRun, keep, back bool }

func (a changing) run(ctx context.Context, f changeFlags, args []string) error {
	values := installer.Values{}
	for _, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		if !ok {
			return wrongUse(hint.T("%q is not KEY=VALUE", "%q n'est pas CLÉ=VALEUR", arg))
		}
		values[key] = value
	}
	switch {
	case (f.keep || f.back) && len(args) > 0:
		return wrongUse(hint.T("--keep and --back take no answers", "--keep et --back ne prennent pas de réponses"))
	case f.keep:
		j, err := a.c.KeepChange(ctx, "", "")
		if err != nil {
			return err
		}
		return a.changed(j)
	case f.back:
		return a.back(ctx)
	case len(args) == 0 && !f.dryRun && !f.yes && !a.json:
		return a.ask(ctx)
	}
	plan, err := a.c.ChangePlan(ctx, values)
	if err != nil {
		return err
	}
	if f.dryRun || len(plan.Differs) == 0 {
		if a.json {
			a.printJSON(plan)
			return nil
		}
		a.sayPlan(plan)
		return nil
	}
	if !a.json {
		a.sayPlan(plan)
	}
	if !f.yes {
		if err := a.agreed(ctx); err != nil {
			return err
		}
	}
	begun, err := a.c.Change(ctx, values)
	if err != nil {
		return err
	}
	return a.follow(ctx, begun, f.yes, 0)
}

// newChanger asks on a terminal, with today's answers.
func newChanger(ctx context.Context, a *app, c *control.Client) (*tui.Changer, error) {
	today, err := a.loadSettings(ctx, nil)
	if err != nil {
		return nil, err
	}
	return &tui.Changer{
		Term: a.term(), Questions: installer.Changeable(), Values: installer.Today(today),
		Plan: func(ctx context.Context, v installer.Values) (report.ChangePlan, error) { return c.ChangePlan(ctx, v) },
		Ask: func(ctx context.Context, v installer.Values) (report.Job, string, error) {
			begun, err := c.Change(ctx, v)
			return begun.Job, begun.Code, err
		},
		Look: c.Job,
		Keep: func(ctx context.Context) error { _, err := c.KeepChange(ctx, "", ""); return err },
		Back: func(ctx context.Context, id string) error { _, err := c.CancelJob(ctx, id); return err },
	}, nil
}

// ask asks a person, on screens or in lines. A change that is under way is shown.
func (a changing) ask(ctx context.Context) error {
	if !a.plain {
		a.ttyInstead()
		if !a.atTerminal() {
			return hint.New("yes-needed", hint.T("Without a terminal nobody can be asked.", "Sans terminal, personne ne peut répondre."), hint.T("Nothing was changed.", "Rien n'a été changé."),
				hint.T("Give the answers: foyer change KEY=VALUE --yes; or --plain, to be asked line by line.", "Donnez les réponses : foyer change CLÉ=VALEUR --yes ; ou --plain, pour des questions ligne par ligne.")).Exits(hint.ExitUsage)
		}
	}
	jobs, err := a.c.Jobs(ctx) // who may not ask is told so before any screen is drawn
	if err != nil {
		return err
	}
	ch, err := newChanger(ctx, a.app, a.c)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if j.Kind == report.KindChange && !j.State.Ended() {
			ch.Job = j
		}
	}
	run := ch.Screens
	if !a.onTerminal() {
		run = ch.Lines
	}
	j, err := run(ctx)
	switch {
	case errors.Is(err, tui.ErrCancelled):
		return cancelled()
	case errors.Is(err, tui.ErrLeft):
		a.say(hint.T("The change goes on by itself, and back unless it is confirmed: `sudo foyer change` shows it.", "Le changement continue tout seul, et revient en arrière s'il n'est pas confirmé : `sudo foyer change` le montre."))
		return nil
	case err != nil:
		return err
	case a.onTerminal(): // lines have said it
		return a.changed(j)
	case j.State != report.JobDone:
		return errSaid
	}
	return nil
}

// sayPlan says what other answers come to.
func (a changing) sayPlan(p report.ChangePlan) {
	if len(p.Differs) == 0 {
		a.say(hint.T("All of it is as it is today.", "Tout est comme aujourd'hui."))
		return
	}
	for _, d := range p.Differs {
		a.say(hint.T("~ %s %s (today: %s)", "~ %s %s (aujourd'hui : %s)", hint.Label(d.Title), d.After, d.Before))
	}
	for _, s := range p.Steps {
		a.say(hint.T("  %s", "  %s", s))
	}
	for _, address := range p.Addresses {
		a.say(hint.T("  It answers at %s", "  Il répond à %s", address))
	}
	for _, address := range p.Gone {
		a.say(hint.T("! No more at %s", "! Plus à %s", address))
	}
	a.notes(p.Notes)
}

// agreed asks whether a plan is to be done; nothing but yes is a yes.
func (a changing) agreed(ctx context.Context) error {
	if a.json || !a.onTerminal() && !a.plain {
		return hint.New("yes-needed", hint.T("Without a terminal nobody can be asked.", "Sans terminal, personne ne peut répondre."), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Add --yes.", "Ajoutez --yes.")).Exits(hint.ExitUsage)
	}
	want := map[hint.Lang]string{hint.EN: "yes", hint.FR: "oui"}[a.lang]
	a.say(hint.T("Type %s to change it:", "Tapez %s pour changer :", want))
	typed, err := tui.ReadLine(ctx, bufio.NewReader(a.in))
	if err != nil {
		a.printf("\n") // after what the terminal shows of Ctrl-C
	}
	if err != nil || typed != want {
		return cancelled()
	}
	return nil
}

// How a change that nobody looks at is followed.
const (
	changeLook    = 500 * time.Millisecond
	changeSilence = 2 * time.Minute // after which a Foyer that does not answer is given up
)

// follow says how a change goes. With keep it is confirmed when the server answers
// with it, as whoever sits at the machine would; else whoever asked is told how to. The first
// said lines of what the job has said are passed over.
func (a changing) follow(ctx context.Context, begun control.Changed, keep bool, said int) error {
	j, told := begun.Job, begun.Code == ""
	for heard := time.Now(); !j.State.Ended(); {
		select {
		case <-ctx.Done():
			a.say(hint.T("It goes on by itself, and back unless it is confirmed: `sudo foyer change` shows it.", "Il continue tout seul, et revient en arrière s'il n'est pas confirmé : `sudo foyer change` le montre."))
			return errSaid
		case <-time.After(changeLook):
		}
		now, err := a.c.Job(ctx, j.ID)
		if err != nil { // the service is started anew
			if time.Since(heard) > changeSilence {
				return err
			}
			continue
		}
		j, heard = now, time.Now()
		if !a.json {
			for ; said < len(j.Said); said++ {
				a.printf("  %s\n", j.Said[said])
			}
		}
		var ch report.Change
		if json.Unmarshal(j.Result, &ch) != nil || ch.State != report.ChangeWaiting {
			continue
		}
		if keep {
			if st, err := a.c.Status(ctx); err == nil && st.Server.State == "healthy" {
				if _, err := a.c.KeepChange(ctx, "", ""); err != nil {
					return err
				}
			}
			continue
		}
		if !told && !a.json && len(ch.Plan.Through) > 0 {
			told = true
			a.say(hint.T("Confirm it by the new address:", "Confirmez par la nouvelle adresse :"))
			a.printf("  %s/change/keep?code=%s\n", strings.TrimSuffix(ch.Plan.Through[0], "/"), begun.Code)
			a.say(hint.T("or here, with `sudo foyer change --keep`; `--back` undoes it.", "ou ici, avec `sudo foyer change --keep` ; `--back` l'annule."))
		}
	}
	return a.changed(j)
}

// back undoes the change that waits.
func (a changing) back(ctx context.Context) error {
	jobs, err := a.c.Jobs(ctx)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if j.Kind != report.KindChange || j.State.Ended() {
			continue
		}
		if _, err := a.c.CancelJob(ctx, j.ID); err != nil {
			return err
		}
		var gone error
		if err := a.follow(ctx, control.Changed{Job: j}, false, len(j.Said)); err != nil {
			gone = err
		}
		if e := hint.Find(gone); e != nil && e.Code == "change-back" { // that is what was wanted
			return nil
		}
		return gone
	}
	return hint.New("change-none", hint.T("Nothing waits to be confirmed.", "Rien n'attend d'être confirmé."), hint.T("Nothing was changed.", "Rien n'a été modifié."),
		hint.T("`foyer jobs` tells how the last change came out.", "`foyer jobs` dit comment la dernière modification s'est terminée."))
}

// changed says how a change came out.
func (a changing) changed(j report.Job) error {
	if a.json {
		a.printJSON(j)
	}
	if e := j.Error; e != nil {
		if a.json {
			return errSaid
		}
		return hint.New(e.Code, e.What, e.Did, e.Do)
	}
	if !a.json {
		a.say(hint.T("The change is confirmed, and stays. The server answers at", "Le changement est confirmé, et reste. Le serveur répond à"))
		var ch report.Change
		if json.Unmarshal(j.Result, &ch) == nil {
			for _, address := range ch.Plan.Addresses {
				a.printf("  %s\n", address)
			}
		}
	}
	return nil
}
