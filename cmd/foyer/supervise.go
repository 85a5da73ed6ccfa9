package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/site"
	"github.com/foyer-server/foyer/server"
	"github.com/foyer-server/foyer/supervisor"
	"github.com/foyer-server/foyer/supervisor/helper"
	"github.com/foyer-server/foyer/supervisor/service"
	"github.com/foyer-server/foyer/supervisor/visit"
)

// superviseCmd keeps the server alive, under the service manager.
func (a *app) superviseCmd() *cobra.Command {
	return &cobra.Command{
		Use: "supervise", Hidden: true, Args: usage(a, cobra.NoArgs),
		Short: hint.T("Keep the server alive; started by the service manager", "Garder le serveur en vie ; lancé par le gestionnaire de services").In(a.lang),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return service.Run(cmd.Context(), a.supervise)
		},
	}
}

func (a *app) supervise(ctx context.Context) error {
	if err := host.NoCoreFiles(); err != nil {
		return err
	}
	s, err := a.loadSettings(ctx, a.environ)
	if err != nil {
		return err
	}
	listeners, err := host.Inherited(naming(s))
	if err != nil {
		return err
	}
	listeners = known(listeners)
	if len(listeners) == 0 { // no service manager that holds sockets
		if listeners, err = bind(s); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(a.runDir, 0o755); err != nil {
		return fmt.Errorf("cannot make the folder for sockets: %w", err)
	}
	journal := supervisor.NewJournal(a.err)
	sv, err := a.supervisorFor(s, listeners, journal, []string{"serve", "--settings", a.settings}, nil, a.found(s, journal)...)
	if err != nil {
		return err
	}
	return sv.Run(ctx)
}

// naming tells inherited listeners apart. Where a proxy ends TLS the one at
// proxy.listen has a use and no other one: what a service manager still holds from
// before would answer everybody without encryption.
func naming(s *config.Settings) func(net.Addr) string {
	if !site.Of(s).BehindProxy() {
		return host.ByPort(s.HTTPSPort)
	}
	want := site.Of(s).Front()
	return func(a net.Addr) string {
		tcp, ok := a.(*net.TCPAddr)
		switch {
		case !ok:
			return host.Local
		case netip.AddrPortFrom(tcp.AddrPort().Addr().Unmap(), tcp.AddrPort().Port()) == netip.AddrPortFrom(want.Addr().Unmap(), want.Port()):
			return host.Front
		}
		return ""
	}
}

// known closes the listeners that have no name, hence no use.
func known(ls []host.Listener) []host.Listener {
	return slices.DeleteFunc(ls, func(l host.Listener) bool {
		if l.Name == "" {
			l.Close()
		}
		return l.Name == ""
	})
}

// supervisorFor wires a supervisor for settings s; args and env are for the
// server's process, rooms are run beside it.
func (a *app) supervisorFor(s *config.Settings, ls []host.Listener, journal *supervisor.Journal, args, env []string, rooms ...supervisor.Room) (*supervisor.Supervisor, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find this program's file: %w", err)
	}
	log := a.logger(journal)
	return supervisor.New(supervisor.Config{
		Serve: func() *exec.Cmd {
			cmd := exec.Command(exe, args...)
			cmd.Env = append(append(os.Environ(), "FOYER_RUN="+a.runDir), env...)
			return cmd
		},
		Listeners: ls, RunDir: a.runDir, DataDir: s.Data, Version: version, Built: builtAt(),
		Addresses: func() []string { return site.Of(s).Addresses() },
		Doors:     doors(s, ls), Rooms: append([]supervisor.Room{supervisor.Looks(machineChecks(s.Data))}, rooms...),
		Parts: supportParts(s), PeoplesDomains: []string{s.Certificates.Members},
		Journal: journal, Log: log, Notify: service.Notify,
		Root: helper.FromEnvironment(os.Getenv),
		// A folder for state is made by a service manager, for a user of Foyer's own.
		Apart: os.Getenv("STATE_DIRECTORY") != "" && os.Geteuid() != 0,
		Prove: func(ctx context.Context, cookie string) (string, time.Time, error) {
			return server.Prove(ctx, s, cookie, log)
		},
	}), nil
}

// doors are the public ports, and how the supervisor calls there from this machine
// itself, trusting only the home CA.
func doors(s *config.Settings, ls []host.Listener) []supervisor.Door {
	var out []supervisor.Door
	for _, l := range ls {
		if address := l.Addr().String(); l.Name != host.Local {
			out = append(out, supervisor.Door{Address: address, Visit: visit.Of(s, address, l.Name == host.HTTPS).Visit})
		}
	}
	return out
}

// bind opens the public ports where nobody handed them down.
func bind(s *config.Settings) ([]host.Listener, error) {
	if place := site.Of(s); place.BehindProxy() {
		l, err := host.Listen(host.Front, "tcp", s.Proxy.Listen)
		if err != nil {
			return nil, host.PortTaken(int(place.Front().Port()), err)
		}
		return []host.Listener{l}, nil
	}
	var ls []host.Listener
	for _, want := range []struct {
		name string
		port int
	}{{host.HTTP, s.HTTPPort}, {host.HTTPS, s.HTTPSPort}} {
		l, err := host.Listen(want.name, "tcp", net.JoinHostPort("", strconv.Itoa(want.port)))
		if err != nil {
			host.Close(ls)
			return nil, host.PortTaken(want.port, err)
		}
		ls = append(ls, l)
	}
	return ls, nil
}

// runDirFor returns a folder for sockets whose path is short enough for them.
func runDirFor(data string) (dir string, remove func(), err error) {
	if dir := filepath.Join(data, "run"); len(dir) < 80 { // sun_path holds 108 bytes, unix(7)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", nil, fmt.Errorf("cannot make the folder for sockets: %w", err)
		}
		return dir, func() {}, nil
	}
	dir, err = os.MkdirTemp("", "foyer-run-")
	if err != nil {
		return "", nil, fmt.Errorf("cannot make the folder for sockets: %w", err)
	}
	return dir, func() { os.RemoveAll(dir) }, nil //nolint:errcheck // a temporary folder
}
