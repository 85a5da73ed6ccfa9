// Package health is what Foyer knows about its own well-being, in plain words.
//
// A Check looks at one thing and returns a Finding; a Board runs the checks, each
// as often as it asks to, remembers since when a finding holds, hides those that
// only follow from another one (DependsOn), and repairs what can be repaired. The
// worst finding is the light that `foyer status` shows. Findings have a stable
// code, so that an issue that is gone vanishes by itself and none is told twice.
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
)

// Severity orders findings.
type Severity int

// Severities: Info wants nothing of anybody; Warning will hurt if nothing is
// done; Error hurts now.
const (
	OK Severity = iota
	Info
	Warning
	Error
)

// String is the severity in the status protocol.
func (s Severity) String() string { return [...]string{"ok", "info", "warning", "error"}[s] }

// MarshalText implements encoding.TextMarshaler.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Severity) UnmarshalText(text []byte) error {
	for _, v := range []Severity{OK, Info, Warning, Error} {
		if v.String() == string(text) {
			*s = v
			return nil
		}
	}
	return fmt.Errorf("unknown severity %q", text)
}

// Finding is what a check found. The zero Finding is "all is well".
type Finding struct {
	Severity Severity  `json:"severity"`
	What     hint.Text `json:"what"` // what it means
	Did      hint.Text `json:"did"`  // what Foyer did about it
	Do       hint.Text `json:"do"`   // the one thing to do, if any
	// Cause tells apart what one check can find; stable, documented in docs/codes.md.
	Cause string `json:"cause,omitempty"`
}

// Check looks at one thing.
type Check struct {
	Code      string        // stable, documented in docs/codes.md
	Title     hint.Text     // a few words: "Disk space"
	Every     time.Duration // how often while all is well; 0 = each time the board is run. What is not well is looked at every 5 s at least
	Timeout   time.Duration // 0 = 10 s; a check that takes longer is a finding itself
	DependsOn []string      // codes; while one of them is anything but OK, this one is not run
	Run       func(ctx context.Context) Finding
	Repair    func(ctx context.Context) error // optional; run once each time a Warning or Error appears
}

// Result is the last outcome of one check.
type Result struct {
	Code  string    `json:"code"`
	Title hint.Text `json:"title"`
	Finding
	Since   time.Time `json:"since"`            // since when the severity is what it is
	Checked time.Time `json:"checked"`          // when it last ran
	Hidden  bool      `json:"hidden,omitempty"` // not run, because a check it depends on is not well
}

// Board runs checks and holds their results. Use NewBoard. It is safe for
// concurrent use.
type Board struct {
	log    *slog.Logger
	checks []Check

	changed func(Result) // nil: nobody wants to know

	running sync.Mutex // one round at a time
	mu      sync.Mutex // guards results
	results []Result
}

// NewBoard returns a board on which nothing was run yet; a check comes after
// those it depends on.
func NewBoard(log *slog.Logger, checks ...Check) *Board {
	b := &Board{log: log, checks: checks, results: make([]Result, len(checks))}
	for i, c := range checks {
		b.results[i] = Result{Code: c.Code, Title: c.Title}
	}
	return b
}

// OnChange has f told of each finding that becomes a Warning or Error, or stops
// being one. It is to be called before the first Round; f is called by Round.
func (b *Board) OnChange(f func(Result)) { b.changed = f }

// Round runs every check that is due and returns when all are done.
func (b *Board) Round(ctx context.Context) {
	b.running.Lock()
	defer b.running.Unlock()
	for i, c := range b.checks {
		if ctx.Err() != nil {
			return
		}
		last := b.at(i)
		hidden := slices.ContainsFunc(c.DependsOn, b.unwell)
		if hidden {
			last.Hidden = true
			b.set(i, last)
			continue
		}
		every := c.Every
		if last.Severity >= Warning { // so that what is mended is seen soon
			every = min(every, 5*time.Second)
		}
		if !last.Hidden && !last.Checked.IsZero() && time.Since(last.Checked) < every {
			continue
		}
		f := b.run(ctx, c)
		if f.Severity >= Warning && f.Severity != last.Severity && c.Repair != nil {
			if err := c.Repair(ctx); err != nil {
				b.log.Warn("repair failed", "check", c.Code, "err", err)
			} else {
				b.log.Info("repaired", "check", c.Code)
				f = b.run(ctx, c)
			}
		}
		now := time.Now()
		next := Result{Code: c.Code, Title: c.Title, Finding: f, Since: last.Since, Checked: now}
		if last.Checked.IsZero() || f.Severity != last.Severity {
			next.Since = now
			if f.Severity >= Warning || last.Severity >= Warning {
				b.log.Info("finding changed", "check", c.Code, "severity", f.Severity.String(), "what", f.What.EN)
				if b.changed != nil {
					b.changed(next)
				}
			}
		}
		b.set(i, next)
	}
}

func (b *Board) run(ctx context.Context, c Check) Finding {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return hint.Clean(c.Run(ctx)) // it may quote routers, authorities, programs
}

func (b *Board) at(i int) Result {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.results[i]
}

func (b *Board) set(i int, r Result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.results[i] = r
}

func (b *Board) unwell(code string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.results {
		if r.Code == code {
			return r.Hidden || r.Severity > OK
		}
	}
	return false
}

// Results returns the last outcome of every check that ran and is not hidden.
func (b *Board) Results() []Result {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []Result
	for _, r := range b.results {
		if !r.Hidden && !r.Checked.IsZero() {
			out = append(out, r)
		}
	}
	return out
}

// Worst returns the result with the highest severity, the first of several, and
// false when there is none above OK.
func Worst(rs []Result) (Result, bool) {
	var worst Result
	for _, r := range rs {
		if r.Severity > worst.Severity {
			worst = r
		}
	}
	return worst, worst.Severity > OK
}
