package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/pause"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/event"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/recorder"
)

type state string

// The states of the server, as the status protocol spells them.
const (
	stateStarting   state = "starting"   // started, has not answered yet
	stateHealthy    state = "healthy"    // answered the last look
	stateUnwell     state = "unwell"     // answered before, did not now
	stateRestarting state = "restarting" // ended; the next one is started after a pause
	stateCrashLoop  state = "crash-loop" // ended again and again, or cannot start and says why
	stateWaiting    state = "waiting"    // not started: its data are not there
	stateSafe       state = "safe-mode"  // answers, and stores nothing: it kept dying
)

// child is the server process as the supervisor sees it.
type child struct {
	state    state
	pid      int // 0 = none
	since    time.Time
	restarts int
	lastEnd  string
	safe     bool             // it was started in safe mode
	kill     func(why string) // ends this process at once; nil = none
	finish   func()           // lets this process finish its requests and end; nil = none
}

// facts is what the server says of itself on its private socket.
type facts struct {
	report.Health
	answered bool // whatever it is, it is an answer
}

// errRemounted: a disk came, or went, and this process cannot see what is there now.
var errRemounted = errors.New("the disks of this machine have changed")

// minder keeps the server of a supervisor running: starts it, looks at it, replaces it.
type minder struct{ *Supervisor }

// remounted is errRemounted when that is so. It is asked while the data cannot be used.
func (s minder) remounted() error {
	if !s.keeper.remounted() {
		return nil
	}
	s.cfg.Log.Info("the disks of this machine have changed; Foyer begins anew to see them", "data", s.cfg.DataDir)
	return errRemounted
}

// resumed is nil once nothing is left to be done with the data before a server may have them.
func (s minder) resumed() *report.Problem {
	if s.cfg.Resume == nil {
		return nil
	}
	err := s.cfg.Resume(s.events.Add)
	if err != nil && hint.Find(err) == nil {
		s.cfg.Log.Error("the data cannot be used yet", "err", err)
	}
	return report.ProblemOf(err)
}

// await returns once the data are there that the server is to have. Errors are that of ctx
// and errRemounted.
func (s minder) await(ctx context.Context) error {
	said := ""
	for {
		wait := s.cfg.Timing.Probe
		t := s.resumed()
		if t == nil {
			t = s.keeper.check()
		} else if t.Code == "restore-under-way" {
			wait = s.cfg.Timing.Starting // that takes no longer than some renames
		}
		s.mu.Lock()
		s.lost = t
		if t != nil {
			s.child = child{state: stateWaiting, since: s.child.since, restarts: s.child.restarts, lastEnd: s.child.lastEnd}
		}
		s.mu.Unlock()
		if t == nil {
			return nil
		}
		if t.Code != said && t.Code != "restore-under-way" {
			s.cfg.Log.Error("the data are not those this server is to have; it is not started", "what", t.What.EN)
			s.events.Add(event.Event{Code: t.Code, Severity: health.Error, What: t.What, Did: t.Did, Do: t.Do})
		}
		if t.Code != said {
			s.notify("STATUS=" + t.What.EN)
			said = t.Code
		}
		if err := s.remounted(); err != nil {
			return err
		}
		if !pause.For(ctx, wait) {
			return ctx.Err()
		}
	}
}

// keep starts the server, and again each time it ends, until ctx ends; then it returns nil.
// The error is errRemounted.
func (s minder) keep(ctx context.Context) error {
	quick := 0 // deaths in a row of servers that were not steady
	var safe safety
	for {
		if err := s.await(ctx); ctx.Err() != nil {
			return nil
		} else if err != nil {
			return err
		}
		started := time.Now()
		why := s.runServer(ctx, &safe)
		if ctx.Err() != nil {
			return nil
		}
		if safe.next(why) {
			continue
		}
		if time.Since(started) >= s.cfg.Timing.Steady {
			quick = 0
		}
		wait := s.cfg.Timing.Pauses[min(quick, len(s.cfg.Timing.Pauses)-1)]
		wait = wait/2 + rand.N(wait) // half to one and a half
		quick++
		s.mu.Lock()
		s.child = child{state: stateRestarting, since: s.child.since, restarts: s.child.restarts + 1, lastEnd: why}
		if quick >= crashLoop {
			s.child.state = stateCrashLoop
			safe.on = true
		}
		s.mu.Unlock()
		s.cfg.Log.Warn("the server ended", "why", why, "starting_again_in", wait.String(), "in_a_row", quick)
		if quick == crashLoop {
			s.cfg.Log.Error("the server is in a crash loop; it is started in safe mode")
		}
		s.notify("STATUS=The server ended (" + why + "); starting it again")
		switch {
		case why == whyAsked:
			quick, safe.on = 0, false
			s.events.Add(event.Event{Code: "server-restarted", What: hint.T("The server was started anew, as you asked.", "Le serveur a été relancé, comme demandé.")})
		case quick == crashLoop:
			s.events.Add(event.Event{
				Code: "server-keeps-stopping", Severity: health.Error, What: hint.T("The server keeps stopping.", "Le serveur s'arrête sans cesse."),
				Did: hint.T("Foyer has it serve what is stored, and store nothing, until it stays up again.", "Foyer lui fait servir ce qui est enregistré, sans rien enregistrer de nouveau, jusqu'à ce qu'il tienne."), Do: hint.T("`sudo foyer logs` shows why.", "`sudo foyer logs` montre pourquoi."),
			})
		case quick < crashLoop:
			s.events.Add(event.Event{
				Code: "server-stopped", Severity: health.Warning, What: hint.T("The server stopped (%s).", "Le serveur s'est arrêté (%s).", why), Did: hint.T("Foyer started it again.", "Foyer l'a relancé."),
			})
		}
		if !pause.For(ctx, wait) {
			return nil
		}
	}
}

// safety is how it stands with a server that kept dying: it serves in safe mode, and now and
// then as it should, to see whether it stays up. The zero value: it never kept dying.
type safety struct {
	on    bool // the next one is started in safe mode
	tries int  // to do without, since it kept dying
}

// lasts is how long safe mode lasts this time.
func (f *safety) lasts(t Timing) time.Duration { return t.Safe[min(f.tries, len(t.Safe)-1)] }

// next takes in why a server ended, and reports whether the next one is to be started at once,
// without safe mode.
func (f *safety) next(why string) bool {
	if !f.on || why != whyTried {
		return false
	}
	f.on = false
	f.tries++
	return true
}

// recovered notes that a server which is not in safe mode stayed up.
func (s minder) recovered(f *safety) {
	if f.tries == 0 {
		return
	}
	f.tries = 0
	s.cfg.Log.Info("the server stays up again")
	s.events.Add(event.Event{Code: "server-recovered", What: hint.T("The server stays up again, and stores as before.", "Le serveur tient de nouveau, et enregistre comme avant.")})
}

// runServer runs one server until it ends and returns why it did. When ctx ends
// the server is told to finish, and killed if it does not.
func (s minder) runServer(ctx context.Context, safe *safety) (why string) {
	cmd := s.cfg.Serve()
	var until <-chan time.Time // in safe mode: it is over; else: the server has stayed up
	if safe.on {
		cmd.Env = append(cmd.Environ(), report.SafeEnv+"=1")
		until = time.After(safe.lasts(s.cfg.Timing))
	} else {
		until = time.After(s.cfg.Timing.Steady)
	}
	how, began := recorder.Unstarted, time.Now()
	defer func() { s.flight.serverEnded(how, cmd.ProcessState, time.Since(began)) }()
	done, err := host.Pass(cmd, append([]host.Listener{s.local}, s.cfg.Listeners...))
	if err != nil {
		return err.Error()
	}
	cmd.Stdout, cmd.Stderr = s.cfg.Journal, s.cfg.Journal
	lifeline, err := cmd.StdinPipe() // its end tells the server to end
	if err != nil {
		done()
		return err.Error()
	}
	err = cmd.Start()
	done()
	if err != nil {
		return err.Error()
	}
	killed := make(chan string, 1)
	finish := make(chan struct{}, 1)
	s.mu.Lock()
	crashed := s.child.state == stateCrashLoop
	s.child.pid, s.child.since, s.child.safe = cmd.Process.Pid, time.Now(), safe.on
	if !crashed {
		s.child.state = stateStarting
	}
	s.child.kill = func(why string) {
		select {
		case killed <- why:
		default: // somebody else has killed it already
		}
	}
	s.child.finish = func() {
		select {
		case finish <- struct{}{}:
		default: // it is finishing already
		}
	}
	s.mu.Unlock()
	s.cfg.Log.Info("server started", "pid", cmd.Process.Pid)
	s.flight.serverStarted(cmd.Process.Pid)

	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for why == "" {
		select {
		case err := <-ended:
			how = recorder.ByItself
			return endedBy(err)
		case why := <-killed:
			how = recorder.Replaced
			cmd.Process.Kill() //nolint:errcheck // it may have ended by itself meanwhile
			<-ended
			return why
		case <-finish:
			why, how = whyAsked, recorder.AsAsked
		case <-until:
			switch {
			case safe.on:
				why, how = whyTried, recorder.SafeOver
			case isHealthy(s.Supervisor):
				s.recovered(safe)
			default:
				until = time.After(s.cfg.Timing.Steady)
			}
		case <-ctx.Done():
			why, how = "Foyer was stopped", recorder.WithFoyer
		}
	}
	lifeline.Close() //nolint:errcheck // a server that does not notice is killed below
	timer := time.NewTimer(s.cfg.Timing.Drain)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		s.cfg.Log.Warn("the server does not finish; it is ended", "after", s.cfg.Timing.Drain.String())
		cmd.Process.Kill() //nolint:errcheck // as above
		<-ended
	}
	return why
}

// whyTried is why a server in safe mode ended.
const whyTried = "it is tried without safe mode"

// whyAsked is why a server ended that a person had started anew.
const whyAsked = "a person asked for it"

// Restart implements control.Appliance.
func (s *Supervisor) Restart(context.Context) {
	s.mu.Lock()
	finish := s.child.finish
	s.mu.Unlock()
	if finish != nil {
		finish()
	}
}

func endedBy(err error) string {
	if err == nil {
		return "it ended by itself"
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.String() // "exit status 3", "signal: killed"
	}
	return err.Error()
}

// signs are the signs of life of one server process.
type signs struct {
	pid      int
	progress uint64        // as it last told
	moved    time.Time     // when it last answered that it is well, or has made progress
	answered time.Time     // when it last answered anything
	missed   int           // looks in a row without an answer
	cpu      time.Duration // at the last of them; it may compute and be late
	counted  time.Time     // when that was counted
	verdict  string        // why it is to be replaced, as the flight recorder has it
}

// read takes in what a look brought, and returns why the server is to be replaced; empty:
// it lives. One that answers lives while it is well, opens its data, has said what is
// wrong with them, or makes progress. One that does not answer lives, for a while, if it
// computes: a machine that is busy is slow and not dead.
func (g *signs) read(c child, f facts, err error, t Timing, now time.Time) (dead string) {
	if g.pid != c.pid {
		*g = signs{pid: c.pid, moved: now, answered: now, counted: now}
		g.cpu, _ = host.CPUTime(c.pid)
	}
	if err == nil || f.answered { // it answered
		if err == nil || f.Opening || f.Failed || f.Progress != g.progress {
			g.moved = now
		}
		g.answered, g.missed, g.progress = now, 0, f.Progress
		g.cpu, _ = host.CPUTime(c.pid)
		g.counted = now
		limit := t.Stuck
		if c.state == stateStarting || c.state == stateCrashLoop {
			limit = t.Grace
		}
		switch {
		case f.Trouble != nil && f.Trouble.Code == "data-gone" && !f.Failed:
			g.verdict = "data-gone"
			return "its data are gone"
		case now.Sub(g.moved) > limit:
			g.verdict = "stuck"
			return fmt.Sprintf("it did not answer well (%v)", err)
		}
		return ""
	}
	g.missed++
	used, known := host.CPUTime(c.pid)
	computes := !known || used-g.cpu > now.Sub(g.counted)/100
	g.cpu, g.counted = used, now
	limit := time.Duration(0)
	if computes {
		limit = t.Busy
	}
	if c.state == stateStarting || c.state == stateCrashLoop {
		limit = max(limit, t.Grace)
	}
	if g.missed >= misses && now.Sub(g.answered) > limit {
		g.verdict = "silent"
		return fmt.Sprintf("it did not answer (%v)", err)
	}
	return ""
}

// watch looks at the server until ctx ends: records how it is, tells the service
// manager, and has a server that hangs killed. The error is errRemounted.
func (s minder) watch(ctx context.Context) error {
	ready, reported := false, time.Time{}
	var life signs
	var due time.Time      // when the next look is
	var peek chan struct{} // this look is for somebody who asked; nil: it was due
	for {
		f, err := s.probe.ask(ctx)
		if ctx.Err() != nil {
			s.notify("STOPPING=1")
			return nil
		}
		if f.Trouble != nil {
			s.keeper.advise(f.Trouble)
		}
		if err == nil {
			s.keeper.learn(f)
		}
		if f.Failed && f.Trouble != nil && strings.HasPrefix(f.Trouble.Code, "data-") {
			if err := s.remounted(); err != nil {
				return err
			}
		}
		s.mu.Lock()
		c := s.child
		switch {
		case err == nil:
			s.facts = f
			if c.pid != 0 && c.safe {
				s.child.state = stateSafe
			} else if c.pid != 0 {
				s.child.state = stateHealthy
			}
		case f.Failed && c.pid != 0: // what it said before is of an earlier one
			s.facts.Trouble, s.facts.Storage, s.facts.Busy = f.Trouble, f.Storage, false
			s.child.state = stateCrashLoop
		default:
			if f.answered && !f.Opening {
				s.facts.Storage, s.facts.Trouble, s.facts.Busy = f.Storage, f.Trouble, f.Busy
			}
			s.facts.Opening = f.Opening
			if c.state == stateHealthy || c.state == stateUnwell || c.state == stateSafe {
				s.child.state = stateUnwell
			}
		}
		is := s.child.state
		s.mu.Unlock()
		if peek != nil {
			close(peek)
		}
		dead := ""
		if c.pid != 0 && (peek == nil || f.answered) { // who is asked often is not late more often
			dead = life.read(c, f, err, s.cfg.Timing, time.Now())
		}

		switch {
		case err == nil && !ready:
			ready = true
			s.notify("READY=1\nSTATUS=Serving")
		case err == nil && c.state != is:
			s.notify("STATUS=Serving")
			s.cfg.Log.Info("server healthy", "pid", c.pid, "safe_mode", c.safe)
		}
		if dead != "" && c.kill != nil {
			s.cfg.Log.Warn("the server makes no progress; it is replaced", "pid", c.pid, "why", dead)
			s.flight.replaces(c.pid, life.verdict)
			c.kill(dead)
			life = signs{}
		}
		// The loop that watches has come round: it is this loop's liveness that the
		// service manager's watchdog stands for, the server's is handled above.
		if time.Since(reported) > time.Second {
			state := "WATCHDOG=1"
			if !ready { // a server that does not start is tried on here: nothing is won by starting its supervisor again
				state += "\nEXTEND_TIMEOUT_USEC=60000000"
			}
			s.notify(state)
			reported = time.Now()
		}
		wait := s.cfg.Timing.Probe
		if err != nil && !f.Failed && c.state != stateHealthy && c.state != stateUnwell && c.state != stateWaiting && c.state != stateSafe {
			wait = s.cfg.Timing.Starting
		}
		if now := time.Now(); peek == nil || now.Add(wait).Before(due) {
			due = now.Add(wait)
		}
		var lasts bool
		if peek, lasts = s.nextLook(ctx, due); !lasts {
			s.notify("STOPPING=1")
			return nil
		}
	}
}

// nextLook waits until the next look at the server is due, or somebody asks for one, which
// is then to be closed. lasts: ctx still does.
func (s minder) nextLook(ctx context.Context, due time.Time) (peek chan struct{}, lasts bool) {
	t := time.NewTimer(time.Until(due))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return nil, false
	case <-t.C:
		return nil, true
	case peek = <-s.peeks:
		return peek, true
	}
}

// prober asks the server how it is over its private socket.
type prober struct {
	client http.Client
}

func newProber(socket string, timeout time.Duration) *prober {
	return &prober{http.Client{Timeout: timeout, Transport: &http.Transport{
		DisableKeepAlives: true, // each look is a new client, as a visitor would be
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}}
}

func (p *prober) ask(ctx context.Context) (facts, error) {
	var f facts
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://local/health", nil)
	if err != nil {
		return f, err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return f, err
	}
	defer resp.Body.Close()
	err = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&f.Health)
	f.Health = hint.Clean(f.Health)
	if err != nil {
		return f, fmt.Errorf("the server's answer makes no sense: %w", err)
	}
	f.answered = true
	if resp.StatusCode != http.StatusOK || !f.OK {
		return f, fmt.Errorf("it is not well: %s", f.Storage)
	}
	return f, nil
}
