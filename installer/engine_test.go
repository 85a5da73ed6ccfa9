package installer

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
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/step"
)

// lazyStep says that it is done before it is.
type lazyStep struct {
	fakeStep
	does  []string // of its things
	blind error    // what the second look ends with
	looks *int
}

func (s lazyStep) Check(ctx context.Context) ([]step.Change, error) {
	if *s.looks++; *s.looks > 1 && s.blind != nil {
		return nil, s.blind
	}
	return s.fakeStep.Check(ctx)
}

func (s lazyStep) Apply(context.Context) error {
	for _, thing := range s.does {
		s.w[thing] = true
	}
	return nil
}

// A step is done when a second look finds nothing left, not when it says so.
func TestAStepIsDoneWhenASecondLookSaysSo(t *testing.T) {
	t.Attr("shows", "mend")
	for _, c := range []struct {
		name  string
		does  []string
		blind error
		code  string // "<nil>": it is done
		says  string // to the person
	}{
		{"all of it is there", []string{"b", "c"}, nil, "<nil>", ""},
		{"nothing is there", nil, nil, "install-failed", "cannot do the step two: file b is still to be done"},
		{"half of it is there", []string{"b"}, nil, "install-failed", "cannot do the step two: file c is still to be done"},
		{"one cannot look again", []string{"b", "c"}, errors.New("the disk is gone"), "install-failed", "cannot check the step two: the disk is gone"},
	} {
		for _, fresh := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, fresh %t", c.name, fresh), func(t *testing.T) {
				o := newFakeOS(t)
				before := o.tree()
				w, looks := world{}, 0
				in := o.installer(nil)
				one, three := fakeStep{"one", []string{"a"}, w, o, nil}, fakeStep{"three", []string{"d"}, w, o, nil}
				if !fresh { // something was installed before
					in.steps = func(*machine) []step.Step { return []step.Step{one} }
					mustApply(t, in)
				}
				in.steps = func(*machine) []step.Step {
					return []step.Step{one, lazyStep{fakeStep{"two", []string{"b", "c"}, w, o, nil}, c.does, c.blind, &looks}, three}
				}
				var events []string
				_, err := in.Apply(t.Context(), func(e step.Event) { events = append(events, e.Kind+" "+e.Step) })
				if code(err) != c.code {
					t.Fatalf("error %v", err)
				}
				if e := hint.Find(err); e != nil && (!strings.Contains(e.What.EN, c.says) || !strings.Contains(e.What.FR, c.says)) {
					t.Errorf("it says %+v", e)
				}
				wantEvents := []string{"started one", "done one", "started two", "done two", "started three", "done three"}
				wantWorld := world{"a": true, "b": true, "c": true, "d": true}
				if c.code != "<nil>" {
					wantEvents = append(wantEvents[:3:3], "failed two")
					wantWorld = world{}
					if fresh { // what was announced is taken back, whether it was reached or not
						wantEvents = append(wantEvents, "undone two", "undone one")
					} else {
						wantWorld["a"] = true
						for _, thing := range c.does {
							wantWorld[thing] = true
						}
					}
				}
				if diff := cmp.Diff(wantEvents, events); diff != "" {
					t.Errorf("told: %s", diff)
				}
				if diff := cmp.Diff(wantWorld, w); diff != "" {
					t.Errorf("left: %s", diff)
				}
				h, err := step.Peek(filepath.Dir(o.path(journalFile)), slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case c.code == "<nil>":
					if h.Open("one") || h.Open("two") || h.Open("three") || !h.Finished() {
						t.Errorf("the journal takes it for unfinished: %+v", h)
					}
				case fresh:
					if diff := cmp.Diff(before, o.tree()); diff != "" {
						t.Errorf("taken back: %s", diff)
					}
				case !h.Open("two"):
					t.Errorf("the journal takes the step for done: %+v", h)
				}
			})
		}
	}
}

// What was edited by hand stays so: that is not left to do.
func TestWhatIsKeptAsItIsIsNotLeftToDo(t *testing.T) {
	o := newFakeOS(t)
	w := world{}
	in := o.installer(nil)
	in.steps = func(*machine) []step.Step { return []step.Step{editedStep{fakeStep{"one", []string{"a"}, w, o, nil}}} }
	res := mustApply(t, in)
	want := []step.Change{{Step: "one", Op: step.Edited, Kind: step.KindFile, What: "theirs"}, {Step: "one", Op: step.Made, Kind: step.KindFile, What: "a"}}
	if diff := cmp.Diff(want, res.Changes); diff != "" {
		t.Error(diff)
	}
}

type editedStep struct{ fakeStep }

func (s editedStep) Check(ctx context.Context) ([]step.Change, error) {
	changes, err := s.fakeStep.Check(ctx)
	return append(changes, step.Change{Op: step.Edited, Kind: step.KindFile, What: "theirs"}), err
}

// watched is a machine of which each act is told, in order: what the steps do, and
// what is made durable meanwhile.
type watched struct {
	*Installer
	o      *fakeOS
	w      world
	acts   []string
	synced int
	failAt func(n int) bool // the n-th time that something is to be made durable, from 1
}

type toldStep struct {
	fakeStep
	d *watched
}

func (s toldStep) Apply(ctx context.Context) error {
	s.d.acts = append(s.d.acts, "apply "+s.id)
	return s.fakeStep.Apply(ctx)
}

func (s toldStep) Undo(ctx context.Context, made []step.Change, purge bool) error {
	s.d.acts = append(s.d.acts, "undo "+s.id)
	return s.fakeStep.Undo(ctx, made, purge)
}

var errDisk = errors.New("input/output error")

func newWatched(t *testing.T) *watched {
	o := newFakeOS(t)
	d := &watched{o: o, w: world{"theirs": true}, failAt: func(int) bool { return false }}
	d.restart()
	return d
}

// restart is another run of the program on the same machine.
func (d *watched) restart() {
	d.Installer = d.o.installer(nil)
	d.acts, d.synced = nil, 0
	d.steps = func(*machine) []step.Step {
		return []step.Step{toldStep{fakeStep{"one", []string{"a", "b"}, d.w, d.o, nil}, d}, toldStep{fakeStep{"none", nil, d.w, d.o, nil}, d}, toldStep{fakeStep{"two", []string{"c"}, d.w, d.o, nil}, d}}
	}
	kernel := step.RealDisk()
	d.disk = step.Disk{ // what becomes durable is what is there at that moment
		File: func(f *os.File) error {
			return d.sync("journal: "+d.lastRecord(f.Name()), func() error { return kernel.File(f) })
		},
		Folder: func(path string) error {
			rel, err := filepath.Rel(d.o.root, path)
			if err != nil {
				d.o.t.Error(err)
			}
			entries, err := os.ReadDir(path)
			if err != nil {
				d.o.t.Error(err)
			}
			what := []string{"folder " + rel + ":"}
			for _, e := range entries {
				what = append(what, e.Name())
			}
			return d.sync(strings.Join(what, " "), func() error { return kernel.Folder(path) })
		},
	}
}

func (d *watched) sync(what string, really func() error) error {
	d.synced++
	if d.failAt(d.synced) {
		d.acts = append(d.acts, "NOT "+what)
		return errDisk
	}
	d.acts = append(d.acts, what)
	return really()
}

func (d *watched) lastRecord(path string) string {
	d.o.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		d.o.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	var last struct {
		Record struct{ Op, Step string }
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		d.o.t.Fatalf("the journal is damaged: %q, %v", data, err)
	}
	return strings.TrimSpace(last.Record.Op + " " + last.Record.Step)
}

// The journal is on the disk before what it announces is done, and before what comes
// next: by an install, by one that goes on after a power cut, and by an uninstall.
func TestTheJournalIsOnTheDiskBeforeTheAct(t *testing.T) {
	t.Attr("shows", "mend")
	d := newWatched(t)
	check := func(what string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, d.acts); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
		d.restart()
	}
	whole := []string{
		"folder opt/.foyer.foyer-install/install: journal", "folder opt/.foyer.foyer-install: install", "folder opt: foyer", "journal: begin", // the journal itself
		"journal: intent one", "apply one", "journal: done one", "journal: intent two", "apply two", "journal: done two", "journal: finished",
	}
	mustApply(t, d.Installer)
	check("install", whole...)

	mustApply(t, d.Installer)
	check("again", "journal: finished")

	delete(d.w, "c")
	mustApply(t, d.Installer)
	check("repair", "journal: finished", "journal: intent two", "apply two", "journal: done two", "journal: finished")

	mustUndo(t, d.Installer, true)
	check("uninstall", "journal: finished", "undo two", "journal: undone two", "undo one", "journal: undone one", "folder opt:")

	// The power goes at the end of the first step; what was open is closed.
	d.hook = func(point string) {
		if point == "apply one" {
			panic(errPowerCut)
		}
	}
	if !cut(func() { d.Apply(t.Context(), nil) }) { //nolint:errcheck // it does not return
		t.Fatal("the power was not cut")
	}
	check("until the power is cut", whole[:6]...)
	mustApply(t, d.Installer)
	check("after that", append([]string{"journal: intent one", "journal: done one"}, whole[7:]...)...)
}

// A disk that cannot promise to keep what the journal says stops everything at once:
// nothing is done that was not announced, and what was done is not forgotten.
func TestADiskThatKeepsNothingStopsTheInstall(t *testing.T) {
	t.Attr("shows", "mend")
	calm := newWatched(t)
	mustApply(t, calm.Installer)
	for n := 1; n <= calm.synced; n++ {
		for _, c := range []struct {
			name string
			fail func(at int) bool
		}{
			{"once", func(at int) bool { return at == n }},
			{"from then on", func(at int) bool { return at >= n }},
		} {
			t.Run(fmt.Sprintf("sync %d fails %s", n, c.name), func(t *testing.T) {
				d := newWatched(t)
				before := d.o.tree()
				d.failAt = c.fail
				if _, err := d.Apply(t.Context(), nil); !errors.Is(err, errDisk) {
					t.Fatalf("error %v; it was done: %q", err, d.acts)
				}
				at := slices.IndexFunc(d.acts, func(act string) bool { return strings.HasPrefix(act, "NOT ") })
				if slices.ContainsFunc(d.acts[at:], func(act string) bool { return strings.HasPrefix(act, "apply ") }) {
					t.Errorf("it went on: %q", d.acts)
				}
				h, err := step.Peek(filepath.Dir(d.o.path(journalFile)), slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				for thing := range d.w {
					if thing != "theirs" && !slices.ContainsFunc(h.Made(), func(c step.Change) bool { return c.What == thing }) {
						t.Errorf("%s is there, and the journal does not know of it", thing)
					}
				}
				// With a disk that works all can be taken back.
				d.failAt = func(int) bool { return false }
				d.restart()
				if _, err := d.Undo(t.Context(), true, nil); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(world{"theirs": true}, d.w); diff != "" {
					t.Errorf("left: %s", diff)
				}
				if diff := cmp.Diff(before, d.o.tree()); diff != "" {
					t.Errorf("left: %s", diff)
				}
			})
		}
	}
}

// So does an uninstall: what was taken back and cannot be noted is taken back again.
func TestADiskThatKeepsNothingStopsTheUninstall(t *testing.T) {
	calm := newWatched(t)
	mustApply(t, calm.Installer)
	calm.restart()
	mustUndo(t, calm.Installer, true)
	for n := 1; n <= calm.synced; n++ {
		t.Run(fmt.Sprint("sync ", n, " fails"), func(t *testing.T) {
			d := newWatched(t)
			before := d.o.tree()
			mustApply(t, d.Installer)
			d.restart()
			d.failAt = func(at int) bool { return at >= n }
			if _, err := d.Undo(t.Context(), true, nil); !errors.Is(err, errDisk) {
				t.Fatalf("error %v; it was done: %q", err, d.acts)
			}
			if last := d.acts[len(d.acts)-1]; !strings.HasPrefix(last, "NOT ") {
				t.Errorf("it went on: %q", d.acts)
			}
			d.failAt = func(int) bool { return false }
			d.restart()
			if _, err := d.Undo(t.Context(), true, nil); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(world{"theirs": true}, d.w); diff != "" {
				t.Errorf("left: %s", diff)
			}
			if diff := cmp.Diff(before, d.o.tree()); diff != "" {
				t.Errorf("left: %s", diff)
			}
		})
	}
}
