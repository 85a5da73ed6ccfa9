package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/foyer-server/foyer/cmd/foyer/appliance"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/supervisor"
	"github.com/foyer-server/foyer/supervisor/backup"
	"github.com/foyer-server/foyer/supervisor/backup/routine"
	"github.com/foyer-server/foyer/supervisor/backup/target"
	"github.com/foyer-server/foyer/supervisor/restore"
)

// systemState is the supervisor's own folder on an installed machine.
var systemState = filepath.Join("/var/lib", supervisor.StateName)

// within is a restore whose data take the place of those that this machine serves, in the process
// of the user that Foyer runs as.
type within struct {
	restore.Served
	root *toRoot
	ours bool // this machine made the backup
}

// inside does what is to be done as the user that Foyer runs as, whom root has it run as.
func (a *restoring) inside(ctx context.Context) error {
	if err := host.NoCoreFiles(); err != nil {
		return err
	}
	root, ctx, err := openToRoot(ctx, a.from)
	if err != nil {
		return err
	}
	s, err := a.loadSettings(ctx, a.environ)
	if err != nil {
		return err
	}
	state := systemState
	if _, err := os.Stat(state); errors.Is(err, fs.ErrNotExist) { // no service manager makes it here
		state = ""
	}
	a.here = &within{root: root, Served: appliance.ServedBy(s.Data, state)}
	if restore.Pending(s.Data) && !a.verdict {
		if err := root.Stop(ctx); err != nil {
			return err
		}
		if err := restore.Resume(a.here.Served, nil); err != nil {
			return err
		}
		return root.told(ctx, gateDone, broughtBack{Resumed: true})
	}
	return a.bring(ctx, root)
}

// ownKeys opens the backup with the keys of this machine; nil: it was another one that made it, or
// another backup is meant.
func (a *restoring) ownKeys(ctx context.Context, at target.Reader) (*backup.Chain, error) {
	if a.here.State == "" {
		return nil, nil
	}
	keys, err := backup.LoadKeys(routine.KeysDir(a.here.State))
	if err != nil { // none, or they are damaged: the words open it
		return nil, nil
	}
	c, err := backup.OpenHere(ctx, at, keys)
	if err != nil || c == nil || !strings.HasPrefix(c.ID, strings.ToLower(a.chain)) {
		return nil, err
	}
	a.here.ours = true
	if !a.json {
		a.say(hint.T("This machine has the keys of this backup: no words are needed.", "Cette machine a les clés de cette sauvegarde : les mots ne sont pas nécessaires."))
	}
	return c, nil
}

// over is what of the backup takes the place of what is served, beside the database: on another
// machine certificates and keys, on the one that made it only where they are gone.
func (w *within) over(m *backup.Manifest) *restore.Over {
	wanted := func(name string) bool {
		_, err := os.Lstat(filepath.Join(w.Data, name))
		return !w.ours || errors.Is(err, fs.ErrNotExist)
	}
	return &restore.Over{Served: w.Served, Files: restore.Beside(m.Files, wanted), Stop: w.root.Stop}
}

// handOn tells root what came of it, and which settings the machine before had.
func (a *restoring) handOn(ctx context.Context, m *backup.Manifest, r restore.Result) error {
	b := broughtBack{Former: r.Former}
	for _, f := range m.Files {
		if f.Name == filepath.Base(config.SystemFile) && !a.here.ours && !a.keep {
			b.Settings = string(f.Data)
		}
	}
	return a.here.root.told(ctx, gateDone, b)
}
