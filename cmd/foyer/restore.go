package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server/storage"
	"github.com/foyer-server/foyer/supervisor/backup"
	"github.com/foyer-server/foyer/supervisor/backup/object"
	"github.com/foyer-server/foyer/supervisor/backup/target"
	"github.com/foyer-server/foyer/supervisor/restore"
	"github.com/foyer-server/foyer/tui"
)

// restoring brings a backup back: into a folder, or in the place of the data that this machine
// serves (docs/backups.md#bringing-a-backup-back).
type restoring struct {
	typing
	from, into, to, chain    string
	verdict, yes, apps, keep bool
	only                     string       // a part of it, as files
	versions                 bool         // of one record
	point                    backup.Point // that is brought back
	within                   bool         // this process is the one that root has started
	here                     *within      // then, what it has
}

func (a *app) restoreCmd() *cobra.Command {
	r := restoring{typing: typing{app: a}}
	cmd := &cobra.Command{
		Use: "restore", Args: usage(a, apart(cobra.NoArgs, "into keep-settings")),
		Short: hint.T("Restore a backup", "Restaurer une sauvegarde").In(a.lang),
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := r.run(cmd.Context())
			if err != nil && cmd.Context().Err() != nil {
				err = host.ErrInterrupted
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.from, "from", "", hint.T("folder with the backups (that of the settings)", "dossier des sauvegardes (celui des réglages)").In(a.lang))
	f.StringVar(&r.into, "into", "", hint.T("folder to make, not there or empty, rather than the data of this server", "dossier à créer, absent ou vide, au lieu des données de ce serveur").In(a.lang))
	f.StringVar(&r.to, "to", "", hint.T("as of a moment: 2026-11-27, 2026-11-27 18:00, “yesterday 18:00”, or RFC 3339 (the newest)", "l'état à un moment : 2026-11-27, 2026-11-27 18:00, « hier 18:00 », ou RFC 3339 (le plus récent)").In(a.lang))
	f.StringVar(&r.chain, "chain", "", hint.T("which backup, where there are several", "quelle sauvegarde, s'il y en a plusieurs").In(a.lang))
	f.BoolVar(&r.verdict, "verdict", false, hint.T("say only what there is, and whether it can be restored; the exit code says it, too", "dire seulement ce qu'il y a, et si on peut la restaurer ; le code de sortie le dit aussi").In(a.lang))
	f.BoolVar(&r.yes, "yes", false, hint.T("do not ask", "ne rien demander").In(a.lang))
	f.StringVar(&r.only, "only", "", hint.T("bring only a part out, as files: /buckets/b…, “person NAME”, or the name of an attached file", "n'extraire qu'une partie, en fichiers : /buckets/b…, « person NOM », ou le nom d'un fichier joint").In(a.lang))
	f.BoolVar(&r.versions, "versions", false, hint.T("with --only and one record: print all its versions", "avec --only et un enregistrement : afficher toutes ses versions").In(a.lang))
	f.BoolVar(&r.apps, "app-passwords", false, hint.T("restore the passwords of apps, too", "restaurer aussi les mots de passe d'applications").In(a.lang))
	f.BoolVar(&r.keep, "keep-settings", false, hint.T("on another machine than the one that was backed up: leave its settings alone", "sur une autre machine que celle de la sauvegarde : garder ses réglages").In(a.lang))
	f.BoolVar(&r.within, "inside", false, "")
	f.Lookup("inside").Hidden = true
	return cmd
}

// run does it: here, or, where the data that this machine serves are to be replaced, as root with a
// process of the user that Foyer runs as.
func (a *restoring) run(ctx context.Context) error {
	if a.within {
		return a.inside(ctx)
	}
	if _, err := a.moment(time.Now()); err != nil {
		return err
	}
	if a.into == "" && installed() && !a.isPart() && (os.Geteuid() == 0 || !a.verdict) {
		return a.onMachine(ctx)
	}
	if err := a.places(ctx); err != nil {
		return err
	}
	at, err := target.ReadFolder(ctx, a.from)
	if err != nil {
		return err
	}
	return a.bring(ctx, at)
}

// bring says the verdict, and brings it back.
func (a *restoring) bring(ctx context.Context, at target.Reader) error {
	moment, err := a.moment(time.Now())
	if err != nil {
		return err
	}
	chain, err := a.find(ctx, at)
	if err != nil {
		return err
	}
	b, err := chain.Find(ctx)
	if err != nil {
		return err
	}
	point, err := pick(b, moment)
	if err != nil {
		return err
	}
	a.point = point
	here := restore.Here{Into: a.into, Schema: storage.Schema()}
	if a.here != nil {
		here.Over = a.here.Data
	}
	v, against := restore.Judge(chain.ID, b, point, here)
	if a.isPart() {
		return a.bringPart(ctx, b, against)
	}
	a.sayVerdict(v, !moment.IsZero())
	if against != nil || a.verdict {
		return against
	}
	if err := a.agreed(ctx); err != nil {
		return err
	}
	work := restore.Restore{Backup: b, Point: point, Into: a.into, Load: a.load, Attachments: attachments(b), Progress: a.sayProgress}
	if a.here != nil {
		work.Over = a.here.over(b.Manifest)
	}
	done, err := work.Run(ctx)
	if err != nil {
		return err
	}
	a.sayDone(done)
	if a.here != nil {
		return a.handOn(ctx, b.Manifest, done)
	}
	return nil
}

// find opens the backup that is meant: with the keys of this machine, where its data are replaced and
// it made the backup, or else by the words.
func (a *restoring) find(ctx context.Context, at target.Reader) (*backup.Chain, error) {
	if a.here != nil {
		if c, err := a.ownKeys(ctx, at); err != nil || c != nil {
			return c, err
		}
	}
	chains, err := a.open(ctx, at)
	if err != nil {
		return nil, err
	}
	return a.choose(ctx, chains)
}

// places looks at what was said of where from and where to.
func (a *restoring) places(ctx context.Context) (err error) {
	if a.isPart() {
		if _, err := a.what(); err != nil {
			return err
		}
	}
	switch {
	case a.from == "":
		return wrongUse(hint.T("--from is missing: the folder with the backups", "il manque --from : le dossier des sauvegardes"))
	case a.into == "" && !a.verdict && !a.versions:
		return wrongUse(hint.T("--into is missing: the folder to make", "il manque --into : le dossier à créer"))
	case a.into == "":
		return nil
	}
	if a.into, err = filepath.Abs(a.into); err != nil {
		return err
	}
	if (loader{app: a.app}).isData(ctx, a.into) {
		return occupied(hint.T("%s is the folder of this server's data.", "%s est le dossier des données de ce serveur.", a.into))
	}
	return restore.Free(a.into)
}

// open asks for the words until they open something: at a terminal again and again, from a
// pipe once.
func (a *restoring) open(ctx context.Context, at target.Reader) ([]*backup.Chain, error) {
	for {
		words, err := a.words(ctx)
		var chains []*backup.Chain
		if err == nil {
			if chains, err = backup.Open(ctx, at, words); err == nil {
				a.newerWords(chains)
				return chains, nil
			}
		}
		again := errors.Is(err, object.ErrWrongKey) || words == nil && hint.Find(err) != nil && !errors.Is(err, tui.ErrCancelled)
		if !again || !a.asks() {
			return nil, err
		}
		e := hint.Find(err)
		a.say(hint.T("%s %s", "%s %s", e.What, e.Do))
	}
}

// newerWords says that other words have taken the place of these.
func (a *restoring) newerWords(chains []*backup.Chain) {
	for _, c := range chains {
		if c.Keys.Replaced {
			a.say(hint.T("! These words were replaced by newer ones. They still open what was kept of this backup.", "! Ces mots ont été remplacés par de plus récents. Ils ouvrent encore ce qui reste de cette sauvegarde."))
		}
	}
}

// choose is the chain that is meant.
func (a *restoring) choose(ctx context.Context, chains []*backup.Chain) (*backup.Chain, error) {
	if a.chain != "" {
		var meant []*backup.Chain
		for _, c := range chains {
			if strings.HasPrefix(c.ID, strings.ToLower(a.chain)) {
				meant = append(meant, c)
			}
		}
		if len(meant) == 1 {
			return meant[0], nil
		}
	} else if len(chains) == 1 {
		return chains[0], nil
	}
	a.say(hint.T("These words open several backups here, of several machines or times:", "Ces mots ouvrent ici plusieurs sauvegardes, de plusieurs machines ou époques :"))
	for i, c := range chains {
		newest := "?"
		if !c.At.IsZero() {
			newest = clock(c.At)
		}
		a.say(hint.T("  %d  %s  up to %s, %d MB", "  %d  %s  jusqu'au %s, %d Mo", i+1, c.ID[:8], newest, c.Bytes>>20))
	}
	if a.chain == "" && a.asks() {
		a.say(hint.T("Which one? (number)", "Laquelle ? (numéro)"))
		text, err := a.readLine(ctx)
		if err != nil {
			return nil, err
		}
		if n, err := strconv.Atoi(text); err == nil && n >= 1 && n <= len(chains) {
			return chains[n-1], nil
		}
	}
	return nil, hint.New("restore-several",
		hint.T("It is not clear which backup is meant.", "On ne sait pas de quelle sauvegarde il s'agit."), hint.T("Nothing was restored.", "Rien n'a été restauré."),
		hint.T("Name one of them: --chain %s", "Indiquez l'une d'elles : --chain %s", chains[0].ID[:8])).Exits(hint.ExitUsage)
}

// agreed asks whether it is to be done.
func (a *restoring) agreed(ctx context.Context) error {
	if a.yes {
		return nil
	}
	if !a.asks() {
		return hint.New("yes-needed", hint.T("Without a terminal nobody can be asked.", "Sans terminal, personne ne peut répondre."), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Add --yes.", "Ajoutez --yes.")).Exits(hint.ExitUsage)
	}
	want := map[hint.Lang]string{hint.EN: "yes", hint.FR: "oui"}[a.lang]
	if a.here != nil {
		a.say(hint.T("Type %s to have this server serve it:", "Tapez %s pour que ce serveur la serve :", want))
	} else {
		a.say(hint.T("Type %s to restore it into %s:", "Tapez %s pour la restaurer dans %s :", want, a.into))
	}
	if text, err := a.readLine(ctx); err != nil || text != want {
		return cancelled()
	}
	return nil
}

// pick is the last point of a moment or before; zero: the newest.
func pick(b *backup.Backup, moment time.Time) (backup.Point, error) {
	points := b.Points()
	if len(points) == 0 {
		return backup.Point{}, hint.New("backup-none", hint.T("No moment of this backup can be restored: too much of it is damaged or missing.", "Aucun moment de cette sauvegarde ne peut être restauré : trop d'éléments sont endommagés ou manquent."), hint.Text{},
			hint.T("Use another copy of the backup.", "Utilisez une autre copie de la sauvegarde."))
	}
	if moment.IsZero() {
		return points[len(points)-1], nil
	}
	p, found := b.AsOf(moment)
	if !found {
		return p, hint.New("restore-too-early",
			hint.T("The backup does not go back to %s: it begins at %s.", "La sauvegarde ne remonte pas jusqu'au %s : elle commence le %s.", clock(moment), clock(points[0].At)), hint.T("Nothing was restored.", "Rien n'a été restauré."),
			hint.T("Name a later moment.", "Indiquez un moment plus tardif.")).Exits(hint.ExitUsage)
	}
	return p, nil
}
