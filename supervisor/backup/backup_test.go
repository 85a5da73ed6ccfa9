package backup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/foyer-server/foyer/supervisor/backup/object"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// What is written is in the backup a cycle later, and comes back: right after the first
// base, after more changes, after a restart, after days of merging and deleting.
func TestWhatIsWrittenComesBack(t *testing.T) {
	seeds := uint64(3)
	if watched {
		seeds = 1
	}
	for seed := range seeds {
		h := newHouse(t, seed)
		h.writes(t, 150)
		h.cycles(t, 2)
		h.whole(t)
		for range 5 {
			h.writes(t, 20)
			h.cycles(t, 1)
			h.now = h.now.Add(5 * time.Second)
		}
		h.whole(t)
		h.restart(t)
		h.writes(t, 20)
		h.cycles(t, 1)
		h.whole(t)
		for day := range 6 {
			for range 8 {
				h.writes(t, 3)
				h.cycles(t, 1)
				h.now = h.now.Add(3 * time.Hour / 2)
			}
			h.now = h.now.Add(12 * time.Hour)
			if day%2 == 1 {
				h.restart(t)
			}
		}
		h.cycles(t, 2)
		h.whole(t)
		kinds := map[object.Kind]int{}
		for _, ent := range h.st.Objects {
			kinds[ent.Kind]++
		}
		if kinds[object.Merge] == 0 || len(h.st.Objects) > 80 {
			t.Errorf("after a week %d objects are there: %v", len(h.st.Objects), kinds)
		}
		if got := len(h.memory.objects); got != len(h.st.Objects) {
			t.Errorf("%d objects are at the target, %d are known", got, len(h.st.Objects))
		}
	}
}

// While nothing is written, nothing is: but a beat each hour.
func TestAtRest(t *testing.T) {
	h := newHouse(t, 1)
	h.writes(t, 50)
	h.cycles(t, 3)
	before := h.memory.puts
	for range 3 * 720 {
		h.now = h.now.Add(5 * time.Second)
		h.cycles(t, 1)
	}
	if got := h.memory.puts - before; got < 3 || got > 6 {
		t.Errorf("%d objects in three hours in which nothing was written", got)
	}
	h.whole(t)
}

// A target that is away for a day gets all that was written meanwhile, and no new base.
func TestTargetAway(t *testing.T) {
	h := newHouse(t, 2)
	h.writes(t, 50)
	h.cycles(t, 2)
	bases := len(h.st.Bases)
	h.memory.deny = func(string, string) error { return fmt.Errorf("%w: unplugged", target.ErrAway) }
	for range 200 {
		h.writes(t, 1)
		h.now = h.now.Add(7 * time.Minute)
		if err := h.Cycle(t.Context()); !errors.Is(err, target.ErrAway) {
			t.Fatalf("a cycle without a target: %v", err)
		}
		if h.writer.Rand.IntN(50) == 0 {
			h.restart(t)
		}
	}
	h.memory.deny = nil
	h.cycles(t, 2)
	h.whole(t)
	if len(h.st.Bases) != bases {
		t.Errorf("%d bases, where there were %d", len(h.st.Bases), bases)
	}
}

// What is known of the chain here can be lost.
func TestNothingKnown(t *testing.T) {
	h := newHouse(t, 3)
	h.writes(t, 80)
	h.cycles(t, 2)
	for range 40 {
		h.writes(t, 3)
		h.cycles(t, 1)
		h.now = h.now.Add(2 * time.Hour)
	}
	h.Engine = h.engine(t, h.Keys, t.TempDir())
	h.writes(t, 5)
	h.cycles(t, 4)
	h.whole(t)
	for range 30 {
		h.writes(t, 3)
		h.cycles(t, 1)
		h.now = h.now.Add(2 * time.Hour)
	}
	h.whole(t)
	if got := len(h.memory.objects); got != len(h.st.Objects) {
		t.Errorf("%d objects are at the target, %d are known", got, len(h.st.Objects))
	}
}

// The log is cut: a new base is made, and what was there before stays restorable.
func TestCut(t *testing.T) {
	h := newHouse(t, 4)
	h.writes(t, 50)
	h.cycles(t, 2)
	h.writes(t, 10)
	h.cycles(t, 1)
	before := newest(t, h.found(t))
	if err := h.db.Unfollow(t.Context(), h.follower()); err != nil {
		t.Fatal(err)
	}
	h.writes(t, 30)
	h.now = h.now.Add(time.Hour)
	h.cycles(t, 2)
	h.whole(t)
	if !slices.ContainsFunc(h.found(t).Points(), func(p Point) bool { return p.Position == before.Position }) {
		t.Error("what was there before the log was cut cannot be restored any more")
	}
}

// Somebody else on the chain, by a copy of this machine or by the same words, is noticed at
// the next object, and nothing of theirs is taken for ours.
func TestTwoMachines(t *testing.T) {
	h := newHouse(t, 5)
	h.writes(t, 50)
	h.cycles(t, 2)
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join(h.Dir, "chain.json"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "chain.json"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	other := newHouse(t, 6)
	other.memory = h.memory
	other.Engine = other.engine(t, h.Keys, dir)
	other.writes(t, 5)
	if err := other.Cycle(t.Context()); err != nil && !errors.Is(err, ErrTwoMachines) {
		t.Errorf("the other: %v", err)
	}
	h.writes(t, 5)
	h.now = h.now.Add(2 * time.Hour)
	err = h.Cycle(t.Context())
	if err == nil {
		err = other.Cycle(t.Context())
	}
	if !errors.Is(err, ErrTwoMachines) {
		t.Errorf("two machines on one chain: %v", err)
	}
	// With the keys of another machine.
	stranger := newHouse(t, 7)
	stranger.memory = h.memory
	keys := newKeys(t)
	keys.Chain = h.Keys.Chain
	stranger.Engine = stranger.engine(t, keys, t.TempDir())
	if err := stranger.Cycle(t.Context()); !errors.Is(err, ErrTwoMachines) {
		t.Errorf("a stranger on the chain: %v", err)
	}
}

// A target that has less than it had is told at once, by what is missing.
func TestRolledBack(t *testing.T) {
	for name, drop := range map[string]func(names []string) string{
		"the newest":     func(names []string) string { return names[len(names)-1] },
		"one in between": func(names []string) string { return names[len(names)-3] },
		"part of a base": func(names []string) string { return names[0] },
		"the manifest":   func(names []string) string { return names[1] },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, 8)
			h.writes(t, 50)
			h.cycles(t, 2)
			for range 5 {
				h.writes(t, 5)
				h.cycles(t, 1)
			}
			if err := h.Stop(); err != nil {
				t.Fatal(err)
			}
			delete(h.memory.objects, drop(h.memory.names()))
			h.restart(t)
			if err := h.Cycle(t.Context()); !errors.Is(err, ErrRolledBack) {
				t.Errorf("after a start: %v", err)
			}
			// And while it runs, within the hour.
			h = newHouse(t, 8)
			h.writes(t, 50)
			h.cycles(t, 2)
			for range 5 {
				h.writes(t, 5)
				h.cycles(t, 1)
			}
			delete(h.memory.objects, drop(h.memory.names()))
			h.now = h.now.Add(time.Hour)
			if err := h.Cycle(t.Context()); !errors.Is(err, ErrRolledBack) {
				t.Errorf("an hour later: %v", err)
			}
		})
	}
}

// An answer that was lost, of an object that was stored, does no harm.
func TestLostAnswers(t *testing.T) {
	h := newHouse(t, 9)
	h.writes(t, 50)
	lost := 0
	h.memory.after = func(op, _ string) error {
		if op == "put" && h.writer.Rand.IntN(3) == 0 {
			lost++
			return fmt.Errorf("%w: no answer", target.ErrAway)
		}
		return nil
	}
	for range 120 {
		h.writes(t, 1)
		h.now = h.now.Add(11 * time.Minute)
		if err := h.Cycle(t.Context()); err != nil && !errors.Is(err, target.ErrAway) {
			t.Fatal(err)
		}
		if h.writer.Rand.IntN(20) == 0 {
			h.restart(t)
		}
	}
	h.memory.after = nil
	h.cycles(t, 2)
	h.whole(t)
	if lost < 10 {
		t.Errorf("%d answers were lost", lost)
	}
}

// Points in between come back as they were: of each that is still kept, what was there.
func TestAsOfAMoment(t *testing.T) {
	h := newHouse(t, 10)
	h.writes(t, 60)
	h.cycles(t, 2)
	was := map[int64]string{}
	note := func() {
		sum, at, err := h.db.Summarize(t.Context(), time.Time{}.Add(1))
		if err != nil {
			t.Fatal(err)
		}
		text, err := sum.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		was[at.Seq] = string(text)
	}
	for range 60 {
		h.writes(t, 1+h.writer.Rand.IntN(4))
		h.cycles(t, 1)
		note()
		h.now = h.now.Add(time.Duration(h.writer.Rand.IntN(5*60)) * time.Minute)
	}
	b := h.found(t)
	compared := 0
	for _, p := range b.Points() {
		want, known := was[p.Position.Seq]
		if !known || watched && compared > 5 {
			continue
		}
		text, err := restored(t, b, p, time.Time{}.Add(1)).MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if string(text) != want {
			t.Errorf("of %s something else came back", p.At)
		}
		compared++
	}
	if compared < 20 && !watched {
		t.Errorf("only %d points were compared", compared)
	}
}

// Whatever is wrong with an object, it is named, and the last point before it comes back.
func TestDamage(t *testing.T) {
	h := newHouse(t, 11)
	h.writes(t, 60)
	h.cycles(t, 2)
	for range 6 {
		h.writes(t, 5)
		h.cycles(t, 1)
		h.now = h.now.Add(time.Minute)
	}
	names := h.memory.names()
	for i, name := range names {
		whole := h.memory.objects[name]
		for what, bad := range map[string][]byte{
			// That the newest is missing is what the machine notices (TestRolledBack): the target
			// shows a backup that is whole and older.
			"flipped": slices.Concat(whole[:len(whole)/2], []byte{whole[len(whole)/2] ^ 1}, whole[len(whole)/2+1:]),
			"cut":     whole[:len(whole)-1],
			"empty":   {},
			"missing": nil,
			"other":   h.memory.objects[names[(i+1)%len(names)]],
		} {
			if bad == nil && i == len(names)-1 {
				continue
			}
			h.memory.objects[name] = bad
			if bad == nil {
				delete(h.memory.objects, name)
			}
			b, err := Find(t.Context(), h.memory, h.Keys.expect())
			switch n, _ := number(name); {
			case err != nil && errors.Is(err, ErrNothing) && (i <= 1):
				// the base, or the only manifest
			case err != nil:
				t.Errorf("%s %s: %v", name, what, err)
			default:
				named := slices.ContainsFunc(b.Problems, func(p Problem) bool { return p.N == n })
				if points := b.Points(); len(points) > 0 {
					lines, err := b.Lines(t.Context(), points[len(points)-1])
					if err == nil {
						for _, e := range lines {
							err = errors.Join(err, e)
						}
					}
					if err != nil {
						named = true
					}
				}
				if !named {
					t.Errorf("%s %s: nobody notices", name, what)
				}
			}
		}
		h.memory.objects[name] = whole
	}
	h.whole(t)
}
