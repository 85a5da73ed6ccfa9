//go:build unix

package helper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/job"
)

var quiet = slog.New(slog.DiscardHandler)

// place is a machine in a folder: a folder of requests, and root's own.
type place struct {
	t     *testing.T
	cfg   Config
	did   map[string]*atomic.Int64
	files string // a folder beside, that nobody may touch

	foreign bool // whoever asks has another account than whoever does
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir := t.TempDir()
	p := &place{t: t, did: map[string]*atomic.Int64{}, files: filepath.Join(dir, "files")}
	p.cfg = Config{Run: filepath.Join(dir, "run"), State: filepath.Join(dir, "state"), GID: os.Getegid(), Boot: "first", Do: map[string]func(context.Context, *Task) error{}, Log: quiet}
	for _, d := range []string{p.requests(), p.cfg.State, p.files} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	p.cfg.Uptime = func() time.Duration { return time.Since(began) }
	p.cfg.Check = map[string]func(context.Context, map[string]string) error{VerbChangeSettings: func(context.Context, map[string]string) error { return nil }}
	p.cfg.Back = map[string]func(context.Context, *Task) error{VerbChangeSettings: func(context.Context, *Task) error { return nil }}
	for _, v := range Verbs {
		p.did[v.Name] = new(atomic.Int64)
		p.cfg.Do[v.Name] = func(_ context.Context, task *Task) error {
			p.did[v.Name].Add(1)
			task.Progress(1, 2, hint.T("things", "choses"))
			task.Say(hint.T("Did it.", "C'est fait."))
			return task.Result(map[string]string{"was": v.Name})
		}
	}
	return p
}

func (p *place) requests() string { return filepath.Join(p.cfg.Run, Name) }

func (p *place) client() Client { return Client{p.requests(), p.cfg.State} }

// serve runs root's end once, which ends by itself.
func (p *place) serve() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Hour)
	defer cancel()
	if err := errors.Join(Serve(ctx, p.cfg), ctx.Err()); err != nil {
		p.t.Fatal(err)
	}
}

// put writes a request as it is, whole before it is there.
func (p *place) put(name, text string) {
	p.t.Helper()
	at := filepath.Join(filepath.Dir(p.requests()), "put")
	if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if p.foreign {
		p.give(at)
	}
	if err := os.Rename(at, filepath.Join(p.requests(), name)); err != nil {
		p.t.Fatal(err)
	}
}

// give gives a path to the account that asks.
func (p *place) give(path string) {
	p.t.Helper()
	if err := os.Lchown(path, 1234, 1234); err != nil {
		p.t.Fatal(err)
	}
}

// id is the number of a job.
func id(n int) string { return fmt.Sprintf("20261127-%09d-abcd", n) }

func (p *place) ask(n int, verb string, args map[string]string) string {
	text, err := json.Marshal(request{ID: id(n), Verb: verb, Args: args})
	if err != nil {
		p.t.Fatal(err)
	}
	p.put(file(id(n)), string(text))
	return id(n)
}

func (p *place) record(id string) job.Record {
	p.t.Helper()
	r, err := (&records{p.cfg.State + "/jobs", p.cfg.GID}).load(id)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// outcome is what a record comes to.
func outcome(r job.Record) string {
	if r.Error != nil {
		return string(r.State) + " " + r.Error.Code
	}
	return string(r.State)
}

// total is how often anything was done.
func (p *place) total() (n int64) {
	for _, did := range p.did {
		n += did.Load()
	}
	return n
}

func (p *place) left() []string {
	p.t.Helper()
	entries, err := os.ReadDir(p.requests())
	if err != nil {
		p.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestWhatIsAskedForIsDoneOnceAndRecorded(t *testing.T) {
	t.Attr("shows", "ground")
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { // as systemd does: again whenever it has ended
			for ctx.Err() == nil {
				if err := Serve(ctx, p.cfg); err != nil {
					t.Error(err)
				}
			}
		})
		for n, verb := range []string{VerbReadMachine, VerbRepairOwners, VerbApplySettings} {
			v, _ := Find(verb)
			for range 2 { // the same request again
				var seen []string
				r, err := p.client().Do(ctx, v, id(n), nil, false, func(r job.Record) { seen = append(seen, string(r.State)) })
				if err != nil {
					t.Fatal(err)
				}
				if r.State != job.Done || string(r.Result) != `{"was":"`+verb+`"}` || r.Title != v.Title || len(r.Said) != 1 || r.Done != 1 || r.Of != 2 || len(seen) == 0 {
					t.Errorf("%s: %+v, seen as %v", verb, r, seen)
				}
			}
			if n := p.did[verb].Load(); n != 1 {
				t.Errorf("%s was done %d times", verb, n)
			}
		}
		cancel()
		wg.Wait()
		if left := p.left(); len(left) > 0 {
			t.Errorf("left over: %q", left)
		}
		if fi, err := os.Stat(p.cfg.State + "/jobs/" + file(id(0))); err != nil || fi.Mode().Perm() != 0o640 {
			t.Errorf("a record: %v, %v", fi.Mode(), err)
		}
		if fi, err := os.Stat(p.cfg.State + "/journal"); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("the journal: %v, %v", fi.Mode(), err)
		}
	})
}

// What is no request does nothing, is gone afterwards, and does not keep the next one from
// being done.
func TestWhatIsNoRequestIsRemovedAndDoesNothing(t *testing.T) {
	t.Attr("shows", "ground")
	if os.Geteuid() != 0 { // a process that is not root has nobody to guard against (package safepath)
		t.Skip("this takes root")
	}
	good := `{"id":"` + id(7) + `","verb":"read-machine"}`
	for name, plant := range map[string]func(p *place, at string) error{
		"nothing in it": func(_ *place, at string) error { return os.WriteFile(at, nil, 0o600) },
		"half of one":   func(_ *place, at string) error { return os.WriteFile(at, []byte(good[:20]), 0o600) },
		"two of them":   func(_ *place, at string) error { return os.WriteFile(at, []byte(good+good), 0o600) },
		"no number":     func(_ *place, at string) error { return os.WriteFile(at, []byte(`{"verb":"read-machine"}`), 0o600) },
		"a number that is a path": func(_ *place, at string) error {
			return os.WriteFile(at, []byte(`{"id":"../../etc/passwd","verb":"read-machine"}`), 0o600)
		},
		"huge": func(_ *place, at string) error {
			return os.WriteFile(at, []byte(good+strings.Repeat(" ", 1<<20)), 0o600)
		},
		"a link to one":           func(p *place, at string) error { return plantLink(p, at, good, os.Symlink) },
		"a second name of one":    func(p *place, at string) error { return plantLink(p, at, good, os.Link) },
		"a link to a folder":      func(p *place, at string) error { return os.Symlink(p.files, at) },
		"a link to nothing":       func(_ *place, at string) error { return os.Symlink("/nowhere", at) },
		"a link to itself":        func(_ *place, at string) error { return os.Symlink(at, at) },
		"a pipe nobody writes to": func(_ *place, at string) error { return unix.Mkfifo(at, 0o600) },
		"a folder":                func(_ *place, at string) error { return os.MkdirAll(at+"/a/b", 0o700) },
		"a folder of links":       func(p *place, at string) error { return errors.Join(os.Mkdir(at, 0o700), os.Symlink(p.files, at+"/x")) },
		"a deep folder":           func(_ *place, at string) error { return os.MkdirAll(at+strings.Repeat("/d", 200), 0o700) },
		"a socket":                func(_ *place, at string) error { return unix.Mknod(at, unix.S_IFSOCK|0o600, 0) },
		"a device":                func(_ *place, at string) error { return unix.Mknod(at, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))) },
		"being written, for good": func(p *place, _ string) error { p.put(".x.tmp-1", good[:10]); return nil },
		"root's, private":         func(_ *place, at string) error { return os.WriteFile(at, []byte(good), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlace(t)
				p.foreign = true
				p.give(p.requests())
				precious := filepath.Join(p.files, "precious")
				if err := os.WriteFile(precious, []byte("precious"), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := plant(p, filepath.Join(p.requests(), file(id(7)))); err != nil {
					t.Fatal(err)
				}
				if fi, err := os.Lstat(filepath.Join(p.requests(), file(id(7)))); err == nil && fi.Mode().IsRegular() && !strings.HasPrefix(name, "root's") {
					p.give(filepath.Join(p.requests(), file(id(7))))
				}
				p.serve()
				if left := p.left(); len(left) > 0 {
					t.Errorf("left over: %q", left)
				}
				if p.total() != 0 {
					t.Error("something was done")
				}
				if text, err := os.ReadFile(precious); err != nil || string(text) != "precious" {
					t.Errorf("a file elsewhere: %q, %v", text, err)
				}
				ask := p.ask(8, VerbReadMachine, nil)
				p.serve()
				if r := p.record(ask); r.State != job.Done {
					t.Errorf("the next one: %+v", r)
				}
			})
		})
	}
}

func plantLink(p *place, at, text string, link func(string, string) error) error {
	to := filepath.Join(p.files, "request")
	return errors.Join(os.WriteFile(to, []byte(text), 0o600), link(to, at))
}

// Verbs and arguments that are not in the table are answered, and nothing is done.
func TestOnlyTheTableIsDone(t *testing.T) {
	t.Attr("shows", "ground")
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		for n, c := range []struct {
			verb string
			args map[string]string
			want string
		}{
			{"rm", map[string]string{"path": "/"}, "failed job-unknown"},
			{"", nil, "failed job-unknown"},
			{"Reboot", nil, "failed job-unknown"},
			{"../reboot", nil, "failed job-unknown"},
			{VerbReadMachine, map[string]string{"path": "/etc/shadow"}, "failed job-malformed"},
			{VerbRepairOwners, map[string]string{"data": "../../etc"}, "failed job-malformed"},
			{VerbApplySettings, map[string]string{"settings": "/var/lib/foyer/evil.toml"}, "failed job-malformed"},
			{VerbReboot, nil, "failed job-malformed"},
			{VerbReboot, map[string]string{"reason": "asked"}, "failed job-malformed"},
			{VerbReboot, map[string]string{"reason": "$(touch /x)", "window": "now"}, "failed job-malformed"},
			{VerbReboot, map[string]string{"reason": "asked", "window": "now", "more": "x"}, "failed job-malformed"},
			{strings.Repeat("x", 500), nil, "failed job-unknown"},
		} {
			ask := p.ask(n, c.verb, c.args)
			p.serve()
			if got := outcome(p.record(ask)); got != c.want {
				t.Errorf("%s %v: %s, want %s", c.verb, c.args, got, c.want)
			}
		}
		if p.total() != 0 {
			t.Error("something was done")
		}
	})
}

// However many there are at once, few are read and the others go; it slows down, ends, and
// the one that comes then is done.
func TestAFloodIsThrownAway(t *testing.T) {
	t.Attr("shows", "ground")
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		const flood = 10_000
		for n := range flood {
			p.put(file(id(n)), `{"id":"`+id(n)+`","verb":"nothing"}`)
		}
		began := time.Now()
		p.serve()
		took := time.Since(began)
		if left := p.left(); len(left) > 0 {
			t.Errorf("%d left over", len(left))
		}
		j, err := openJournal(p.cfg.State+"/journal", quiet)
		if err != nil {
			t.Fatal(err)
		}
		refused := 0
		for _, e := range j.entries {
			refused += e.N
		}
		if refused != flood || len(j.entries) > 5 {
			t.Errorf("%d noted in %d lines", refused, len(j.entries))
		}
		entries, err := os.ReadDir(p.cfg.State + "/jobs")
		if err != nil || len(entries) > mostRecords {
			t.Errorf("%d records, %v", len(entries), err)
		}
		// Without an end: the pauses grow, so that a minute has few rounds.
		ctx, cancel := context.WithCancel(t.Context())
		looks := 0
		go func() {
			for ctx.Err() == nil {
				if len(p.left()) == 0 {
					looks++
				}
				for n := range 20 {
					p.put(file(id(looks*20+n)), "{}")
				}
				time.Sleep(200 * time.Millisecond)
			}
		}()
		time.AfterFunc(5*time.Minute, cancel)
		if err := Serve(ctx, p.cfg); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if looks > 40 {
			t.Errorf("%d rounds in five minutes", looks)
		}
		p.serve()
		ask := p.ask(flood+1, VerbReadMachine, nil)
		p.serve()
		if got := p.record(ask); got.State != job.Done {
			t.Errorf("the one after it: %+v", got)
		}
		fmt.Printf("SHOW %d requests at once that are none, then without end: thrown away in %s of pauses, noted in %d lines; %d rounds in five minutes; the next one done\n", flood, took, len(j.entries), looks)
	})
}

// Limits are counted from the journal: they hold whatever is started again.
func TestLimitsOutliveRestarts(t *testing.T) {
	t.Attr("shows", "ground")
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(12 * time.Hour) // noon
		p := newPlace(t)
		now := map[string]string{"reason": "asked", "window": "now"}
		n := 0
		reboot := func() string {
			t.Helper()
			n++
			ask := p.ask(n, VerbReboot, now)
			p.serve()
			return outcome(p.record(ask))
		}
		for i, want := range []string{"done", "done", "failed helper-limit", "failed helper-limit"} {
			if got := reboot(); got != want {
				t.Errorf("restart %d: %s, want %s", i+1, got, want)
			}
		}
		time.Sleep(2 * time.Hour)
		if got := reboot(); got != "failed helper-limit" {
			t.Errorf("two hours later: %s", got)
		}
		// A torn end, as a power cut leaves it, takes nothing else away.
		path := p.cfg.State + "/journal"
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(text, `{"record":{"v":1`...), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := reboot(); got != "failed helper-limit" {
			t.Errorf("after a torn line: %s", got)
		}
		time.Sleep(22 * time.Hour)
		if got := reboot(); got != "done" {
			t.Errorf("the next day: %s", got)
		}
		if did := p.did[VerbReboot].Load(); did != 3 {
			t.Errorf("%d restarts", did)
		}
		// What fills the journal does not push out what counts.
		j, err := openJournal(path, quiet)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 * mostEntries {
			j.entries = append(j.entries, entry{V: 1, At: time.Now(), Op: opRefused, N: 1})
		}
		if err := j.shorten(); err != nil {
			t.Fatal(err)
		}
		if j, err = openJournal(path, quiet); err != nil || len(j.entries) > mostEntries+10 {
			t.Fatalf("%d entries, %v", len(j.entries), err)
		}
		v, _ := Find(VerbReboot)
		reboot()
		if j, err = openJournal(path, quiet); err != nil || j.spent(v) == nil {
			t.Errorf("limits forgot what was done: %v", err)
		}
	})
}

func TestNightIsANightAndIsNotKept(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	for clock, want := range map[string]bool{"01:59": false, "02:00": true, "03:30": true, "04:59": true, "05:00": false, "14:00": false} {
		at, err := time.ParseInLocation("2006-01-02 15:04", "2026-11-27 "+clock, zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := notInWindow(map[string]string{"window": "night"}, at) == nil; got != want {
			t.Errorf("%s is night: %v", clock, got)
		}
		if notInWindow(map[string]string{"window": "now"}, at) != nil {
			t.Errorf("%s is not now", clock)
		}
	}
}

// The power goes while a verb is at work: what can be done twice is, when it is asked for
// again by the same number; what cannot is told.
func TestWhatIsCutOffIsBegunAgainOrTold(t *testing.T) {
	t.Attr("shows", "ground")
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		cutOff := func(n int, verb string, args map[string]string) string {
			whole := p.cfg.Do[verb]
			defer func() { p.cfg.Do[verb] = whole }()
			ctx, cancel := context.WithCancel(t.Context())
			p.cfg.Do[verb] = func(context.Context, *Task) error { cancel(); return errors.New("half of it") }
			ask := p.ask(n, verb, args)
			if err := Serve(ctx, p.cfg); err != nil {
				t.Fatal(err)
			}
			r := p.record(ask)
			if v, _ := Find(verb); v.Restarts && r.State != job.Running {
				t.Errorf("%s, ended because the machine does, is %s", verb, r.State)
			}
			r.State, r.Ended = job.Running, time.Time{} // as a power cut leaves it
			if err := (&records{p.cfg.State + "/jobs", p.cfg.GID}).save(r); err != nil {
				t.Fatal(err)
			}
			return ask
		}
		ask := cutOff(1, VerbRepairOwners, nil)
		p.serve()
		if got := p.record(ask); got.State != job.CutOff {
			t.Errorf("nobody asked again: %+v", got)
		}
		v, _ := Find(VerbRepairOwners)
		serveSoon := func() (done func()) {
			var wg sync.WaitGroup
			wg.Go(func() {
				time.Sleep(time.Second)
				if err := Serve(t.Context(), p.cfg); err != nil {
					t.Error(err)
				}
			})
			return wg.Wait
		}
		done := serveSoon()
		r, err := p.client().Do(t.Context(), v, ask, nil, true, func(job.Record) {})
		if err != nil || r.State != job.Done || r.Starts != 2 {
			t.Errorf("asked again: %+v, %v", r, err)
		}
		done()
		args := map[string]string{"reason": "memory", "window": "now"}
		v, _ = Find(VerbReboot)
		for n, boot := range map[int]string{2: "first", 3: "second"} {
			p.cfg.Boot = "first"
			ask := cutOff(n, VerbReboot, args)
			p.cfg.Boot = boot
			done := serveSoon()
			want := map[string]job.State{"first": job.CutOff, "second": job.Done}[boot]
			r, err := p.client().Do(t.Context(), v, ask, args, true, func(job.Record) {})
			if err != nil || r.State != want || r.Starts != 1 {
				t.Errorf("a restart that was cut off, since the %s start of the machine: %+v, %v", boot, r, err)
			}
			done()
		}
		if p.did[VerbReboot].Load() != 0 {
			t.Error("the machine was restarted a second time")
		}
		if _, err := p.client().Do(t.Context(), v, id(9), args, true, func(job.Record) {}); hint.Find(err).Code != "job-ended" {
			t.Errorf("one that never came: %v", err)
		}
	})
}

func TestNobodyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		v, _ := Find(VerbReadMachine)
		ask := func(c Client) string {
			t.Helper()
			_, err := c.Do(t.Context(), v, id(1), nil, false, func(job.Record) { t.Error("a record") })
			if hint.Find(err) == nil {
				t.Fatal(err)
			}
			return hint.Find(err).Code
		}
		if got := ask(Client{}); got != "helper-missing" {
			t.Errorf("no folder is known: %s", got)
		}
		if got := ask(Client{p.requests() + "x", p.cfg.State}); got != "helper-missing" {
			t.Errorf("no folder: %s", got)
		}
		if got := ask(p.client()); got != "helper-silent" {
			t.Errorf("nobody: %s", got)
		}
		if left := p.left(); len(left) > 0 {
			t.Errorf("the request was not taken back: %q", left)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := p.client().Do(ctx, v, id(1), nil, false, func(job.Record) {}); !errors.Is(err, context.Canceled) {
			t.Errorf("given up: %v", err)
		}
		if left := p.left(); len(left) > 0 {
			t.Errorf("the request was not taken back: %q", left)
		}
	})
}

func TestAVerbThatBreaksOffIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		p.cfg.Do[VerbReadMachine] = func(context.Context, *Task) error { panic("a mistake") }
		p.cfg.Do[VerbRepairOwners] = func(context.Context, *Task) error {
			return hint.New("data-mixed", hint.T("What.", "Quoi."), hint.T("Did.", "Fait."), hint.T("Do.", "Faire."))
		}
		p.cfg.Do[VerbApplySettings] = func(_ context.Context, t *Task) error { return t.Result(strings.Repeat("x", 70<<10)) }
		got := map[string]string{}
		for n, verb := range []string{VerbReadMachine, VerbRepairOwners, VerbApplySettings} {
			p.ask(n, verb, nil)
			p.serve()
			got[verb] = outcome(p.record(id(n)))
		}
		if diff := cmp.Diff(map[string]string{VerbReadMachine: "failed failed", VerbRepairOwners: "failed data-mixed", VerbApplySettings: "failed failed"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

// The folder of requests, replaced by something else, is not gone into.
func TestTheFolderOfRequestsIsNoLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		precious := filepath.Join(p.files, "precious")
		if err := errors.Join(os.WriteFile(precious, nil, 0o600), os.Remove(p.requests()), os.Symlink(p.files, p.requests())); err != nil {
			t.Fatal(err)
		}
		if err := Serve(t.Context(), p.cfg); err == nil {
			t.Error("a link to a folder was taken for the folder")
		}
		if _, err := os.Stat(precious); err != nil {
			t.Error(err)
		}
		if err := os.Remove(p.requests()); err != nil {
			t.Fatal(err)
		}
		p.serve() // without it there is nothing to do
	})
}

// The table is whole: what is documented of a verb, and a function for each.
func TestTheTableIsWhole(t *testing.T) {
	p := newPlace(t)
	for _, name := range Kinds() {
		v, ok := Find(name)
		if v.Values && p.cfg.Check[name] == nil || v.Trial && p.cfg.Back[name] == nil {
			t.Errorf("%s: nothing checks its values, or takes it back", name)
		}
		if !ok || v.Title.IsZero() || v.PerHour < 1 || v.PerDay < v.PerHour || v.Within <= 0 || p.cfg.Do[name] == nil || v.Touches.Word().IsZero() {
			t.Errorf("%s: %+v", name, v)
		}
		if v.Touches == Machine && !v.Fresh {
			t.Errorf("%s changes the machine, and an owner need not have signed in lately", name)
		}
	}
	sum := 0
	for _, v := range Verbs {
		sum += 2 * v.PerDay
	}
	if sum > mostEntries {
		t.Errorf("a day may have %d lines, and %d are kept", sum, mostEntries)
	}
	if !slices.IsSorted(Kinds()) {
		t.Error("not in order")
	}
	if _, err := parse([]byte(`{"id":"` + id(1) + `","verb":"x"}`)); err != nil {
		t.Error(err)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"id":"20261127-120000000-abcd","verb":"reboot","args":{"reason":"asked","window":"now"}}`))
	f.Add([]byte(`{"id":"../x","verb":"","args":null}`))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parse(text)
		if err == nil && (!idRE.MatchString(r.ID) || strings.ContainsAny(file(r.ID), "/\\") || len(text) > requestBytes) {
			t.Errorf("%q gives %+v", text, r)
		}
	})
}
