package service

import (
	"fmt"
	"testing"
	"time"
)

// A file written after the service was started is newer than it in the same second, too,
// and one that was written before is not.
func TestStartedBeforeKnowsMomentsOfOneSecond(t *testing.T) {
	t.Attr("shows", "ground2")
	s, r, _ := newScripted(t)
	clock, ok := sinceBoot()
	if !ok {
		t.Fatal("there is no such clock")
	}
	now := time.Now()
	for name, property := range map[string]string{"a service": "ExecMainStartTimestampMonotonic", "a socket": "ActiveEnterTimestampMonotonic"} {
		r.show = fmt.Sprintf("ActiveState=active\nExecMainStartTimestamp=@%d\n%s=%d\n", now.Unix(), property, clock.Microseconds())
		for _, c := range []struct {
			written time.Duration
			before  bool
		}{{-300 * time.Millisecond, false}, {-30 * time.Millisecond, false}, {30 * time.Millisecond, true}, {300 * time.Millisecond, true}} {
			if before, err := s.StartedBefore(t.Context(), now.Add(c.written), false); before != c.before || err != nil {
				t.Errorf("%s, and a file written %v after its start: %t, %v", name, c.written, before, err)
			}
		}
	}
}
