// Package report is what the processes of one Foyer tell each other, and people, about how
// it is: findings and the light, jobs, events, and what the server answers its supervisor.
//
// They are plain facts with JSON forms, defined once for both sides of a socket. Who finds
// something out, and what is done about it, is the rooms' own: server and supervisor, which
// do not know each other.
package report

import (
	"fmt"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
)

// Severity orders findings and events.
type Severity int

// Severities: Info wants nothing of anybody; Warning will hurt if nothing is
// done; Error hurts now.
const (
	OK Severity = iota
	Info
	Warning
	Error
)

// String is the severity in JSON.
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

// Result is the last outcome of one check.
type Result struct {
	Code  string    `json:"code"`
	Title hint.Text `json:"title"`
	Finding
	Since   time.Time `json:"since"`            // since when the severity is what it is
	Checked time.Time `json:"checked"`          // when it last ran
	Hidden  bool      `json:"hidden,omitempty"` // not run, because a check it depends on is not well
	Repair  *Repair   `json:"repair,omitempty"` // what may mend it; nil: nothing that Foyer knows
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

// Problem is an error as a socket carries it, and as a record keeps it.
type Problem struct {
	Code string    `json:"code"` // docs/codes.md
	What hint.Text `json:"what"`
	Did  hint.Text `json:"did"`
	Do   hint.Text `json:"do"`
}

// ProblemOf is err as a problem; nil: none. One that nobody wrote for people has the code
// failed.
func ProblemOf(err error) *Problem {
	if err == nil {
		return nil
	}
	p := Problem{Code: "failed", What: hint.T("It did not work: %s.", "Cela n'a pas marché : %s.", err.Error())}
	if e := hint.Find(err); e != nil {
		p = Problem{e.Code, e.What, e.Did, e.Do}
	}
	p = hint.Clean(p)
	return &p
}

// Err is the problem as an error again; nil: none.
func (p *Problem) Err() error {
	if p == nil {
		return nil
	}
	return hint.New(p.Code, p.What, p.Did, p.Do)
}

// Finding is the problem as a check tells it.
func (p *Problem) Finding() Finding {
	return Finding{Severity: Error, What: p.What, Did: p.Did, Do: p.Do, Cause: p.Code}
}

// Age is how long something has been so, as people say it.
func Age(d time.Duration) hint.Text {
	switch {
	case d < 2*time.Minute:
		return hint.T("%d seconds", "%d secondes", max(0, int(d.Seconds())))
	case d < 2*time.Hour:
		return hint.T("%d minutes", "%d minutes", int(d.Minutes()))
	case d < 48*time.Hour:
		return hint.T("%d hours", "%d heures", int(d.Hours()))
	}
	return hint.T("%d days", "%d jours", int(d.Hours()/24))
}

// Ago is how long ago something was, as people say it.
func Ago(d time.Duration) hint.Text {
	if d < time.Minute {
		return hint.T("just now", "à l'instant")
	}
	return hint.T("%s ago", "il y a %s", Age(d))
}

// Size is a number of bytes as people write it.
func Size(n uint64) hint.Text {
	switch {
	case n >= 10<<30:
		return hint.T("%d GB", "%d Go", n>>30)
	case n >= 1<<30:
		return hint.T("%.1f GB", "%.1f Go", float64(n)/(1<<30))
	case n >= 1<<20:
		return hint.T("%d MB", "%d Mo", n>>20)
	case n >= 1<<10:
		return hint.T("%d KB", "%d ko", n>>10)
	}
	return hint.T("%d bytes", "%d octets", n)
}
