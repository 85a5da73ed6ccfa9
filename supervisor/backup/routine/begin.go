package routine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/backup"
	"github.com/foyer-server/foyer/supervisor/backup/kit"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// Begin begins a backup in the folder of the settings: it makes the folder a target, and keys that
// the words open. The words are in memory alone. Done again with the same words it comes to the
// same; after another folder, or with asked.New, it is a new backup, and the one before ends on this
// machine: what it has at its target stays. It may take as long as the disks do.
func (r *Routine) Begin(ctx context.Context, asked report.BeginBackup) (report.Backup, error) {
	if r.cfg.To == "" {
		return report.Backup{}, notBegun("")
	}
	if r.cfg.Hidden {
		return report.Backup{}, Unreachable(r.cfg.To)
	}
	words, err := kit.Read(asked.Words)
	if err != nil {
		return report.Backup{}, err
	}
	give, err := r.take(ctx)
	if err != nil {
		return report.Backup{}, err
	}
	defer give()
	if err := makeDirs(r.cfg.Dir); err != nil {
		return report.Backup{}, err
	}
	identity, err := target.PrepareFolder(ctx, r.cfg.To, target.FolderOptions{Data: r.cfg.Data, SameDisk: asked.SameDisk})
	if err != nil {
		return report.Backup{}, err
	}
	if k := r.begun(); k != nil && (asked.New || k.Target.ID != identity.ID) {
		if err := r.end(ctx, k); err != nil {
			return report.Backup{}, err
		}
	}
	folder, err := target.OpenFolder(ctx, identity, r.cfg.Data)
	if err != nil {
		return report.Backup{}, err
	}
	keys, err := backup.Begin(ctx, folder, keysDir(r.cfg.Dir), words)
	if err != nil {
		return report.Backup{}, err
	}
	k := &known{To: r.cfg.To, Target: identity, Chain: keys.Chain.ID, Began: r.cfg.Clock.Now().UTC().Truncate(time.Second)}
	if was := r.begun(); was != nil && was.Chain == k.Chain {
		k.Began = was.Began
	}
	if err := k.save(r.cfg.Dir); err != nil {
		return report.Backup{}, fmt.Errorf("cannot keep which folder backups go to: %w", err)
	}
	r.mu.Lock()
	fresh := r.known == nil || r.known.Chain != k.Chain
	r.known, r.engine, r.damage = k, r.newEngine(folder, keys), nil
	r.mu.Unlock()
	if fresh {
		r.host.tell(report.Event{Code: "backup-began", What: hint.T("A backup begins, in %s.", "Une sauvegarde commence, dans %s.", r.cfg.To)})
	}
	r.poke()
	return r.Report(), nil
}

// End ends the backup on this machine: nothing more is added to it, and its keys are put aside. What
// is at its target stays, and is read with the words.
func (r *Routine) End(ctx context.Context) error {
	give, err := r.take(ctx)
	if err != nil {
		return err
	}
	defer give()
	k := r.begun()
	if k == nil {
		return notBegun("")
	}
	if err := r.end(ctx, k); err != nil {
		return err
	}
	r.host.tell(report.Event{Code: "backup-ended", What: hint.T("The backup in %s was ended; what is there stays.", "La sauvegarde dans %s a pris fin ; ce qui s'y trouve reste.", k.To)})
	return nil
}

// end ends it, while nobody else works on the target.
func (r *Routine) end(ctx context.Context, k *known) error {
	r.close()
	r.mu.Lock()
	r.engine = nil
	r.mu.Unlock()
	// What the server keeps for it has a bound, and goes by itself if it does not answer now.
	if err := r.cfg.Source.Unfollow(ctx, backup.Follower(k.Chain)); err != nil {
		r.cfg.Log.Warn("the server goes on keeping changes for a backup that was ended", "chain", k.Chain, "err", err)
	}
	if err := errors.Join(backup.End(keysDir(r.cfg.Dir)), forget(r.cfg.Dir)); err != nil {
		return err
	}
	r.mu.Lock()
	r.known, r.kept, r.wrong, r.cause, r.told, r.proof = nil, backup.Overview{}, nil, nil, "", proof{}
	r.mu.Unlock()
	return nil
}

// begun is what is known of the backup; nil: none has begun.
func (r *Routine) begun() *known {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known
}
