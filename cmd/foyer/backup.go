package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/backup/routine"
	"github.com/foyer-server/foyer/supervisor/control"
)

// backupCmd looks after the backup of an installed Foyer (docs/backups.md).
func backupCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "backup", Args: usage(a, cobra.NoArgs),
		Short: hint.T("How the backup stands", "Où en est la sauvegarde").In(a.lang),
		RunE:  func(cmd *cobra.Command, _ []string) error { return showBackup(cmd.Context(), a) },
	}
	b := beginning{typing: typing{app: a}}
	to := &cobra.Command{
		Use: "to FOLDER", Args: usage(a, cobra.ExactArgs(1)),
		Short: hint.T("Begin a backup in a folder on another disk, with twelve words on paper", "Commencer une sauvegarde dans un dossier d'un autre disque, avec douze mots sur papier").In(a.lang),
		RunE:  func(cmd *cobra.Command, args []string) error { return b.run(cmd.Context(), args[0]) },
	}
	f := to.Flags()
	f.BoolVar(&b.sameDisk, "same-disk", false, hint.T("allow a folder on the disk of the data: it survives mistakes, not the end of the disk", "accepter un dossier sur le disque des données : il survit aux erreurs, pas à la fin du disque").In(a.lang))
	f.BoolVar(&b.words, "words", false, hint.T("use the words of a kit there is, typed or from standard input, rather than new ones", "utiliser les mots d'un kit existant, tapés ou par l'entrée standard, plutôt que de nouveaux").In(a.lang))
	f.BoolVar(&b.fresh, "new", false, hint.T("begin a new backup beside the one before, which ends here and stays there", "commencer une nouvelle sauvegarde à côté de la précédente, qui s'arrête ici et reste là-bas").In(a.lang))
	job := func(use, kind string, short hint.Text) *cobra.Command {
		return &cobra.Command{
			Use: use, Args: usage(a, cobra.NoArgs), Short: short.In(a.lang),
			RunE: func(cmd *cobra.Command, _ []string) error { return backupJob(cmd.Context(), a, kind) },
		}
	}
	cmd.AddCommand(to, prepareCmd(a),
		job("now", routine.JobNow, hint.T("Back up at once all that was written", "Sauvegarder tout de suite ce qui est écrit")),
		&cobra.Command{
			Use: "list", Args: usage(a, cobra.NoArgs),
			Short: hint.T("Moments that can be restored", "Les moments qui peuvent être restaurés").In(a.lang),
			RunE:  func(cmd *cobra.Command, _ []string) error { return listBackup(cmd.Context(), a) },
		},
		job("check", routine.JobCheck, hint.T("Read through the whole backup", "Relire toute la sauvegarde")),
		job("drill", routine.JobDrill, hint.T("Restore it beside the data, to see that it works", "La restaurer à côté des données, pour voir si elle marche")),
		&cobra.Command{
			Use: "forget", Args: usage(a, cobra.NoArgs),
			Short: hint.T("End the backup on this machine; what is in it stays where it is", "Mettre fin à la sauvegarde sur cette machine ; ce qu'elle contient reste où c'est").In(a.lang),
			RunE:  func(cmd *cobra.Command, _ []string) error { return forgetBackup(cmd.Context(), a) },
		})
	return cmd
}

// showBackup says how the backup stands.
func showBackup(ctx context.Context, a *app) error {
	c := control.Dial(a.runDir)
	b, err := c.Backup(ctx)
	if err != nil {
		return err
	}
	if a.json {
		a.printJSON(b)
		return nil
	}
	for _, l := range backupLines(b, time.Now()) {
		a.say(l)
	}
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	for _, r := range s.Checks {
		if r.Code == routine.Code || r.Code == routine.CodeProof {
			a.findings([]report.Result{r})
		}
	}
	return nil
}

// backupLines is how a backup stands, in lines.
func backupLines(b report.Backup, now time.Time) (out []hint.Text) {
	if b.To == "" {
		return []hint.Text{
			hint.T("Nothing is backed up here.", "Rien n'est sauvegardé ici."),
			hint.T("Plug in a disk, and name a folder on it: `sudo foyer backup to /media/…`", "Branchez un disque, et indiquez un dossier dessus : `sudo foyer backup to /media/…`"),
		}
	}
	out = append(out, hint.T("Backups go to %s.", "Les sauvegardes vont dans %s.", b.To))
	switch {
	case b.Chain == "":
		return out
	case b.Complete.IsZero():
		out = append(out, hint.T("The first copy of everything is being made: %s so far.", "La première copie complète est en cours : %s jusqu'ici.", report.Size(uint64(b.Copied))))
	default:
		out = append(out,
			b.Word(now),
			hint.T("Moments that can be restored: %d, back to %s; %s.", "Moments qui peuvent être restaurés : %d, jusqu'au %s ; %s.", b.Points, clock(b.Oldest), report.Size(uint64(b.Bytes))))
	}
	return append(out, b.ProvenWord(now))
}

// backupJob has a job done, and shows how it goes.
func backupJob(ctx context.Context, a *app, kind string) error {
	last, err := a.doJob(ctx, kind, nil)
	if err != nil || a.json || last.Result == nil || kind != routine.JobDrill {
		return err
	}
	var p report.Proven
	if json.Unmarshal(last.Result, &p) == nil && p.Compared {
		a.say(hint.T("It is what the server had.", "C'est ce que le serveur avait."))
	}
	return nil
}

// listBackup lists what can be restored: each moment on a line, the newest first.
func listBackup(ctx context.Context, a *app) error {
	points, err := control.Dial(a.runDir).BackupPoints(ctx)
	if err != nil {
		return err
	}
	if a.json {
		a.printJSON(map[string]any{"points": points})
		return nil
	}
	for _, at := range points {
		a.printf("%s\n", clock(at))
	}
	if len(points) == 0 {
		a.say(hint.T("Nothing can be restored yet.", "Rien ne peut encore être restauré."))
	}
	return nil
}

// forgetBackup ends the backup, and takes its folder out of the settings.
func forgetBackup(ctx context.Context, a *app) error {
	c := control.Dial(a.runDir)
	b, err := c.Backup(ctx)
	if err != nil {
		return err
	}
	if b.To == "" && b.Chain == "" {
		return hint.New("backup-off", hint.T("Nothing is backed up here.", "Rien n'est sauvegardé ici."), hint.T("Nothing was changed.", "Rien n'a été changé."), hint.Text{})
	}
	if b.Chain != "" {
		if err := c.EndBackup(ctx); err != nil {
			return err
		}
	}
	if err := backupsGoTo(ctx, a, ""); err != nil {
		return err
	}
	if a.json {
		a.printJSON(map[string]any{"ended": b.To})
		return nil
	}
	a.say(hint.T("Nothing more is backed up. What is in %s stays there, and is restored with its words.", "Plus rien n'est sauvegardé. Ce qui est dans %s y reste, et se restaure avec ses mots.", b.To))
	return nil
}

// backupsGoTo has the settings name a folder for backups, and the service use that: it may
// write there, and nowhere else besides.
func backupsGoTo(ctx context.Context, a *app, to string) error {
	edit := config.Edit{Key: "backup.to", Value: to, Unset: to == ""}
	if _, _, err := installer.EditSettings(a.settings, []config.Edit{edit}, func() error { return onTrial(ctx) }); err != nil {
		return err
	}
	in, err := theInstaller()
	if err != nil {
		return err
	}
	if _, err := in.ApplySettings(ctx, nil); err != nil {
		return err
	}
	return awaitBackup(ctx, a, to)
}

// startsAgain is how long a service may take that is started with other settings.
const startsAgain = 3 * time.Minute

// awaitBackup waits until the service goes by a folder for backups, and its server is well.
func awaitBackup(ctx context.Context, a *app, to string) (err error) {
	c := control.Dial(a.runDir)
	for end := time.Now().Add(startsAgain); time.Now().Before(end); {
		var s report.Status
		if s, err = c.Status(ctx); err == nil && s.Server.State == "healthy" && s.Backup != nil && s.Backup.To == to {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	return hint.New("not-healthy", hint.T("The settings were applied, and Foyer does not go by them yet.", "Les réglages ont été appliqués, et Foyer ne les suit pas encore."), hint.Text{},
		hint.T("`sudo foyer logs` shows why.", "`sudo foyer logs` montre pourquoi.")).Because(err)
}
