package installer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/safepath"
	"github.com/foyer-server/foyer/internal/step"
	"github.com/foyer-server/foyer/supervisor/update"
)

// versionStep puts the program in its place, makes it the current version, and
// lets people call it by its name.
type versionStep struct{ m *machine }

// command is how people call the program.
const command = "/usr/local/bin/" + update.Program

func (versionStep) ID() string { return "version" }

// Title implements step.Step.
func (versionStep) Title() hint.Text {
	return hint.T("The program", "Le programme")
}

// commandTarget is where the command leads: on this machine, without Root.
func commandTarget() string { return config.SystemOpt + "/current/" + update.Program }

func (s versionStep) Check(context.Context) ([]step.Change, error) {
	want, err := s.m.sum()
	if err != nil {
		return nil, err
	}
	var out []step.Change
	path := update.Path(s.m.optDir(), s.m.cfg.Version)
	there, err := update.Sum(path)
	if err != nil {
		return nil, err
	}
	if string(there) != string(want) {
		op := step.Made
		if there != nil {
			op = step.Changed
		}
		out = append(out, step.Change{Op: op, Kind: step.KindProgram, What: path, SHA256: hex.EncodeToString(want), Why: hint.T(
			"Foyer itself, version %s", "Foyer lui-même, version %s", s.m.cfg.Version)})
	}
	if string(there) == string(want) {
		closed, err := s.closed(path)
		if err != nil {
			return nil, err
		}
		if !closed {
			out = append(out, step.Change{Op: step.Changed, Kind: step.KindProgram, What: path, SHA256: hex.EncodeToString(want), Why: hint.T(
				"everybody may run it, and the administrator alone may change it", "tous peuvent le lancer, et l'administrateur seul peut le changer")})
		}
	}
	link := filepath.Join(s.m.optDir(), "current")
	if now, err := update.Current(s.m.optDir()); err != nil || now != s.m.cfg.Version {
		op := step.Changed
		if errors.Is(err, fs.ErrNotExist) {
			op = step.Made
		}
		out = append(out, step.Change{Op: op, Kind: step.KindLink, What: link, Before: now, Why: hint.T(
			"leads to the version in use", "mène à la version utilisée")})
	}
	for _, p := range parents(s.m.path(command)) {
		out = append(out, step.Change{Op: step.Made, Kind: step.KindFolder, What: p, Why: hint.T("on the way to the next", "pour arriver au suivant")})
	}
	state, err := s.command()
	if err != nil {
		return nil, err
	}
	c := step.Change{Kind: step.KindLink, What: s.m.path(command), Why: hint.T("so that you can type `foyer`", "pour pouvoir taper `foyer`")}
	switch {
	case state == fileMissing:
		c.Op = step.Made
	case state == fileEdited && s.m.cfg.ReplaceEdited:
		c.Op = step.Changed
	case state == fileEdited:
		c.Op = step.Edited
		c.Why = hint.T("is something else already; `foyer` will be that, not what is installed here", "est déjà autre chose ; `foyer` désignera cela, et non ce qui est installé ici")
	default:
		return out, nil
	}
	return append(out, c), nil
}

// closed reports whether the program, and the folder of its version, are as they are made:
// everybody's to run, and root's alone to change.
func (s versionStep) closed(path string) (bool, error) {
	for _, p := range []string{path, filepath.Dir(path)} {
		fi, err := os.Lstat(p)
		if err != nil {
			return false, err
		}
		if uid, gid := host.FileOwner(fi); uid != s.m.rootUser.UID || gid != s.m.rootUser.GID || fi.Mode().Perm() != 0o755 {
			return false, nil
		}
	}
	return true, nil
}

// close makes them so.
func (s versionStep) close(path string) error {
	if closed, err := s.closed(path); err != nil || closed {
		return err
	}
	d, err := safepath.Open(filepath.Dir(path))
	if err != nil {
		return s.m.unfit(err)
	}
	defer d.Close() //nolint:errcheck // what is done to it is synced
	if err := d.Own(0o755, s.m.rootUser.UID, s.m.rootUser.GID); err != nil {
		return err
	}
	return s.m.unfit(safepath.OwnFile(path, func(safepath.Info) safepath.Info {
		return safepath.Info{UID: s.m.rootUser.UID, GID: s.m.rootUser.GID, Mode: 0o755}
	}))
}

// command looks at what stands under the command's name.
func (s versionStep) command() (fileState, error) {
	target, err := os.Readlink(s.m.path(command))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fileMissing, nil
	case err == nil && target == commandTarget():
		return fileSame, nil
	}
	return fileEdited, nil
}

func (s versionStep) Apply(ctx context.Context) error {
	sum, err := s.m.sum()
	if err != nil {
		return err
	}
	src, err := os.Open(s.m.cfg.Executable)
	if err != nil {
		return fmt.Errorf("cannot read the program: %w", err)
	}
	defer src.Close() //nolint:errcheck // it was only read
	if err := update.Stage(ctx, s.m.optDir(), s.m.cfg.Version, src, sum); err != nil {
		return err
	}
	if err := s.close(update.Path(s.m.optDir(), s.m.cfg.Version)); err != nil {
		return fmt.Errorf("cannot close the program to others: %w", err)
	}
	if now, err := update.Current(s.m.optDir()); err != nil || now != s.m.cfg.Version {
		if err := update.Switch(s.m.optDir(), s.m.cfg.Version); err != nil {
			return err
		}
	}
	for _, p := range parents(s.m.path(command)) {
		if err := makeFolder(p, 0o755, s.m.rootUser.UID, s.m.rootUser.GID); err != nil {
			return err
		}
	}
	state, err := s.command()
	if err != nil || state == fileSame || state == fileEdited && !s.m.cfg.ReplaceEdited {
		return err
	}
	if state == fileEdited {
		if err := keepEdited(s.m.path(command)); err != nil {
			return fmt.Errorf("cannot put %s aside: %w", command, err)
		}
	}
	return atomicfile.Symlink(commandTarget(), s.m.path(command))
}

func (s versionStep) Undo(_ context.Context, made []step.Change, _ bool) error {
	for _, c := range slices.Backward(made) {
		var err error
		switch {
		case c.Kind == step.KindFolder:
			err = removeEmpty(c.What)
		case c.What == s.m.path(command):
			if state, serr := s.command(); serr != nil || state != fileSame {
				continue // no longer ours
			}
			if err = atomicfile.Remove(c.What); err == nil && c.Op == step.Changed {
				err = bringBack(c.What)
			}
		case c.Kind == step.KindLink:
			err = atomicfile.Remove(c.What)
		case c.Kind == step.KindProgram: // with every version that was staged since
			err = os.RemoveAll(filepath.Join(s.m.optDir(), "versions"))
		}
		if err != nil {
			return fmt.Errorf("cannot remove the %s %s: %w", c.Kind, c.What, err)
		}
	}
	return nil
}

// removeEmpty removes a folder that we made, unless something is in it.
func removeEmpty(path string) error {
	in, err := safepath.Open(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // what is removed from it is synced
	_, err = in.RemoveDir(filepath.Base(path))
	return err
}

// bringBack gives a file that was put aside its name again.
func bringBack(path string) error {
	if err := os.Rename(path+asideSuffix, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(path))
}
