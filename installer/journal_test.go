package installer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var quiet = slog.New(slog.DiscardHandler)

func newJournal(t *testing.T) *journal {
	t.Helper()
	j, err := openJournal(filepath.Join(t.TempDir(), "opt", "foyer", "install"), quiet, time.Now(), realDisk())
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestJournalRemembers(t *testing.T) {
	j := newJournal(t)
	for _, r := range []record{
		{Op: opIntent, Step: "a", Changes: []Change{{Step: "a", Op: Made, Kind: KindFile, What: "/x", SHA256: "11"}}},
		{Op: opDone, Step: "a"},
		{Op: opIntent, Step: "b", Changes: []Change{{Step: "b", Op: Changed, Kind: KindFolder, What: "/y", Before: "700 0 0"}}},
		{Op: opDone, Step: "b"},
		{Op: opFinished},
		{Op: opIntent, Step: "a", Changes: []Change{{Step: "a", Op: Changed, Kind: KindFile, What: "/x", SHA256: "22"}}},
	} {
		if err := j.write(r); err != nil {
			t.Fatal(err)
		}
	}
	live := j.history
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	h, _, _, err := peek(j.path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(live, h, cmp.AllowUnexported(history{})); diff != "" {
		t.Errorf("read back: %s", diff)
	}
	if len(h.made) != 2 || h.made[0].Op != Made || !slices.Equal(h.sums["/x"], []string{"11", "22"}) || !h.open["a"] || h.open["b"] || !h.finished {
		t.Errorf("remembers %+v", h)
	}
	if len(h.folders) != 3 {
		t.Errorf("made for itself: %q", h.folders)
	}
}

// However a power cut tears the end, what was whole before stays, and the journal
// goes on.
func TestTornJournal(t *testing.T) {
	t.Parallel()
	j := newJournal(t)
	for i := range 3 {
		if err := j.write(record{Op: opIntent, Step: fmt.Sprint(i), Changes: []Change{{Step: fmt.Sprint(i), Op: Made, Kind: KindFile, What: "/" + fmt.Sprint(i)}}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	first := bytes.IndexByte(whole, '\n') + 1
	for n := first; n <= len(whole); n++ {
		if err := os.WriteFile(j.path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := openJournal(filepath.Dir(j.path), quiet, time.Now(), realDisk())
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if want := bytes.Count(whole[:n], []byte("\n")) - 1; len(again.history.made) != want {
			t.Fatalf("%d bytes: %d of %d records", n, len(again.history.made), want)
		}
		if err := again.write(record{Op: opFinished}); err != nil {
			t.Fatal(err)
		}
		if err := again.close(); err != nil {
			t.Fatal(err)
		}
		if h, _, _, err := peek(j.path, quiet); err != nil || !h.finished {
			t.Fatalf("%d bytes: what came after is lost: %v", n, err)
		}
	}
	// A damaged line in the middle takes nothing else along.
	damaged := bytes.Replace(whole, []byte(`"what":"/1"`), []byte(`"what":"/9"`), 1)
	records, _, bad, err := parse(damaged)
	if err != nil || len(records) != 3 || bad != 1 {
		t.Errorf("damaged: %d records, %d damaged, %v", len(records), bad, err)
	}
}

// What could not be made durable was never said: the file is as it was, whatever is
// written to it next.
func TestAFailedWriteLeavesTheJournalAsItWas(t *testing.T) {
	j := newJournal(t)
	defer j.close()
	long := record{Op: opIntent, Step: "long", Changes: []Change{{Step: "long", Op: Made, Kind: KindFile, What: "/" + strings.Repeat("x", 500)}}}
	read := func() string {
		t.Helper()
		data, err := os.ReadFile(j.path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	before, works := read(), j.disk.file
	j.disk.file = func(*os.File) error { return errDisk }
	for range 2 {
		if err := j.write(long); !errors.Is(err, errDisk) {
			t.Errorf("error %v", err)
		}
		if diff := cmp.Diff(before, read()); diff != "" {
			t.Errorf("the file: %s", diff)
		}
	}
	j.disk.file = works
	if err := j.write(record{Op: opDone, Step: "short"}); err != nil {
		t.Fatal(err)
	}
	records, whole, damaged, err := parse([]byte(read()))
	if err != nil || damaged > 0 || whole != len(read()) {
		t.Fatalf("%d of %d bytes are whole, %d lines damaged, %v", whole, len(read()), damaged, err)
	}
	var ops []string
	for _, r := range records {
		ops = append(ops, r.Op+" "+r.Step)
	}
	if diff := cmp.Diff([]string{"begin ", "done short"}, ops); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(readHistory(records), j.history, cmp.AllowUnexported(history{})); diff != "" {
		t.Errorf("remembered and read back: %s", diff)
	}
}

func TestJournalOfALaterVersionIsRefused(t *testing.T) {
	j := newJournal(t)
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	later, err := record{V: journalVersion + 1, Op: opFinished}.format()
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(j.path, append(whole, later...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openJournal(filepath.Dir(j.path), quiet, time.Now(), realDisk()); code(err) != "journal-newer" {
		t.Errorf("error %v", err)
	}
}

func TestJournalTakesItsFoldersAlongAndNoOthers(t *testing.T) {
	j := newJournal(t)
	top := filepath.Dir(filepath.Dir(filepath.Dir(j.path)))
	if err := os.WriteFile(filepath.Join(top, "theirs"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := j.remove(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(top)
	if err != nil || len(entries) != 1 || entries[0].Name() != "theirs" {
		t.Errorf("left: %v, %v", entries, err)
	}
	j = newJournal(t)
	if err := j.remove(); err != nil {
		t.Fatal(err)
	}
	entries, err = os.ReadDir(filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(j.path)))))
	if err != nil || len(entries) != 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func FuzzJournal(f *testing.F) {
	line, err := record{V: 1, Op: opIntent, Step: "a", Changes: []Change{{Op: Made, Kind: KindFile, What: "/x"}}}.format()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add(append(line, line[:20]...))
	f.Add([]byte("{}\n{\"record\":null,\"sum\":\"00000000\"}\n\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		records, whole, _, err := parse(data)
		if err != nil {
			return
		}
		readHistory(records)
		if whole > len(data) || whole > 0 && data[whole-1] != '\n' {
			t.Errorf("whole up to %d of %d bytes", whole, len(data))
		}
	})
}

// world is what fake steps change.
type world map[string]bool

// fakeStep makes things, one after the other; the power may go before each.
type fakeStep struct {
	id     string
	things []string
	w      world
	o      *fakeOS
	fail   error
}

func (s fakeStep) ID() string { return s.id }

func (s fakeStep) Check(context.Context) ([]Change, error) {
	var out []Change
	for _, thing := range s.things {
		if !s.w[thing] {
			out = append(out, Change{Op: Made, Kind: KindFile, What: thing, Stays: strings.HasSuffix(thing, "!")})
		}
	}
	return out, nil
}

func (s fakeStep) Apply(context.Context) error {
	for _, thing := range s.things {
		s.o.tick()
		s.w[thing] = true
	}
	s.o.tick()
	return s.fail
}

func (s fakeStep) Undo(_ context.Context, made []Change, _ bool) error {
	for _, c := range made {
		s.o.tick()
		delete(s.w, c.What)
	}
	s.o.tick()
	return nil
}

var _ Step = fakeStep{}

// The engine by itself: cut between any two acts, done again, undone.
func TestEngineGoesOnWhereItWasCut(t *testing.T) {
	t.Parallel()
	script := func(o *fakeOS, w world) *Installer {
		in := o.installer(nil)
		in.steps = func(*machine) []Step {
			return []Step{
				fakeStep{"one", []string{"a", "b!", "c"}, w, o, nil}, fakeStep{"none", nil, w, o, nil}, fakeStep{"two", []string{"d", "e"}, w, o, nil}, fakeStep{"three", []string{"f!"}, w, o, nil},
			}
		}
		return in
	}
	o := newFakeOS(t)
	was := world{"theirs": true, "e": true}
	w := world{"theirs": true, "e": true}
	mustApply(t, script(o, w))
	moments, want := o.ticks, w
	for n := 1; n <= moments; n++ {
		o := newFakeOS(t)
		o.crashAt = n
		w := world{"theirs": true, "e": true}
		in := script(o, w)
		if !cut(func() { in.Apply(t.Context(), nil) }) { //nolint:errcheck // it does not return
			t.Fatalf("moment %d never came", n)
		}
		mustApply(t, in)
		if diff := cmp.Diff(want, w); diff != "" {
			t.Errorf("moment %d: %s", n, diff)
		}
		if res := mustApply(t, in); res.Changed {
			t.Errorf("moment %d: a third run changed something", n)
		}
		mustUndo(t, in, false)
		if diff := cmp.Diff(world{"theirs": true, "e": true, "b!": true, "f!": true}, w); diff != "" {
			t.Errorf("moment %d, uninstalled: %s", n, diff)
		}
		mustUndo(t, in, true)
		if diff := cmp.Diff(was, w); diff != "" {
			t.Errorf("moment %d, purged: %s", n, diff)
		}
		if _, err := os.Lstat(o.path("opt/foyer")); err == nil {
			t.Errorf("moment %d: the journal is still there", n)
		}
	}
}

func TestStepThatDoesNotComeOutFails(t *testing.T) {
	o := newFakeOS(t)
	w := world{}
	in := o.installer(nil)
	in.steps = func(*machine) []Step {
		return []Step{fakeStep{"one", []string{"a"}, w, o, nil}, fakeStep{"two", []string{"b"}, world{}, o, fmt.Errorf("no")}}
	}
	if _, err := in.Apply(t.Context(), nil); code(err) != "install-failed" || len(w) != 0 {
		t.Errorf("left %v, %v", w, err)
	}
}
