//go:build unix

package supervisor

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/report"
)

// A server that keeps dying serves in safe mode, which is told once; it is tried without again and
// again, and when it stays up, that is told once, and all is as before.
func TestACrashLoopEndsInSafeMode(t *testing.T) {
	t.Attr("shows", "health")
	tries := t.TempDir()
	tried := func() int {
		names, err := os.ReadDir(tries)
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	r := startWith(t, "fragile "+tries, func(c *Config) {
		c.Timing.Safe, c.Timing.Steady = []time.Duration{100 * time.Millisecond}, 300*time.Millisecond
	})
	safe := func(s report.Status) bool { return s.Server.State == "safe-mode" }
	told := func(s report.Status) map[string]int {
		n := map[string]int{}
		for _, e := range s.Lately {
			n[e.Code]++
		}
		return n
	}
	s := r.until(t, "in safe mode", safe)
	first := r.pid(t) // it is served
	if n := tried(); n != crashLoop {
		t.Errorf("safe mode began after %d deaths", n)
	}
	if n := told(s); n["server-keeps-stopping"] != 1 || n["server-stopped"] != 1 {
		t.Errorf("it is told: %v", n)
	}
	r.until(t, "tried without it, over and over", func(report.Status) bool { return tried() > crashLoop+5 })
	s = r.until(t, "in safe mode again", func(s report.Status) bool { return safe(s) && s.Server.PID != first })
	if n := told(s); n["server-keeps-stopping"] != 1 || n["server-stopped"] != 1 || n["server-recovered"] != 0 {
		t.Errorf("after %d deaths it is told: %v", tried(), n)
	}
	if err := os.WriteFile(filepath.Join(tries, "mended"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s = r.until(t, "well, and told", func(s report.Status) bool { return healthy(s) && told(s)["server-recovered"] == 1 })
	if n := told(s); n["server-keeps-stopping"] != 1 || n["server-stopped"] != 1 {
		t.Errorf("in the end it is told: %v", n)
	}
	// From here on it is a server like any other.
	if err := syscall.Kill(s.Server.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.until(t, "well after a death", func(now report.Status) bool { return healthy(now) && now.Server.PID != s.Server.PID })
}

// Who has a server started anew that is in safe mode wants it as it should be.
func TestARestartEndsSafeMode(t *testing.T) {
	t.Attr("shows", "health")
	tries := t.TempDir()
	r := startWith(t, "fragile "+tries, func(c *Config) { c.Timing.Safe = []time.Duration{time.Hour} })
	r.until(t, "in safe mode", func(s report.Status) bool { return s.Server.State == "safe-mode" })
	if err := os.WriteFile(filepath.Join(tries, "mended"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.until(t, "well", healthy)
}
