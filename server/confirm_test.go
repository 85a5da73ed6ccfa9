package server_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server"
	"github.com/foyer-server/foyer/server/servertest"
	"github.com/foyer-server/foyer/server/web"
)

// confirmer is a supervisor that notes by which address a change of the settings was confirmed.
type confirmer struct {
	web.Appliance // of the rest nobody asks here

	mu   sync.Mutex
	kept []string
}

const confirming = "ABCDEFGHIJKLMNOPQRST"

func (c *confirmer) KeepChange(_ context.Context, code, at string) (report.Job, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = append(c.kept, code+" "+at)
	return report.Job{}, nil
}

// last is the address of the last confirmation; empty: there was none since the one before.
func (c *confirmer) last() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.kept) == 0 {
		return ""
	}
	at, ok := strings.CutPrefix(c.kept[len(c.kept)-1], confirming+" ")
	if c.kept = nil; !ok {
		return "another code"
	}
	return at
}

// A change is confirmed by the address the request really came to: a name of this server, the
// address of this machine, what a proxy says that is trusted. What a request calls the server
// otherwise is none, and the code is in no log.
func TestAConfirmationCountsByTheAddressItCameTo(t *testing.T) {
	t.Attr("shows", "ground2")
	t.Parallel()
	form := url.Values{"code": {confirming}}.Encode()
	send := func(c *http.Client, to string, headers ...string) int {
		t.Helper()
		get(t, c, http.MethodGet, to+"/change/keep?code="+confirming, "", headers...)
		resp, _ := get(t, c, http.MethodPost, to+"/change/keep", form, slices.Concat([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers)...)
		return resp.StatusCode
	}
	seen := 0

	direct := &confirmer{}
	s := servertest.Start(t, servertest.Config{Appliance: direct, Settings: func(s *config.Settings) { s.Addresses = []string{"cloud.example.org"} }})
	_, port, _ := strings.Cut(s.Addr(host.HTTPS), ":")
	b := newBrowser(t, s)
	for called, want := range map[string]string{
		"": s.URL, strings.ToUpper(s.Name) + ".local": s.URL, "cloud.example.org": "https://cloud.example.org:" + port, "127.0.0.1:" + port: "https://127.0.0.1:" + port,
		"evil.example": "null", "127.0.0.2": "null", "cloud.example.org.evil.example": "null",
	} {
		b.send("/change/keep?code="+confirming, called)
		if resp, body := b.send("/change/keep", called, "code", confirming); resp.StatusCode != http.StatusOK {
			t.Errorf("%q: %s %s", called, resp.Status, body)
		}
		if at := direct.last(); at != want {
			t.Errorf("called %q: it came by %q, want %q", called, at, want)
		}
		seen++
	}
	send(s.Client(), s.URL, "X-Forwarded-Host", "cloud.example.org", "Forwarded", "host=cloud.example.org")
	if at := direct.last(); at != s.URL {
		t.Errorf("a stranger says it is another name: %q", at)
	}
	if status := send(s.Client(), s.Plain); direct.last() != "" || status/100 != 3 {
		t.Errorf("confirmed without TLS: %d", status)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}

	behind := &confirmer{}
	to, stop := behindProxy(t, func(s *config.Settings) {
		s.Proxy.Trusted, s.Addresses = []string{"127.0.0.1"}, []string{"cloud.example.org"}
	}, func(c *server.Config) { c.Appliance = behind })
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Timeout: patience}
	defer c.CloseIdleConnections()
	for called, want := range map[string]string{"cloud.example.org": "https://cloud.example.org", "cloud.example.org:8443": "https://cloud.example.org:8443", "evil.example": "null"} {
		send(c, to, "X-Forwarded-For", "203.0.113.9", "X-Forwarded-Proto", "https", "X-Forwarded-Host", called)
		if at := behind.last(); at != want {
			t.Errorf("behind a proxy, called %q: it came by %q, want %q", called, at, want)
		}
		seen++
	}
	if log := s.Log() + stop(); strings.Contains(log, confirming) || !strings.Contains(log, "msg=request ") {
		t.Errorf("the code is in the log, or nothing is:\n%s", log)
	}
	t.Logf("SHOW a confirmation by %d addresses, true and forged, direct and behind a proxy: each counts as what it came by; the code is in no log", seen)
}
