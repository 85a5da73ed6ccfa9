package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/internal/safepath"
	"github.com/foyer-server/foyer/supervisor/backup/kit"
	"github.com/foyer-server/foyer/supervisor/backup/routine"
	"github.com/foyer-server/foyer/supervisor/backup/target"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/service"
)

// beginning begins a backup in a folder (docs/backups.md#a-backup-begins).
//
// Root makes the folder, if need be, and gives it to the user that Foyer runs as; whether that
// one can use it is found out as that user, before anything is changed. Then the settings name
// it, so that the service may write there, and the service makes the keys: no file of it is
// ever root's.
type beginning struct {
	typing
	sameDisk, words, fresh bool
}

func (a *beginning) run(ctx context.Context, dir string) error {
	if os.Geteuid() != 0 {
		return needRoot()
	}
	s, err := a.loadSettings(ctx, nil)
	if err != nil {
		return err
	}
	if s.PostgreSQL() != "" {
		return routine.Unsupported(nil)
	}
	c := control.Dial(a.runDir)
	now, err := c.Backup(ctx)
	if err != nil {
		return err
	}
	dir, err = a.place(dir)
	if err != nil {
		return err
	}
	if now.To == dir && now.Chain != "" && !a.fresh {
		return a.done(now, true)
	}
	back, err := a.give(ctx, dir) // nobody writes words down for a folder that is of no use
	if err != nil {
		return err
	}
	text, err := a.kit(ctx)
	if err != nil {
		return errors.Join(err, back())
	}
	if now.To != dir {
		if err := backupsGoTo(ctx, a.app, dir); err != nil {
			return errors.Join(err, back())
		}
	}
	b, err := c.BeginBackup(ctx, report.BeginBackup{Words: text, SameDisk: a.sameDisk, New: a.fresh})
	if err != nil {
		if now.To != dir { // as it was before
			err = errors.Join(err, backupsGoTo(context.WithoutCancel(ctx), a.app, now.To))
		}
		return errors.Join(err, back())
	}
	return a.done(b, false)
}

// done says what was begun.
func (a *beginning) done(b report.Backup, before bool) error {
	switch {
	case a.json:
		a.printJSON(b)
		return nil
	case before:
		a.say(hint.T("Backups go to %s already.", "Les sauvegardes vont déjà dans %s.", b.To))
	default:
		a.say(hint.T("The backup has begun, in %s: at first all there is, then every few seconds what is new.", "La sauvegarde a commencé, dans %s : d'abord tout ce qu'il y a, puis, toutes les quelques secondes, ce qui est nouveau.", b.To))
	}
	a.say(hint.T("Foyer restores it by itself to see that it works, and then once a month. `sudo foyer backup` shows how it stands.", "Foyer la restaure de lui-même pour voir si elle marche, puis une fois par mois. `sudo foyer backup` montre où elle en est."))
	return nil
}

// place is the folder that is meant. On a disk, itself, it is a folder that Foyer makes for it.
func (a *beginning) place(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	} else if above, err := filepath.EvalSymlinks(filepath.Dir(dir)); err == nil {
		dir = filepath.Join(above, filepath.Base(dir))
	}
	if at, err := host.MountPoint(dir); err == nil && at == dir {
		dir = filepath.Join(dir, "foyer")
	}
	if service.Hidden(dir) {
		return "", routine.Unreachable(dir)
	}
	return dir, nil
}

// give makes the folder, or takes an empty one, for the user that Foyer runs as, and has that
// user make a target of it. back undoes that, as long as nothing is in it.
func (a *beginning) give(ctx context.Context, dir string) (back func() error, err error) {
	user, ok, err := host.LookupUser(ctx, host.Exec{}, "/", config.SystemUser)
	if err != nil || !ok {
		return nil, errors.Join(err, fmt.Errorf("cannot find the user %s", config.SystemUser))
	}
	made := true
	switch err := os.Mkdir(dir, 0o700); {
	case errors.Is(err, fs.ErrExist):
		made = false
	case errors.Is(err, fs.ErrNotExist):
		return nil, hint.New("target-away", hint.T("The folder %s is not there, nor the one it would be in.", "Le dossier %s n'existe pas, ni celui où il serait.", dir), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Plug the disk in and mount it; `lsblk` shows where.", "Branchez le disque et montez-le ; `lsblk` montre où.")).Because(err)
	case err != nil:
		return nil, whyNotWritten(dir, err)
	}
	back, err = giveTo(dir, user)
	if made {
		given := back
		back = func() error { return errors.Join(given(), removeEmpty(dir)) }
	}
	if err == nil {
		err = a.tryAs(ctx, user, dir)
	}
	if err != nil {
		return nil, errors.Join(err, back())
	}
	return back, nil
}

// removeEmpty removes a folder, if nothing is in it.
func removeEmpty(dir string) error {
	if err := os.Remove(dir); err != nil && !errors.Is(err, syscall.ENOTEMPTY) {
		return err
	}
	return nil
}

// giveTo gives a folder to a user, if nothing is in it that may be somebody's. On file systems
// without owners that does nothing; whether the user can use it is then found out. back has it
// be as it was, as long as nothing is in it but that it is a target.
func giveTo(dir string, user host.User) (back func() error, err error) {
	back = func() error { return nil }
	d, err := safepath.Open(dir)
	if err != nil {
		return back, err
	}
	defer d.Close() //nolint:errcheck // a folder, opened to be looked at
	names, err := d.Names(2)
	if err != nil {
		return back, err
	}
	if len(names) > 1 || len(names) == 1 && names[0] != "lost+found" {
		return back, nil // it is somebody's, or a target already: it stays as it is
	}
	is, err := d.Info()
	if err != nil {
		return back, err
	}
	back = func() error { return takeBack(dir, is) }
	if err := d.Own(is.Mode, user.UID, user.GID); err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, errors.ErrUnsupported) {
		return back, fmt.Errorf("cannot give the folder to the user %s: %w", config.SystemUser, err)
	}
	return back, nil
}

// takeBack has a folder be no target, and of whom it was.
func takeBack(dir string, was safepath.Info) error {
	d, err := safepath.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // a folder, opened to be worked in
	names, err := d.Names(3)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name != "lost+found" && name != target.IdentityFile {
			return nil // something is in it by now
		}
	}
	if slices.Contains(names, target.IdentityFile) {
		if err := d.Remove(target.IdentityFile); err != nil {
			return err
		}
	}
	if err := d.Own(was.Mode, was.UID, was.GID); err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// tryAs has a user make a target of a folder: it has to be that user's to use.
func (a *beginning) tryAs(ctx context.Context, user host.User, dir string) error {
	exe, err := host.Program()
	if err != nil {
		return err
	}
	args := []string{"backup", "prepare", dir, "--json", "--lang", string(a.lang), "--settings", a.settings}
	if a.sameDisk {
		args = append(args, "--same-disk")
	}
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Args[0], cmd.Dir, cmd.Env = "foyer", "/", a.environ
	host.RunAs(cmd, user)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err == nil {
		return nil
	}
	var failed struct{ Error, Message, Did, Do string }
	if json.Unmarshal(out, &failed) == nil && failed.Error != "" && failed.Error != "failed" {
		failed = hint.Clean(failed)
		return hint.New(failed.Error, hint.Verbatim(failed.Message), hint.Verbatim(failed.Did), hint.Verbatim(failed.Do)).Because(err)
	}
	return fmt.Errorf("cannot look whether backups can go to %s: %w: %.500s", dir, err, bytes.TrimSpace(said.Bytes()))
}

// prepareCmd is tryAs's other end.
func prepareCmd(a *app) *cobra.Command {
	same := false
	cmd := &cobra.Command{
		Use: "prepare FOLDER", Hidden: true, Args: usage(a, cobra.ExactArgs(1)),
		Short: hint.T("Make a folder ready for backups, as the user that Foyer runs as", "Préparer un dossier pour les sauvegardes, en tant qu'utilisateur de Foyer").In(a.lang),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.loadSettings(cmd.Context(), a.environ)
			if err != nil {
				return err
			}
			at, err := target.PrepareFolder(cmd.Context(), args[0], target.FolderOptions{Data: s.Data, SameDisk: same})
			if err != nil {
				return err
			}
			return a.encode(at)
		},
	}
	cmd.Flags().BoolVar(&same, "same-disk", false, "")
	return cmd
}

// kit is the words to begin with: those of a kit there is, or new ones that the person has written
// down.
func (a *beginning) kit(ctx context.Context) (string, error) {
	if a.words {
		k, err := a.typing.words(ctx)
		if err != nil {
			return "", err
		}
		return strings.Join(k.Words(hint.EN), " "), nil
	}
	if !a.asks() {
		return "", hint.New("kit-needed", hint.T("Without a terminal nobody can write new words down.", "Sans terminal, personne ne peut noter de nouveaux mots."), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Run it at a terminal; or give the words of a kit there is on standard input, with --words.", "Lancez-le dans un terminal ; ou donnez les mots d'un kit existant par l'entrée standard, avec --words.")).Exits(hint.ExitUsage)
	}
	k, err := kit.New()
	if err != nil {
		return "", err
	}
	words := k.Words(a.lang)
	a.say(hint.T("These twelve words open the backup. Nobody else has them, and nobody can find them out: without them it is lost when this machine is.", "Ces douze mots ouvrent la sauvegarde. Personne d'autre ne les a, et personne ne peut les retrouver : sans eux, elle est perdue si cette machine l'est."))
	a.say(hint.T("Write them on paper, and keep that somewhere else than this machine:", "Notez-les sur papier, et gardez-le ailleurs que près de cette machine :"))
	line(a.out, "")
	for row := range slices.Chunk(words, 4) {
		var text strings.Builder
		for _, w := range row {
			text.WriteString(hint.Sprintf(a.lang, "  %2d  %-12s", slices.Index(words, w)+1, w))
		}
		line(a.out, strings.TrimRight(text.String(), " "))
	}
	line(a.out, "")
	return strings.Join(k.Words(hint.EN), " "), a.written(ctx, k)
}

// written asks for two of the words, until they are right.
func (a *beginning) written(ctx context.Context, k *kit.Kit) error {
	words := k.Words(a.lang)
	for _, i := range rand.Perm(len(words))[:2] {
		for {
			a.say(hint.T("On your paper, what is word %d?", "Sur votre papier, quel est le mot %d ?", i+1))
			text, err := a.readLine(ctx)
			if err != nil {
				return err
			}
			if kit.SameWord(text, words[i]) {
				break
			}
			a.say(hint.T("That is not word %d. Look at the paper, and at the words above.", "Ce n'est pas le mot %d. Regardez le papier, et les mots ci-dessus.", i+1))
		}
	}
	return nil
}
