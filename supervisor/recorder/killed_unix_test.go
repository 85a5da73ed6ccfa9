//go:build unix

package recorder

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// TestMain lets the test binary be a process that writes until it is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("FOYER_TEST_RECORDER"); dir != "" {
		os.Exit(writeForEver(dir))
	}
	os.Exit(m.Run())
}

// writeForEver writes one frame after the other, and says which are on the disk.
func writeForEver(dir string) int {
	r, err := openRing(dir, "boot", time.Now())
	for n := int64(r.next); err == nil; n++ {
		first := r.next
		d := Decision{Code: "a-code", Numbers: []Value{{Times, n}}}
		if err = r.write(r.frames([]Record{{At: time.Now(), Decision: &d}}, 0), first); err == nil {
			_, err = fmt.Println(n)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// A process that writes is killed at any moment, 25 times: what it had said to be on the disk is
// there, in order and without a gap, and the next one goes on after it.
func TestKilledWhileItWrites(t *testing.T) {
	t.Attr("shows", "health")
	const kills = 25
	dir, said := t.TempDir(), int64(-1)
	for kill := range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "FOYER_TEST_RECORDER="+dir, "GORACE=atexit_sleep_ms=0")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, want := bufio.NewScanner(out), 1+rand.IntN(20)
		for n := 0; lines.Scan(); n++ {
			if said, err = strconv.ParseInt(lines.Text(), 10, 64); err != nil {
				t.Fatal(err)
			}
			if n == want {
				time.AfterFunc(time.Duration(rand.IntN(2000))*time.Microsecond, func() { cmd.Process.Kill() }) //nolint:errcheck // it has not ended
			}
		}
		cmd.Wait() //nolint:errcheck // it was killed
		r, err := Read(filepath.Join(dir, File))
		if err != nil {
			t.Fatal(err)
		}
		got := counted(r)
		if len(got) < int(r.frames[0].blocks) && got[0] != 0 || got[len(got)-1] < said || got[len(got)-1] > said+1 || !slices.Equal(got, count(got[0], got[len(got)-1]+1)) {
			t.Fatalf("kill %d: it said %d, and there are %d to %d, %d in all", kill, said, got[0], got[len(got)-1], len(got))
		}
		if newest := all(r)[len(got)-1]; newest.Run != uint32(kill+1) {
			t.Fatalf("kill %d: the newest frame is of run %d", kill, newest.Run)
		}
	}
	t.Logf("SHOW the flight recorder of a process that is killed (SIGKILL) while it writes, %d times: %d frames, each that was said to be on the disk is there, no gap", kills, said+1)
}
