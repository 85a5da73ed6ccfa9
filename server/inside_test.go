package server

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/internal/site"
	"github.com/foyer-server/foyer/server/kinto"
)

func ask(t *testing.T, s *server) (int, report.Health) {
	t.Helper()
	w := httptest.NewRecorder()
	private{s}.health(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/health", nil))
	var h report.Health
	if err := json.Unmarshal(w.Body.Bytes(), &h); err != nil {
		t.Fatal(err)
	}
	return w.Code, h
}

// The disk hangs: nothing that waits for it comes back. Health says so within the
// supervisor's three seconds, again and again, with one look waiting and not one
// more for each question; and is well again when the disk is.
func TestHealthWhenTheStorageHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		var looks atomic.Int32
		s := &server{Config: Config{Version: "1", Log: slog.New(slog.DiscardHandler)}}
		s.probe = &probe{check: func(context.Context) (bool, error) {
			if looks.Add(1) > 1 {
				<-hang // deaf to its context, as a system call is
			}
			return true, nil
		}}
		if status, h := ask(t, s); status != http.StatusOK || !h.OK || !h.Claimed {
			t.Errorf("at first: %d %+v", status, h)
		}
		for range 20 {
			begin := time.Now()
			status, h := ask(t, s)
			if took := time.Since(begin); status != http.StatusServiceUnavailable || h.OK || h.Storage == "" || took > 2500*time.Millisecond {
				t.Errorf("while it hangs: %d %+v after %s", status, h, took)
			}
			if !h.Claimed {
				t.Error("it had an owner a moment ago")
			}
			<-time.After(time.Second)
		}
		if n := looks.Load(); n != 2 {
			t.Errorf("%d looks wait for the disk", n-1)
		}
		close(hang)
		synctest.Wait()
		if status, h := ask(t, s); status != http.StatusOK || !h.OK {
			t.Errorf("afterwards: %d %+v", status, h)
		}
	})
}

func TestHealthWhenTheStorageFails(t *testing.T) {
	t.Parallel()
	s := &server{Config: Config{Log: slog.New(slog.DiscardHandler)}}
	s.probe = &probe{check: func(context.Context) (bool, error) { return false, errors.New("input/output error") }}
	if status, h := ask(t, s); status != http.StatusServiceUnavailable || h.Storage != "input/output error" {
		t.Errorf("%d %+v", status, h)
	}
	w := httptest.NewRecorder()
	private{s}.answer(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("something else is served to the supervisor: %d", w.Code)
	}
}

func TestABugIsAnsweredAndLogged(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	s := &server{Config: Config{Settings: config.Default(), Log: slog.New(slog.NewTextHandler(&log, nil))}}
	w := httptest.NewRecorder()
	s.chain(func(http.ResponseWriter, *http.Request) { panic("boom") }).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/buckets/private", nil))
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), `"errno":999`) || strings.Contains(w.Body.String(), "boom") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "boom") || strings.Contains(log.String(), "private") {
		t.Errorf("logged %s", log.String())
	}
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("half an answer was passed off as a whole one")
		}
	}()
	s.chain(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		panic("boom")
	}).ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
}

func TestExplain(t *testing.T) {
	t.Parallel()
	newer := hint.New("database-newer", hint.T("a", "b"), hint.Text{}, hint.Text{})
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"full", &fs.PathError{Op: "write", Err: syscall.ENOSPC}, "disk-full"},
		{"full, says SQLite", errors.Join(kinto.ErrFull), "disk-full"},
		{"quota", &fs.PathError{Op: "write", Err: syscall.EDQUOT}, "disk-full"},
		{"read-only", &fs.PathError{Op: "open", Err: syscall.EROFS}, "data-readonly"},
		{"not ours", &fs.PathError{Op: "open", Err: syscall.EACCES}, "data-readonly"},
		{"gone", &fs.PathError{Op: "open", Err: syscall.ENOENT}, "data-missing"},
		{"a hint already", newer, "database-newer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := hint.Find(explain(t.TempDir(), c.err))
			if got == nil || got.Code != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
	if err := explain(t.TempDir(), kinto.ErrUnavailable); hint.Find(err) != nil {
		t.Errorf("the folder is well, and yet: %v", err)
	}
	if h := hint.Find(explain("/nonexistent", kinto.ErrUnavailable)); h == nil || h.Code != "data-missing" {
		t.Errorf("got %v", h)
	}
}

func TestTemplateOfPaths(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/": "/", "": "/", "/v1/": "/v1/", "/v1": "/v1", "/v1/buckets/b/collections/c": "/v1/buckets", "/v1/secret": "/v1/…",
		"/secret/x": "/…", "/trust/foyer-root.crt": "/trust", "/claim": "/claim", "*": "/…",
	} {
		if got := template(path); got != want {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
	}
}

// Whatever a client calls us, the way to HTTPS leads to a name of ours or to an
// IP address, and nowhere else.
func FuzzSecure(f *testing.F) {
	for _, seed := range []string{"foyer.local", "FOYER.local.:80", "192.168.1.20:80", "[fd00::1]:80", "[fe80::1%25eth0]", "evil.example", "a@b", "foyer.local/..", "foyer.local:80:80", "[", "]:", "", ":", "foyer.local#@evil"} {
		f.Add(seed)
	}
	s := &server{Config: Config{Settings: config.Default()}, port: 8443}
	f.Fuzz(func(t *testing.T, name string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Host = name
		got, err := url.Parse(called{s}.secure(r))
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		_, isAddr := netip.ParseAddr(got.Hostname())
		if got.Scheme != "https" || got.Port() != "8443" || got.Path != "/" || got.User != nil || got.RawQuery != "" || got.Fragment != "" || got.Hostname() != "foyer.local" && isAddr != nil {
			t.Errorf("%q leads to %s", name, got)
		}
	})
}

// People are told the same addresses by a page as by the commands, which ask the site: no
// name that nobody can type, nor NAME.local where nobody announces it.
func TestPagesTellTheAddressesOfTheSite(t *testing.T) {
	t.Attr("shows", "ground2")
	for _, behind := range []string{"", "127.0.0.1:8888"} {
		set := config.Default()
		set.Addresses, set.MDNS, set.Proxy.Listen = []string{"*.martin.fr", "Cloud.martin.fr", "2a01:db9::20"}, "off", behind
		s := &server{Config: Config{Settings: set}, port: set.HTTPSPort}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Host = "cloud.martin.fr"
		if got, want := (called{s}).addresses(r), site.Of(set).Addresses(); !slices.Equal(got, want) {
			t.Errorf("behind %q: %q, want %q", behind, got, want)
		}
		r.Host = "evil.example"
		if got := (called{s}).address(r); got != "https://cloud.martin.fr/" {
			t.Errorf("behind %q: whoever is called something else sends people to %s", behind, got)
		}
	}
}

// Whoever follows the data of a server that has not opened them is told to come back, and
// not that there is no such thing.
func TestWhoFollowsWaitsForTheData(t *testing.T) {
	s := private{&server{Config: Config{Log: slog.New(slog.DiscardHandler)}}}
	for _, path := range []string{"/log", "/log/followers/a", "/base", "/summary", "/file/a"} {
		w := httptest.NewRecorder()
		s.answer(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	if s.answer(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/logs", nil)); w.Code != http.StatusNotFound {
		t.Errorf("another path: %d", w.Code)
	}
}
