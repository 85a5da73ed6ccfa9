package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/health"
)

// Doctor names what it looks at itself and does not come back, and goes on.
func TestDoctorWaitsForNothingForEver(t *testing.T) {
	t.Attr("shows", "ground")
	title := hint.T("Installation", "Installation")
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		began := time.Now()
		f := orLate("installation", title, func() []health.Result { <-hang; return nil })
		if len(f) != 1 || f[0].Cause != health.CauseLate || f[0].Code != "installation" || f[0].Severity != health.Warning || time.Since(began) != lookTime {
			t.Errorf("after %s: %+v", time.Since(began), f)
		}
		close(hang)
		began = time.Now()
		f = orLate("installation", title, func() []health.Result {
			time.Sleep(time.Second)
			return []health.Result{{Code: "well"}}
		})
		if len(f) != 1 || f[0].Code != "well" || time.Since(began) != time.Second {
			t.Errorf("after %s: %+v", time.Since(began), f)
		}
	})
}
