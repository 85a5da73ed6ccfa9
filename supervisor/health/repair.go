package health

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// Repair is a job that may mend what a check finds. Checks that name the same job share it:
// its attempts are counted together, and the strictest of their limits holds.
type Repair struct {
	Cause string            // of the findings it is for; empty: whatever the check finds
	Kind  string            // of the job. Where there is no such kind of job, nothing is offered
	Args  map[string]string // of the job; may be nil
	// Consent: it is only offered, and a person starts it.
	Consent bool
	After   time.Duration // how long the finding has to stay before the first attempt; 0: it is begun at once
	PerHour int           // attempts within an hour after which none is begun by itself; 0: 2
	PerDay  int           // the same within 24 hours; 0: 4
	Within  time.Duration // an attempt begun by itself that takes longer is cancelled; 0: an hour
}

// Jobs does what repairs are made of. Title and Active do not block.
type Jobs interface {
	// Title is what people call a kind of job; false: there is no such kind here.
	Title(kind string) (title hint.Text, ok bool)
	// Active is the job of this kind, with these arguments, that waits or runs.
	Active(kind string, args map[string]string) (j report.Job, ok bool)
	// Start has the job begun soon, or returns the same one that waits or runs already.
	Start(kind string, args map[string]string, by string) (report.Job, error)
	// Cancel has it end soon.
	Cancel(id string) (report.Job, error)
}

// ByItself is who asked for the jobs that a Board begins.
const ByItself = "Foyer"

// How patient repairs are.
const (
	settles  = time.Minute      // what a job has mended is well after that, or it did not help
	helped   = 10 * time.Minute // what has been well for so long after a job was mended by it
	newSpell = 24 * time.Hour   // what was well for so long begins anew when it is wrong
	mostEver = 10               // attempts after which nothing is begun by itself, until it was well for so long
	mostKept = 100              // times of attempts
)

// pauses are those after the 1st, 2nd, … attempt; the last one repeats.
func pauses() []time.Duration {
	return []time.Duration{time.Minute, 5 * time.Minute, 20 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour, 24 * time.Hour}
}

// mending is how it stands with one job that repairs, whichever checks want it. The Board
// guards it.
type mending struct {
	attempts
	kind            string
	args            map[string]string
	perHour, perDay int
	within          time.Duration
	ended           time.Time // when its last job ended, and what came of that is looked at; zero: nothing is
	keptWrong       time.Time // LastWrong, as the disk has it
}

// attempts are what is known of a repair after a restart, too.
type attempts struct {
	Times     []time.Time `json:"times"` // when a job was begun, by itself or by a person; oldest first
	Tried     int         `json:"tried"` // since the finding was last well for newSpell
	Judged    bool        `json:"judged"`
	NotBefore time.Time   `json:"not_before,omitzero"`
	LastWrong time.Time   `json:"last_wrong,omitzero"` // when a check last found what it is for
	Told      []string    `json:"told,omitempty"`      // facts, since the finding was last well for newSpell
}

// Facts that are told once.
const (
	toldHelped  = "helped"
	toldPaused  = "paused"
	toldGivenUp = "given-up"
)

// nameOf is a job's name in the memory of repairs.
func nameOf(kind string, args map[string]string) string {
	words := []string{kind}
	for _, name := range slices.Sorted(maps.Keys(args)) {
		words = append(words, name+"="+args[name])
	}
	return strings.Join(words, " ")
}

// limit has the limits of a further check hold.
func (m *mending) limit(r Repair) {
	hour, day, within := cmp.Or(r.PerHour, 2), cmp.Or(r.PerDay, 4), cmp.Or(r.Within, time.Hour)
	if m.perHour == 0 {
		m.perHour, m.perDay, m.within = hour, day, within
	}
	m.perHour, m.perDay, m.within = min(m.perHour, hour), min(m.perDay, day), min(m.within, within)
}

// begins counts an attempt.
func (m *mending) begins(now time.Time) {
	m.Times = append(m.Times, now)
	m.Times = m.Times[max(0, len(m.Times)-mostKept):]
	m.Tried++
	m.Judged, m.ended = false, time.Time{}
	m.pause(now)
}

// ends notes how the job of an attempt ended.
func (m *mending) ends(done bool, now time.Time) {
	m.ended, m.Judged = now, !done
	m.pause(now)
}

// pause has the next attempt wait, the longer the more there were: half as long again at most,
// so that machines that broke together are not mended together.
func (m *mending) pause(now time.Time) {
	all := pauses()
	d := all[min(max(m.Tried, 1), len(all))-1]
	m.wait(now.Add(d + rand.N(d/2)))
}

// wait has nothing begun by itself before a moment.
func (m *mending) wait(until time.Time) {
	if until.After(m.NotBefore) {
		m.NotBefore = until
	}
}

// wrong notes that a check finds what the repair is for. What had been well for long begins
// anew.
func (m *mending) wrong(now time.Time) {
	if m.Tried > 0 && m.Judged && now.Sub(m.LastWrong) > newSpell {
		m.Tried, m.Told, m.NotBefore = 0, nil, time.Time{}
	}
	m.LastWrong = now
}

// allowed is when the limits let a further attempt begin, and whether that of a day is what
// it waits for.
func (m *mending) allowed() (at time.Time, day bool) {
	after := func(n int, d time.Duration) time.Time {
		if len(m.Times) < n {
			return time.Time{}
		}
		return m.Times[len(m.Times)-n].Add(d)
	}
	hour, today := after(m.perHour, time.Hour), after(m.perDay, 24*time.Hour)
	if today.After(hour) {
		return today, true
	}
	return hour, false
}

// next is when the next attempt begins by itself, if what it is for, r, has been wrong since
// then and stays so; ever: there is one. given: Foyer has given up until then, since the
// limit of a day is reached or there were too many.
func (m *mending) next(r Repair, since time.Time) (at time.Time, ever, given bool) {
	if r.Consent {
		return at, false, false
	}
	if m.Tried >= mostEver {
		return at, false, true
	}
	at = since.Add(r.After)
	if m.NotBefore.After(at) {
		at = m.NotBefore
	}
	if free, day := m.allowed(); free.After(at) {
		at, given = free, day
	}
	return at, true, given
}

// once reports whether a fact has not been told yet, and notes that it is.
func (m *mending) once(fact string) bool {
	if slices.Contains(m.Told, fact) {
		return false
	}
	m.Told = append(m.Told, fact)
	return true
}

// bound makes what a disk remembered fit a clock that may have gone back meanwhile.
func (a *attempts) bound(now time.Time) {
	a.Times = a.Times[max(0, len(a.Times)-mostKept):]
	for i, at := range a.Times {
		if at.After(now) {
			a.Times[i] = now
		}
	}
	if most := now.Add(2 * newSpell); a.NotBefore.After(most) {
		a.NotBefore = most
	}
	if a.LastWrong.After(now) {
		a.LastWrong = now
	}
	a.Tried = max(0, a.Tried)
}
