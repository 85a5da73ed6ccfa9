package object

import (
	"errors"
	"fmt"

	"github.com/foyer-server/foyer/internal/hint"
)

// What is wrong with an object, for errors.Is. Errors that match one of them are such that a
// person can act on them; an error of who gave the bytes is passed on as it is.
var (
	// ErrWrongKey: it is sealed for none of these keys.
	ErrWrongKey = errors.New("no key fits")
	// ErrDamaged: its bytes are not those that were written; the end may be missing, too.
	ErrDamaged = errors.New("it is damaged")
	// ErrCutShort: it ends before its last line.
	ErrCutShort = errors.New("it is cut short")
	// ErrForged: whoever sealed it is not who writes the chain.
	ErrForged = errors.New("it is forged")
	// ErrOutOfPlace: it is another object than was expected here.
	ErrOutOfPlace = errors.New("it is out of place")
	// ErrNewer: a newer Foyer made it.
	ErrNewer = errors.New("it is of a newer format")
	// ErrTooLarge: it, or a line of it, is larger than any that is believed.
	ErrTooLarge = errors.New("it is too large")
)

// fail is the error of an object, known to people by name or by none, that is wrong in one of
// the ways above. The detail is for the log.
func fail(name string, kind error, detail string, args ...any) error {
	which := ""
	if name != "" {
		which = " (" + name + ")"
	}
	anotherCopy := hint.T("Use another copy of the backup, or an earlier point in time.", "Utilisez une autre copie de la sauvegarde, ou un moment antérieur.")
	unused := hint.T("Foyer uses nothing of it.", "Foyer n'en utilise rien.")
	var e *hint.Error
	switch kind {
	case ErrWrongKey:
		e = hint.New("backup-wrong-key",
			hint.T("A part of the backup is locked with other keys than these%s.", "Une partie de la sauvegarde est verrouillée avec d'autres clés que celles-ci%s.", which), hint.Text{},
			hint.T("Use the words of the kit that belongs to this backup. Nothing is damaged.", "Utilisez les mots du kit qui va avec cette sauvegarde. Rien n'est endommagé."))
	case ErrCutShort:
		e = hint.New("backup-cut-short",
			hint.T("The end of a part of the backup is missing%s.", "Il manque la fin d'une partie de la sauvegarde%s.", which), hint.Text{}, anotherCopy)
	case ErrForged:
		e = hint.New("backup-forged",
			hint.T("A part of the backup was not written by your server%s: somebody else put it there.", "Une partie de la sauvegarde n'a pas été écrite par votre serveur%s : quelqu'un d'autre l'a mise là.", which), unused,
			hint.T("Use another copy of the backup, or an earlier point in time, and find out who can write to this place.", "Utilisez une autre copie de la sauvegarde, ou un moment antérieur, et cherchez qui peut écrire à cet endroit."))
	case ErrOutOfPlace:
		e = hint.New("backup-out-of-place",
			hint.T("One part of the backup is in the place of another%s.", "Une partie de la sauvegarde se trouve à la place d'une autre%s.", which), unused,
			hint.T("Make sure that no other machine writes to this backup, and use another copy, or an earlier point in time.", "Vérifiez qu'aucune autre machine n'écrit dans cette sauvegarde, et utilisez une autre copie, ou un moment antérieur."))
	case ErrNewer:
		e = hint.New("backup-newer",
			hint.T("A part of the backup was written by a newer Foyer than this one%s.", "Une partie de la sauvegarde a été écrite par un Foyer plus récent que celui-ci%s.", which), hint.Text{},
			hint.T("Update Foyer on this machine, then try again.", "Mettez Foyer à jour sur cette machine, puis réessayez."))
	case ErrTooLarge:
		e = hint.New("backup-too-large",
			hint.T("A part of the backup unpacks to more than Foyer writes%s.", "Une partie de la sauvegarde contient, décompressée, plus que ce que Foyer écrit%s.", which), unused, anotherCopy)
	default:
		kind = ErrDamaged
		e = hint.New("backup-damaged",
			hint.T("A part of the backup is damaged%s.", "Une partie de la sauvegarde est endommagée%s.", which), hint.Text{}, anotherCopy)
	}
	return e.Because(fmt.Errorf("%w: %s", kind, fmt.Sprintf(detail, args...)))
}
