// Package routine keeps the backup of a Foyer going: it begins it, has it go on every few
// seconds, has it restored once a month to see that it can be, and tells how all that stands.
//
// It is a room of the supervisor. It hides where the keys and the memory of the backup lie on
// this machine, when what is due, and how patient to be with a disk that is not there. It
// promises that nothing it meets ends the server: what goes wrong is a finding, and is tried
// again.
//
// What a folder of its own holds:
//
//	target.json   which folder it is that backups go to, and since when
//	proven.json   the last restores to see that one can be made
//	chain/        keys of this machine and of the chain, and what is known of it (package backup)
//	drill/        what is being restored to see that it can be (package drill)
package routine

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
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/backup"
	"github.com/foyer-server/foyer/supervisor/backup/drill"
	"github.com/foyer-server/foyer/supervisor/backup/target"
	"github.com/foyer-server/foyer/supervisor/job"
)

// Config says what is backed up, and where to. All fields are needed unless said otherwise.
type Config struct {
	To       string        // folder, as the settings name it; "": nothing is backed up
	Hidden   bool          // this process cannot see that folder, whatever is there
	Interval time.Duration // between two cycles
	Dir      string        // the folder of its own
	Data     string        // the folder of the data
	Source   changelog.Source
	Contents backup.Contents
	Files    func(context.Context) ([]backup.File, error) // what goes along with the data; nil: nothing
	// Drill has the newest point restored, by a process that has the target, the keys and this
	// folder, in which it was asked for (drill.Ask). It returns when that has ended, or ctx has,
	// and calls each with how far it is.
	Drill  func(ctx context.Context, id, dir string, each func(drill.Progress)) error
	Mounts func(dir string) []string // on the way to a folder, as this process sees them
	// Version of this Foyer, and Schema of its data.
	Version string
	Schema  int
	Log     *slog.Logger
	Timing  Timing // zero fields have defaults
	// Clock is by what all of it goes: by that of the machine, the age of a backup would be what that was
	// set by. nil: a new one.
	Clock *backup.Clock
}

// Timing sets when what is due, for tests that hurry.
type Timing struct {
	Again  time.Duration // after a cycle that failed, at least; 10 s
	First  time.Duration // before the first restore to see, after the first copy; 10 s
	Drill  time.Duration // between two of them; 30 days
	Failed time.Duration // and after one that failed; 1 day
}

// Routine is the backup of one Foyer. Use New, then UseHost, then Run once. Its other methods
// are safe for concurrent use, and block for no longer than a small write to the system's disk
// unless they say so.
type Routine struct {
	cfg   Config
	host  host
	began []string // mounts on the way to the folder, at the beginning

	wake   chan struct{} // a cycle is wanted now
	cycles chan struct{} // one token: whoever works on the target

	mu      sync.Mutex // guards what follows
	known   *known     // what target.json says; nil: it has not begun
	engine  *backup.Engine
	kept    backup.Overview // how it stood at the end of the process before, until there is an engine
	damage  error           // why target.json cannot be read
	proof   proof
	drilled time.Time       // when a restore to see was last begun, in this process
	wrong   *report.Problem // why it does not go on; nil: it does
	cause   error           // of wrong
	since   time.Time       // since when
	opening time.Time       // since when the target is being opened; zero: it is not
	full    time.Time       // Complete of the last cycle of this process that ended well
	fresh   time.Time       // when that was last another, or it began: of what time.Since counts, the machine was awake
	lacks   *report.Problem // attachments that were not to be had
	lacked  time.Time       // when that was last said
	tight   bool            // the target is nearly full
	free    int64           // bytes there, then
	told    string          // the code of the last complaint that was told as an event
}

// host is what is asked of the supervisor.
type host struct {
	tell  func(report.Event)
	start func(kind string) (job.Record, error)
	anew  func(why string)
}

// New returns a backup that does nothing yet. What its folder says is read.
func New(cfg Config) *Routine {
	cfg.Timing.Again = cmp.Or(cfg.Timing.Again, 10*time.Second)
	cfg.Timing.First = cmp.Or(cfg.Timing.First, 10*time.Second)
	cfg.Timing.Drill = cmp.Or(cfg.Timing.Drill, 30*24*time.Hour)
	cfg.Timing.Failed = cmp.Or(cfg.Timing.Failed, 24*time.Hour)
	cfg.Clock = cmp.Or(cfg.Clock, &backup.Clock{})
	r := &Routine{cfg: cfg, wake: make(chan struct{}, 1), cycles: make(chan struct{}, 1), fresh: time.Now(), host: host{
		tell: func(report.Event) {}, anew: func(string) {},
		start: func(string) (job.Record, error) { return job.Record{}, errors.New("nobody does jobs") },
	}}
	if cfg.To != "" {
		r.began = cfg.Mounts(cfg.To)
	}
	if r.known, r.damage = readKnown(cfg.Dir); r.known != nil {
		r.kept = backup.Kept(keysDir(cfg.Dir), r.known.Chain)
	}
	r.proof = readProof(cfg.Dir, cfg.Log)
	return r
}

// UseHost gives it what it asks of its supervisor; before Run.
func (r *Routine) UseHost(tell func(report.Event), start func(kind string) (job.Record, error), anew func(why string)) {
	r.host = host{tell, start, anew}
}

// Run has the backup go on until ctx ends.
func (r *Routine) Run(ctx context.Context) {
	defer r.close()
	for r.round(ctx) {
	}
}

// round does one cycle and what else is due, waits, and reports whether ctx still lasts.
func (r *Routine) round(ctx context.Context) bool {
	wait := r.cfg.Interval
	if r.isOn() {
		switch err := r.cycle(ctx); {
		case err != nil:
			wait = max(wait, r.cfg.Timing.Again)
			r.lookForDisk(err)
		case r.isCopying(): // a part of everything in each cycle
			wait = 0
		}
		r.drillWhenDue()
	}
	select {
	case <-r.wake:
		return ctx.Err() == nil
	default:
	}
	return r.rest(ctx, wait)
}

// rest waits until it is time, or somebody wants a cycle.
func (r *Routine) rest(ctx context.Context, wait time.Duration) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-r.wake:
	}
	return ctx.Err() == nil
}

// poke has a cycle begin now.
func (r *Routine) poke() {
	select {
	case r.wake <- struct{}{}:
	default: // it is about to
	}
}

// isOn reports whether there is a backup that is to go on.
func (r *Routine) isOn() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known != nil && r.cfg.To == r.known.To && !r.cfg.Hidden
}

// isCopying reports whether everything is being copied.
func (r *Routine) isCopying() bool {
	r.mu.Lock()
	e := r.engine
	r.mu.Unlock()
	return e != nil && e.Overview().Copying > 0
}

// take waits for the target, which one thing is done with at a time; give lets go of it.
func (r *Routine) take(ctx context.Context) (give func(), err error) {
	select {
	case r.cycles <- struct{}{}:
		return func() { <-r.cycles }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// cycle does one cycle, and keeps how it went.
func (r *Routine) cycle(ctx context.Context) error {
	give, err := r.take(ctx)
	if err != nil {
		return err
	}
	defer give()
	e, err := r.open(ctx)
	if err == nil {
		// Where nothing was written a cycle does not look at the target.
		err = r.lookForRoom(ctx, e.Target)
	}
	if err == nil {
		err = r.noteAttachments(e.Cycle(ctx))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.noteCycle(err)
	return err
}

// lookForRoom asks how much room there is, by which a target that is away is noticed, too.
func (r *Routine) lookForRoom(ctx context.Context, at target.Target) error {
	free, total, known, err := at.Room(ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tight = known && free < min(tightBytes, total/20); r.tight {
		r.free = free
	}
	return nil
}

// noteAttachments takes out of what a cycle says that attachments are not to be had on this
// machine, which is said once of each, and tells it: everything else is in the backup.
func (r *Routine) noteAttachments(err error) error {
	if !errors.Is(err, backup.ErrAttachment) {
		return err
	}
	p := report.ProblemOf(forPeople(err))
	r.cfg.Log.Warn("the backup lacks attachments", "err", err)
	r.mu.Lock()
	r.lacks, r.lacked = p, r.cfg.Clock.Now()
	r.mu.Unlock()
	r.host.tell(report.Event{Code: "backup-attachments", Severity: report.Warning, What: p.What, Did: p.Did, Do: p.Do})
	return nil
}

// open opens what the backup consists of, if that is not so yet: the target comes and goes.
func (r *Routine) open(ctx context.Context) (*backup.Engine, error) {
	r.mu.Lock()
	e, k := r.engine, r.known
	r.mu.Unlock()
	if e != nil {
		return e, nil
	}
	keys, err := backup.LoadKeys(keysDir(r.cfg.Dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, keysGone(err)
	}
	if err != nil {
		return nil, err
	}
	if keys.Chain.ID != k.Chain { // the words open nothing of what these would seal
		return nil, keysGone(fmt.Errorf("those in %s are of backup %.8s, and this is %.8s", keysDir(r.cfg.Dir), keys.Chain.ID, k.Chain))
	}
	r.mu.Lock()
	r.opening = time.Now()
	r.mu.Unlock()
	folder, err := target.OpenFolder(ctx, k.Target, r.cfg.Data)
	r.mu.Lock()
	r.opening = time.Time{}
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	e = r.newEngine(folder, keys)
	r.mu.Lock()
	r.engine = e
	r.mu.Unlock()
	return e, nil
}

func (r *Routine) newEngine(at target.Target, keys backup.Keys) *backup.Engine {
	return &backup.Engine{
		Source: r.cfg.Source, Contents: r.cfg.Contents, Target: at, Keys: keys, Dir: keysDir(r.cfg.Dir),
		Version: r.cfg.Version, Schema: r.cfg.Schema, Files: r.cfg.Files, Clock: r.cfg.Clock, Log: r.cfg.Log,
	}
}

// close keeps what is known of the chain.
func (r *Routine) close() {
	r.mu.Lock()
	e := r.engine
	r.mu.Unlock()
	if e == nil {
		return
	}
	if err := e.Stop(); err != nil {
		r.cfg.Log.Warn("what is known of the backup is not all on the disk; it is found out again from the target", "err", err)
	}
}

// lookForDisk has Foyer begin anew when the folder is not there, and a disk came that this
// process cannot see: systemd gave it a view of its own of the machine's disks.
func (r *Routine) lookForDisk(err error) {
	if !errors.Is(err, target.ErrAway) && !errors.Is(err, target.ErrOther) && !errors.Is(err, target.ErrReadOnly) {
		return
	}
	before, now := r.began, r.cfg.Mounts(r.cfg.To)
	r.began = now
	if slices.ContainsFunc(now, func(mount string) bool { return !slices.Contains(before, mount) }) {
		r.cfg.Log.Info("a disk came on the way to the folder for backups, and is not seen; Foyer begins anew to see it", "folder", r.cfg.To)
		r.host.anew("the disks of this machine have changed")
	}
}

// noteCycle keeps how a cycle went, and tells of what changes by that.
func (r *Routine) noteCycle(err error) {
	problem := report.ProblemOf(forPeople(err))
	now := r.cfg.Clock.Now()
	r.mu.Lock()
	was := r.wrong
	if err == nil {
		if full := r.engine.Overview().Complete; full != r.full {
			r.full, r.fresh = full, time.Now()
		}
	}
	if problem == nil || was == nil || was.Code != problem.Code {
		r.since = now
	}
	r.wrong, r.cause = problem, err
	event := report.Event{}
	switch {
	case problem != nil && (was == nil || was.Code != problem.Code) && !passes(err):
		r.cfg.Log.Warn("the backup does not go on", "err", err)
	case problem == nil && was != nil:
		r.cfg.Log.Info("the backup goes on")
	}
	switch {
	case problem != nil && r.told != problem.Code && !passes(err) && severity(problem.Code, 0) == report.Error:
		r.told = problem.Code
		event = report.Event{Code: "backup-stopped", Severity: report.Error, Subject: problem.Code, What: problem.What, Did: problem.Did, Do: problem.Do}
	case problem == nil && r.told != "":
		r.told = ""
		event = report.Event{Code: "backup-goes-on", What: hint.T("The backup goes on.", "La sauvegarde reprend.")}
	}
	r.mu.Unlock()
	if problem != nil && was == nil {
		r.close() // when all was last well is to be known after a death
	}
	if event.Code != "" {
		r.host.tell(event)
	}
}

// Report is how the backup stands.
func (r *Routine) Report() report.Backup {
	r.mu.Lock()
	k, silent := r.known, silence(r.opening, r.engine)
	out := report.Backup{To: r.cfg.To, Problem: r.wrong, Proven: r.proof.Proven, Failed: r.proof.Failed, FailedAt: r.proof.FailedAt}
	if r.wrong != nil {
		out.Since = r.since
	}
	r.mu.Unlock()
	if k == nil || k.To != r.cfg.To {
		out.Problem, out.Since = nil, time.Time{}
		return out
	}
	out.Chain, out.Began = k.Chain, k.Began
	o := r.overview()
	out.Complete, out.Bytes, out.Points = o.Complete, o.Bytes, len(o.Points)
	if o.First.IsZero() {
		out.Copied = o.Copying
	}
	if n := len(o.Points); n > 0 {
		out.Oldest = o.Points[n-1].At
	}
	out.Bytes += o.Attachments
	if silent >= silentFor && out.Problem == nil {
		out.Problem, out.Since = report.ProblemOf(forPeople(target.Silent(r.cfg.To, silent))), r.cfg.Clock.Now().Add(-silent)
	}
	return out
}

// silence is how long a target has not answered what was asked last; opening: since when it is being
// opened, if it is.
func silence(opening time.Time, e *backup.Engine) time.Duration {
	if !opening.IsZero() {
		return time.Since(opening)
	}
	if e != nil {
		if at, ok := e.Target.(interface{ Silent() time.Duration }); ok {
			return at.Silent()
		}
	}
	return 0
}

// overview is how it stands, or stood when the target was last there.
func (r *Routine) overview() backup.Overview {
	r.mu.Lock()
	e, kept := r.engine, r.kept
	r.mu.Unlock()
	if e == nil {
		return kept
	}
	return e.Overview()
}

// Points are the moments that can be restored, the newest first.
func (r *Routine) Points() []time.Time {
	var out []time.Time
	for _, p := range r.overview().Points {
		out = append(out, p.At)
	}
	return out
}

// awaitFirst waits until the engine is open, or says why it is not.
func (r *Routine) awaitFirst(ctx context.Context) (*backup.Engine, error) {
	if !r.isOn() {
		return nil, notBegun(r.cfg.To)
	}
	e, err := r.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("the backup cannot be used now: %w", err)
	}
	return e, nil
}

// Name is the folder of a Routine in the supervisor's own.
const Name = "backup"

// KeysDir and DrillDir are what a process may have that restores to see, in the supervisor's folder.
func KeysDir(supervisor string) string  { return keysDir(filepath.Join(supervisor, Name)) }
func DrillDir(supervisor string) string { return drillDir(filepath.Join(supervisor, Name)) }

func keysDir(dir string) string  { return filepath.Join(dir, "chain") }
func drillDir(dir string) string { return filepath.Join(dir, "drill") }

// makeDirs makes the folders of its own.
func makeDirs(dir string) error {
	for _, d := range []string{dir, keysDir(dir), drillDir(dir)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("cannot make the folder for what is known of the backup: %w", err)
		}
	}
	return nil
}
