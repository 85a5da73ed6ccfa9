package routine

import (
	"context"
	"errors"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/backup/drill"
	"github.com/foyer-server/foyer/supervisor/job"
)

// drillWhenDue has the backup restored to see that it can be, when it is time: after the first
// copy of everything, once a month, with a new version and after a change of the format of the
// data; and a day after one that failed.
func (r *Routine) drillWhenDue() {
	if !r.drillDue(r.cfg.Clock.Now()) {
		return
	}
	if _, err := r.host.start(JobDrill); err != nil {
		r.cfg.Log.Warn("the backup cannot be restored to see that it works", "err", err)
	}
}

func (r *Routine) drillDue(now time.Time) bool {
	r.mu.Lock()
	e, p, wrong := r.engine, r.proof, r.wrong
	asked := r.drilled
	r.mu.Unlock()
	if e == nil || wrong != nil || within(asked, now, r.cfg.Timing.Failed) {
		return false
	}
	o := e.Overview()
	first := o.First
	switch {
	case first.IsZero(), o.Complete.IsZero():
		return false
	case p.Failed != nil:
		return !within(p.FailedAt, now, r.cfg.Timing.Failed)
	case p.Proven == nil:
		return !within(first, now, r.cfg.Timing.First)
	}
	return p.Proven.Version != r.cfg.Version || p.Schema != r.cfg.Schema || !within(p.Proven.At, now, r.cfg.Timing.Drill)
}

// within reports whether a time is less than some time ago, and not ahead of now by more.
func within(at, now time.Time, most time.Duration) bool {
	since := now.Sub(at)
	return !at.IsZero() && since < most && since > -most
}

// notBegunFor is how long it is before a restore to see that could not even begin is tried again.
const notBegunFor = time.Hour

// drill is the job: it has the newest point restored, and keeps how that went.
func (r worker) drill(ctx context.Context, t *job.Task) error {
	k := r.begun()
	if k == nil || !r.isOn() {
		return notBegun(r.cfg.To)
	}
	now := r.cfg.Clock.Now()
	began := false
	note := func(at time.Time) { r.mu.Lock(); r.drilled = at; r.mu.Unlock() }
	note(now)
	defer func() {
		if !began { // no verdict on the backup: it is not left alone for a day
			note(now.Add(notBegunFor - r.cfg.Timing.Failed))
		}
	}()
	dir := drillDir(r.cfg.Dir)
	if err := makeDirs(r.cfg.Dir); err != nil {
		return err
	}
	if !t.Again() { // of one that was cut off the work may go on: it is followed
		// First of all, lest the result of the one before be taken for that of this one, which was cut off.
		ask := drill.Request{Target: k.Target, Keys: keysDir(r.cfg.Dir), Data: r.cfg.Data, Said: true}
		if err := drill.Ask(dir, ask); err != nil {
			return err
		}
		if err := r.say(ctx); err != nil {
			return err
		}
	}
	began = true
	err := r.cfg.Drill(ctx, t.ID(), dir, func(p drill.Progress) { t.Progress(p.Done, p.Of, hint.T("lines", "lignes")) })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	_, out, _, lookErr := drill.Look(dir)
	if err = errors.Join(err, lookErr); err == nil && out == nil {
		err = hint.New("drill-stopped", hint.T("The restore broke off before its end.", "La restauration s'est interrompue avant la fin."), hint.T("Foyer tries again by itself.", "Foyer réessaie de lui-même."), hint.Text{})
	}
	if err != nil {
		return r.notProven(report.ProblemOf(err))
	}
	if out.Problem != nil {
		return r.notProven(out.Problem)
	}
	return r.proven(t, out.Proven)
}

// say has the backup say what everything comes to now: that is what a restore is compared with.
func (r worker) say(ctx context.Context) error {
	e, err := r.awaitFirst(ctx)
	if err != nil {
		return err
	}
	give, err := r.take(ctx)
	if err != nil {
		return err
	}
	defer give()
	if o := e.Overview(); o.First.IsZero() {
		return hint.New("backup-first", hint.T("The first copy of everything is still being made: there is nothing to restore yet.", "La première copie complète est encore en cours : il n'y a rien à restaurer."), hint.T("Foyer restores it by itself when it is done.", "Foyer la restaurera de lui-même quand elle sera faite."), hint.Text{})
	}
	err = r.noteAttachments(e.Cycle(ctx))
	if err == nil {
		_, err = e.Say(ctx)
	}
	return forPeople(err)
}

// proven keeps that a restore worked.
func (r worker) proven(t *job.Task, p *report.Proven) error {
	p.At = r.cfg.Clock.Now().UTC() // that of whoever made it went by the clock of the machine
	r.mu.Lock()
	r.proof = proof{Proven: p, Schema: r.cfg.Schema}
	err := r.proof.save(r.cfg.Dir)
	r.mu.Unlock()
	if err != nil { // it is true all the same, until the next start
		r.cfg.Log.Warn("that the backup was restored is not on the disk", "err", err)
	}
	said := hint.T("The backup works. Restored in %s, and read from a server: records %d, accounts %d, attachments %d.", "La sauvegarde marche. Restaurés en %s, puis lus depuis un serveur : enregistrements %d, comptes %d, fichiers joints %d.",
		p.Took(), p.Records, p.People, p.Attachments)
	t.Say(said)
	if !p.Confined {
		t.Say(hint.T("Whoever restored it could have opened the data: on this machine no process is kept from them.", "Celui qui l'a restaurée aurait pu ouvrir les données : sur cette machine, aucun processus n'en est tenu à l'écart."))
	}
	r.host.tell(report.Event{Code: "backup-proven", What: said})
	return t.Result(p)
}

// notProven keeps that one did not.
func (r worker) notProven(why *report.Problem) error {
	r.mu.Lock()
	r.proof.Failed, r.proof.FailedAt = why, r.cfg.Clock.Now().UTC()
	err := r.proof.save(r.cfg.Dir)
	r.mu.Unlock()
	if err != nil {
		r.cfg.Log.Warn("that the backup could not be restored is not on the disk", "err", err)
	}
	r.host.tell(report.Event{Code: "backup-unproven", Severity: report.Error, What: hint.T("The backup was restored to see that it works, and it did not: %s", "La sauvegarde a été restaurée pour essai, et cela n'a pas marché : %s", why.What), Did: why.Did, Do: why.Do})
	return why.Err()
}
