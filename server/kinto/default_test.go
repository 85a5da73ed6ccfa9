package kinto_test

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage"
)

// owners are the rules of accounts of a server that jeannine owns.
type owners struct{ kinto.Accounts }

func (owners) OwnsServer(_ kinto.Reader, name string) (bool, error) { return name == "jeannine", nil }

// Of the bucket that anybody can work out, the maker decides whose it is.
func TestOwnBucket(t *testing.T) {
	t.Attr("shows", "mend3")
	names := kinto.OwnNames{Known: "known", Secret: "secret"}
	anna := kinto.Caller{ID: "account:anna", Principals: []string{"account:anna", kinto.Authenticated, kinto.Everyone}}
	basic := kinto.Caller{ID: "basicauth:anna", Principals: []string{"basicauth:anna", kinto.Authenticated, kinto.Everyone}}
	for _, c := range []struct {
		what   string
		who    kinto.Caller
		maker  string // of the known one; empty: it is not there
		writer string // of it
		secret bool   // the secret one is there
		want   string
	}{
		{"there is none", anna, "", "", false, "known"},
		{"there is one of before", anna, "", "", true, "secret"},
		{"she made it", anna, "account:anna", "account:anna", false, "known"},
		{"she made it, and has one of before", anna, "account:anna", "account:anna", true, "known"},
		{"she made it, and may not write it any more", anna, "account:anna", "account:paul", false, "known"},
		{"somebody else did", anna, "account:eve", "account:eve", false, "secret"},
		{"somebody else did, for her to write to", anna, "account:eve", "account:anna", false, "secret"},
		{"a provider's user did, for her", anna, "google:eve", "account:anna", false, "secret"},
		{"nobody known did, for everybody", anna, "system.Everyone", "system.Everyone", false, "secret"},
		{"an owner did, for her", anna, "account:jeannine", "account:anna", false, "known"},
		{"an owner did, for himself", anna, "account:jeannine", "account:jeannine", false, "secret"},
		{"who writes all buckets did, for her", anna, "google:host", "account:anna", false, "known"},
		{"who writes all accounts did, for her", anna, "account:admin", "account:anna", false, "known"},
		{"who had an owner's name before did, for her", anna, "account:jeannine#7", "account:anna", false, "secret"},
		{"by basicauth, somebody did, for her", basic, "basicauth:eve", "basicauth:anna", false, "known"},
		{"by basicauth, somebody did, for himself", basic, "basicauth:eve", "basicauth:eve", false, "secret"},
	} {
		t.Run(c.what, func(t *testing.T) {
			db, err := storage.Open(t.Context(), filepath.Join(t.TempDir(), "foyer.db"), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
			put := func(id, maker, writer string) {
				err := db.Write(t.Context(), nil, func(tx kinto.Tx) error {
					l := kinto.List{Kind: kinto.Bucket}
					ts, err := tx.Tick(l, -1)
					if err != nil {
						return err
					}
					o := &kinto.Object{ID: id, Timestamp: ts, Data: []byte(`{}`), Permissions: kinto.Permissions{"write": {writer}}.Encode()}
					if err := tx.Put(l, o, nil); err != nil {
						return err
					}
					return tx.SetOwner(l.URI(id), maker)
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if c.maker != "" {
				put("known", c.maker, c.writer)
			}
			if c.secret {
				put("secret", c.who.ID, c.who.ID)
			}
			settings := config.NewKinto(map[string]string{"bucket_write_principals": "google:host", "account_write_principals": "account:admin"})
			s := kinto.New(db, settings, owners{})
			if id, err := s.OwnBucket(t.Context(), c.who, names); id != c.want || err != nil {
				t.Errorf("%s, %v, want %s", id, err, c.want)
			}
			if id, err := s.OwnBucket(t.Context(), c.who, kinto.OwnNames{Secret: "secret"}); id != "secret" || err != nil {
				t.Errorf("by a secret: %s, %v", id, err)
			}
		})
	}
}
