package installer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/safepath"
	"github.com/foyer-server/foyer/internal/step"
)

// directoriesStep makes the folders, with their owners and modes, and gives back to Foyer
// what is Foyer's in the data folder and was taken from it.
type directoriesStep struct{ m *machine }

func (directoriesStep) ID() string { return "directories" }

// Title implements step.Step.
func (directoriesStep) Title() hint.Text {
	return hint.T("Folders", "Dossiers")
}

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
		{s.m.optDir(), 0o755, "root", step.KindFolder, false, hint.T("holds the program", "contient le programme")},
		{filepath.Join(s.m.optDir(), "install"), 0o700, "root", step.KindFolder, false, hint.T("remembers what was made, to undo it", "retient ce qui a été fait, pour le défaire")},
		{filepath.Join(s.m.optDir(), "versions"), 0o755, "root", step.KindFolder, false, hint.T("holds each version of the program", "contient chaque version du programme")},
		{filepath.Dir(s.m.path(config.SystemFile)), 0o755, "root", step.KindFolder, true, hint.T("holds the settings", "contient les réglages")},
		{s.m.dataDir(), 0o700, config.SystemUser, step.KindData, true, hint.T("holds your data; only Foyer may read it", "contient vos données ; Foyer seul peut les lire")},
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

func (s directoriesStep) Check(ctx context.Context) ([]step.Change, error) {
	var out []step.Change
	for _, f := range s.folders() {
		for _, p := range parents(f.path) {
			if !slices.ContainsFunc(out, func(c step.Change) bool { return c.What == p }) {
				out = append(out, step.Change{Op: step.Made, Kind: step.KindFolder, What: p, Stays: f.stays, Why: hint.T("on the way to the next", "pour arriver au suivant")})
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
	strays, err := s.strays(ctx)
	return append(out, strays...), err
}

// mostLooked is how many names in the data folder are looked at for their owners.
const mostLooked = 100_000

// strays are the files and folders of Foyer's in the data folder that are not its own any
// more, and, as Edited, those of which that cannot be told.
func (s directoriesStep) strays(ctx context.Context) ([]step.Change, error) {
	uid, _, ok, err := s.m.owner(ctx, config.SystemUser)
	if err != nil || !ok { // it has no owner to be given back to: the plan of a first install
		return nil, err
	}
	d, err := safepath.Open(s.m.dataDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, s.m.unfit(err)
	}
	defer d.Close() //nolint:errcheck // a folder, opened to be looked through
	is, err := d.Info()
	if err != nil || is.UID != uid { // then it changes its owner with all that is in it
		return nil, err
	}
	found, err := safepath.Strays(d, uid, foyers, mostLooked)
	if err != nil {
		return nil, s.m.unfit(err)
	}
	var out []step.Change
	for _, stray := range found {
		c := step.Change{Op: step.Changed, Kind: step.KindFile, What: stray.Path, Stays: true, Why: hint.T(
			"Foyer must be able to read and write it, and nobody else may", "Foyer doit pouvoir le lire et l'écrire, et personne d'autre")}
		if stray.Why != 0 {
			c.Op = step.Edited
			c.Why = hint.T("belongs to another account and stays so, for it cannot be told whose it is (it %s); if it is Foyer's, `sudo chown %s: %s` gives it back",
				"appartient à un autre compte et le reste, faute de savoir à qui il est (%s) ; s'il est à Foyer, `sudo chown %s: %s` le lui rend", reason(stray.Why), config.SystemUser, stray.Path)
		}
		out = append(out, c)
	}
	return out, nil
}

// foyers reports whether a name in the data folder is one that Foyer gives.
func foyers(name string) bool {
	return strings.HasPrefix(name, "data.db") || slices.Contains([]string{"data.id", "claim.json", "certificates", "attachments", "router.secret"}, name)
}

func (s directoriesStep) checkOne(ctx context.Context, f folder) (step.Change, error) {
	c := step.Change{Kind: f.kind, What: f.path, Stays: f.stays, Why: f.why}
	d, err := safepath.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		c.Op = step.Made
		return c, nil
	}
	if err != nil {
		return c, s.m.unfit(err)
	}
	defer d.Close() //nolint:errcheck // a folder, opened to be looked at
	is, err := d.Info()
	if err != nil {
		return c, err
	}
	uid, gid, ok, err := s.m.owner(ctx, f.owner)
	if err != nil {
		return c, err
	}
	right := ok && is == (safepath.Info{UID: uid, GID: gid, Mode: f.mode})
	known := slices.ContainsFunc(s.m.history.Made(), func(c step.Change) bool { return c.What == f.path && c.Kind == f.kind })
	if !right || f.kind == step.KindData && !known { // what comes to be in a folder that was there is ours to remove
		c.Op = step.Changed
		c.Before = fmt.Sprintf("%o %d %d", is.Mode, is.UID, is.GID)
	}
	return c, nil
}

func (s directoriesStep) Apply(ctx context.Context) error {
	for _, f := range s.folders() {
		for _, p := range parents(f.path) {
			if err := makeFolder(p, 0o755, s.m.rootUser.UID, s.m.rootUser.GID); err != nil {
				return s.m.unfit(err)
			}
		}
		uid, gid, ok, err := s.m.owner(ctx, f.owner)
		if err != nil || !ok {
			return fmt.Errorf("cannot make %s: %w", f.path, errors.Join(err, fmt.Errorf("there is no account %s", f.owner)))
		}
		if err := s.ensure(f, uid, gid); err != nil {
			return s.m.unfit(err)
		}
	}
	return nil
}

// ensure makes a folder, or gives one that is there its owner and mode.
func (s directoriesStep) ensure(f folder, uid, gid int) error {
	d, err := safepath.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeFolder(f.path, f.mode, uid, gid)
	}
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // what is done to it is synced
	if f.kind == step.KindData {
		if err := takeOver(d, uid, gid); err != nil { // of all of it, or of nothing
			return fmt.Errorf("cannot take over the data in %s: %w", f.path, err)
		}
		found, err := safepath.Strays(d, uid, foyers, mostLooked)
		if err == nil && len(found) > 0 {
			s.m.gaveBack = true
			err = safepath.GiveBack(d, uid, gid, foyers)
		}
		if err != nil {
			return fmt.Errorf("cannot give what is in %s back to Foyer: %w", f.path, err)
		}
	}
	if is, err := d.Info(); err == nil && is != (safepath.Info{UID: uid, GID: gid, Mode: f.mode}) {
		s.m.gaveBack = true
	}
	if err := d.Own(f.mode, uid, gid); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(f.path))
}

// makeFolder makes a folder that is missing. One that has come to be there meanwhile is
// left as it is.
func makeFolder(path string, mode fs.FileMode, uid, gid int) error {
	in, err := safepath.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // what is made in it is synced
	d, err := in.Make(filepath.Base(path), mode, uid, gid)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.Close()
}

// takeOver gives what is in a data folder of an earlier Foyer, perhaps copied here by
// another account, to ours. The folder itself comes last: while its owner is not right
// it is gone through again.
func takeOver(d *safepath.Dir, uid, gid int) error {
	is, err := d.Info()
	if err != nil || is.UID == uid && is.GID == gid {
		return err
	}
	return d.TakeOver(uid, gid, lostAndFound)
}

// lostAndFound is a file system's own folder.
func lostAndFound(name string) bool { return name == "lost+found" }

func (s directoriesStep) Undo(ctx context.Context, made []step.Change, purge bool) error {
	for _, c := range slices.Backward(made) {
		if err := s.undoOne(ctx, c, purge); err != nil {
			return fmt.Errorf("cannot undo the %s %s: %w", c.Kind, c.What, err)
		}
	}
	return nil
}

// undoOne takes back one folder. What stands under its name now and is not the folder
// we made, or gave to us, is left and told of.
func (s directoriesStep) undoOne(ctx context.Context, c step.Change, purge bool) error {
	if c.Kind == step.KindFile {
		return nil // of the data: it goes with them, and was Foyer's before
	}
	if c.What == s.m.optDir() || c.What == filepath.Join(s.m.optDir(), "install") {
		return nil // goes with the journal
	}
	if c.Kind == step.KindData || c.Op == step.Changed {
		emptied, err := s.giveBack(ctx, c, purge)
		if err != nil || !emptied {
			return err
		}
	}
	in, err := safepath.Open(filepath.Dir(c.What))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if unfit, ok := errors.AsType[*safepath.Error](err); ok {
		s.m.leave(c, unfit)
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // what is removed from it is synced
	// A folder that holds something that is not ours is left.
	gone, err := in.RemoveDir(filepath.Base(c.What))
	if err == nil && !gone && c.Kind == step.KindData && purge && len(s.m.left) == 0 {
		s.m.leave(c, nil)
	}
	return err
}

// giveBack empties a data folder, if that is wanted, and gives a folder that was there
// before us the mode and owner it had. It reports whether the folder may go, too.
func (s directoriesStep) giveBack(ctx context.Context, c step.Change, purge bool) (mayGo bool, err error) {
	d, err := safepath.Open(c.What)
	switch unfit, _ := errors.AsType[*safepath.Error](err); {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case unfit != nil:
		s.m.leave(c, unfit)
		return false, nil
	case err != nil:
		return false, err
	}
	defer d.Close() //nolint:errcheck // what is done to it is synced
	if ours, err := s.ours(ctx, d); err != nil || !ours {
		if err == nil {
			s.m.leave(c, &safepath.Error{Path: c.What, Why: safepath.Foreign})
		}
		return false, err
	}
	// What was in one that was there before us, is kept when an install is merely rolled back.
	if c.Kind == step.KindData && purge && (c.Op == step.Made || !s.m.keepData) {
		mounted, err := d.Empty(lostAndFound)
		if err != nil {
			return false, err
		}
		for _, at := range mounted {
			s.m.left = append(s.m.left, step.Change{Op: step.Edited, Kind: c.Kind, What: at, Why: hint.T(
				"is left: something else is mounted there", "reste : autre chose y est monté")})
		}
	}
	if c.Op != step.Changed {
		return true, nil
	}
	was := safepath.Info{}
	if _, err := fmt.Sscanf(c.Before, "%o %d %d", &was.Mode, &was.UID, &was.GID); err != nil {
		return false, nil //nolint:nilerr // nothing is remembered
	}
	return false, d.Own(was.Mode, was.UID, was.GID)
}

// ours reports whether a folder is the one we made: where others can put one of theirs
// in its place it has to belong to our account.
func (s directoriesStep) ours(ctx context.Context, d *safepath.Dir) (bool, error) {
	if d.Trusted() {
		return true, nil
	}
	uid, _, ok, err := s.m.owner(ctx, config.SystemUser)
	if err != nil || !ok {
		return false, err
	}
	is, err := d.Info()
	return is.UID == uid, err
}
