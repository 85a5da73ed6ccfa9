package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
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
		kinds, live := map[object.Kind]int{}, map[object.Kind]int{}
		for _, ent := range h.st.Objects {
			kinds[ent.Kind]++
			if ent.live() {
				live[ent.Kind]++
			}
		}
		if live[object.Manifest] != 1 || live[object.Beat] > 1 || kinds[object.Manifest] > 30 {
			t.Errorf("manifests and beats stay for ever: %v, live %v", kinds, live)
		}
		if kinds[object.Merge] == 0 || len(h.st.Objects) > 80 {
			t.Errorf("after a week %d objects are there: %v", len(h.st.Objects), kinds)
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

// What is there to restore is found at any hour of a day in which nothing was written: when
// the newest objects are beats, which have no lines.
func TestFoundAtRest(t *testing.T) {
	h := newHouse(t, 13)
	h.writes(t, 20)
	h.cycles(t, 2)
	for range 30 {
		h.now = h.now.Add(time.Hour)
		h.cycles(t, 1)
		h.found(t)
	}
	h.Engine = h.engine(t, h.Keys, t.TempDir())
	h.cycles(t, 1)
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

// A target that goes away between the first base and its manifest gets that when it is back:
// without it nothing can be restored.
func TestTheFirstManifestIsMadeUpFor(t *testing.T) {
	h := newHouse(t, 12)
	h.writes(t, 50)
	h.memory.deny = func(op, name string) error {
		if op == "put" && name == h.name(2) {
			return fmt.Errorf("%w: unplugged", target.ErrAway)
		}
		return nil
	}
	for range 3 {
		if err := h.Cycle(t.Context()); !errors.Is(err, target.ErrAway) {
			t.Fatalf("no manifest was to be put: %v", err)
		}
	}
	h.memory.deny = nil
	h.cycles(t, 1)
	h.whole(t)
}

// A death, or a target that goes away, between a base or a merge and the manifest that names
// it costs nothing: the manifest is made up for, and until then nothing goes that an earlier
// one names.
func TestManifestsAreMadeUpFor(t *testing.T) {
	deny := func(h *house, puts int) {
		h.memory.deny = func(op, _ string) error {
			if op != "put" {
				return nil
			}
			if puts--; puts < 0 {
				return fmt.Errorf("%w: unplugged", target.ErrAway)
			}
			return nil
		}
	}
	for _, base := range []bool{true, false} {
		for puts := range 5 {
			if puts%dose(1, 2) != 0 {
				continue
			}
			h := newHouse(t, 18)
			h.writes(t, 50)
			h.cycles(t, 2)
			for range 5 {
				h.writes(t, 2)
				h.cycles(t, 1)
				h.now = h.now.Add(time.Minute)
			}
			if base {
				if err := h.db.Unfollow(t.Context(), Follower(h.Keys.Chain.ID)); err != nil {
					t.Fatal(err)
				}
			} else {
				h.now = h.now.Add(time.Hour)
			}
			h.writes(t, 2)
			deny(h, puts)
			if err := h.Cycle(t.Context()); err != nil && !errors.Is(err, target.ErrAway) {
				t.Fatal(err)
			}
			h.restart(t)
			if err := h.Cycle(t.Context()); err != nil && !errors.Is(err, target.ErrAway) {
				t.Fatal(err)
			}
			// What an earlier manifest names is there, and comes back, for however long.
			before := h.found(t)
			if len(before.Problems) > 0 {
				t.Errorf("base %v, %d puts: %v", base, puts, before.Problems)
			}
			restored(t, before, newest(t, before), h.now)
			h.memory.deny = nil
			h.cycles(t, 1)
			h.whole(t)
			h.now = h.now.Add(26 * time.Hour)
			h.restart(t)
			h.cycles(t, 1)
			h.whole(t)
		}
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
}

// The log is cut: a new base is made, and what was there before stays restorable.
func TestCut(t *testing.T) {
	h := newHouse(t, 4)
	h.writes(t, 50)
	h.cycles(t, 2)
	h.writes(t, 10)
	h.cycles(t, 1)
	before := newest(t, h.found(t))
	want, err := restored(t, h.found(t), before, time.Time{}.Add(1)).MarshalJSON()
	if err == nil {
		err = h.db.Unfollow(t.Context(), Follower(h.Keys.Chain.ID))
	}
	if err != nil {
		t.Fatal(err)
	}
	hole := h.st.Position.Seq
	h.writes(t, 30)
	h.now = h.now.Add(time.Minute)
	h.cycles(t, 2)
	h.whole(t)
	got, err := restored(t, h.found(t), before, time.Time{}.Add(1)).MarshalJSON()
	if err != nil || string(got) != string(want) {
		t.Errorf("what was there before the log was cut is another now: %v", err)
	}
	// Nor do stretches on both sides of the hole become one.
	h.writes(t, 5)
	h.cycles(t, 1)
	for range 40 {
		h.writes(t, 2)
		h.now = h.now.Add(time.Hour)
		h.cycles(t, 1)
	}
	h.whole(t)
	for _, ent := range h.st.Objects {
		if ent.stretch() && ent.From.Seq <= hole && ent.To.Seq > hole {
			t.Errorf("object %d goes from %d over the hole at %d to %d", ent.N, ent.From.Seq, hole, ent.To.Seq)
		}
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
			delete(h.memory.objects, drop(h.memory.segments()))
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
			delete(h.memory.objects, drop(h.memory.segments()))
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

// A merge that was stored, and whose answer was lost, takes the place of what it was made of, too:
// everything after it can still be restored, by this process and by the next.
func TestLostAnswerOfAMerge(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		h := newHouse(t, 14)
		h.writes(t, 20)
		h.cycles(t, 2)
		merges, step := 0, ""
		h.Begins = func(is string) { step = is }
		h.memory.after = func(op, _ string) error {
			if op == "put" && step == "merge" {
				merges++
				return fmt.Errorf("%w: no answer", target.ErrAway)
			}
			return nil
		}
		for merges == 0 {
			h.writes(t, 1)
			h.now = h.now.Add(11 * time.Minute)
			if err := h.Cycle(t.Context()); err != nil && !errors.Is(err, target.ErrAway) {
				t.Fatal(err)
			}
		}
		h.memory.after = nil
		if restarts {
			h.restart(t)
		}
		for range 30 {
			h.writes(t, 1)
			h.now = h.now.Add(11 * time.Minute)
			h.cycles(t, 1)
		}
		h.whole(t)
		found := h.found(t).Points()
		for _, ent := range h.st.stretches() {
			if !slices.ContainsFunc(found, func(p Point) bool { return p.Position == ent.To }) {
				t.Errorf("restarted: %v: object %d is there, and its end cannot be restored", restarts, ent.N)
			}
		}
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

// What is left stays for a day: a restore that began before goes on.
func TestARestoreGoesOn(t *testing.T) {
	h := newHouse(t, 12)
	h.writes(t, 60)
	h.cycles(t, 2)
	for range 30 {
		h.writes(t, 2)
		h.cycles(t, 1)
		h.now = h.now.Add(4 * time.Minute)
	}
	begun := h.found(t)
	point := begun.Points()[7]
	want, err := restored(t, begun, point, time.Time{}.Add(1)).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		h.writes(t, 2)
		h.cycles(t, 1)
		h.now = h.now.Add(time.Hour)
	}
	left := 0
	for _, ent := range h.st.Objects {
		if !ent.live() {
			left++
		}
	}
	if left < 20 {
		t.Fatalf("only %d objects were left", left)
	}
	got, err := restored(t, begun, point, time.Time{}.Add(1)).MarshalJSON()
	if err != nil || string(got) != string(want) {
		t.Errorf("20 hours later something else comes back: %v", err)
	}
	for range 6 {
		h.now = h.now.Add(6 * time.Hour)
		h.cycles(t, 1)
	}
	for _, ent := range h.st.Objects {
		if !ent.live() && !within(ent.Left, h.now, leftFor) && ent.N < h.st.manifest() {
			t.Errorf("object %d was left at %s, and is still there at %s", ent.N, ent.Left, h.now)
		}
	}
}

// A new base is made when the log has become long, and after a month; what it takes the
// place of goes once no point needs it. The points of this hour stay as they are.
func TestRenewed(t *testing.T) {
	h := newHouse(t, 13)
	h.writes(t, 60)
	h.cycles(t, 2)
	h.now = h.now.Add(31 * 24 * time.Hour)
	h.cycles(t, 2)
	if len(h.st.Bases) != 2 {
		t.Fatalf("%d bases after a month", len(h.st.Bases))
	}
	h.writes(t, 5)
	h.cycles(t, 1)
	for i := range h.st.Objects {
		if ent := &h.st.Objects[i]; ent.Kind == object.Log && ent.live() {
			ent.Size = baseLog + 1
		}
	}
	h.cycles(t, 2)
	if len(h.st.Bases) != 3 {
		t.Errorf("%d bases when the log was long", len(h.st.Bases))
	}
	// Of the first hour only its last point is kept, which is behind the newest base.
	for range 60 {
		h.writes(t, 1)
		h.now = h.now.Add(time.Hour)
		h.cycles(t, 1)
	}
	if len(h.st.Bases) > 2 {
		t.Errorf("%d bases are kept", len(h.st.Bases))
	}
	parts := map[uint64]bool{}
	for _, b := range h.st.Bases {
		for _, n := range b.Parts {
			parts[n] = true
		}
	}
	for _, ent := range h.st.Objects {
		if ent.live() && (ent.Kind == object.Base && !parts[ent.N] || ent.stretch() && ent.To.Seq <= h.st.Bases[0].From.Seq) {
			t.Errorf("object %d (%s, up to %d) is of no use", ent.N, ent.Kind, ent.To.Seq)
		}
	}
	h.whole(t)
	before := len(h.found(t).Points())
	for range 4 {
		h.writes(t, 3)
		h.now = h.now.Add(time.Second)
		h.cycles(t, 1)
	}
	h.st.Tidied = time.Time{}
	h.cycles(t, 1)
	if got := len(h.found(t).Points()); got < before+3 {
		t.Errorf("%d points before, and %d after four more in this hour", before, got)
	}
}

// busy is a store that is written to while it is summarized, before and after.
type busy struct {
	changelog.Source
	write func()
}

func (b busy) Summarize(ctx context.Context, notes time.Time) (*changelog.Summary, changelog.Position, error) {
	b.write()
	sum, at, err := b.Source.Summarize(ctx, notes)
	b.write()
	return sum, at, err
}

// talkative is a store to which somebody writes whenever it is asked what has changed.
type talkative struct {
	changelog.Source
	write func() error
}

func (s talkative) Changes(ctx context.Context, after changelog.Position, bytes int, each func(changelog.Entry) error) error {
	return errors.Join(s.Source.Changes(ctx, after, bytes, each), s.write())
}

// Who writes all the time holds up nothing: a cycle ends with what there was.
func TestACycleOfABusyServerEnds(t *testing.T) {
	h := newHouse(t, 15)
	h.writes(t, 10)
	h.cycles(t, 2)
	asked := 0
	h.Source = talkative{h.db, func() error {
		if asked++; asked > 50 {
			return errors.New("there is no end")
		}
		for range 5 { // some of which change nothing
			if err := h.writer.Write(t.Context()); err != nil {
				return err
			}
		}
		return nil
	}}
	for range 3 {
		h.now = h.now.Add(time.Minute)
		asked = 0
		h.cycles(t, 1)
		if asked > 5 {
			t.Errorf("in a cycle it was asked %d times what had changed", asked)
		}
	}
	h.Source = h.db
	h.cycles(t, 1)
	h.whole(t)
}

// A manifest is of one moment, whatever is written meanwhile: what it says is what comes
// back of that moment.
func TestManifestsOfABusyServer(t *testing.T) {
	h := newHouse(t, 14)
	h.Source = busy{h.db, func() { h.writes(t, 3) }}
	h.writes(t, 60)
	h.cycles(t, 1)
	// As soon as there is one, its point can be restored.
	b := h.found(t)
	m := b.Manifest
	if d := m.Summary.Differences(restored(t, b, Point{m.At, m.Point}, m.Notes), 5); len(d) > 0 {
		t.Errorf("of the first manifest something else comes back: %q", d)
	}
	for range 6 {
		h.writes(t, 2)
		h.now = h.now.Add(5 * time.Hour)
		h.cycles(t, 2)
	}
	h.Source = h.db
	h.cycles(t, 1)
	b = h.found(t)
	if p := newest(t, b); p.Position.Seq <= b.Manifest.Point.Seq {
		t.Errorf("the newest point, %d, is not behind the manifest, %d", p.Position.Seq, b.Manifest.Point.Seq)
	}
	h.whole(t)
}

// What is in the chain need not be kept by the store.
func TestTheStoreForgets(t *testing.T) {
	h := newHouse(t, 15)
	h.writes(t, 10)
	h.cycles(t, 1)
	at := h.st.Position
	h.writes(t, 10)
	h.cycles(t, 1)
	err := h.db.Changes(t.Context(), at, 1, func(changelog.Entry) error { return nil })
	if !errors.Is(err, changelog.ErrCut) {
		t.Errorf("the store still has what is in the chain: %v", err)
	}
	// Also what a death kept from being acknowledged.
	at = h.st.Position
	h.writes(t, 10)
	shut := h.Source
	h.Source = mute{shut}
	if err := h.Cycle(t.Context()); err == nil {
		t.Fatal("nobody notices that the store does not listen")
	}
	h.restart(t)
	h.Source = shut
	h.cycles(t, 1)
	if err := h.db.Changes(t.Context(), at, 1, func(changelog.Entry) error { return nil }); !errors.Is(err, changelog.ErrCut) {
		t.Errorf("what was not acknowledged before a death is not after it: %v", err)
	}
}

// mute is a store that hears no acknowledgement.
type mute struct{ changelog.Source }

func (mute) Acknowledge(context.Context, string, changelog.Position) error {
	return errors.New("the server does not answer")
}

// An object that the chain does not go on from moves nothing.
func TestOrphans(t *testing.T) {
	h := newHouse(t, 16)
	h.writes(t, 10)
	h.cycles(t, 2)
	at := h.st.Position
	h.advance(entry{N: h.st.Head.N + 1, Kind: object.Log, From: changelog.Position{Seq: at.Seq + 5}, To: changelog.Position{Seq: at.Seq + 9}})
	if h.st.Position != at {
		t.Errorf("a stretch that begins at %d moved the chain from %d to %d", at.Seq+5, at.Seq, h.st.Position.Seq)
	}
}

// A hole among objects that are not known here is no end of the chain.
func TestAHole(t *testing.T) {
	h := newHouse(t, 17)
	h.writes(t, 10)
	h.cycles(t, 2)
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		h.writes(t, 2)
		h.cycles(t, 1)
	}
	names := h.memory.names()
	delete(h.memory.objects, names[len(names)-2])
	h.restart(t)
	if err := h.Cycle(t.Context()); !errors.Is(err, ErrRolledBack) {
		t.Errorf("a hole behind what is known: %v", err)
	}
}

// What no kept point needs is left: a base and its parts, and what came before the base
// that is needed. What is being copied stays.
func TestWhatIsLeft(t *testing.T) {
	at := func(seq int64) changelog.Position { return changelog.Position{Seq: seq} }
	now := time.Unix(100, 0)
	e := &Engine{Keys: newKeys(t)}
	e.st = state{
		Position: at(9),
		Bases:    []base{{From: at(5), Ready: at(5), Parts: []uint64{1}}, {From: at(7), Ready: at(7), Parts: []uint64{3}}},
		Copying:  &base{From: at(9), Parts: []uint64{5}},
		Objects: []entry{
			{N: 1, Kind: object.Base}, stretchOf(2, 5, 7), {N: 3, Kind: object.Base}, stretchOf(4, 7, 9), {N: 5, Kind: object.Base}, {N: 6, Kind: object.Base},
		},
	}
	if !e.st.leave(now) {
		t.Error("nothing was left")
	}
	var live []uint64
	for _, ent := range e.st.Objects {
		if ent.live() {
			live = append(live, ent.N)
		}
	}
	if want := []uint64{3, 4, 5}; !slices.Equal(live, want) || len(e.st.Bases) != 1 || e.st.Bases[0].Parts[0] != 3 {
		t.Errorf("%v are kept, not %v, and %d bases", live, want, len(e.st.Bases))
	}
	if e.st.leave(now) {
		t.Error("something more was left")
	}
}

// stretchOf is one of the log; positions of another log have another sum.
func stretchOf(n uint64, from, to int64, sums ...string) entry {
	ent := entry{N: n, Kind: object.Log, From: changelog.Position{Seq: from}, To: changelog.Position{Seq: to}, At: time.Unix(to, 0)}
	if len(sums) > 0 {
		ent.From.Sum, ent.To.Sum = sums[0], sums[1]
	}
	return ent
}

// From which base the end of each stretch can be restored.
func TestWhatABaseIsGoodFor(t *testing.T) {
	at := func(seq int64) changelog.Position { return changelog.Position{Seq: seq} }
	for name, c := range map[string]struct {
		stretches []entry
		bases     []base
		want      []int
	}{
		"one":                      {[]entry{stretchOf(1, 5, 7), stretchOf(2, 7, 9)}, []base{{From: at(5), Ready: at(5)}}, []int{0, 0}},
		"not ready yet":            {[]entry{stretchOf(1, 5, 7), stretchOf(2, 7, 9)}, []base{{From: at(5), Ready: at(8)}}, []int{-1, 0}},
		"it began in the middle":   {[]entry{stretchOf(1, 5, 9), stretchOf(2, 9, 12)}, []base{{From: at(7), Ready: at(8)}}, []int{0, 0}},
		"it began later":           {[]entry{stretchOf(1, 5, 7), stretchOf(2, 7, 9)}, []base{{From: at(7), Ready: at(7)}}, []int{0, 0}},
		"a hole":                   {[]entry{stretchOf(1, 5, 7), stretchOf(2, 8, 9)}, []base{{From: at(5), Ready: at(5)}}, []int{0, -1}},
		"a hole, and a base in it": {[]entry{stretchOf(1, 5, 7), stretchOf(2, 8, 9)}, []base{{From: at(5), Ready: at(5)}, {From: at(8), Ready: at(8)}}, []int{0, 1}},
		"begun in the hole":        {[]entry{stretchOf(1, 5, 7), stretchOf(2, 9, 11)}, []base{{From: at(8), Ready: at(8)}}, []int{-1, -1}},
		"another log":              {[]entry{stretchOf(1, 5, 7, "", "x"), stretchOf(2, 7, 9, "y", "z")}, []base{{From: at(5), Ready: at(5)}}, []int{0, -1}},
		"the newest of two":        {[]entry{stretchOf(1, 5, 7), stretchOf(2, 7, 9)}, []base{{From: at(5), Ready: at(5)}, {From: at(7), Ready: at(7)}}, []int{1, 1}},
		"begun in another log":     {[]entry{stretchOf(1, 5, 7), stretchOf(2, 7, 9)}, []base{{From: changelog.Position{Seq: 7, Sum: "z"}, Ready: changelog.Position{Seq: 7, Sum: "z"}}}, []int{-1, -1}},
		"none":                     {[]entry{stretchOf(1, 5, 7)}, nil, []int{-1}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := restorable(c.stretches, c.bases); !slices.Equal(got, c.want) {
				t.Errorf("from %v, not %v", got, c.want)
			}
			// Restoring finds the same ways.
			b := &Backup{Manifest: &Manifest{bases: c.bases}, objects: c.stretches}
			for i, ent := range c.stretches {
				_, _, err := b.way(Point{ent.At, ent.To})
				if (err == nil) != (c.want[i] >= 0) {
					t.Errorf("a way to %d: %v", ent.To.Seq, err)
				}
			}
		})
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
	names := h.memory.segments()
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
				for _, p := range b.Points() {
					parts, log, err := b.way(p)
					if err != nil || named && slices.ContainsFunc(slices.Concat(parts, log), func(e entry) bool { return e.N == n }) {
						t.Errorf("%s %s: %s is offered, which needs it: %v", name, what, p.At, err)
					}
				}
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
