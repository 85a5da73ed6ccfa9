//go:build !windows

package api

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage"
	"github.com/foyer-server/foyer/server/storage/postgres"
	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
)

func init() {
	if os.Getenv("FOYER_API_TESTS_ON") == "PostgreSQL" {
		openStore = func(t testing.TB) (closer, error) {
			return postgres.Open(t.Context(), pgtest.Start(t).DSN(t), slog.New(slog.DiscardHandler))
		}
	}
}

// onBothStores runs a test on a server over each store.
func onBothStores(t *testing.T, settings map[string]string, fn func(s *server, db kinto.Store)) {
	log := slog.New(slog.DiscardHandler)
	t.Run("SQLite", func(t *testing.T) {
		db, err := storage.Open(t.Context(), filepath.Join(t.TempDir(), "foyer.db"), log)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		fn(&server{t, houseOn(t, db, settings)}, db)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		db, err := postgres.Open(t.Context(), pgtest.Start(t).DSN(t), log)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		fn(&server{t, houseOn(t, db, settings)}, db)
	})
}

// What somebody was granted ends with them: who has their name, or that of a group, a
// bucket or a collection, later on has nothing of it, and is shown nothing of it.
func TestRightsEndWithWhatTheyWereGivenTo(t *testing.T) {
	t.Attr("shows", "mend")
	settings := map[string]string{
		"multiauth.policies": "account", "account_create_principals": "system.Everyone", "account_write_principals": "account:admin",
		"includes": "kinto.plugins.default_bucket kinto.plugins.accounts kinto.plugins.history kinto.plugins.flush", "experimental_permissions_endpoint": "true",
	}
	onBothStores(t, settings, func(s *server, db kinto.Store) {
		t := s.t
		for _, name := range []string{"alice", "bob", "eve", "admin"} {
			s.must(201, "", "PUT "+accounts+"/"+name, `{"data":{"password":"pass"}}`)
		}
		// Alice shares a diary with bob, with a group of hers, and with a group in another bucket.
		s.must(201, "alice", "PUT /v1/buckets/friends", "")
		s.must(201, "alice", "PUT /v1/buckets/friends/groups/family", `{"data":{"members":["account:bob"]}}`)
		s.must(201, "alice", "PUT /v1/buckets/club", `{"permissions":{"group:create":["account:eve"]}}`)
		s.must(201, "alice", "PUT /v1/buckets/club/groups/team", `{"data":{"members":["account:bob"]}}`)
		shared := []string{"account:bob", "/buckets/friends/groups/family", "/buckets/club/groups/team"}
		read := func(who string, of ...string) []string { // which diaries somebody may read
			var got []string
			for i, id := range []string{"1", "2", "3"} {
				if r := s.do(who, "GET /v1/buckets/diary"+id+"/collections/c/records/r", ""); r.status == 200 {
					got = append(got, shared[i])
				} else if r.status != 403 && r.status != 401 {
					t.Fatalf("%d %s", r.status, r.text)
				}
				if n := len(ids(s.do(who, "GET /v1/buckets/diary"+id+"/collections/c/records", ""))); (n == 1) != slices.Contains(got, shared[i]) {
					t.Errorf("%s: the list of diary %s shows %d", who, id, n)
				}
			}
			if !slices.Equal(got, of) {
				t.Errorf("%s reads what was shared with %v, want %v", who, got, of)
			}
			uris := s.do(who, "GET /v1/permissions", "").text
			for i, id := range []string{"1", "2", "3"} {
				if strings.Contains(uris, "/buckets/diary"+id+"/") != slices.Contains(of, shared[i]) {
					t.Errorf("%s: permissions %s", who, uris)
				}
			}
			return got
		}
		written := func(id string) string {
			return s.must(200, "alice", "GET /v1/buckets/diary"+id+"/collections/c/records/r", "").text
		}
		for i, id := range []string{"1", "2", "3"} {
			s.must(201, "alice", "PUT /v1/buckets/diary"+id, "")
			s.must(201, "alice", "PUT /v1/buckets/diary"+id+"/collections/c", "")
			s.must(201, "alice", "PUT /v1/buckets/diary"+id+"/collections/c/records/r", `{"data":{"dear":"diary"},"permissions":{"read":["`+shared[i]+`"]}}`)
		}
		read("bob", shared...)

		// The group is deleted, and whoever may make groups there makes it again.
		s.must(200, "alice", "DELETE /v1/buckets/club/groups/team", "")
		s.must(201, "eve", "PUT /v1/buckets/club/groups/team", `{"data":{"members":["account:eve","account:bob"]}}`)
		read("eve")
		read("bob", shared[:2]...)
		if text := written("3"); strings.Contains(text, "team") {
			t.Errorf("shown as granted: %s", text)
		}
		s.must(200, "eve", "DELETE /v1/buckets/club/groups/team", "")
		s.must(201, "eve", "PUT /v1/buckets/club/groups/team", `{"data":{"members":["account:eve"]}}`)
		read("eve")

		// The bucket is deleted, and anybody makes it again with its group.
		s.must(200, "alice", "DELETE /v1/buckets/friends", "")
		read("bob", shared[:1]...)
		s.must(201, "eve", "PUT /v1/buckets/friends", "")
		s.must(201, "eve", "PUT /v1/buckets/friends/groups/family", `{"data":{"members":["account:eve"]}}`)
		read("eve")
		s.must(200, "eve", "DELETE /v1/buckets", "")
		s.must(201, "eve", "PUT /v1/buckets/friends", "")
		s.must(201, "eve", "PUT /v1/buckets/friends/groups/family", `{"data":{"members":["account:eve"]}}`)
		read("eve")
		if text := written("2"); strings.Contains(text, "family") {
			t.Errorf("shown as granted: %s", text)
		}
		// What is granted to the new one is its own, also before it is there.
		s.must(200, "alice", "PATCH /v1/buckets/diary2/collections/c/records/r", `{"permissions":{"read":["/buckets/friends/groups/family"]}}`)
		read("eve", shared[1])
		if text := written("2"); !strings.Contains(text, `"/buckets/friends/groups/family"`) {
			t.Errorf("not shown as granted: %s", text)
		}
		s.must(200, "eve", "DELETE /v1/buckets/friends/groups/family", "")
		s.must(200, "alice", "PATCH /v1/buckets/diary2/collections/c/records/r", `{"permissions":{"read":["/buckets/friends/groups/family"]}}`)
		read("eve")
		s.must(201, "eve", "PUT /v1/buckets/friends/groups/family", `{"data":{"members":["account:eve"]}}`)
		read("eve", shared[1])

		// The account is deleted, and its name given to somebody else.
		own := s.must(201, "bob", "PUT /v1/buckets/default/collections/c/records/r", `{"data":{"secret":"bob's"}}`)
		bucket := s.must(200, "bob", "GET /v1/", "").body["user"].(map[string]any)["bucket"]
		s.must(201, "bob", "PUT /v1/buckets/bobs", "")
		s.must(200, "bob", "DELETE "+accounts+"/bob", "")
		s.must(401, "", "PUT "+accounts+"/bob", `{"data":{"password":"pass"}}`)
		s.must(201, "admin", "PUT "+accounts+"/bob", `{"data":{"password":"pass"}}`)
		read("bob")
		if text := written("1"); strings.Contains(text, "bob") {
			t.Errorf("shown as granted: %s", text)
		}
		s.must(403, "bob", "GET /v1/buckets/bobs", "")
		if again := s.must(200, "bob", "GET /v1/", "").body["user"].(map[string]any); again["bucket"] == bucket || again["id"] != "account:bob" || strings.Contains(fmt.Sprint(again), "#") {
			t.Errorf("the new one: %v", again)
		}
		if got := ids(s.must(200, "bob", "GET /v1/buckets/default/collections/c/records", "")); len(got) != 0 {
			t.Errorf("the new one's diary: %v, where %s was", got, own.text)
		}
		if got := ids(s.must(200, "bob", "GET /v1/buckets", "")); slices.Contains(got, "bobs") {
			t.Errorf("the new one sees %v", got)
		}
		// The new one can be shared with, and be in groups, by the name there is.
		s.must(200, "alice", "PATCH /v1/buckets/diary1/collections/c/records/r", `{"permissions":{"read":["account:bob"]}}`)
		s.must(200, "eve", "PATCH /v1/buckets/friends/groups/family", `{"data":{"members":["account:bob","account:eve"]}}`)
		read("bob", shared[:2]...)
		if r := s.must(200, "eve", "GET /v1/buckets/friends/groups/family", ""); !strings.Contains(r.text, `"members":["account:bob","account:eve"]`) {
			t.Errorf("members: %s", r.text)
		}
		for _, line := range []string{"GET /v1/buckets/friends/groups", "GET /v1/buckets/friends/history", "GET /v1/buckets/diary1/history", "GET /v1/buckets/diary1/collections/c/records/r", "GET /v1/buckets/friends"} {
			for _, who := range []string{"alice", "eve", "bob"} {
				if r := s.do(who, line, ""); strings.Contains(r.text, "#") {
					t.Errorf("%s %s: %s", who, line, r.text)
				}
			}
		}
		for _, patch := range []string{`[{"op":"add","path":"/data/members/-","value":"account:admin"}]`, `[{"op":"add","path":"/permissions/read/account:admin","value":"account:admin"}]`, `[{"op":"test","path":"/data/members/0","value":"account:bob"}]`} {
			if r := s.must(200, "eve", "PATCH /v1/buckets/friends/groups/family", patch, "Content-Type: application/json-patch+json"); strings.Contains(r.text, "#") || !strings.Contains(r.text, `"account:bob"`) {
				t.Errorf("%s: %s", patch, r.text)
			}
		}
		read("bob", shared[:2]...)

		// A name that looks like a birth is a name.
		s.must(200, "alice", "PATCH /v1/buckets/diary1/collections/c/records/r", `{"permissions":{"read":["account:eve#1","account:bob#1","account:bob#0","/buckets/friends/groups/family#0.2.1"]}}`)
		if text := written("1"); !strings.Contains(text, `"/buckets/friends/groups/family#0.2.1","account:bob#0","account:bob#1","account:eve#1"`) {
			t.Errorf("shown: %s", text)
		}
		read("bob", shared[1])
		read("eve", shared[1])
	})
}

// A snapshot, and the history, show nothing of a collection that was there before to
// whoever makes it again.
func TestSnapshotsEndWithTheirCollection(t *testing.T) {
	t.Attr("shows", "mend")
	settings := map[string]string{"includes": "kinto.plugins.history"}
	onBothStores(t, settings, func(s *server, _ kinto.Store) {
		t := s.t
		eve := s.must(200, "eve", "GET /v1/", "").body["user"].(map[string]any)["id"].(string)
		s.must(201, "alice", "PUT /v1/buckets/b", `{"permissions":{"collection:create":["`+eve+`"]}}`)
		s.must(201, "alice", "PUT /v1/buckets/b/collections/c", "")
		s.must(201, "alice", "PUT /v1/buckets/b/collections/c/records/r", `{"data":{"dear":"diary"}}`)
		at := s.must(200, "alice", "GET /v1/buckets/b/collections/c/records/r", "").data()["last_modified"].(float64)
		snapshot := func(who string) []string {
			return ids(s.must(200, who, fmt.Sprintf("GET /v1/buckets/b/snapshot/collections/c@%.0f", at), ""))
		}
		if got := snapshot("alice"); !slices.Equal(got, []string{"r"}) {
			t.Errorf("alice's own: %v", got)
		}
		s.must(200, "alice", "DELETE /v1/buckets/b/collections/c", "")
		s.must(201, "eve", "PUT /v1/buckets/b/collections/c", "")
		s.must(201, "eve", "PUT /v1/buckets/b/collections/c/records/mine", `{"data":{"n":1}}`)
		if got := snapshot("eve"); len(got) != 0 {
			t.Errorf("eve is shown %v", got)
		}
		if r := s.do("eve", "GET /v1/buckets/b/history", ""); strings.Contains(r.text, "diary") {
			t.Errorf("eve is shown %s", r.text)
		}
		at = s.must(200, "eve", "GET /v1/buckets/b/collections/c/records/mine", "").data()["last_modified"].(float64)
		s.must(200, "eve", "PATCH /v1/buckets/b/collections/c/records/mine", `{"data":{"n":2}}`)
		if got := snapshot("eve"); !slices.Equal(got, []string{"mine"}) {
			t.Errorf("eve's own: %v", got)
		}
	})
}
