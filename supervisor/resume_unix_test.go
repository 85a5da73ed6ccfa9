//go:build unix

package supervisor

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/event"
)

// Before a server is started what was begun with the data is ended, and told; as long as that cannot
// be, none is started, and the status says why.
func TestWhatWasBegunIsEndedBeforeAStart(t *testing.T) {
	t.Attr("shows", "backups")
	var mu sync.Mutex
	wrong := error(hint.New("restore-switch", hint.T("It cannot be put there.", "Impossible."), hint.Text{}, hint.T("Look at the disk.", "Regardez le disque.")))
	calls := 0
	r := startWith(t, "well", func(cfg *Config) {
		cfg.Resume = func(tell func(event.Event)) error {
			mu.Lock()
			defer mu.Unlock()
			if calls++; wrong == nil {
				tell(event.Event{Code: "restored", What: hint.T("It was restored.", "Restauré.")})
			}
			return wrong
		}
	})
	because := func(cause string) func(report.Status) bool {
		return func(s report.Status) bool {
			return slices.ContainsFunc(s.Checks, func(c report.Result) bool { return c.Code == "server" && c.Cause == cause })
		}
	}
	if s := r.until(t, "the reason to be told", because("restore-switch")); s.Server.State != "waiting" || s.Server.PID != 0 {
		t.Errorf("it says %+v", s.Server)
	}
	for _, next := range []error{errors.New("nobody wrote this for people"), hint.New("restore-under-way", hint.T("Somebody is at it.", "Quelqu'un y est."), hint.Text{}, hint.Text{})} {
		mu.Lock()
		wrong = next
		mu.Unlock()
		r.until(t, "the next reason", because(report.ProblemOf(next).Code))
	}
	mu.Lock()
	wrong, calls = nil, 0
	mu.Unlock()
	s := r.until(t, "the server to be well", func(s report.Status) bool { return s.Server.State == "healthy" })
	codes := map[string]int{}
	for _, e := range s.Lately {
		codes[e.Code]++
	}
	if codes["restored"] == 0 || codes["restore-switch"] == 0 || codes["restore-under-way"] > 0 {
		t.Errorf("told: %v", codes)
	}
	mu.Lock()
	defer mu.Unlock()
	if calls != 1 {
		t.Errorf("it was asked %d times for one start", calls)
	}
}
