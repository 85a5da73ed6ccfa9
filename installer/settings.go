package installer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
)

// EditSettings changes settings in the file at path, which keeps its mode and its owner. It
// is written whole or not at all, and not before all rules are kept (config.EditFile); the
// settings are told as they were and as they are, those of a file that was wrong as far as
// they could be read. That of the installed Foyer only root changes, and no install or change
// is at work or on trial meanwhile: onTrial is as Config.OnTrial, and needed for that file
// alone. The machine is not made as it says: that is for ApplySettings.
func EditSettings(path string, edits []config.Edit, onTrial func() error) (was, now *config.Settings, err error) {
	if path == config.SystemFile {
		if os.Geteuid() > 0 {
			return nil, nil, needRoot()
		}
		unlock, err := lock("/")
		if err != nil {
			return nil, nil, err
		}
		defer unlock()
		if err := onTrial(); err != nil {
			return nil, nil, err
		}
	}
	old, fi, err := readSettings(path)
	if err != nil {
		return nil, nil, unreadable(path, err)
	}
	text, now, err := config.EditFile(path, old, edits)
	if err != nil {
		return nil, nil, err
	}
	if was, err = config.Read(path, old); was == nil {
		return nil, nil, err
	}
	if string(text) == string(old) {
		return was, now, nil
	}
	uid, gid := host.FileOwner(fi)
	return was, now, atomicfile.WriteAs(path, text, fi.Mode().Perm(), uid, gid)
}

// unreadable is the error of a settings file that is not there, or cannot be read.
func unreadable(path string, err error) error {
	if hint.Find(err) != nil {
		return err
	}
	what := hint.T("The settings in %s cannot be read.", "Les réglages dans %s sont illisibles.", path)
	if errors.Is(err, fs.ErrNotExist) {
		what = hint.T("There is no file %s.", "Il n'y a pas de fichier %s.", path)
	}
	return hint.New("settings-unreadable", what, hint.T("Nothing was changed.", "Rien n'a été changé."),
		hint.T("`sudo foyer install` makes the settings of an installed Foyer; others are named with --settings.", "`sudo foyer install` crée les réglages d'un Foyer installé ; d'autres s'indiquent par --settings.")).Because(err).Exits(hint.ExitUsage)
}

// readSettings reads a settings file that is to be written, which has to be one: what is a
// link is somebody's own arrangement, and would be a file once it is written.
func readSettings(path string) ([]byte, fs.FileInfo, error) {
	fi, err := os.Lstat(path)
	if err != nil {
		return nil, nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, nil, hint.New("settings-by-hand",
			hint.T("%s is a link, or no ordinary file: Foyer does not write there.", "%s est un lien, ou n'est pas un fichier ordinaire : Foyer n'y écrit pas.", path), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Change the settings by hand, where they are.", "Modifiez les réglages à la main, là où ils sont.")).Exits(hint.ExitUsage)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the settings: %w", err)
	}
	return data, fi, nil
}
