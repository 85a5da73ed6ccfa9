package certs

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
)

// A second Pebble is the authority for rehearsals. A way that worked and rots is
// told of in words while the certificate is good; what is served, and the count of
// real orders, do not change by any rehearsal.
func TestRehearsals(t *testing.T) {
	t.Attr("shows", "certificates")
	l := openLab(t)
	staging, err := newAuthority(l.zone)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := l.start(t, dir, func(c *Config) { c.Public.Rehearse = staging.directory }, "plan.home.test")
	staging.handler.put(c.Challenges(http.NotFoundHandler()), c.TLSConfig())
	until(t, "the certificate", func() bool { return pebbles(visit(t, l, "plan.home.test")) })
	first := visit(t, l, "plan.home.test").SerialNumber
	worked := func(kind string) func() bool {
		return func() bool {
			c.stage.mu.Lock()
			defer c.stage.mu.Unlock()
			n := c.stage.notes[kind+" plan.home.test"]
			return !n.Worked.IsZero() && n.Failure == nil
		}
	}
	until(t, "a rehearsal by HTTP-01", worked("http-01"))
	until(t, "a rehearsal by TLS-ALPN-01", worked("tls-alpn-01"))
	if f := c.failure("plan.home.test"); f != nil {
		t.Errorf("all went well and it says %v", f)
	}

	// Port 80 leads elsewhere.
	staging.handler.put(http.NotFoundHandler(), c.TLSConfig())
	until(t, "a word of it", func() bool { return c.failure("plan.home.test") != nil })
	served := c.Served(t.Context())
	f := served[0].Failure
	if f == nil || f.Kind != "rehearsal" || !strings.Contains(f.What.EN, "http-01") || !strings.Contains(f.What.FR, "répétition") || f.Do.EN == "" || served[0].Home {
		t.Errorf("served %+v, told %+v", served[0], f)
	}
	staging.handler.put(c.Challenges(http.NotFoundHandler()), c.TLSConfig())
	until(t, "the end of the complaint", func() bool { return c.failure("plan.home.test") == nil })

	if visit(t, l, "plan.home.test").SerialNumber.Cmp(first) != 0 {
		t.Error("another certificate is served")
	}
	orders, err := os.ReadFile(filepath.Join(dir, ordersKey))
	if err != nil || strings.Count(string(orders), "T") != 1 {
		t.Errorf("real orders: %s, %v", orders, err)
	}
	kept, err := filepath.Glob(filepath.Join(dir, "certificates", "*"))
	if err != nil || len(kept) != 2 { // the home CA's and the authority's
		t.Errorf("certificates kept: %v, %v", kept, err)
	}
	if accounts, err := filepath.Glob(filepath.Join(dir, "rehearsal", "acme", "*", "users")); err != nil || len(accounts) != 1 {
		t.Errorf("accounts of its own: %v, %v", accounts, err)
	}
	// A server that is started again reads what it noted.
	again := newRehearsal(t.Context(), staging.directory, c.public, Public{HTTP: l.http}, c.stage.storage, c.log)
	again.pace.rehearsal = 7 * day
	if again.due("http-01", "plan.home.test") {
		t.Error("each start rehearses anew")
	}
	if f != nil {
		t.Logf("SHOW rehearsals at a second Pebble, HTTP-01 and TLS-ALPN-01, with an account of their own: a way that rots is told of (%q), the certificate and the count of real orders stay", f.What.EN)
	}
}

// A way that never worked is nobody's plan, and rehearsals go to no authority nobody
// chose.
func TestWhatIsNotRehearsed(t *testing.T) {
	r := &rehearsal{ways: map[string]*certmagic.ACMEIssuer{"http-01": nil}, notes: map[string]note{
		"http-01 never.home.test": {At: time.Now(), Failure: needsDNS("never.home.test")},
	}}
	if f := r.rotten("never.home.test"); f != nil {
		t.Errorf("it tells of %v", f)
	}
	for _, c := range []struct{ ca, setting, want string }{
		{"", "", certmagic.LetsEncryptStagingCA},
		{certmagic.LetsEncryptProductionCA, "", certmagic.LetsEncryptStagingCA},
		{"", "off", ""},
		{"https://ca.example/directory", "", ""},
		{"https://ca.example/directory", "https://try.example/directory", "https://try.example/directory"},
	} {
		if got := stagingOf(c.ca, c.setting); got != c.want {
			t.Errorf("for %q and %q: %q", c.ca, c.setting, got)
		}
	}
}
