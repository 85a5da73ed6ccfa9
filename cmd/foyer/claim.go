package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/control"
)

func (a *app) claimCmd() *cobra.Command {
	return &cobra.Command{
		Use: "claim", Args: usage(a, cobra.NoArgs),
		Short: hint.T("Make a new claim code for the first owner", "Donner un nouveau code au premier propriétaire").In(a.lang),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := control.Dial(a.runDir)
			made, err := c.NewClaim(cmd.Context())
			if err != nil {
				return err
			}
			s, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				a.printJSON(map[string]any{"claim": made.Code, "expires": made.Expires, "addresses": s.Addresses})
				return nil
			}
			for _, address := range s.Addresses {
				fmt.Fprintf(a.out, "  %sclaim\n", address)
			}
			a.say(hint.T("Code %s, good until %s. The code before no longer works.", "Code %s, valable jusqu'au %s. Le code précédent ne marche plus.",
				made.Code, made.Expires.Local().Format("2006-01-02 15:04")))
			return nil
		},
	}
}
