package api

import (
	"errors"
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
	if r.data()["password"] != nil || r.data()["age"] != 3.0 || !strings.Contains(r.text, `"permissions":{"write":["account:alice"]}`) {
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
	r := s.must(200, "alice", "PATCH "+accounts+"/alice", `{"data":{"age":4}}`)
	if r.data()["age"] != 4.0 {
		t.Error(r.text)
	}
	s.must(200, "alice", "GET "+accounts+"/alice", "") // by the same password
	s.must(400, "alice", "PUT "+accounts+"/alice", `{"data":{"age":4}}`)
	s.must(400, "alice", "PUT "+accounts+"/alice", `{"permissions":{}}`)
	s.must(400, "alice", "PATCH "+accounts+"/alice", `{"data":{"password":null}}`)
	for _, patch := range []string{`[{"op":"replace","path":"/data/password","value":"mine"}]`, `[{"op":"add","path":"/data/password","value":"$2a$10$zE/dm/cddKKPRvkAyLPosuX6E5xMonGF8w8TyB8bDC8Nyv0DJM7SW"}]`} {
		s.must(400, "alice", "PATCH "+accounts+"/alice", patch, "Content-Type: application/json-patch+json")
	}
	s.must(200, "alice", "PATCH "+accounts+"/alice", `[{"op":"add","path":"/data/x","value":1}]`, "Content-Type: application/json-patch+json")
	if r := s.must(200, "alice", "PATCH "+accounts+"/alice", `[{"op":"copy","from":"/data/x","path":"/data/y"}]`, "Content-Type: application/json-patch+json"); r.data()["y"] != 1.0 {
		t.Error(r.text)
	}
	s.must(200, "alice", "GET "+accounts+"/alice", "")
	// The old password is no good from the moment there is another.
	s.must(200, "alice", "PUT "+accounts+"/alice", `{"data":{"password":"other"}}`)
	s.must(401, "alice", "GET "+accounts+"/alice", "")
	s.must(200, "admin", "PATCH "+accounts+"/alice", `{"data":{"password":"pass"}}`, "Content-Type: application/merge-patch+json")
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

// The hash of a password is answered to nobody, by whatever door, nor can it be found out
// by asking whether it is this one.
func TestHashesAreNeverAnswered(t *testing.T) {
	t.Attr("shows", "mend")
	s := withUsers(t, withAccounts)
	const jsonPatch, mergePatch = "Content-Type: application/json-patch+json", "Content-Type: application/merge-patch+json"
	n := 0
	for _, user := range []string{"alice", "admin"} {
		for _, c := range []struct {
			line, body string
			headers    []string
		}{
			{"GET /alice", "", nil},
			{"HEAD /alice", "", nil},
			{"GET ", "", nil},
			{"GET ?_since=0", "", nil},
			{"GET /alice?_fields=password,age", "", nil},
			{"GET ?_fields=password", "", nil},
			{"GET ?_sort=password", "", nil},
			{"GET ?like_password=$2a", "", nil},
			{"GET ?min_password=%24", "", nil},
			{"GET ?has_password=true", "", nil},
			{"HEAD ?like_password=$2a", "", nil},
			{"DELETE ?like_password=$2a", "", nil},
			{"PUT /alice", `{"data":{"password":"pass"}}`, nil},
			{"PUT /alice", `{"data":{"password":"pass"}}`, []string{"If-None-Match: *"}},
			{"PUT /alice", `{"data":{"password":"pass"}}`, []string{`If-Match: "1"`}},
			{"GET /alice", "", []string{`If-Match: "1"`}},
			{"PATCH /alice", `{"data":{"age":5}}`, nil},
			{"PATCH /alice", `{"data":{"age":6}}`, []string{"Response-Behavior: light"}},
			{"PATCH /alice", `{"data":{"password":"pass"}}`, []string{"Response-Behavior: light"}},
			{"PATCH /alice", `{"data":{"password":"pass"}}`, []string{"Response-Behavior: diff"}},
			{"PATCH /alice", `{"data":{"password":"pass"}}`, []string{mergePatch}},
			{"PATCH /alice", `[{"op":"copy","from":"/data/password","path":"/data/x"}]`, []string{jsonPatch}},
			{"PATCH /alice", `[{"op":"move","from":"/data/password","path":"/data/x"}]`, []string{jsonPatch}},
			{"PATCH /alice", `[{"op":"copy","from":"/data","path":"/data/x"}]`, []string{jsonPatch}},
			{"PATCH /alice", `[{"op":"test","path":"/data/password","value":"$2a"}]`, []string{jsonPatch}},
			{"PATCH /alice", `[{"op":"add","path":"/data/y","value":1}]`, []string{jsonPatch, "Response-Behavior: diff"}},
			{"POST ", `{"data":{"id":"alice","password":"pass"}}`, nil},
		} {
			method, rest, _ := strings.Cut(c.line, " ")
			r := s.do(user, method+" "+accounts+rest, c.body, c.headers...)
			if n++; strings.Contains(r.text, "$2") && !strings.Contains(r.text, "$2a is") {
				t.Errorf("%s: %s %s: %s", user, c.line, c.body, r.text)
			}
			if strings.Contains(rest, "_password=") || strings.Contains(rest, "_sort") {
				if r.status != 400 {
					t.Errorf("%s: %s: %d %s", user, c.line, r.status, r.text)
				}
			}
			if c.headers == nil || !slices.Contains(c.headers, jsonPatch) {
				batch := s.must(200, user, "POST /v1/batch", `{"requests":[{"method":"`+method+`","path":"`+accounts+rest+`"`+bodyOf(c.body)+`}]}`)
				if n++; strings.Contains(batch.text, "$2") {
					t.Errorf("%s: %s %s in a batch: %s", user, c.line, c.body, batch.text)
				}
			}
		}
	}
	t.Logf("SHOW answers without a hash: %d of %d", n, n)
}

func bodyOf(text string) string {
	if text == "" {
		return ""
	}
	return `,"body":` + text
}

// What happens to an account by the API happens as it does by the pages: whoever had a
// name keeps it, the owner's account is theirs, and weak passwords are none.
func TestRulesOfAccountsHoldByAPI(t *testing.T) {
	t.Attr("shows", "mend")
	s, db := owned(t, map[string]string{"multiauth.policies": "account", "account_create_principals": "system.Everyone"})
	second := `{"owner":true}`
	s.must(201, "", "PUT "+accounts+"/second", `{"data":{"password":"pass"}}`)
	err := db.Write(t.Context(), nil, func(tx kinto.Tx) error {
		return errors.Join(tx.SetMeta(kinto.MetaPerson+"second", []byte(second)), tx.SetMeta("auth.owners", []byte("1")))
	})
	if err != nil {
		t.Fatal(err)
	}
	s.must(200, "second", "GET "+accounts+"/jeannine", "")
	for _, c := range [][2]string{
		{"PATCH /jeannine", `{"data":{"password":"mine now"}}`},
		{"PUT /jeannine", `{"data":{"password":"mine now"}}`},
		{"PATCH /jeannine", `{"data":{"x":1}}`},
		{"PATCH /jeannine", `{"permissions":{"write":["account:second"]}}`},
		{"DELETE /jeannine", ""},
	} {
		method, rest, _ := strings.Cut(c[0], " ")
		s.must(403, "second", method+" "+accounts+rest, c[1])
		if r := s.must(200, "second", "POST /v1/batch", `{"requests":[{"method":"`+method+`","path":"`+accounts+rest+`"`+bodyOf(c[1])+`}]}`); entry(r, 0)["status"] != 403.0 {
			t.Errorf("in a batch: %s", r.text)
		}
	}
	s.must(200, "jeannine", "PATCH "+accounts+"/jeannine", `{"data":{"password":"pass"}}`) // is hers

	s.must(201, "", "PUT "+accounts+"/paul", `{"data":{"password":"pass"}}`)
	s.must(200, "paul", "DELETE "+accounts+"/paul", "")
	s.must(401, "", "PUT "+accounts+"/paul", `{"data":{"password":"pass"}}`)
	s.must(401, "", "POST "+accounts, `{"data":{"id":"paul","password":"pass"}}`)
	if r := s.must(200, "", "POST /v1/batch", `{"requests":[{"method":"PUT","path":"/accounts/paul","body":{"data":{"password":"pass"}}}]}`); entry(r, 0)["status"] != 401.0 {
		t.Errorf("in a batch: %s", r.text)
	}
	for _, name := range []string{"Paul", "PAUL", "Jeannine", "sEcond"} {
		if r := s.must(400, "", "PUT "+accounts+"/"+name, `{"data":{"password":"pass"}}`); !strings.Contains(r.text, "capital letters") {
			t.Errorf("%s beside one that differs by case: %s", name, r.text)
		}
	}
	s.must(400, "", "PUT "+accounts+"/"+strings.Repeat("n", 65), `{"data":{"password":"pass"}}`)
	s.must(201, "", "PUT "+accounts+"/"+strings.Repeat("n", 64), `{"data":{"password":"pass"}}`)
	for _, password := range []string{"x", "abc", strings.Repeat("é", 37)} {
		s.must(400, "", "PUT "+accounts+"/anna", `{"data":{"password":"`+password+`"}}`)
	}
	s.must(201, "", "PUT "+accounts+"/anna", `{"data":{"password":"abcd"}}`)
	closed, _ := owned(t, map[string]string{"multiauth.policies": "account", "account_create_principals": "account:jeannine", "account_password_min_length": "4"})
	closed.must(400, "jeannine", "PUT "+accounts+"/anna", `{"data":{"password":"abc"}}`)
	closed.must(201, "jeannine", "PUT "+accounts+"/anna", `{"data":{"password":"abcd"}}`)
}

// TestOwnerManagesAccounts: a server nobody owns helps nobody.
func TestOwnerManagesAccounts(t *testing.T) {
	s, _ := owned(t, map[string]string{"multiauth.policies": "account", "account_create_principals": "system.Everyone"})
	s.must(201, "jeannine", "PUT "+accounts+"/paul", `{"data":{"password":"pass"}}`)
	if got := ids(s.must(200, "jeannine", "GET "+accounts, "")); !slices.Equal(got, []string{"paul", "jeannine"}) {
		t.Errorf("sees %v", got)
	}
	s.must(200, "jeannine", "PATCH "+accounts+"/paul", `{"data":{"x":1}}`)
	if r := s.must(403, "jeannine", "DELETE "+accounts+"/jeannine", ""); !strings.Contains(r.text, "theirs alone, and cannot be deleted") {
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
	makeOwner(t, s, db)
	return s, db
}

// makeOwner makes jeannine, and the owner of a server.
func makeOwner(t *testing.T, s *server, db kinto.Store) {
	t.Helper()
	hash, err := s.Handler.(*api).Kinto.HashPassword(t.Context(), "pass")
	if err != nil {
		t.Fatal(err)
	}
	err = db.Write(t.Context(), nil, func(tx kinto.Tx) error {
		l := kinto.List{Parent: "jeannine", Kind: kinto.Account}
		ts, err := tx.Tick(l, -1)
		o := &kinto.Object{ID: "jeannine", Timestamp: ts, Data: []byte(`{"password":"` + hash + `"}`), Permissions: kinto.Permissions{"write": {"account:jeannine"}}.Encode()}
		return errors.Join(err, tx.Put(l, o, nil), tx.SetMeta(kinto.MetaOwner, []byte("jeannine")), tx.SetMeta("auth.name.jeannine", []byte("jeannine")))
	})
	if err != nil {
		t.Fatal(err)
	}
}
