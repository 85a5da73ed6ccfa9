package job

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

	"github.com/foyer-server/foyer/internal/hint"
)

var quiet = slog.New(slog.DiscardHandler)

// kind is one of which each job waits until it is let go.
func kind(name string, l Lane, run func(ctx context.Context, t *Task) error) Kind {
	return Kind{Name: name, Title: hint.T("Title of %s", "Titre de %s", name), Lane: l, Run: run}
}

// manager runs until the test, or the returned function, ends it.
func manager(t *testing.T, dir string, kinds ...Kind) (m *Manager, stop func()) {
	t.Helper()
	m, err := Open(dir, quiet, kinds...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); m.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return m, stop
}

func begin(t *testing.T, m *Manager, kind string, args map[string]string) Record {
	t.Helper()
	r, err := m.Start(kind, args, "root")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// until waits for a job to have a state.
func until(t *testing.T, m *Manager, id string, s State) (last Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	there := errors.New("there")
	err := m.Follow(ctx, id, func(r Record) error {
		if last = r; r.State == s {
			return there
		}
		return nil
	})
	if !errors.Is(err, there) {
		t.Fatalf("%s: it is %.300s, want %s (%v)", id, fmt.Sprintf("%+v", last), s, err)
	}
	return last
}

func TestAJobTellsHowItGoes(t *testing.T) {
	t.Attr("shows", "ground")
	synctest.Test(t, func(t *testing.T) {
		m, _ := manager(t, "", kind("count", Reads, func(_ context.Context, t *Task) error {
			for n := range int64(10) {
				t.Progress(n, 10, hint.T("records", "enregistrements"))
				t.Say(hint.T("Record %d.", "Enregistrement %d.", n))
				time.Sleep(10 * time.Second)
			}
			t.Progress(10, 10, hint.T("records", "enregistrements"))
			return t.Result(map[string]int{"counted": 10})
		}))
		r := begin(t, m, "count", nil)
		if r.State != Waiting || r.By != "root" || r.Title.FR != "Titre de count" || !idRE.MatchString(r.ID) {
			t.Errorf("%+v", r)
		}
		var seen []string
		err := m.Follow(t.Context(), r.ID, func(r Record) error {
			seen = append(seen, fmt.Sprintf("%s %d/%d %s, %d s left", r.State, r.Done, r.Of, r.Unit.EN, r.Left))
			return nil
		})
		last, _ := m.Get(r.ID)
		if err != nil || last.State != Done || string(last.Result) != `{"counted":10}` || len(last.Said) != 10 || last.Said[9].EN != "Record 9." || last.Share() != 1 || last.Starts != 1 {
			t.Errorf("%+v, %v", last, err)
		}
		if !slices.Contains(seen, "running 4/10 records, 60 s left") || seen[len(seen)-1] != "done 10/10 records, 0 s left" {
			t.Errorf("seen: %q", seen)
		}
	})
}

// In a lane one job runs at a time, in the order they were asked for; lanes do not wait
// for each other; the same job asked for again is the one that waits or runs.
func TestLanes(t *testing.T) {
	t.Attr("shows", "ground")
	let, atOnce, most := make(chan struct{}), atomic.Int32{}, atomic.Int32{}
	run := func(ctx context.Context, t *Task) error {
		most.Store(max(most.Load(), atOnce.Add(1)))
		defer atOnce.Add(-1)
		select {
		case <-let:
		case <-ctx.Done():
		}
		return ctx.Err()
	}
	write := kind("write", Writes, run)
	write.Args = map[string][]string{"n": {"1", "2", "3"}}
	m, _ := manager(t, t.TempDir(), write, kind("other", Writes, run), kind("machine", Machine, func(context.Context, *Task) error { return nil }))
	one := begin(t, m, "write", map[string]string{"n": "1"})
	until(t, m, one.ID, Running)
	two, three := begin(t, m, "write", map[string]string{"n": "2"}), begin(t, m, "other", nil)
	if again := begin(t, m, "write", map[string]string{"n": "1"}); again.ID != one.ID {
		t.Errorf("%s begins what %s does", again.ID, one.ID)
	}
	until(t, m, begin(t, m, "machine", nil).ID, Done)
	if r, err := m.Get(two.ID); err != nil || r.State != Waiting {
		t.Errorf("%+v, %v", r, err)
	}
	let <- struct{}{}
	until(t, m, one.ID, Done)
	until(t, m, two.ID, Running)
	let <- struct{}{}
	let <- struct{}{}
	until(t, m, three.ID, Done)
	if most.Load() != 1 {
		t.Errorf("%d ran at once", most.Load())
	}
	if ids := []string{m.List()[3].ID, m.List()[2].ID}; !slices.Equal(ids, []string{one.ID, two.ID}) {
		t.Errorf("the list is %q", ids)
	}
	for what, c := range map[string]struct {
		kind, code string
		args       map[string]string
	}{
		"unknown kind":  {"none", "job-unknown", nil},
		"unknown value": {"write", "job-malformed", map[string]string{"n": "4"}},
		"unknown name":  {"other", "job-malformed", map[string]string{"file": "/etc/shadow"}},
	} {
		if _, err := m.Start(c.kind, c.args, "root"); hint.Find(err) == nil || hint.Find(err).Code != c.code {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestCancel(t *testing.T) {
	dir := t.TempDir()
	m, stop := manager(t, dir, kind("long", Writes, func(ctx context.Context, _ *Task) error { <-ctx.Done(); return ctx.Err() }), kind("next", Writes, func(context.Context, *Task) error { return nil }))
	ended := 0
	m.OnEnd(func(Record) { ended++ })
	running := begin(t, m, "long", nil)
	until(t, m, running.ID, Running)
	waiting := begin(t, m, "next", nil)
	for range 2 {
		if r, err := m.Cancel(waiting.ID); err != nil || r.State != Cancelled || r.Starts != 0 {
			t.Errorf("one that waits: %+v, %v", r, err)
		}
	}
	if _, err := m.Cancel(running.ID); err != nil {
		t.Error(err)
	}
	until(t, m, running.ID, Cancelled)
	until(t, m, begin(t, m, "next", nil).ID, Done)
	if _, err := m.Cancel("none"); !errors.Is(err, errUnknown) {
		t.Error(err)
	}
	stop()
	if ended != 3 {
		t.Errorf("%d ends were told", ended)
	}
	again, _ := manager(t, dir)
	if r, err := again.Get(running.ID); err != nil || r.State != Cancelled {
		t.Errorf("read back: %+v, %v", r, err)
	}
}

// A job that fails says why; one that breaks off takes nothing along.
func TestFailures(t *testing.T) {
	m, _ := manager(t, t.TempDir(),
		kind("hint", Reads, func(context.Context, *Task) error {
			return hint.New("disk-full", hint.T("The disk is full.", "Le disque est plein."), hint.Text{}, hint.T("Free some room.", "Libérez de la place."))
		}),
		kind("panic", Reads, func(context.Context, *Task) error { panic("a mistake") }),
		kind("huge", Reads, func(_ context.Context, t *Task) error {
			return t.Result(slices.Repeat([]string{strings.Repeat("x", 1000)}, 100))
		}),
	)
	for name, want := range map[string][2]string{"hint": {"disk-full", "The disk is full."}, "panic": {"failed", "broke off"}, "huge": {"failed", "100301 bytes"}} {
		r := until(t, m, begin(t, m, name, nil).ID, Failed)
		if r.Error == nil || r.Error.Code != want[0] || !strings.Contains(r.Error.What.EN, want[1]) {
			t.Errorf("%s: %+v", name, r.Error)
		}
	}
}

func TestJobsAreBounded(t *testing.T) {
	dir := t.TempDir()
	let := make(chan struct{})
	slow := kind("slow", Writes, func(ctx context.Context, _ *Task) error { <-let; return nil })
	slow.Args = map[string][]string{"n": {}}
	for n := range mostEnded + 20 {
		slow.Args["n"] = append(slow.Args["n"], fmt.Sprint(n))
	}
	m, stop := manager(t, dir, slow)
	started, refused := 0, 0
	for n := range mostEnded + 20 {
		switch _, err := m.Start("slow", map[string]string{"n": fmt.Sprint(n)}, "root"); {
		case err == nil:
			started++
		case errors.Is(err, errMany):
			refused++
		default:
			t.Fatal(err)
		}
	}
	if started < mostWaiting || started > mostWaiting+1 || refused != mostEnded+20-started {
		t.Errorf("%d started, %d refused", started, refused)
	}
	close(let)
	for _, r := range m.List() {
		until(t, m, r.ID, Done)
	}
	for n := range mostEnded + 20 {
		until(t, m, begin(t, m, "slow", map[string]string{"n": fmt.Sprint(n)}).ID, Done)
	}
	stop()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != mostEnded || len(m.List()) != mostEnded {
		t.Errorf("%d files, %d records, %v", len(files), len(m.List()), err)
	}
}

// A disk that does not take the record of a job: it is not begun.
func TestWhatCannotBeNotedIsNotBegun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "jobs")
	ran := atomic.Bool{}
	m, _ := manager(t, dir, kind("x", Reads, func(context.Context, *Task) error { ran.Store(true); return nil }))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Start("x", nil, "root"); hint.Find(err) == nil || hint.Find(err).Code != "job-unkept" || len(m.List()) != 0 {
		t.Errorf("error %v, %+v", err, m.List())
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	until(t, m, begin(t, m, "x", nil).ID, Done)
	if !ran.Load() {
		t.Error("it did not run")
	}
}

// Whoever asks for the same at the same time gets the same job, and nobody one that was not
// noted.
func TestTheSameIsAskedForAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "jobs")
	let := make(chan struct{})
	m, _ := manager(t, dir, kind("x", Reads, func(context.Context, *Task) error { <-let; return nil }))
	ask := func() (ids map[string]int, refused int) {
		ids = map[string]int{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				r, err := m.Start("x", nil, "root")
				mu.Lock()
				defer mu.Unlock()
				if ids[r.ID]++; err != nil {
					delete(ids, r.ID)
					refused++
				}
			})
		}
		wg.Wait()
		return ids, refused
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if ids, refused := ask(); len(ids) != 0 || refused != 20 || len(m.List()) != 0 {
		t.Errorf("of a disk that takes nothing: %v, %d refused, %+v", ids, refused, m.List())
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ids, refused := ask()
	if len(ids) != 1 || refused != 0 {
		t.Errorf("%v, %d refused", ids, refused)
	}
	close(let)
	for id := range ids {
		until(t, m, id, Done)
	}
}

// Records of others, damaged ones, and those of kinds nobody knows any more.
func TestStrangeRecords(t *testing.T) {
	dir := t.TempDir()
	id := func(n int) string { return fmt.Sprintf("20260101-00000000%d-aaaa", n) }
	write := func(name string, v any) {
		t.Helper()
		text, ok := v.(string)
		if !ok {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(id(1)+".json", Record{ID: id(1), Kind: "gone", State: Running})
	write(id(2)+".json", `{"id":`)
	write(id(3)+".json", Record{ID: id(4), Kind: "x", State: Done})
	write("notes.txt", "mine")
	write(id(5)+".json", Record{ID: id(5), Kind: "x", State: Done})
	m, stop := manager(t, dir, kind("x", Reads, func(context.Context, *Task) error { return nil }))
	stop()
	var got []string
	for _, r := range m.List() {
		got = append(got, r.ID+" "+string(r.State))
	}
	if diff := cmp.Diff([]string{id(5) + " done", id(1) + " cut-off"}, got); diff != "" {
		t.Error(diff)
	}
}

// One that follows somebody else is taken up however often; what it was given besides is in
// no file, and gone with the process; and it is asked for in its own way alone.
func TestAJobThatFollows(t *testing.T) {
	t.Attr("shows", "ground2")
	dir := t.TempDir()
	const secret = "a-secret-of-somebody"
	var with []any
	var mu sync.Mutex
	begun := make(chan struct{}, 10)
	follows := kind("follows", Machine, func(ctx context.Context, task *Task) error {
		mu.Lock()
		with = append(with, task.With())
		mu.Unlock()
		if string(task.SoFar()) != `{"from":"the beginning"}` {
			t.Errorf("so far: %s", task.SoFar())
		}
		begun <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	follows.Own, follows.Follows, follows.Resume = true, true, true
	m, stop := manager(t, dir, follows)
	if _, err := m.Start("follows", nil, "root"); hint.Find(err) == nil || hint.Find(err).Code != "job-malformed" {
		t.Errorf("as any other one: %v", err)
	}
	if _, ok := m.Kind("follows"); !ok || len(m.Kinds()) != 0 {
		t.Errorf("%v", m.Kinds())
	}
	r, err := m.StartWith("follows", nil, "root", map[string]string{"from": "the beginning"}, secret)
	if err != nil || string(r.Result) != `{"from":"the beginning"}` {
		t.Fatalf("%+v, %v", r, err)
	}
	for n := range 3 * mostStarts {
		<-begun
		stop()
		text, err := os.ReadFile(m.path(r.ID))
		if err != nil || strings.Contains(string(text), secret) {
			t.Fatalf("%s, %v", text, err)
		}
		m, stop = manager(t, dir, follows)
		if now, ok := m.ActiveOf("follows"); !ok || now.Starts < n+1 {
			t.Errorf("start %d: %+v", n, now)
		}
	}
	<-begun
	stop()
	if with[0] != secret || len(with) != 3*mostStarts+1 || slices.ContainsFunc(with[1:], func(v any) bool { return v != nil }) {
		t.Errorf("%v", with)
	}
}

// TestAJobThatMayNotBeginIsNotBegun: whoever has a say is asked first, and told why it was not.
func TestAJobThatMayNotBeginIsNotBegun(t *testing.T) {
	t.Attr("shows", "ground2")
	ran := atomic.Int64{}
	m, err := Open(t.TempDir(), quiet, kind("repair", Reads, func(context.Context, *Task) error {
		ran.Add(1)
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	m.OnBegin(func(r Record) error {
		if r.By == "foyer" {
			return hint.New("too-often", hint.T("That was tried often enough.", "Cela a été essayé assez souvent."), hint.Text{}, hint.Text{})
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); m.Run(ctx) }()
	defer func() { cancel(); <-done }()
	r, err := m.Start("repair", nil, "foyer")
	if err != nil {
		t.Fatal(err)
	}
	if last := until(t, m, r.ID, Failed); last.Error == nil || last.Error.Code != "too-often" || ran.Load() != 0 {
		t.Errorf("%+v, and it ran %d times", last, ran.Load())
	}
	if r, err = m.Start("repair", nil, "root"); err != nil {
		t.Fatal(err)
	}
	if until(t, m, r.ID, Done); ran.Load() != 1 {
		t.Errorf("one that may begin ran %d times", ran.Load())
	}
}
