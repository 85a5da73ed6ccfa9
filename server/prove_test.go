//go:build unix

package server_test

import (
	"crypto/sha256"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server"
	"github.com/foyer-server/foyer/server/servertest"
	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
)

// Who an owner is, and since when, is read from the data, beside the server that is at work:
// a cookie proves it, and nothing else does. Nothing is changed by looking.
func TestProve(t *testing.T) {
	t.Attr("shows", "ground")
	dsn := pgtest.Start(t).DSN(t)
	for name, settings := range map[string]func(*config.Settings){"SQLite": nil, "PostgreSQL": func(s *config.Settings) { s.Database = dsn }} {
		t.Run(name, func(t *testing.T) {
			s := servertest.Start(t, servertest.Config{Settings: settings})
			before := time.Now().Truncate(time.Second)
			owner := newBrowser(t, s).signIn()
			member := owner.joins("marcel")
			again := newBrowser(t, s).signIn()
			prove := func(cookie string) (string, time.Time, string) {
				t.Helper()
				who, at, err := server.Prove(t.Context(), s.Set, cookie, slog.New(slog.DiscardHandler))
				if err != nil && (who != "" || !at.IsZero()) {
					t.Errorf("an error, and %q", who)
				}
				if e := hint.Find(err); e != nil {
					return who, at, e.Code
				} else if err != nil {
					t.Fatal(err)
				}
				return who, at, ""
			}
			for _, b := range []*browser{owner, again} {
				if who, at, code := prove(b.cookie); who != servertest.Owner || code != "" || at.Before(before) || at.After(time.Now().Add(time.Second)) {
					t.Errorf("the owner: %q since %s, %q", who, at, code)
				}
			}
			ofOwner, ofMember, _ := strings.Cut(owner.cookie, ":")
			_, secret, _ := strings.Cut(member.cookie, ":")
			for what, c := range map[string]struct{ cookie, want string }{
				"a member's":                           {member.cookie, "owners-only"},
				"none":                                 {"", "signin-again"},
				"the owner's name, a member's secret":  {ofOwner + ":" + secret, "signin-again"},
				"the member's name, an owner's secret": {"marcel:" + ofMember, "signin-again"},
				"the owner's name alone":               {servertest.Owner, "signin-again"},
				"an empty secret":                      {servertest.Owner + ":", "signin-again"},
				"no name that can be":                  {"../../etc\x00:" + secret, "signin-again"},
				"a long one":                           {servertest.Owner + ":" + strings.Repeat("x", 1<<16), "signin-again"},
			} {
				if _, _, code := prove(c.cookie); code != c.want {
					t.Errorf("%s: %q, not %q", what, code, c.want)
				}
			}
			old := owner.cookie
			owner.send("/signout", "", "x", "y")
			if _, _, code := prove(old); code != "signin-again" {
				t.Errorf("a session that ended: %q", code)
			}
			if name == "SQLite" {
				file := filepath.Join(s.Data, "data.db")
				sum := func() [32]byte {
					data, err := os.ReadFile(file)
					if err != nil {
						t.Fatal(err)
					}
					return sha256.Sum256(data)
				}
				if err := s.Stop(); err != nil {
					t.Fatal(err)
				}
				was := sum()
				if who, _, code := prove(again.cookie); who != servertest.Owner || code != "" {
					t.Errorf("while the server is away: %q, %q", who, code)
				}
				if sum() != was {
					t.Error("looking changed the database")
				}
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
				if who, _, err := server.Prove(t.Context(), s.Set, again.cookie, slog.New(slog.DiscardHandler)); err == nil || who != "" {
					t.Errorf("without data: %q", who)
				}
				if _, err := os.Stat(file); err == nil {
					t.Error("looking made a database")
				}
			}
		})
	}
}

// The supervisor is told what happened to people, in order, each with a number of its own.
func TestWhatHappenedToPeople(t *testing.T) {
	t.Attr("shows", "ground")
	s := servertest.Start(t, servertest.Config{})
	newBrowser(t, s).signIn().joins("marcel")
	all, err := s.Happened()
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for i, e := range all {
		codes = append(codes, e.Code+" "+e.Subject)
		if i > 0 && e.Number != all[i-1].Number+1 || e.At.IsZero() || e.What.EN == "" || e.What.FR == "" {
			t.Errorf("%+v", e)
		}
	}
	if got, want := strings.Join(codes, ", "), "person-signed-in jeannine, person-invited jeannine, person-joined marcel"; !strings.HasSuffix(got, want) {
		t.Errorf("%s, not %s", got, want)
	}
}
