//go:build unix

package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/helper"
	"github.com/foyer-server/foyer/supervisor/job"
)

// A change waits in plain sight; it is kept by its code that arrived by the new address, and
// by nothing else; the supervisor is started anew in the middle of it, by applying it.
func TestAChangeIsConfirmedByItsNewAddress(t *testing.T) {
	t.Attr("shows", "ground2")
	m := newMoved(t)
	if code, _ := m.keep("", ""); code != "change-none" {
		t.Errorf("nothing is under way: %s", code)
	}
	questions, err := patiently(m, "questions", func(ctx context.Context) ([]report.Question, error) { return m.ChangeQuestions(ctx, nil) })
	if err != nil || len(questions) != 1 || questions[0].Value != "old.example.org" {
		t.Errorf("%+v, %v", questions, err)
	}
	plan, err := m.ChangePlan(t.Context(), map[string]string{"name": "new.example.org"})
	if err != nil || len(plan.Differs) != 1 {
		t.Errorf("%+v, %v", plan, err)
	}
	for name, want := range map[string]string{"old.example.org": "change-nothing", "no name": "settings-malformed"} {
		if _, err := m.Change(t.Context(), map[string]string{"name": name}); codeOf(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := m.Change(t.Context(), map[string]string{"../name": "new.example.org"}); codeOf(err) != "job-malformed" {
		t.Errorf("no name of a setting: %v", err)
	}
	if _, err := m.StartJob(t.Context(), report.KindChange, nil); codeOf(err) != "job-malformed" {
		t.Errorf("as any other job: %v", err)
	}
	got := m.change("new.example.org")
	if len(strings.ReplaceAll(got.Code, "-", "")) < 16 || changeOf(got.Job.Result).Code == "" || strings.Contains(string(got.Job.Result), got.Code) {
		t.Errorf("%q: %+v", got.Code, got.Job)
	}
	r := m.until(got.Job.ID, report.ChangeWaiting)
	if ch := changeOf(r.Result); ch.Code == "" || len(ch.Plan.Differs) != 1 || time.Until(ch.Until) > 91*time.Second || ch.Until.IsZero() || r.Starts != 2 {
		t.Errorf("%+v", r)
	}
	m.sees("A change of the settings waits to be confirmed until", report.Yellow)
	if _, err := m.Change(t.Context(), map[string]string{"name": "third.example.org"}); codeOf(err) != "change-under-way" {
		t.Errorf("two at once: %v", err)
	}
	wrong, refused := []struct{ code, at, want string }{
		{"AAAA-BBBB-CCCC-DDDD-EEEE", "https://new.example.org", "code-wrong"},
		{strings.ToLower(got.Code[:19]), "https://new.example.org", "code-wrong"},
		{got.Code, "https://old.example.org", "change-elsewhere"},
		{got.Code, "http://new.example.org", "change-elsewhere"},
		{got.Code, "https://new.example.org:8443", "change-elsewhere"},
		{got.Code, "https://new.example.org.evil.example", "change-elsewhere"},
		{got.Code, "new.example.org", "change-elsewhere"},
		{got.Code, "https://", "change-elsewhere"},
	}, 0
	for _, c := range wrong {
		code, _ := m.keep(c.code, c.at)
		if code != c.want {
			t.Errorf("%s at %s: %s, want %s", c.code, c.at, code, c.want)
		}
		if code != "" {
			refused++
		}
	}
	m.restart() // once more, when root has said that it waits
	if m.until(got.Job.ID, report.ChangeWaiting); m.name() != "new.example.org" {
		t.Errorf("it is %s", m.name())
	}
	if code, r := m.keep(strings.ToLower(strings.ReplaceAll(got.Code, "-", " ")), "https://NEW.example.org:443"); code != "" || r.ID != got.Job.ID {
		t.Errorf("%s: %+v", code, r)
	}
	if r = m.until(got.Job.ID, report.ChangeKept); r.State != job.Done || m.name() != "new.example.org" {
		t.Errorf("it is %s: %+v", m.name(), r)
	}
	for i, what := range r.Said {
		if slices.Contains(r.Said[:i], what) {
			t.Errorf("it is said twice: %s", what.EN)
		}
	}
	m.told("change-asked", "changes the settings: Name.")
	m.told("change-kept", "confirmed")
	m.uptime.Add(int64(time.Hour))
	if code, _ := m.keep(got.Code, "https://new.example.org"); code != "change-none" || m.name() != "new.example.org" {
		t.Errorf("kept again: %s; it is %s", code, m.name())
	}
	m.sees("", report.Green)
	fmt.Printf("SHOW a change of the name: %d of %d wrong ways to confirm it were refused; the code by the new address did it, over a start of the supervisor in between: %v\n", refused, len(wrong), !t.Failed())
}

// Root is given what nobody has said and this machine tells, and nobody waits twice for the
// outlook: the plan that is read has it, and the change is begun without.
func TestAChangeIsSettledBeforeItIsBegun(t *testing.T) {
	t.Attr("shows", "ground2")
	m := newMoved(t)
	values := map[string]string{"name": unnamed}
	plan, err := patiently(m, "plan", func(ctx context.Context) (report.ChangePlan, error) { return m.ChangePlan(ctx, values) })
	if err != nil || !slices.Equal(plan.Addresses, []string{"https://settled"}) || len(plan.Notes) != 1 || plan.Notes[0].EN != "Nobody gets in." {
		t.Fatalf("the plan: %+v, %v", plan, err)
	}
	before := m.looked.Load()
	got, err := m.Change(t.Context(), values)
	if err != nil {
		t.Fatal(err)
	}
	m.until(got.Job.ID, report.ChangeWaiting)
	if m.name() != "settled" {
		t.Errorf("root was told %q", m.name())
	}
	if n := m.looked.Load() - before; n != 0 {
		t.Errorf("it was looked %d times more", n)
	}
	if plan, err := m.ChangePlan(t.Context(), map[string]string{"name": m.name()}); err != nil || len(plan.Differs) > 0 || len(plan.Notes) > 0 {
		t.Errorf("nothing differs, and: %+v, %v", plan, err)
	}
}

// However it comes that nobody confirms it, all is as it was, and says why.
func TestAChangeGoesBack(t *testing.T) {
	t.Attr("shows", "ground2")
	ways := []struct {
		name, to, why string
		do            func(m *moved, id string)
	}{
		{"time over", "new.example.org", "Nobody confirmed it in time.", func(m *moved, _ string) { m.uptime.Add(int64(2 * time.Minute)) }},
		{"cancelled", "new.example.org", "Somebody wanted it as it was.", func(m *moved, id string) {
			if r, err := m.CancelJob(m.t.Context(), id); err != nil || r.State != job.Running {
				m.t.Errorf("%+v, %v", r, err)
			}
		}},
		{"the machine was restarted", "new.example.org", "The machine was restarted", func(m *moved, _ string) {
			m.stopRoot()
			m.boot = "second"
			m.startRoot()
		}},
		{"the supervisor was away", "new.example.org", "Nobody confirmed it in time.", func(m *moved, _ string) {
			m.stop()
			m.uptime.Add(int64(2 * time.Minute))
		}},
		{"the server is dead", "broken.example.org", "The server did not answer with the new settings.", nil},
	}
	var back atomic.Int64
	t.Run("all", func(t *testing.T) {
		for _, c := range ways {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				m := newMoved(t)
				if c.do == nil {
					m.timing.Changed = time.Second // it is never well
				}
				got := m.change(c.to)
				if c.do != nil {
					m.until(got.Job.ID, report.ChangeWaiting)
					c.do(m, got.Job.ID)
				}
				m.wentBack(got.Job.ID, c.why)
				if code, _ := m.keep(got.Code, "https://"+c.to); code != "change-none" {
					t.Errorf("kept when it was back: %s", code)
				}
				if !t.Failed() {
					back.Add(1)
				}
			})
		}
	})
	fmt.Printf("SHOW a change that nobody confirms: back in %d of %d ways\n", back.Load(), len(ways))
}

// A code can be guessed a few times a minute; the right one works all the same.
func TestCodesAreNotGuessed(t *testing.T) {
	t.Attr("shows", "ground2")
	m := newMoved(t)
	got := m.change("new.example.org")
	m.until(got.Job.ID, report.ChangeWaiting)
	tries := map[string]int{}
	for range 3 * wrongCodes {
		code, _ := m.keep("AAAA", "https://new.example.org")
		tries[code]++
	}
	if tries["code-wrong"] != wrongCodes || tries["code-paused"] != 2*wrongCodes {
		t.Errorf("%v", tries)
	}
	if code, _ := m.keep(got.Code, "https://new.example.org"); code != "" { // strangers cannot have it go back
		t.Errorf("the right code, while wrong ones are paused: %s", code)
	}
	m.until(got.Job.ID, report.ChangeKept)
}

// A secret among the answers is nowhere but in the settings themselves: in no record, event,
// log, answer or file, of the supervisor's or of root's.
func TestAnAnswerThatIsASecretIsNowhere(t *testing.T) {
	t.Attr("shows", "ground2")
	const token = "s3cr3t-fedcba9876543210"
	m := newMoved(t)
	got, err := patiently(m, "change", func(ctx context.Context) (control.Changed, error) {
		return m.Change(ctx, map[string]string{"name": "new.example.org", "dns.credentials": "token=" + token})
	})
	if err != nil {
		t.Fatal(err)
	}
	answers := []any{got}
	files, found := 0, 0
	look := func(when string) {
		t.Helper()
		st, err := patiently(m, "status", func(ctx context.Context) (report.Status, error) { return m.Status(ctx) })
		if err != nil {
			t.Fatal(err)
		}
		jobs, err := patiently(m, "jobs", func(ctx context.Context) ([]job.Record, error) { return m.Jobs(ctx) })
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(append(answers, st, jobs))
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{"answers": string(text), "log": m.log.String()}
		err = filepath.WalkDir(m.dir, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || err == nil && !d.Type().IsRegular() {
				return nil
			}
			text, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			all[path] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for where, text := range all {
			if files++; strings.Contains(text, token) {
				found++
				t.Errorf("%s, %s has it: %s", when, where, text)
			}
		}
	}
	m.until(got.Job.ID, report.ChangeWaiting)
	look("while it waits")
	m.uptime.Add(int64(2 * time.Minute))
	m.wentBack(got.Job.ID, "Nobody")
	look("afterwards")
	fmt.Printf("SHOW a secret among the answers: in %d of %d files, answers and logs\n", found, files)
}

// What an owner may ask on a page: with a fresh sign-in. The event says who.
func TestAChangeByAPage(t *testing.T) {
	m := newMoved(t)
	jobs, err := job.Open("", slog.New(slog.DiscardHandler), (worker{&Supervisor{}}).rootKinds()...)
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Log: slog.New(slog.DiscardHandler), Changes: m, Root: helper.Client{Requests: m.path(helper.Name), State: m.path("root")}, DataDir: m.path("data")})
	s.jobs = jobs // that nobody runs
	values := map[string]string{"name": "new.example.org"}
	if _, _, err := s.Changes().Begin(t.Context(), values, control.Asker{Name: "jeannine", Page: true, SignedIn: time.Now().Add(-time.Hour)}); codeOf(err) != "signin-again" {
		t.Errorf("an hour after signing in: %v", err)
	}
	r, _, err := s.Changes().Begin(t.Context(), values, control.Asker{Name: "jeannine", Page: true, SignedIn: time.Now()})
	if err != nil || r.By != "jeannine" {
		t.Errorf("%+v, %v", r, err)
	}
	if e := s.events.Newest(1); len(e) != 1 || e[0].What.EN != "jeannine changes the settings: Name." {
		t.Errorf("%+v", e)
	}
	if r, err := s.Cancel(r.ID, control.Asker{Name: "root"}); err != nil || r.State != job.Cancelled {
		t.Errorf("before it was begun: %+v, %v", r, err)
	}
	none := New(Config{Log: slog.New(slog.DiscardHandler), DataDir: m.path("data")})
	if _, _, err := none.Changes().Begin(t.Context(), values, control.Asker{Name: "root"}); codeOf(err) != "helper-missing" {
		t.Errorf("where nothing can do it: %v", err)
	}
}

// What was to be changed goes with the process that knew it: it is not asked for with nothing
// in its hands.
func TestAChangeThatWasNotBegunIsNotBegunLater(t *testing.T) {
	m := newMoved(t)
	m.stopRoot()
	got := m.change("new.example.org")
	m.stop()
	m.startService()
	m.startRoot()
	r := m.until(got.Job.ID, report.ChangeBack)
	if r.State != job.Failed || r.Error.Code != "job-ended" || m.name() != "old.example.org" {
		t.Errorf("it is %s: %+v, %+v", m.name(), r, r.Error)
	}
}

// Who sits at the machine confirms by that alone.
func TestTheAdministratorNeedsNoCode(t *testing.T) {
	m := newMoved(t)
	got := m.change("new.example.org")
	m.until(got.Job.ID, report.ChangeWaiting)
	if code, _ := m.keep("", ""); code != "" {
		t.Errorf("root on the machine: %s", code)
	}
	m.until(got.Job.ID, report.ChangeKept)
}
