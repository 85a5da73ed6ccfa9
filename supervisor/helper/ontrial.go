package helper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// OnTrial tells others of root's what is on trial, whose work would be lost when that goes
// back: as an error with the code change-under-way. nil: nothing is. state is as in Config;
// there may be no such folder. Right after a start of the machine it may say of what goes back
// that it waits.
func OnTrial(state string) error {
	text, err := os.ReadFile(filepath.Join(state, trialFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read what is on trial: %w", err)
	}
	what := hint.T("A change of the settings is being taken back.", "Une modification des réglages est en train d'être annulée.")
	do := hint.T("Try again once that is done; `sudo foyer jobs` shows how it goes.", "Réessayez quand ce sera fait ; `sudo foyer jobs` montre où cela en est.")
	tr, err := parseTrial(text) // what is damaged goes back
	left := tr.Until - bootClock()()
	switch {
	case err != nil:
	case tr.Stage == report.ChangeApplying, tr.Stage == report.ChangeKept:
		what = hint.T("The settings are being changed right now.", "Les réglages sont en train d'être modifiés.")
		do = hint.T("Try again in a moment.", "Réessayez dans un instant.")
	case tr.Stage == report.ChangeWaiting && left > 0 && left <= longestTrial:
		what = hint.T("A change of the settings waits to be confirmed until %s.", "Une modification des réglages attend d'être confirmée jusqu'à %s.", time.Now().Add(left).Format("15:04:05"))
		do = hint.T("Confirm it with `sudo foyer change --keep`, or undo it with `sudo foyer change --back`; then try again.", "Confirmez-la avec `sudo foyer change --keep`, ou annulez-la avec `sudo foyer change --back` ; puis réessayez.")
	}
	return hint.New("change-under-way", what, hint.T("Nothing was changed.", "Rien n'a été changé."), do)
}
