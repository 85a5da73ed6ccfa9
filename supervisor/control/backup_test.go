package control

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// safe is a backup that notes what it is asked for.
type safe struct {
	begun []report.BeginBackup
	ended int
	err   error
}

func (s *safe) Report() report.Backup { return report.Backup{To: "/mnt/" + hostile, Points: 2} }
func (s *safe) Points() []time.Time   { return []time.Time{at, at.Add(-time.Hour)} }
func (s *safe) Begin(_ context.Context, asked report.BeginBackup) (report.Backup, error) {
	s.begun = append(s.begun, asked)
	return s.Report(), s.err
}

func (s *safe) End(context.Context) error {
	s.ended++
	return s.err
}

// What is asked of the backup arrives, and what it says comes back, fit to be shown.
func TestBackupIsAskedFor(t *testing.T) {
	t.Attr("shows", "backups")
	s := &safe{}
	c := Dial(serve(t, appliance{backups: s}))
	b, err := c.Backup(t.Context())
	if err != nil || b != hint.Clean(s.Report()) {
		t.Errorf("%+v, %v", b, err)
	}
	points, err := c.BackupPoints(t.Context())
	if err != nil || !slices.EqualFunc(points, s.Points(), time.Time.Equal) {
		t.Errorf("%v, %v", points, err)
	}
	want := report.BeginBackup{Words: "one two", SameDisk: true, New: true}
	if b, err := c.BeginBackup(t.Context(), want); err != nil || b != hint.Clean(s.Report()) || len(s.begun) != 1 || s.begun[0] != want {
		t.Errorf("%+v, %v: %+v", b, err, s.begun)
	}
	if err := c.EndBackup(t.Context()); err != nil || s.ended != 1 {
		t.Errorf("%v, %d", err, s.ended)
	}
	s.err = hint.New("backup-begun", hint.T("No.", "Non."), hint.Text{}, hint.Text{})
	if _, err := c.BeginBackup(t.Context(), want); !hasCode(err, "backup-begun") {
		t.Error(err)
	}
	if err := c.EndBackup(t.Context()); !hasCode(err, "backup-begun") {
		t.Error(err)
	}
}

// A Foyer that makes no backups says so.
func TestNoBackupHere(t *testing.T) {
	c := Dial(serve(t, appliance{}))
	_, err := c.Backup(t.Context())
	_, err2 := c.BackupPoints(t.Context())
	_, err3 := c.BeginBackup(t.Context(), report.BeginBackup{})
	for _, err := range []error{err, err2, err3, c.EndBackup(t.Context())} {
		if !hasCode(err, "backup-not-here") {
			t.Error(err)
		}
	}
}

func hasCode(err error, code string) bool {
	e, ok := errors.AsType[*hint.Error](err)
	return ok && e.Code == code
}
