package installer

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/safepath"
	"github.com/foyer-server/foyer/internal/step"
	"github.com/foyer-server/foyer/supervisor/service"
)

// unitsStep registers Foyer with the service manager, to start with the machine.
type unitsStep struct{ m *machine }

func (unitsStep) ID() string { return "units" }

// Title implements step.Step.
func (unitsStep) Title() hint.Text {
	return hint.T("Start by itself", "Démarrage automatique")
}

func (s unitsStep) Check(ctx context.Context) ([]step.Change, error) {
	var out []step.Change
	whole := true
	for _, u := range s.m.service.Units() {
		for _, p := range parents(u.Path) {
			out = append(out, step.Change{Op: step.Made, Kind: step.KindFolder, What: p, Why: hint.T("on the way to the next", "pour arriver au suivant")})
		}
		state, err := s.m.look(s.ID(), u.Path, u.Text)
		if err != nil {
			return nil, err
		}
		c := step.Change{Kind: step.KindUnit, What: u.Path, Why: u.Why, SHA256: hexSum([]byte(u.Text))}
		switch {
		case state == fileSame:
			if right, err := s.right(u); err != nil || right {
				continue
			}
			c.Op = step.Changed
		case state == fileMissing:
			c.Op = step.Made
		case state == fileEdited && !s.m.cfg.ReplaceEdited:
			c.Op, c.SHA256 = step.Edited, ""
			c.Why = hint.T("was changed by hand and stays so", "a été modifié à la main et reste ainsi")
		default:
			c.Op = step.Changed
		}
		whole = whole && c.Op == step.Edited
		out = append(out, c)
		if state == fileEdited && s.m.cfg.ReplaceEdited {
			out = append(out, step.Change{Op: step.Made, Kind: step.KindFile, What: u.Path + asideSuffix, Stays: true, Why: hint.T("what you had changed by hand", "ce que vous aviez modifié à la main")})
		}
	}
	if !whole {
		return out, nil
	}
	st, err := s.m.service.State(ctx)
	if err != nil {
		return nil, err
	}
	if s.m.service.Manager() == host.Systemd && !st.Masked && (!st.Enabled || st.NeedsReload) || !st.Installed {
		out = append(out, step.Change{Op: step.Changed, Kind: step.KindUnit, What: "foyer", Why: hint.T("so that Foyer starts with the machine", "pour que Foyer démarre avec la machine")})
	}
	return out, nil
}

func (s unitsStep) Apply(ctx context.Context) error {
	var kept []string
	for _, u := range s.m.service.Units() {
		for _, p := range parents(u.Path) {
			if err := makeFolder(p, 0o755, s.m.rootUser.UID, s.m.rootUser.GID); err != nil {
				return err
			}
		}
		state, err := s.m.look(s.ID(), u.Path, u.Text)
		if err != nil {
			return err
		}
		switch {
		case state == fileEdited && !s.m.cfg.ReplaceEdited:
			kept = append(kept, u.Path)
		case state == fileEdited:
			if err := keepEdited(u.Path); err != nil {
				return fmt.Errorf("cannot put %s aside: %w", filepath.Base(u.Path), err)
			}
		}
	}
	if err := s.m.service.Install(ctx, kept...); err != nil {
		return err
	}
	for _, u := range s.m.service.Units() { // one with the right text is not written again
		if right, err := s.right(u); slices.Contains(kept, u.Path) || err != nil || right {
			continue
		}
		err := safepath.OwnFile(u.Path, func(safepath.Info) safepath.Info {
			return safepath.Info{UID: s.m.rootUser.UID, GID: s.m.rootUser.GID, Mode: fs.FileMode(u.Mode)}
		})
		if err != nil {
			return s.m.unfit(err)
		}
	}
	return nil
}

// right reports whether a unit has the mode it should have, and is root's: whoever could
// change it would be root.
func (s unitsStep) right(u service.File) (bool, error) {
	fi, err := os.Stat(u.Path)
	if err != nil {
		return false, err
	}
	uid, _ := host.FileOwner(fi)
	return uid == s.m.rootUser.UID && fi.Mode().Perm() == fs.FileMode(u.Mode), nil
}

func (s unitsStep) Undo(ctx context.Context, made []step.Change, _ bool) error {
	ours := false
	for _, c := range made {
		ours = ours || c.Kind == step.KindUnit
	}
	if ours {
		if err := s.m.service.Uninstall(ctx); err != nil {
			return err
		}
	}
	for _, c := range made {
		var err error
		switch c.Kind {
		case step.KindFile:
			err = atomicfile.Remove(c.What)
		case step.KindFolder:
			err = removeEmpty(c.What)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
