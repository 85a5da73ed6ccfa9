package routine

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // zones with daylight saving, wherever this runs

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server/storage/storagetest"
	"github.com/foyer-server/foyer/supervisor/backup"
	"github.com/foyer-server/foyer/supervisor/backup/target"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/job"
)

// A year of the whole routine, as its supervisor has it: a disk that is away for hours and days, full or
// only to be read; restarts, deaths, updates; a machine that sleeps, and whose clock is set, in a zone
// with daylight saving. What can be restored in the end is exactly what is promised of all points there ever
// were, and is what there was then; restores to see are made when they are due, and at no other time;
// what is wrong is found by its name, as bad as it is, and told once.
//
// A cycle is done when something was written or happened, and every twelve hours, not every 5 s: one that
// has nothing to do does nothing. What is due meanwhile is due by the hour or seldom; and what 5 s give besides, a
// clock that is asked often, is done by passes.
func TestAYearOfTheRoutine(t *testing.T) {
	t.Attr("shows", "backups")
	seeds, days := []uint64{1}, 24
	switch {
	case watched:
		days = 5
	case os.Getenv("SHOW_WHOLE") != "":
		seeds, days = nil, 365
		for seed := range uint64(20) {
			seeds = append(seeds, seed)
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { aYear(t, seed, days) })
		})
	}
}

// places are zones with daylight saving, each with a year that has both changes: in Paris, and where the
// hour after midnight is missing, and where it is half an hour.
var places = []struct {
	zone  string
	start time.Time
}{
	{"Europe/Paris", time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)},
	{"America/Sao_Paulo", time.Date(2018, 1, 1, 0, 0, 0, 0, time.UTC)},
	{"Australia/Lord_Howe", time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)},
}

const (
	yearInterval = 12 * time.Hour
	aDay         = 24 * time.Hour
	quiet        = aDay // at the end, in which nothing goes wrong
)

func newYear(t *testing.T, seed uint64) *yearly {
	where := places[seed%uint64(len(places))]
	time.Sleep(time.Until(where.start))
	zone, err := time.LoadLocation(where.zone)
	if err != nil {
		t.Fatal(err)
	}
	y := &yearly{
		home: newHome(t), Rand: rand.New(rand.NewPCG(seed, 365)), zone: zone, began: time.Now(),
		were: map[int64]moment{}, missed: map[int64]bool{}, names: map[uint64]bool{}, there: map[uint64]bool{}, rest: func() {}, byHand: seed%2 == 1,
	}
	y.newWriter()
	y.cfg.Source, y.cfg.Drill = mortal{y.server, y.burns}, y.drill
	y.cfg.Interval, y.cfg.Timing = yearInterval, Timing{}
	y.cfg.Log = slog.New(slog.DiscardHandler)
	y.boots()
	y.chain = y.begin(report.BeginBackup{}).Chain
	if y.keys, err = backup.LoadKeys(keysDir(y.cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	y.passes(time.Hour)
	return y
}

// newWriter has what is written from now on be of now.
func (y *yearly) newWriter() {
	y.writer = storagetest.NewWriter(y.server, y.Rand.Uint64())
	y.writer.Contents = y.server.draw
}

// tally is what happened.
type tally struct{ days, writes, outages, refused, ended, killed, updates, slept, set, changes, asked int }

func aYear(t *testing.T, seed uint64, days int) {
	y := newYear(t, seed)
	n := &y.tally
	start := y.real()
	last := start
	for end := start.Add(time.Duration(days) * aDay); y.real().Before(end); {
		y.all = end.Sub(y.real()) < 45*aDay // of the newest 48 hours that have any, each is compared
		left := end.Sub(y.real()) - quiet
		if calm := y.real().Sub(last); left > aDay && calm > 26*time.Hour && y.Rand.IntN(3) == 0 {
			y.newWriter()
			y.remembers()
			y.happens(min(10*aDay, left))
			last = y.real()
		}
		y.lives(y.now().Add(time.Duration(2+y.Rand.IntN(16)) * time.Hour))
		y.well()
	}
	n.days = days
	y.remembers()
	for range 3 { // what is left of the last hour is made one
		y.passes(time.Hour)
		y.cycles()
	}
	y.well()
	if r, err := y.asks(JobCheck); err != nil {
		t.Error(err)
	} else {
		y.passes(time.Minute)
		if r, err = y.jobs.Get(r.ID); err != nil || r.State != job.Done {
			t.Errorf("reading through all of it: %+v, %v", r, err)
		}
	}
	y.looks(y.cfg.To)
	kept, compared := y.comesBack(seed)
	y.ends()
	made, again := y.drills()
	t.Logf("SHOW a year of the routine, seed %d, %s: %d days, %d writes; the disk was away %d times and took nothing %d times; the supervisor ended %d times, was killed %d, updated %d; the machine slept %d times, its clock was set %d times, and %d for daylight saving; %d points there were, %d promised and kept, %d restored and the same; %d restores to see, each when due (%d asked for, %d on the return of the disk, %d gone on with after a death); at most %d objects, %d KB, %d parts of attachments at the disk and %d KB here, %d objects deleted",
		seed, y.zone, n.days, n.writes, n.outages, n.refused, n.ended, n.killed, n.updates, n.slept, n.set, n.changes, len(y.ever), kept, compared, made, n.asked, y.returned, again,
		y.counts.objects, y.counts.bytes>>10, y.counts.parts, y.counts.state>>10, y.counts.deleted)
}

// lives goes on until a time by the clock of the backup, with writes by day.
func (y *yearly) lives(until time.Time) {
	for y.now().Before(until) {
		local := y.now().In(y.zone)
		if night := local.Hour() < 7 && local.YearDay()%3 > 0; !night && y.Rand.IntN(2) == 0 {
			// Whatever may be the last of a day may be kept.
			if i := len(y.ever) - 1; y.all || i >= 0 && day(y.ever[i].at) != day(y.now().Add(3*time.Hour)) {
				y.remembers()
			}
			y.writes(1 + y.Rand.IntN(3))
			y.tally.writes++
			y.passes(min(time.Minute, until.Sub(y.now())))
			y.cycles()
		}
		y.passes(min(time.Duration(40+y.Rand.IntN(400))*time.Minute, max(0, until.Sub(y.now()))))
		y.hands()
		if dir := y.cfg.To; !y.away {
			y.looks(dir)
		}
	}
}

// happens has something happen, for no longer than that.
func (y *yearly) happens(most time.Duration) {
	y.Helper()
	n, r := &y.tally, y.Rand
	between := func(least, most time.Duration) time.Duration {
		return least + time.Duration(r.Int64N(int64(most-least)))
	}
	switch r.IntN(12) {
	case 0, 1:
		n.outages++
		y.outage(min(most, []time.Duration{between(time.Hour, 3*time.Hour), between(3*time.Hour, 5*aDay), between(7*aDay, 10*aDay)}[r.IntN(3)]))
	case 2:
		n.refused++
		y.refuses(between(3*time.Hour, 2*aDay))
	case 3:
		n.ended++
		y.ends()
		y.boots()
	case 4, 5:
		n.killed++
		y.fuse.Store(int64(1 + r.IntN(12)))
		y.lives(y.now().Add(2 * time.Hour))
		y.dies()
		y.ends()
		y.boots()
	case 6:
		n.updates++
		y.ends()
		if y.cfg.Version = fmt.Sprintf("1.%d.0", n.updates); r.IntN(3) == 0 {
			y.cfg.Schema++
		}
		dies := r.IntN(2) == 0 // while that is tried, or about to be
		if dies && r.IntN(2) == 0 {
			y.fuse.Store(int64(1 + r.IntN(10)))
		}
		y.boots()
		if dies {
			n.killed++
			y.passes(between(0, 4*time.Minute))
			y.dies()
			y.ends()
			y.boots()
		}
	case 7, 8:
		n.slept++
		y.sleeps(between(time.Hour, 3*aDay))
		y.well()
	case 9: // it jumps to and fro
		n.set++
		for range 5 {
			before := y.now()
			y.sets(clocksAreSet[r.IntN(len(clocksAreSet))](y.real()))
			y.passes(5 * time.Minute)
			y.sets(0)
			y.passes(5 * time.Minute)
			if d := y.now().Sub(before); d != 10*time.Minute {
				y.Errorf("a clock that is set for five minutes is followed: %s passed in ten", d)
			}
		}
	case 10: // and is set for days, or the machine starts so
		n.set++
		starts := r.IntN(2) == 0
		if starts {
			y.ends()
		}
		y.sets(clocksAreSet[r.IntN(len(clocksAreSet))](y.real()))
		if starts {
			y.boots()
		}
		y.passes(15 * time.Minute)
		y.well()
		if d := y.now().Sub(y.machine()); d.Abs() > 10*time.Second {
			y.Errorf("the clock of the machine is not followed: it is %s apart", d)
		}
		y.lives(y.now().Add(between(time.Hour, 2*aDay)))
		y.well()
		y.remembers()
		y.sets(0)
	case 11:
		n.asked++
		kind := []string{JobNow, JobDrill, JobCheck}[r.IntN(3)]
		y.mu.Lock()
		y.owner = kind == JobDrill
		y.mu.Unlock()
		asked, err := y.asks(kind)
		if err != nil {
			y.Fatal(err)
		}
		y.passes(10 * time.Minute)
		if asked, err = y.jobs.Get(asked.ID); err != nil || asked.State != job.Done {
			y.Errorf("%s: %+v, %v", kind, asked, err)
		}
	}
	y.passes(15 * time.Minute)
	y.well()
	y.cycles()
}

// clocksAreSet are by how much.
var clocksAreSet = []func(now time.Time) time.Duration{
	func(time.Time) time.Duration { return time.Hour },
	func(time.Time) time.Duration { return -time.Hour },
	func(time.Time) time.Duration { return aDay },
	func(time.Time) time.Duration { return -aDay },
	func(now time.Time) time.Duration { return now.AddDate(1, 0, 0).Sub(now) },
	func(now time.Time) time.Duration { return now.AddDate(-1, 0, 0).Sub(now) },
	func(now time.Time) time.Duration { return time.Unix(3600, 0).Sub(now) },
	func(now time.Time) time.Duration { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Sub(now) },
}

// finds is what is found of the backup now, by who looks every few seconds.
func (y *yearly) finds() health.Finding {
	y.Helper()
	y.board.Round(y.ctx)
	past, end := context.WithCancel(y.ctx)
	end()
	y.board.Mend(past) // what it told is kept some seconds later
	for _, r := range y.board.Results() {
		if r.Code == Code {
			return r.Finding
		}
	}
	y.Fatal("nobody looked")
	return health.Finding{}
}

// well has all be well, and no restore to see be due that was not made.
func (y *yearly) well() {
	y.Helper()
	if f := y.finds(); f.Severity != health.OK {
		y.Errorf("%s: nothing is wrong, and it finds %s: %s", y.now(), f.Cause, f.What.In(hint.EN))
	}
	y.cycles()
	y.looks(y.cfg.To)
	y.keeps()
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, d := range y.drilled {
		if y.since(d.at) < 25*time.Hour {
			return // whatever is due waits for a day
		}
	}
	if why := y.due(); why != "" && !y.busy() {
		y.Errorf("%s: a restore to see is due, and was not made: %s", y.now(), why)
	}
}

// outage has the disk be away.
func (y *yearly) outage(d time.Duration) {
	y.Helper()
	y.passes(4 * time.Minute) // a restore to see ends
	y.cycles()
	y.changes = nil
	if err := os.Rename(y.cfg.To, y.cfg.To+".pulled"); err != nil {
		y.Fatal(err)
	}
	began := y.now()
	y.away = true
	y.cycles()
	y.isAway(health.Info)
	last := y.Report().Complete
	if last.After(began) || began.Sub(last) > time.Minute {
		y.Errorf("the disk is away since %s, and the last backup is said to be of %s", began, last)
	}
	marks := []struct {
		at   time.Duration
		want health.Severity
	}{{time.Hour - time.Second, health.Info}, {time.Hour + time.Second, health.Warning}, {7*aDay - time.Second, health.Warning}, {7*aDay + time.Second, health.Error}}
	want := health.Info
	var told []string
	for _, m := range append(marks, marks...) {
		at := last.Add(m.at)
		if at.After(began.Add(d)) || at.Before(y.now()) {
			continue
		}
		y.lives(y.now().Add(at.Sub(y.now()) / 2))
		switch y.Rand.IntN(6) {
		case 0:
			y.ends()
			y.boots()
		case 1:
			y.dies()
			y.ends()
			y.boots()
		case 2:
			y.sleeps(at.Sub(y.now()) / 2)
		}
		y.lives(at)
		want = m.want
		y.isAway(want)
	}
	y.lives(began.Add(d))
	y.isAway(want)
	for s := health.Warning; s <= want; s++ {
		told = append(told, fmt.Sprint(s, " target-away"))
	}
	if len(told) > 0 {
		told = append(told, fmt.Sprint(health.OK, " "))
	}
	y.mu.Lock()
	due := y.due() != ""
	y.mu.Unlock()
	if due {
		y.returned++
	}
	if err := os.Rename(y.cfg.To+".pulled", y.cfg.To); err != nil {
		y.Fatal(err)
	}
	y.away = false
	y.cycles()
	y.well()
	if !slices.Equal(y.changes, told) {
		y.Errorf("%s: of a disk that was away for %s was told %q, and not %q", y.now(), d, y.changes, told)
	}
}

func (y *yearly) isAway(want health.Severity) {
	y.Helper()
	if f := y.finds(); f.Severity != want || f.Cause != "target-away" {
		y.Errorf("%s: the disk is away since the backup of %s, and it finds %s %s", y.now(), y.Report().Complete, f.Severity, f.Cause)
	}
}

// refuses has the disk take nothing.
func (y *yearly) refuses(d time.Duration) {
	y.Helper()
	y.changes = nil
	code, why := "target-readonly", target.ErrReadOnly
	if y.Rand.IntN(2) == 0 {
		code, why = "target-full", target.ErrFull
	}
	y.home.mu.Lock()
	y.events = nil
	y.home.mu.Unlock()
	y.Routine.mu.Lock()
	at := y.engine.Target
	y.engine.Target = &awkward{Target: at, put: hint.New(code, hint.T("r", "r"), hint.Text{}, hint.Text{}).Because(why)}
	y.Routine.mu.Unlock()
	y.passes(time.Hour + time.Second) // where nothing is written it is noticed by the beat of the hour
	y.cycles()
	until := y.now().Add(d)
	for y.now().Before(until) {
		if f := y.finds(); f.Severity != health.Error || f.Cause != code {
			y.Errorf("%s: the disk takes nothing, and it finds %s %s", y.now(), f.Severity, f.Cause)
		}
		y.lives(y.now().Add(3 * time.Hour))
	}
	y.Routine.mu.Lock()
	y.engine.Target = at
	y.Routine.mu.Unlock()
	y.cycles()
	y.well()
	if want := []string{fmt.Sprint(health.Error, " ", code), fmt.Sprint(health.OK, " ")}; !slices.Equal(y.changes, want) {
		y.Errorf("of a disk that took nothing was told %q, and not %q", y.changes, want)
	}
	told := slices.DeleteFunc(y.told(), func(code string) bool { return code == "backup-proven" })
	if want := []string{"backup-stopped", "backup-goes-on"}; !slices.Equal(told, want) {
		y.Errorf("of a disk that took nothing these are the events: %q, and not %q", told, want)
	}
}
