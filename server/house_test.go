//go:build !windows

package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/foyer-server/foyer/internal/claim"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
)

// house is a whole server, asked without a network: everything a request passes is
// there but the connection. Its hashes are cheap, so that tests do not wait for bcrypt.
type house struct {
	t    testing.TB
	data string
	s    *server
	door http.Handler
	end  func()           // closes it; the test does so in any case
	hear func(call, said) // of every answer; nil: nobody does
	from func() string    // the address a request comes from; nil: one and the same
}

const (
	houseOwner    = "jeannine"
	housePassword = "correct horse battery"
)

// onBothStores runs a test on SQLite and on PostgreSQL, side by side; database makes a
// new one, and returns its DSN: empty for SQLite.
func onBothStores(t *testing.T, fn func(t *testing.T, database func() string)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		fn(t, func() string { return "" })
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		c := pgtest.Start(t)
		fn(t, func() string { return c.DSN(t) })
	})
}

// newHouse opens a server with settings of the table [kinto]; offer is what was left for
// it to find when it starts, nil: its owner, with housePassword.
func newHouse(t *testing.T, dsn string, kinto map[string]string, offer *claim.Offer) *house {
	t.Helper()
	h, err := openHouse(t, dsn, kinto, offer)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// openHouse is newHouse for servers that may not start.
func openHouse(t *testing.T, dsn string, kinto map[string]string, offer *claim.Offer) (*house, error) {
	t.Helper()
	set := config.Default()
	set.Name, set.Data, set.Database, set.Kinto = "house", t.TempDir(), dsn, config.NewKinto(kinto)
	if offer == nil {
		hash, err := bcrypt.GenerateFromPassword([]byte(housePassword), bcrypt.MinCost)
		if err != nil {
			return nil, err
		}
		offer = &claim.Offer{ID: rand.Text(), Owner: houseOwner, PasswordHash: string(hash)}
	}
	if err := claim.Leave(set.Data, *offer, -1, -1); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := open(ctx, Config{Settings: set, PlainHTTP: true, Version: "0.0.0-test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		cancel()
		return nil, err
	}
	h := &house{t: t, data: set.Data, s: s, door: s.chain(s.proven(s.route))}
	h.end = sync.OnceFunc(func() {
		cancel()
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(h.end)
	if err := s.people.SetCost(bcrypt.MinCost); err != nil {
		return nil, err
	}
	return h, nil
}

// call is one request.
type call struct {
	method, path, body string
	auth, cookie       string   // the headers Authorization and Cookie; empty: none
	headers            []string // names and values
}

// said is the answer.
type said struct {
	status int
	header http.Header
	body   []byte
}

// ask sends one request.
func (h *house) ask(c call) said {
	h.t.Helper()
	ctx := context.WithValue(context.Background(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}))
	r := httptest.NewRequestWithContext(ctx, c.method, c.path, strings.NewReader(c.body))
	if r.RemoteAddr = "127.0.0.1:1024"; h.from != nil {
		r.RemoteAddr = h.from()
	}
	if c.body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	} else if strings.HasPrefix(c.body, "{") {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.auth != "" {
		r.Header.Set("Authorization", c.auth)
	}
	if c.cookie != "" {
		r.Header.Set("Cookie", c.cookie)
	}
	for i := 0; i < len(c.headers); i += 2 {
		r.Header.Set(c.headers[i], c.headers[i+1])
	}
	w := httptest.NewRecorder()
	h.door.ServeHTTP(w, r)
	a := said{w.Code, w.Header(), w.Body.Bytes()}
	if h.hear != nil {
		h.hear(c, a)
	}
	return a
}

// must is ask for a request that has to succeed.
func (h *house) must(c call) said {
	h.t.Helper()
	a := h.ask(c)
	if a.status >= 300 && a.status != http.StatusSeeOther {
		h.t.Fatalf("%s %s: %d %s", c.method, c.path, a.status, a.body)
	}
	return a
}

// form sends a form of the pages, or gets a page when there are no fields.
func (h *house) form(path, cookie string, fields ...string) said {
	h.t.Helper()
	if len(fields) == 0 {
		return h.ask(call{method: http.MethodGet, path: path, cookie: cookie, headers: []string{"Accept", "text/html"}})
	}
	values := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	return h.ask(call{method: http.MethodPost, path: path, cookie: cookie, body: values.Encode(), headers: []string{"Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html"}})
}

// cookies are those an answer gives, as a browser sends them back; empty: none.
func (a said) cookies() string {
	var all []string
	for _, line := range a.header["Set-Cookie"] {
		pair, _, _ := strings.Cut(line, ";")
		if _, value, _ := strings.Cut(pair, "="); value != "" {
			all = append(all, pair)
		}
	}
	return strings.Join(all, "; ")
}

// signIn signs somebody in to the pages, and returns their cookies; empty: they are not
// let in.
func (h *house) signIn(name, password string) string {
	h.t.Helper()
	if a := h.form("/signin", "", "name", name, "password", password); a.status == http.StatusSeeOther {
		return a.cookies()
	}
	return ""
}

var houseApp = regexp.MustCompile(`app(?:-[a-z2-7]{5}){5}`)

// app makes a password for an app of who has a cookie.
func (h *house) app(cookie string) string {
	h.t.Helper()
	a := h.form("/apps", cookie, "label", "a test")
	found := houseApp.Find(a.body)
	if found == nil {
		h.t.Fatalf("no password for an app: %d %s", a.status, a.body)
	}
	return string(found)
}

// basicAuth is the header Authorization of somebody.
func basicAuth(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// read reads an answer as JSON.
func (a said) read(into any) error { return json.Unmarshal(a.body, into) }

// jsonText is a value as JSON.
func jsonText(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSpace(b.String())
}

// inItsPart skips what takes minutes with the race detector, and what a newcomer need not
// wait for: `.ci/test matrix` runs it.
func inItsPart(t *testing.T) {
	t.Helper()
	if watched || os.Getenv("CI") == "" {
		t.Skip("`.ci/test matrix` runs this")
	}
}
