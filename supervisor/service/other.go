package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/kardianos/service"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
)

// installOther registers with a manager that is not systemd. A unit left half
// written by a crash, or of an older version, is taken away first.
func (s *Service) installOther(_ context.Context, kept []string) error {
	st, err := s.stateOther()
	if err != nil {
		return err
	}
	files := s.Units()
	for _, f := range files {
		if slices.Contains(kept, f.Path) {
			return nil
		}
		if err := atomicfile.Remove(f.Path); err != nil {
			return fmt.Errorf("cannot renew %s: %w", f.Path, err)
		}
	}
	if len(files) == 0 && st.Installed {
		return nil
	}
	if err := s.cfg.Register.Install(); err != nil {
		return fmt.Errorf("cannot register the service: %w", err)
	}
	return syncFiles(files)
}

func (s *Service) uninstallOther(ctx context.Context) error {
	if st, err := s.stateOther(); err != nil || !st.Installed {
		return err
	}
	if err := s.Stop(ctx); err != nil {
		return err
	}
	if err := s.cfg.Register.Uninstall(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot take the service away: %w", err)
	}
	for _, f := range s.Units() {
		if err := atomicfile.Remove(f.Path); err != nil {
			return err
		}
	}
	if s.cfg.Manager == host.OpenRC {
		return s.removeState()
	}
	return nil
}

// stateOther is as much as kardianos/service can tell.
func (s *Service) stateOther() (State, error) {
	for _, f := range s.Units() {
		if _, err := os.Stat(f.Path); errors.Is(err, fs.ErrNotExist) {
			return State{Active: "inactive"}, nil
		}
	}
	svc, err := kardianos{s.cfg}.service()
	if err != nil {
		return State{}, hint.New("no-service-manager",
			hint.T("Nothing on this machine starts programs by itself that Foyer knows how to use.", "Rien sur cette machine ne démarre de programmes d'une façon que Foyer connaisse."), hint.Text{},
			hint.T("`foyer try` runs everything in the foreground.", "`foyer try` lance tout au premier plan.")).Because(err)
	}
	status, err := svc.Status()
	st := State{Installed: true, Enabled: true}
	switch {
	case errors.Is(err, service.ErrNotInstalled):
		return State{Active: "inactive"}, nil
	case status == service.StatusRunning:
		st.Active = "active"
	case status == service.StatusStopped:
		st.Active = "inactive"
	}
	return st, nil
}

// syncFiles makes files that somebody else wrote durable, with the right mode.
func syncFiles(files []File) error {
	for _, f := range files {
		if err := os.Chmod(f.Path, fs.FileMode(f.Mode)); err != nil {
			return err
		}
		if err := atomicfile.SyncFile(f.Path); err != nil {
			return err
		}
		if err := atomicfile.SyncDir(filepath.Dir(f.Path)); err != nil {
			return err
		}
	}
	return nil
}
