package installer

import (
	"slices"
	"testing"
	"time"
)

// A change in the very second in which the service was started is used: systemd tells that
// second only, and the service read the file before.
func TestAChangeInTheSecondOfTheStartIsUsed(t *testing.T) {
	t.Attr("shows", "ground2")
	t.Parallel()
	o := newFakeOS(t)
	in := o.installer(nil)
	mustApply(t, in)
	for i, name := range []string{"attic", "cellar", "garden"} {
		o.commands = nil
		time.Sleep(30 * time.Millisecond) // times of files are those of the kernel's last tick, which was before the service began
		_, res, err := in.ChangeSettings(t.Context(), Values{"name": name}, func(_, _ []byte) error { return nil }, nil)
		if err != nil || !slices.Contains(o.whats(res), "~ service foyer") || !slices.Contains(o.commands, "systemctl restart --no-block foyer.service") {
			t.Errorf("change %d: %q, %v; ran %q", i, o.whats(res), err, o.commands)
		}
		if res, err := in.ApplySettings(t.Context(), nil); err != nil || res.Changed {
			t.Errorf("and again without a change: %q, %v", o.whats(res), err)
		}
	}
}
