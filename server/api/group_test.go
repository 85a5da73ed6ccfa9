package api

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGroups(t *testing.T) {
	s := filled(t, nil)
	const groups = "/v1/buckets/b/groups"
	me := func(user string) (id string, principals []any) {
		u := s.must(200, user, "GET /v1/", "").body["user"].(map[string]any)
		return u["id"].(string), u["principals"].([]any)
	}
	bob, _ := me("bob")
	r := s.must(201, "alice", "PUT "+groups+"/g", `{"data":{"members":["`+bob+`"],"x":1}}`)
	if diff := cmp.Diff([]any{bob}, r.data()["members"]); diff != "" {
		t.Error(diff)
	}
	if _, got := me("bob"); !slices.Equal(got, []any{bob, "/buckets/b/groups/g", "system.Authenticated", "system.Everyone"}) {
		t.Errorf("principals: %v", got)
	}
	s.must(403, "bob", "GET "+records, "")
	s.must(200, "alice", "PATCH "+collections+"/c", `{"permissions":{"read":["/buckets/b/groups/g"]}}`)
	s.must(200, "bob", "GET "+records, "")
	s.must(403, "bob", "GET "+groups+"/g", "")
	s.must(403, "bob", "PUT "+groups+"/g2", "{}")
	s.must(200, "alice", "PATCH /v1/buckets/b", `{"permissions":{"group:create":["`+bob+`"]}}`)
	s.must(201, "bob", "PUT "+groups+"/g2", "{}")
	if got := ids(s.must(200, "bob", "GET "+groups, "")); !slices.Equal(got, []string{"g2"}) {
		t.Errorf("bob sees %v", got)
	}
	for body, want := range map[string]any{`{}`: nil, ``: nil, `{"data":{}}`: []any{}, `{"data":{"y":2}}`: []any{}, `{"data":{"members":["a","a"]}}`: []any{"a", "a"}} {
		s.must(200, "alice", "DELETE "+groups+"/g2", "")
		if diff := cmp.Diff(want, s.must(201, "alice", "PUT "+groups+"/g2", body).data()["members"]); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
	for body, message := range map[string]string{
		`{"data":{"members":"a"}}`:                       `data.members in body: "a" is not iterable`,
		`{"data":{"members":[1]}}`:                       `data.members.0 in body: 1 is not a string`,
		`{"data":{"members":["a","/buckets/b/g"]}}`:      `data.members.1 in body: '/buckets/b/g' is not a valid user ID.`,
		`{"data":{"members":["system.Everyone"]}}`:       `'system.Everyone' is not a valid user ID.`,
		`{"data":{},"permissions":{"record:create":[]}}`: `is not one of read, write`,
	} {
		for _, line := range []string{"PUT " + groups + "/g", "POST " + groups, "PATCH " + groups + "/g"} {
			if got := s.must(400, "alice", line, body).body["message"].(string); !strings.Contains(got, message) {
				t.Errorf("%s %s: %s", line, body, got)
			}
		}
	}
	// everybody who is known
	s.must(200, "alice", "PATCH "+groups+"/g", `{"data":{"members":["system.Authenticated"]}}`)
	s.must(200, "eve", "GET "+records, "")
	s.must(401, "", "GET "+records, "")
	// a group that is gone is in nobody's principals; one that is made by its name is another
	s.must(200, "alice", "DELETE "+groups+"/g", "")
	s.must(403, "bob", "GET "+records, "")
	if got := s.must(200, "alice", "GET "+collections+"/c", "").text; strings.Contains(got, "/buckets/b/groups/g") {
		t.Errorf("what the group was granted: %s", got)
	}
	s.must(201, "alice", "PUT "+groups+"/g", `{"data":{"members":["`+bob+`"]}}`)
	s.must(403, "bob", "GET "+records, "")
	s.must(200, "alice", "PATCH "+collections+"/c", `{"permissions":{"read":["/buckets/b/groups/g"]}}`)
	s.must(200, "bob", "GET "+records, "")
	s.must(200, "alice", "DELETE /v1/buckets/b", "")
	if _, got := me("bob"); len(got) != 3 {
		t.Errorf("after the bucket went: %v", got)
	}
	s.must(201, "alice", "PUT /v1/buckets/b", "")
	if got := ids(s.must(200, "alice", "GET "+groups+"?_since=0", "")); got != nil {
		t.Errorf("left: %v", got)
	}
}
