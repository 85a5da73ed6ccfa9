// Package supervisor keeps a Foyer alive with nobody watching.
//
// It owns the listeners and lends them to its child, `foyer serve`, so that they
// stay open whatever happens to the server: clients wait instead of being
// refused. It asks the server every few seconds whether it is well, over a socket
// only the two share, and calls at the public ports as a visitor would; a server that
// dies is started again after a jittered pause, one that hangs is killed and replaced, one that keeps dying is reported and
// tried again for ever, never given up in silence. The service manager hears
// READY=1 once the server has answered and WATCHDOG=1 for each look at it.
//
// Supervisor and server share no memory: the server's end is this side's pipe
// being closed, so that it never outlives its supervisor.
//
// Used by `foyer supervise` (as user foyer, under the service manager) and by
// `foyer try` (in the foreground).
package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/claim"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/event"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/helper"
	"github.com/foyer-server/foyer/supervisor/job"
	"github.com/foyer-server/foyer/supervisor/upkeep"
)

// Config says what to keep alive and whom to tell. All fields are needed unless
// said otherwise.
type Config struct {
	// Serve makes a fresh command for `foyer serve`. Its standard input, standard
	// error and inherited files are the supervisor's to set.
	Serve func() *exec.Cmd
	// Listeners are lent to the server; the supervisor closes them when it ends.
	Listeners []host.Listener
	RunDir    string // holds control.sock and local.sock; must exist
	DataDir   string // holds the data; claim offers are left there
	// StateDir is the supervisor's own folder, outside the data, for the mark that says
	// which data are this server's. Empty: the one the service manager names in
	// STATE_DIRECTORY (StateName); where it names none, as under `foyer try`, no mark is
	// kept, and whatever data are there are taken for this server's.
	StateDir string
	// Root does what takes root (package helper); the zero value: nobody does, and there are no
	// jobs for it.
	Root helper.Client
	// Changes answers the wizard's questions anew, which root then does; nil: nothing does.
	Changes Changes
	// Apart: the user this runs as is nobody's but Foyer's, so that who asks as that user over
	// the control socket is the server.
	Apart bool
	// Prove says which owner's session a cookie of the pages is, and when they signed in, by the
	// data and not by the server (server.Prove); nil: pages start no jobs. Errors for people:
	// owners-only, signin-again.
	Prove     func(ctx context.Context, cookie string) (owner string, signedIn time.Time, err error)
	Version   string
	Built     time.Time       // of this version; the clock is not believed to be earlier
	Addresses func() []string // under which people reach this Foyer; asked often
	Doors     []Door          // the public ports; may be empty
	Rooms     []Room          // what works beside the server; may be empty
	Jobs      []job.Kind      // of rooms, besides the supervisor's own; may be empty
	Backups   control.Backups // the backup, which is one of the rooms; nil: this Foyer makes none
	// Resume ends what was begun with the data while no server ran, before each start of it, and
	// calls tell with what has ended. While its error lasts no server is started. It may be nil.
	Resume func(tell func(event.Event)) error
	Parts  []Part // of support bundles, besides the supervisor's own; may be empty
	// PeoplesDomains are those below which hosts have the names of people: support bundles do
	// not have them. May be empty.
	PeoplesDomains []string
	Journal        *Journal                 // takes the server's log lines
	Log            *slog.Logger             // the supervisor's own log
	Notify         func(state string) error // tells the service manager (sd_notify(3)); never nil
	Timing         Timing                   // zero fields have defaults
}

// Timing sets how patient the supervisor is. The defaults are for real machines;
// tests hurry.
type Timing struct {
	Probe        time.Duration   // between two looks at a healthy server; 2 s
	ProbeTimeout time.Duration   // for an answer; 3 s, longer than the server takes to say that it is not well
	Starting     time.Duration   // between two looks at a server that has not answered yet; 50 ms
	Grace        time.Duration   // a new server may take so long to answer first; 2 min
	Stuck        time.Duration   // one that answers that it is not well may go so long without progress; 30 s
	Busy         time.Duration   // one that does not answer, and computes, may take so long; 2 min
	Drain        time.Duration   // a server that is told to end may take so long; 15 s
	Steady       time.Duration   // a server that lived so long has recovered; 1 min
	Checks       time.Duration   // between two rounds of checks; 2 s
	Changed      time.Duration   // a server with changed settings may take so long to answer before they go back; 90 s
	Sample       time.Duration   // between two samples of the course of things; 10 s
	Pauses       []time.Duration // before the 1st, 2nd, … start in a row; the last one repeats
	Safe         []time.Duration // how long a server that kept dying is in safe mode the 1st, 2nd, … time; the last one repeats
}

// misses is how many looks in a row must go unanswered before a server is replaced.
const misses = 2

// crashLoop is how many quick deaths in a row are called a crash loop.
const crashLoop = 5

func (t Timing) orDefaults() Timing {
	t.Probe = cmp.Or(t.Probe, 2*time.Second)
	t.ProbeTimeout = cmp.Or(t.ProbeTimeout, 3*time.Second)
	t.Starting = cmp.Or(t.Starting, 50*time.Millisecond)
	t.Grace = cmp.Or(t.Grace, 2*time.Minute)
	t.Stuck = cmp.Or(t.Stuck, 30*time.Second)
	t.Busy = cmp.Or(t.Busy, 2*time.Minute)
	t.Drain = cmp.Or(t.Drain, 15*time.Second)
	t.Steady = cmp.Or(t.Steady, time.Minute)
	t.Checks = cmp.Or(t.Checks, 2*time.Second)
	t.Changed = cmp.Or(t.Changed, answersWithin)
	t.Sample = cmp.Or(t.Sample, 10*time.Second)
	if t.Pauses == nil {
		t.Pauses = []time.Duration{100 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second}
	}
	if t.Safe == nil {
		t.Safe = []time.Duration{time.Minute, 5 * time.Minute, 20 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour}
	}
	return t
}

// Supervisor keeps one server alive. Use New, then Run once.
type Supervisor struct {
	cfg     Config
	started time.Time
	board   *health.Board
	wrong   error         // what is wrong with the checks themselves, and keeps it from running
	local   host.Listener // the server's private listener
	probe   *prober
	events  *event.Log
	flight  *flight
	jobs    *job.Manager
	upkeep  *upkeep.Upkeep // nil: there is no folder in which to remember it
	changes *changes

	anew chan string // a room wants all of Foyer to begin anew, and says why

	proving chan struct{} // one token: somebody looks at a session

	gathering sync.Mutex // guards taken
	taken     taken

	asked chan chan struct{} // somebody asks how things are; closed when the checks have begun
	peeks chan chan struct{} // somebody asks how the server is; closed when it has been looked at

	mu     sync.Mutex // guards what follows
	child  child
	facts  facts           // what the server last said of itself
	lost   *report.Problem // why it is not started; nil: it is
	keeper *keeper
	course
}

// New returns a supervisor that does nothing yet.
func New(cfg Config) *Supervisor {
	cfg.Timing = cfg.Timing.orDefaults()
	if cfg.StateDir == "" {
		cfg.StateDir = StateDir(os.Getenv)
	}
	s := &Supervisor{cfg: cfg, started: time.Now(), anew: make(chan string, 1), proving: make(chan struct{}, 1), asked: make(chan chan struct{}), peeks: make(chan chan struct{}), child: child{state: stateStarting, since: time.Now()}}
	s.changes = newChanges(s)
	s.events = event.Open(cfg.StateDir, cfg.Log)
	s.flight = newFlight(cfg.StateDir, cfg.Log)
	s.taken = takenBefore(s.events.Newest(event.Most))
	s.keeper = &keeper{dir: cfg.StateDir, data: cfg.DataDir, log: cfg.Log, mounts: func() []string { return host.MountsOver(cfg.DataDir) }}
	s.keeper.began = s.keeper.mounts()
	checks := []health.Check{
		s.serverCheck(),
		(&doors{supervisor: s, seen: map[string]deafness{}, told: map[string]string{}}).check(),
		health.Disk(s.lookAtDisk, health.OpenFilling(cfg.StateDir, cfg.Built, cfg.Log)),
		health.Clock(cfg.Built),
		health.Certificate(func() (time.Time, []report.Served) { f := s.said(); return f.CertificateExpires, f.Certificates }),
		health.Claimed(func() bool { return s.said().Claimed }),
		s.changes.check(),
	}
	if cfg.StateDir != "" {
		s.upkeep = worker{s}.newUpkeep()
		checks = append(checks, s.upkeep.Check(readThrough))
	}
	for _, r := range cfg.Rooms {
		checks = append(checks, r.Checks()...)
	}
	s.board, s.wrong = health.NewBoard(cfg.Log, checks...)
	if s.wrong == nil {
		s.jobs, s.wrong = s.openJobs()
	}
	if s.wrong == nil {
		s.wireRepairs()
		landlord{s}.wire()
	}
	return s
}

// Run keeps the server alive until ctx ends, then ends it in good order: the
// server finishes the requests it has begun. It returns an error when it cannot
// begin (somebody else runs in the same RunDir, a socket cannot be made); once it
// has begun, only the end of ctx ends it; or, while the data are gone, a disk that comes:
// then it returns nil, and the service manager starts it anew with that disk in view.
func (s *Supervisor) Run(ctx context.Context) error {
	defer host.Close(s.cfg.Listeners)
	if s.wrong != nil {
		return s.wrong
	}
	lock, err := atomicfile.TryLock(filepath.Join(s.cfg.RunDir, "supervisor.lock"))
	if errors.Is(err, atomicfile.ErrLocked) {
		return hint.New("already-running",
			hint.T("Foyer is already running here.", "Foyer tourne déjà ici."), hint.Text{},
			hint.T("`foyer status` shows how it is.", "`foyer status` montre comment il va.")).Because(err)
	}
	if err != nil {
		return err
	}
	defer lock.Unlock() //nolint:errcheck // the lock ends with the process anyway
	s.local, err = host.Listen(host.Local, "unix", s.localSocket())
	if err != nil {
		return fmt.Errorf("cannot make the server's private socket: %w", err)
	}
	defer s.local.Close()
	door, err := host.Listen("control", "unix", control.SocketPath(s.cfg.RunDir))
	if err != nil {
		return fmt.Errorf("cannot make the control socket: %w", err)
	}
	if err := os.Chmod(door.Addr().String(), 0o666); err != nil { // who may ask is decided by peer credentials
		door.Close()
		return fmt.Errorf("cannot open the control socket: %w", err)
	}
	s.probe = newProber(s.local.Addr().String(), s.cfg.Timing.ProbeTimeout)

	ended := s.flight.begin()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return control.Serve(ctx, door, s, s.cfg.Log) })
	g.Go(func() error { return minder{s}.keep(ctx) })
	g.Go(func() error { return minder{s}.watch(ctx) })
	g.Go(func() error { s.look(ctx); return nil })
	g.Go(func() error { s.sample(ctx); return nil })
	g.Go(func() error { s.gatherPeople(ctx); return nil })
	g.Go(func() error { s.events.Run(ctx); return nil })
	g.Go(func() error { s.jobs.Run(ctx); return nil })
	g.Go(func() error { s.board.Mend(ctx); return nil })
	if s.upkeep != nil {
		g.Go(func() error { s.upkeep.Run(ctx); return nil })
	}
	g.Go(func() error { return landlord{s}.await(ctx) })
	for _, r := range s.cfg.Rooms {
		g.Go(func() error { r.Run(ctx); return nil })
	}
	if err = g.Wait(); errors.Is(err, errRemounted) {
		err = nil
	}
	ended(err)
	os.Remove(door.Addr().String())    //nolint:errcheck // whoever listens there next takes a stale one away
	os.Remove(s.local.Addr().String()) //nolint:errcheck // as above
	return err
}

// localSocket is where the server answers its supervisor.
func (s *Supervisor) localSocket() string { return filepath.Join(s.cfg.RunDir, "local.sock") }

// look begins the checks that are due, every now and then and when somebody asks how
// things are, for as long as ctx lasts.
func (s *Supervisor) look(ctx context.Context) {
	every := time.NewTicker(s.cfg.Timing.Checks)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			s.board.Look(ctx)
		case looked := <-s.asked:
			s.board.Look(ctx)
			close(looked)
		}
	}
}

// fresh has the server looked at and the checks that are due begun, and waits a moment for
// those, and for the server to tell what happened: whoever asks how things are is told how
// they are now, what a request met a moment ago too, and is told all the same when somebody
// does not answer.
func (s *Supervisor) fresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, freshWithin)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { s.gather(ctx) })
	peek, stop := context.WithTimeout(ctx, freshWithin/2) // the rest is for the checks
	ask(peek, s.peeks)
	stop()
	if ask(ctx, s.asked) {
		s.board.Wait(ctx)
	}
}

// ask asks whoever listens at to, and reports whether that is done before ctx ends.
func ask(ctx context.Context, to chan chan struct{}) bool {
	done := make(chan struct{})
	select {
	case to <- done:
	case <-ctx.Done():
		return false
	}
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// freshWithin is how long whoever asks how things are waits for checks.
const freshWithin = 500 * time.Millisecond

func (s *Supervisor) notify(state string) {
	if status, ok := strings.CutPrefix(state, "STATUS="); ok { // why a server ended may have line ends, which would be further words
		state = "STATUS=" + strings.Join(strings.Fields(hint.Short(status, 1000)), " ")
	}
	if err := s.cfg.Notify(state); err != nil {
		s.cfg.Log.Warn("the service manager does not listen", "err", err)
	}
}

// said is what the server last said of itself. What had an owner once has one, whether
// or not the data are there to say so.
func (s *Supervisor) said() facts {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.facts
	f.Claimed = f.Claimed || s.keeper.known.Load() != nil
	return f
}

// isLost is why the server is not started; nil: it is.
func (s *Supervisor) isLost() *report.Problem {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

func (s *Supervisor) serverCheck() health.Check {
	return health.Check{Code: "server", Title: hint.T("Server", "Serveur"), Repairs: serverRepairs(), Run: func(context.Context) health.Finding {
		s.mu.Lock()
		c, f, lost := s.child, s.facts, s.lost
		s.mu.Unlock()
		switch {
		case lost != nil:
			return offer(s.cfg.Backups, lost.Finding(), time.Now())
		case f.Trouble != nil:
			return offer(s.cfg.Backups, f.Trouble.Finding(), time.Now())
		case c.state == stateCrashLoop:
			return health.Finding{
				Severity: health.Error, What: hint.T("The server stops as soon as it is started.", "Le serveur s'arrête dès qu'il démarre."),
				Did: hint.T("Foyer keeps starting it: %d times so far.", "Foyer continue de le relancer : %d fois jusqu'ici.", c.restarts),
				Do:  hint.T("`sudo foyer logs` shows why.", "`sudo foyer logs` montre pourquoi."),
			}
		case c.state == stateUnwell && f.Storage != "":
			return health.Finding{
				Severity: health.Error, What: hint.T("The server cannot reach its data.", "Le serveur n'accède plus à ses données."),
				Did: hint.T("Foyer starts it anew.", "Foyer le relance."), Do: hint.T("Check the disk; `sudo foyer logs` shows more.", "Vérifiez le disque ; `sudo foyer logs` en dit plus."),
			}
		case c.state == stateHealthy && f.Busy:
			return health.Finding{
				Severity: health.Warning, What: hint.T("The server has more to do than this machine can: answers take long.", "Le serveur a plus à faire que cette machine ne peut : les réponses tardent."),
				Did: hint.T("It goes on with one request after the other.", "Il traite une demande après l'autre."), Cause: "busy",
			}
		case c.state == stateHealthy && f.Storage != "":
			return health.Finding{
				Severity: health.Error, What: hint.T("The server cannot reach its database.", "Le serveur n'accède plus à sa base de données."),
				Did: hint.T("Visitors are asked to come again; it goes on by itself.", "Les visiteurs sont priés de revenir ; il reprend de lui-même."),
				Do:  hint.T("Check the database server; `sudo foyer logs` shows more.", "Vérifiez le serveur de base de données ; `sudo foyer logs` en dit plus."),
			}
		case c.state == stateHealthy:
			return health.Finding{What: hint.T("The server answers.", "Le serveur répond.")}
		case c.state == stateStarting && f.Opening && time.Since(c.since) > 15*time.Second:
			return health.Finding{
				Severity: health.Warning, What: hint.T("The server has been opening its data for %s.", "Le serveur ouvre ses données depuis %s.", report.Age(time.Since(c.since))),
				Did: hint.T("It goes on; visitors wait meanwhile.", "Il continue ; les visiteurs patientent."), Cause: "opening",
			}
		case c.state == stateStarting && time.Since(c.since) < 15*time.Second:
			return health.Finding{Severity: health.Info, What: hint.T("The server is starting.", "Le serveur démarre.")}
		}
		return health.Finding{
			Severity: health.Error, What: hint.T("The server does not answer.", "Le serveur ne répond pas."),
			Did: hint.T("Foyer starts it anew; visitors wait meanwhile.", "Foyer le relance ; les visiteurs patientent."),
		}
	}}
}

// Status implements control.Appliance. It tells what is known, and does nothing that a
// disk or a server could hold up.
func (s *Supervisor) Status(ctx context.Context) report.Status {
	s.fresh(ctx)
	f := s.said()
	s.mu.Lock()
	c, room := s.child, s.room
	samples := slices.Clone(s.samples)
	s.mu.Unlock()
	st := report.Status{
		Version: s.cfg.Version, Started: s.started, Addresses: s.cfg.Addresses(), Claimed: f.Claimed, People: f.People,
		Server:      report.Server{State: string(c.state), PID: c.pid, Restarts: c.restarts, Since: c.since, LastEnd: c.lastEnd},
		Certificate: report.Certificate{Expires: f.CertificateExpires, Fingerprint: f.Fingerprint, Words: f.Words},
		Data:        report.Data{Path: s.cfg.DataDir, Free: room.Free, Total: room.Total},
		Checks:      s.board.Results(),
		Jobs:        recentJobs(s.jobs),
		Lately:      s.events.Newest(toldEvents), Course: samples,
	}
	if s.cfg.Backups != nil {
		b := s.cfg.Backups.Report()
		st.Backup = &b
	}
	if c.state != stateHealthy {
		st.Server.LastLines = s.cfg.Journal.Tail(20)
	}
	st.Light, st.Sentence = report.LightOf(st.Checks)
	return st
}

// NewClaim implements control.Appliance.
func (s *Supervisor) NewClaim(context.Context) (code string, expires time.Time, err error) {
	if t := s.isLost(); t != nil {
		return "", time.Time{}, t.Err()
	}
	if s.said().Claimed {
		return "", time.Time{}, hint.New("claim-done",
			hint.T("This server has an owner already.", "Ce serveur a déjà un propriétaire."), hint.Text{},
			hint.T("Ask the owner for an invitation.", "Demandez une invitation au propriétaire."))
	}
	return s.leave(claim.NewCode)
}

// NewReset implements control.Appliance.
func (s *Supervisor) NewReset(context.Context) (code string, expires time.Time, err error) {
	if t := s.isLost(); t != nil {
		return "", time.Time{}, t.Err()
	}
	if !s.said().Claimed {
		return "", time.Time{}, hint.New("claim-open",
			hint.T("This server has no owner yet.", "Ce serveur n'a pas encore de propriétaire."), hint.Text{},
			hint.T("Make a code to become its owner with `foyer claim`.", "Créez un code pour en devenir propriétaire avec `foyer claim`."))
	}
	return s.leave(claim.NewReset)
}

// leave makes a code, and leaves the offer of it for the server.
func (s *Supervisor) leave(make func(time.Time) (string, claim.Offer, error)) (code string, expires time.Time, err error) {
	code, offer, err := make(time.Now())
	if err != nil {
		return "", time.Time{}, err
	}
	if err := claim.Leave(s.cfg.DataDir, offer, -1, -1); err != nil {
		return "", time.Time{}, err
	}
	s.cfg.Log.Info("new code made", "reset", offer.Reset, "expires", offer.Expires)
	if offer.Reset {
		s.events.Add(event.Event{Code: "reset-code", What: hint.T("A code was made with which the owner chooses another password.", "Un code a été créé pour que le propriétaire choisisse un autre mot de passe.")})
	} else {
		s.events.Add(event.Event{Code: "claim-code", What: hint.T("A new claim code was made.", "Un nouveau code de prise de possession a été créé.")})
	}
	return code, offer.Expires, nil
}

// recentJobs are those that the status tells of.
func recentJobs(jobs *job.Manager) []job.Record {
	all := slices.DeleteFunc(jobs.List(), func(r job.Record) bool { return r.State.Ended() && time.Since(r.Ended) > time.Hour })
	return all[:min(10, len(all))]
}

// Backups implements control.Appliance.
func (s *Supervisor) Backups() control.Backups { return s.cfg.Backups }

// Jobs implements control.Appliance.
func (s *Supervisor) Jobs() *job.Manager { return s.jobs }

// openJobs opens the records of jobs in the supervisor's own folder. Where that cannot be
// read, jobs live as long as the supervisor: it has more to do than that.
func (s *Supervisor) openJobs() (jobs *job.Manager, err error) {
	kinds := slices.Concat(worker{s}.kinds(), s.cfg.Jobs)
	if s.cfg.Root.There() {
		kinds = append(kinds, worker{s}.rootKinds()...)
	}
	if s.cfg.StateDir != "" {
		if jobs, err = job.Open(filepath.Join(s.cfg.StateDir, "jobs"), s.cfg.Log, kinds...); err != nil {
			s.cfg.Log.Error("the records of jobs cannot be read", "err", err)
		}
	}
	if jobs == nil {
		if jobs, err = job.Open("", s.cfg.Log, kinds...); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

// Log implements control.Appliance.
func (s *Supervisor) Log(lines int) []string { return s.cfg.Journal.Tail(lines) }

var _ control.Appliance = (*Supervisor)(nil)
