package routine

import (
	"context"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup"
	"github.com/foyer-server/foyer/supervisor/job"
)

// Names of the jobs.
const (
	JobNow   = "backup-now"
	JobDrill = "backup-drill"
	JobCheck = "backup-check"
)

// worker does the jobs of a Routine.
type worker struct{ *Routine }

// Kinds are the jobs that can be asked for.
func (r *Routine) Kinds() []job.Kind {
	w := worker{r}
	return []job.Kind{
		{Name: JobNow, Title: hint.T("Back up now", "Sauvegarder maintenant"), Lane: job.Backup, Resume: true, Page: true, Run: w.now},
		{Name: JobDrill, Title: hint.T("Restore the backup to see that it works", "Restaurer la sauvegarde pour voir si elle marche"), Lane: job.Backup, Resume: true, Page: true, Run: w.drill},
		{Name: JobCheck, Title: hint.T("Read through the whole backup", "Relire toute la sauvegarde"), Lane: job.Backup, Resume: true, Page: true, Run: w.check},
	}
}

// Kinds are the jobs of a backup, to be told of: they cannot be run.
func Kinds() []job.Kind {
	kinds := (&Routine{}).Kinds()
	for i := range kinds {
		kinds[i].Run = nil
	}
	return kinds
}

// madeNow is what comes of a backup that somebody asked for.
type madeNow struct {
	Moment time.Time `json:"moment"`
	Points int       `json:"points"`
	Bytes  int64     `json:"bytes"`
}

// now backs up what there is, and says what all of it comes to.
func (r worker) now(ctx context.Context, t *job.Task) error {
	e, err := r.awaitFirst(ctx)
	if err != nil {
		return err
	}
	give, err := r.take(ctx)
	if err != nil {
		return err
	}
	defer give()
	for {
		err := r.noteAttachments(e.Cycle(ctx))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.noteCycle(err)
		if err != nil {
			return forPeople(err)
		}
		o := e.Overview()
		if o.Copying == 0 && !o.First.IsZero() {
			break
		}
		t.Progress(o.Copying, 0, hint.T("bytes", "octets")) // a copy of everything is made part by part
	}
	p, err := e.Say(ctx)
	if err != nil {
		return forPeople(err)
	}
	o := e.Overview()
	t.Say(hint.T("All that had been written is in the backup.", "Tout ce qui était écrit est dans la sauvegarde."))
	return t.Result(madeNow{p.At, len(o.Points), o.Bytes})
}

// check reads the whole backup.
func (r worker) check(ctx context.Context, t *job.Task) error {
	e, err := r.awaitFirst(ctx)
	if err != nil {
		return err
	}
	found, err := backup.Verify(ctx, e.Target, e.Keys, func(done, of int64) { t.Progress(done, of, hint.T("bytes", "octets")) })
	if err != nil {
		return forPeople(err)
	}
	got := checked{Objects: found.Objects, Attachments: found.Attachments, Bytes: found.Bytes, Points: found.Points, More: found.More, Problems: []wrong{}}
	for _, p := range found.Problems {
		if len(got.Problems) == mostTold {
			got.More += len(found.Problems) - mostTold
			break
		}
		e := p.Hint()
		got.Problems = append(got.Problems, wrong{p.N, p.Attachment, e.Code, e.What})
	}
	if err := t.Result(got); err != nil {
		return err
	}
	if n := len(got.Problems) + got.More; n > 0 {
		r.leaveOut(ctx, e, found.Problems)
		return hint.New("backup-damaged", hint.T("%d things are wrong in the backup; the first: %s", "%d choses ne vont pas dans la sauvegarde ; la première : %s", n, got.Problems[0].What), hint.T("What is damaged is left out, and what is needed of it is copied anew.", "Ce qui est endommagé est laissé de côté, et ce qu'il en faut est recopié."),
			hint.T("Look whether the disk is in order; if things are missing there, begin a new backup: `sudo foyer backup to FOLDER --new`.", "Vérifiez l'état du disque ; s'il y manque des éléments, commencez une nouvelle sauvegarde : `sudo foyer backup to DOSSIER --new`."))
	}
	t.Say(hint.T("Nothing is wrong. Read: objects %d, attachments %d.", "Tout va bien. Relus : objets %d, fichiers joints %d.", got.Objects, got.Attachments))
	return nil
}

// leaveOut has what cannot be read any more left out of the backup, and copied anew if what is to
// come needs it.
func (r worker) leaveOut(ctx context.Context, e *backup.Engine, problems []backup.Problem) {
	give, err := r.take(ctx)
	if err != nil {
		return
	}
	defer give()
	if err := e.Lost(ctx, problems); err != nil {
		r.cfg.Log.Warn("what is damaged in the backup is left out", "err", err)
	}
}

// mostTold is how many problems the result of a check names.
const mostTold = 50

// checked is what comes of reading all of a backup.
type checked struct {
	Objects     int     `json:"objects"` // that are what they should be
	Attachments int     `json:"attachments"`
	Bytes       int64   `json:"bytes"` // that were read
	Points      int     `json:"points"`
	Problems    []wrong `json:"problems"`
	More        int     `json:"more,omitempty"` // problems beyond these
}

// wrong is one thing that is wrong in a backup.
type wrong struct {
	Object     uint64    `json:"object,omitempty"`
	Attachment string    `json:"attachment,omitempty"` // its SHA-256
	Code       string    `json:"code"`
	What       hint.Text `json:"what"`
}
