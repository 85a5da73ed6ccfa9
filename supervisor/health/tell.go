package health

import (
	"time"

	"github.com/foyer-server/foyer/internal/hint"
)

// What comes and goes is told so often, each time it has stayed for its VisibleAfter; from
// then on it has to stay for comesAndGoes, and twice as long after each time it is told.
// What stays for steady as it is, is told as at first.
const (
	fewCycles    = 3
	comesAndGoes = 10 * time.Minute
	steady       = 24 * time.Hour
)

// turn notes when a check that found r turns from well to wrong or back.
func (it *item) turn(last, r Result, now time.Time) {
	wrong := r.Severity >= Warning
	turned := wrong != (last.Severity >= Warning)
	if last.Checked.IsZero() { // the first look of this process: was it so before?
		turned = it.Turned.IsZero() || wrong != (it.Told >= Warning)
	}
	if !turned {
		return
	}
	if now.Sub(it.turned) >= steady {
		it.Cycles = 0
	}
	it.turned = now
}

// stays is how long a check has to find the same for that to be told.
func (it *item) stays() time.Duration {
	if it.Cycles < fewCycles {
		return it.VisibleAfter
	}
	return max(it.VisibleAfter, min(comesAndGoes<<min(it.Cycles-fewCycles, 10), steady))
}

// toTell is what is to be told of a check now, nil for nothing; and notes that it is. While
// a repair is under way what was told already is not told to be well, nor again. b.mu is held.
func (b *Board) toTell(it *item, now time.Time) *Result {
	wrong, was := it.last.Severity >= Warning, it.Told >= Warning
	switch {
	case wrong && it.last.Severity == it.Told, !wrong && !was, now.Sub(it.turned) < it.stays():
		b.remind(it, now)
		return nil
	case was && it.last.Severity < it.Told && it.mends != nil && !it.mends.Judged && it.mends.Tried > 0:
		return nil
	}
	r := b.withRepair(it, now)
	if wrong && !was && it.Cycles == fewCycles-1 {
		r.Did = together(r.Did, hint.T("This comes and goes; from now on it is told when it stays.", "Cela va et vient ; désormais, c'est annoncé quand cela dure."))
	}
	if !wrong {
		it.Cycles++
	}
	it.Told, it.Turned = it.last.Severity, it.turned
	b.spoil(now)
	return &r
}

// remind has the memory know, now and then, of what still comes and goes untold.
func (b *Board) remind(it *item, now time.Time) {
	if it.Cycles >= fewCycles && it.turned.Sub(it.Turned) > seldom {
		it.Turned = it.turned
		b.spoil(now)
	}
}

// together is one sentence after the other; either may say nothing.
func together(a, b hint.Text) hint.Text {
	switch {
	case a.IsZero():
		return b
	case b.IsZero():
		return a
	}
	return hint.T("%s %s", "%s %s", a, b)
}
