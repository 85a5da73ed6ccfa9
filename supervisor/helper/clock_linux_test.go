package helper

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The clock of trials is that of the kernel, which also /proc/uptime tells.
func TestTheClockIsTheKernels(t *testing.T) {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), " ")
	before, err := strconv.ParseFloat(first, 64)
	if err != nil {
		t.Fatal(err)
	}
	clock := bootClock()
	if d := clock() - time.Duration(before*float64(time.Second)); d < -time.Second || d > 3*time.Minute {
		t.Errorf("it is %s ahead", d)
	}
	if a, b := clock(), clock(); b < a {
		t.Errorf("%s, then %s", a, b)
	}
}
