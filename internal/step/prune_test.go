package step

import (
	"context"
	"maps"
	"slices"
	"testing"
)

// pruning is a step that does not want all any more of what it has made.
type pruning struct {
	fake
	unwanted []string
}

func (s pruning) Unwanted(context.Context) (out []Change, err error) {
	for _, c := range s.history().MadeBy(s.id) {
		if slices.Contains(s.unwanted, c.What) {
			out = append(out, c)
		}
	}
	return out, nil
}

// What is not wanted any more is taken back, and forgotten: a run that was at its end is so
// still, and what all of it is taken back later are the other things. The power goes at
// every moment of it.
func TestWhatIsNotWantedAnyMoreIsTakenBack(t *testing.T) {
	t.Attr("shows", "ground2")
	for n, went := 1, true; went; n++ {
		m := newMachine(t)
		if err := m.apply(m.step("one", "a"), pruning{m.step("two", "b", "c"), nil}); err != nil {
			t.Fatal(err)
		}
		now := []Step{m.step("one", "a"), pruning{m.step("two", "c", "d"), []string{"b"}}}
		m.moment, m.cutAt = 0, n
		went = cut(func() {
			if err := m.apply(now...); err != nil {
				t.Errorf("moment %d: %v", n, err)
			}
		})
		if !went && n < 8 {
			t.Errorf("only %d moments", n)
		}
		if h := m.history(); !h.Finished() {
			t.Errorf("moment %d: it counts as unfinished", n)
		}
		m.cutAt, m.told = 0, nil
		err := m.run(func(r *Run) error {
			_, err := r.Apply(t.Context())
			if gone := r.Pruned(); !went && len(gone) > 0 {
				t.Errorf("taken back twice: %v", gone)
			}
			return err
		}, now...)
		if err != nil {
			t.Fatalf("moment %d: %v", n, err)
		}
		if want := map[string]bool{"theirs": true, "a": true, "c": true, "d": true}; !maps.Equal(m.things, want) {
			t.Errorf("moment %d: there are %v", n, m.things)
		}
		h := m.history()
		var made []string
		for _, c := range h.MadeBy("two") {
			made = append(made, c.What)
		}
		if !slices.Equal(made, []string{"c", "d"}) || !h.Finished() || !h.Acted("two") {
			t.Errorf("moment %d: the journal has %q, finished %t, acted %t", n, made, h.Finished(), h.Acted("two"))
		}
		// All of it is unwanted: the step has acted still, until it is taken back as a whole.
		none := []Step{m.step("one", "a"), pruning{m.step("two"), []string{"c", "d"}}}
		if err := m.apply(none...); err != nil {
			t.Fatal(err)
		}
		if h := m.history(); len(h.MadeBy("two")) > 0 || !h.Acted("two") || !h.Finished() {
			t.Errorf("moment %d: %v, acted %t, finished %t", n, h.MadeBy("two"), h.Acted("two"), h.Finished())
		}
		if err := m.apply(now...); err != nil {
			t.Fatal(err)
		}
		err = m.run(func(r *Run) error { return r.Undo(t.Context(), m.history().Made(), true) }, now...)
		if err != nil || !maps.Equal(m.things, map[string]bool{"theirs": true}) || m.history().Acted("two") {
			t.Errorf("moment %d: taken back: %v, %v", n, m.things, err)
		}
	}
}
