// Package upkeep begins, every so often, the jobs that look for damage before somebody meets it:
// best at night, and at any hour where a machine is off at night. It remembers when each was
// last done, and tells when one has not been for too long.
//
// Used by the supervisor.
package upkeep

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/pause"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/health"
)

// File is what is remembered, in the folder of the supervisor.
const File = "upkeep.json"

// Plan is a job that is done every so often.
type Plan struct {
	Name  string            // what it is remembered by
	Kind  string            // of the job
	Args  map[string]string // of the job
	Every time.Duration
}

// done is how it went with a plan.
type done struct {
	Ended time.Time `json:"ended"`           // when its last job ended, however; before there was one, when it was first planned
	Well  time.Time `json:"well,omitzero"`   // when one last ended well
	Wrong string    `json:"wrong,omitempty"` // code of the error of the last one; empty: it ended well
}

// Upkeep begins the jobs of its plans. Use New, then Run once. It is safe for concurrent use.
type Upkeep struct {
	plans []Plan
	path  string
	built time.Time
	begin func(kind string, args map[string]string) error
	log   *slog.Logger

	mu   sync.Mutex // guards what follows
	was  map[string]done
	save sync.Mutex // one writes at a time
}

// How patient it is.
const (
	looksEvery = 10 * time.Minute
	nightFrom  = 2 // o'clock of this machine
	nightTo    = 5
	early      = 12 * time.Hour // by so much a night may be early
	again      = 24 * time.Hour // what could not be done is tried again after that
	overdue    = 4              // times Every without an end that was well are told
	fileBytes  = 64 << 10
)

// damage is what a job may find. To read a disk that fails once more may be the last thing it does:
// the next time is as far away as if all were well, and people decide whether it is sooner.
var damage = []string{"database-damaged", "attachment-damaged", "disk-failing"}

// New reads what folder dir remembers; what cannot be read there is forgotten: jobs are then done
// within the usual time. begin has a job begun, or says why not. A clock that is before built is
// not believed.
func New(dir string, built time.Time, begin func(kind string, args map[string]string) error, log *slog.Logger, plans ...Plan) *Upkeep {
	u := &Upkeep{plans: plans, path: filepath.Join(dir, File), built: built, begin: begin, log: log, was: map[string]done{}}
	f, err := os.Stat(u.path)
	var text []byte
	if err == nil {
		if text, err = os.ReadFile(u.path); f.Size() > fileBytes {
			err = errors.New("it is too large")
		}
	}
	if err == nil {
		err = json.Unmarshal(text, &u.was)
	}
	if err != nil {
		u.was = map[string]done{}
		if !errors.Is(err, fs.ErrNotExist) {
			log.Warn("when upkeep was last done is not known any more", "file", u.path, "err", err)
		}
	}
	return u
}

// Run begins what is due, until ctx ends.
func (u *Upkeep) Run(ctx context.Context) {
	for pause.For(ctx, looksEvery) {
		for _, p := range u.plans {
			if !u.due(p, time.Now()) {
				continue
			}
			if err := u.begin(p.Kind, p.Args); err != nil {
				u.log.Warn("upkeep cannot be begun; it is tried again", "job", p.Kind, "err", err)
			}
		}
	}
}

// due reports whether a plan's job is to be begun now. One that is under way is begun by nobody
// twice (package job).
func (u *Upkeep) due(p Plan, now time.Time) bool {
	if now.Before(u.built) {
		return false
	}
	u.mu.Lock()
	d, known := u.was[p.Name]
	if !known || d.Ended.After(now.Add(time.Hour)) { // nothing is known, or a clock was wrong
		d = done{Ended: now, Well: d.Well}
		if d.Well.After(now) {
			d.Well = time.Time{}
		}
		u.was[p.Name] = d
		u.mu.Unlock()
		u.keep()
		return false
	}
	u.mu.Unlock()
	every := p.Every
	if d.Wrong != "" && !slices.Contains(damage, d.Wrong) {
		every = min(every, again)
	}
	age := now.Sub(d.Ended)
	if hour := now.Hour(); hour >= nightFrom && hour < nightTo {
		return age >= every-min(early, every/2)
	}
	return age >= every+every/4
}

// Ended notes how a job ended, whoever asked for it.
func (u *Upkeep) Ended(j report.Job) {
	for _, p := range u.plans {
		if j.Kind != p.Kind || !maps.Equal(p.Args, j.Args) || j.State == report.JobCancelled || j.State == report.JobCutOff {
			continue
		}
		now := time.Now()
		u.mu.Lock()
		d := u.was[p.Name]
		d.Ended, d.Wrong = now, ""
		switch {
		case j.State == report.JobDone:
			d.Well = now
		case j.Error != nil && j.Error.Code != "":
			d.Wrong = j.Error.Code
		default:
			d.Wrong = "failed"
		}
		u.was[p.Name] = d
		u.mu.Unlock()
		u.keep()
	}
}

// keep writes what is remembered.
func (u *Upkeep) keep() {
	u.save.Lock()
	defer u.save.Unlock()
	u.mu.Lock()
	text, err := json.Marshal(u.was)
	u.mu.Unlock()
	if err == nil {
		err = atomicfile.Write(u.path, append(text, '\n'), 0o600)
	}
	if err != nil {
		u.log.Warn("when upkeep was done cannot be remembered", "err", err)
	}
}

// Check tells how long ago the job of the plan that reads all data last ended well, and that it has not for too long.
// What the job found is told by others, who know of it at once.
func (u *Upkeep) Check(name string) health.Check {
	return health.Check{Code: "database-check", Title: hint.T("Check of the data", "Contrôle des données"), Every: time.Minute, Run: func(context.Context) health.Finding {
		u.mu.Lock()
		d := u.was[name]
		u.mu.Unlock()
		now := time.Now()
		since := d.Well
		if since.IsZero() {
			since = d.Ended
		}
		if !d.Ended.IsZero() && now.Sub(since) > overdue*u.every(name) {
			return health.Finding{
				Severity: health.Warning, Cause: "check-overdue", What: hint.T("The data have not been read through for %d days: damage may be there that nobody has met.", "Les données n'ont pas été relues depuis %d jours : des dégâts que personne n'a encore rencontrés sont possibles.", int(now.Sub(since).Hours()/24)),
				Did: hint.T("Foyer tries again each day.", "Foyer réessaie chaque jour."), Do: hint.T("Leave the machine on for a night, or run `sudo foyer check --full`; it says what keeps it from ending.", "Laissez la machine allumée une nuit, ou lancez `sudo foyer check --full` ; la commande dit ce qui empêche la lecture d'aboutir."),
			}
		}
		if d.Well.IsZero() {
			return health.Finding{What: hint.T("Read through by itself once a week, at night.", "Relues toutes seules une fois par semaine, la nuit.")}
		}
		return health.Finding{What: hint.T("Read through %s: nothing was damaged.", "Relues %s : rien n'était endommagé.", report.Ago(now.Sub(d.Well)))}
	}}
}

func (u *Upkeep) every(name string) time.Duration {
	for _, p := range u.plans {
		if p.Name == name {
			return p.Every
		}
	}
	return 0
}
