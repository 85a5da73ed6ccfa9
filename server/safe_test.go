//go:build unix

package server_test

import (
	"bytes"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/server/servertest"
	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
)

// In safe mode everything is read as before, and nothing is stored, by whatever door: clients are
// told to come again, people why, and the supervisor that it is to be left alone.
func TestSafeMode(t *testing.T) {
	t.Attr("shows", "health")
	dsn := pgtest.Start(t).DSN(t)
	for name, settings := range map[string]func(*config.Settings){"SQLite": nil, "PostgreSQL": func(s *config.Settings) { s.Database = dsn }} {
		t.Run(name, func(t *testing.T) {
			s := servertest.Start(t, servertest.Config{Settings: settings})
			filled(t, s, 50)
			const record = "/v1/buckets/b/collections/c/records/r7"
			_, want := s.Do(http.MethodGet, record, "")
			_, list := s.Do(http.MethodGet, "/v1/buckets/b/collections/c/records", "")
			at, _ := attach(t, s, "with", "hello")
			if err := s.Stop(); err != nil {
				t.Fatal(err)
			}
			before := contents(t, s)

			s = servertest.Start(t, servertest.Config{Data: s.Data, Settings: func(c *config.Settings) {
				c.Name = s.Name
				if settings != nil {
					settings(c)
				}
			}, Safe: true})
			if resp, got := s.Do(http.MethodGet, record, ""); resp.StatusCode != http.StatusOK || got != want {
				t.Errorf("a record: %s %s, want %s", resp.Status, got, want)
			}
			if resp, got := s.Do(http.MethodGet, "/v1/buckets/b/collections/c/records?_limit=100&exclude_id=with", ""); resp.StatusCode != http.StatusOK || len(got) != len(list) {
				t.Errorf("a list: %s, %d bytes of %d", resp.Status, len(got), len(list))
			}
			if resp, got := s.Do(http.MethodGet, at.Path, ""); resp.StatusCode != http.StatusOK || got != "hello" {
				t.Errorf("an attachment: %s %s", resp.Status, got)
			}
			for _, try := range []struct{ method, path, body string }{
				{http.MethodPut, record, `{"data":{"text":"anew"}}`},
				{http.MethodPatch, record, `{"data":{"text":"anew"}}`},
				{http.MethodPost, "/v1/buckets/b/collections/c/records", `{"data":{}}`},
				{http.MethodDelete, record, ""},
				{http.MethodDelete, "/v1/buckets/b", ""},
				{http.MethodPut, "/v1/buckets/more", ""},
				{http.MethodPut, "/v1/accounts/marcel", `{"data":{"password":"correct horse battery"}}`},
			} {
				resp, got := s.Do(try.method, try.path, try.body)
				if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.Contains(got, "stores nothing new for now") {
					t.Errorf("%s %s: %s %s", try.method, try.path, resp.Status, got)
				}
			}
			if resp, got := s.Do(http.MethodPost, "/v1/batch", `{"requests":[{"method":"PUT","path":"`+strings.TrimPrefix(record, "/v1")+`","body":{"data":{}}}]}`); resp.StatusCode < 500 && !strings.Contains(got, `"status":503`) {
				t.Errorf("a batch: %s %s", resp.Status, got)
			}
			resp, err := s.Client().PostForm(s.URL+"/signin", url.Values{"name": {servertest.Owner}, "password": {servertest.Password}})
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode < 400 {
				t.Errorf("signing in, which would be stored: %s", resp.Status)
			}
			h, status, err := s.Health()
			if err != nil || status != http.StatusOK || !h.OK || !h.Claimed || h.Trouble == nil || h.Trouble.Code != "safe-mode" {
				t.Errorf("health: %d %+v, %v", status, h, err)
			}
			if err := s.Stop(); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(before, contents(t, s)) {
				t.Error("something was written")
			}
		})
	}
}

// contents is the database file, where there is one.
func contents(t *testing.T, s *servertest.Server) []byte {
	t.Helper()
	if s.Set.Database != "" {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(s.Data, "data.db"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
