package main

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/cmd/foyer/appliance"
	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/internal/step"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/reach"
)

func (a *app) doctorCmd() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Args: usage(a, cobra.NoArgs),
		Short: hint.T("Look at everything; exit code 3 when something is wrong", "Tout examiner ; code de sortie 3 si quelque chose ne va pas").In(a.lang),
		RunE:  func(cmd *cobra.Command, _ []string) error { return doctor(cmd.Context(), a) },
	}
}

// doctor looks at this machine: what the running Foyer found, and whether what
// is installed is as it should be; where nothing is installed, whether it could be.
func doctor(ctx context.Context, a *app) error {
	var found []health.Result
	if installed() || a.runDir != config.SystemRun {
		s, err := control.Dial(a.runDir).Status(ctx)
		switch e := hint.Find(err); {
		case err == nil:
			found = s.Checks
		case e != nil && e.Code == "need-root":
			return err
		default:
			found = append(found, health.FromError("running", hint.T("Foyer", "Foyer"), err))
		}
	}
	if !installed() && a.runDir == config.SystemRun {
		found = append(found, appliance.Preflight(ctx, config.SystemData, builtAt())...)
	}
	switch deaf := func(r health.Result) bool {
		return r.Code == "disk" && r.Severity >= health.Warning && r.Cause == health.CauseLate
	}; {
	case a.runDir != config.SystemRun:
	case slices.ContainsFunc(found, deaf): // whoever touches it cannot be ended any more
		found = append(found, health.Result{Code: "installation", Title: hint.T("Installation", "Installation"), Finding: health.Finding{
			Severity: health.Info, What: hint.T("Not looked at while the disk does not answer.", "Pas examinée tant que le disque ne répond pas."),
		}})
	default:
		found = append(found, orLate("installation", hint.T("Installation", "Installation"), func() []health.Result { return examineInstallation(ctx, a) })...)
	}
	var reached *reach.Diagnosis
	if s, err := a.loadSettings(ctx, a.environ); err == nil { // told elsewhere
		found, reached = a.appliance(s).Examine(ctx, found)
	}
	worst, bad := report.Worst(found)
	bad = bad && worst.Severity >= health.Warning
	switch {
	case a.json:
		out := map[string]any{"ok": !bad, "findings": found}
		if reached != nil {
			out["reach"] = reached.Facts
		}
		a.printJSON(out)
	default:
		for _, r := range found {
			if r.Severity == health.OK && r.What.IsZero() {
				a.printf("✓ %s\n", r.Title.In(a.lang))
			} else if r.Severity == health.OK {
				a.printf("✓ %s: %s\n", r.Title.In(a.lang), r.What.In(a.lang))
			}
		}
		a.findings(found)
		if !bad {
			a.say(hint.T("\nNothing is wrong.", "\nRien ne cloche."))
		}
	}
	if bad {
		return hint.New("problems-found", worst.What, worst.Did, worst.Do).Because(errSaid).Exits(hint.ExitProblems)
	}
	return nil
}

// lookTime is how long doctor waits for what it looks at itself. A disk, or a service manager,
// that does not answer cannot be interrupted: it is named, and left.
const lookTime = 10 * time.Second

// orLate is what look finds, or that it has not come back within lookTime.
func orLate(code string, title hint.Text, look func() []health.Result) []health.Result {
	found := make(chan []health.Result, 1)
	go func() { found <- look() }() // it ends with the process at the latest
	select {
	case f := <-found:
		return f
	case <-time.After(lookTime):
		return []health.Result{{Code: code, Title: title, Finding: health.Finding{
			Severity: health.Warning, Cause: health.CauseLate,
			What: hint.T("%s: this has not answered for %s.", "%s : pas de réponse depuis %s.", title, report.Age(lookTime)),
			Did:  hint.T("Foyer looked at everything else.", "Foyer a examiné tout le reste."),
			Do:   hint.T("If it stays so, restart this machine.", "Si cela dure, redémarrez cette machine."),
		}}}
	}
}

// examineInstallation compares the machine with the plan: installed, the plan
// must be empty; not installed, it must be possible.
func examineInstallation(ctx context.Context, a *app) []health.Result {
	title := hint.T("Installation", "Installation")
	s, err := a.loadSettings(ctx, nil)
	if err != nil {
		return []health.Result{health.FromError("settings", hint.T("Settings", "Réglages"), err)}
	}
	answers, err := installer.LoadAnswers("", nil, nil, map[string]string{"name": s.Name, "data": s.Data})
	if err != nil {
		return []health.Result{health.FromError("installation", title, err)}
	}
	in, err := newInstaller(answers, false)
	if err != nil {
		return []health.Result{health.FromError("installation", title, err)}
	}
	there := installed() || partly()
	if there && os.Geteuid() > 0 {
		return nil // only root can look into what root owns
	}
	plan, err := in.Plan(ctx)
	if err != nil {
		return []health.Result{health.FromError("installation", title, err)}
	}
	if !there {
		return []health.Result{{Code: "installation", Title: title, Finding: health.Finding{
			Severity: health.Info, What: hint.T("Foyer is not installed here; nothing stands in its way.", "Foyer n'est pas installé ici ; rien ne s'y oppose."),
			Do: hint.T("Install it with `sudo foyer install`.", "Installez-le par `sudo foyer install`."),
		}}}
	}
	var out []health.Result
	for _, c := range plan.Changes {
		if f, ok := misplaced(c); ok {
			out = append(out, health.Result{Code: "installation", Title: title, Finding: f})
		}
	}
	if len(out) == 0 {
		out = append(out, health.Result{Code: "installation", Title: title, Finding: health.Finding{What: hint.T("Everything is in its place.", "Tout est à sa place.")}})
	}
	return out
}

// partly reports whether there is something of an installation, if not its middle: what is
// missing is to be told, not that nothing is there.
func partly() bool {
	for _, path := range []string{config.SystemOpt + "/versions", "/etc/systemd/system/foyer.service", "/etc/init.d/foyer"} {
		if _, err := os.Lstat(path); err == nil {
			return true
		}
	}
	return false
}

// misplaced is what a change that an install would make says of the machine; false where it
// says nothing that other checks do not.
func misplaced(c step.Change) (health.Finding, bool) {
	install := hint.T("`sudo foyer install` mends it.", "`sudo foyer install` le répare.")
	switch {
	case c.Kind == step.KindCheck, c.Kind == step.KindClaim, c.Step == installer.StepOSUpdates: // nothing that is in a place: whether the server answers, and has an owner; and what a check of its own looks at
		return health.Finding{}, false
	case c.Op == step.Edited && c.Kind == step.KindFile && c.Stays: // data that may not be the service's
		return health.Finding{Severity: health.Warning, What: hint.T("%s: %s.", "%s : %s.", c.What, c.Why)}, true
	case c.Op == step.Edited:
		return health.Finding{Severity: health.Info, What: hint.T("%s: %s.", "%s : %s.", c.What, c.Why)}, true
	case c.Op == step.Made && c.Kind == step.KindService:
		return health.Finding{Severity: health.Warning, What: hint.T("The service is not running.", "Le service ne tourne pas."), Do: hint.T("`sudo foyer install` starts it.", "`sudo foyer install` le lance.")}, true
	case c.Kind == step.KindService:
		return health.Finding{Severity: health.Warning, What: hint.T("The service was started before something it uses was changed.", "Le service a été lancé avant un changement de ce qu'il utilise."), Do: hint.T("`sudo foyer install` restarts it.", "`sudo foyer install` le relance.")}, true
	case c.Op == step.Made && c.Kind == step.KindData:
		return health.Finding{
			Severity: health.Error, What: hint.T("The folder %s, which holds your data, is not there.", "Le dossier %s, qui contient vos données, n'est pas là.", c.What),
			Do: hint.T("If it is on a disk of its own, connect that; else bring the folder back from a backup. Only then `sudo foyer install`: without it Foyer begins anew, and empty.",
				"S'il est sur un disque à part, branchez-le ; sinon, remettez le dossier depuis une sauvegarde. Ensuite seulement `sudo foyer install` : sans lui, Foyer recommence à vide."),
		}, true
	case c.Op == step.Made:
		return health.Finding{Severity: health.Warning, What: hint.T("%s is missing (%s).", "%s manque (%s).", c.What, c.Why), Do: install}, true
	}
	return health.Finding{Severity: health.Warning, What: hint.T("%s is not as it should be (%s).", "%s n'est pas comme il devrait (%s).", c.What, c.Why), Do: install}, true
}
