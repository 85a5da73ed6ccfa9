package drill

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// untouched is what a drill does about what it finds: nothing.
func untouched() hint.Text {
	return hint.T("This was a drill: your server and its data are as they were.", "C'était un essai : votre serveur et ses données sont comme avant.")
}

// mendBackup is what a person can do about a backup that does not bring everything back.
func mendBackup() hint.Text {
	return hint.T("Check the disk that the backups are on, then begin a new backup, there or on another disk.", "Vérifiez le disque des sauvegardes, puis commencez une nouvelle sauvegarde, sur ce disque ou sur un autre.")
}

func busy(cause error) error {
	return hint.New("drill-busy",
		hint.T("A restore drill is already under way.", "Un essai de restauration est déjà en cours."), hint.T("No second one was begun.", "Aucun deuxième n'a été commencé."),
		hint.T("Wait until it is done.", "Attendez sa fin.")).Because(cause)
}

func stopped(cause error) error {
	return hint.New("drill-stopped",
		hint.T("The restore drill was stopped before it was done.", "L'essai de restauration a été arrêté avant la fin."), untouched(),
		hint.T("Nothing: Foyer makes the next one by itself.", "Rien : Foyer fera le prochain de lui-même.")).Because(cause)
}

func noRequest(dir string, cause error) error {
	return hint.New("drill-none",
		hint.T("Nobody asked for a restore drill in %s.", "Personne n'a demandé d'essai de restauration dans %s.", dir), untouched(),
		hint.T("Nothing: Foyer asks for one by itself when it is time.", "Rien : Foyer en demande un de lui-même le moment venu.")).Because(cause)
}

// noRoom is for a disk with too little room; of what is needed it says the figure that is known.
func noRoom(dir string, needs, free int64, cause error) error {
	return hint.New("drill-room",
		hint.T("There is too little room for a restore drill in %s: %d MB are free, and about %d MB are needed.", "Il n'y a pas assez de place pour un essai de restauration dans %s : %d Mo sont libres, et il en faut environ %d.", dir, free>>20, (needs+1<<20-1)>>20), untouched(),
		hint.T("Free some room on this disk, or use a bigger one. That a backup can be restored is not proven until then.", "Libérez de la place sur ce disque, ou prenez-en un plus grand. D'ici là, rien ne prouve qu'une sauvegarde peut être restaurée.")).Because(cause)
}

func unread(cause error) error {
	return hint.New("drill-unread",
		hint.T("What was restored in a drill could not be opened or read by a server.", "Ce qu'un essai a restauré n'a pas pu être ouvert ou lu par un serveur."), untouched(),
		hint.T("`sudo foyer logs` shows why. Keep the machine and its backups as they are until it is known.", "`sudo foyer logs` montre pourquoi. Gardez la machine et ses sauvegardes telles quelles d'ici là.")).Because(cause)
}

func differs(cause error) error {
	return hint.New("restore-differs",
		hint.T("What was restored in a drill is not what your server had when it made the backup.", "Ce qu'un essai a restauré n'est pas ce que votre serveur avait quand il a fait la sauvegarde."), untouched(), mendBackup()).Because(cause)
}

func noKeys(what hint.Text, cause error) error {
	return hint.New("backup-keys-missing", what, untouched(), mendBackup()).Because(cause)
}

func missing(what hint.Text, cause error) error {
	return hint.New("backup-missing", what, untouched(), mendBackup()).Because(cause)
}

// problemWith is what is wrong with one object of a backup, or the contents of one attachment.
func problemWith(p backup.Problem) error {
	switch {
	case hint.Find(p.Err) != nil:
		return p.Err
	case p.Attachment != "":
		return missing(hint.T("The contents of an attached file are missing in the backup.", "Le contenu d'un fichier joint manque dans la sauvegarde."), p.Err)
	case errors.Is(p.Err, target.ErrNotFound):
		return missing(hint.T("Object %d of the backup is missing.", "L'objet %d de la sauvegarde manque.", p.N), p.Err)
	}
	return hint.New("backup-damaged", hint.T("Object %d of the backup cannot be read.", "L'objet %d de la sauvegarde ne peut pas être lu.", p.N), untouched(), mendBackup()).Because(p.Err)
}

// explain says what an error of a restore means in a drill, where nobody has to choose another
// copy or another moment: their data are there.
func (w *work) explain(err error) error {
	e := hint.Find(err)
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), e != nil && (e.Code == "disk-full" || e.Code == "restore-room"):
		free, _, _ := atomicfile.FreeSpace(w.dir) //nolint:errcheck // a disk that is full has none
		return noRoom(w.dir, max(w.needs, int64(free)+spare), int64(min(free, 1<<62)), err)
	case e == nil && errors.Is(err, target.ErrNotFound):
		return missing(hint.T("A part of the backup is missing.", "Une partie de la sauvegarde manque."), err)
	case e == nil && errors.Is(err, backup.ErrNothing):
		return nothing(err)
	case e == nil:
		return err
	case e.Code == "restore-differs":
		return differs(err)
	case strings.HasPrefix(e.Code, "backup-") && !strings.HasPrefix(e.Code, "backup-keys-") && e.Code != "backup-newer", strings.HasPrefix(e.Code, "log-"):
		return hint.New(e.Code, e.What, untouched(), mendBackup()).Because(err)
	}
	return err
}

func nothing(cause error) error {
	return hint.New("backup-none",
		hint.T("There is no backup that could be restored, or none was ever finished.", "Il n'y a pas de sauvegarde qui pourrait être restaurée, ou aucune n'a été achevée."), untouched(), mendBackup()).Because(cause)
}

// errAnswer is the error of an answer that a client cannot do anything with.
type errAnswer struct {
	path   string
	status int
}

func (e *errAnswer) Error() string { return fmt.Sprintf("%s is answered with %d", e.path, e.status) }

// errDiffers is the error of an answer that is not what was in the backup.
type errDiffers struct{ what string }

func (e *errDiffers) Error() string { return e.what }

func differ(format string, args ...any) error { return &errDiffers{fmt.Sprintf(format, args...)} }
