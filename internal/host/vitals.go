package host

import (
	"math"
	"os"
	"strconv"
	"strings"
)

// Vitals are figures of this machine that every process may read and that cost next to nothing.
// What the machine does not say is NaN.
type Vitals struct {
	Load    float64 // processes that compute or wait for a disk, over the last minute
	Celsius float64 // of the hottest part
	// Percents of the last ten seconds in which something waited.
	WaitsCPU, WaitsMemory, WaitsIO float64
}

// ReadVitals reads them.
func ReadVitals() Vitals { return readVitals("/") }

func readVitals(root string) Vitals {
	m := reader{root}
	v := Vitals{Load: math.NaN(), Celsius: math.NaN(), WaitsCPU: math.NaN(), WaitsMemory: math.NaN(), WaitsIO: math.NaN()}
	if text, ok := m.text("proc/loadavg"); ok {
		first, _, _ := strings.Cut(text, " ")
		if load, err := strconv.ParseFloat(first, 64); err == nil {
			v.Load = load
		}
	}
	for _, z := range m.temperatures().Zones {
		if !(v.Celsius >= z.Celsius) { // NaN, too
			v.Celsius = z.Celsius
		}
	}
	if p := m.pressure(); p.Missing.IsZero() {
		v.WaitsCPU, v.WaitsMemory, v.WaitsIO = p.CPU.Some[0], p.Memory.Some[0], p.IO.Some[0]
	}
	return v
}

// FilesOpen is how many files and connections this process has open; false where that cannot be told.
func FilesOpen() (int, bool) {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0, false
	}
	defer dir.Close() //nolint:errcheck // it was only read
	names, err := dir.Readdirnames(-1)
	return len(names) - 1, err == nil // but for the folder itself
}
