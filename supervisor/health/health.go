// Package health is what Foyer knows about its own well-being, in plain words.
//
// A Check looks at one thing and returns a Finding; a Board runs the checks, each
// as often as it asks to, remembers since when a finding holds, hides those that
// only follow from another one (DependsOn), and repairs what can be repaired. The
// worst finding is the light that `foyer status` shows. Findings have a stable
// code, so that an issue that is gone vanishes by itself and none is told twice.
// No check can hold up another one, or whoever asks how things are: each runs by itself,
// and one that does not come back is a finding of its own.
//
// Used by the supervisor; each room brings its own checks. The shape follows
// Home Assistant's resolution centre and Tailscale's warnables.
package health

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// What a check finds, as everybody is told it.
type (
	Severity = report.Severity
	Finding  = report.Finding
	Result   = report.Result
)

// Severities: Info wants nothing of anybody; Warning will hurt if nothing is
// done; Error hurts now.
const (
	OK      = report.OK
	Info    = report.Info
	Warning = report.Warning
	Error   = report.Error
)

// Check looks at one thing.
type Check struct {
	Code      string        // stable, documented in docs/codes.md
	Title     hint.Text     // a few words: "Disk space"
	Every     time.Duration // how often while all is well; 0 = each time the board is run. What is not well is looked at every 5 s at least
	Timeout   time.Duration // 0 = 10 s; ctx ends then, and a check that goes on all the same is a finding itself
	DependsOn []string      // codes of checks that come before; while one of them is anything but OK, this one is not run
	// VisibleAfter is how long something has to be wrong before it is told (OnChange), and
	// well again before that is: what comes and goes is told of once.
	VisibleAfter time.Duration
	// Run looks. It is called by one goroutine at a time.
	Run func(ctx context.Context) Finding
	// Repairs are for what the check finds, from Warning on: the first of them that is for
	// the cause of a finding. They run as jobs, beside the checks.
	Repairs []Repair
}

// Board runs checks and holds their results. Use NewBoard. It is safe for
// concurrent use, and none of its methods waits for a check but Round.
type Board struct {
	log      *slog.Logger
	changed  func(Result)       // nil: nobody wants to know
	repaired func(report.Event) // nil: as above
	telling  sync.Mutex         // one change is told at a time
	jobs     Jobs               // nil: nothing is repaired
	path     string             // of what is remembered; empty: nothing is, beyond this process
	saving   sync.Mutex         // one writes at a time
	wake     chan struct{}      // there may be something to mend

	mu      sync.Mutex // guards what follows
	items   []*item
	repairs map[string]*mending // by nameOf
	dirty   time.Time           // since when what is remembered is otherwise than on the disk; zero: it is not
}

// item is a check and how it stands.
type item struct {
	Check
	last    Result
	running chan struct{} // closed when the run under way has ended, or is late; nil: none is
	late    bool          // the run under way is
	telling               // what was told of it
	turned  time.Time     // since when it is wrong, or is not, whichever it is
	wants   *Repair       // what it finds now is for; nil: for none
	wanted  time.Time     // since when
	mends   *mending      // what it last wanted, until that is judged
}

// lateAfter is how much longer than its time a check may take before it counts as late.
const lateAfter = 2 * time.Second

// NewBoard returns a board on which nothing was run yet. It is an error for a check to
// depend on one that does not come before it.
func NewBoard(log *slog.Logger, checks ...Check) (*Board, error) {
	b := &Board{log: log, wake: make(chan struct{}, 1), repairs: map[string]*mending{}}
	for _, c := range checks {
		for _, code := range c.DependsOn {
			if b.item(code) == nil {
				return nil, fmt.Errorf("the check %s depends on %s, and there is none before it", c.Code, code)
			}
		}
		b.items = append(b.items, &item{Check: c, last: Result{Code: c.Code, Title: c.Title}})
	}
	return b, nil
}

// Has reports whether the board has a check with this code.
func (b *Board) Has(code string) bool { return b.item(code) != nil }

func (b *Board) item(code string) *item {
	for _, it := range b.items {
		if it.Code == code {
			return it
		}
	}
	return nil
}

// OnChange has f told of each finding that becomes a Warning or Error and stays so for
// its VisibleAfter, or stops being one. It is to be called before the first Look; f is
// called by one goroutine at a time, which belongs to a check.
func (b *Board) OnChange(f func(Result)) { b.changed = f }

// Look begins every check that is due, and does not wait. Checks end when ctx does.
func (b *Board) Look(ctx context.Context) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, it := range b.items {
		if it.running == nil && (it.due() || len(it.DependsOn) > 0) { // it may have to be hidden, due or not
			it.running, it.late = make(chan struct{}), false
			go b.look(ctx, it, b.before(it))
		}
	}
}

// before are the runs under way of what a check depends on.
func (b *Board) before(it *item) (runs []chan struct{}) {
	for _, code := range it.DependsOn {
		if on := b.item(code); on.running != nil && !on.late {
			runs = append(runs, on.running)
		}
	}
	return runs
}

// due reports whether it is time to look again. What is not well is looked at soon, so
// that what is mended is seen; what was hidden at once.
func (it *item) due() bool {
	every := it.Every
	if it.last.Severity >= Warning {
		every = min(every, 5*time.Second)
	}
	return it.last.Hidden || it.last.Checked.IsZero() || time.Since(it.last.Checked) >= every
}

// Round is Look, and waits until each check has ended or is late, or ctx has ended.
func (b *Board) Round(ctx context.Context) {
	b.Look(ctx)
	b.Wait(ctx)
}

// Wait waits until each check that runs has ended or is late, or ctx has ended.
func (b *Board) Wait(ctx context.Context) {
	b.mu.Lock()
	var runs []chan struct{}
	for _, it := range b.items {
		if it.running != nil && !it.late {
			runs = append(runs, it.running)
		}
	}
	b.mu.Unlock()
	for _, run := range runs {
		select {
		case <-run:
		case <-ctx.Done():
			return
		}
	}
}

// look does one run of a check, after those of what it depends on.
func (b *Board) look(ctx context.Context, it *item, before []chan struct{}) {
	for _, run := range before {
		select {
		case <-run:
		case <-ctx.Done():
		}
	}
	b.mu.Lock()
	due := it.due()
	hidden := slices.ContainsFunc(it.DependsOn, b.unwell)
	b.mu.Unlock()
	if hidden {
		b.end(it, &Result{Hidden: true})
		return
	}
	if !due || ctx.Err() != nil {
		b.end(it, nil)
		return
	}
	began := time.Now()
	late := time.AfterFunc(it.timeout()+lateAfter, func() { b.isLate(it, began) })
	f := it.run(ctx)
	late.Stop()
	b.end(it, &Result{Code: it.Code, Title: it.Title, Finding: f, Checked: began})
}

func (it *item) timeout() time.Duration {
	if it.Timeout == 0 {
		return 10 * time.Second
	}
	return it.Timeout
}

func (it *item) run(ctx context.Context) Finding {
	ctx, cancel := context.WithTimeout(ctx, it.timeout())
	defer cancel()
	return hint.Clean(it.Run(ctx)) // it may quote routers, authorities, programs
}

// isLate lets go of a run that does not come back: its finding is that it does not.
func (b *Board) isLate(it *item, began time.Time) {
	b.mu.Lock()
	run := it.running
	if run == nil || it.late {
		b.mu.Unlock()
		return
	}
	it.late = true
	b.mu.Unlock()
	b.keep(it, Result{Code: it.Code, Title: it.Title, Checked: began, Finding: Finding{
		Severity: Warning, Cause: CauseLate,
		What: hint.T("%s: this has not answered since %s.", "%s : pas de réponse depuis %s.", it.Title, began.Format("15:04")),
		Did:  hint.T("Foyer goes on with everything else, and waits for it.", "Foyer continue tout le reste, et attend."),
		Do:   hint.T("If it stays so, restart this machine.", "Si cela dure, redémarrez cette machine."),
	}}, func() bool { return it.running == run })
	close(run) // after that: what depends on it goes by its finding
}

// CauseLate is the cause of a finding that a check has not come back.
const CauseLate = "check-late"

// end ends a run; r is what came of it, nil for nothing.
func (b *Board) end(it *item, r *Result) {
	switch {
	case r == nil:
	case r.Hidden:
		b.mu.Lock()
		it.last.Hidden = true
		b.mu.Unlock()
	default:
		b.keep(it, *r, func() bool { return true })
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !it.late {
		close(it.running)
	}
	it.running, it.late = nil, false
}

// keep makes r, of a look that began when it was Checked, the outcome of a check, if it is
// still to be, and tells of what changes by that.
func (b *Board) keep(it *item, r Result, still func() bool) {
	b.telling.Lock()
	defer b.telling.Unlock()
	b.mu.Lock()
	if !still() {
		b.mu.Unlock()
		return
	}
	began, now, last := r.Checked, time.Now(), it.last
	r.Since, r.Checked = last.Since, now
	if last.Checked.IsZero() || r.Severity != last.Severity {
		r.Since = now
	}
	it.turn(last, r, now)
	it.last = r
	facts := b.judge(it, began, now)
	tell := b.toTell(it, now)
	b.mu.Unlock()
	for _, e := range facts {
		b.log.Info("repair", "check", r.Code, "fact", e.Code, "what", e.What.EN)
		if b.repaired != nil {
			b.repaired(e)
		}
	}
	if tell == nil {
		return
	}
	b.log.Info("finding changed", "check", r.Code, "severity", r.Severity.String(), "what", r.What.EN)
	if b.changed != nil {
		b.changed(*tell)
	}
}

// unwell reports whether a check is not well, or not known to be. b.mu is held.
func (b *Board) unwell(code string) bool {
	r := b.item(code).last
	return r.Hidden || r.Severity > OK
}

// Results returns the last outcome of every check that ran and is not hidden.
func (b *Board) Results() []Result {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []Result
	now := time.Now()
	for _, it := range b.items {
		if !it.last.Hidden && !it.last.Checked.IsZero() {
			out = append(out, b.withRepair(it, now))
		}
	}
	return out
}
