package installer

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/step"
)

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

func (s fakeStep) Title() hint.Text { return hint.Verbatim(s.id) }

func (s fakeStep) Check(context.Context) ([]step.Change, error) {
	var out []step.Change
	for _, thing := range s.things {
		if !s.w[thing] {
			out = append(out, step.Change{Op: step.Made, Kind: step.KindFile, What: thing, Stays: strings.HasSuffix(thing, "!")})
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

func (s fakeStep) Undo(_ context.Context, made []step.Change, _ bool) error {
	for _, c := range made {
		s.o.tick()
		delete(s.w, c.What)
	}
	s.o.tick()
	return nil
}

var _ step.Step = fakeStep{}

// The engine by itself: cut between any two acts, done again, undone.
func TestEngineGoesOnWhereItWasCut(t *testing.T) {
	t.Parallel()
	script := func(o *fakeOS, w world) *Installer {
		in := o.installer(nil)
		in.steps = func(*machine) []step.Step {
			return []step.Step{
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
	in.steps = func(*machine) []step.Step {
		return []step.Step{fakeStep{"one", []string{"a"}, w, o, nil}, fakeStep{"two", []string{"b"}, world{}, o, fmt.Errorf("no")}}
	}
	if _, err := in.Apply(t.Context(), nil); code(err) != "install-failed" || len(w) != 0 {
		t.Errorf("left %v, %v", w, err)
	}
}
