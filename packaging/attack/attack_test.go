//go:build e2e

package attack

import (
	"context"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
)

func basic(name, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(name + ":" + password))
}

func show(format string, args ...any) { fmt.Printf("SHOW "+format+"\n", args...) }

// dose is how long each attack lasts.
func dose() time.Duration {
	if os.Getenv("FOYER_E2E_WHOLE") != "" {
		return 30 * time.Second
	}
	return 2 * time.Second
}

// Bounds that are judged. Memory is that of the server's process with a GOMEMLIMIT of 128
// MiB; the aim is 200 MB.
const (
	mostMemory = 256 // MB
	mostLines  = 60  // of the log, in an attack
	mostHello  = 64 << 10
)

func TestOneVisitorStopsNoOther(t *testing.T) {
	t.Attr("shows", "mend2")
	t.Run("SQLite", func(t *testing.T) { underAttack(t, "SQLite") })
	t.Run("PostgreSQL", func(t *testing.T) {
		underAttack(t, "PostgreSQL", "FOYER_DATABASE="+pgtest.Start(t).DSN(t))
	})
}

func underAttack(t *testing.T, store string, settings ...string) {
	s := open(t, settings...)
	scene := prepare(t, s)
	maria := &member{visitor: s.visit("127.0.0.2", "maria", password)}
	maria.write(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); maria.live(ctx) }()
	t.Cleanup(func() { stop(); <-ended })

	var worst waits
	done, peaks := 0, 0
	between := func(when string) waits {
		if !maria.pass(10) {
			t.Fatalf("%s: the member is not answered", when)
		}
		w := maria.collect()
		for _, failed := range w.failed {
			t.Errorf("%s: %s", when, failed)
		}
		return w
	}
	maria.pass(3) // their things are made
	maria.collect()
	before := between("before the attacks")
	show("%s, a member alone: %d answers, p50 %s, p99 %s; the server takes %d MB", store, before.answers, before.p50, before.p99, resident(s.server))
	for _, a := range attacks {
		if only := os.Getenv("FOYER_ATTACK"); only != "" && !strings.Contains(a.id+" "+a.what, only) {
			continue
		}
		done++
		said, peak := s.log.count(), watch(s.server)
		seen := &tally{by: map[int]int{}}
		until, cancel := context.WithTimeout(t.Context(), dose())
		a.run(until, scene, seen)
		cancel()
		during := maria.collect()
		scene.stranger.CloseIdleConnections()
		scene.mallory.CloseIdleConnections()
		after := between("after " + a.what)
		for _, failed := range during.failed {
			t.Errorf("%s: %s", a.what, failed)
		}
		mb := peak()
		show("%s, %s %s (%s): the member had %d answers, p50 %s, p99 %s, told to come again %d times; after it p50 %s, p99 %s; the server took %d MB; %d lines in the log",
			store, a.id, a.what, seen, during.answers, during.p50, during.p99, during.retold, after.p50, after.p99, mb, s.log.count()-said)
		if mb > mostMemory {
			t.Errorf("%s: the server took %d MB", a.what, mb)
		}
		if n := s.log.count() - said; n > mostLines {
			t.Errorf("%s: %d lines in the log", a.what, n)
		}
		if now := child(s.supervisor); now != s.server {
			t.Fatalf("%s: the server was replaced", a.what)
		}
		peaks = max(peaks, mb)
		if during.worse(worst) {
			worst = during
		}
	}
	stop()
	<-ended
	hello := s.visit("127.0.0.1", owner, password).must(t, "GET", "/", "")
	if len(hello) > mostHello {
		t.Errorf("hello has %d bytes for everybody", len(hello))
	}
	if left := files(t, filepath.Join(s.data, "attachments")); left > 0 {
		t.Errorf("%d files are left of uploads that were refused", left)
	}
	if n := strings.Count(s.log.String(), `msg="server started"`); n != 1 {
		t.Errorf("the server was started %d times", n)
	}
	show("%s: %d attacks from one address; of all of them the member's worst p99 was %s (aim 1s), memory at most %d MB (aim 200), the server was never replaced, %d lines in the log, hello has %d bytes",
		store, done, worst.p99, peaks, s.log.count(), len(hello))
}

// watch looks at the memory of a process until its answer is called, which is the most
// there was.
func watch(pid int) func() int {
	var peak atomic.Int64
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			peak.Store(max(peak.Load(), int64(resident(pid))))
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	return func() int { close(stop); <-ended; return int(peak.Load()) }
}

// files counts those below a folder that is made when it is needed.
func files(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return n
}
