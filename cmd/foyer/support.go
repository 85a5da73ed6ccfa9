package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor"
)

// supportCmd has a support bundle made, and says where it is.
func (a *app) supportCmd() *cobra.Command {
	return &cobra.Command{
		Use: "support", Args: usage(a, cobra.NoArgs),
		Short: hint.T("Make a support bundle: one file for whoever helps you; no secrets, no data", "Faire un dossier d'assistance : un fichier pour qui vous aide ; ni secrets, ni données").In(a.lang),
		RunE: func(cmd *cobra.Command, _ []string) error {
			last, err := a.doJob(cmd.Context(), supervisor.JobBundle, nil)
			if err != nil || a.json {
				return err
			}
			var made report.Bundle
			if err := json.Unmarshal(last.Result, &made); err != nil {
				return fmt.Errorf("cannot read the result of the job: %w", err)
			}
			made = hint.Clean(made)
			a.say(hint.T("\nThe support bundle is %s (%s).", "\nLe dossier d'assistance est %s (%s).", made.Path, report.Size(uint64(made.Bytes))))
			a.say(hint.T("Passwords, codes, keys, names and addresses were taken out; look into it before you send it to anybody.", "Mots de passe, codes, clés, noms et adresses en ont été retirés ; regardez-le avant de l'envoyer à quelqu'un."))
			return nil
		},
	}
}
