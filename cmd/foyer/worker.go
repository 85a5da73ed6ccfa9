package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/internal/step"
	"github.com/foyer-server/foyer/supervisor/job"
	"github.com/foyer-server/foyer/tui"
)

// workerDir is where the process that installs keeps its record: root's alone, gone at
// the next start of the machine.
const workerDir = "/run/foyer-install"

// workerLock is held by the process that installs, from before it is started.
const workerLock = "/run/foyer-install.worker"

// installing reports whether an install is at work on this machine.
func installing() bool {
	if _, err := os.Stat(workerLock); err == nil {
		lock, err := atomicfile.TryLock(workerLock)
		if errors.Is(err, atomicfile.ErrLocked) {
			return true
		}
		if err == nil {
			lock.Unlock() //nolint:errcheck // nobody held it
		}
	}
	return installer.New(installer.Config{}).Running()
}

// installRecord is an install as a job: the same record as the supervisor's jobs have,
// written by the process that installs, and read by whoever shows it.
type installRecord struct {
	dir string
	r   job.Record
}

// installResult is the result in the record of an install.
type installResult struct {
	installer.Result
	Plan []step.Change `json:"plan,omitempty"`
	Exit int           `json:"exit,omitempty"` // status of the command, where it failed
}

// newInstallRecord begins a record, in a folder of its own: that of an install before goes.
func newInstallRecord(dir string) (*installRecord, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("cannot begin the install: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot begin the install: %w", err)
	}
	rec := &installRecord{dir, job.Record{
		ID: "install", Kind: "install", Title: hint.T("Install Foyer", "Installer Foyer"), By: "root", State: job.Waiting, Asked: time.Now(), Unit: hint.T("steps", "étapes"),
	}}
	return rec, rec.save()
}

// readInstallRecord reads the record in a folder; its error matches os.ErrNotExist where
// there is none.
func readInstallRecord(dir string) (*installRecord, error) {
	rec := &installRecord{dir: dir}
	text, err := os.ReadFile(rec.path())
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &rec.r); err != nil {
		return nil, fmt.Errorf("cannot read the record of the install: %w", err)
	}
	return rec, nil
}

// cutOffInstall is the record of an install that died before its end; nil: there is none.
func cutOffInstall(dir string, atWork bool) *installRecord {
	rec, err := readInstallRecord(dir)
	if err != nil || atWork || rec.r.State.Ended() && rec.r.State != job.CutOff {
		return nil
	}
	return rec
}

func (rec *installRecord) path() string { return filepath.Join(rec.dir, "record.json") }

func (rec *installRecord) save() error {
	text, err := json.Marshal(rec.r)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(rec.path(), text, 0o600); err != nil {
		return fmt.Errorf("cannot keep the record of the install: %w", err)
	}
	return nil
}

// begin says that the process that installs is at work.
func (rec *installRecord) begin() error {
	rec.r.State, rec.r.Started, rec.r.Starts = job.Running, time.Now(), rec.r.Starts+1
	return rec.save()
}

// step takes in how the install goes: of each step that was begun there is a line.
func (rec *installRecord) step(e step.Event) {
	switch e.Kind {
	case step.Started:
		rec.r.Done, rec.r.Of = int64(e.N-1), int64(e.Of)
		rec.r.Said = append(rec.r.Said, e.Title)
	case step.Done:
		rec.r.Done, rec.r.Of = int64(e.N), int64(e.Of)
	default:
		return
	}
	rec.save() //nolint:errcheck // who looks on sees less; the install goes on, and its end is told
}

// end says how it came out.
func (rec *installRecord) end(res installResult, err error) error {
	rec.r.State, rec.r.Ended = job.Done, time.Now()
	if err != nil {
		rec.r.State, rec.r.Error = job.Failed, report.ProblemOf(err)
		res.Exit = hint.ExitCode(err)
	}
	text, merr := json.Marshal(res)
	if merr != nil {
		return merr
	}
	rec.r.Result = text
	return rec.save()
}

// cutOff says that the process that installed has died.
func (rec *installRecord) cutOff() error {
	rec.r.State, rec.r.Ended = job.CutOff, time.Now()
	return rec.save()
}

// where is how far an install was.
func (rec *installRecord) where() hint.Text {
	if len(rec.r.Said) == 0 {
		return hint.T("before its first step", "avant sa première étape")
	}
	return hint.T("at step %d of %d (%s)", "à l'étape %d sur %d (%s)", len(rec.r.Said), rec.r.Of, rec.r.Said[len(rec.r.Said)-1])
}

// worker has an install done by a process of its own and follows it.
type worker struct {
	*app
	flags  installFlags
	dir    string
	result installResult
}

func (w *worker) apply(ctx context.Context, v installer.Values, progress func(tui.Progress)) (tui.Outcome, error) {
	if l, ok := hint.ParseLang(v["language"]); ok { // from here on in the language that was chosen
		w.lang = l
	}
	ended := make(chan struct{})
	if installing() {
		go func() { // somebody else's: its lock tells
			defer close(ended)
			for installing() && ctx.Err() == nil {
				time.Sleep(200 * time.Millisecond)
			}
		}()
	} else {
		cmd, err := w.start(ctx, v)
		if err != nil {
			return tui.Outcome{}, err
		}
		go func() {
			defer close(ended)
			cmd.Wait() //nolint:errcheck // what it has to say is in its record
		}()
	}
	rec, err := w.follow(ctx, ended, progress)
	if err != nil {
		return tui.Outcome{}, err
	}
	if err := w.read(rec); err != nil {
		return tui.Outcome{}, err
	}
	r := w.result
	return tui.Outcome{Addresses: r.Addresses, Code: r.ClaimCode, Owner: r.Owner}, nil
}

// start starts the process that installs. The answers go to it through its
// environment, which only root can read.
func (w *worker) start(ctx context.Context, v installer.Values) (*exec.Cmd, error) {
	if _, err := w.settle(ctx, v); err != nil { // it fills in what follows from the machine
		return nil, err
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find this program's file: %w", err)
	}
	lock, err := atomicfile.TryLock(workerLock)
	if err != nil {
		return nil, fmt.Errorf("cannot begin the install: %w", err)
	}
	defer lock.Unlock() //nolint:errcheck // the process that is started holds it on
	if _, err := newInstallRecord(w.dir); err != nil {
		return nil, err
	}
	args := []string{"install", "--yes", "--record", "--lang", string(w.lang)}
	if w.flags.answers != "" {
		args = append(args, "--answers", w.flags.answers)
	}
	if w.flags.replaceEdited {
		args = append(args, "--replace-edited")
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = slices.Clone(w.environ)
	for k, text := range v {
		cmd.Env = append(cmd.Env, config.EnvName(k)+"="+text)
	}
	if w.flags.password != "" {
		cmd.Env = append(cmd.Env, "FOYER_OWNER_PASSWORD="+w.flags.password)
	}
	if w.flags.once != nil {
		if cmd.Stdin, err = w.answers(); err != nil {
			return nil, fmt.Errorf("cannot begin the install: %w", err)
		}
	}
	complaints, err := os.OpenFile(filepath.Join(w.dir, "complaints"), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600) // should it break off
	if err != nil {
		return nil, fmt.Errorf("cannot begin the install: %w", err)
	}
	defer complaints.Close() //nolint:errcheck // the process that is started writes to it
	cmd.Stderr = complaints
	host.Detach(cmd)
	lock.Lend(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot begin the install: %w", err)
	}
	return cmd, nil
}

// answers is a file without a name that holds what was read of standard input.
func (w *worker) answers() (*os.File, error) {
	path := filepath.Join(w.dir, "answers")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(w.flags.once)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		f.Close() //nolint:errcheck // err says what is wrong
		return nil, err
	}
	return f, nil
}

// follow shows the record of the install until that has ended, or the process that installs
// has; nil: it is an install by other means, which keeps none.
func (w *worker) follow(ctx context.Context, ended <-chan struct{}, progress func(tui.Progress)) (*installRecord, error) {
	shown := tui.Progress{}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for over := false; ; {
		rec, err := readInstallRecord(w.dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if rec != nil {
			shown = show(rec.r, shown, progress)
		}
		if over {
			return rec, nil
		}
		select {
		case <-ctx.Done(): // it goes on by itself
			return nil, tui.ErrLeft
		case <-ended:
			over = true
		case <-tick.C:
		}
	}
}

// show shows what is new in a record since shown.
func show(r job.Record, shown tui.Progress, progress func(tui.Progress)) tui.Progress {
	for n := max(1, shown.N); n <= len(r.Said); n++ {
		now := tui.Progress{N: n, Of: int(r.Of), Title: r.Said[n-1], Done: int64(n) <= r.Done}
		if now != shown {
			progress(now)
			shown = now
		}
	}
	return shown
}

// read reads how the install came out. One that was cut off stays told of until it is begun
// again.
func (w *worker) read(rec *installRecord) error {
	if rec == nil {
		return hint.New("install-failed", hint.T("The installation ended without saying why.", "L'installation s'est terminée sans dire pourquoi."),
			hint.T("What was done stays, and nothing is lost.", "Ce qui est fait reste, et rien n'est perdu."), hint.T("Run it again to go on.", "Relancez pour continuer."))
	}
	if !rec.r.State.Ended() || rec.r.State == job.CutOff {
		if err := rec.cutOff(); err != nil {
			return err
		}
		return hint.New("install-cut-off", hint.T("The installation was cut off %s.", "L'installation a été interrompue %s.", rec.where()),
			hint.T("What was done stays, and nothing is lost.", "Ce qui est fait reste, et rien n'est perdu."), hint.T("`sudo foyer install` begins it again, with the answers given.", "`sudo foyer install` la recommence, avec les réponses données."))
	}
	if err := json.Unmarshal(rec.r.Result, &w.result); err != nil {
		return fmt.Errorf("cannot read how the install came out: %w", err)
	}
	os.RemoveAll(w.dir) //nolint:errcheck // it is gone at the next start of the machine
	if e := rec.r.Error; e != nil {
		return hint.New(e.Code, e.What, e.Did, e.Do).Exits(w.result.Exit)
	}
	return nil
}
