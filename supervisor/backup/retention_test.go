package backup

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// drop keeps what retained says.
func drop(points []point) []point {
	keep := retained(points)
	var out []point
	for i, p := range points {
		if keep[i] {
			out = append(out, p)
		}
	}
	return out
}

// A year of points, dropped bit by bit at any pace, comes to what dropping them once at the
// end comes to: with clocks that jump ten years, machines that are off, and none at all.
func TestDroppingBitByBit(t *testing.T) {
	t.Attr("shows", "backups")
	most := 0
	seeds := uint64(20)
	if watched {
		seeds = 3
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 5))
		now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
		var all, bit []point
		jumped := time.Duration(0)
		for n := int64(1); n < 9000; n++ {
			now = now.Add(time.Duration(r.Int64N(int64(2 * time.Hour))))
			switch r.IntN(2000) {
			case 0: // off for weeks
				now = now.Add(time.Duration(r.IntN(60*24)) * time.Hour)
			case 1: // the clock is set, by up to ten years
				jumped = time.Duration(r.Int64N(int64(20*365*24*time.Hour))) - 10*365*24*time.Hour
			case 2:
				jumped = 0
			}
			p := point{n, now.Add(jumped)}
			all, bit = append(all, p), append(bit, p)
			if r.IntN(1+int(seed)*20) == 0 {
				bit = drop(bit)
			}
		}
		once := drop(all)
		if bit = drop(bit); !slices.Equal(bit, once) {
			t.Errorf("seed %d: bit by bit %d points are left, at once %d", seed, len(bit), len(once))
		}
		most = max(most, len(once))
		if last := all[len(all)-1]; once[len(once)-1] != last {
			t.Errorf("seed %d: the newest point is not kept", seed)
		}
	}
	t.Logf("SHOW retention: %d times 9,000 points, with clocks that jump ten years, dropped bit by bit and at once: the same; at most %d points are kept", seeds, most)
}

// What is promised, as a person would count it, on a clock that goes right.
func TestWhatIsKept(t *testing.T) {
	end := time.Date(2037, 6, 15, 12, 30, 0, 0, time.UTC)
	var points []point
	for at := end.AddDate(-12, 0, 0); !at.After(end); at = at.Add(time.Hour) {
		points = append(points, point{int64(len(points)), at})
	}
	kept := drop(points)
	has := func(from, to time.Time) bool {
		return slices.ContainsFunc(kept, func(p point) bool { return p.at.After(from) && !p.at.After(to) })
	}
	for h := range 47 {
		if to := end.Add(-time.Duration(h) * time.Hour); !has(to.Add(-time.Hour), to) {
			t.Errorf("nothing of %d hours ago", h)
		}
	}
	for d := range 29 {
		if to := end.AddDate(0, 0, -d); !has(to.AddDate(0, 0, -1), to) {
			t.Errorf("nothing of %d days ago", d)
		}
	}
	for w := range 11 {
		if to := end.AddDate(0, 0, -7*w); !has(to.AddDate(0, 0, -7), to) {
			t.Errorf("nothing of %d weeks ago", w)
		}
	}
	for y := range 9 {
		if to := end.AddDate(-y, 0, 0); !has(to.AddDate(-1, 0, 0), to) {
			t.Errorf("nothing of %d years ago", y)
		}
	}
	if most := 48 + 30 + 12 + 12 + 10; len(kept) > most || len(kept) < 80 {
		t.Errorf("%d points are kept", len(kept))
	}
	// Days of 23 and 25 hours at home are days of UTC like others.
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	var local []point
	for i, p := range points {
		local = append(local, point{int64(i), p.at.In(paris)})
	}
	if got := drop(local); len(got) != len(kept) {
		t.Errorf("%d points are kept in Paris, %d in UTC", len(got), len(kept))
	}
	for n, want := range map[int]int{0: 0, 1: 1} {
		if got := len(drop(points[:n])); got != want {
			t.Errorf("of %d points %d are kept", n, got)
		}
	}
	fmt.Fprintln(t.Output(), "kept:", len(kept), "of", len(points))
}

// A copy of everything that is made while nobody writes stands for the last moment of before. That is kept
// for as long as is promised, and known by its own time, whatever becomes of the copy.
func TestThePointOfACopy(t *testing.T) {
	t.Attr("shows", "backups")
	t.Parallel()
	h := newHouse(t, 5)
	day := func(month time.Month, day, hour int) time.Time {
		return time.Date(2027, month, day, hour, 0, 0, 0, time.UTC)
	}
	goesOn := func(to time.Time) {
		for ; !h.now.After(to); h.now = h.now.AddDate(0, 0, 4) {
			h.writes(t, 1)
			h.cycles(t, 1)
		}
	}
	h.now = day(time.January, 20, 12)
	h.writes(t, 40)
	h.cycles(t, 3)
	goesOn(day(time.January, 31, 12))
	h.now = day(time.January, 31, 22)
	h.writes(t, 3)
	h.cycles(t, 1)
	was, at, err := h.source().Summarize(t.Context(), h.now)
	if err != nil {
		t.Fatal(err)
	}
	h.now = day(time.February, 1, 3)
	h.st.Copying = &base{From: h.st.Position} // as renew does
	h.cycles(t, 2)
	for _, until := range []time.Time{day(time.February, 1, 12), day(time.March, 20, 12), day(time.December, 20, 12)} {
		goesOn(until)
		b := h.found(t)
		p, found := b.AsOf(day(time.January, 31, 23))
		if !found || p.Position.Seq != at.Seq || !p.At.Equal(day(time.January, 31, 22)) {
			t.Errorf("on %s the last moment of January is of %s (%d), and not %d", h.now.Format(time.DateOnly), p.At, p.Position.Seq, at.Seq)
			continue
		}
		if d := was.Differences(restored(t, b, p, day(time.January, 31, 22)), 5); len(d) > 0 {
			t.Errorf("on %s it comes back as something else: %v", h.now.Format(time.DateOnly), d)
		}
	}
}
