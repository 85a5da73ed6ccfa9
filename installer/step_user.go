package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/step"
)

// userStep makes the system account and group the service runs as: no password,
// no shell, its home the data folder. One of that name that is there already is
// used as it is, and stays.
type userStep struct{ m *machine }

func (userStep) ID() string { return "user" }

// Title implements step.Step.
func (userStep) Title() hint.Text {
	return hint.T("An account of its own", "Un compte à part")
}

func (s userStep) Check(ctx context.Context) ([]step.Change, error) {
	var out []step.Change
	_, group, err := host.LookupGroup(ctx, s.m.cfg.Runner, s.m.cfg.Root, config.SystemUser)
	if err != nil {
		return nil, err
	}
	if !group {
		out = append(out, step.Change{Op: step.Made, Kind: step.KindGroup, What: config.SystemUser, Stays: true, Why: hint.T("the group of that account", "le groupe de ce compte")})
	}
	_, user, err := s.m.cfg.Facts.User(ctx, config.SystemUser)
	if err != nil {
		return nil, err
	}
	if !user {
		out = append(out, step.Change{Op: step.Made, Kind: step.KindUser, What: config.SystemUser, Stays: true, Why: hint.T(
			"Foyer runs as this account, which can do nothing else and nobody can log in to", "Foyer tourne sous ce compte, qui ne peut rien d'autre et où personne ne peut se connecter")})
	}
	return out, nil
}

func (s userStep) Apply(ctx context.Context) error {
	changes, err := s.Check(ctx)
	if err != nil {
		return err
	}
	for _, c := range changes {
		// The tools of shadow-utils, else those of busybox.
		commands := [][]string{{"groupadd", "--system", c.What}, {"addgroup", "-S", c.What}}
		if c.Kind == step.KindUser {
			commands = [][]string{
				{"useradd", "--system", "--gid", c.What, "--home-dir", s.m.settings.Data, "--no-create-home", "--no-log-init", "--shell", s.noLogin(), "--comment", "Foyer", c.What},
				{"adduser", "-S", "-D", "-H", "-h", s.m.settings.Data, "-s", s.noLogin(), "-G", c.What, "-g", "Foyer", c.What},
			}
		}
		if err := s.first(ctx, commands); err != nil {
			return fmt.Errorf("cannot make the %s %s: %w", c.Kind, c.What, err)
		}
	}
	return nil
}

// noLogin is the shell that lets nobody in.
func (s userStep) noLogin() string {
	for _, shell := range []string{"/usr/sbin/nologin", "/sbin/nologin"} {
		if _, err := os.Stat(s.m.path(shell)); err == nil {
			return shell
		}
	}
	return "/bin/false"
}

// first runs the first of the commands that this machine has.
func (s userStep) first(ctx context.Context, commands [][]string) (err error) {
	for _, c := range commands {
		if _, err = s.m.cfg.Runner.Run(ctx, c[0], c[1:]...); !errors.Is(err, exec.ErrNotFound) {
			return err
		}
	}
	return err
}

func (s userStep) Undo(ctx context.Context, made []step.Change, _ bool) error {
	for _, c := range slices.Backward(made) { // the account before its group
		var there bool
		var err error
		commands := [][]string{{"groupdel", c.What}, {"delgroup", c.What}}
		if c.Kind == step.KindUser {
			commands = [][]string{{"userdel", c.What}, {"deluser", c.What}}
			_, there, err = s.m.cfg.Facts.User(ctx, c.What)
		} else {
			_, there, err = host.LookupGroup(ctx, s.m.cfg.Runner, s.m.cfg.Root, c.What)
		}
		if err == nil && there { // userdel takes the group along, most often
			err = s.first(ctx, commands)
		}
		if err != nil {
			return fmt.Errorf("cannot remove the %s %s: %w", c.Kind, c.What, err)
		}
	}
	return nil
}
