package health

import (
	"context"
	"slices"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// UseJobs has the board offer, and begin, the repairs its checks name. It is to be called
// before the first Look, and JobBegins and JobEnded have to hear of every job.
func (b *Board) UseJobs(jobs Jobs) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.jobs = jobs
	for _, it := range b.items {
		for _, r := range it.Repairs {
			if _, ok := jobs.Title(r.Kind); !ok {
				continue
			}
			name := nameOf(r.Kind, r.Args)
			if b.repairs[name] == nil {
				b.repairs[name] = &mending{kind: r.Kind, args: r.Args, attempts: attempts{Judged: true}}
			}
			b.repairs[name].limit(r)
		}
	}
}

// OnRepair has f told, once, that something was mended, or that Foyer gives up. It is to be
// called before the first Look; f is called by one goroutine at a time.
func (b *Board) OnRepair(f func(report.Event)) { b.repaired = f }

// errLimit: so many attempts are not made by themselves.
var errLimit = hint.New("repair-limit",
	hint.T("This was tried too often already.", "Ceci a déjà été essayé trop souvent."), hint.T("Nothing was begun.", "Rien n'a été commencé."),
	hint.T("`foyer status` says when Foyer tries again.", "`foyer status` dit quand Foyer réessaiera."))

// JobBegins counts an attempt, on the disk, if the job is a repair. The error means that it
// must not begin: it would not be counted, or would be one too many. It keeps no person
// from what they want.
func (b *Board) JobBegins(j report.Job) error {
	b.mu.Lock()
	m := b.repairs[nameOf(j.Kind, j.Args)]
	if m == nil {
		b.mu.Unlock()
		return nil
	}
	now := time.Now()
	if free, _ := m.allowed(); j.By == ByItself && (free.After(now) || m.Tried >= mostEver) { // one that was cut off begins again, too
		b.mu.Unlock()
		return errLimit
	}
	m.begins(now)
	b.mu.Unlock()
	err := b.save()
	if j.By == ByItself {
		return err
	}
	if err != nil {
		b.log.Warn("a repair is not counted on the disk", "job", j.ID, "err", err)
	}
	return nil
}

// JobEnded takes note that a job has ended. Whether it helped is for the checks to find.
func (b *Board) JobEnded(j report.Job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m := b.repairs[nameOf(j.Kind, j.Args)]; m != nil {
		now := time.Now()
		m.ends(j.State == report.JobDone, now)
		b.spoil(now)
	}
}

// spoil has what is remembered written soon. b.mu is held.
func (b *Board) spoil(now time.Time) {
	if b.dirty.IsZero() {
		b.dirty = now
	}
	b.poke()
}

// poke has Mend look whether there is something to do.
func (b *Board) poke() {
	select {
	case b.wake <- struct{}{}:
	default: // it is awake
	}
}

// repairFor is the repair for what a check finds now, nil for none. b.mu is held.
func (b *Board) repairFor(it *item) (*Repair, *mending) {
	if it.last.Severity < Warning || it.last.Hidden || it.last.Cause == CauseLate {
		return nil, nil
	}
	for i := range it.Repairs {
		r := &it.Repairs[i]
		if m := b.repairs[nameOf(r.Kind, r.Args)]; m != nil && (r.Cause == "" || r.Cause == it.last.Cause) {
			return r, m
		}
	}
	return nil, nil
}

// judge takes in what a look that began then has found of a repair, and returns what is to
// be told of that. b.mu is held.
func (b *Board) judge(it *item, began, now time.Time) (facts []report.Event) {
	if it.last.Cause == CauseLate {
		return nil
	}
	r, m := b.repairFor(it)
	if r != it.wants {
		it.wants, it.wanted = r, now
		b.poke()
	}
	if r != nil {
		it.mends = m
		m.wrong(now)
		if m.Tried > 0 && m.LastWrong.Sub(m.keptWrong) > seldom {
			m.keptWrong = m.LastWrong
			b.spoil(now)
		}
	} else if m = it.mends; m == nil {
		return nil
	}
	looked := !m.ended.IsZero()
	switch {
	case r != nil && !m.Judged && looked && !began.Before(m.ended.Add(settles)):
		m.Judged = true
		b.spoil(now)
	case r == nil && !m.Judged && looked && !began.Before(m.ended.Add(helped)) && !b.wantedBy(m):
		m.Judged = true
		b.spoil(now)
		for _, other := range b.items {
			if other.mends == m {
				other.mends = nil
			}
		}
		if m.once(toldHelped) {
			title, _ := b.jobs.Title(m.kind)
			facts = append(facts, mended(it, title))
		}
	}
	if r != nil && m.Judged && m.Tried > 0 && gaveUp(it, r, m, now) {
		shown := b.withRepair(it, now)
		facts = append(facts, report.Event{Code: "repair-given-up", Severity: it.last.Severity, Subject: it.Code, What: it.last.What, Did: shown.Did, Do: shown.Do})
	}
	if len(facts) > 0 {
		b.spoil(now)
	}
	b.poke()
	return facts
}

// wantedBy reports whether any check finds now what a repair is for.
func (b *Board) wantedBy(m *mending) bool {
	for _, it := range b.items {
		if it.mends == m && it.wants != nil {
			return true
		}
	}
	return false
}

// mended is the fact that something was mended, by a job with this title. That it is well again need not be told
// besides.
func mended(it *item, title hint.Text) report.Event {
	if it.last.Severity < Warning && it.Told >= Warning {
		it.Told, it.Turned = it.last.Severity, it.turned
		it.Cycles++
	}
	return report.Event{
		Code: "repaired", Subject: it.Code, What: hint.T("%s: mended.", "%s : réparé.", it.Title),
		Did: hint.T("Foyer did this: %s.", "Foyer a fait ceci : %s.", title),
	}
}

// gaveUp reports whether it is to be told that Foyer gives up, for a day or altogether.
func gaveUp(it *item, r *Repair, m *mending, now time.Time) bool {
	at, ever, given := m.next(*r, it.wanted)
	switch {
	case !given || ever && !at.After(now), ever && !m.once(toldPaused), !ever && !m.once(toldGivenUp):
		return false
	}
	return true
}

// withRepair is the outcome of a check with what is being done about it. b.mu is held.
func (b *Board) withRepair(it *item, now time.Time) Result {
	out := it.last
	r, m := b.repairFor(it)
	if r == nil {
		return out
	}
	title, _ := b.jobs.Title(r.Kind)
	to := &report.Repair{Kind: r.Kind, Args: r.Args, Title: title, Tried: m.Tried}
	at, ever, given := m.next(*r, it.wanted)
	active, ok := b.jobs.Active(r.Kind, r.Args)
	switch {
	case ok:
		to.State, to.Job = report.RepairUnderWay, active.ID
	case !m.Judged && !m.ended.IsZero() && now.Before(m.ended.Add(helped)):
		to.State = report.RepairJudged
	case r.Consent:
		to.State = report.RepairOffered
	case ever && !at.After(now):
		to.State = report.RepairUnderWay // in a moment
	case given:
		to.State = report.RepairGivenUp
	default:
		to.State = report.RepairPlanned
	}
	if ever {
		to.Next = at
	}
	out.Repair, out.Did = to, together(out.Did, to.Did())
	if out.Do.IsZero() && (to.State == report.RepairOffered || to.State == report.RepairGivenUp) {
		out.Do = hint.T("Let Foyer do it: `%s`.", "Laissez Foyer le faire : `%s`.", to.Command())
	}
	return out
}

// Mend begins repairs when it is time, and keeps what was told and tried, until ctx ends. Jobs
// that it began end soon after, as all do.
func (b *Board) Mend(ctx context.Context) {
	var failed time.Time // when what is remembered could not be kept; zero: it was
	for ctx.Err() == nil {
		start, overdue, next := b.due(time.Now())
		for _, id := range overdue {
			if _, err := b.jobs.Cancel(id); err != nil {
				b.log.Warn("a repair that takes too long cannot be ended", "job", id, "err", err)
			}
		}
		for _, m := range start {
			if _, err := b.jobs.Start(m.kind, m.args, ByItself); err != nil {
				b.log.Warn("a repair cannot be begun", "kind", m.kind, "err", err)
			}
			b.mu.Lock()
			m.wait(time.Now().Add(settles)) // whatever becomes of it
			b.mu.Unlock()
		}
		if time.Since(failed) > time.Minute {
			wait, err := b.gathered(gathers)
			next = min(next, wait)
			if err != nil && failed.IsZero() {
				b.log.Warn("what is told and tried is not on the disk; it is tried again", "err", err)
			}
			failed = time.Time{}
			if err != nil {
				failed = time.Now()
			}
		}
		timer := time.NewTimer(min(next, time.Minute))
		select {
		case <-b.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	if _, err := b.gathered(0); err != nil {
		b.log.Warn("what was told and tried is not kept", "err", err)
	}
}

// gathers is how long what changes is gathered before it is written: what is told of it
// should be on the disk by then, or it would be told by nobody after a power cut.
const gathers = 5 * time.Second

// gathered keeps what has changed, if anything has for so long; wait is how long nothing is
// to be kept otherwise.
func (b *Board) gathered(long time.Duration) (wait time.Duration, err error) {
	b.mu.Lock()
	dirty := b.dirty
	b.mu.Unlock()
	if dirty.IsZero() {
		return time.Hour, nil
	}
	if wait = long - time.Since(dirty); wait > 0 {
		return wait, nil
	}
	return time.Hour, b.save()
}

// due are the repairs to be begun now, and the jobs, begun by the board, that have taken too
// long; and how long nothing else will be.
func (b *Board) due(now time.Time) (start []*mending, overdue []string, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wait = time.Hour
	later := func(at time.Time) bool {
		if at.After(now) {
			wait = min(wait, at.Sub(now))
			return true
		}
		return false
	}
	for _, m := range b.repairs { // whether or not it is still wanted
		if j, ok := b.jobs.Active(m.kind, m.args); ok && j.By == ByItself && j.State == report.JobRunning && !later(j.Started.Add(m.within)) {
			overdue = append(overdue, j.ID)
		}
	}
	for _, it := range b.items {
		r, m := b.repairFor(it)
		if m == nil || r != it.wants || !m.Judged || slices.Contains(start, m) {
			continue
		}
		if _, ok := b.jobs.Active(m.kind, m.args); ok {
			continue
		}
		if at, ever, _ := m.next(*r, it.wanted); ever && !later(at) {
			start = append(start, m)
		}
	}
	return start, overdue, wait
}
