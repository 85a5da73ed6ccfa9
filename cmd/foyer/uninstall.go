package main

import (
	"bufio"
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/step"
	"github.com/foyer-server/foyer/tui"
)

func (a *app) uninstallCmd() *cobra.Command {
	var purge, yes bool
	cmd := &cobra.Command{
		Use: "uninstall", Args: usage(a, cobra.NoArgs),
		Short: hint.T("Take Foyer away; your data stays, unless --purge", "Retirer Foyer ; vos données restent, sauf --purge").In(a.lang),
		RunE:  func(cmd *cobra.Command, _ []string) error { return uninstall(cmd.Context(), a, purge, yes) },
	}
	cmd.Flags().BoolVar(&purge, "purge", false, hint.T("remove everything, your data too", "tout effacer, vos données aussi").In(a.lang))
	cmd.Flags().BoolVar(&yes, "yes", false, hint.T("do not ask", "ne rien demander").In(a.lang))
	return cmd
}

func uninstall(ctx context.Context, a *app, purge, yes bool) error {
	if os.Geteuid() > 0 {
		return needRoot()
	}
	s, err := a.loadSettings(ctx, nil)
	if errors.Is(err, host.ErrInterrupted) {
		return err
	}
	if err != nil { // settings that cannot be read must not keep Foyer from being taken away
		s = config.Default()
	}
	answers, err := installer.LoadAnswers("", nil, nil, map[string]string{"name": s.Name, "data": s.Data})
	if err != nil {
		return err
	}
	in, err := newInstaller(answers, false)
	if err != nil {
		return err
	}
	if !yes {
		if err := confirmUninstall(ctx, a, purge, s.Name); err != nil {
			return err
		}
	}
	var left []step.Change
	progress := progressLines(ctx, a)
	changed, err := in.Undo(ctx, purge, func(e step.Event) {
		progress(e)
		for _, c := range e.Changes {
			if c.Op == step.Edited {
				left = append(left, c)
			}
		}
	})
	if err != nil {
		return err
	}
	if purge { // with its key gone, nobody should go on trusting it; without, `foyer install` finds both again
		untrusted, err := installer.TrustStore{Runner: host.Exec{}}.Remove(ctx)
		if err != nil {
			return err
		}
		changed = changed || len(untrusted) > 0
	}
	os.RemoveAll(workerDir) //nolint:errcheck // the record of an install, gone at the next start of the machine
	if a.json {
		a.printJSON(map[string]any{"changed": changed, "purged": purge, "left": append([]step.Change{}, left...)})
		return nil
	}
	for _, c := range left {
		a.say(hint.T("! %s %s", "! %s %s", c.What, c.Why))
	}
	switch {
	case len(left) > 0:
		a.say(hint.T("Foyer is gone, but for what is left above: look at it, and remove it if it is yours.", "Foyer est parti, sauf ce qui reste ci-dessus : examinez-le, et effacez-le s'il est à vous."))
	case !changed:
		a.say(hint.T("Foyer is not installed here; there was nothing to do.", "Foyer n'est pas installé ici ; il n'y avait rien à faire."))
	case purge:
		a.say(hint.T("Foyer and all its data are gone.", "Foyer et toutes ses données sont partis."))
	default:
		a.say(hint.T("Foyer is gone. Your data stays in %s; `foyer install` finds it again.", "Foyer est parti. Vos données restent dans %s ; `foyer install` les retrouvera.", s.Data))
	}
	return nil
}

// confirmUninstall asks; nothing but the right answer is a yes. Before a purge the server's name must be typed.
func confirmUninstall(ctx context.Context, a *app, purge bool, name string) error {
	if !a.onTerminal() && !a.plain {
		return hint.New("yes-needed", hint.T("Without a terminal nobody can be asked.", "Sans terminal, personne ne peut répondre."), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Add --yes.", "Ajoutez --yes.")).Exits(hint.ExitUsage)
	}
	want := "yes"
	if a.lang == hint.FR {
		want = "oui"
	}
	if purge {
		want = name
		a.say(hint.T("This removes Foyer and ALL ITS DATA. There is no way back. Type the server's name (%s) to go on:", "Ceci efface Foyer et TOUTES SES DONNÉES. Il n'y a pas de retour. Tapez le nom du serveur (%s) pour continuer :", want))
	} else {
		a.say(hint.T("This takes Foyer away and keeps its data. Type %s to go on:", "Ceci retire Foyer et garde ses données. Tapez %s pour continuer :", want))
	}
	typed, err := tui.ReadLine(ctx, bufio.NewReader(a.in))
	if err != nil {
		a.printf("\n") // after what the terminal shows of Ctrl-C
	}
	if err != nil || typed != want {
		return cancelled()
	}
	return nil
}
