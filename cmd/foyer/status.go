package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/control"
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
		a.printJSON(statusJSON(s))
		return nil
	}
	mark := map[report.Light]string{report.Green: "✓", report.Yellow: "!", report.Red: "✗"}[s.Light]
	a.printf("%s %s\n\n", mark, s.Sentence)
	row := func(name hint.Text, value string) {
		if value != "" {
			line(a.out, hint.Sprintf(a.lang, "  %-12s ", name)+value)
		}
	}
	row(hint.T("Address", "Adresse"), strings.Join(s.Addresses, "  "))
	var owner hint.Text
	switch claimed := ownedBy(s); {
	case claimed == nil:
		owner = hint.T("not known while the server does not answer", "inconnu tant que le serveur ne répond pas")
	case *claimed:
		owner = hint.T("yes", "oui")
	default:
		owner = hint.T("not yet: `sudo foyer claim` gives a code", "pas encore : `sudo foyer claim` donne un code")
	}
	row(hint.T("Owner", "Propriétaire"), owner.In(a.lang))
	if s.People > 0 {
		row(hint.T("People", "Personnes"), strconv.Itoa(s.People))
	}
	row(hint.T("Server", "Serveur"), hint.T("%s for %s, restarted %d times", "%s depuis %s, relancé %d fois", s.Server.Word(), report.Age(time.Since(s.Server.Since)), s.Server.Restarts).In(a.lang))
	row(hint.T("Trust", "Confiance"), strings.Join(s.Certificate.Words[a.lang], " "))
	row(hint.Text{}, s.Certificate.Fingerprint)
	row(hint.T("Data", "Données"), hint.T("%s (%s free)", "%s (%s libres)", s.Data.Path, report.Size(s.Data.Free)).In(a.lang))
	if s.Backup != nil {
		row(hint.T("Backup", "Sauvegarde"), s.Backup.Word(time.Now()).In(a.lang))
		row(hint.Text{}, s.Backup.ProvenWord(time.Now()).In(a.lang))
	}
	row(hint.T("Version", "Version"), s.Version)
	a.findings(s.Checks)
	return nil
}

// ownedBy reports whether the server has an owner; nil where nobody knows, since the server
// that would has not said so.
func ownedBy(s report.Status) *bool {
	if !s.Claimed && s.Server.State != "healthy" {
		return nil
	}
	return &s.Claimed
}

// statusJSON is a status in which what is not known is null.
func statusJSON(s report.Status) any {
	return struct {
		report.Status
		Claimed *bool `json:"claimed"`
	}{s, ownedBy(s)}
}
