package routine

import (
	"context"
	"errors"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/backup/target"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/source"
)

// Codes of the checks.
const (
	Code      = "backup"
	CodeProof = "backup-proof"
)

// How long it is before something is said, or said louder.
const (
	awaySoon   = time.Hour          // a disk that is away: until then it is only mentioned
	awayLong   = 7 * 24 * time.Hour // and from then on it hurts
	old        = time.Hour          // without anything being wrong
	silentFor  = 2 * time.Minute    // that a disk answers nothing, awake: one that is slow takes a minute for a large object
	unprovenAt = 24 * time.Hour     // after the first copy
	provenLast = 45 * 24 * time.Hour
	tightBytes = 1 << 30        // left on the disk with the backup, or a twentieth of it
	lacksFor   = 48 * time.Hour // attachments that are not to be had: they are tried, and said, again
)

// Checks tell how the backup stands, and whether it was ever restored.
func (r *Routine) Checks() []health.Check {
	return []health.Check{
		{Code: "backup", Title: hint.T("Backup", "Sauvegarde"), DependsOn: []string{"server"}, Run: func(context.Context) health.Finding { return r.finding(r.cfg.Clock.Now()) }},
		{Code: "backup-proof", Title: hint.T("Backup restored to see", "Restauration d'essai"), DependsOn: []string{"server"}, Run: func(context.Context) health.Finding { return r.proofFinding(r.cfg.Clock.Now()) }},
	}
}

// finding is how the backup stands.
func (r *Routine) finding(now time.Time) health.Finding {
	if r.cfg.To == "" {
		return health.Finding{} // who wants none is not nagged; the status says it
	}
	if r.cfg.Hidden {
		return hidden(r.cfg.To).Finding()
	}
	b := r.Report()
	r.mu.Lock()
	cause, damage, lacks, lacked, tight, free, fresh := r.cause, r.damage, r.lacks, r.lacked, r.tight, r.free, r.fresh
	r.mu.Unlock()
	switch {
	case damage != nil:
		return report.ProblemOf(memoryGone(r.cfg.To, damage)).Finding()
	case b.Chain == "":
		p := report.ProblemOf(notBegun(b.To)).Finding()
		p.Severity = health.Warning
		return p
	case b.Problem != nil && passes(cause):
		if late := now.Sub(latest(b)); late > old {
			return health.Finding{Severity: health.Warning, Cause: "backup-late", What: hint.T("The last backup was made %s ago.", "La dernière sauvegarde date d'il y a %s.", report.Age(late)), Did: hint.T("Foyer goes on with it when the server answers.", "Foyer la poursuit dès que le serveur répond.")}
		}
		return health.Finding{What: hint.T("It waits for the server.", "Elle attend le serveur.")}
	case b.Problem != nil:
		f := b.Problem.Finding()
		f.Severity = severity(b.Problem.Code, now.Sub(latest(b)))
		return f
	case b.Complete.IsZero():
		return health.Finding{Severity: health.Info, What: hint.T("The first copy of everything is being made.", "La première copie complète est en cours."), Cause: "backup-first"}
	case time.Since(fresh) > old+r.cfg.Interval: // not for having slept, or been off, or a clock that was set
		return health.Finding{
			Severity: health.Warning, Cause: "backup-late", What: hint.T("The last backup was made %s ago.", "La dernière sauvegarde date d'il y a %s.", report.Age(now.Sub(b.Complete))), Did: hint.T("Foyer is still at it.", "Foyer y travaille encore."),
			Do: hint.T("If it stays so, `sudo foyer logs` shows more.", "Si cela dure, `sudo foyer logs` en dit plus."),
		}
	case tight:
		return health.Finding{
			Severity: health.Warning, Cause: "backup-tight", What: hint.T("The disk with the backup is nearly full: %s left.", "Le disque de la sauvegarde est presque plein : il reste %s.", report.Size(uint64(free))), Did: hint.T("Foyer goes on as long as there is room.", "Foyer continue tant qu'il y a de la place."),
			Do: hint.T("Make room on it, or take a larger disk.", "Faites-y de la place, ou prenez un disque plus grand."),
		}
	case lacks != nil && now.Sub(lacked) < lacksFor:
		f := lacks.Finding()
		f.Severity = health.Warning
		return f
	}
	return health.Finding{What: b.Word(now)}
}

// latest is when something last went into the backup, or it began.
func latest(b report.Backup) time.Time {
	if b.Complete.After(b.Began) {
		return b.Complete
	}
	return b.Began
}

// severity is how bad it is that a backup does not go on for a reason, as long after the last.
func severity(code string, late time.Duration) health.Severity {
	switch {
	case code == "target-slow" && late < awaySoon: // it may only be busy
		return health.Warning
	case code != "target-away":
		return health.Error
	}
	switch {
	case late < awaySoon:
		return health.Info
	case late < awayLong:
		return health.Warning
	}
	return health.Error
}

// passes reports whether an error is one that passes by itself.
func passes(err error) bool { return errors.Is(err, source.ErrAway) }

// proofFinding is whether the backup was restored to see that it can be.
func (r *Routine) proofFinding(now time.Time) health.Finding {
	b := r.Report()
	p := b.Proven
	switch {
	case b.Chain == "":
		return health.Finding{}
	case b.Failed != nil:
		f := b.Failed.Finding()
		f.What = hint.T("The backup was restored to see that it works, and it did not: %s", "La sauvegarde a été restaurée pour essai, et cela n'a pas marché : %s", b.Failed.What)
		f.Did = hint.T("%s Foyer tries again each day.", "%s Foyer réessaie chaque jour.", f.Did)
		return f
	case p == nil && now.Sub(b.Began) > unprovenAt:
		return health.Finding{
			Severity: health.Warning, Cause: "unproven", What: hint.T("The backup has never been restored: nobody knows whether it works.", "La sauvegarde n'a jamais été restaurée : personne ne sait si elle marche."),
			Do: hint.T("`sudo foyer backup drill` tries it.", "`sudo foyer backup drill` l'essaie."),
		}
	case p == nil:
		return health.Finding{Severity: health.Info, Cause: "unproven", What: hint.T("The backup has not been restored yet to see that it works.", "La sauvegarde n'a pas encore été restaurée pour voir si elle marche."), Did: hint.T("Foyer does that once everything is copied.", "Foyer le fera quand tout sera copié.")}
	case now.Sub(p.At) > provenLast:
		return health.Finding{
			Severity: health.Warning, Cause: "unproven", What: hint.T("The backup was last restored to see that it works %s ago.", "Le dernier essai de restauration date d'il y a %s.", report.Age(now.Sub(p.At))), Did: hint.T("Foyer does that when the disk with the backup is there.", "Foyer le fait quand le disque de la sauvegarde est là."),
			Do: hint.T("`sudo foyer backup drill` tries it now.", "`sudo foyer backup drill` l'essaie maintenant."),
		}
	}
	return health.Finding{What: p.Word(now)}
}

// forPeople is an error of a cycle as people are told it.
func forPeople(err error) error {
	switch {
	case err == nil, hint.Find(err) != nil:
		return err
	case errors.Is(err, source.ErrAway):
		return hint.New("backup-waits", hint.T("The backup waits for the server.", "La sauvegarde attend le serveur."), hint.Text{}, hint.Text{}).Because(err)
	case errors.Is(err, source.ErrUnsupported):
		return Unsupported(err)
	case errors.Is(err, target.ErrAway):
		return hint.New("target-away", hint.T("The folder for backups is not there.", "Le dossier des sauvegardes n'est pas là."), hint.Text{}, hint.T("Plug the disk in and mount it.", "Branchez le disque et montez-le.")).Because(err)
	}
	return hint.New("backup-stopped", hint.T("The backup does not go on: %v.", "La sauvegarde n'avance pas : %v.", err), hint.T("Foyer tries again by itself.", "Foyer réessaie de lui-même."),
		hint.T("If it stays so, `sudo foyer logs` shows more.", "Si cela dure, `sudo foyer logs` en dit plus.")).Because(err)
}

// Unsupported is the error for data that Foyer makes no backups of.
func Unsupported(cause error) *hint.Error {
	return hint.New("log-unsupported", hint.T("Foyer makes no backups of a PostgreSQL database yet.", "Foyer ne fait pas encore de sauvegardes d'une base PostgreSQL."), hint.T("Nothing is backed up.", "Rien n'est sauvegardé."),
		hint.T("Back it up with the means of the database server.", "Sauvegardez-la par les moyens du serveur de base de données.")).Because(cause)
}

func notBegun(to string) *hint.Error {
	if to == "" {
		return hint.New("backup-off", hint.T("Nothing is backed up here.", "Rien n'est sauvegardé ici."), hint.Text{},
			hint.T("Plug in a disk, and name a folder on it: `sudo foyer backup to /media/…`.", "Branchez un disque, et indiquez un dossier dessus : `sudo foyer backup to /media/…`."))
	}
	return hint.New("backup-unbegun", hint.T("The settings name %s for backups, and no backup has begun there.", "Les réglages indiquent %s pour les sauvegardes, et aucune n'y a commencé.", to), hint.T("Nothing is backed up.", "Rien n'est sauvegardé."),
		hint.T("`sudo foyer backup to %s` begins one.", "`sudo foyer backup to %s` en commence une.", to))
}

func memoryGone(to string, cause error) *hint.Error {
	return hint.New("backup-memory", hint.T("What Foyer knew of its backup is damaged on this machine.", "Ce que Foyer savait de sa sauvegarde est abîmé sur cette machine."), hint.T("Nothing is added to the backup. What is in it can be read with the words of its kit.", "Rien n'est ajouté à la sauvegarde. Ce qui s'y trouve se lit avec les mots de son kit."),
		hint.T("Set it up again, with the same words: `sudo foyer backup to %s --words`.", "Préparez-la de nouveau, avec les mêmes mots : `sudo foyer backup to %s --words`.", to)).Because(cause)
}

func hidden(to string) *report.Problem {
	return report.ProblemOf(Unreachable(to))
}

// Unreachable is the error for a folder that the service cannot see.
func Unreachable(to string) *hint.Error {
	return hint.New("target-hidden", hint.T("The folder %s lies where Foyer's service may not look: homes and temporary files are closed to it.", "Le dossier %s est là où le service Foyer ne peut pas regarder : les dossiers personnels et temporaires lui sont fermés.", to), hint.T("Nothing is backed up there.", "Rien n'y est sauvegardé."),
		hint.T("Mount the disk below /mnt or /media, and name a folder there.", "Montez le disque sous /mnt ou /media, et indiquez un dossier là."))
}

func keysGone(cause error) *hint.Error {
	return hint.New("backup-keys-gone", hint.T("The keys of the backup are gone from this machine.", "Les clés de la sauvegarde ont disparu de cette machine."), hint.T("Nothing is added to the backup. What is in it can be read with the words of its kit.", "Rien n'est ajouté à la sauvegarde. Ce qui s'y trouve se lit avec les mots de son kit."),
		hint.T("Begin a new one: `sudo foyer backup to FOLDER --new`.", "Commencez-en une nouvelle : `sudo foyer backup to DOSSIER --new`.")).Because(cause)
}
