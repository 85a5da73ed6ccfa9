package api

import (
	"slices"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/server/kinto"
)

const accounts = "/v1/accounts"

var withAccounts = map[string]string{"multiauth.policies": "account", "account_create_principals": "system.Everyone", "account_write_principals": "account:admin"}

// withUsers is a server with the accounts of alice, bob and admin.
func withUsers(t *testing.T, settings map[string]string) *server {
	s := start(t, settings)
	for _, name := range []string{"alice", "bob", "admin"} {
		s.must(201, "", "PUT "+accounts+"/"+name, `{"data":{"password":"pass","age":3}}`)
	}
	return s
}

func TestAccountsComeToBe(t *testing.T) {
	s := start(t, withAccounts)
	r := s.must(201, "", "PUT "+accounts+"/alice", `{"data":{"password":"pass","age":3}}`)
	if hash := r.data()["password"].(string); !strings.HasPrefix(hash, "$2") || r.data()["age"] != 3.0 || !strings.Contains(r.text, `"permissions":{"write":["account:alice"]}`) {
		t.Error(r.text)
	}
	if user := s.must(200, "alice", "GET /v1/", "").body["user"].(map[string]any); user["id"] != "account:alice" {
		t.Errorf("user: %v", user)
	}
	s.must(201, "", "POST "+accounts, `{"data":{"id":"bob@example.com","password":"pass"}}`)
	s.must(200, "bob@example.com", "GET "+accounts+"/bob@example.com", "")
	for _, c := range []struct {
		user, line, body string
		status           int
		says             string
	}{
		{"", "POST " + accounts, `{"data":{"password":"pass"}}`, 400, "data.id in body: Required"},
		{"", "POST " + accounts, `{"data":{"id":"x"}}`, 400, "data.password in body: Required"},
		{"", "POST " + accounts, `{"data":{"id":"x","password":7}}`, 400, "7 is not a string"},
		{"", "POST " + accounts, `{"data":{"id":"x/y","password":"pass"}}`, 400, "Invalid object id"},
		{"", "PUT " + accounts + "/x", `{}`, 400, "data.password in body: Required"},
		{"", "PUT " + accounts + "/x", `{"data":{"password":""}}`, 400, "data.password"},
		{"", "PUT " + accounts + "/x", `{"data":{"password":"` + strings.Repeat("x", 73) + `"}}`, 400, "72 bytes"},
		{"", "PUT " + accounts + "/x", `{"data":{"id":"y","password":"pass"}}`, 400, "does not match"},
		{"", "PUT " + accounts + "/alice", `{"data":{"password":"mine"}}`, 401, ""},
		{"", "POST " + accounts, `{"data":{"id":"alice","password":"mine"}}`, 401, ""},
		{"alice", "PUT " + accounts + "/x", `{"data":{"password":"pass"}}`, 400, "Username and account ID do not match."},
		{"alice", "POST " + accounts, `{"data":{"id":"x","password":"pass"}}`, 400, "Username and account ID do not match."},
	} {
		if r := s.must(c.status, c.user, c.line, c.body); !strings.Contains(r.text, c.says) {
			t.Errorf("%s %s: %s", c.line, c.body, r.text)
		}
	}
	closed := start(t, map[string]string{"multiauth.policies": "account"})
	closed.must(401, "", "PUT "+accounts+"/alice", `{"data":{"password":"pass"}}`)
	closed.must(401, "", "POST "+accounts, `{"data":{"password":"pass"}}`)
	for _, settings := range []map[string]string{nil, {"multiauth.policies": "account", "includes": ""}} {
		start(t, settings).must(404, "", "GET "+accounts, "")
	}
}

func TestAccountsAreSeenByTheirOwn(t *testing.T) {
	s := withUsers(t, withAccounts)
	r := s.must(401, "", "GET "+accounts, "")
	if r.body["errno"] != 999.0 || r.body["error"] != "Cannot read accounts." || r.body["message"] != nil {
		t.Error(r.text)
	}
	for user, want := range map[string][]string{"alice": {"alice"}, "admin": {"admin", "bob", "alice"}} {
		if got := ids(s.must(200, user, "GET "+accounts, "")); !slices.Equal(got, want) {
			t.Errorf("%s sees %v", user, got)
		}
		if got := s.must(200, user, "HEAD "+accounts, "").header.Get("Total-Records"); got != string(rune('0'+len(want))) {
			t.Errorf("%s counts %s", user, got)
		}
	}
	r = s.must(200, "admin", "GET "+accounts+"?_limit=2&_sort=id", "")
	if got := ids(r); !slices.Equal(got, []string{"admin", "alice"}) {
		t.Errorf("page: %v", got)
	}
	next := strings.TrimPrefix(r.header.Get("Next-Page"), "http://example.com")
	if got := ids(s.must(200, "admin", "GET "+next, "")); !slices.Equal(got, []string{"bob"}) {
		t.Errorf("next page: %v", got)
	}
	tag := s.must(200, "alice", "GET "+accounts, "").header.Get("ETag")
	s.must(304, "alice", "GET "+accounts, "", "If-None-Match: "+tag)
	s.must(200, "alice", "PATCH "+accounts+"/alice", `{"data":{"age":4}}`)
	s.must(200, "alice", "GET "+accounts, "", "If-None-Match: "+tag)
	for _, line := range []string{"GET " + accounts + "/alice", "DELETE " + accounts + "/alice"} {
		s.must(403, "bob", line, "")
		s.must(401, "", line, "")
	}
	s.must(403, "bob", "PATCH "+accounts+"/alice", `{"data":{"password":"x"}}`)
	s.must(200, "admin", "GET "+accounts+"/alice", "")
	s.must(404, "admin", "GET "+accounts+"/no", "")
	s.must(403, "bob", "GET "+accounts+"/no", "")
}

func TestAccountsAreChanged(t *testing.T) {
	s := withUsers(t, withAccounts)
	before := s.must(200, "alice", "GET "+accounts+"/alice", "").data()["password"]
	r := s.must(200, "alice", "PATCH "+accounts+"/alice", `{"data":{"age":4}}`)
	if r.data()["password"] != before || r.data()["age"] != 4.0 {
		t.Error(r.text)
	}
	s.must(400, "alice", "PUT "+accounts+"/alice", `{"data":{"age":4}}`)
	s.must(400, "alice", "PUT "+accounts+"/alice", `{"permissions":{}}`)
	s.must(400, "alice", "PATCH "+accounts+"/alice", `{"data":{"password":null}}`)
	for _, patch := range []string{`[{"op":"replace","path":"/data/password","value":"mine"}]`, `[{"op":"add","path":"/data/password","value":"$2a$10$zE/dm/cddKKPRvkAyLPosuX6E5xMonGF8w8TyB8bDC8Nyv0DJM7SW"}]`} {
		s.must(400, "alice", "PATCH "+accounts+"/alice", patch, "Content-Type: application/json-patch+json")
	}
	s.must(200, "alice", "PATCH "+accounts+"/alice", `[{"op":"add","path":"/data/x","value":1}]`, "Content-Type: application/json-patch+json")
	// The old password is no good from the moment there is another.
	s.must(200, "alice", "PUT "+accounts+"/alice", `{"data":{"password":"other"}}`)
	s.must(401, "alice", "GET "+accounts+"/alice", "")
	r = s.must(200, "admin", "PATCH "+accounts+"/alice", `{"data":{"password":"pass"}}`, "Content-Type: application/merge-patch+json")
	if !strings.HasPrefix(r.data()["password"].(string), "$2") {
		t.Error(r.text)
	}
	s.must(200, "alice", "GET "+accounts+"/alice", "")
	r = s.must(201, "admin", "PUT "+accounts+"/carol", `{"data":{"password":"pass"},"permissions":{"read":["account:bob"]}}`)
	if !strings.Contains(r.text, `"write":["account:carol"]`) || strings.Contains(r.text, "account:admin") {
		t.Error(r.text)
	}
	s.must(200, "carol", "GET "+accounts+"/carol", "")
	s.must(200, "bob", "GET "+accounts+"/carol", "")
	s.must(403, "bob", "PATCH "+accounts+"/carol", `{"data":{"x":1}}`)
	if r := s.must(200, "alice", "DELETE "+accounts+"/alice", ""); r.data()["deleted"] != true {
		t.Error(r.text)
	}
	s.must(401, "alice", "GET "+accounts+"/alice", "")
	if got := ids(s.must(200, "bob", "DELETE "+accounts, "")); !slices.Equal(got, []string{"bob"}) {
		t.Errorf("deleted %v", got)
	}
	s.must(401, "bob", "GET "+accounts, "")
	if got := ids(s.must(200, "admin", "GET "+accounts+"?_since=0&deleted=true", "")); len(got) != 2 {
		t.Errorf("tombstones of %v", got)
	}
}

func TestAccountsInBatches(t *testing.T) {
	s := withUsers(t, withAccounts)
	r := s.must(200, "", "POST /v1/batch", `{"requests":[{"method":"PUT","path":"/accounts/dora","body":{"data":{"password":"pass"}}},
		{"method":"POST","path":"/v1/accounts","body":{"data":{"id":"emil","password":"pass"}}},{"method":"PUT","path":"/accounts/alice","body":{"data":{"password":"pass"}}}]}`)
	if entry(r, 0)["status"] != 201.0 || entry(r, 1)["status"] != 201.0 || entry(r, 2)["status"] != 401.0 || strings.Contains(r.text, `"password":"pass"`) {
		t.Error(r.text)
	}
	s.must(200, "dora", "GET "+accounts+"/dora", "")
	s.must(200, "emil", "GET "+accounts+"/emil", "")
}

// TestOwnerManagesAccounts: a server nobody owns helps nobody.
func TestOwnerManagesAccounts(t *testing.T) {
	s, _ := owned(t, map[string]string{"multiauth.policies": "account", "account_create_principals": "system.Everyone"})
	s.must(201, "jeannine", "PUT "+accounts+"/paul", `{"data":{"password":"pass"}}`)
	if got := ids(s.must(200, "jeannine", "GET "+accounts, "")); !slices.Equal(got, []string{"paul", "jeannine"}) {
		t.Errorf("sees %v", got)
	}
	s.must(200, "jeannine", "PATCH "+accounts+"/paul", `{"data":{"x":1}}`)
	if r := s.must(403, "jeannine", "DELETE "+accounts+"/jeannine", ""); !strings.Contains(r.text, "owner cannot be deleted") {
		t.Error(r.text)
	}
	if got := ids(s.must(200, "jeannine", "DELETE "+accounts, "")); !slices.Equal(got, []string{"paul"}) {
		t.Errorf("deleted %v", got)
	}
	if r := s.must(403, "jeannine", "DELETE "+accounts, "", "Accept-Language: fr"); !strings.Contains(r.text, "propriétaire") {
		t.Error(r.text)
	}
	s.must(200, "jeannine", "GET "+accounts+"/jeannine", "")
}

// owned is a server whose owner is jeannine.
func owned(t *testing.T, settings map[string]string) (*server, kinto.Store) {
	t.Helper()
	h, db := newHouse(t, settings)
	s := &server{t, h}
	s.must(201, "", "PUT "+accounts+"/jeannine", `{"data":{"password":"pass"}}`)
	err := db.Write(t.Context(), nil, func(tx kinto.Tx) error { return tx.SetMeta(kinto.MetaOwner, []byte("jeannine")) })
	if err != nil {
		t.Fatal(err)
	}
	return s, db
}
