package main

import (
	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor"
)

// checkCmd has the database checked, and shows how that goes.
func (a *app) checkCmd() *cobra.Command {
	var full bool
	cmd := &cobra.Command{
		Use: "check", Args: usage(a, cobra.NoArgs),
		Short: hint.T("Check the database, while it is in use", "Vérifier la base de données, pendant qu'elle sert").In(a.lang),
		RunE: func(cmd *cobra.Command, _ []string) error {
			how := "quick"
			if full {
				how = "full"
			}
			_, err := a.doJob(cmd.Context(), supervisor.JobCheck, map[string]string{"how": how})
			return err
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, hint.T("read every object and attached file, too; this takes a while", "lire aussi chaque objet et chaque fichier joint ; cela prend un moment").In(a.lang))
	return cmd
}
