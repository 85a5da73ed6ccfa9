package appliance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/pause"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server/storage"
	"github.com/foyer-server/foyer/supervisor"
	"github.com/foyer-server/foyer/supervisor/backup"
	"github.com/foyer-server/foyer/supervisor/backup/drill"
	"github.com/foyer-server/foyer/supervisor/backup/routine"
	"github.com/foyer-server/foyer/supervisor/helper"
	"github.com/foyer-server/foyer/supervisor/job"
	"github.com/foyer-server/foyer/supervisor/restore"
	"github.com/foyer-server/foyer/supervisor/service"
	"github.com/foyer-server/foyer/supervisor/source"
)

// backups is the backup of an installed Foyer; nil where nothing outside the data remembers it.
func (a Appliance) backups(p Process) *routine.Routine {
	state := supervisor.StateDir(os.Getenv)
	if state == "" {
		return nil
	}
	s := a.Settings
	server := source.Dial(filepath.Join(a.RunDir, "local.sock"))
	return routine.New(routine.Config{
		To: s.Backup.To, Hidden: service.Hidden(s.Backup.To), Interval: time.Duration(s.Backup.Interval) * time.Second,
		Dir: filepath.Join(state, routine.Name), Data: s.Data, Source: server, Contents: server,
		Files: func(context.Context) ([]backup.File, error) { return alongside(config.SystemFile, s.Data, p.Log) },
		Drill: driller{helper.FromEnvironment(os.Getenv)}.run, Mounts: host.MountsOver,
		Version: a.Version, Schema: storage.Schema(), Log: p.Log,
	})
}

// ServedBy is what a server has that has its data in a folder, and whose supervisor has another one of
// its own; "": it has none.
func ServedBy(data, state string) restore.Served {
	if state == "" {
		return restore.Served{Data: data}
	}
	return restore.Served{Data: data, State: state, Mark: supervisor.MarkIn(state)}
}

// resume ends a restore that was cut off, before each start of the server, and tells of those that
// have ended (supervisor.Config.Resume).
func resume(s restore.Served) func(tell func(report.Event)) error {
	return func(tell func(report.Event)) error {
		return restore.Resume(s, func(d restore.Done) {
			tell(report.Event{
				Code: "restored", What: hint.T("A backup was restored: the data are those of %s.", "Une sauvegarde a été restaurée : les données sont celles du %s.", d.Moment.Local().Format(time.DateTime)),
				Did: hint.T("What was served before is in %s.", "Ce qui était servi avant est dans %s.", d.Former), Do: hint.T("When you no longer need it: `sudo rm -r %s`", "Quand vous n'en avez plus besoin : `sudo rm -r %s`", d.Former),
			})
		})
	}
}

// What goes along with the data has at most so many bytes: it stands in each manifest.
const (
	mostFileBytes = 1 << 20
	mostBytes     = 8 << 20
)

// alongside is what goes along with the data: the settings, and certificates and keys, which are
// in the folder of the data. What is gone meanwhile, or too large to be such, is left out.
func alongside(settings, data string, log *slog.Logger) ([]backup.File, error) {
	var out []backup.File
	total := int64(0)
	add := func(name, path string) error {
		fi, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !fi.Mode().IsRegular() {
			return nil
		}
		if err != nil {
			return err
		}
		if total += fi.Size(); fi.Size() > mostFileBytes || total > mostBytes {
			log.Warn("a file is too large to go along with the backup", "file", path, "bytes", fi.Size())
			total -= fi.Size()
			return nil
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			out = append(out, backup.File{Name: name, Mode: uint32(fi.Mode().Perm()), Data: text})
		}
		return err
	}
	if err := add("foyer.toml", settings); err != nil {
		return nil, fmt.Errorf("cannot read what goes along with the backup: %w", err)
	}
	for _, name := range []string{"certificates", "router.secret"} {
		top := filepath.Join(data, name)
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				if errors.Is(err, fs.ErrNotExist) {
					return nil
				}
				return err
			}
			below, err := filepath.Rel(data, path)
			if err != nil {
				return err
			}
			return add("data/"+filepath.ToSlash(below), path)
		})
		if err != nil {
			return nil, fmt.Errorf("cannot read what goes along with the backup: %w", err)
		}
	}
	return out, nil
}

// driller has a backup restored to see that it can be: by root's helper, in a unit that is kept
// from the data; where nobody acts for root, by a process of this one's.
type driller struct{ root helper.Client }

// looks is how often it is looked how far a restore is, and begins how long one may take to begin.
const (
	looks  = time.Second
	begins = time.Minute
)

// run implements routine.Config.Drill.
func (d driller) run(ctx context.Context, id, dir string, each func(drill.Progress)) error {
	if !d.root.There() {
		return d.child(ctx, dir, each)
	}
	v, _ := helper.Find(helper.VerbDrill)
	r, err := d.root.Do(ctx, v, id, nil, false, func(job.Record) {})
	if err != nil {
		return err
	}
	if r.State != job.Done {
		if r.Error != nil {
			return r.Error.Err()
		}
		return hint.New("job-ended", hint.T("The job was not done: %s.", "La tâche n'a pas été faite : %s.", r.State.Word()), hint.Text{}, hint.Text{})
	}
	return follow(ctx, dir, each)
}

// follow follows a restore until it has ended; what does not begin has.
func follow(ctx context.Context, dir string, each func(drill.Progress)) error {
	for end := time.Now().Add(begins); ; {
		p, out, running, err := drill.Look(dir)
		if err != nil {
			return err
		}
		if running {
			end = time.Now().Add(looks)
		}
		each(p)
		if out != nil && !running || time.Now().After(end) {
			return nil
		}
		if !pause.For(ctx, looks) {
			return errors.Join(ctx.Err(), drill.Stop(dir))
		}
	}
}

// child has a process of this one's do it.
func (d driller) child(ctx context.Context, dir string, each func(drill.Progress)) error {
	exe, err := host.Program()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, exe, "drill", dir)
	cmd.Args[0] = "foyer"
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start the restore: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case err := <-done:
			if _, out, _, e := drill.Look(dir); e == nil && out != nil {
				return nil // it says itself how it went
			}
			return err
		case <-time.After(looks):
			if p, _, _, err := drill.Look(dir); err == nil {
				each(p)
			}
		}
	}
}
