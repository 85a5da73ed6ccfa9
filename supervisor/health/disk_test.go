package health

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/foyer-server/foyer/internal/diskroom"
)

const (
	mb = 1 << 20
	gb = 1 << 30
)

// What is said of a disk follows how full it is, and what is refused is said.
func TestDiskByLevel(t *testing.T) {
	t.Attr("shows", "health")
	room := func(free uint64) diskroom.Room { return diskroom.Room{Free: free, Total: 32 * gb} }
	for _, c := range []struct {
		room     diskroom.Room
		err      error
		severity Severity
		cause    string
		says     string
	}{
		{room: room(20 * gb), severity: OK, says: "free"},
		{room: room(600 * mb), severity: Warning, cause: "disk-low", says: "nearly full"},
		{room: room(100 * mb), severity: Warning, cause: "disk-short", says: "attached"},
		{room: room(63 * mb), severity: Error, cause: "disk-full", says: "cannot be stored"},
		{room: room(0), severity: Error, cause: "disk-full", says: "cannot be stored"},
		{room: diskroom.Room{Free: 20 * gb, Total: 32 * gb, FreeFiles: 1500, Most: 1e6}, severity: Warning, cause: "disk-no-files", says: "1500 more files"},
		{room: diskroom.Room{Free: 10 * mb, Total: 32 * gb, FreeFiles: 15, Most: 1e6}, severity: Error, cause: "disk-full", says: "cannot be stored"},
		{err: errors.New("input/output error"), severity: Error, cause: "disk-silent", says: "does not answer"},
	} {
		f := Disk(func() (diskroom.Room, error) { return c.room, c.err }, nil).Run(t.Context())
		if f.Severity != c.severity || f.Cause != c.cause || !strings.Contains(f.What.EN, c.says) || f.What.FR == "" || (f.Severity > OK) != (f.Do.EN != "") {
			t.Errorf("%+v: %+v", c.room, f)
		}
	}
}

// fill notes one look a day: what was free on each of the days before now, oldest first.
func fill(f *Filling, total uint64, free ...uint64) {
	for i, n := range free {
		f.Note(diskroom.Room{Free: n, Total: total}, time.Now().Add(-time.Duration(len(free)-i)*day))
	}
}

// A disk that fills is told of two weeks before it is full, and not what fills and empties,
// fills in years, or was filled once.
func TestFillingIsForetold(t *testing.T) {
	t.Attr("shows", "health")
	const total = 32 * gb
	steps := func(n int, from, each int64) (free []uint64) {
		for i := range n {
			free = append(free, uint64(from-int64(i)*each))
		}
		return free
	}
	for _, c := range []struct {
		name string
		days []uint64
		now  uint64
		in   int // days; 0: nothing is foretold
	}{
		{"half a gigabyte a day", steps(14, 12*gb, gb/2), 5 * gb, 10},
		{"that is more than two weeks away", steps(14, 17*gb, gb/2), 10 * gb, 0},
		{"only two days are known", steps(2, 12*gb, gb/2), 5 * gb, 0},
		{"three are", steps(3, 5*gb+3*gb/2, gb/2), 5 * gb, 10},
		{"nothing changes", steps(14, 5*gb, 0), 5 * gb, 0},
		{"it empties", steps(14, 2*gb, -gb/8), 4 * gb, 0},
		{"a large thing came once", append(steps(10, 20*gb, 0), steps(4, 6*gb, 0)...), 6 * gb, 0},
		{"it fills, though somebody deleted a lot", append(steps(3, 4*gb, gb/2), steps(11, 10*gb, gb/2)...), 4*gb + gb/2, 9},
		{"it fills by day and is cleared by night", []uint64{6 * gb, 4 * gb, 6 * gb, 4 * gb, 6 * gb, 4 * gb, 6 * gb, 4 * gb}, 5 * gb, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := OpenFilling("", time.Time{}, slog.New(slog.DiscardHandler))
				fill(f, total, c.days...)
				room := diskroom.Room{Free: c.now, Total: total}
				got, ok := f.Foretell(room, time.Now())
				if in := int(time.Until(got.Full).Hours()/24 + 0.5); ok != (c.in > 0) || ok && in != c.in {
					t.Fatalf("%v, in %d days, %d bytes a day; want in %d", ok, in, got.PerDay, c.in)
				}
				said := Disk(func() (diskroom.Room, error) { return room, nil }, f).Run(t.Context())
				if (said.Cause == "disk-filling") != ok || ok && (said.Severity != Warning || !strings.Contains(said.What.EN, "will be full in about")) {
					t.Errorf("%+v", said)
				}
				if _, ok := f.Foretell(diskroom.Room{Free: c.now, Total: 64 * gb}, time.Now()); ok {
					t.Error("another disk is foretold by this one")
				}
			})
		})
	}
}

// A year of a disk that fills slowly, with a supervisor that is started now and then and a clock
// that is wrong now and then: it is told once, two weeks before, and the file is small and
// written once a day.
func TestAYearOfFilling(t *testing.T) {
	t.Attr("shows", "health")
	synctest.Test(t, func(t *testing.T) {
		const total = 32 * gb
		dir, built, quiet := t.TempDir(), time.Now(), slog.New(slog.DiscardHandler)
		f := OpenFilling(dir, built, quiet)
		began, writes, turns, tells := time.Now(), 0, 0, false
		at := func(d time.Duration) uint64 { return uint64(30*gb - int64(d.Hours()*(30*gb)/(365*24))) }
		var before []byte
		for hour := range 360 * 24 {
			time.Sleep(time.Hour)
			now, room := time.Now(), diskroom.Room{Free: at(time.Since(began)), Total: total}
			switch {
			case hour%1000 == 400:
				now = now.Add(43 * 365 * day) // a card whose battery is empty
			case hour%1000 == 700:
				now = began.Add(-10 * day)
			case hour%333 == 0:
				f = OpenFilling(dir, built, quiet)
			}
			f.Note(room, now)
			got, ok := f.Foretell(room, time.Now())
			if ok != tells {
				tells = ok
				turns++
				if days := time.Until(got.Full).Hours() / 24; !ok || days < 13 || days > 14.1 || hour < 330*24 {
					t.Errorf("after %d days it turns: %v, full in %.1f", hour/24, ok, days)
				}
			}
			text, err := os.ReadFile(filepath.Join(dir, FillingFile))
			if err != nil || len(text) > 8<<10 {
				t.Fatalf("after %d hours: %d bytes, %v", hour, len(text), err)
			}
			if !bytes.Equal(text, before) {
				before, writes = text, writes+1
			}
		}
		if turns != 1 || writes > 360+20 {
			t.Errorf("it was told or taken back %d times, and written %d times", turns, writes)
		}
	})
}

// What is damaged is forgotten, and the check goes on.
func TestFillingThatIsDamaged(t *testing.T) {
	t.Attr("shows", "health")
	for _, text := range []string{"", "{", `[{"at":"x"}]`, `{"a":1}`, strings.Repeat("[", 100_000)} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, FillingFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f := OpenFilling(dir, time.Time{}, slog.New(slog.DiscardHandler))
		f.Note(diskroom.Room{Free: gb, Total: 2 * gb}, time.Now())
		if again := OpenFilling(dir, time.Time{}, slog.New(slog.DiscardHandler)); len(f.days) != 1 || len(again.days) != 1 {
			t.Errorf("%.20q: %d days, and %d after it", text, len(f.days), len(again.days))
		}
	}
}
