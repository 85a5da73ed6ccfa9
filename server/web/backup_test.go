package web

import (
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/report"
)

// Everybody who signs in sees whether what they keep here is backed up, and when that was last
// restored to see that it works; where the backup goes is not told them.
func TestHomeTellsOfTheBackup(t *testing.T) {
	t.Attr("shows", "backups")
	t.Parallel()
	m, owner, member := household(t)
	now := time.Now()
	begun := report.Backup{To: "/media/stick/foyer", Chain: "5a21", Complete: now.Add(-5 * time.Second)}
	proven := begun
	proven.Proven = &report.Proven{At: now.Add(-3*24*time.Hour - time.Hour), Seconds: 41}
	for _, c := range []struct {
		name     string
		backup   *report.Backup
		has, not []string
	}{
		{"none can be made", nil, nil, []string{"Backup", "Backed up"}},
		{"none is", &report.Backup{}, []string{"Nothing is backed up."}, []string{"restored"}},
		{"the first is being made", &report.Backup{To: "/media/stick/foyer", Chain: "5a21"}, []string{"The first backup is being made.", "never been restored"}, nil},
		{"never restored", &begun, []string{"Backed up: all that was written up to just now.", "It has never been restored to see that it works."}, nil},
		{"restored", &proven, []string{"Backed up: all", "Last proven restore: 3 days ago, 41 s."}, []string{"never"}},
	} {
		m.status.Backup = c.backup
		for _, who := range []*browser{owner, member} {
			page := who.page("/")
			for _, what := range c.has {
				has(t, page, what, true)
			}
			for _, what := range append(c.not, "/media/stick") {
				has(t, page, what, false)
			}
		}
	}
	has(t, owner.page("/?lang=fr"), "il y a 3 jours, 41 s.", true)
}
