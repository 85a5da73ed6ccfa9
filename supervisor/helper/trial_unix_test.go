//go:build unix

package helper

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/job"
)

// house is what a change of the settings changes: a file, and what is applied of it.
type house struct {
	dir string
	at  func(point string) // is told where it is; may be nil
}

func (h house) path(name string) string { return filepath.Join(h.dir, name) }

func (h house) reach(point string) {
	if h.at != nil {
		h.at(point)
	}
}

func (h house) apply() error {
	text, err := os.ReadFile(h.path("settings"))
	if err != nil {
		return err
	}
	return atomicfile.Write(h.path("applied"), text, 0o600)
}

// build has it as it is before anybody changes anything.
func (h house) build() error {
	return errors.Join(os.MkdirAll(h.dir, 0o700), os.WriteFile(h.path("settings"), []byte("old"), 0o600), h.apply())
}

// is is what it is like: "old", "new", or something between.
func (h house) is() string {
	settings, err1 := os.ReadFile(h.path("settings"))
	applied, err2 := os.ReadFile(h.path("applied"))
	if err := errors.Join(err1, err2); err != nil {
		return err.Error()
	}
	if string(settings) != string(applied) {
		return string(settings) + ", and " + string(applied) + " applied"
	}
	return string(settings)
}

func (h house) change(_ context.Context, t *Task) error {
	h.reach("before it was saved")
	old, err := os.ReadFile(h.path("settings"))
	if err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(t.Folder(), "settings"), old, 0o600); err != nil {
		return err
	}
	h.reach("saved")
	if err := atomicfile.Write(h.path("settings"), []byte(t.Values()["to"]), 0o600); err != nil {
		return err
	}
	h.reach("written")
	if err := h.apply(); err != nil {
		return err
	}
	h.reach("applied")
	return t.Result(report.Change{Plan: report.ChangePlan{Addresses: []string{"https://new.example.org"}, Seconds: 90}})
}

func (h house) back(_ context.Context, t *Task) error {
	h.reach("back begins")
	old, err := os.ReadFile(filepath.Join(t.Folder(), "settings"))
	if errors.Is(err, fs.ErrNotExist) {
		return h.apply()
	}
	if err != nil {
		return err
	}
	if err := atomicfile.Write(h.path("settings"), old, 0o600); err != nil {
		return err
	}
	h.reach("back is written")
	if err := h.apply(); err != nil {
		return err
	}
	h.reach("back is done")
	return nil
}

// inhabit has place p's verbs change a house.
func (p *place) inhabit() house {
	p.t.Helper()
	h := house{dir: p.files}
	if err := h.build(); err != nil {
		p.t.Fatal(err)
	}
	p.cfg.Do[VerbChangeSettings], p.cfg.Back[VerbChangeSettings] = h.change, h.back
	return h
}

var toNew = map[string]string{"to": "new"}

// askFor writes a request with values, or one that ends a trial.
func (p *place) askFor(r request) string {
	p.t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		p.t.Fatal(err)
	}
	p.put(r.file(), string(text))
	return r.ID
}

func (p *place) askChange(n int, values map[string]string) string {
	return p.askFor(request{ID: id(n), Verb: VerbChangeSettings, Values: values})
}

func (p *place) askEnd(n int, trial, do, why string) string {
	return p.askFor(request{ID: id(n), Verb: VerbEndTrial, Args: map[string]string{ArgTrial: trial, ArgDo: do, ArgWhy: why}})
}

// keepServing runs root's end as systemd does, until stop.
func (p *place) keepServing() (stop func()) {
	ctx, cancel := context.WithCancel(p.t.Context())
	var wg sync.WaitGroup
	cfg := p.cfg
	wg.Go(func() {
		for ctx.Err() == nil {
			if err := Serve(ctx, cfg); err != nil {
				p.t.Error(err)
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

// overAndTidy looks that nothing is left of a trial.
func (p *place) overAndTidy() {
	p.t.Helper()
	for _, name := range []string{trialFile, "trial-" + VerbChangeSettings} {
		if _, err := os.Lstat(filepath.Join(p.cfg.State, name)); !errors.Is(err, fs.ErrNotExist) {
			p.t.Errorf("%s is left: %v", name, err)
		}
	}
}

func (p *place) wantChange(id string, state report.ChangeState) job.Record {
	p.t.Helper()
	r := p.record(id)
	if got := changeOf(r); got.State != state {
		p.t.Errorf("the change is %s, not %s: %+v", got.State, state, r)
	}
	return r
}

// A change waits, says until when, and stays once somebody has confirmed it; without that,
// or when somebody or the supervisor wants it, or after a restart of the machine, all is as
// it was, and it says why.
func TestAChangeIsKeptOrGoesBack(t *testing.T) {
	t.Attr("shows", "ground2")
	for _, c := range []struct {
		name, is string
		do       func(p *place, trial string)
		why      string
	}{
		{"kept", "new", func(p *place, trial string) { p.askEnd(2, trial, DoKeep, WhyAsked) }, ""},
		{"time over", "old", func(*place, string) { time.Sleep(91 * time.Second) }, "Nobody confirmed it in time."},
		{"cancelled", "old", func(p *place, trial string) { p.askEnd(2, trial, DoBack, WhyAsked) }, "Somebody wanted it as it was."},
		{"the server is silent", "old", func(p *place, trial string) { p.askEnd(2, trial, DoBack, WhySilent) }, "The server did not answer with the new settings."},
		{"another trial is kept", "old", func(p *place, _ string) { p.askEnd(2, id(77), DoKeep, WhyAsked); time.Sleep(91 * time.Second) }, "Nobody confirmed it in time."},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlace(t)
				h := p.inhabit()
				stop := p.keepServing()
				defer stop()
				ask := p.askChange(1, toNew)
				time.Sleep(2 * time.Second)
				r := p.wantChange(ask, report.ChangeWaiting)
				if got := changeOf(r); r.State != job.Running || time.Until(got.Until).Abs() > 90*time.Second || time.Until(got.Until) < 85*time.Second || got.Plan.Seconds != 90 || h.is() != "new" {
					t.Errorf("while it waits, %s: %+v", h.is(), r)
				}
				c.do(p, ask)
				time.Sleep(3 * time.Second)
				if h.is() != c.is {
					t.Errorf("it is %s, not %s", h.is(), c.is)
				}
				if c.is == "new" {
					if r := p.wantChange(ask, report.ChangeKept); r.State != job.Done || r.Error != nil {
						t.Errorf("%+v", r)
					}
					time.Sleep(time.Hour)
					if h.is() != "new" {
						t.Error("what was kept went back all the same")
					}
				} else if r := p.wantChange(ask, report.ChangeBack); outcome(r) != "failed change-back" || changeOf(r).Reason.EN != c.why || !strings.Contains(r.Error.What.EN, c.why) {
					t.Errorf("%+v, %+v", r, r.Error)
				}
				p.overAndTidy()
			})
		})
	}
}

// What the process before left: after a restart of the machine what waits goes back; else it
// goes on waiting, by the clock of the kernel, whatever the one on the wall says.
func TestAChangeOutlivesTheHelper(t *testing.T) {
	t.Attr("shows", "ground2")
	for boot, want := range map[string]string{"first": "new", "second": "old"} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlace(t)
			h := p.inhabit()
			stop := p.keepServing()
			ask := p.askChange(1, toNew)
			time.Sleep(2 * time.Second)
			stop()
			p.wantChange(ask, report.ChangeWaiting)
			p.cfg.Boot = boot
			r := p.record(ask) // a clock that lived in 1970 until now
			(&Task{}).edit(&r, func(c *report.Change) { c.Until = time.Unix(90, 0) })
			if err := (&records{p.cfg.State + "/jobs", p.cfg.GID}).save(r); err != nil {
				t.Fatal(err)
			}
			stop = p.keepServing()
			time.Sleep(2 * time.Second)
			if h.is() != want {
				t.Errorf("%s start of the machine: %s", boot, h.is())
			}
			if want == "new" {
				if until := time.Until(changeOf(p.record(ask)).Until); until < 80*time.Second || until > 90*time.Second {
					t.Errorf("it says that it waits for %s", until)
				}
			}
			time.Sleep(2 * time.Minute)
			stop()
			p.wantChange(ask, report.ChangeBack)
			if h.is() != "old" {
				t.Errorf("%s start of the machine: in the end %s", boot, h.is())
			}
			p.overAndTidy()
		})
	}
}

// What cannot be done is refused before anything is begun; what fails on its way goes back.
func TestAChangeThatFailsGoesBack(t *testing.T) {
	t.Attr("shows", "ground2")
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		h := p.inhabit()
		p.cfg.Check[VerbChangeSettings] = func(_ context.Context, values map[string]string) error {
			if values["to"] == "bad" {
				return hint.New("settings-malformed", hint.T("Bad.", "Mauvais."), hint.Text{}, hint.Text{})
			}
			return nil
		}
		change := p.cfg.Do[VerbChangeSettings]
		for n, c := range []struct {
			to, want string
			do       func(context.Context, *Task) error
		}{
			{"bad", "failed settings-malformed", change},
			{"new", "failed change-back", func(ctx context.Context, t *Task) error {
				return errors.Join(change(ctx, t), errors.New("the firewall is on fire"))
			}},
			{"new", "failed change-back", func(ctx context.Context, t *Task) error { return errors.Join(change(ctx, t), t.Result("no change")) }},
			{"new", "failed change-back", func(ctx context.Context, t *Task) error { change(ctx, t); panic("a mistake") }}, //nolint:errcheck // it panics
			{"new", "failed change-back", func(ctx context.Context, t *Task) error { change(ctx, t); <-ctx.Done(); return ctx.Err() }},
		} {
			p.cfg.Do[VerbChangeSettings] = c.do
			ask := p.askChange(n, map[string]string{"to": c.to})
			p.serve()
			if got := outcome(p.record(ask)); got != c.want || h.is() != "old" {
				t.Errorf("%d: %s, want %s; it is %s", n, got, c.want, h.is())
			}
			p.overAndTidy()
		}
		r := p.record(id(1))
		if !strings.Contains(r.Error.What.EN, "the firewall is on fire") {
			t.Errorf("why: %+v", r.Error)
		}
	})
}

// It goes back until it has worked, over and over, processes that are stopped included.
func TestGoingBackIsTriedUntilItWorks(t *testing.T) {
	t.Attr("shows", "ground2")
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		h := p.inhabit()
		tries := 0
		p.cfg.Back[VerbChangeSettings] = func(ctx context.Context, t *Task) error {
			if tries++; tries < 9 {
				return errors.New("the disk does not want to")
			}
			return h.back(ctx, t)
		}
		stop := p.keepServing()
		ask := p.askChange(1, toNew)
		time.Sleep(2 * time.Second)
		end := p.askEnd(2, ask, DoBack, WhyAsked)
		time.Sleep(20 * time.Second)
		if r := p.wantChange(ask, report.ChangeGoingBack); r.State != job.Running || !strings.Contains(r.Said[len(r.Said)-1].EN, "the disk does not want to") {
			t.Errorf("%+v", r)
		}
		if got := outcome(p.record(end)); got != "done" {
			t.Errorf("that it is to go back: %s", got)
		}
		late := p.askEnd(3, ask, DoKeep, WhyAsked)
		other := p.ask(4, VerbReadMachine, nil)
		second := p.askChange(5, toNew)
		time.Sleep(2 * time.Second)
		for ask, want := range map[string]string{late: "failed change-none", other: "done", second: "failed change-under-way"} {
			if got := outcome(p.record(ask)); got != want {
				t.Errorf("while it goes back: %s, want %s", got, want)
			}
		}
		stop()
		before := tries
		stop = p.keepServing()
		time.Sleep(10 * time.Minute)
		stop()
		p.wantChange(ask, report.ChangeBack)
		if tries != 9 || before < 3 || h.is() != "old" {
			t.Errorf("%d tries, %d before the process was stopped; it is %s", tries, before, h.is())
		}
		p.overAndTidy()
	})
}

// While one waits other verbs are done as usual, another change is not; a verb that takes
// long keeps it neither from being kept nor from going back in time.
func TestOtherVerbsBesideATrial(t *testing.T) {
	t.Attr("shows", "ground2")
	for _, keep := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlace(t)
			h := p.inhabit()
			p.cfg.Do[VerbRepairOwners] = func(ctx context.Context, _ *Task) error {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(20 * time.Minute):
					return nil
				}
			}
			stop := p.keepServing()
			defer stop()
			ask := p.askChange(1, toNew)
			time.Sleep(2 * time.Second)
			second, other := p.askChange(2, toNew), p.ask(3, VerbReadMachine, nil)
			time.Sleep(2 * time.Second)
			if a, b := outcome(p.record(second)), outcome(p.record(other)); a != "failed change-under-way" || b != "done" {
				t.Errorf("while one waits: another %s, another verb %s", a, b)
			}
			long := p.ask(4, VerbRepairOwners, nil)
			time.Sleep(2 * time.Second)
			if keep {
				p.askEnd(5, ask, DoKeep, WhyAsked)
				time.Sleep(time.Second)
				p.wantChange(ask, report.ChangeKept)
				time.Sleep(time.Hour)
				if got := outcome(p.record(long)); got != "done" || h.is() != "new" {
					t.Errorf("what takes long: %s; it is %s", got, h.is())
				}
				return
			}
			time.Sleep(90 * time.Second)
			p.wantChange(ask, report.ChangeBack)
			if got := outcome(p.record(long)); got != "cut-off" || h.is() != "old" {
				t.Errorf("what takes long: %s; it is %s", got, h.is())
			}
		})
	}
}

// A change is taken back while it is applied, however long that would take.
func TestAChangeIsCancelledWhileItIsApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		h := p.inhabit()
		change := p.cfg.Do[VerbChangeSettings]
		p.cfg.Do[VerbChangeSettings] = func(ctx context.Context, t *Task) error {
			err := change(ctx, t)
			<-ctx.Done()
			return errors.Join(err, ctx.Err())
		}
		stop := p.keepServing()
		defer stop()
		ask := p.askChange(1, toNew)
		time.Sleep(time.Second)
		early := p.askEnd(2, ask, DoKeep, WhyAsked)
		time.Sleep(time.Second)
		p.wantChange(ask, report.ChangeApplying)
		p.askEnd(3, ask, DoBack, WhySilent)
		time.Sleep(2 * time.Second)
		p.wantChange(ask, report.ChangeBack)
		if got := outcome(p.record(early)); got != "failed change-none" || h.is() != "old" {
			t.Errorf("kept before it was in force: %s; it is %s", got, h.is())
		}
		p.overAndTidy()
	})
}

// Whatever became of the trial's file, what was saved leads back; and what fills the folder of
// records does not push out that of a trial.
func TestADamagedTrialGoesBack(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "half": `{"record":{"v":1,"id"`, "other bytes": "\x00\x01", "another format": `{"v":2}`} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlace(t)
				h := p.inhabit()
				stop := p.keepServing()
				ask := p.askChange(1, toNew)
				time.Sleep(2 * time.Second)
				for n := range 2 * mostRecords {
					p.ask(100+n, "nothing", nil)
					if n%mostTaken == 0 {
						time.Sleep(slowTrial)
					}
				}
				time.Sleep(5 * time.Second)
				stop()
				if err := os.WriteFile(filepath.Join(p.cfg.State, trialFile), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				p.serve()
				p.wantChange(ask, report.ChangeBack)
				if h.is() != "old" {
					t.Errorf("it is %s", h.is())
				}
				p.overAndTidy()
			})
		})
	}
}

func FuzzTrial(f *testing.F) {
	f.Add([]byte(`{"record":{"v":1,"id":"20261127-120000000-abcd","verb":"change-settings","stage":"waiting"},"sum":"00000000"}` + "\n"))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		tr, err := parseTrial(text)
		if v, _ := Find(tr.Verb); err == nil && (!v.Trial || !idRE.MatchString(tr.ID) || tr.Stage == report.ChangeBack) {
			t.Errorf("%q gives %+v", text, tr)
		}
	})
}
