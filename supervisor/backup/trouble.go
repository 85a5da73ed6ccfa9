package backup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup/object"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// What a person is told of a backup that does not go on, by what is wrong with it. Each error
// matches one of the Err variables where there is one, and wraps its cause.

// nothingAdded is what Foyer does while the target is not what it was.
func nothingAdded() hint.Text {
	return hint.T("Foyer adds nothing to this backup, and changes nothing there.", "Foyer n'ajoute rien à cette sauvegarde, et n'y change rien.")
}

// rolledBack: an object is missing that was at the target.
func rolledBack(at target.Reader, n uint64, cause error) error {
	return hint.New("backup-rolled-back",
		hint.T("Part %d of the backup at %s is missing: that place was put back to an earlier state, or somebody deleted something there.", "La partie %d de la sauvegarde à %s manque : cet endroit a été remis dans un état antérieur, ou quelqu'un y a supprimé quelque chose.", n, at),
		nothingAdded(),
		hint.T("Begin a new backup there, with `foyer backup to %s --new`, or use another disk.", "Commencez-y une nouvelle sauvegarde, avec `foyer backup to %s --new`, ou utilisez un autre disque.", at)).Because(fmt.Errorf("%w: %w", ErrRolledBack, cause))
}

// twoMachines: an object at the target was not put there by this machine.
func twoMachines(at target.Reader, n uint64, cause error) error {
	return hint.New("backup-two-machines",
		hint.T("Another machine writes to the same backup at %s (part %d): perhaps a copy of this one.", "Une autre machine écrit dans la même sauvegarde à %s (partie %d) : peut-être une copie de celle-ci.", at, n),
		nothingAdded(),
		hint.T("Switch the other machine off; then begin a new backup with `foyer backup to %s --new`.", "Éteignez l'autre machine ; puis commencez une nouvelle sauvegarde avec `foyer backup to %s --new`.", at)).Because(fmt.Errorf("%w: %w", ErrTwoMachines, cause))
}

// partLost: an object is at the target, and cannot be read any more.
func partLost(at target.Reader, n uint64, cause error) error {
	return hint.New("backup-part-lost",
		hint.T("Part %d of the backup at %s is damaged: moments that need it cannot be restored any more.", "La partie %d de la sauvegarde à %s est endommagée : les moments qui en ont besoin ne peuvent plus être restaurés.", n, at),
		hint.T("Foyer leaves it out, and makes a new copy of everything if it has to.", "Foyer s'en passe, et refait une copie complète s'il le faut."),
		hint.T("Check that disk: it may be failing.", "Vérifiez ce disque : il est peut-être défaillant.")).Because(cause)
}

// keysLost: the key object at the target is gone, or another.
func keysLost(at target.Reader, cause error) error {
	return hint.New("backup-keys-older",
		hint.T("The keys that lie with the backup at %s were deleted or damaged there, or older ones were put in their place: your words may not open it any more.", "Les clés jointes à la sauvegarde à %s y ont été supprimées ou abîmées, ou de plus anciennes ont été mises à leur place : vos mots ne l'ouvrent peut-être plus.", at),
		hint.T("Foyer deletes nothing there.", "Foyer n'y supprime rien."),
		hint.T("Begin a new backup there, with `foyer backup to %s --new`, and find out who can write to this place.", "Commencez-y une nouvelle sauvegarde, avec `foyer backup to %s --new`, et cherchez qui peut écrire à cet endroit.", at)).Because(cause)
}

// contentsLost: contents of attachments are missing, or were cut short, that were at the target.
func contentsLost(at target.Reader, lost int) error {
	return hint.New("backup-attachments-lost",
		hint.T("Attached files (%d) have disappeared from the backup at %s, or were cut short: somebody changed them there, or its disk fails.", "Des pièces jointes (%d) ont disparu de la sauvegarde à %s, ou y ont été tronquées : quelqu'un les y a modifiées, ou le disque est défaillant.", lost, at),
		hint.T("Foyer copies them there again, as far as this server still has them.", "Foyer les y copie de nouveau, tant que ce serveur les a encore."),
		hint.T("Find out who deletes files there, and check that disk.", "Cherchez qui supprime des fichiers à cet endroit, et vérifiez ce disque.")).Because(fmt.Errorf("%w: of %d attachments the contents", ErrRolledBack, lost))
}

// unreadContents: contents of attachments cannot be read on this machine.
func unreadContents(cause error) error {
	return hint.New("backup-attachments",
		hint.T("Attached files are not in the backup: on this server they are missing, damaged, or cannot be read.", "Des pièces jointes ne sont pas dans la sauvegarde : sur ce serveur, elles manquent, sont endommagées ou illisibles."),
		hint.T("Everything else is in the backup.", "Tout le reste est dans la sauvegarde."),
		hint.T("`foyer logs` names them. If the disk of the server fails, replace it.", "`foyer logs` les nomme. Si le disque du serveur est défaillant, remplacez-le.")).Because(cause)
}

// here is an error of this machine's own folder, in which objects are sealed and what is known
// of the chain is kept.
func here(dir string, err error) error {
	if err == nil || hint.Find(err) != nil {
		return err
	}
	dir = filepath.Clean(dir)
	stays := hint.T("What changes waits in the database meanwhile.", "En attendant, les modifications restent dans la base de données.")
	switch atomicfile.TroubleOf(err) {
	case atomicfile.Full:
		return hint.New("backup-no-room",
			hint.T("The disk of this server is full: there is no room in %s to prepare the backup.", "Le disque de ce serveur est plein : il n'y a pas de place dans %s pour préparer la sauvegarde.", dir), stays,
			hint.T("Free some room on it.", "Libérez-y de la place.")).Because(err)
	case atomicfile.None:
		return err
	}
	return hint.New("backup-folder",
		hint.T("Foyer cannot write to its own folder for backups, %s.", "Foyer ne peut pas écrire dans son propre dossier des sauvegardes, %s.", dir), stays,
		hint.T("Check that the disk of the server can be written to, and that this folder belongs to the user Foyer runs as.", "Vérifiez que le disque du serveur accepte l'écriture, et que ce dossier appartient à l'utilisateur de Foyer.")).Because(err)
}

// ownFile is a file in this machine's own folder.
type ownFile struct{ *os.File }

// createOwn makes an empty one, for the eyes of this process's account only.
func createOwn(path string) (ownFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	return ownFile{f}, here(filepath.Dir(path), err)
}

func (f ownFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, here(filepath.Dir(f.Name()), err)
}

// wrong reports whether an error is of an object, which is not what it should be, and not of
// the way to it.
func wrong(err error) bool {
	for _, is := range []error{object.ErrWrongKey, object.ErrDamaged, object.ErrCutShort, object.ErrForged, object.ErrOutOfPlace, object.ErrTooLarge} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// spoiled reports whether an error says that of an object nothing can be read any more, whoever
// wrote it.
func spoiled(err error) bool {
	return errors.Is(err, object.ErrDamaged) || errors.Is(err, object.ErrCutShort)
}
