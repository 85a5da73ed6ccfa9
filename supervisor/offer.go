package supervisor

import (
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/health"
)

// restorable are causes of findings that a backup mends.
var restorable = []string{"database-damaged", "data-gone", "attachment-damaged"}

// offer adds to what is wrong with the data that a backup is at hand, and how old it is.
func offer(backups control.Backups, f health.Finding, now time.Time) health.Finding {
	if backups == nil || !slices.Contains(restorable, f.Cause) {
		return f
	}
	b := backups.Report()
	newest := b.Complete // or, where a power cut came before that was kept, the newest moment that was
	if points := backups.Points(); len(points) > 0 && points[0].After(newest) {
		newest = points[0]
	}
	away := b.Problem != nil && strings.HasPrefix(b.Problem.Code, "target-")
	if b.Chain == "" || newest.IsZero() || away {
		return f
	}
	way := hint.T("`sudo foyer restore` brings back the backup of %s ago.", "`sudo foyer restore` remet la sauvegarde d'il y a %s.", report.Age(now.Sub(newest)))
	if f.Cause == "data-gone" { // a disk may only be missing
		way = hint.T("Plug the disk in, if it is missing: Foyer goes on by itself. Else %s", "Branchez le disque, s'il manque : Foyer reprend de lui-même. Sinon %s", way)
	}
	f.Do = way
	return f
}
