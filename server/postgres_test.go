//go:build !windows

package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server"
	"github.com/foyer-server/foyer/server/servertest"
	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
)

// TestTwoServersOnOneDatabase: what one is told the other knows; they show the same
// certificate; and without their database they wait for it rather than be started anew.
func TestTwoServersOnOneDatabase(t *testing.T) {
	c := pgtest.Start(t)
	dsn := c.DSN(t) + " password=hunter2"
	one := servertest.Start(t, servertest.Config{Settings: func(s *config.Settings) { s.Database = dsn }})
	two := servertest.Start(t, servertest.Config{Settings: func(s *config.Settings) { s.Database, s.Name = dsn, one.Name }})
	if !one.Roots().Equal(two.Roots()) {
		t.Error("two home CAs")
	}
	if resp, body := one.Do(http.MethodPut, "/v1/buckets/b", `{"data":{"kept":true},"permissions":{"read":["system.Everyone"]}}`); resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s", resp.Status, body)
	}
	anonymous := func(want int) {
		t.Helper()
		if resp, body := get(t, two.Client(), http.MethodGet, two.URL+"/v1/buckets/b", ""); resp.StatusCode != want {
			t.Errorf("%s %s", resp.Status, body)
		}
	}
	anonymous(http.StatusOK)
	if resp, body := one.Do(http.MethodPatch, "/v1/buckets/b", `{"permissions":{"read":[]}}`); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", resp.Status, body)
	}
	anonymous(http.StatusUnauthorized)

	// Who signs in at one is signed in at both, and so it is with apps, and with
	// what was guessed.
	b := newBrowser(t, one).signIn()
	_, page := b.send("/apps", "", "label", "notes")
	app := appPassword.FindString(page)
	if got := as(t, two, servertest.Owner, app, http.MethodGet, "/v1/buckets/b", ""); got != http.StatusOK {
		t.Errorf("the app at the other server: %d", got)
	}
	other := newBrowser(t, two)
	other.cookie = b.cookie
	if resp, _ := other.send("/account", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("the session at the other server: %s", resp.Status)
	}
	for i := range 20 {
		b.send("/signin", "", "name", "nobody", "password", "guess "+string(rune('a'+i)))
	}
	if resp, _ := other.send("/signin", "", "name", "nobody", "password", "another guess"); resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("guessing at the other server: %s", resp.Status)
	}
	if resp, _ := b.send("/signout", "", "x", ""); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("%s", resp.Status)
	}

	c.Stop(t)
	if resp, body := one.Do(http.MethodPut, "/v1/buckets/c", `{}`); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("without a database: %s %s", resp.Status, body)
	}
	if h, status, err := one.Health(); err != nil || status != http.StatusOK || h.Storage == "" || strings.Contains(h.Storage, "hunter2") {
		t.Errorf("without a database: %d %+v, %v", status, h, err)
	}
	c.Restart(t)
	for deadline := time.Now().Add(patience); ; {
		if resp, _ := two.Do(http.MethodPut, "/v1/buckets/c", `{}`); resp.StatusCode == http.StatusCreated {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the database is back, and the server is not")
		}
	}
	if strings.Contains(one.Log()+two.Log(), "hunter2") {
		t.Error("the password is in the log")
	}
}

func TestNoDatabaseTellsWhatToDo(t *testing.T) {
	set := config.Default()
	set.Data, set.Database = t.TempDir(), "postgres://ann:hunter2@127.0.0.1:1/none"
	l, err := host.Listen(host.HTTP, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	err = server.Run(t.Context(), server.Config{Settings: set, Listeners: []host.Listener{l}, Version: "0", Log: quietLog(), PlainHTTP: true})
	if h := hint.Find(err); h == nil || h.Code != "database-unreachable" || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}
