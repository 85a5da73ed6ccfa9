package routine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/backup"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/job"
)

// yearly is a home that is lived in for a year: with the clocks of a machine, a supervisor that does
// jobs, looks and dies, and somebody who reads all that is put on the disk.
type yearly struct {
	*home
	Rand  *rand.Rand
	zone  *time.Location
	chain string
	keys  backup.Keys

	// The supervisor.
	ctx      context.Context
	cancel   context.CancelFunc
	alive    sync.WaitGroup
	killed   atomic.Bool
	fuse     atomic.Int64 // it is killed after so many things that it asks of its server
	jobs     *job.Manager
	board    *health.Board
	changes  []string // what was told of the check of the backup, in this outage
	away     bool     // the disk is
	tally    tally
	all      bool // all that there was is remembered
	byHand   bool // its owner sets its clock
	returned int  // restores to see that were due when it came back

	began  time.Time
	clocks sync.Mutex    // guards the next two
	slept  time.Duration // in all
	set    time.Duration // by which the clock of the machine is wrong
	hand   time.Duration // of this, what its owner set it by for daylight saving

	mu      sync.Mutex // guards what follows
	working bool       // jobs are being done
	rest    context.CancelFunc
	drilled []drilled
	owner   bool // somebody asked for a restore to see

	// What there was.
	were   map[int64]moment
	missed map[int64]bool // that was told already
	ever   []once         // points, in their order
	read   uint64         // the newest object that was read
	names  map[uint64]bool
	bases  map[int64]bool // positions at which a copy of everything stands for itself, by the newest manifest
	counts struct{ objects, bytes, parts, state, deleted int }
	there  map[uint64]bool
}

// real is what really passed: of which a process that sleeps sees nothing, but by a clock.
func (y *yearly) real() time.Time {
	y.clocks.Lock()
	defer y.clocks.Unlock()
	return time.Now().Add(y.slept)
}

func (y *yearly) unset() time.Duration { return y.real().Sub(y.began) }

func (y *yearly) machine() time.Time {
	now := y.real()
	y.clocks.Lock()
	defer y.clocks.Unlock()
	return now.Add(y.set).In(y.zone)
}

// now is the time by the clock of the backup.
func (y *yearly) now() time.Time { return y.cfg.Clock.Now() }

// passes has time pass, as it does for a machine that is awake, whose supervisor asks for the time
// every few seconds: here every minute, for a quarter of an hour.
func (y *yearly) passes(d time.Duration) {
	for range min(15, d/time.Minute) {
		time.Sleep(time.Minute)
		y.cfg.Clock.Now()
		d -= time.Minute
	}
	time.Sleep(d)
	synctest.Wait()
}

// cycles has a cycle be done now.
func (y *yearly) cycles() {
	y.poke()
	synctest.Wait()
}

func (y *yearly) sleeps(d time.Duration) {
	y.clocks.Lock()
	y.slept += d
	y.clocks.Unlock()
}

func (y *yearly) sets(by time.Duration) {
	y.clocks.Lock()
	y.set = by + y.hand
	y.clocks.Unlock()
}

// hands has the owner of every other machine set its clock when daylight saving begins and ends.
func (y *yearly) hands() {
	_, first := y.began.In(y.zone).Zone()
	_, now := y.real().In(y.zone).Zone()
	hand := time.Duration(now-first) * time.Second
	if !y.byHand || hand == y.hand || y.set != y.hand {
		return
	}
	y.tally.changes++
	y.remembers()
	y.hand = hand
	y.sets(0)
	y.passes(15 * time.Minute)
}

// mortal is a server whose supervisor can be killed whenever it asks for something.
type mortal struct {
	*server
	burns func() error
}

func (m mortal) Changes(ctx context.Context, after changelog.Position, bytes int, each func(changelog.Entry) error) error {
	if err := m.burns(); err != nil {
		return err
	}
	return m.server.Changes(ctx, after, bytes, each)
}

func (m mortal) Acknowledge(ctx context.Context, name string, upTo changelog.Position) error {
	if err := m.burns(); err != nil {
		return err
	}
	return m.server.Acknowledge(ctx, name, upTo)
}

func (m mortal) Copy(ctx context.Context, after string, bytes int, each func([]byte) error) (string, changelog.Position, error) {
	if err := m.burns(); err != nil {
		return "", changelog.Position{}, err
	}
	return m.server.Copy(ctx, after, bytes, each)
}

func (m mortal) Summarize(ctx context.Context, notes time.Time) (*changelog.Summary, changelog.Position, error) {
	if err := m.burns(); err != nil {
		return nil, changelog.Position{}, err
	}
	return m.server.Summarize(ctx, notes)
}

func (y *yearly) burns() error {
	if y.fuse.Add(-1) == 0 {
		y.dies()
		return context.Canceled
	}
	return nil
}

// dies ends the supervisor with what is on its disk now: what it does later was not done.
func (y *yearly) dies() {
	if y.killed.Swap(true) {
		return
	}
	root := filepath.Dir(y.cfg.Dir)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return ignoring(err, fs.ErrNotExist)
		}
		to := root + ".killed" + strings.TrimPrefix(path, root)
		if d.IsDir() {
			return os.MkdirAll(to, 0o700)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return ignoring(err, fs.ErrNotExist) // of a job that has just been noted
		}
		return os.WriteFile(to, text, 0o600)
	})
	if err != nil {
		y.Error(err)
	}
	y.cancel()
}

func ignoring(err, what error) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}

// ends ends the supervisor.
func (y *yearly) ends() {
	y.cancel()
	y.alive.Wait()
	y.fuse.Store(0)
	if !y.killed.Swap(false) {
		return
	}
	root := filepath.Dir(y.cfg.Dir)
	err := os.RemoveAll(root)
	if err == nil {
		err = os.Rename(root+".killed", root)
	}
	if err != nil {
		y.Fatal(err)
	}
}

// boots starts the supervisor.
func (y *yearly) boots() {
	y.Helper()
	y.ctx, y.cancel = context.WithCancel(y.Context())
	y.cfg.Clock = backup.NewClock(y.machine, y.unset)
	y.start()
	root := filepath.Dir(y.cfg.Dir)
	quiet := slog.New(slog.DiscardHandler)
	var err error
	if y.jobs, err = job.Open(filepath.Join(root, "jobs"), quiet, y.Kinds()...); err != nil {
		y.Fatal(err)
	}
	y.jobs.OnEnd(func(job.Record) {
		y.mu.Lock()
		defer y.mu.Unlock()
		if !y.busy() {
			y.rest()
		}
	})
	y.UseHost(y.tells, func(kind string) (job.Record, error) { return y.asks(kind) }, func(string) { y.Error("it wants to begin anew") })
	server := health.Check{Code: "server", Run: func(context.Context) health.Finding { return health.Finding{} }}
	if y.board, err = health.NewBoard(quiet, append([]health.Check{server}, y.Checks()...)...); err != nil {
		y.Fatal(err)
	}
	y.board.OnChange(func(r health.Result) {
		if r.Code == Code {
			y.changes = append(y.changes, fmt.Sprint(r.Severity, " ", r.Cause))
		}
	})
	y.board.Remember(root)
	y.alive.Go(func() { y.Routine.Run(y.ctx) })
	y.mu.Lock()
	y.works()
	y.mu.Unlock()
	synctest.Wait()
}

func (y *yearly) tells(e report.Event) {
	y.home.mu.Lock()
	defer y.home.mu.Unlock()
	y.events = append(y.events, e)
}

// asks has a job be done.
func (y *yearly) asks(kind string) (job.Record, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	r, err := y.jobs.Start(kind, nil, "test")
	y.works()
	return r, err
}

// busy reports whether there is a job to do. y.mu is held, as by works.
func (y *yearly) busy() bool {
	for _, kind := range []string{JobNow, JobDrill, JobCheck} {
		if _, active := y.jobs.ActiveOf(kind); active {
			return true
		}
	}
	return false
}

// works has jobs be done as long as there are some: whoever waits for them wakes up every five
// seconds, all year long.
func (y *yearly) works() {
	if y.working || !y.busy() {
		return
	}
	y.working = true
	jobs, ctx := y.jobs, y.ctx
	y.alive.Go(func() {
		for {
			y.mu.Lock()
			if y.working = ctx.Err() == nil && y.busy(); !y.working {
				y.mu.Unlock()
				return
			}
			now, stop := context.WithCancel(ctx)
			y.rest = stop
			y.mu.Unlock()
			jobs.Run(now)
			stop()
		}
	})
}
