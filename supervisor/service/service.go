// Package service registers Foyer with the service manager of the operating
// system and runs it under it.
//
// Registering, starting and running go through github.com/kardianos/service. On
// systemd the unit is ours word for word, hardened, with a socket unit beside it
// that owns the public ports: they stay open across every restart, and the
// service needs no capability. What that library does not do is done here: an
// Install that can be repeated and survives a power cut, socket units, the real
// state from `systemctl show`, sd_notify and the watchdog.
//
// Threat model: whoever takes over the service may do what user foyer may do with
// the data folder and the network, and nothing else: no capability, no other
// folder to write to, not its own program, no other process to see.
//
// Used by the installer (as root) and by `foyer supervise` (as user foyer).
package service

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"time"

	"github.com/kardianos/service"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
)

// Name is what the service manager calls Foyer: the units are NAME.service and
// NAME.socket.
const Name = "foyer"

// Config says what to register. The zero value of a field is its default unless
// said otherwise.
type Config struct {
	Manager    string // as host.ServiceManager names it; "" = that of this machine
	Root       string // prefix of every path, for tests; "" or "/" = this machine
	Executable string // program the service runs, a path that stays the same across versions; needed
	User       string // and group it runs as; needed
	DataDir    string // the one folder it may write; needed
	HTTPPort   int    // needed
	HTTPSPort  int    // needed
	Listen     string // ADDRESS:PORT to hold instead of these two; "" = these two
	BackupDir  string // folder that backups go to; "" = none
	Runner     host.Runner
	// Register writes the unit where the service manager looks for it and enables
	// it. nil = kardianos/service; tests that have no service manager bring their own.
	Register Registrar
}

// Registrar is the part of kardianos/service that a test replaces. Neither method
// can be repeated: Install fails when there is a unit, Uninstall when there is none.
type Registrar interface {
	Install() error
	Uninstall() error
}

// File is a file of the service manager that is ours.
type File struct {
	Path string // with Root
	Text string
	Mode uint32
	Why  hint.Text
}

// State is how the service is, in the service manager's own words.
type State struct {
	Installed   bool
	Enabled     bool      // starts at boot, with its socket
	Masked      bool      // somebody has forbidden to start it
	Active      string    // "active", "activating", "failed", "inactive", …; "" = not known
	Sub         string    // "running", "auto-restart", …
	Result      string    // "success", "exit-code", "watchdog", …
	Restarts    int       // automatic ones
	PID         int       // main process; 0 = none
	Since       time.Time // start of the main process; zero = none
	NeedsReload bool      // the service manager has not read the newest unit yet
}

// Running reports whether the service is up or on its way up.
func (s State) Running() bool { return s.Active == "active" || s.Active == "activating" }

// Service is Foyer as the service manager knows it. Its methods may be repeated,
// and after a crash in the middle of any of them it is repeated to the end.
type Service struct {
	cfg Config
}

// New returns the service that cfg describes. Nothing is done yet.
func New(cfg Config) *Service {
	if cfg.Manager == "" {
		cfg.Manager = host.ServiceManager()
	}
	if cfg.Runner == nil {
		cfg.Runner = host.Exec{}
	}
	if cfg.Root == "" {
		cfg.Root = "/"
	}
	if cfg.Register == nil {
		cfg.Register = kardianos{cfg}
	}
	return &Service{cfg}
}

// Manager names the service manager, as host.ServiceManager does.
func (s *Service) Manager() string { return s.cfg.Manager }

// Supported reports whether the service manager is one Foyer can be registered with.
func (s *Service) Supported() bool { return s.cfg.Manager != "" }

// Units returns the files this package writes for the service manager. On
// managers other than systemd and OpenRC kardianos/service writes its own file
// and the list is empty.
func (s *Service) Units() []File { return Units(s.cfg) }

// Install registers the service and enables it, without starting it. Units whose
// path is among kept are left as they are. On systemd the files and folders are
// on disk when it returns.
func (s *Service) Install(ctx context.Context, kept ...string) error {
	if s.cfg.Manager == host.Systemd {
		return s.installSystemd(ctx, kept)
	}
	return s.installOther(ctx, kept)
}

// Uninstall stops the service, if need be, and takes it away.
func (s *Service) Uninstall(ctx context.Context) error {
	if s.cfg.Manager == host.Systemd {
		return s.uninstallSystemd(ctx)
	}
	return s.uninstallOther(ctx)
}

// Start starts the service and, on systemd, its socket. It does not wait until
// the service serves.
func (s *Service) Start(ctx context.Context) error {
	if s.cfg.Manager == host.Systemd {
		return s.systemctl(ctx, "start", "--no-block", Name+".socket", Name+".service")
	}
	return s.control("start")
}

// Stop stops the service and waits until it has ended. One that is not there or
// not running is no error.
func (s *Service) Stop(ctx context.Context) error {
	if s.cfg.Manager == host.Systemd {
		return s.stopSystemd(ctx)
	}
	if st, err := s.State(ctx); err != nil || !st.Installed || st.Active == "inactive" {
		return err
	}
	return s.control("stop")
}

// Pause stops the service until it is started again, and waits until it has ended. On systemd the
// public ports stay open: who connects meanwhile waits, and has it started.
func (s *Service) Pause(ctx context.Context) error {
	if s.cfg.Manager != host.Systemd {
		return s.Stop(ctx)
	}
	return s.systemctl(ctx, "stop", Name+".service")
}

// Restart starts the service anew. With sockets, the public ports are closed and
// opened again too, which is needed only when they have changed; without, on
// systemd, they stay open meanwhile.
func (s *Service) Restart(ctx context.Context, sockets bool) error {
	switch {
	case s.cfg.Manager != host.Systemd:
		return s.control("restart")
	case sockets:
		if err := s.Stop(ctx); err != nil {
			return err
		}
		return s.Start(ctx)
	}
	return s.systemctl(ctx, "restart", "--no-block", Name+".service")
}

// State asks the service manager how the service is. A service that is not
// installed is no error.
func (s *Service) State(ctx context.Context) (State, error) {
	if s.cfg.Manager != host.Systemd {
		return s.stateOther()
	}
	st, err := s.stateSystemd(ctx, Name+".service")
	if err != nil {
		return State{}, err
	}
	socket, err := s.stateSystemd(ctx, Name+".socket")
	st.Enabled = st.Enabled && socket.Enabled
	st.NeedsReload = st.NeedsReload || socket.NeedsReload
	return st, err
}

// Listens reports whether the socket unit is what holds the TCP port open. Where
// there are no socket units it is false.
func (s *Service) Listens(ctx context.Context, port int) bool {
	return s.cfg.Manager == host.Systemd && s.listensSystemd(ctx, port)
}

// StartedBefore reports whether the service, or its socket when sockets is set,
// was last started before t, which is when its unit was last written: it then
// does not run as the unit says. One that does not run was not.
func (s *Service) StartedBefore(ctx context.Context, t time.Time, sockets bool) (bool, error) {
	if s.cfg.Manager != host.Systemd {
		return false, nil
	}
	unit := Name + ".service"
	if sockets {
		unit = Name + ".socket"
	}
	st, err := s.stateSystemd(ctx, unit)
	if err != nil || st.Since.IsZero() {
		return false, err
	}
	if second := t.Truncate(time.Second); !st.Since.Equal(second) {
		return st.Since.Before(second), nil
	}
	began, err := s.beganSystemd(ctx, unit) // it was written in the second of the start
	return err == nil && !began.IsZero() && began.Before(t), err
}

// path is p under Root.
func (s *Service) path(p string) string { return filepath.Join(s.cfg.Root, p) }

// kardianos makes the library's idea of this service.
type kardianos struct{ cfg Config }

func (k kardianos) Install() error {
	svc, err := k.service()
	if err != nil {
		return err
	}
	return svc.Install()
}

func (k kardianos) Uninstall() error {
	svc, err := k.service()
	if err != nil {
		return err
	}
	return svc.Uninstall()
}

func (k kardianos) service() (service.Service, error) {
	opts := service.KeyValue{}
	for _, f := range Units(k.cfg) {
		switch filepath.Base(f.Path) {
		case Name + ".service":
			opts["SystemdScript"] = f.Text
		case Name:
			opts["OpenRCScript"] = f.Text
		}
	}
	maps.Copy(opts, options())
	return service.New(idle{}, &service.Config{
		Name: Name, DisplayName: "Foyer", Description: "Foyer, a personal storage server",
		Executable: k.cfg.Executable, Arguments: []string{"supervise"}, UserName: account(k.cfg.User), Option: opts,
	})
}

// control starts, stops or restarts through kardianos/service.
func (s *Service) control(action string) error {
	svc, err := kardianos{s.cfg}.service()
	if err != nil {
		return fmt.Errorf("cannot %s the service: %w", action, err)
	}
	if err := service.Control(svc, action); err != nil {
		return fmt.Errorf("cannot %s the service: %w", action, err)
	}
	return nil
}

// idle is a service.Interface for calls that do not run anything.
type idle struct{}

func (idle) Start(service.Service) error { return nil }
func (idle) Stop(service.Service) error  { return nil }
