package installer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/step"
	"github.com/foyer-server/foyer/supervisor/service"
	"github.com/foyer-server/foyer/supervisor/update"
)

// startStep has the service run the current version, as its units say.
type startStep struct{ m *machine }

func (startStep) ID() string { return "start" }

// Title implements step.Step.
func (startStep) Title() hint.Text {
	return hint.T("Start", "Mise en marche")
}

// what there is to do about the service.
type need int

const (
	needNothing need = iota
	needStart
	needRestart // another version runs, the unit has changed, or what the server could not use was given back
	needSockets // the ports have changed, too
)

func (s startStep) need(ctx context.Context) (need, error) {
	st, err := s.m.service.State(ctx)
	if err != nil {
		return 0, err
	}
	if !st.Running() {
		return needStart, nil
	}
	for _, u := range s.m.service.Units() {
		fi, err := os.Stat(u.Path)
		if err != nil || strings.HasPrefix(filepath.Base(u.Path), service.HelperName) {
			continue // not written yet: the plan of a repair; or the service does not run by it
		}
		sockets := filepath.Ext(u.Path) == ".socket"
		before, err := s.m.service.StartedBefore(ctx, fi.ModTime(), sockets)
		if err != nil {
			return 0, err
		}
		switch {
		case before && sockets:
			return needSockets, nil
		case before:
			return needRestart, nil
		}
	}
	if fi, err := os.Stat(s.m.path(config.SystemFile)); s.m.newSettings && err == nil {
		if before, err := s.m.service.StartedBefore(ctx, fi.ModTime(), false); before || err != nil {
			return needRestart, err
		}
	}
	// A program from elsewhere is what a unit edited by hand starts, or what systemd
	// is before it has become ours: starting anew would not change it.
	file, deleted := s.m.cfg.Facts.ProcessFile(st.PID)
	if strings.HasPrefix(file, s.m.optDir()+"/") && (deleted || file != update.Path(s.m.optDir(), s.m.cfg.Version)) {
		return needRestart, nil
	}
	if s.m.gaveBack && healthyStep(s).visit(ctx) != nil { // it tries again by itself, after ever longer pauses
		return needRestart, nil
	}
	return needNothing, nil
}

// settled reports whether the service has a process, that has become ours and is not the
// one of before: systemd is asked to start it anew, and may not have begun to.
func (s startStep) settled(ctx context.Context, before int) (bool, error) {
	n, err := s.need(ctx)
	if err != nil || n != needNothing {
		return false, err
	}
	st, err := s.m.service.State(ctx)
	if err != nil || s.m.service.Manager() != host.Systemd {
		return err == nil, err
	}
	file, _ := s.m.cfg.Facts.ProcessFile(st.PID)
	return st.PID != 0 && st.PID != before && !strings.HasPrefix(filepath.Base(file), "systemd"), nil
}

func (s startStep) Check(ctx context.Context) ([]step.Change, error) {
	n, err := s.need(ctx)
	if err != nil || n == needNothing {
		return nil, err
	}
	if n == needStart {
		return []step.Change{{Op: step.Made, Kind: step.KindService, What: "foyer", Why: hint.T("starts now", "démarre maintenant")}}, nil
	}
	return []step.Change{{Op: step.Changed, Kind: step.KindService, What: "foyer", Why: hint.T("starts anew, to use what has changed", "redémarre, pour utiliser ce qui a changé")}}, nil
}

func (s startStep) Apply(ctx context.Context) error {
	n, err := s.need(ctx)
	if err != nil {
		return err
	}
	s.m.gaveBack, s.m.newSettings = false, false
	was, err := s.m.service.State(ctx)
	if err != nil {
		return err
	}
	switch n {
	case needNothing:
		return nil
	case needStart:
		err = s.m.service.Start(ctx)
	case needRestart:
		err = s.m.service.Restart(ctx, false)
	case needSockets:
		err = s.m.service.Restart(ctx, true)
	}
	if err != nil {
		return err
	}
	err = s.m.waitWell(ctx, s.m.cfg.patience.start, func(ctx context.Context) (bool, error) { return s.settled(ctx, was.PID) })
	if err != nil {
		return s.m.notWell(ctx, fmt.Errorf("the service does not start: %w", err))
	}
	return nil
}

// Undo stops the service.
func (s startStep) Undo(ctx context.Context, _ []step.Change, _ bool) error {
	return s.m.service.Stop(ctx)
}

// waitFor asks until ok, for at most so long.
func waitFor(ctx context.Context, atMost, pause time.Duration, ok func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		done, err := ok(ctx)
		if done {
			return err
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = ctx.Err()
			}
			return err
		case <-tick.C:
		}
	}
}
