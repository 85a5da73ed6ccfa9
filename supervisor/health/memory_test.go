package health

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/foyer-server/foyer/internal/report"
)

// Attempts are known after a restart and a power cut; what was told is not told again.
func TestAttemptsAreRemembered(t *testing.T) {
	t.Attr("shows", "ground")
	synctest.Test(t, func(t *testing.T) {
		dir, finds, start := t.TempDir(), Finding{Severity: Error}, time.Now()
		check := find("x", &finds, Repair{Kind: "repair", PerDay: 3, PerHour: 3})
		var at []time.Duration
		var told []string
		for n := range 40 { // in a day and a bit
			c := open(t, dir, check)
			if n%2 == 1 { // a power cut: the disk stays as it is when the job begins
				c.does = func(context.Context, report.Job) report.JobState {
					kept, err := os.ReadFile(filepath.Join(dir, MemoryFile))
					if err != nil {
						t.Error("an attempt began before it was on the disk")
					}
					c.wg.Go(func() { // whatever is written later is lost
						time.Sleep(20 * time.Minute)
						os.WriteFile(filepath.Join(dir, MemoryFile), kept, 0o600)
					})
					return report.JobFailed
				}
			}
			c.pass(40 * time.Minute)
			c.stop()
			at, told = append(at, c.attempts(start)...), append(told, c.told...)
		}
		for i := range at {
			if i >= 3 && at[i]-at[i-3] < 24*time.Hour {
				t.Errorf("beyond the limit of a day: %v", at)
			}
		}
		if len(at) < 4 {
			t.Errorf("tried at %v", at)
		}
		slices.Sort(told)
		if told = slices.Compact(told); !slices.Equal(told, []string{"x error", "x repair-given-up"}) {
			t.Errorf("told %v", told)
		}
	})
}

// A memory that cannot be read, or is of another version, is not one of no attempts.
func TestAMemoryThatCannotBeRead(t *testing.T) {
	t.Attr("shows", "ground")
	for name, spoil := range map[string]func(path string) error{
		"damaged":    func(path string) error { return os.WriteFile(path, []byte("{"), 0o600) },
		"empty":      func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"unreadable": func(path string) error { return os.Mkdir(path, 0o700) },
		"newer": func(path string) error {
			return os.WriteFile(path, []byte(`{"record":{"version":2},"sum":"d41c9d1d"}`+"\n"), 0o600)
		},
		"of a future": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, finds, start := t.TempDir(), Finding{Severity: Error}, time.Now()
				check := find("x", &finds, Repair{Kind: "repair", PerDay: 1})
				if spoil == nil { // the clock goes back by two years
					time.Sleep(2 * 365 * 24 * time.Hour)
					c := open(t, dir, check)
					c.pass(time.Hour)
					c.stop()
					text, err := os.ReadFile(filepath.Join(dir, MemoryFile))
					if err != nil || len(c.began) != 1 {
						t.Fatal(err, len(c.began))
					}
					dir = t.TempDir()
					m, err := parseMemory(text)
					if err != nil {
						t.Fatal(err)
					}
					future := time.Now().Add(2 * 365 * 24 * time.Hour)
					a := m.Repairs["repair"]
					a.Times, a.NotBefore, a.LastWrong = []time.Time{future}, future, future
					b := board(t, check)
					b.UseJobs(&workshop{})
					b.path, b.repairs["repair"].attempts = filepath.Join(dir, MemoryFile), *a
					if err := b.save(); err != nil {
						t.Fatal(err)
					}
					start = time.Now()
				} else if err := spoil(filepath.Join(dir, MemoryFile)); err != nil {
					t.Fatal(err)
				}
				c := open(t, dir, check)
				c.pass(23 * time.Hour)
				if at := c.attempts(start); len(at) > 0 {
					t.Errorf("tried at %v", at)
				}
				if name == "unreadable" {
					os.Remove(filepath.Join(dir, MemoryFile))
				}
				c.pass(27 * time.Hour)
				if at := c.attempts(start); len(at) == 0 {
					t.Error("never tried again")
				}
				c.stop()
			})
		})
	}
}

func FuzzMemory(f *testing.F) {
	finds := Finding{}
	b, err := NewBoard(quiet, find("x", &finds, Repair{Kind: "repair"}))
	if err != nil {
		f.Fatal(err)
	}
	b.path = filepath.Join(f.TempDir(), MemoryFile)
	b.UseJobs(&workshop{})
	b.repairs["repair"].begins(time.Now())
	if err := b.save(); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(b.path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseMemory(text)
		if err == nil && m.Version != 1 {
			t.Error("of another version, and taken")
		}
		for _, a := range m.Repairs {
			a.bound(time.Now())
		}
	})
}
