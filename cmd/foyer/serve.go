package main

import (
	"context"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server"
	"github.com/foyer-server/foyer/supervisor/control"
)

// serveCmd is the server itself. The supervisor starts it, lends it its listeners
// and keeps its standard input open: when that ends, so does the server.
func (a *app) serveCmd() *cobra.Command {
	var plainHTTP bool
	cmd := &cobra.Command{
		Use: "serve", Hidden: true, Args: usage(a, cobra.NoArgs),
		Short: hint.T("The server; started by the supervisor", "Le serveur ; lancé par le superviseur").In(a.lang),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := host.NoCoreFiles(); err != nil {
				return err
			}
			s, err := a.loadSettings(cmd.Context(), a.environ)
			if err != nil {
				return err
			}
			listeners, err := host.Inherited(nil)
			if err != nil {
				return err
			}
			if len(listeners) == 0 {
				return hint.New("usage", hint.T("The server is started by its supervisor, not by hand.", "Le serveur est lancé par son superviseur, pas à la main."), hint.Text{},
					hint.T("Use `foyer try` to run everything in the foreground.", "Utilisez `foyer try` pour tout lancer au premier plan.")).Exits(hint.ExitUsage)
			}
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			go func() { // ends with the process, when the supervisor lets go
				io.Copy(io.Discard, a.in) //nolint:errcheck // an error is an end, too
				cancel()
			}()
			kept := tuneMemory()
			defer runtime.KeepAlive(kept)
			log := a.logger(a.err)
			for _, n := range s.Notices() {
				log.Warn("a setting was passed over", "source", n.Source, "setting", n.Key, "why", n.Why.In(hint.EN))
			}
			return server.Run(ctx, server.Config{Settings: s, Listeners: listeners, PlainHTTP: plainHTTP, Version: version, Log: log, Appliance: control.Dial(a.runDir), Safe: a.getenv(report.SafeEnv) == "1"})
		},
	}
	cmd.Flags().BoolVar(&plainHTTP, "plain-http", false, "")
	return cmd
}

// A server's live heap is a few megabytes, and collecting each time that doubles
// costs a third of all requests. So the collector is told of memory that is never
// touched, and never resident: it collects after so many bytes more, however little
// is alive, and at twice of what is alive when that is much. A quarter of the
// machine's memory is the bound.
const (
	ballast   = 32 << 20
	heapLeast = 128 << 20
)

// tuneMemory sets that, unless whoever runs the server has (GOGC, GOMEMLIMIT). What
// it returns has to be kept alive.
func tuneMemory() []byte {
	if total := host.Memory(); total > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(max(heapLeast, total/4) + ballast)
	}
	if os.Getenv("GOGC") != "" {
		return nil
	}
	return make([]byte, ballast)
}
