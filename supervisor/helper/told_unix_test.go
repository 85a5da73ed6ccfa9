//go:build unix

package helper

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/foyer-server/foyer/supervisor/job"
)

// A machine that goes down may end what was run a moment before it tells this process: that
// is no failure. One that does not go down is.
func TestARestartMayEndWhatAskedForIt(t *testing.T) {
	t.Attr("shows", "ground")
	for _, goesDown := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlace(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			p.cfg.Do[VerbReboot] = func(context.Context, *Task) error {
				if goesDown {
					time.AfterFunc(time.Second, cancel)
				}
				return errors.New("signal: terminated")
			}
			ask := p.ask(1, VerbReboot, map[string]string{"reason": "asked", "window": "now"})
			if err := Serve(ctx, p.cfg); err != nil {
				t.Fatal(err)
			}
			want := job.Failed
			if goesDown {
				want = job.Running // until the next start, which knows
			}
			if got := p.record(ask); got.State != want {
				t.Errorf("goes down: %t: %+v", goesDown, got)
			}
		})
	}
}
