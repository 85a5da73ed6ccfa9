//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/control"
)

// A server that dies or stops for any reason is well again by itself, and nobody is refused
// meanwhile; one that keeps dying serves what is stored, and that is told once.
func TestTheServerIsWellAgain(t *testing.T) {
	t.Attr("shows", "health")
	t.Parallel()
	f := tryFoyer(t, filepath.Join(t.TempDir(), "data"))
	f.must(t, "/buckets/b", http.StatusCreated)
	f.must(t, "/buckets/b/collections/c", http.StatusCreated)
	const record = "/buckets/b/collections/c/records/r"
	f.must(t, record, http.StatusCreated)
	at := control.Dial(f.run)
	until := func(what string, ok func(report.Status) bool) report.Status {
		t.Helper()
		var last report.Status
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) { // other processes are waited for
			if s, err := at.Status(t.Context()); err == nil {
				if last = s; ok(s) {
					return s
				}
			}
		}
		t.Fatalf("it is never %s: %+v", what, last)
		return last
	}
	healthy := func(s report.Status) bool { return s.Server.State == "healthy" }
	var took []string
	for _, way := range []struct {
		name   string
		signal syscall.Signal
	}{{"kill -9", syscall.SIGKILL}, {"SIGSEGV", syscall.SIGSEGV}, {"SIGSTOP", syscall.SIGSTOP}} {
		before := until("well", healthy).Server.PID
		began := time.Now()
		if err := syscall.Kill(before, way.signal); err != nil {
			t.Fatal(err)
		}
		if a, err := f.request(t.Context(), http.MethodGet, record, ""); err != nil || a.status != http.StatusOK {
			t.Errorf("after %s a visitor is answered %+v, %v", way.name, a, err)
		}
		until("well after "+way.name, func(s report.Status) bool { return healthy(s) && s.Server.PID != before })
		took = append(took, fmt.Sprintf("%s %.1f s", way.name, time.Since(began).Seconds()))
	}

	told := func(s report.Status, code string) (n int) {
		for _, e := range s.Lately {
			if e.Code == code {
				n++
			}
		}
		return n
	}
	// Each server is ended as soon as it is started: something in it kills it.
	deaths, last := 0, 0
	s := until("in safe mode", func(s report.Status) bool {
		if pid := s.Server.PID; pid != 0 && pid != last && told(s, "server-keeps-stopping") == 0 {
			if syscall.Kill(pid, syscall.SIGKILL) == nil {
				last = pid
				deaths++
			}
		}
		return s.Server.State == "safe-mode"
	})
	if a, err := f.request(t.Context(), http.MethodGet, record, ""); err != nil || a.status != http.StatusOK || !strings.Contains(a.body, "milk") {
		t.Errorf("in safe mode reading is answered %+v, %v", a, err)
	}
	if a, err := f.put(t.Context(), record); err != nil || a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "stores nothing new") {
		t.Errorf("in safe mode writing is answered %+v, %v", a, err)
	}
	if s.Light != report.Red || !strings.Contains(s.Sentence.EN, "safe mode") {
		t.Errorf("the light is %v: %s", s.Light, s.Sentence.EN)
	}
	if n := told(s, "server-keeps-stopping"); n != 1 {
		t.Errorf("after %d deaths it is told %d times that the server keeps stopping", deaths, n)
	}
	show("kill -9, SIGSEGV, SIGSTOP", "well again after %s (aim ≤ 10 s), and nobody was refused", strings.Join(took, ", "))
	show("crash loop", "after %d deaths in safe mode: reads are served, writes get 503, told once", deaths)
	if os.Getenv("FOYER_E2E_WHOLE") == "" {
		return
	}
	began := time.Now()
	s = until("well by itself", func(s report.Status) bool { return healthy(s) && told(s, "server-recovered") == 1 })
	f.must(t, record, http.StatusOK)
	show("crash loop that is over", "out of safe mode, and told, after %.0f s", time.Since(began).Seconds())
}
