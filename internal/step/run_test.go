package step

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/hint"
)

var (
	errDisk     = errors.New("input/output error")
	errPowerCut = errors.New("the power is cut")
)

// machine is what fake steps change, and where their journal is. Between any two acts the
// power may go.
type machine struct {
	t      *testing.T
	dir    string
	things map[string]bool
	moment int
	cutAt  int // 0: never
	told   []string
	acts   []string // of steps, and what is made durable meanwhile
	keeps  func() error
}

func newMachine(t *testing.T) *machine {
	return &machine{t: t, dir: filepath.Join(t.TempDir(), "opt", "foyer", "install"), things: map[string]bool{"theirs": true}, keeps: func() error { return nil }}
}

func (m *machine) tick() {
	m.moment++
	if m.moment == m.cutAt {
		panic(errPowerCut)
	}
}

// disk tells what is made durable, and when; it keeps it only as long as keeps says so.
func (m *machine) disk() Disk {
	kernel := RealDisk()
	tell := func(what string, really func() error) error {
		if err := m.keeps(); err != nil {
			m.acts = append(m.acts, "NOT "+what)
			return err
		}
		m.acts = append(m.acts, what)
		return really()
	}
	return Disk{
		File: func(f *os.File) error {
			records, _, err := read(m.dir, quiet)
			if err != nil {
				m.t.Error(err)
			}
			last := records[len(records)-1]
			return tell(strings.TrimSpace("journal: "+last.Op+" "+last.Step), func() error { return kernel.File(f) })
		},
		Folder: func(path string) error {
			return tell("folder", func() error { return kernel.Folder(path) })
		},
	}
}

// run has a run of its own do something, as a new process would.
func (m *machine) run(do func(*Run) error, steps ...Step) error {
	m.t.Helper()
	j, err := OpenJournal(m.dir, quiet, m.disk())
	if err != nil {
		return err
	}
	defer j.Close()
	r := New(Config{Steps: steps, Journal: j, Hook: func(string) { m.tick() }, Report: func(e Event) { m.told = append(m.told, e.Kind+" "+e.Step) }})
	return do(r)
}

func (m *machine) apply(steps ...Step) error {
	m.t.Helper()
	return m.run(func(r *Run) error {
		_, err := r.Apply(m.t.Context())
		return err
	}, steps...)
}

// cut runs f until the power goes, and reports whether it did.
func cut(f func()) (went bool) {
	defer func() {
		if r := recover(); r != nil {
			if r != any(errPowerCut) {
				panic(r)
			}
			went = true
		}
	}()
	f()
	return false
}

func (m *machine) history() *History {
	m.t.Helper()
	h, err := Peek(m.dir, quiet)
	if err != nil {
		m.t.Fatal(err)
	}
	return h
}

// fake makes things, one after the other.
type fake struct {
	*machine
	id     string
	wants  []string
	does   []string // as many of them as it does when it is asked to
	edited string   // what it only reports
	blind  error    // what its second look ends with
	looks  *int
}

func (m *machine) step(id string, wants ...string) fake {
	return fake{machine: m, id: id, wants: wants, does: wants, looks: new(int)}
}

func (s fake) ID() string       { return s.id }
func (s fake) Title() hint.Text { return hint.Verbatim("the step " + s.id) }

func (s fake) Check(context.Context) (out []Change, err error) {
	if *s.looks++; *s.looks > 1 && s.blind != nil {
		return nil, s.blind
	}
	if s.edited != "" {
		out = append(out, Change{Op: Edited, Kind: KindFile, What: s.edited})
	}
	for _, thing := range s.wants {
		if !s.things[thing] {
			out = append(out, Change{Op: Made, Kind: KindFile, What: thing, Stays: strings.HasSuffix(thing, "!")})
		}
	}
	return out, nil
}

func (s fake) Apply(context.Context) error {
	s.acts = append(s.acts, "apply "+s.id)
	for _, thing := range s.does {
		s.tick()
		s.things[thing] = true
	}
	s.tick()
	return nil
}

func (s fake) Undo(_ context.Context, made []Change, _ bool) error {
	s.acts = append(s.acts, "undo "+s.id)
	for _, c := range made {
		s.tick()
		delete(s.things, c.What)
	}
	s.tick()
	return nil
}

// A step is done when a second look finds nothing left, not when it says so. What was
// announced can be taken back, whether it was reached or not.
func TestAStepIsDoneWhenASecondLookSaysSo(t *testing.T) {
	t.Attr("shows", "ground")
	for _, c := range []struct {
		name  string
		does  []string
		blind error
		says  string // "": it is done
	}{
		{"all of it is there", []string{"b", "c"}, nil, ""},
		{"nothing is there", nil, nil, "cannot do the step two: file b is still to be done"},
		{"half of it is there", []string{"b"}, nil, "cannot do the step two: file c is still to be done"},
		{"one cannot look again", []string{"b", "c"}, errors.New("the disk is gone"), "cannot check the step two: the disk is gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t)
			two := m.step("two", "b", "c")
			two.does, two.blind = c.does, c.blind
			err := m.run(func(r *Run) error {
				_, err := r.Apply(t.Context())
				if err == nil {
					return nil
				}
				if back := r.RollBack(t.Context()); back != nil {
					t.Error(back)
				}
				return err
			}, m.step("one", "a"), two, m.step("three", "d"))
			want, things := []string{"started one", "done one", "started two", "done two", "started three", "done three"}, "a b c d theirs"
			if c.says != "" {
				want, things = append(want[:3:3], "failed two", "undone two", "undone one"), "theirs"
				if failed, ok := errors.AsType[*FailedError](err); !ok || failed.Step != "two" || err.Error() != c.says {
					t.Errorf("error %v", err)
				}
			} else if err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(want, m.told); diff != "" {
				t.Error("told:", diff)
			}
			if left := strings.Join(slices.Sorted(maps.Keys(m.things)), " "); left != things {
				t.Errorf("left %s, want %s", left, things)
			}
			if h := m.history(); h.Finished() != (c.says == "") || h.Open("one") || h.Open("two") {
				t.Errorf("the journal says %+v", h)
			}
		})
	}
}

// What was edited by hand stays so, is told, and is not left to do.
func TestWhatIsEditedIsOnlyReported(t *testing.T) {
	m := newMachine(t)
	one := m.step("one", "a")
	one.edited = "theirs"
	err := m.run(func(r *Run) error {
		edited, err := r.Apply(t.Context())
		if diff := cmp.Diff([]Change{{Step: "one", Op: Edited, Kind: KindFile, What: "theirs"}}, edited); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]Change{{Step: "one", Op: Made, Kind: KindFile, What: "a"}}, r.Made()); diff != "" {
			t.Error(diff)
		}
		return err
	}, one)
	if err != nil {
		t.Error(err)
	}
}

// The journal is on the disk before what it announces is done, and before what comes next.
func TestTheJournalIsOnTheDiskBeforeTheAct(t *testing.T) {
	t.Attr("shows", "ground")
	m := newMachine(t)
	steps := []Step{m.step("one", "a"), m.step("none"), m.step("two", "b")}
	check := func(what string, want ...string) {
		t.Helper()
		acts := slices.DeleteFunc(m.acts, func(act string) bool { return act == "folder" })
		if diff := cmp.Diff(want, acts); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
		m.acts = nil
	}
	if err := m.apply(steps...); err != nil {
		t.Fatal(err)
	}
	check("first", "journal: begin", "journal: intent one", "apply one", "journal: done one", "journal: intent two", "apply two", "journal: done two", "journal: finished")
	if err := m.apply(steps...); err != nil {
		t.Fatal(err)
	}
	check("again", "journal: finished")
	undo := func(r *Run) error { return r.Undo(t.Context(), r.cfg.Journal.Made(), true) }
	if err := m.run(undo, steps...); err != nil {
		t.Fatal(err)
	}
	check("taken back", "journal: finished", "undo two", "journal: undone two", "undo one", "journal: undone one")
}

// A disk that cannot promise to keep what the journal says stops a run at once: nothing is
// done that was not announced, and what was done is not forgotten.
func TestADiskThatKeepsNothingStopsARun(t *testing.T) {
	t.Attr("shows", "ground")
	for n := 1; ; n++ {
		m, at := newMachine(t), 0
		m.keeps = func() error {
			if at++; at >= n {
				return errDisk
			}
			return nil
		}
		steps := []Step{m.step("one", "a"), m.step("two", "b")}
		err := m.apply(steps...)
		if err == nil {
			if n < 8 {
				t.Fatalf("only %d times is something made durable", n)
			}
			break
		}
		if !errors.Is(err, errDisk) {
			t.Fatal(err)
		}
		if last := m.acts[len(m.acts)-1]; !strings.HasPrefix(last, "NOT ") {
			t.Errorf("sync %d failed, and it went on: %q", n, m.acts)
		}
		for thing := range m.things {
			if thing != "theirs" && !slices.ContainsFunc(m.history().Made(), func(c Change) bool { return c.What == thing }) {
				t.Errorf("sync %d failed: %s is there, and the journal does not know of it", n, thing)
			}
		}
		m.keeps = func() error { return nil }
		if err := m.apply(steps...); err != nil {
			t.Errorf("sync %d failed; with a disk that works: %v", n, err)
		}
	}
}

// Cut between any two acts, a list goes on where it was, and so does taking it back.
func TestARunGoesOnWhereItWasCut(t *testing.T) {
	t.Attr("shows", "ground")
	script := func(t *testing.T) (*machine, []Step) {
		m := newMachine(t)
		m.things["e"] = true
		return m, []Step{m.step("one", "a", "b!", "c"), m.step("none"), m.step("two", "d", "e"), m.step("three", "f!")}
	}
	calm, steps := script(t)
	if err := calm.apply(steps...); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= calm.moment; n++ {
		m, steps := script(t)
		m.cutAt = n
		if !cut(func() { m.apply(steps...) }) { //nolint:errcheck // it does not return
			t.Fatalf("moment %d never came", n)
		}
		if err := m.apply(steps...); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(calm.things, m.things); diff != "" {
			t.Errorf("moment %d: %s", n, diff)
		}
		undo := func(r *Run) error {
			return r.Undo(t.Context(), slices.DeleteFunc(r.cfg.Journal.Made(), func(c Change) bool { return c.Stays }), false)
		}
		m.moment = 0                          // and now while it is taken back
		cut(func() { m.run(undo, steps...) }) //nolint:errcheck // it may not return
		m.cutAt = 0
		if err := m.run(undo, steps...); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]bool{"theirs": true, "e": true, "b!": true, "f!": true}, m.things); diff != "" {
			t.Errorf("moment %d, taken back: %s", n, diff)
		}
	}
}

// A list that is to be whole or not at all is taken back when it was cut off; what earlier
// ones made stays, and of one that came to its end there is nothing to take back.
func TestARunThatWasCutOffIsTakenBack(t *testing.T) {
	t.Attr("shows", "ground")
	script := func(t *testing.T) (*machine, []Step) {
		m := newMachine(t)
		if err := m.apply(m.step("one", "a"), m.step("two", "b")); err != nil {
			t.Fatal(err)
		}
		m.moment = 0
		return m, []Step{m.step("one", "a", "new a"), m.step("two", "b", "new b", "newer b"), m.step("three", "c")}
	}
	calm, steps := script(t)
	if err := calm.apply(steps...); err != nil {
		t.Fatal(err)
	}
	if left := calm.history().CutOff(); len(left) > 0 {
		t.Errorf("of a run that came to its end: %v", left)
	}
	takeBack := func(r *Run) error { return r.Undo(t.Context(), r.cfg.Journal.CutOff(), true) }
	for n := 1; n < calm.moment; n++ {
		m, steps := script(t)
		before := maps.Clone(m.things)
		m.cutAt = n
		if !cut(func() { m.apply(steps...) }) { //nolint:errcheck // it does not return
			t.Fatalf("moment %d never came", n)
		}
		m.moment = 0                              // the power goes again while it is taken back
		cut(func() { m.run(takeBack, steps...) }) //nolint:errcheck // it may not return
		m.cutAt = 0
		if err := m.run(takeBack, steps...); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, m.things); diff != "" {
			t.Errorf("cut at moment %d: %s", n, diff)
		}
		if left := m.history().CutOff(); len(left) > 0 {
			t.Errorf("cut at moment %d: there is still %v", n, left)
		}
	}
}

// What does not know its place is told where it is.
func TestEvents(t *testing.T) {
	m := newMachine(t)
	var got []string
	err := m.run(func(r *Run) error {
		r.cfg.Report = func(e Event) {
			got = append(got, fmt.Sprintf("%s %d/%d %s: %s", e.Kind, e.N, e.Of, e.Title.EN, e.Word().EN))
		}
		_, err := r.Apply(t.Context())
		return err
	}, m.step("one", "a"), m.step("two", "theirs"))
	want := []string{"started 1/2 the step one: begins", "done 1/2 the step one: ok", "started 2/2 the step two: begins", "done 2/2 the step two: already so"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}
