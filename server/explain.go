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
	started := hint.T("Foyer did not start; nothing was changed.", "Foyer n'a pas démarré ; rien n'a été changé.")
	switch {
	case errors.Is(err, kinto.ErrFull), errors.Is(why, syscall.ENOSPC), errors.Is(why, syscall.EDQUOT):
		return hint.New("disk-full", hint.T("The disk that holds the data in %s is full.", "Le disque des données dans %s est plein.", data), started,
			hint.T("Free some room, or plug in a bigger disk.", "Libérez de la place, ou branchez un disque plus grand.")).Because(err)
	case errors.Is(why, fs.ErrPermission), errors.Is(why, syscall.EROFS):
		return hint.New("data-readonly", hint.T("The data folder %s cannot be read and written.", "Le dossier des données %s ne peut pas être lu et écrit.", data), started,
			hint.T("Check that its disk is well, and that it belongs to the user Foyer runs as.", "Vérifiez que son disque va bien, et qu'il appartient à l'utilisateur sous lequel Foyer tourne.")).Because(err)
	case errors.Is(why, fs.ErrNotExist):
		return hint.New("data-missing", hint.T("The data folder %s is not there.", "Le dossier des données %s n'est pas là.", data), started,
			hint.T("Check that its disk is plugged in.", "Vérifiez que son disque est branché.")).Because(err)
	}
	return err
}
