package osupdate

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/helper"
)

// follow tells of updates that came, once Foyer was looked at after them: which finding came
// after which package, or that all is well. Runs of apt that follow each other closely are
// told of together: unattended-upgrades makes many small ones.
func (w *Watch) follow(ctx context.Context, o observed) {
	now := w.cfg.Now()
	w.mu.Lock()
	m := w.memory
	w.mu.Unlock()
	news := slices.DeleteFunc(slices.Clone(o.runs), func(r Run) bool { return !r.Start.After(m.Told) || r.Start.After(now) })
	if m.Told.IsZero() { // what came before Foyer is not its story
		news = nil
		m.Told = time.Unix(1, 0)
		for _, r := range o.runs {
			m.Told = later(m.Told, r.Start)
		}
	}
	if len(news) == 0 {
		m.Wrong = wrongIn(w.cfg.Status(ctx)).codes()
		w.keep(m)
		return
	}
	last := news[len(news)-1]
	if end := later(last.End, last.Start); now.Sub(end) < w.cfg.Timing.Settle || last.End.IsZero() && !w.still(o, now) {
		return // it goes on, or what was updated is just being restarted
	}
	st := w.cfg.Status(ctx)
	if now.Sub(st.Started) < w.cfg.Timing.Settle || st.Server.State == "starting" && now.Sub(st.Started) < patience {
		return
	}
	wrong := wrongIn(st)
	if e, ok := after(news, o.packages.unsettled, wrong.without(m.Wrong), now); ok {
		w.tell(e)
	}
	m.Told, m.Wrong = last.Start, wrong.codes()
	w.keep(m)
}

// patience is how long a server that starts is waited for.
const patience = 5 * time.Minute

// keep remembers, on the disk if it is new.
func (w *Watch) keep(m memory) {
	w.mu.Lock()
	defer w.mu.Unlock()
	is := &w.memory
	if m.Told.Equal(is.Told) && slices.Equal(m.Wrong, is.Wrong) && m.Planned.Equal(is.Planned) && m.PlannedFor == is.PlannedFor && m.RestartedFor == is.RestartedFor {
		return
	}
	w.memory = m
	w.remember()
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// findings are what is wrong with a Foyer, the worst first.
type findings []report.Result

// wrongIn are those of a status that hurt, or will; those about the updates themselves are not
// blamed on updates.
func wrongIn(st report.Status) findings {
	out := slices.DeleteFunc(slices.Clone(st.Checks), func(r report.Result) bool {
		return r.Severity < report.Warning || r.Hidden || strings.HasPrefix(r.Code, "os-")
	})
	slices.SortStableFunc(out, func(a, b report.Result) int { return int(b.Severity) - int(a.Severity) })
	return out
}

func (f findings) codes() []string {
	out := []string{}
	for _, r := range f {
		out = append(out, r.Code)
	}
	slices.Sort(out)
	return out
}

// without are the findings that were not there before.
func (f findings) without(before []string) findings {
	return slices.DeleteFunc(slices.Clone(f), func(r report.Result) bool { return slices.Contains(before, r.Code) })
}

// after is what is told after some runs of apt; false: they brought nothing.
func after(runs []Run, unsettled []unsettled, wrong findings, now time.Time) (report.Event, bool) {
	var names, failed []string
	at := time.Time{}
	for _, r := range runs {
		at = later(at, later(r.Start, r.End))
		for _, c := range r.Changes {
			if c.To != "" && !slices.Contains(names, c.Name) {
				names = append(names, c.Name)
			}
		}
	}
	if len(names) == 0 {
		return report.Event{}, false
	}
	for _, u := range unsettled {
		if slices.Contains(names, u.Name) {
			failed = append(failed, u.Name)
		}
	}
	what := hint.T("%s was updated at %s", "%s a été mis à jour à %s", names[0], at.Format("15:04"))
	if len(names) > 1 {
		what = hint.T("%d packages of the system (%s) were updated at %s", "%d paquets du système (%s) ont été mis à jour à %s", len(names), few(names), at.Format("15:04"))
	}
	if len(failed) > 0 {
		what = hint.T("%s, of which this is not wholly installed: %s", "%s, dont ceci n'est pas entièrement installé : %s", what, few(failed))
	}
	what = hint.T("%s; Foyer was checked at %s:", "%s ; Foyer a été examiné à %s :", what, now.Format("15:04"))
	e := report.Event{Code: "os-updated", Subject: names[0], What: hint.T("%s all is well.", "%s tout va bien.", what)}
	if len(failed) > 0 {
		e.Severity, e.Subject = report.Warning, failed[0]
	}
	if len(wrong) > 0 {
		e.Severity = report.Warning
		e.What = hint.T("%s since then this is wrong: %s", "%s depuis, ceci ne va pas : %s", what, wrong[0].What)
		e.Do = wrong[0].Do
	}
	return e, true
}

// decision is whether the machine is restarted for updates.
type decision struct {
	byItself bool // by Foyer, one night
	now      bool
}

// What a night has to be like.
const (
	toldBefore = 30 * time.Minute // a restart is told of so long before
	quietFor   = 5 * time.Minute  // for so long hardly anything was asked of the server
	quietRate  = 6                // requests in a minute, at most, on average
	aliveFor   = 30 * time.Minute // Foyer has run for so long: no machine is restarted over and over
	backedUp   = time.Hour        // all that was written is in the backup, so long ago at most
)

// decide finds out whether the machine is to be restarted for updates, by Foyer and now.
func (w *Watch) decide(ctx context.Context, o observed) {
	now := w.cfg.Now()
	w.mu.Lock()
	m := w.memory
	w.mu.Unlock()
	why := o.restart.reason()
	d := decision{byItself: why != "" && w.cfg.Restarts && !w.cfg.LeftAlone && o.system.ours() && o.automatic.Elsewhere == "" && why != w.before}
	if d.byItself && m.PlannedFor != why {
		m.PlannedFor, m.Planned = why, now
		w.tell(report.Event{
			Code: "os-reboot-planned", What: hint.T("Updates of the system want this machine restarted.", "Des mises à jour du système demandent un redémarrage de cette machine."),
			Did: hint.T("Foyer does that at night, between 2 and 5 o'clock, when it is not used and the backup is complete.", "Foyer le fera la nuit, entre 2 h et 5 h, quand elle ne sert pas et que la sauvegarde est complète."),
			Do:  hint.T("If you do not want that: `sudo foyer settings set os_updates off`.", "Si vous ne le voulez pas : `sudo foyer settings set os_updates off`."),
		})
	}
	if d.byItself && helper.IsNight(now) && now.Sub(m.Planned) >= toldBefore && len(o.packages.unsettled) == 0 {
		d.now = spare(w.cfg.Status(ctx), now)
	}
	if d.now {
		m.RestartedFor = why
	}
	w.mu.Lock()
	w.restart = d
	w.mu.Unlock()
	w.keep(m)
}

// reason names what a restart is for; empty: nothing.
func (r restart) reason() string {
	if r.since.IsZero() {
		return ""
	}
	return r.since.UTC().Format(time.RFC3339Nano) + " " + r.kernel
}

// spare reports whether a machine with this Foyer can be spared for some minutes: it is well,
// nobody uses it, nothing is under way, and all is in the backup, where there is one.
func spare(st report.Status, now time.Time) bool {
	if st.Server.State != "healthy" || now.Sub(st.Started) < aliveFor {
		return false
	}
	if slices.ContainsFunc(st.Jobs, func(j report.Job) bool { return !j.State.Ended() && j.Kind != helper.VerbReboot }) ||
		slices.ContainsFunc(st.Checks, func(r report.Result) bool { return r.Code == "change" && r.Severity > report.OK }) {
		return false
	}
	if b := st.Backup; b != nil && b.To != "" && (b.Problem != nil || b.Complete.IsZero() || now.Sub(b.Complete) > backedUp) {
		return false
	}
	n, sum := 0, 0.0
	for _, s := range st.Course {
		if now.Sub(s.At) <= quietFor {
			n, sum = n+1, sum+s.Requests
		}
	}
	return n > 0 && sum/float64(n) <= quietRate
}
