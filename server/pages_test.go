package server_test

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/server/servertest"
)

// browser is a client that keeps the cookie of who is signed in, whatever it calls
// the server.
type browser struct {
	*testing.T
	s      *servertest.Server
	c      *http.Client
	cookie string
}

func newBrowser(t *testing.T, s *servertest.Server) *browser {
	t.Helper()
	return &browser{T: t, s: s, c: s.Client()}
}

// send sends a form, or gets a page when there are no fields.
func (b *browser) send(path, host string, fields ...string) (*http.Response, string) {
	b.Helper()
	method, form := http.MethodGet, url.Values{}
	for i := 0; i < len(fields); i += 2 {
		method = http.MethodPost
		form.Set(fields[i], fields[i+1])
	}
	req, err := http.NewRequestWithContext(b.Context(), method, b.s.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if host != "" {
		req.Host = host
	}
	if b.cookie != "" {
		req.AddCookie(&http.Cookie{Name: "__Host-foyer", Value: b.cookie, Quoted: true})
	}
	resp, err := b.c.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	for _, c := range resp.Cookies() {
		if c.Name == "__Host-foyer" {
			b.cookie = c.Value
		}
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	return resp, string(body)
}

func (b *browser) signIn() *browser {
	b.Helper()
	if resp, body := b.send("/signin", "", "name", servertest.Owner, "password", servertest.Password); resp.StatusCode != http.StatusSeeOther {
		b.Fatalf("%s %s", resp.Status, body)
	}
	return b
}

// joins invites somebody and comes in as them.
func (b *browser) joins(name string) *browser {
	b.Helper()
	_, body := b.send("/people", "", "for", name, "role", "member")
	m := regexp.MustCompile(`/join#code=([A-Z0-9]+)`).FindStringSubmatch(body)
	if m == nil {
		b.Fatal(body)
	}
	other := newBrowser(b.T, b.s)
	if resp, body := other.send("/join", "", "code", m[1], "name", name, "password", servertest.Password); resp.StatusCode != http.StatusSeeOther {
		b.Fatalf("%s %s", resp.Status, body)
	}
	return other
}

var appPassword = regexp.MustCompile(`app(?:-[a-z2-7]{5}){5}`)

// as makes one API request with HTTP Basic authentication.
func as(t *testing.T, s *servertest.Server, name, password, method, path, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.SetBasicAuth(name, password)
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// An app does with its password what its person may, but for accounts: it can
// neither read the hash of a password nor set one.
func TestAppsStoreAndReachNoAccount(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Config{})
	b := newBrowser(t, s).signIn()
	_, page := b.send("/apps", "", "label", "notes")
	password := appPassword.FindString(page)
	const account = "/v1/accounts/" + servertest.Owner
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{http.MethodPut, "/v1/buckets/notes", "", http.StatusCreated},
		{http.MethodGet, "/v1/buckets/notes", "", http.StatusOK},
		{http.MethodGet, account, "", http.StatusForbidden},
		{http.MethodPatch, account, `{"data":{"password":"the thief's own"}}`, http.StatusForbidden},
		{http.MethodPut, account, `{"data":{"password":"the thief's own"}}`, http.StatusForbidden},
		{http.MethodPut, "/v1/accounts/mallory", `{"data":{"password":"the thief's own"}}`, http.StatusForbidden},
		{http.MethodPost, "/v1/accounts", `{"data":{"id":"mallory","password":"the thief's own"}}`, http.StatusForbidden},
		{http.MethodGet, "/v1/accounts", "", http.StatusForbidden},
		{http.MethodDelete, "/v1/accounts", "", http.StatusForbidden},
		{http.MethodDelete, account, "", http.StatusForbidden},
		{http.MethodPost, "/v1/batch", `{"requests":[{"method":"PATCH","path":"` + account + `","body":{"data":{"password":"the thief's own"}}}]}`, http.StatusOK},
	} {
		if got := as(t, s, servertest.Owner, password, c.method, c.path, c.body); got != c.want {
			t.Errorf("%s %s: %d", c.method, c.path, got)
		}
	}
	if got := as(t, s, servertest.Owner, "the thief's own", http.MethodGet, account, ""); got != http.StatusUnauthorized {
		t.Errorf("an app gave the account a password: %d", got)
	}
	if got := as(t, s, servertest.Owner, servertest.Password, http.MethodGet, account, ""); got != http.StatusOK {
		t.Errorf("the password itself: %d", got)
	}
	id := regexp.MustCompile(`name="id" value="([^"]+)"`).FindStringSubmatch(page)
	if resp, body := b.send("/apps/revoke", "", "id", id[1]); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("%s %s", resp.Status, body)
	}
	if got := as(t, s, servertest.Owner, password, http.MethodGet, "/v1/buckets/notes", ""); got != http.StatusUnauthorized {
		t.Errorf("taken back: %d", got)
	}
	if log := s.Log(); strings.Contains(log, password) || strings.Contains(log, servertest.Password) || strings.Contains(log, "notes\"") {
		t.Error("the log tells secrets")
	}
}

// Whatever a request calls this server, the links it makes lead to it.
func TestLinksOfAPoisonedRequest(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Config{Settings: func(set *config.Settings) { set.Addresses = []string{"192.168.7.7"} }})
	b := newBrowser(t, s).signIn()
	own := strings.TrimPrefix(s.URL, "https://")
	_, port, _ := strings.Cut(own, ":")
	for host, want := range map[string]string{
		"": own, own: own, "evil.example": own, "evil.example:" + port: own, "6.6.6.6": own, "10.1.1.1:" + port: own,
		"192.168.7.7": "192.168.7.7:" + port, "127.0.0.1:" + port: "127.0.0.1:" + port,
	} {
		for _, path := range []string{"/people", "/person/reset", "/apps"} {
			resp, body := b.send(path, host, "role", "member", "name", servertest.Owner, "label", "x")
			if resp.StatusCode == http.StatusBadRequest { // no host at all
				continue
			}
			if strings.Contains(body, "evil") || strings.Contains(body, "6.6.6.6") || !strings.Contains(body, "https://"+want+"/") {
				t.Errorf("%q %s: %s", host, path, body)
			}
		}
	}
}

// What somebody who is removed has stored stays, or goes, as the owner chose.
func TestWhatBecomesOfData(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Config{Settings: func(set *config.Settings) {
		set.Kinto = config.NewKinto(map[string]string{"account_create_principals": "system.Everyone", "multiauth.policies": "account"})
	}})
	b := newBrowser(t, s).signIn()
	for name, want := range map[string]int{"keep": http.StatusOK, "forget": http.StatusForbidden} {
		b.joins(name)
		for path, body := range map[string]string{
			"/v1/buckets/" + name: `{"permissions":{"read":["account:` + servertest.Owner + `"]}}`,
		} {
			if got := as(t, s, name, servertest.Password, http.MethodPut, path, body); got != http.StatusCreated {
				t.Fatalf("%s: %d", path, got)
			}
		}
		if resp, body := b.send("/person/remove", "", "name", name, "data", name, "sure", "yes"); resp.StatusCode != http.StatusSeeOther {
			t.Fatalf("%s %s", resp.Status, body)
		}
		if got := as(t, s, servertest.Owner, servertest.Password, http.MethodGet, "/v1/buckets/"+name, ""); got != want {
			t.Errorf("%s: %d", name, got)
		}
		if got := as(t, s, name, servertest.Password, http.MethodGet, "/v1/buckets/"+name, ""); got != http.StatusUnauthorized {
			t.Errorf("%s is still let in: %d", name, got)
		}
	}
	// Where anybody may make an account, nobody makes the one that finds what was kept.
	for name, want := range map[string]int{"keep": http.StatusForbidden, "forget": http.StatusCreated} {
		if resp, body := get(t, s.Client(), http.MethodPut, s.URL+"/v1/accounts/"+name, `{"data":{"password":"of a stranger"}}`, "Content-Type", "application/json"); resp.StatusCode != want && (want != http.StatusForbidden || resp.StatusCode != http.StatusUnauthorized) {
			t.Errorf("%s: %s %s", name, resp.Status, body)
		}
	}
}

// An account that is deleted by whatever way takes along what belongs to it: who
// has the name next is somebody else.
func TestAnAccountMadeAnewIsSomebodyElses(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Config{})
	b := newBrowser(t, s).signIn()
	paul := b.joins("paul")
	_, page := paul.send("/apps", "", "label", "notes")
	password := appPassword.FindString(page)
	if got := as(t, s, "paul", password, http.MethodGet, "/v1/buckets", ""); got != http.StatusOK {
		t.Fatalf("%d", got)
	}
	if resp, body := s.Do(http.MethodDelete, "/v1/accounts/paul", ""); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", resp.Status, body)
	}
	if resp, body := s.Do(http.MethodPut, "/v1/accounts/paul", `{"data":{"password":"of the new paul"}}`); resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s", resp.Status, body)
	}
	if got := as(t, s, "paul", password, http.MethodGet, "/v1/accounts", ""); got != http.StatusUnauthorized {
		t.Errorf("the app of the old paul: %d", got)
	}
	if resp, _ := paul.send("/account", ""); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("the old paul is signed in: %s", resp.Status)
	}
}
