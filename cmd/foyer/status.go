package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/health"
)

func (a *app) statusCmd() *cobra.Command {
	return &cobra.Command{
		Use: "status", Args: usage(a, cobra.NoArgs),
		Short: hint.T("How this Foyer is", "Comment va ce Foyer").In(a.lang),
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.status(cmd.Context()) },
	}
}

func (a *app) status(ctx context.Context) error {
	s, err := control.Dial(a.runDir).Status(ctx)
	if err != nil {
		return err
	}
	if a.json {
		a.printJSON(s)
		return nil
	}
	mark := map[control.Light]string{control.Green: "✓", control.Yellow: "!", control.Red: "✗"}[s.Light]
	fmt.Fprintf(a.out, "%s %s\n\n", mark, s.Sentence.In(a.lang))
	row := func(name hint.Text, value string) {
		if value != "" {
			fmt.Fprintf(a.out, "  %-12s %s\n", name.In(a.lang), value)
		}
	}
	row(hint.T("Address", "Adresse"), strings.Join(s.Addresses, "  "))
	owner := hint.T("yes", "oui")
	if !s.Claimed {
		owner = hint.T("not yet: `sudo foyer claim` gives a code", "pas encore : `sudo foyer claim` donne un code")
	}
	row(hint.T("Owner", "Propriétaire"), owner.In(a.lang))
	row(hint.T("Server", "Serveur"), hint.T("%s for %s, restarted %d times", "%s depuis %s, relancé %d fois", serverState(s.Server.State), since(s.Server.Since), s.Server.Restarts).In(a.lang))
	row(hint.T("Trust", "Confiance"), strings.Join(s.Certificate.Words[string(a.lang)], " "))
	row(hint.Text{}, s.Certificate.Fingerprint)
	row(hint.T("Data", "Données"), hint.T("%s (%s free)", "%s (%s libres)", s.Data.Path, health.Size(s.Data.Free)).In(a.lang))
	row(hint.T("Version", "Version"), s.Version)
	a.findings(s.Checks)
	return nil
}

// findings prints those that want attention, each with what it means, what was
// done and what to do.
func (a *app) findings(rs []health.Result) {
	for _, r := range rs {
		if r.Severity == health.OK {
			continue
		}
		fmt.Fprintf(a.out, "\n%s %s: %s [%s]\n", severityMark(r.Severity), r.Title.In(a.lang), r.What.In(a.lang), r.Code)
		for _, t := range []hint.Text{r.Did, r.Do} {
			if !t.IsZero() {
				fmt.Fprintf(a.out, "  %s\n", t.In(a.lang))
			}
		}
	}
}

func severityMark(s health.Severity) string { return [...]string{"✓", "·", "!", "✗"}[s] }

func serverState(state string) hint.Text {
	switch state {
	case "healthy":
		return hint.T("well", "en forme")
	case "starting":
		return hint.T("starting", "en démarrage")
	case "restarting":
		return hint.T("restarting", "en redémarrage")
	case "crash-loop":
		return hint.T("keeps stopping", "s'arrête sans cesse")
	}
	return hint.T("does not answer", "ne répond pas")
}

// since is how long ago t was, as people say it.
func since(t time.Time) hint.Text {
	d := time.Since(t)
	switch {
	case t.IsZero():
		return hint.T("a moment", "un instant")
	case d < 2*time.Minute:
		return hint.T("%d seconds", "%d secondes", int(d.Seconds()))
	case d < 2*time.Hour:
		return hint.T("%d minutes", "%d minutes", int(d.Minutes()))
	case d < 48*time.Hour:
		return hint.T("%d hours", "%d heures", int(d.Hours()))
	}
	return hint.T("%d days", "%d jours", int(d.Hours()/24))
}
