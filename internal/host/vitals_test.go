package host

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Figures of a machine are read where it says them, and are no numbers where it does not.
func TestVitals(t *testing.T) {
	root := t.TempDir()
	no := math.NaN()
	same := func(what string, want Vitals) {
		t.Helper()
		if diff := cmp.Diff(want, readVitals(root), cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	same("a machine that says nothing", Vitals{no, no, no, no, no})
	for path, text := range map[string]string{
		"proc/loadavg":                         "0.52 0.58 0.59 1/597 12345\n",
		"proc/pressure/cpu":                    "some avg10=1.50 avg60=0.00 avg300=0.00 total=0\n",
		"proc/pressure/memory":                 "some avg10=2.50 avg60=0.00 avg300=0.00 total=0\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=0\n",
		"proc/pressure/io":                     "some avg10=30.25 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
		"sys/class/thermal/thermal_zone0/temp": "-4250\n", "sys/class/thermal/thermal_zone0/type": "cellar\n",
		"sys/class/thermal/thermal_zone1/temp": "-1500\n", "sys/class/thermal/thermal_zone1/type": "cpu-thermal\n",
	} {
		file := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	same("a machine that says all", Vitals{0.52, -1.5, 1.5, 2.5, 30.25})
}

// The time since the start of the machine goes on.
func TestSinceBoot(t *testing.T) {
	first, ok := SinceBoot()
	if !ok {
		t.Skip("this machine does not say")
	}
	began := time.Now()
	for time.Since(began) < time.Millisecond {
		continue
	}
	if second, ok := SinceBoot(); !ok || second <= first {
		t.Errorf("%s, and then %s", first, second)
	}
}

// A file that is opened is counted.
func TestFilesOpen(t *testing.T) {
	before, ok := FilesOpen()
	if !ok {
		t.Skip("this machine does not say")
	}
	dir := t.TempDir()
	const more = 50
	for n := range more {
		f, err := os.Create(filepath.Join(dir, string(rune('a'+n))))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	if after, _ := FilesOpen(); after < before+more-10 || after > before+more+10 { // others come and go
		t.Errorf("%d files were open, %d more were opened, and %d are", before, more, after)
	}
}
