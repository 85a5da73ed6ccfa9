//go:build e2e && linux

package backup

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/packaging/faultfs"
	"github.com/foyer-server/foyer/supervisor/recorder"
)

// TestMain lets the test binary be a process that records until it is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("FOYER_TEST_RECORDER"); dir != "" {
		recordForEver(dir)
	}
	os.Exit(m.Run())
}

// recordForEver records something that matters each two milliseconds, counted.
func recordForEver(dir string) {
	r := recorder.New(recorder.Config{Dir: dir, Log: slog.New(slog.DiscardHandler), Calm: time.Millisecond})
	go r.Run(context.Background())
	for n := int64(0); ; n++ {
		r.Decide(recorder.Decision{Code: "counted", Severity: report.Warning, Numbers: []recorder.Value{{Of: recorder.Times, N: n}}})
		time.Sleep(2 * time.Millisecond)
	}
}

// frameIn tells a frame of a recording from others.
type frameIn struct {
	sequence uint64
	run      uint32
	first    int64 // what its records were counted as
	last     int64
}

// framesIn are the frames of a recording, whose records follow each other.
func framesIn(t *testing.T, path string) (all []frameIn, missing uint64) {
	t.Helper()
	r, err := recorder.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	for f := range r.Frames() {
		is := frameIn{sequence: f.Sequence, run: f.Run, first: -1}
		for _, record := range f.Records {
			n := record.Decision.Numbers[0].N
			if is.first < 0 {
				is.first = n
			} else if n != is.last+1 {
				t.Fatalf("frame %d: %d after %d", f.Sequence, n, is.last)
			}
			is.last = n
		}
		if n := len(all); n > 0 && all[n-1].run == f.Run && f.Missing == 0 && is.first != all[n-1].last+1 {
			t.Fatalf("frame %d begins with %d, after %d", f.Sequence, is.first, all[n-1].last)
		}
		missing += f.Missing
		all = append(all, is)
	}
	return all, missing
}

// syncedOf is how many frames, of those that are seen in a file, are known to be synced: a write is
// begun when the one before it is. Frames of one write, but for its last one, are full.
func syncedOf(all []frameIn) int {
	const full = 150 // records, at least
	for n := len(all) - 1; n > 0; n-- {
		if f := all[n-1]; f.last-f.first < full {
			return n
		}
	}
	return 0
}

// The power is cut while a process records, and the disk forgets what was not synced, all of it or
// some. What was synced is there, in order, and the next process goes on after it.
func TestTheFlightRecorderThroughPowerCuts(t *testing.T) {
	t.Attr("shows", "health")
	together(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := home(t)
	card := faultfs.NewDisk(t, faultfs.DiskConfig{Base: dir, Size: 64 << 20})
	state := filepath.Join(card.Path, "foyer-supervisor")
	path := filepath.Join(state, recorder.File)
	cuts, synced, runs := dose(100, 15), map[frameIn]bool{}, map[uint32]bool{}
	gaps, last := uint64(0), 0
	for cut := range cuts {
		if err := os.MkdirAll(state, 0o700); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "FOYER_TEST_RECORDER="+state)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "ten more frames", func() bool {
			if _, err := os.Stat(path); err != nil {
				return false
			}
			all, _ := framesIn(t, path)
			return len(all) > 0 && int(all[len(all)-1].sequence) >= last+10
		})
		time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
		before, _ := framesIn(t, path)
		for _, f := range before[:syncedOf(before)] {
			synced[f] = true
		}
		steps := []func(){func() { cmd.Process.Kill() }, func() { powerCut(card, rng) }} //nolint:errcheck // it has not ended
		if rng.IntN(2) == 0 {
			steps[0], steps[1] = steps[1], steps[0]
		}
		for _, step := range steps {
			step()
		}
		cmd.Wait() //nolint:errcheck // it was killed
		card.Mount()
		after, missing := framesIn(t, path)
		there := map[frameIn]bool{}
		for _, f := range after {
			there[f], runs[f.run] = true, true
		}
		oldest := after[0].sequence
		for f := range synced {
			if f.sequence >= oldest && !there[f] {
				t.Fatalf("cut %d: %+v was synced, and is not there; there are %d to %d", cut, f, oldest, after[len(after)-1].sequence)
			}
		}
		gaps, last = missing, int(after[len(after)-1].sequence)
	}
	show(t, "the flight recorder through %d power cuts on a disk that forgets what was not synced: %d frames by %d processes, %d that were synced are there, %d missing in between and named", cuts, last+1, len(runs), len(synced), gaps)
}

// waitFor waits until something is so.
func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(fmt.Sprint("never: ", what))
		}
	}
}
