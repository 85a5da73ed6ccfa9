// Package appliance makes a whole Foyer of its settings: the supervisor, the ports it
// holds, the rooms that work beside the server as the settings want them, and what they
// ask of each other. It is what the commands that run, examine or plan a Foyer stand on,
// and the one place, beside package main, where server and supervisor are both known.
//
// It hides how the rooms are wired, which of them there are, who asks whom what, and how
// visitors from outside are tried where no server runs. It writes to no terminal and reads
// no flags: what people are to be told comes back as findings and sentences.
//
// Used by the commands supervise, try, doctor and install.
package appliance

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"time"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/internal/site"
	"github.com/foyer-server/foyer/server"
	"github.com/foyer-server/foyer/supervisor"
	"github.com/foyer-server/foyer/supervisor/backup/routine"
	"github.com/foyer-server/foyer/supervisor/helper"
	"github.com/foyer-server/foyer/supervisor/service"
)

// Appliance is one Foyer on this machine. All fields are needed.
type Appliance struct {
	Settings *config.Settings
	RunDir   string    // of its sockets
	Version  string    // of this program
	Built    time.Time // of this version; the clock is not believed to be earlier
}

// Process is how the server's own process is started, and where is written what it and its
// supervisor do. All fields are needed unless said otherwise.
type Process struct {
	Args    []string // after the name of this program, which it runs
	Environ []string // beside that of this process; may be empty
	Journal *supervisor.Journal
	Log     *slog.Logger
}

// Installed is the supervisor of a Foyer that a service manager runs: with the listeners
// that were handed to this process, or else those of the settings, which it opens, and
// with the rooms by which it is found. It closes the listeners when it ends.
func (a Appliance) Installed(p Process) (*supervisor.Supervisor, error) {
	listeners, err := host.Inherited(naming(a.Settings))
	if err != nil {
		return nil, err
	}
	listeners = known(listeners)
	if len(listeners) == 0 { // no service manager that holds sockets
		if listeners, err = bind(a.Settings); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(a.RunDir, 0o755); err != nil {
		host.Close(listeners)
		return nil, fmt.Errorf("cannot make the folder for sockets: %w", err)
	}
	var sv *supervisor.Supervisor
	updates := a.osUpdates(p.Log, func(ctx context.Context) report.Status { return sv.Status(ctx) }) // which runs once sv does
	sv, err = a.supervisor(p, listeners, changes{a, config.SystemFile, publicAddress}, a.backups(p), append(a.found(p.Log), updates)...)
	return sv, err
}

// Trial is the supervisor of a Foyer that answers on l alone and that nobody looks for:
// it announces nothing, and changes nothing outside its data folder. It closes l when it
// ends.
func (a Appliance) Trial(p Process, l host.Listener) (*supervisor.Supervisor, error) {
	return a.supervisor(p, []host.Listener{l}, nil, nil)
}

// supervisor wires one, with rooms beside those that every Foyer has, with what tells of other
// answers, and with the backup; nil: nothing does, and none is made. With an error the listeners are
// closed.
func (a Appliance) supervisor(p Process, ls []host.Listener, ch supervisor.Changes, b *routine.Routine, rooms ...supervisor.Room) (*supervisor.Supervisor, error) {
	exe, err := os.Executable()
	if err != nil {
		host.Close(ls)
		return nil, fmt.Errorf("cannot find this program's file: %w", err)
	}
	s := a.Settings
	cfg := supervisor.Config{
		Serve: func() *exec.Cmd {
			cmd := exec.Command(exe, p.Args...)
			cmd.Env = append(append(os.Environ(), "FOYER_RUN="+a.RunDir), p.Environ...)
			return cmd
		},
		Listeners: ls, RunDir: a.RunDir, DataDir: s.Data, Version: a.Version, Built: a.Built,
		Addresses: site.Of(s).Addresses,
		Doors:     doors(s, ls), Rooms: append([]supervisor.Room{supervisor.Looks(machineChecks(s.Data))}, rooms...),
		Parts: supportParts(s), PeoplesDomains: []string{s.Certificates.Members},
		Journal: p.Journal, Log: p.Log, Notify: service.Notify,
		Root: helper.FromEnvironment(os.Getenv), Changes: ch,
		// A folder for state is made by a service manager, for a user of Foyer's own.
		Apart: os.Getenv("STATE_DIRECTORY") != "" && os.Geteuid() != 0,
		Prove: func(ctx context.Context, cookie string) (string, time.Time, error) {
			return server.Prove(ctx, s, cookie, p.Log)
		},
	}
	if s.Database == "" {
		cfg.Resume = resume(ServedBy(s.Data, supervisor.StateDir(os.Getenv)))
	}
	if b != nil {
		cfg.Backups, cfg.Jobs, cfg.Rooms = b, b.Kinds(), append(cfg.Rooms, b)
	}
	return supervisor.New(cfg), nil
}
