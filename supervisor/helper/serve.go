package helper

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/pause"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/internal/safepath"
	"github.com/foyer-server/foyer/supervisor/job"
)

// Config is what root's end needs; all of it.
type Config struct {
	Run   string // holds the folder of requests, Name: root's alone, as /run is
	State string // the helper's own folder, which root alone writes
	GID   int    // group that may read the records
	Boot  string // names the time since this machine was started last
	// Do does the verbs, by their names. Each ends soon after ctx does.
	Do map[string]func(ctx context.Context, t *Task) error
	// Check says what is wrong with the values of a verb, before anything is begun; it changes
	// nothing, and repeats no secret. A *hint.Error is shown as it is.
	Check map[string]func(ctx context.Context, values map[string]string) error
	// Back has everything as it was before a verb on trial, from what Do saved in Task.Folder.
	// Do may have been cut off anywhere, and so may a Back before: it can be done again and
	// again, until it returns nil.
	Back map[string]func(ctx context.Context, t *Task) error
	// Uptime is how long ago this machine was started, asleep or not; nil: the kernel's.
	Uptime func() time.Duration
	Log    *slog.Logger
}

// How many requests are looked at, and how often.
const (
	mostNames = 4096                   // are listed together
	mostTaken = 16                     // of them, the first by name; the others are thrown away
	linger    = 2 * time.Second        // Serve lasts so long at least: systemd starts it again at once
	quick     = 200 * time.Millisecond // between two rounds
	slowest   = 15 * time.Second       // and when there is no end to requests that are no good
	slowTrial = 2 * time.Second        // and as long as something is on trial
	clearFor  = 5 * time.Second        // in a round, what is too much is thrown away for so long
	notedFor  = time.Minute            // such requests are noted together
)

// server is one Serve at work.
type server struct {
	Config
	journal *journal
	records *records
	uptime  func() time.Duration
	trial   *onTrial // nil: nothing is

	begun   map[string]bool // names of files that were being written when they were seen
	bad     int             // requests that were no good, and are not noted yet
	why     string          // the last of them
	noted   time.Time
	refused bool // there was one in this round
	more    bool // and there are more
}

// Serve does what is asked for until nothing more is, or ctx ends. It returns an error when
// its own folder cannot be used. Where another one is at work it does nothing.
func Serve(ctx context.Context, cfg Config) error {
	lock, err := atomicfile.TryLock(filepath.Join(cfg.State, "lock"))
	if errors.Is(err, atomicfile.ErrLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Unlock() //nolint:errcheck // it ends with the process anyway
	s := &server{Config: cfg, uptime: cfg.Uptime, begun: map[string]bool{}}
	if s.uptime == nil {
		s.uptime = bootClock()
	}
	if s.journal, err = openJournal(filepath.Join(cfg.State, "journal"), cfg.Log); err != nil {
		return err
	}
	if s.records, err = openRecords(filepath.Join(cfg.State, "jobs"), cfg.GID); err != nil {
		return err
	}
	if err := errors.Join(s.settleTrial(), s.settle()); err != nil {
		return err
	}
	return errors.Join(s.rounds(ctx), s.note(true))
}

// settle ends the records of what was under way when the process before this one ended.
func (s *server) settle() error {
	all, err := s.records.all(s.Log)
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.State.Ended() || s.trial != nil && s.trial.ID == r.ID {
			continue
		}
		r.State, r.Ended = job.CutOff, time.Now()
		v, _ := Find(r.Kind)
		if e, ok := s.journal.intent(r.ID); ok && v.Restarts && e.Boot != s.Boot {
			r.State = job.Done
			r.Said = append(r.Said, hint.T("The machine was restarted.", "La machine a redémarré."))
		}
		if err := s.records.save(r); err != nil {
			return err
		}
		if err := s.journal.write(entry{Op: opEnded, ID: r.ID, Verb: r.Kind, Why: string(r.State)}); err != nil {
			return err
		}
	}
	return nil
}

// rounds looks for requests again and again. When there is no end to those that are no good
// it pauses longer and longer. It does not end while something is on trial.
func (s *server) rounds(ctx context.Context) error {
	wait, began := quick, time.Now()
	for {
		found, err := s.round(ctx)
		err = errors.Join(err, s.tendTrial(ctx))
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil || !found && time.Since(began) >= linger && s.trial == nil:
			return nil
		case s.more:
			wait = time.Second
		case s.refused:
			wait = min(2*wait, slowest)
		default:
			wait = quick
		}
		if s.trial != nil {
			wait = min(wait, slowTrial)
		}
		if err := s.note(false); err != nil {
			return err
		}
		pause.For(ctx, wait)
	}
}

// round takes the requests there are, and does them one after the other; found reports
// whether there was anything.
func (s *server) round(ctx context.Context) (found bool, err error) {
	s.refused, s.more = false, false
	d, names, err := s.requests()
	if d == nil || err != nil {
		return false, err
	}
	defer d.Close() //nolint:errcheck // a folder, opened to be looked into
	taken, begun := 0, map[string]bool{}
	for _, name := range names {
		if ctx.Err() != nil {
			return true, nil
		}
		if strings.HasPrefix(name, ".") && !s.begun[name] { // it gets its name once it is whole
			begun[name] = true
			continue
		}
		if taken++; taken > mostTaken {
			if err := d.Clear(name); err != nil {
				return true, err
			}
			s.refuse("too many at once")
			continue
		}
		if r, ok := s.take(d, name); ok {
			if err := s.handle(ctx, r); err != nil {
				return true, err
			}
		}
	}
	s.begun = begun
	if len(names) == mostNames {
		return true, s.clear(ctx, d)
	}
	return len(names) > 0, nil
}

// requests opens the folder of requests, and lists what is in it. There is no folder, and no
// error, when the service has stopped.
func (s *server) requests() (d *safepath.Dir, names []string, err error) {
	run, err := safepath.Open(s.Run)
	if err != nil {
		return nil, nil, err
	}
	defer run.Close() //nolint:errcheck // a folder, opened to be looked into
	d, err = run.Open(Name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cannot open the folder of requests: %w", err)
	}
	if names, err = d.Names(mostNames); err != nil {
		return nil, nil, errors.Join(err, d.Close())
	}
	return d, names, nil
}

// take takes a request away; false: there is none, or none that is any good.
func (s *server) take(d *safepath.Dir, name string) (r request, ok bool) {
	text, err := d.Take(name, requestBytes)
	if errors.Is(err, fs.ErrNotExist) { // whoever asked has thought better of it
		return request{}, false
	}
	if err == nil {
		r, err = parse(text)
	}
	if err != nil {
		s.refuse(err.Error())
		return request{}, false
	}
	return r, true
}

// clear throws away what is too much, and rests as long as it works.
func (s *server) clear(ctx context.Context, d *safepath.Dir) error {
	for end := time.Now().Add(clearFor); ; {
		began := time.Now()
		names, err := d.Names(mostNames)
		if err != nil {
			return err
		}
		for _, name := range names {
			if s.more = time.Now().After(end) || ctx.Err() != nil; s.more {
				return nil
			}
			if err := d.Clear(name); err != nil {
				return err
			}
			s.refuse("too many at once")
		}
		if len(names) < mostNames {
			return nil
		}
		time.Sleep(time.Since(began))
	}
}

// refuse counts a request that is no good.
func (s *server) refuse(why string) { s.bad, s.why, s.refused = s.bad+1, hint.Short(why, 200), true }

// note notes those that were no good, the first at once and the others together.
func (s *server) note(last bool) error {
	if s.bad == 0 || !last && time.Since(s.noted) < notedFor {
		return nil
	}
	s.Log.Warn("requests were refused", "requests", s.bad, "why", s.why)
	err := s.journal.write(entry{Op: opRefused, N: s.bad, Why: s.why})
	s.bad, s.noted = 0, time.Now()
	return err
}

// handle answers a request: by its record. One that was answered already is not done again,
// unless it was cut off and can be.
func (s *server) handle(ctx context.Context, ask request) error {
	v, known := Find(ask.Verb)
	r, err := s.records.load(ask.ID)
	again := err == nil && known && r.State == job.CutOff && v.Again && r.Starts < mostStarts && r.Kind == v.Name && maps.Equal(r.Args, ask.Args)
	switch {
	case err == nil && !again:
		return nil
	case !again:
		r = job.Record{ID: ask.ID, Kind: hint.Short(ask.Verb, 50), By: "foyer", Asked: time.Now()}
	}
	if err := s.fits(ctx, v, known, ask); err != nil {
		t := newTask(s, v, r, ask.Values)
		s.refuse(t.scrub(err.Error()))
		if !known || v.Check(ask.Args) != nil { // nothing of it is repeated
			v = Verb{Title: hint.T("Something that is not among what can be asked for", "Quelque chose qui ne peut pas être demandé")}
		} else {
			r.Args = ask.Args
		}
		r.Title, r.State, r.Ended, r.Error = v.Title, job.Failed, time.Now(), t.problem(err)
		return errors.Join(s.records.save(r), s.records.forget(s.Log))
	}
	r.Title, r.Args, r.State, r.Started, r.Ended, r.Error = v.Title, ask.Args, job.Running, time.Now(), time.Time{}, nil
	r.Starts++
	t := newTask(s, v, r, ask.Values)
	if err := s.journal.write(entry{Op: opIntent, ID: r.ID, Verb: v.Name, Args: r.Args, Boot: s.Boot}); err != nil {
		return err // what is not noted is not begun
	}
	t.change(true, func(r *job.Record) {
		if v.Trial {
			t.edit(r, func(c *report.Change) { c.State = report.ChangeApplying })
		}
	})
	s.Log.Info("begun", "verb", v.Name, "id", r.ID, "args", r.Args)
	short := false
	switch {
	case v.Ends:
		err = s.endTrial(r.Args)
	case v.Trial:
		if err = s.beginTrial(v, t); err == nil {
			return s.try(ctx, v, t)
		}
	default:
		short, err = s.do(ctx, v, t)
	}
	if err != nil && v.Restarts && isTold(ctx) {
		return nil // to end, perhaps by just that
	}
	state := t.end(ctx, err, short)
	s.Log.Info("ended", "verb", v.Name, "id", r.ID, "state", string(state))
	return errors.Join(s.journal.write(entry{Op: opEnded, ID: r.ID, Verb: v.Name, Why: string(state)}), s.records.forget(s.Log))
}

// toldWithin is how much later than what it runs this process may be told to end.
const toldWithin = 5 * time.Second

// isTold reports whether this process is told to end. A machine that goes down tells all
// processes of a unit at once, in no order: what was run may have ended by that already.
func isTold(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	case <-time.After(toldWithin):
		return false
	}
}

// fits says why a request is not done; nil: it is.
func (s *server) fits(ctx context.Context, v Verb, known bool, ask request) error {
	if !known {
		return hint.New("job-unknown", hint.T("There is no such job.", "Cette tâche n'existe pas."), hint.T("Nothing was begun.", "Rien n'a été commencé."), hint.T("`foyer jobs kinds` lists those there are.", "`foyer jobs kinds` donne la liste."))
	}
	if err := errors.Join(v.Check(ask.Args), v.CheckValues(ask.Values)); err != nil {
		return err
	}
	if v.unfit != nil {
		if err := v.unfit(ask.Args, here(time.Now())); err != nil {
			return err
		}
	}
	if v.Trial && s.trial != nil {
		return ErrUnderWay
	}
	if err := s.journal.spent(v); err != nil || !v.Values {
		return err
	}
	check := s.Check[v.Name]
	if check == nil || s.Do[v.Name] == nil || v.Trial && s.Back[v.Name] == nil {
		return fmt.Errorf("nothing does %s", v.Name)
	}
	return s.call(ctx, func(ctx context.Context, _ *Task) error { return check(ctx, maps.Clone(ask.Values)) }, newTask(s, v, job.Record{}, ask.Values))
}

// do does a verb, and sees meanwhile to what is on trial: for the sake of that a verb is cut
// short.
func (s *server) do(ctx context.Context, v Verb, t *Task) (short bool, err error) {
	f := s.Do[v.Name]
	if f == nil {
		return false, fmt.Errorf("nothing does %s", v.Name)
	}
	if s.isDue() {
		return true, errShort
	}
	ctx, cancel := context.WithTimeout(ctx, v.Within)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.call(ctx, f, t) }()
	tick := time.NewTicker(quick)
	defer tick.Stop()
	for {
		select {
		case err = <-done:
			return short && err != nil, err
		case <-tick.C:
		}
		if s.trial == nil {
			continue
		}
		if err := s.endings(ctx); err != nil {
			s.Log.Warn("whether a trial is to end is not known", "err", err) // the next look may tell
		}
		if s.isDue() {
			short = true
			cancel()
		}
	}
}

// errShort: what is on trial comes first.
var errShort = errors.New("something on trial had to go back first")

// call calls a function of the verbs'.
func (s *server) call(ctx context.Context, f func(context.Context, *Task) error, t *Task) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.Log.Error("a verb broke off", "verb", t.r.Kind, "panic", t.scrub(fmt.Sprint(p)), "stack", t.scrub(string(debug.Stack())))
			err = errors.New("it broke off by a mistake in Foyer; the log says where")
		}
	}()
	return f(ctx, t)
}

// Kinds are the names of the verbs that Config.Do does.
func Kinds() []string {
	var out []string
	for _, v := range Verbs {
		if !v.Ends {
			out = append(out, v.Name)
		}
	}
	slices.Sort(out)
	return out
}

// here is a time by the clock on the wall of this machine, whose zone may have been set since this
// process began: Go looks once (localtime(5)).
func here(t time.Time) time.Time {
	if text, err := os.ReadFile("/etc/localtime"); err == nil && os.Getenv("TZ") == "" {
		if zone, err := time.LoadLocationFromTZData("Local", text); err == nil {
			return t.In(zone)
		}
	}
	return t.Local()
}
