package main

import (
	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/control"
)

func (a *app) claimCmd() *cobra.Command {
	reset := false
	cmd := &cobra.Command{
		Use: "claim", Args: usage(a, cobra.NoArgs),
		Short: hint.T("Make a new code: for the first owner, or for an owner who forgot their password", "Donner un nouveau code : au premier propriétaire, ou à celui qui a oublié son mot de passe").In(a.lang),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := control.Dial(a.runDir)
			ask, page := c.NewClaim, "claim"
			if reset {
				ask, page = c.NewReset, "reset"
			}
			made, err := ask(cmd.Context())
			if err != nil {
				return err
			}
			s, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				a.printJSON(map[string]any{page: made.Code, "expires": made.Expires, "addresses": s.Addresses})
				return nil
			}
			for _, address := range s.Addresses {
				a.printf("  %s%s\n", address, page)
			}
			a.say(hint.T("Code %s, good until %s. The code before no longer works.", "Code %s, valable jusqu'au %s. Le code précédent ne marche plus.",
				made.Code, made.Expires.Local().Format("2006-01-02 15:04")))
			if reset {
				a.say(hint.T("Type it there and choose a new password. Your data stays as it is.", "Tapez-le là et choisissez un nouveau mot de passe. Vos données restent comme elles sont."))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&reset, "reset", false, hint.T("for the owner who forgot their password; no data is touched", "pour le propriétaire qui a oublié son mot de passe ; aucune donnée n'est touchée").In(a.lang))
	return cmd
}
