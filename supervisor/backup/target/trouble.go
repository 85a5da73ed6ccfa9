package target

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
)

// What a person is told of a folder, by what is wrong with it. Each error matches one of the
// Err variables, and wraps its cause.

func away(path string, cause error) error {
	return hint.New("target-away",
		hint.T("The folder for backups, %s, is not there: its disk is not plugged in, or not mounted.", "Le dossier des sauvegardes, %s, n'est pas là : son disque n'est pas branché, ou pas monté.", path),
		hint.T("Nothing was written in its place.", "Rien n'a été écrit à sa place."),
		hint.T("Plug the disk in and mount it.", "Branchez le disque et montez-le.")).Because(join(ErrAway, cause))
}

func other(path string, cause error) error {
	return hint.New("target-other",
		hint.T("At %s is not the folder that backups go to, but another disk or folder.", "À %s ne se trouve pas le dossier des sauvegardes, mais un autre disque ou dossier.", path),
		hint.T("Nothing was written there.", "Rien n'y a été écrit."),
		hint.T("Plug in the disk that the backups are on; or set this one up for backups.", "Branchez le disque qui contient les sauvegardes ; ou préparez celui-ci pour les sauvegardes.")).Because(join(ErrOther, cause))
}

func damaged(path string, cause error) error {
	return hint.New("target-damaged",
		hint.T("The file %s in the folder for backups, %s, is damaged.", "Le fichier %s du dossier des sauvegardes, %s, est abîmé.", IdentityFile, path),
		hint.T("Nothing was written there.", "Rien n'y a été écrit."),
		hint.T("Look whether the disk is in order; then set the folder up for backups again, which keeps what is in it.", "Vérifiez l'état du disque ; puis préparez de nouveau le dossier pour les sauvegardes, ce qui garde son contenu.")).Because(join(ErrFailing, cause))
}

func newer(path string, cause error) error {
	return hint.New("target-newer",
		hint.T("The folder for backups, %s, was set up by a newer Foyer.", "Le dossier des sauvegardes, %s, a été préparé par un Foyer plus récent.", path),
		hint.T("Nothing was written there.", "Rien n'y a été écrit."),
		hint.T("Install the current version of Foyer.", "Installez la version actuelle de Foyer.")).Because(join(ErrOther, cause))
}

// Silent says that what is at a path has not answered for so long.
func Silent(path string, since time.Duration) error {
	return slow(path, fmt.Errorf("for %s", since.Round(time.Second)))
}

func slow(path string, cause error) error {
	return hint.New("target-slow",
		hint.T("The disk with the folder for backups, %s, does not answer.", "Le disque du dossier des sauvegardes, %s, ne répond pas.", path), hint.Text{},
		hint.T("Unplug the disk and plug it in again; of a network drive, look whether its server runs.", "Débranchez puis rebranchez le disque ; pour un disque réseau, vérifiez que son serveur fonctionne.")).Because(join(ErrSlow, cause))
}

func full(path string, cause error) error {
	return hint.New("target-full",
		hint.T("The disk with the folder for backups, %s, is full.", "Le disque du dossier des sauvegardes, %s, est plein.", path),
		hint.T("What did not fit was removed again; the backups there are whole.", "Ce qui ne tenait pas a été retiré ; les sauvegardes présentes sont intactes."),
		hint.T("Make room on it, or take a larger disk.", "Faites-y de la place, ou prenez un disque plus grand.")).Because(join(ErrFull, cause))
}

func readOnly(path string, cause error) error {
	return hint.New("target-readonly",
		hint.T("The disk with the folder for backups, %s, cannot be written to.", "Le disque du dossier des sauvegardes, %s, n'accepte pas d'écriture.", path), hint.Text{},
		hint.T("Look for a switch on the card or stick, and how it is mounted; a disk that has become read-only by itself is worn out: replace it.", "Vérifiez le verrou de la carte ou de la clé, et comment elle est montée ; un disque passé seul en lecture seule est usé : remplacez-le.")).Because(join(ErrReadOnly, cause))
}

func denied(path string, cause error) error {
	return hint.New("target-denied",
		hint.T("Foyer may not use the folder for backups, %s.", "Foyer n'a pas le droit d'utiliser le dossier des sauvegardes, %s.", path), hint.Text{},
		hint.T("Give the folder to the account that Foyer runs as: sudo chown -R foyer %s", "Donnez le dossier au compte de Foyer : sudo chown -R foyer %s", path)).Because(join(ErrDenied, cause))
}

func failing(path string, cause error) error {
	return hint.New("target-failing",
		hint.T("The disk with the folder for backups, %s, fails: reading or writing went wrong.", "Le disque du dossier des sauvegardes, %s, est défaillant : une lecture ou une écriture a échoué.", path), hint.Text{},
		hint.T("Look whether it is plugged in well; if it is, replace it.", "Vérifiez qu'il est bien branché ; si c'est le cas, remplacez-le.")).Because(join(ErrFailing, cause))
}

// join is a kind of error with its cause, which may be nil or be of that kind already.
func join(kind, cause error) error {
	switch {
	case cause == nil:
		return kind
	case errors.Is(cause, kind):
		return cause
	}
	return fmt.Errorf("%w: %w", kind, cause)
}

// explain turns an error of the folder at path into one that says what is wrong. Those that
// say so already stay as they are.
func explain(path string, err error) error {
	if err == nil || hint.Find(err) != nil {
		return err
	}
	if errors.Is(err, ErrSlow) {
		return slow(path, err)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	switch atomicfile.TroubleOf(err) {
	case atomicfile.Full:
		return full(path, err)
	case atomicfile.ReadOnly:
		return readOnly(path, err)
	case atomicfile.Denied:
		return denied(path, err)
	case atomicfile.Gone:
		return away(path, err)
	case atomicfile.Failing:
		return failing(path, err)
	}
	return err
}
