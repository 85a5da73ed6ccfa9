package installer

import (
	"context"
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
)

// directoriesStep makes the folders, with their owners and modes.
type directoriesStep struct{ m *machine }

func (directoriesStep) ID() string { return "directories" }

// folder is one that must be there.
type folder struct {
	path  string
	mode  fs.FileMode
	owner string
	kind  string
	stays bool
	why   hint.Text
}

func (s directoriesStep) folders() []folder {
	fs := []folder{
		{s.m.optDir(), 0o755, "root", KindFolder, false, hint.T("holds the program", "contient le programme")},
		{filepath.Join(s.m.optDir(), "install"), 0o700, "root", KindFolder, false, hint.T("remembers what was made, to undo it", "retient ce qui a été fait, pour le défaire")},
		{filepath.Join(s.m.optDir(), "versions"), 0o755, "root", KindFolder, false, hint.T("holds each version of the program", "contient chaque version du programme")},
		{filepath.Dir(s.m.path(config.SystemFile)), 0o755, "root", KindFolder, true, hint.T("holds the settings", "contient les réglages")},
		{s.m.dataDir(), 0o700, config.SystemUser, KindData, true, hint.T("holds your data; only Foyer may read it", "contient vos données ; Foyer seul peut les lire")},
	}
	return fs
}

// parents are the folders on the way to path that are missing, outermost first.
func parents(path string) []string {
	var out []string
	for d := filepath.Dir(path); ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil || filepath.Dir(d) == d {
			return out
		}
		out = append([]string{d}, out...)
	}
}

func (s directoriesStep) Check(ctx context.Context) ([]Change, error) {
	var out []Change
	for _, f := range s.folders() {
		for _, p := range parents(f.path) {
			if !slices.ContainsFunc(out, func(c Change) bool { return c.What == p }) {
				out = append(out, Change{Op: Made, Kind: KindFolder, What: p, Stays: f.stays, Why: hint.T("on the way to the next", "pour arriver au suivant")})
			}
		}
		c, err := s.checkOne(ctx, f)
		if err != nil {
			return nil, err
		}
		if c.Op != "" {
			out = append(out, c)
		}
	}
	return out, nil
}

func (s directoriesStep) checkOne(ctx context.Context, f folder) (Change, error) {
	c := Change{Kind: f.kind, What: f.path, Stays: f.stays, Why: f.why}
	fi, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		c.Op = Made
		return c, nil
	}
	if err != nil {
		return c, err
	}
	if !fi.IsDir() {
		return c, fmt.Errorf("%s is no folder", f.path)
	}
	uid, gid, ok, err := s.m.owner(ctx, f.owner)
	if err != nil {
		return c, err
	}
	isUID, isGID := host.FileOwner(fi)
	right := ok && fi.Mode().Perm() == f.mode && isUID == uid && isGID == gid
	known := slices.ContainsFunc(s.m.history.made, func(c Change) bool { return c.What == f.path && c.Kind == f.kind })
	if !right || f.kind == KindData && !known { // what comes to be in a folder that was there is ours to remove
		c.Op = Changed
		c.Before = fmt.Sprintf("%o %d %d", fi.Mode().Perm(), isUID, isGID)
	}
	return c, nil
}

func (s directoriesStep) Apply(ctx context.Context) error {
	for _, f := range s.folders() {
		for _, p := range parents(f.path) {
			if err := makeFolder(p, 0o755, s.m.rootUser.UID, s.m.rootUser.GID); err != nil {
				return err
			}
		}
		uid, gid, ok, err := s.m.owner(ctx, f.owner)
		if err != nil || !ok {
			return fmt.Errorf("cannot make %s: %w", f.path, errors.Join(err, fmt.Errorf("there is no account %s", f.owner)))
		}
		if f.kind == KindData {
			if err := takeOver(f.path, uid, gid); err != nil {
				return fmt.Errorf("cannot take over the data in %s: %w", f.path, err)
			}
		}
		if err := makeFolder(f.path, f.mode, uid, gid); err != nil {
			return err
		}
	}
	return nil
}

// makeFolder makes a folder, or gives one that is there its owner and mode.
func makeFolder(path string, mode fs.FileMode, uid, gid int) error {
	if err := os.Mkdir(path, mode&0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Chown(path, uid, gid); err != nil {
		return err
	}
	if err := os.Chmod(path, mode); err != nil {
		return err
	}
	if err := atomicfile.SyncDir(path); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(path))
}

// takeOver gives what is in a data folder of an earlier Foyer, perhaps copied
// here by another account, to ours. The folder itself comes last: while its owner
// is not right it is gone through again.
func takeOver(dir string, uid, gid int) error {
	fi, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if u, g := host.FileOwner(fi); u == uid && g == gid {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		if d.Name() == "lost+found" {
			return filepath.SkipDir
		}
		return os.Lchown(path, uid, gid)
	})
}

func (s directoriesStep) Undo(_ context.Context, made []Change, purge bool) error {
	for _, c := range slices.Backward(made) {
		if err := s.undoOne(c, purge); err != nil {
			return fmt.Errorf("cannot undo the %s %s: %w", c.Kind, c.What, err)
		}
	}
	return nil
}

func (s directoriesStep) undoOne(c Change, purge bool) error {
	if c.What == s.m.optDir() || c.What == filepath.Join(s.m.optDir(), "install") {
		return nil // goes with the journal
	}
	if c.Kind == KindData && purge {
		if err := s.removeData(c); err != nil {
			return err
		}
	}
	if c.Op == Changed {
		return restore(c)
	}
	// A folder that holds something that is not ours is left.
	if err := os.Remove(c.What); err != nil && !errors.Is(err, fs.ErrNotExist) {
		if entries, rerr := os.ReadDir(c.What); rerr == nil && len(entries) > 0 {
			return nil
		}
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(c.What))
}

// removeData empties the data folder. What was in one that was there before us,
// is kept when an install is merely rolled back.
func (s directoriesStep) removeData(c Change) error {
	if c.Op != Made && s.m.keepData {
		return nil
	}
	entries, err := os.ReadDir(c.What)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == "lost+found" { // the file system's own
			continue
		}
		if err := os.RemoveAll(filepath.Join(c.What, e.Name())); err != nil {
			return err
		}
	}
	return atomicfile.SyncDir(c.What)
}

// restore gives a folder the mode and owner it had.
func restore(c Change) error {
	var mode fs.FileMode
	var uid, gid int
	if _, err := fmt.Sscanf(c.Before, "%o %d %d", &mode, &uid, &gid); err != nil {
		return nil //nolint:nilerr // nothing is remembered
	}
	if _, err := os.Stat(c.What); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.Chown(c.What, uid, gid); err != nil {
		return err
	}
	return os.Chmod(c.What, mode)
}
