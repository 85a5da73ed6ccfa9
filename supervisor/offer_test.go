package supervisor

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/health"
)

// standing is a backup that stands as said.
type standing struct {
	report.Backup
	points []time.Time
}

func (s standing) Report() report.Backup { return s.Backup }
func (s standing) Points() []time.Time   { return s.points }
func (s standing) Begin(context.Context, report.BeginBackup) (report.Backup, error) {
	return s.Backup, nil
}
func (s standing) End(context.Context) error { return nil }

// A backup is offered where the data are damaged or gone and it is at hand, with its age; else what
// is said stays as it is.
func TestABackupIsOffered(t *testing.T) {
	t.Attr("shows", "backups")
	now := time.Now()
	began := report.Backup{To: "/media/stick", Chain: "5a21"}
	with := func(b report.Backup, change func(*report.Backup)) report.Backup { change(&b); return b }
	for _, c := range []struct {
		name, cause string
		backup      *standing
		want        string // in what is to be done; "": as it was
	}{
		{"damaged", "database-damaged", &standing{Backup: with(began, func(b *report.Backup) { b.Complete = now.Add(-3 * time.Minute) })}, "`sudo foyer restore` brings back the backup of 3 minutes ago."},
		{"gone", "data-gone", &standing{Backup: with(began, func(b *report.Backup) { b.Complete = now.Add(-3 * time.Minute) })}, "Plug the disk in, if it is missing: Foyer goes on by itself. Else `sudo foyer restore` brings back the backup of 3 minutes ago."},
		{"attachments", "attachment-damaged", &standing{Backup: with(began, func(b *report.Backup) { b.Complete = now.Add(-5 * time.Second) })}, "5 seconds ago"},
		{"a moment newer than what was kept", "database-damaged", &standing{Backup: with(began, func(b *report.Backup) { b.Complete = now.Add(-time.Hour) }), points: []time.Time{now.Add(-4 * time.Minute)}}, "4 minutes ago"},
		{"only a moment", "database-damaged", &standing{Backup: began, points: []time.Time{now.Add(-4 * time.Minute)}}, "4 minutes ago"},
		{"the server is away, too", "database-damaged", &standing{Backup: with(began, func(b *report.Backup) {
			b.Complete, b.Problem = now.Add(-3*time.Minute), &report.Problem{Code: "server-away"}
		})}, "3 minutes ago"},
		{"the stick is away", "database-damaged", &standing{Backup: with(began, func(b *report.Backup) {
			b.Complete, b.Problem = now.Add(-3*time.Minute), &report.Problem{Code: "target-away"}
		})}, ""},
		{"nothing is in it yet", "database-damaged", &standing{Backup: began}, ""},
		{"none began", "database-damaged", &standing{Backup: report.Backup{To: "/media/stick"}}, ""},
		{"other trouble", "disk-failing", &standing{Backup: with(began, func(b *report.Backup) { b.Complete = now })}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			was := health.Finding{Severity: health.Error, Cause: c.cause, Do: hint.T("As it was.", "Comme avant.")}
			got := offer(*c.backup, was, now).Do.EN
			if c.want == "" && got != was.Do.EN || !strings.Contains(got, c.want) {
				t.Errorf("to be done: %q", got)
			}
		})
	}
	if got := offer(nil, health.Finding{Cause: "data-gone", Do: hint.T("As it was.", "Comme avant.")}, now); got.Do.EN != "As it was." {
		t.Errorf("without a backup: %v", got)
	}
}
