package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What bringing a part out takes of the memory is the same for ten times as much, whether it
// is all of it or nothing. Only where all is shown.
func TestMemoryOfBringingAPartOut(t *testing.T) {
	t.Attr("shows", "backups")
	if os.Getenv("SHOW_WHOLE") == "" {
		t.Skip("200,000 records: make show-backups")
	}
	peaks := map[string][]int64{}
	for _, n := range []int{20_000, 200_000} {
		db := openStore(t, filepath.Join(t.TempDir(), "data.db"))
		fill(t, db, n, 190)
		b := backUp(t, db)
		b.cycle()
		for what, want := range map[string]int{"/buckets/b/collections/c": 0, "none.txt": 1} {
			cmd := foyerCommand(t, "restore", "--json", "--from", b.from, "--into", filepath.Join(t.TempDir(), "out"), "--only", what)
			cmd.Stdin = strings.NewReader(b.words() + "\n")
			out, err := cmd.Output()
			if got := cmd.ProcessState.ExitCode(); got != want || want == 0 && !strings.Contains(string(out), fmt.Sprintf(`"records":%d,`, n)) {
				t.Fatalf("%s of %d: %v %s", what, n, err, out)
			}
			peaks[what] = append(peaks[what], cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss>>10)
		}
	}
	for what, p := range peaks {
		if p[1] > 2*p[0] {
			t.Errorf("%s: %d MB resident with ten times as much, %d before", what, p[1], p[0])
		}
		fmt.Fprintf(os.Stderr, "SHOW %s brought out of 20,000 and of 200,000 records: %d and %d MB resident at most\n", what, p[0], p[1])
	}
}
