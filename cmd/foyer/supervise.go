package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/cmd/foyer/appliance"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/supervisor"
	"github.com/foyer-server/foyer/supervisor/service"
)

// superviseCmd keeps the server alive, under the service manager.
func (a *app) superviseCmd() *cobra.Command {
	return &cobra.Command{
		Use: "supervise", Hidden: true, Args: usage(a, cobra.NoArgs),
		Short: hint.T("Keep the server alive; started by the service manager", "Garder le serveur en vie ; lancé par le gestionnaire de services").In(a.lang),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return service.Run(cmd.Context(), func(ctx context.Context) error { return supervise(ctx, a) })
		},
	}
}

func supervise(ctx context.Context, a *app) error {
	if err := host.NoCoreFiles(); err != nil {
		return err
	}
	s, err := a.loadSettings(ctx, a.environ)
	if err != nil {
		return err
	}
	journal := supervisor.NewJournal(a.err)
	sv, err := a.appliance(s).Installed(appliance.Process{
		Args: []string{"serve", "--settings", a.settings}, Journal: journal, Log: a.logger(journal),
	})
	if err != nil {
		return err
	}
	return sv.Run(ctx)
}

// appliance is the Foyer with these settings.
func (a *app) appliance(s *config.Settings) appliance.Appliance {
	return appliance.Appliance{Settings: s, RunDir: a.runDir, Version: version, Built: builtAt()}
}
