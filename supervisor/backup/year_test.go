package backup

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// A year of backups: with a target that is away for days, clocks that are set and set back,
// nights in which the machine sleeps, processes that end in good order and not, and new
// bases. In the end there is what is promised, and nothing that is not: of all points there ever were, those which dropping
// them at once would keep; each comes back.
func TestAYear(t *testing.T) {
	t.Attr("shows", "backups")
	seeds, days := uint64(1), 100
	switch {
	case watched:
		days = 10
	case os.Getenv("SHOW_WHOLE") != "":
		seeds, days = 20, 365
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			aYear(t, seed, days)
		})
	}
}

func aYear(t *testing.T, seed uint64, days int) {
	r := rand.New(rand.NewPCG(seed, 77))
	h := newHouse(t, seed)
	start := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	h.now = start
	if seed%2 == 0 {
		h.slow()
	}
	h.writes(t, 40)
	var all []point // all that were ever in the chain, by their sequence
	away, jumped := time.Time{}, time.Duration(0)
	h.memory.deny = func(string, string) error {
		if h.now.Before(away) {
			return fmt.Errorf("%w: unplugged", target.ErrAway)
		}
		return nil
	}
	cycles, outages := 0, 0
	for real := start; real.Before(start.AddDate(0, 0, days)); {
		step := time.Duration(1+r.IntN(5*60)) * time.Minute
		switch r.IntN(400) {
		case 0: // asleep, or off
			step = time.Duration(r.IntN(10*24)) * time.Hour
		case 1:
			away, outages = h.now.Add(time.Duration(r.IntN(4*24))*time.Hour), outages+1
		case 2: // the clock is set: by an hour, a day, back
			jumped = []time.Duration{0, time.Hour, -time.Hour, 26 * time.Hour}[r.IntN(4)]
		case 3:
			h.restart(t)
		case 4:
			if err := h.Stop(); err != nil {
				t.Fatal(err)
			}
			h.restart(t)
		case 5:
			if h.st.Copying == nil && h.opened {
				h.st.Copying = &base{From: h.st.Position} // as renew does
			}
		}
		real = real.Add(step)
		h.now = real.Add(jumped)
		if r.IntN(3) > 0 {
			h.writes(t, 1)
		}
		before := h.st.Position
		err := h.Cycle(t.Context())
		if err != nil && !errors.Is(err, target.ErrAway) {
			t.Fatalf("%s: %v", h.now, err)
		}
		cycles++
		if h.st.Position != before {
			for _, ent := range h.st.stretches() {
				if i, there := slices.BinarySearchFunc(all, ent.To.Seq, func(p point, seq int64) int { return int(p.seq - seq) }); !there {
					all = slices.Insert(all, i, point{ent.To.Seq, ent.At})
				}
			}
		}
	}
	away = time.Time{}
	h.now = h.now.Add(2 * time.Hour)
	h.cycles(t, 3)
	b := h.found(t)
	for _, p := range b.Problems {
		t.Errorf("object %d: %v", p.N, p.Err)
	}
	got := map[int64]bool{}
	for _, p := range b.Points() {
		got[p.Position.Seq] = true
	}
	bases := map[int64]bool{} // that stand for a point themselves, for as long as others need them
	for _, base := range b.Manifest.bases {
		bases[base.From.Seq] = base.From == base.Ready
	}
	kept := 0
	for i, keep := range retained(all) {
		switch p := all[i]; {
		case keep && !got[p.seq]:
			t.Errorf("what was there at %s (%d) is promised, and cannot be restored", p.at, p.seq)
		case keep:
			kept++
		case got[p.seq] && !bases[p.seq] && p.at.Before(h.now.Add(-50*time.Hour)) && jumped == 0:
			t.Errorf("what was there at %s (%d) is kept without need", p.at, p.seq)
		}
	}
	h.whole(t)
	t.Logf("SHOW %d days of backups, seed %d: %d cycles, %d outages, %d points, %d kept as promised, %d objects and %d parts of attachments at the target", days, seed, cycles, outages, len(all), kept, len(h.memory.segments()), len(h.memory.contents()))
}
