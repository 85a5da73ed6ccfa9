package server

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// explain turns why the server does not start into something a person can act
// on, where it can.
func explain(data string, err error) error {
	if hint.Find(err) != nil {
		return err
	}
	why := err
	if errors.Is(err, kinto.ErrUnavailable) { // SQLite does not say more: ask the folder
		if f, e := os.CreateTemp(data, ".foyer-*"); e != nil {
			why = e
		} else {
			f.Close()           //nolint:errcheck // that it could be made is all there is to know
			os.Remove(f.Name()) //nolint:errcheck // as above
		}
	}
	switch {
	case errors.Is(err, kinto.ErrFull), errors.Is(why, syscall.ENOSPC), errors.Is(why, syscall.EDQUOT):
		return hint.New("disk-full", hint.T("The disk that holds the data in %s is full.", "Le disque des données dans %s est plein.", data), notStarted,
			hint.T("Free some room, or plug in a bigger disk.", "Libérez de la place, ou branchez un disque plus grand.")).Because(err)
	case errors.Is(why, fs.ErrPermission), errors.Is(why, syscall.EROFS):
		return hint.New("data-readonly", hint.T("The data folder %s cannot be read and written.", "Le dossier des données %s ne peut pas être lu et écrit.", data), notStarted,
			hint.T("Check that its disk is well, and that it belongs to the user Foyer runs as.", "Vérifiez que son disque va bien, et qu'il appartient à l'utilisateur sous lequel Foyer tourne.")).Because(err)
	case errors.Is(why, fs.ErrNotExist):
		return hint.New("data-missing", hint.T("The data folder %s is not there.", "Le dossier des données %s n'est pas là.", data), notStarted,
			hint.T("Check that its disk is plugged in.", "Vérifiez que son disque est branché.")).Because(err)
	}
	return err
}

// notStarted is what came of it.
var notStarted = hint.T("Foyer did not start; nothing was changed.", "Foyer n'a pas démarré ; rien n'a été changé.")

// unreachable tells what to do about a database of another machine.
func unreachable(err error) error {
	if hint.Find(err) != nil {
		return err
	}
	return hint.New("database-unreachable",
		hint.T("The PostgreSQL database cannot be used.", "La base PostgreSQL est inutilisable."),
		notStarted,
		hint.T("Check that its server runs, and the setting `database`; `sudo foyer logs` says why.", "Vérifiez que son serveur tourne, et le réglage `database` ; `sudo foyer logs` dit pourquoi.")).
		Because(err)
}

// gone is the error of a database file that has to be there and is not, or holds nothing.
func gone(path string, err error) error {
	return hint.New("data-gone",
		hint.T("The data of this server are not where they were: %s is gone or empty. Is a disk missing?", "Les données de ce serveur ne sont plus où elles étaient : %s a disparu ou est vide. Manque-t-il un disque ?", path), untouched(),
		hint.T("Plug the disk in, or put a copy of the data back; Foyer goes on by itself.", "Branchez le disque, ou remettez une copie des données ; Foyer reprend de lui-même.")).Because(err)
}

// other is the error of a database that has another id than expected.
func other() error {
	return hint.New("data-other",
		hint.T("The database is not the one this server had: it is another one, or a new one.", "La base de données n'est pas celle que ce serveur avait : c'en est une autre, ou une nouvelle."), untouched(),
		hint.T("Put the data of this server back; Foyer goes on by itself.", "Remettez les données de ce serveur ; Foyer reprend de lui-même."))
}

func untouched() hint.Text {
	return hint.T("Foyer did not start the server, and made nothing in their place.", "Foyer n'a pas démarré le serveur, et n'a rien créé à leur place.")
}
