package health

import (
	"testing"
	"time"
)

func TestChecksOfTheMachine(t *testing.T) {
	two := func(a, b bool) func() (bool, bool) { return func() (bool, bool) { return a, b } }
	size := func(n int64) func() int64 { return func() int64 { return n } }
	for _, c := range []struct {
		name  string
		check Check
		want  Severity
	}{
		{"strong power", Power(two(false, false)), OK},
		{"weak power", Power(two(true, true)), Warning},
		{"power that was weak", Power(two(false, true)), OK},
		{"a disk", Place(two(false, false)), OK},
		{"a card", Place(two(true, false)), OK},
		{"memory for a disk", Place(two(true, true)), Error},
		{"tiny", Memory(size(128 << 20)), Warning},
		{"small", Memory(size(512 << 20)), OK},
		{"large", Memory(size(8 << 30)), OK},
		{"unknown", Memory(size(0)), OK},
		{"kept time", TimeKept(two(true, false)), OK},
		{"a clock of its own", TimeKept(two(false, true)), OK},
		{"no clock at all", TimeKept(two(false, false)), Info},
	} {
		f := c.check.Run(t.Context())
		if f.Severity != c.want {
			t.Errorf("%s: %s, want %s", c.name, f.Severity, c.want)
		}
		if f.Severity >= Info && (f.What.IsZero() || f.Do.IsZero()) || f.What.EN != "" && f.What.FR == "" {
			t.Errorf("%s: what it means and what to do are not said: %+v", c.name, f)
		}
		if c.check.Every < time.Minute {
			t.Errorf("%s: looked at every %s", c.name, c.check.Every)
		}
	}
}
