// Package installer puts Foyer on a machine and takes it away again.
//
// An install is a list of steps (internal/step): Plan asks every step what would have
// to change and changes nothing; Apply makes it so, step by step; Undo takes back, in
// reverse, what the journal says was made. A file that a person has edited is kept and
// reported rather than overwritten.
//
// Later, questions of the install may be answered otherwise: what that comes to is planned
// (PlanChange), done (ChangeSettings) and taken back (RestoreSettings) by the same steps.
//
// What was there before Foyer is never taken over or removed. The person's data,
// settings and the account that owns them outlive an uninstall unless everything
// is to go; then the file system is as it was before.
//
// Used by cmd/foyer and tui. It runs as root, alone: a lock keeps a second run out. What
// only reads settings and plans needs neither.
package installer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/site"
	"github.com/foyer-server/foyer/internal/step"
	"github.com/foyer-server/foyer/supervisor/service"
	"github.com/foyer-server/foyer/supervisor/update"
)

// Config says what to install where.
type Config struct {
	Answers    *Answers    // needed
	Root       string      // prefix of every path, for tests; "" or "/" = this machine
	Executable string      // the program to install, most often this one; needed by Plan and Apply
	Version    string      // of it; needed by Plan and Apply
	Runner     host.Runner // nil = host.Exec
	// Claimed asks the Foyer that runs on this machine whether it has an owner;
	// running is false when there is none to ask. nil: nobody can be asked.
	Claimed func(ctx context.Context) (claimed, running bool)
	// Lost asks the Foyer that runs on this machine why it does not start its server, where
	// waiting does not help, since the data are not there; nil: nothing, or nobody knows.
	Lost func(ctx context.Context) *hint.Error
	// OnTrial says what is on trial on this machine (ChangeSettings), as the error by which
	// Apply and ApplySettings end before they have done anything: what they did would be
	// lost when that goes back. nil: nothing ever is.
	OnTrial func(ctx context.Context) error
	// ReplaceEdited writes files anew that were edited by hand; the edited ones are
	// kept as NAME.edited.
	ReplaceEdited bool
	Log           *slog.Logger // nil = none
	Facts         Facts        // of the machine; the zero value asks this one

	register service.Registrar // nil = the real one
	patience patience          // zero = that of a real machine
}

// patience is how long things may take that are waited for.
type patience struct {
	healthy time.Duration // until the server answers visitors; 60 s
	start   time.Duration // until the service manager has started the service; 60 s
	claim   time.Duration // until the server can be asked whether it has an owner, and again until it has taken the offer; 15 s
	pause   time.Duration // between two looks; 200 ms
}

// Installer installs and uninstalls. Its methods may be called one after the
// other, in any order; a second one at the same time, in this process or another,
// gets an error with code install-running.
type Installer struct {
	cfg   Config
	steps func(*machine) []step.Step
	disk  step.Disk
	hook  func(point string) // for tests: called after each write of the journal and each Apply
}

// New returns an installer. Nothing is done yet.
func New(cfg Config) *Installer {
	if cfg.Root == "" {
		cfg.Root = "/"
	}
	if cfg.Runner == nil {
		cfg.Runner = host.Exec{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Claimed == nil {
		cfg.Claimed = func(context.Context) (bool, bool) { return false, false }
	}
	if cfg.Lost == nil {
		cfg.Lost = func(context.Context) *hint.Error { return nil }
	}
	if cfg.OnTrial == nil {
		cfg.OnTrial = func(context.Context) error { return nil }
	}
	cfg.Facts = cfg.Facts.orReal(cfg.Runner, cfg.Root)
	cfg.patience.healthy = cmp.Or(cfg.patience.healthy, 60*time.Second)
	cfg.patience.start = cmp.Or(cfg.patience.start, 60*time.Second)
	cfg.patience.claim = cmp.Or(cfg.patience.claim, 15*time.Second)
	cfg.patience.pause = cmp.Or(cfg.patience.pause, 200*time.Millisecond)
	return &Installer{cfg: cfg, steps: allSteps, disk: step.RealDisk(), hook: func(string) {}}
}

// allSteps are the steps of an install, in order: each needs those before it.
func allSteps(m *machine) []step.Step {
	return []step.Step{
		userStep{m}, directoriesStep{m}, versionStep{m}, settingsStep{m}, unitsStep{m}, firewallStep{m}, &osUpdatesStep{m: m}, startStep{m}, healthyStep{m}, &claimStep{m: m},
	}
}

// Addresses are those under which people reach the Foyer that is, or would be,
// installed.
func (in *Installer) Addresses() []string {
	m := &machine{cfg: in.cfg}
	s, err := m.loadSettings()
	if err != nil {
		return nil
	}
	return site.Of(s).Addresses()
}

func (in *Installer) journalDir() string {
	return filepath.Join(in.cfg.Root, config.SystemOpt, "install")
}

// Installed returns the version that is installed; ok is false when none is.
func (in *Installer) Installed(context.Context) (version string, ok bool, err error) {
	version, err = update.Current(filepath.Join(in.cfg.Root, config.SystemOpt))
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	return version, err == nil, err
}

// Plan tells what Apply would do, and changes nothing. Its error is what would
// make Apply fail from the start, each a *hint.Error: need-root, port-taken,
// disk-full, target-readonly, no-service-manager, kernel-old, data-foreign,
// data-place, data-link, version-older, settings-malformed.
func (in *Installer) Plan(ctx context.Context) (Plan, error) {
	if in.cfg.Root == "/" && os.Geteuid() > 0 { // what is there cannot even be read
		return Plan{}, needRoot()
	}
	h, err := step.Peek(in.journalDir(), in.cfg.Log)
	if err != nil {
		return Plan{}, unread(err)
	}
	m, err := newMachine(ctx, in.cfg, h, false)
	if err != nil {
		return Plan{}, err
	}
	if err := m.preflight(ctx); err != nil {
		return Plan{}, err
	}
	p := Plan{Changes: []step.Change{}, Notes: m.notes(ctx)}
	for _, s := range in.steps(m) {
		changes, err := step.Look(ctx, s)
		if err != nil {
			return Plan{}, err
		}
		p.Steps = append(p.Steps, s.ID())
		p.Changes = append(p.Changes, changes...)
	}
	return p, nil
}

// Apply installs. events, which may be nil, is told of each step as it goes. When
// a step fails on a machine where nothing was installed, what this run did is
// taken back; on one with an earlier install it stays, and Apply again goes on.
func (in *Installer) Apply(ctx context.Context, events func(step.Event)) (Result, error) {
	if in.cfg.Root == "/" && os.Geteuid() > 0 {
		return Result{}, needRoot()
	}
	unlock, err := in.lock()
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	if err := in.cfg.OnTrial(ctx); err != nil {
		return Result{}, err
	}
	h, err := step.Peek(in.journalDir(), in.cfg.Log)
	if err != nil {
		return Result{}, unread(err)
	}
	m, err := newMachine(ctx, in.cfg, h, false)
	if err != nil {
		return Result{}, err
	}
	if err := m.preflight(ctx); err != nil {
		return Result{}, err
	}
	j, err := step.OpenJournal(in.journalDir(), in.cfg.Log, in.disk)
	if err != nil {
		return Result{}, unread(err)
	}
	m.history = j.History
	a := in.begin(m, j, events)
	res, err := a.apply(ctx)
	return res, errors.Join(err, a.end())
}

// attempt is one Apply or Undo at work.
type attempt struct {
	in  *Installer
	m   *machine
	j   *step.Journal // nil: it went with everything else
	run *step.Run
	// fresh: nothing was installed before.
	fresh bool
}

func (in *Installer) begin(m *machine, j *step.Journal, events func(step.Event)) *attempt {
	run := step.New(step.Config{Steps: in.steps(m), Journal: j, Report: events, Left: func() []step.Change { return m.left }, Hook: in.hook})
	return &attempt{in, m, j, run, len(j.Made()) == 0 && !j.Finished()}
}

func (a *attempt) end() error {
	if a.j == nil {
		return nil
	}
	return a.j.Close()
}

func (a *attempt) apply(ctx context.Context) (Result, error) {
	res := a.m.result
	edited, err := a.run.Apply(ctx)
	if failed, ok := errors.AsType[*step.FailedError](err); ok {
		return Result{}, a.fail(ctx, failed)
	} else if err != nil {
		return Result{}, err
	}
	made := append(a.run.Made(), a.run.Pruned()...)
	res.Changed = len(made) > 0
	res.Changes = slices.Concat(edited, made)
	blanked, err := a.in.cfg.Answers.blank(a.in.cfg.Root)
	if err != nil {
		return Result{}, err
	}
	if blanked {
		res.Notes = append(res.Notes, hint.T("The answers file was emptied: everybody who holds the card could have read it.", "Le fichier de réponses a été vidé : quiconque tient la carte aurait pu le lire."))
	}
	res.Notes = append(res.Notes, a.m.notes(ctx)...)
	res.Addresses = site.Of(a.m.settings).Addresses()
	return *res, nil
}

// fail makes the error of a failed install one a person can act on, after taking
// back what this run did if nothing was installed before it.
func (a *attempt) fail(ctx context.Context, failed *step.FailedError) error {
	err := failed.Err
	a.in.cfg.Log.Error("install failed", "step", failed.Step, "err", err)
	did := hint.T("What was done stays, and nothing is lost.", "Ce qui est fait reste, et rien n'est perdu.")
	if a.fresh {
		undoing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
		defer cancel()
		if uerr := a.rollBack(undoing); uerr != nil {
			err = errors.Join(err, uerr)
			did = hint.T("Not all of what was done could be undone.", "Tout n'a pas pu être défait.")
		} else if len(a.m.left) > 0 {
			did = hint.T("What was done was undone, but for %s, which %s.", "Ce qui était fait a été défait, sauf %s, qui %s.", a.m.left[0].What, a.m.left[0].Why)
		} else {
			did = hint.T("What was done was undone: this machine is as it was before.", "Ce qui était fait a été défait : cette machine est comme avant.")
		}
	}
	if e := hint.Find(err); e != nil {
		c := *e
		c.Did = did
		return c.Because(err)
	}
	if errors.Is(err, context.Canceled) {
		return hint.New("cancelled", hint.T("Stopped.", "Arrêté."), did, hint.T("Run it again to install.", "Relancez pour installer.")).Because(err)
	}
	return hint.New("install-failed",
		hint.T("Foyer could not be installed: %s.", "Foyer n'a pas pu être installé : %s.", err.Error()), did,
		hint.T("Mend that, then run it again.", "Corrigez cela, puis relancez.")).Because(err)
}

// rollBack takes back what this run made. Data that was there before is not
// touched, whatever happens.
func (a *attempt) rollBack(ctx context.Context) error {
	a.m.keepData = true
	if err := a.run.RollBack(ctx); err != nil {
		return err
	}
	return a.leave()
}

// leave removes the journal once it has nothing to remember.
func (a *attempt) leave() error {
	if len(a.j.Made()) > 0 {
		return nil
	}
	j := a.j
	a.j = nil
	return j.Remove()
}

// unread is what is said when the journal cannot be read or opened.
func unread(err error) error {
	if _, newer := errors.AsType[*step.NewerError](err); newer {
		return hint.New("journal-newer",
			hint.T("A newer version of Foyer was installed on this machine.", "Une version plus récente de Foyer a été installée sur cette machine."), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Use that version.", "Utilisez cette version.")).Because(err)
	}
	return err
}

// Undo uninstalls: it takes back what was made on this machine, in reverse. The
// person's data, their settings and the account that owns them stay, and the
// journal remembers that they are ours to remove; with purge they go, too. It
// reports whether there was anything to do, and goes on where an earlier one was cut.
// What stands in the place of something we made and is not that, and what is mounted in
// the data folder, is left: an event tells of it, by a change that is Edited.
func (in *Installer) Undo(ctx context.Context, purge bool, events func(step.Event)) (changed bool, err error) {
	if in.cfg.Root == "/" && os.Geteuid() > 0 {
		return false, needRoot()
	}
	unlock, err := in.lock()
	if err != nil {
		return false, err
	}
	defer unlock()
	if _, err := os.Stat(step.Path(in.journalDir())); errors.Is(err, fs.ErrNotExist) {
		return false, in.clearAway()
	}
	j, err := step.OpenJournal(in.journalDir(), in.cfg.Log, in.disk)
	if err != nil {
		return false, unread(err)
	}
	m, err := newMachine(ctx, in.cfg, j.History, true)
	if err != nil {
		return false, errors.Join(err, j.Close())
	}
	a := in.begin(m, j, events)
	defer func() { err = errors.Join(err, a.end()) }()
	changes := slices.DeleteFunc(j.Made(), func(c step.Change) bool { return c.Stays && !purge })
	if err := a.run.Undo(ctx, changes, purge); err != nil {
		return len(changes) > 0, hint.New("uninstall-failed",
			hint.T("Foyer could not be taken away entirely: %s.", "Foyer n'a pas pu être retiré entièrement : %s.", err.Error()), hint.T("What is left is remembered.", "Ce qui reste est noté."),
			hint.T("Run it again to go on.", "Relancez pour continuer.")).Because(err)
	}
	return len(changes) > 0 || len(j.Made()) == 0, a.leave()
}

// clearAway removes what a crash at the very beginning or end may have left:
// folders under the names they have while they are put together or taken apart.
func (in *Installer) clearAway() error {
	for d := in.journalDir(); filepath.Dir(d) != d && d != in.cfg.Root; d = filepath.Dir(d) {
		if err := os.RemoveAll(step.Besides(d)); err != nil {
			return err
		}
	}
	return nil
}

func lockPath(root string) string {
	dir := filepath.Join(root, "run")
	if _, err := os.Stat(dir); err != nil {
		dir = filepath.Join(root, "var", "run")
	}
	return filepath.Join(dir, "foyer-install.lock")
}

// Running reports whether an install or uninstall is at work on this machine.
func (in *Installer) Running() bool {
	path := lockPath(in.cfg.Root)
	if _, err := os.Stat(path); err != nil {
		return false
	}
	l, err := atomicfile.TryLock(path)
	if err != nil {
		return errors.Is(err, atomicfile.ErrLocked)
	}
	l.Unlock() //nolint:errcheck // nobody held it
	return false
}

func (in *Installer) lock() (unlock func(), err error) { return lock(in.cfg.Root) }

// lock keeps other runs out. The lock lies where it is gone at the next start of
// the machine.
func lock(root string) (unlock func(), err error) {
	path := lockPath(root)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("cannot keep other runs out: %w", err)
	}
	l, err := atomicfile.TryLock(path)
	if errors.Is(err, atomicfile.ErrLocked) {
		return nil, hint.New("install-running",
			hint.T("Foyer is being installed or removed on this machine right now.", "Foyer est justement en cours d'installation ou de retrait sur cette machine."), hint.T("This second run did nothing.", "Cette seconde exécution n'a rien fait."),
			hint.T("Wait until the other one has ended.", "Attendez que l'autre soit finie.")).Because(err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot keep other runs out: %w", err)
	}
	return func() { l.Unlock() }, nil //nolint:errcheck // the lock ends with the process anyway
}
