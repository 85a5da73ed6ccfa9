package control

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// Backups is what begins, tells of and ends the backup of a Foyer.
type Backups interface {
	Report() report.Backup
	Points() []time.Time // moments that can be restored, the newest first
	// Begin begins one in the folder of the settings; the words are written nowhere.
	Begin(ctx context.Context, asked report.BeginBackup) (report.Backup, error)
	// End ends it on this machine; what is at its target stays.
	End(ctx context.Context) error
}

// backups adds the ways to the backup. They are the administrator's: whoever has the words can
// read all that is in it.
func (d *door) backups(mux *http.ServeMux) {
	way := func(pattern string, f func(b Backups, r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			b := d.a.Backups()
			if b == nil {
				refuse(w, http.StatusConflict, hint.New("backup-not-here", hint.T("This Foyer makes no backups: it is not installed as a service.", "Ce Foyer ne fait pas de sauvegardes : il n'est pas installé comme service."), hint.Text{},
					hint.T("`sudo foyer install` installs it.", "`sudo foyer install` l'installe.")))
				return
			}
			got, err := f(b, r)
			if err != nil {
				refuse(w, http.StatusConflict, err)
				return
			}
			answer(w, got)
		})
	}
	way("GET /backup", func(b Backups, _ *http.Request) (any, error) { return hint.Clean(b.Report()), nil })
	way("GET /backup/points", func(b Backups, _ *http.Request) (any, error) { return append([]time.Time{}, b.Points()...), nil })
	way("POST /backup", func(b Backups, r *http.Request) (any, error) {
		var ask report.BeginBackup
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
			return nil, malformed(nil) // what it says of the body may quote a word
		}
		got, err := b.Begin(r.Context(), ask)
		return hint.Clean(got), err
	})
	way("DELETE /backup", func(b Backups, r *http.Request) (any, error) { return struct{}{}, b.End(r.Context()) })
}

// Backup asks how the backup stands. (backup-not-here)
func (c *Client) Backup(ctx context.Context) (report.Backup, error) {
	return ask[report.Backup](ctx, c, http.MethodGet, "/backup")
}

// BackupPoints asks which moments can be restored, the newest first.
func (c *Client) BackupPoints(ctx context.Context) ([]time.Time, error) {
	return ask[[]time.Time](ctx, c, http.MethodGet, "/backup/points")
}

// BeginBackup has a backup begun in the folder of the settings. It takes as long as its disk.
func (c *Client) BeginBackup(ctx context.Context, asked report.BeginBackup) (report.Backup, error) {
	return askWith[report.Backup](ctx, c.patient(), http.MethodPost, "/backup", asked)
}

// EndBackup has the backup end on this machine.
func (c *Client) EndBackup(ctx context.Context) error {
	_, err := ask[struct{}](ctx, c.patient(), http.MethodDelete, "/backup")
	return err
}

// patient is a client without a time limit of its own.
func (c *Client) patient() *Client {
	return &Client{c.socket, &http.Client{Transport: c.http.Transport}}
}
