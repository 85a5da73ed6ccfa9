package reach

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/foyer-server/foyer/internal/knock"
	"github.com/foyer-server/foyer/supervisor/health"
)

// A day of a home whose address changes: it is examined hourly while all is well, at
// once after a change, and more often while something is wrong.
func TestWatchExaminesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // guards what follows
		f, sign, at, times := healthy(), "a", home4, 0
		w := NewWatch(WatchConfig{
			Examine: func(context.Context) Diagnosis { mu.Lock(); defer mu.Unlock(); times++; return Diagnose(f) },
			Signs:   func() string { mu.Lock(); defer mu.Unlock(); return sign },
			Seen:    func(context.Context) []netip.Addr { mu.Lock(); defer mu.Unlock(); return []netip.Addr{at} }, Log: slog.New(slog.DiscardHandler),
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { w.Run(ctx); close(ended) }()
		look := func() health.Finding { return w.Checks()[0].Run(ctx) }
		if got := look(); got.Severity != health.OK || got.What.IsZero() {
			t.Errorf("before the first one: %v", got)
		}
		examined := func(during time.Duration) int {
			mu.Lock()
			before := times
			mu.Unlock()
			<-time.After(during)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return times - before
		}
		if n := examined(time.Minute); n != 1 || look().Cause != "" {
			t.Errorf("at first: %d times, %v", n, look())
		}
		if n := examined(10 * time.Hour); n != 10 {
			t.Errorf("well: %d times in 10 hours", n)
		}
		mu.Lock()
		sign, f.Router, f.V4 = "b", addr("100.64.3.4"), outside(home4, knock.Timeout, knock.Timeout)
		noIPv6(&f)
		mu.Unlock()
		if n := examined(15 * time.Second); n != 1 || look().Cause != "cgnat" || look().Severity != health.Warning {
			t.Errorf("after the address changed: %d times, %v", n, look())
		}
		if n := examined(time.Hour); n != 6 {
			t.Errorf("in trouble: %d times in an hour", n)
		}
		mu.Lock()
		f = healthy()
		mu.Unlock()
		if n := examined(11 * time.Minute); n != 1 || look().Cause != "" {
			t.Errorf("mended: %d times, %v", n, look())
		}
		mu.Lock()
		at = addr("81.9.9.9")
		f.V4.Seen, f.Router, f.Names[0].A[0] = at, at, at
		mu.Unlock()
		if n := examined(6 * time.Minute); n != 1 || look().Cause != "" {
			t.Errorf("others see another address: %d times, %v", n, look())
		}
		mu.Lock()
		noPeer(&f)
		f.Peer = "https://peer.example"
		mu.Unlock()
		if n := examined(time.Hour + 5*time.Minute); n < 5 || n > 66 || look().Cause != "untried" || look().Severity != health.Info {
			t.Errorf("the peer is away: %d times, %v", n, look())
		}
		cancel()
		<-ended
	})
}
