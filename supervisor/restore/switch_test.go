//go:build !windows

package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup"
)

// TestMain is, in a process that a test has started, a switch that is killed before a step.
func TestMain(m *testing.M) {
	if n, err := strconv.Atoi(os.Getenv("FOYER_TEST_DIES_AT")); err == nil {
		h := house{data: os.Args[1], state: os.Args[2]}
		fmt.Println(h.roll(func(i int, _ string) error {
			if i == n {
				return syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
			return nil
		}))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// house is a folder of data, and one of the supervisor, in which a switch is made.
type house struct{ data, state string }

func (h house) served() Served {
	return Served{Data: h.data, State: h.state, Mark: filepath.Join(h.state, "claimed.json")}
}

// roll makes the switch that is under way; each is called before its steps.
func (h house) roll(each func(i int, step string) error) error {
	n := 0
	w := switching{h.served(), func(step string) error {
		n++
		return each(n, step)
	}}
	return w.resume()
}

// What is served before, and what comes.
var (
	before = map[string]string{
		"data.db": "old", "data.db-wal": "old wal", "data.db-shm": "old shm", "data.db-open": "old open", "data.db-reserve": "old reserve",
		"attachments/ab/cd": "old attachment", "data.id": "old id", "claim.json": "old claim", "certificates/home-ca/root.crt": "old root", "router.secret": "old secret",
	}
	coming = map[string]string{
		"data.db": "new", "attachments/ef/01": "new attachment", "certificates/home-ca/root.crt": "new root", "router.secret": "new secret",
	}
	staying = map[string]string{"lost+found/x": "of the disk", "data.txt": "somebody's", "before-restore-2020-01-01-000000/data.db": "older"}
)

func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// all is what lies in a folder.
func all(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		below, _ := filepath.Rel(dir, path)
		out[below] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// newHouse is one in which a switch has happened, and nothing of it is done yet.
func newHouse(t *testing.T) (h house, former string) {
	t.Helper()
	h = house{t.TempDir(), t.TempDir()}
	put(t, h.data, before)
	put(t, h.data, staying)
	put(t, h.state, map[string]string{"claimed.json": "old mark", "events": "x"})
	s, err := sideWithin(h.data)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s.data(), coming)
	died := errors.New("it dies")
	w := switching{h.served(), func(string) error { return died }}
	former, begun, err := w.take(t.Context(), s, time.Unix(1795803600, 0), func(context.Context) error { return nil })
	s.kept = begun
	if !begun || !errors.Is(err, died) || filepath.Dir(former) != h.data {
		t.Fatalf("it begins with %q, %v, %v", former, begun, err)
	}
	if err := s.leave(); err != nil {
		t.Fatal(err)
	}
	if !Pending(h.data) {
		t.Fatal("it has not happened")
	}
	return h, former
}

// ended is what is to be there in the end.
func (h house) ended(t *testing.T, former string) {
	t.Helper()
	want := maps.Clone(coming)
	maps.Copy(want, staying)
	for name, text := range before {
		want[filepath.Base(former)+"/"+name] = text
	}
	if got := all(t, h.data); !maps.Equal(got, want) {
		t.Errorf("in the folder of the data there is\n%v, and it should be\n%v", got, want)
	}
	if got := slices.Sorted(maps.Keys(all(t, h.state))); !slices.Equal(got, []string{"events", "restored.json"}) {
		t.Errorf("in the folder of the supervisor there is %q", got)
	}
	if left, _ := filepath.Glob(filepath.Join(h.data, ".restoring-*")); len(left) > 0 {
		t.Errorf("at the side there is %q", left)
	}
}

// A switch that is killed before any of its steps, or in which any of them fails, is ended by
// the next who comes, and the end is the same.
func TestASwitchIsCutOffAnywhere(t *testing.T) {
	t.Attr("shows", "backups")
	h, former := newHouse(t)
	var steps []string
	if err := h.roll(func(_ int, step string) error { steps = append(steps, step); return nil }); err != nil {
		t.Fatal(err)
	}
	h.ended(t, former)
	if len(steps) < 23 {
		t.Fatalf("it takes %d steps: %q", len(steps), steps)
	}
	for name := range before {
		if top, _, _ := strings.Cut(name, "/"); !slices.Contains(steps, "move "+top) {
			t.Errorf("no step moves %s", top)
		}
	}
	moments := 0
	for i, step := range steps {
		t.Run("killed before "+strings.ReplaceAll(step, "/", " "), func(t *testing.T) {
			h, former := newHouse(t)
			cmd := exec.Command(os.Args[0], h.data, h.state)
			cmd.Env = append(os.Environ(), "FOYER_TEST_DIES_AT="+strconv.Itoa(i+1))
			out, err := cmd.CombinedOutput()
			if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGKILL {
				t.Fatalf("it was not killed: %v\n%s", err, out)
			}
			moments++
			if err := Resume(h.served(), nil); err != nil {
				t.Fatal(err)
			}
			h.ended(t, former)
		})
		t.Run("failed at "+strings.ReplaceAll(step, "/", " "), func(t *testing.T) {
			h, former := newHouse(t)
			broken := errors.New("broken")
			if err := h.roll(func(n int, _ string) error {
				if n == i+1 {
					return broken
				}
				return nil
			}); !errors.Is(err, broken) {
				t.Fatalf("it says %v", err)
			}
			moments++
			// And once more, at the step after the one that failed.
			h.roll(func(n int, _ string) error { //nolint:errcheck // it is to fail
				if n == i+2 {
					return broken
				}
				return nil
			})
			if err := Resume(h.served(), nil); err != nil {
				t.Fatal(err)
			}
			h.ended(t, former)
		})
	}
	t.Logf("SHOW a switch to a backup cut off at %d moments (%d steps, each killed and each failed): the same end, with all that was served before", moments, len(steps))
}

// Nothing is told twice, and nothing is not told.
func TestASwitchIsToldOnce(t *testing.T) {
	h, former := newHouse(t)
	var told []Done
	for range 3 {
		if err := Resume(h.served(), func(d Done) { told = append(told, d) }); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) != 1 || told[0].Former != former || told[0].Moment.Unix() != 1795803600 {
		t.Errorf("told: %+v", told)
	}
}

// While somebody is at a switch the server is not started, and nothing else is.
func TestNobodyStartsDuringASwitch(t *testing.T) {
	t.Attr("shows", "backups")
	h := house{t.TempDir(), t.TempDir()}
	put(t, h.data, before)
	s, err := sideWithin(h.data)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s.data(), coming)
	w := switching{h.served(), func(string) error { return nil }}
	var during, again error
	_, begun, err := w.take(t.Context(), s, time.Now(), func(context.Context) error {
		during = Resume(h.served(), nil)
		_, again = sideWithin(h.data)
		return nil
	})
	if !begun || err != nil {
		t.Fatalf("%v, %v", begun, err)
	}
	for what, err := range map[string]error{"a start": during, "another restore": again} {
		if e := hint.Find(err); e == nil || e.Code != "restore-under-way" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := Resume(h.served(), nil); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// Where the server does not stop, or nobody wants it any more, nothing has happened.
func TestASwitchThatDoesNotHappen(t *testing.T) {
	for name, stop := range map[string]func(context.CancelFunc) error{
		"it does not stop": func(context.CancelFunc) error { return errors.New("it goes on") },
		"it is cancelled":  func(cancel context.CancelFunc) error { cancel(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			h := house{t.TempDir(), t.TempDir()}
			put(t, h.data, before)
			s, err := sideWithin(h.data)
			if err != nil {
				t.Fatal(err)
			}
			put(t, s.data(), coming)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w := switching{h.served(), func(string) error { return nil }}
			_, s.kept, err = w.take(ctx, s, time.Now(), func(context.Context) error { return stop(cancel) })
			if err == nil || s.kept {
				t.Fatalf("%v, %v", err, s.kept)
			}
			if err := s.leave(); err != nil {
				t.Fatal(err)
			}
			if got := all(t, h.data); !maps.Equal(got, before) {
				t.Errorf("there is %v", got)
			}
		})
	}
}

// Before a start nothing is touched that is no place of a restore that died.
func TestResumeWhereNothingIsToBeDone(t *testing.T) {
	h := house{t.TempDir(), t.TempDir()}
	if err := Resume(Served{Data: filepath.Join(h.data, "none"), State: h.state}, nil); err != nil {
		t.Errorf("without a folder: %v", err)
	}
	if names := all(t, h.data); len(names) > 0 {
		t.Errorf("it made %v", names)
	}
	put(t, h.data, before)
	put(t, h.data, map[string]string{".restoring-x/data": "somebody's"})
	s, err := sideWithin(h.data)
	if err != nil {
		t.Fatal(err)
	}
	alive, dead := s.dir, filepath.Join(h.data, ".restoring-"+strings.Repeat("A", 26))
	put(t, dead, map[string]string{"data/data.db": "half"})
	if err := Resume(h.served(), nil); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{alive: true, dead: false, filepath.Join(h.data, ".restoring-x"): true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := s.leave(); err != nil {
		t.Fatal(err)
	}
	// A note that names something elsewhere has nothing moved.
	for _, bad := range []string{`{"format":1,"side":"../x","former":"f"}`, `{"format":1,"side":"s","former":"f","come":["/etc"]}`, `{"format":2}`, `{"for`} {
		if err := atomicfile.Write(filepath.Join(h.data, switchFile), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if e := hint.Find(Resume(h.served(), nil)); e == nil || e.Code != "restore-switch" {
			t.Errorf("%s: %v", bad, e)
		}
	}
}

// Of a manifest only certificates and keys come beside the database, wherever their names lead.
func TestWhatComesBeside(t *testing.T) {
	dir := t.TempDir()
	files := []backup.File{
		{Name: "foyer.toml"},
		{Name: "data/certificates/home-ca/root.crt", Mode: 0o644, Data: []byte("root")},
		{Name: "data/router.secret", Mode: 0o600, Data: []byte("secret")},
		{Name: "data/../../evil"},
		{Name: "data/certificates/../../evil"},
		{Name: "data/data.db"},
		{Name: "/etc/passwd"},
		{Name: "data/certificates/a", Mode: 0o4777},
	}
	if err := bring(files, dir); err != nil {
		t.Fatal(err)
	}
	if got, want := all(t, dir), map[string]string{"certificates/home-ca/root.crt": "root", "router.secret": "secret", "certificates/a": ""}; !maps.Equal(got, want) {
		t.Errorf("there is %v", got)
	}
	for name, mode := range map[string]fs.FileMode{"certificates": 0o700 | fs.ModeDir, "certificates/a": 0o755, "router.secret": 0o600} {
		if fi, err := os.Stat(filepath.Join(dir, name)); err != nil || fi.Mode() != mode {
			t.Errorf("%s: %v, %v", name, fi.Mode(), err)
		}
	}
	if got := Beside(files, func(name string) bool { return name == "router.secret" }); len(got) != 1 || got[0].Name != "data/router.secret" {
		t.Errorf("wanted: %v", got)
	}
}
