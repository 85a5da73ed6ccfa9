package osupdate

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
)

// well is a Foyer that is well, was not asked for anything, and has nothing under way.
func well(now time.Time) report.Status {
	return report.Status{
		Started: now.Add(-24 * time.Hour), Server: report.Server{State: "healthy"}, Course: []report.Sample{{At: now.Add(-time.Minute), Requests: 1}},
		Backup: &report.Backup{To: "/mnt/disk/foyer", Complete: now.Add(-10 * time.Second)},
	}
}

func wrong(code, what string) report.Result {
	return report.Result{Code: code, Finding: report.Finding{Severity: report.Error, What: hint.T("%s", "%s", what), Do: hint.T("Do it.", "Faites-le.")}}
}

// What came with updates is told once: that all is well, which package fails, or what is wrong
// since then and was not before. Real apt and dpkg do the updates.
func TestUpdatesAreFollowed(t *testing.T) {
	t.Attr("shows", "health")
	d := newDebian(t)
	d.publish("openssl", "1.0", "exit 0")
	d.publish("poisoned", "1.0", "exit 0")
	d.mustApt("update")
	d.mustApt("install", "openssl", "poisoned")
	now, state := time.Now(), t.TempDir()
	st := well(now)
	st.Checks = []report.Result{wrong("disk", "The disk is full.")}
	var told []report.Event
	start := func() *Watch {
		w := d.watch(&now, func(c *Config) { c.State, c.Status = state, func(context.Context) report.Status { return st } })
		w.UseHost(func(e report.Event) { told = append(told, e) }, nil, nil)
		return w
	}
	w := start()
	follow := func() {
		now = time.Now()
		w.follow(t.Context(), w.look())
		now = now.Add(w.cfg.Timing.Settle + time.Second)
		w.follow(t.Context(), w.look())
		w.follow(t.Context(), w.look())
	}
	if follow(); len(told) > 0 {
		t.Fatalf("what came before Foyer: %+v", told)
	}
	expect := func(when string, severity report.Severity, subject string, words ...string) {
		t.Helper()
		if len(told) != 1 {
			t.Fatalf("%s: %+v", when, told)
		}
		e := told[0]
		told = nil
		if e.Code != "os-updated" || e.Severity != severity || e.Subject != subject || strings.Contains(e.What.EN, "The disk is full") {
			t.Errorf("%s: %+v", when, e)
		}
		for _, word := range words {
			if !strings.Contains(e.What.EN, word) {
				t.Errorf("%s: no %q in %q", when, word, e.What.EN)
			}
		}
		t.Logf("SHOW after updates, %s: %s", when, e.What.EN)
	}
	next := 0
	upgrade := func(name, script string, ok bool) {
		t.Helper()
		next++
		for began := time.Now().Unix(); time.Now().Unix() == began; { // apt's history knows no less than seconds
			time.Sleep(10 * time.Millisecond)
		}
		d.publish(name, "1."+string(rune('0'+next)), script)
		d.mustApt("update")
		if out, went := d.apt("dist-upgrade"); went != ok {
			t.Fatal(out)
		}
	}

	upgrade("openssl", "exit 0", true)
	now = time.Now()
	if w.follow(t.Context(), w.look()); len(told) > 0 {
		t.Errorf("told at once: %+v", told)
	}
	follow()
	expect("one that is good", report.OK, "openssl", "openssl was updated at ", "; Foyer was checked at ", ": all is well.")

	upgrade("openssl", "exit 0", true)
	st.Checks = append(st.Checks, wrong("door", "Visitors are not answered."))
	follow()
	expect("one after which something is wrong", report.Warning, "openssl", "openssl was updated at ", "since then this is wrong: Visitors are not answered.")

	st.Checks = st.Checks[:1]
	follow() // well again, before the next one
	upgrade("poisoned", "exit 1", false)
	w = start() // who has not been told of before is told by the next process
	follow()
	expect("one whose script fails", report.Warning, "poisoned", "poisoned was updated at ", "of which this is not wholly installed: poisoned", "all is well.")
	w = start()
	if follow(); len(told) > 0 {
		t.Errorf("told again after a restart: %+v", told)
	}
}

// The machine is restarted at night, after that was told, when it can be spared, and once for
// the same thing.
func TestWhenTheMachineIsRestarted(t *testing.T) {
	t.Attr("shows", "health")
	night := time.Date(2026, 11, 29, 3, 0, 0, 0, time.Local)
	for name, c := range map[string]struct {
		change func(w *Watch, st *report.Status)
		plan   bool
		now    bool
	}{
		"a quiet night":        {func(*Watch, *report.Status) {}, true, true},
		"nobody can do it":     {func(w *Watch, _ *report.Status) { w.cfg.Restarts = false }, false, false},
		"left to the person":   {func(w *Watch, _ *report.Status) { w.cfg.LeftAlone = true }, false, false},
		"done for that before": {func(w *Watch, _ *report.Status) { w.before = w.look().restart.reason() }, false, false},
		"no backup wanted":     {func(_ *Watch, st *report.Status) { st.Backup = &report.Backup{} }, true, true},
		"a backup that is old": {func(_ *Watch, st *report.Status) { st.Backup.Complete = night.Add(-2 * time.Hour) }, true, false},
		"a backup in trouble":  {func(_ *Watch, st *report.Status) { st.Backup.Problem = &report.Problem{} }, true, false},
		"a first copy":         {func(_ *Watch, st *report.Status) { st.Backup.Complete = time.Time{} }, true, false},
		"a server that is not": {func(_ *Watch, st *report.Status) { st.Server.State = "starting" }, true, false},
		"a Foyer just started": {func(_ *Watch, st *report.Status) { st.Started = night.Add(-time.Minute) }, true, false},
		"somebody is there":    {func(_ *Watch, st *report.Status) { st.Course[0].Requests = 20 }, true, false},
		"nobody knows":         {func(_ *Watch, st *report.Status) { st.Course = nil }, true, false},
		"a job is under way": {func(_ *Watch, st *report.Status) {
			st.Jobs = []report.Job{{Kind: "check-database", State: report.JobRunning}}
		}, true, false},
		"a job has ended": {func(_ *Watch, st *report.Status) {
			st.Jobs = []report.Job{{Kind: "check-database", State: report.JobDone}}
		}, true, true},
		"a change waits": {func(_ *Watch, st *report.Status) {
			st.Checks = []report.Result{{Code: "change", Finding: report.Finding{Severity: report.Info}}}
		}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			now := night.Add(-12 * time.Hour)
			w := with(t, now, debianWith(map[string]string{restartFile: ""}))
			st := well(night)
			var told []string
			w.cfg.Now, w.cfg.Restarts, w.cfg.Status = func() time.Time { return now }, true, func(context.Context) report.Status { return st }
			w.UseHost(func(e report.Event) { told = append(told, e.Code) }, nil, nil)
			c.change(w, &st)
			decide := func(at time.Time) decision {
				now = at
				w.decide(t.Context(), w.look())
				return w.restart
			}
			if d := decide(night.Add(-12 * time.Hour)); d.byItself != c.plan || d.now || len(told) != map[bool]int{true: 1}[c.plan] {
				t.Errorf("by day: %+v, %q", d, told)
			}
			if f := run(t, w, "os-reboot"); f.Severity != report.Info || strings.Contains(f.Did.EN, "Foyer restarts it at night") != c.plan {
				t.Errorf("by day: %+v", f)
			}
			if d := decide(night); d.now != c.now || len(told) != map[bool]int{true: 1}[c.plan] {
				t.Errorf("at night: %+v, %q", d, told)
			}
			f := run(t, w, "os-reboot")
			if (f.Cause == CauseRestarting && f.Severity == report.Warning) != c.now {
				t.Errorf("at night: %+v", f)
			}
			if d := decide(night.Add(3 * time.Hour)); d.now {
				t.Errorf("in the morning: %+v", d)
			}
		})
	}
	// What came a moment ago was told a moment ago.
	now := night
	w := with(t, now, debianWith(map[string]string{restartFile: ""}))
	w.cfg.Now, w.cfg.Restarts, w.cfg.Status = func() time.Time { return now }, true, func(context.Context) report.Status { return well(now) }
	if w.decide(t.Context(), w.look()); w.restart.now {
		t.Error("restarted at once")
	}
	now = night.Add(toldBefore)
	if w.decide(t.Context(), w.look()); !w.restart.now {
		t.Error("not restarted half an hour later")
	}
	t.Log("SHOW the restart for updates: told before, at night alone, when the machine can be spared, once for the same updates")
}
