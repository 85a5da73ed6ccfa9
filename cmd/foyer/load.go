package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/people"
	"github.com/foyer-server/foyer/server/storage"
)

// loadCmd makes a database of the lines of a log of changes: the end of a restore, started by
// who reads those lines out of a backup (docs/control.md#foyer-load).
func (a *app) loadCmd() *cobra.Command {
	var notes, moment int64
	l := loader{app: a}
	cmd := &cobra.Command{
		Use: "load DIR", Hidden: true, Args: usage(a, cobra.ExactArgs(1)),
		Short: hint.T("Make a database of the lines on standard input; started by a restore", "Faire une base de données des lignes de l'entrée standard ; lancé par une restauration").In(a.lang),
		RunE: func(cmd *cobra.Command, args []string) error {
			until := time.Now()
			if cmd.Flags().Changed("notes") {
				until = time.UnixMilli(notes)
			}
			l.moment = time.Now()
			if cmd.Flags().Changed("moment") {
				l.moment = time.UnixMilli(moment)
			}
			return l.load(cmd.Context(), args[0], until)
		},
	}
	cmd.Flags().BoolVar(&l.restored, "restored", false, hint.T("check the database, and end what is not to come back from a backup: sessions, invitations, reset links, passwords of apps", "vérifier la base, et retirer ce qui ne doit pas revenir d'une sauvegarde : sessions, invitations, liens de mot de passe, mots de passe d'applications").In(a.lang))
	cmd.Flags().BoolVar(&l.apps, "app-passwords", false, hint.T("with --restored: keep the passwords of apps", "avec --restored : garder les mots de passe d'applications").In(a.lang))
	cmd.Flags().Int64Var(&moment, "moment", 0, hint.T("with --restored: the moment that is brought back, after which everything is lost: milliseconds since 1970 (now)", "avec --restored : le moment restauré, après lequel tout est perdu : millisecondes depuis 1970 (maintenant)").In(a.lang))
	cmd.Flags().Int64Var(&notes, "notes", 0, hint.T("leave notes that end before this time out of the summary: milliseconds since 1970 (now)", "ne pas compter les notes qui finissent avant cette date : millisecondes depuis 1970 (maintenant)").In(a.lang))
	return cmd
}

// loader makes a database of what a run of the command reads.
type loader struct {
	*app
	restored bool      // what is loaded is a backup that is brought back
	moment   time.Time // of which it is
	apps     bool      // the passwords of apps come back, too
}

// loaded is what `foyer load` says in the end.
type loaded struct {
	Lines   int                `json:"lines"`
	Summary *changelog.Summary `json:"summary"`
}

// load makes the database in a folder, or nothing at all.
func (a loader) load(ctx context.Context, dir string, notes time.Time) (err error) {
	if err := host.NoCoreFiles(); err != nil {
		return err
	}
	signal.Ignore(syscall.SIGPIPE) // whoever started this may go: then there is something to clear away
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if a.isData(ctx, dir) {
		return occupied(hint.T("%s is the folder of this server's data.", "%s est le dossier des données de ce serveur.", dir))
	}
	made, err := emptyFolder(dir)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "data.db")
	defer func() {
		if err == nil {
			return
		}
		there, e := os.ReadDir(dir) // also what belongs to an open database
		for _, f := range there {
			if strings.HasPrefix(f.Name(), "data.db") {
				e = errors.Join(e, os.Remove(filepath.Join(dir, f.Name())))
			}
		}
		err = errors.Join(err, e)
		if made {
			err = errors.Join(err, os.Remove(dir))
		}
		err = whyNotLoaded(ctx, dir, err)
	}()
	out := loaded{}
	err = storage.Load(ctx, path, linesOf(ctx, a.in), func(n int) {
		out.Lines = n
		a.progress(n)
	})
	if err == nil && made {
		err = atomicfile.SyncDir(filepath.Dir(dir))
	}
	if err == nil {
		out.Summary, err = storage.SummarizeFile(ctx, path, notes)
	}
	if err == nil && a.restored {
		err = a.finish(ctx, path)
	}
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err == nil {
		err = a.handOver(out)
	}
	return err
}

// handOver says what was made to whoever started this: a program, with --json or without. If
// nobody is there any more, nobody will use it.
func (a loader) handOver(out loaded) error {
	asked := a.json
	a.json = true
	defer func() { a.json = asked }()
	if err := a.encode(out); err != nil {
		return fmt.Errorf("whoever started this has gone: %w", err)
	}
	return nil
}

// finish makes a database that was brought back from a backup fit to be served: what is only
// lent ends (people.Restored), what was written after its moment is noted as lost, for devices
// that have seen it (kinto.Lose), and all of it fits together.
func (a loader) finish(ctx context.Context, path string) error {
	db, err := storage.Open(ctx, path, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	err = db.Write(ctx, nil, func(tx kinto.Tx) error {
		if err := people.Restored(tx, a.apps); err != nil {
			return err
		}
		return kinto.Lose(tx, a.moment.UnixMilli())
	})
	if err == nil {
		err = db.Check(ctx)
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(path))
}

// progress says how many lines were taken in; standard output is for the end.
func (a loader) progress(lines int) {
	text := hint.T("%d lines", "%d lignes", lines).In(a.lang)
	if a.json {
		text = `{"lines":` + strconv.Itoa(lines) + "}"
	}
	line(a.err, text)
}

// isData reports whether a folder is that of the data of the server that the settings are of.
func (a loader) isData(ctx context.Context, dir string) bool {
	folders := []string{config.Default().Data}
	if s, err := a.loadSettings(ctx, a.environ); err == nil {
		folders = append(folders, s.Data)
	}
	is, err := os.Stat(dir)
	for _, f := range folders {
		data, e := os.Stat(f)
		if f == dir || err == nil && e == nil && os.SameFile(is, data) {
			return true
		}
	}
	return false
}

// emptyFolder makes a folder, or finds that it is there and empty.
func emptyFolder(dir string) (made bool, err error) {
	err = os.Mkdir(dir, 0o700)
	if !errors.Is(err, fs.ErrExist) {
		return err == nil, whyNotWritten(dir, err)
	}
	there, err := os.ReadDir(dir)
	if errors.Is(err, syscall.ENOTDIR) || len(there) > 0 {
		return false, occupied(hint.T("%s is there already, and holds something.", "%s existe déjà, et contient quelque chose.", dir))
	}
	return false, whyNotWritten(dir, err)
}

func occupied(what hint.Text) error {
	return hint.New("load-occupied", what, hint.T("Nothing was changed.", "Rien n'a été changé."), hint.T("Name a folder that is empty, or not there.", "Indiquez un dossier vide, ou qui n'existe pas.")).Exits(hint.ExitUsage)
}

// linesOf reads lines until there are no more, or ctx ends.
func linesOf(ctx context.Context, in io.Reader) iter.Seq2[changelog.Line, error] {
	return func(yield func(changelog.Line, error) bool) {
		// What waits for a pipe goes on until the process ends; nobody waits for it.
		out, pipe := io.Pipe()
		defer out.Close() //nolint:errcheck // it never fails
		defer context.AfterFunc(ctx, func() { pipe.CloseWithError(host.ErrInterrupted) })()
		go func() {
			_, err := io.CopyBuffer(struct{ io.Writer }{pipe}, struct{ io.Reader }{in}, make([]byte, 256<<10))
			pipe.CloseWithError(err)
		}()
		for r := changelog.NewReader(out); ; {
			text, err := r.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			var l changelog.Line
			if err == nil {
				l, err = changelog.Parse(text)
			}
			if !yield(l, err) || err != nil {
				return
			}
		}
	}
}

// whyNotLoaded is what can be done about it.
func whyNotLoaded(ctx context.Context, dir string, err error) error {
	nothing := hint.T("Nothing was left of it.", "Il n'en reste rien.")
	switch {
	case ctx.Err() != nil, errors.Is(err, host.ErrInterrupted):
		return host.ErrInterrupted
	case errors.Is(err, changelog.ErrNoLine):
		return hint.New("log-malformed", hint.T("What was to be loaded is no log of changes, or was made by a newer Foyer.", "Ce qui devait être chargé n'est pas un journal des modifications, ou vient d'un Foyer plus récent."), nothing,
			hint.T("Take another backup, or the newest Foyer.", "Prenez une autre sauvegarde, ou le Foyer le plus récent.")).Because(err)
	case errors.Is(err, storage.ErrIncomplete):
		return hint.New("log-incomplete", hint.T("What was to be loaded is not all of it.", "Ce qui devait être chargé n'est pas complet."), nothing,
			hint.T("Take another backup, or an earlier point of this one.", "Prenez une autre sauvegarde, ou un point antérieur de celle-ci.")).Because(err)
	}
	return whyNotWritten(dir, err)
}

func whyNotWritten(dir string, err error) error {
	nothing := hint.T("Nothing was left of it.", "Il n'en reste rien.")
	switch {
	case errors.Is(err, kinto.ErrFull), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return hint.New("disk-full", hint.T("The disk that holds %s is full.", "Le disque qui contient %s est plein.", dir), nothing,
			hint.T("Free some room, or name a folder on another disk.", "Libérez de la place, ou indiquez un dossier sur un autre disque.")).Because(err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrNotExist):
		return hint.New("target-readonly", hint.T("The folder %s cannot be made or written to.", "Le dossier %s ne peut pas être créé ou écrit.", dir), nothing,
			hint.T("Name a folder that can be, in one that is there.", "Indiquez un dossier qui peut l'être, dans un dossier qui existe.")).Because(err)
	case err != nil:
		return fmt.Errorf("cannot load: %w", err)
	}
	return nil
}
