// What tests of server/api stand on, on the commit that .ci/mend-before goes back to.
package api

import (
	"log/slog"
	"maps"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/server/attachment"
	"github.com/foyer-server/foyer/server/auth"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage"
	"github.com/foyer-server/foyer/server/storage/postgres"
	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
)

func onBothStores(t *testing.T, settings map[string]string, fn func(s *server, db kinto.Store)) {
	log := slog.New(slog.DiscardHandler)
	on := func(t *testing.T, db interface {
		kinto.Store
		Close() error
	}, err error,
	) {
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		dir := t.TempDir()
		all := map[string]string{"multiauth.policies": "basicauth", "userid_hmac_secret": "secret"}
		maps.Copy(all, settings)
		s := config.Default()
		s.Limits.Body = 1 << 20
		s.Kinto = config.NewKinto(all)
		files, err := attachment.Open(filepath.Join(dir, "attachments"))
		if err != nil {
			t.Fatal(err)
		}
		fn(&server{t, New(Config{Files: files, Kinto: kinto.New(db, s.Kinto), Auth: auth.New(db, s.Kinto, dir, log), Settings: s, Version: "1.2.3", Log: log})}, db)
	}
	t.Run("SQLite", func(t *testing.T) {
		db, err := storage.Open(t.Context(), filepath.Join(t.TempDir(), "foyer.db"), log)
		on(t, db, err)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		db, err := postgres.Open(t.Context(), pgtest.Start(t).DSN(t), log)
		on(t, db, err)
	})
}

func names(r reply) []string {
	out := []string{}
	for _, o := range r.list() {
		id, _ := o.(map[string]any)["id"].(string)
		out = append(out, id)
	}
	return out
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func fill(s *server) {
	s.must(201, "alice", "PUT /v1/buckets/b", "")
	s.must(201, "alice", "PUT /v1/buckets/b/collections/c", "")
	s.must(201, "alice", "PUT /v1/buckets/b/collections/c/records/r", `{"data":{"n":1}}`)
}
