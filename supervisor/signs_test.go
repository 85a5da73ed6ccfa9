package supervisor

import (
	"errors"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/report"
)

// Who is replaced, and after how long: a look a second at a server whose CPU time nobody
// knows (there is no process -1).
func TestWhoMakesNoProgressIsReplaced(t *testing.T) {
	timing := Timing{Grace: 20 * time.Second, Stuck: 30 * time.Second, Busy: 120 * time.Second}
	unwell := errors.New("unwell")
	silent := func(int) (facts, error) { return facts{}, unwell }
	stuck := func(int) (facts, error) { return facts{report.Health{Progress: 7}, true}, unwell }
	moving := func(i int) (facts, error) { return facts{report.Health{Progress: uint64(i / 20)}, true}, unwell }
	for _, c := range []struct {
		name  string
		state state
		look  func(i int) (facts, error)
		after int // seconds; 0: never
	}{
		{"well", stateHealthy, func(int) (facts, error) { return facts{report.Health{OK: true}, true}, nil }, 0},
		{"silent", stateUnwell, silent, 121},
		{"silent since it was started", stateStarting, silent, 121},
		{"answers that it is not well, and nothing moves", stateUnwell, stuck, 32},
		{"the same since it was started", stateStarting, stuck, 22},
		{"not well, and something moves now and then", stateUnwell, moving, 0},
		{"opens its data", stateStarting, func(int) (facts, error) { return facts{report.Health{Opening: true}, true}, unwell }, 0},
		{"cannot start and says why", stateCrashLoop, func(int) (facts, error) {
			return facts{report.Health{Failed: true, Trouble: &report.Problem{Code: "data-gone"}}, true}, unwell
		}, 0},
		{"its data went while it ran", stateHealthy, func(i int) (facts, error) {
			if i < 5 {
				return facts{report.Health{OK: true}, true}, nil
			}
			return facts{report.Health{Trouble: &report.Problem{Code: "data-gone"}}, true}, unwell
		}, 5},
		{"silent every other time", stateUnwell, func(i int) (facts, error) {
			if i%2 == 0 {
				return facts{report.Health{OK: true}, true}, nil
			}
			return silent(i)
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var life signs
			begin := time.Now()
			after := 0
			for i := 1; i < 1000 && after == 0; i++ {
				f, err := c.look(i)
				if life.read(child{pid: -1, state: c.state}, f, err, timing, begin.Add(time.Duration(i)*time.Second)) != "" {
					after = i
				}
			}
			if after < c.after || after > c.after+1 {
				t.Errorf("replaced after %d s, not %d", after, c.after)
			}
		})
	}
}
