package installer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/internal/step"
)

// ChangeSettings gives other answers on a machine that has an install: it changes the
// settings file, and makes the machine as that says (ApplySettings). The answers are checked
// as PlanChange does, and the machine as an install does, before anything is done. Before
// the file is changed save gets it as it was, and as it is going to be, for RestoreSettings:
// an error of save's ends it there. Where nothing differs save is not called, and what an earlier run may have left
// undone is done. The error is as that of ApplySettings, or has the code settings-ini or
// settings-by-hand.
func (in *Installer) ChangeSettings(ctx context.Context, given Values, save func(old, changed []byte) error, events func(step.Event)) (plan report.ChangePlan, res Result, err error) {
	res, err = in.upkeep(func(h *step.History) (Result, error) {
		old, _, err := readSettings(in.settingsPath())
		if errors.Is(err, fs.ErrNotExist) {
			return Result{}, unfinished()
		} else if err != nil {
			return Result{}, err
		}
		today, err := config.Read(config.SystemFile, old)
		if err != nil {
			return Result{}, err
		}
		var wanted *config.Settings
		if plan, wanted, err = PlanChange(today, given); err != nil {
			return Result{}, err
		}
		if edits := editsTo(today, wanted); len(edits) > 0 {
			text, _, err := config.EditFile(config.SystemFile, old, edits)
			if err != nil {
				return Result{}, err
			}
			m, err := (&machine{cfg: in.cfg, history: h, result: &Result{}}).with(ctx, wanted)
			if err != nil {
				return Result{}, err
			}
			if err := m.ready(ctx); err != nil {
				return Result{}, err
			}
			if err := save(old, text); err != nil {
				return Result{}, fmt.Errorf("cannot keep the settings as they were: %w", err)
			}
			in.hook("save settings")
			if err := in.writeSettings(ctx, m, text); err != nil {
				return Result{}, err
			}
		}
		return in.again(ctx, h, events, settingsSteps)
	})
	return plan, res, err
}

// RestoreSettings puts a settings file back that ChangeSettings gave to save, and makes the
// machine as that says. It may be called again, and after a crash at any moment of both. What
// somebody has written into the file meanwhile, so that it is neither as it was nor as it was
// changed, is not lost: it is kept as NAME.edited, which the first of the changes tells
// (Edited). It is none of what was made, and nothing but a purge removes it.
func (in *Installer) RestoreSettings(ctx context.Context, old, changed []byte, events func(step.Event)) (res Result, err error) {
	var kept []step.Change
	res, err = in.upkeep(func(h *step.History) (Result, error) {
		s, err := config.Read(config.SystemFile, old)
		if err != nil { // it is none that was in force
			return Result{}, err
		}
		now, err := in.settingsNow()
		if err != nil {
			return Result{}, err
		}
		if now == nil || !bytes.Equal(now, old) && !bytes.Equal(now, changed) {
			if kept, err = in.keepSettings(); err != nil {
				return Result{}, err
			}
		}
		if !bytes.Equal(now, old) {
			m, err := (&machine{cfg: in.cfg, history: h, result: &Result{}}).with(ctx, s)
			if err != nil {
				return Result{}, err
			}
			if err := in.writeSettings(ctx, m, old); err != nil {
				return Result{}, err
			}
		}
		return in.again(ctx, h, events, settingsSteps)
	})
	res.Changes = append(kept, res.Changes...)
	return res, err
}

// settingsNow is what the settings file holds; nil, where there is none, or what stands there
// is a link or no file.
func (in *Installer) settingsNow() ([]byte, error) {
	switch fi, err := os.Lstat(in.settingsPath()); {
	case errors.Is(err, fs.ErrNotExist), err == nil && !fi.Mode().IsRegular():
		return nil, nil
	case err != nil:
		return nil, err
	}
	return os.ReadFile(in.settingsPath())
}

// keepSettings has what stands in the place of the settings file as NAME.edited; it is not
// there any more, then, unless it is a file, which is written anew.
func (in *Installer) keepSettings() ([]step.Change, error) {
	path := in.settingsPath()
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err == nil && fi.Mode().IsRegular():
		err = keepEdited(path)
	case err == nil:
		if err = os.Rename(path, path+asideSuffix); err == nil {
			err = atomicfile.SyncDir(filepath.Dir(path))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot keep what was edited by hand: %w", err)
	}
	in.hook("keep edited settings")
	return []step.Change{{
		Op: step.Edited, Kind: step.KindFile, What: path,
		Why: hint.T("it was edited by hand meanwhile: that is kept as %s", "il a été modifié à la main entre-temps : c'est gardé sous %s", path+asideSuffix),
	}}, nil
}

func (in *Installer) settingsPath() string { return (&machine{cfg: in.cfg}).path(config.SystemFile) }

// writeSettings replaces the settings file: of root, readable for the service, and with the
// mode it has.
func (in *Installer) writeSettings(ctx context.Context, m *machine, text []byte) error {
	_, gid, ok, err := m.owner(ctx, config.SystemUser)
	if err != nil || !ok {
		return errors.Join(err, fmt.Errorf("there is no group %s", config.SystemUser))
	}
	mode := fs.FileMode(0o640)
	if fi, err := os.Stat(in.settingsPath()); err == nil {
		mode = fi.Mode().Perm() | 0o040
	}
	if err := atomicfile.WriteAs(in.settingsPath(), text, mode, m.rootUser.UID, gid); err != nil {
		return err
	}
	in.hook("write settings")
	return nil
}
