package api

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// uris lists the addresses of entries.
func uris(r reply) []string {
	out := []string{}
	for _, e := range r.list() {
		out = append(out, e.(map[string]any)["uri"].(string))
	}
	return out
}

func TestPermissionsEndpoint(t *testing.T) {
	s := filled(t, map[string]string{"experimental_permissions_endpoint": "true"})
	bob := s.must(200, "bob", "GET /v1/", "").body["user"].(map[string]any)["id"].(string)
	s.must(201, "alice", "PUT "+collections+"/shared", `{"permissions":{"record:create":["`+bob+`"],"read":["system.Everyone"]}}`)
	s.must(201, "alice", "PUT /v1/buckets/b/groups/g", `{"data":{"members":["`+bob+`"]}}`)
	s.must(200, "alice", "PUT "+records+"/r", `{"permissions":{"read":["/buckets/b/groups/g"]}}`)
	r := s.must(200, "alice", "GET /v1/permissions", "")
	want := []string{"/buckets/b/groups/g", "/buckets/b/collections/shared", "/buckets/b/collections/c/records/r", "/buckets/b/collections/c", "/buckets/b", "/"}
	if got := uris(r); !slices.Equal(got, want) {
		t.Errorf("alice has %v", got)
	}
	for i, want := range map[int]string{
		0: "map[bucket_id:b group_id:g id:g permissions:[read write] resource_name:group uri:/buckets/b/groups/g]",
		1: "map[bucket_id:b collection_id:shared id:shared permissions:[read read:attributes record:create write] resource_name:collection uri:/buckets/b/collections/shared]",
		2: "map[bucket_id:b collection_id:c id:r permissions:[read write] record_id:r resource_name:record uri:/buckets/b/collections/c/records/r]",
		4: "map[bucket_id:b id:b permissions:[collection:create group:create read read:attributes write] resource_name:bucket uri:/buckets/b]",
		5: "map[permissions:[bucket:create] resource_name:root uri:/]",
	} {
		if got := fmt.Sprint(r.list()[i]); got != want {
			t.Errorf("entry %d: %s", i, got)
		}
	}
	for query, want := range map[string][]string{
		"?exclude_resource_name=record,group,root":       {"/buckets/b/collections/shared", "/buckets/b/collections/c", "/buckets/b"},
		"?resource_name=record":                          {"/buckets/b/collections/c/records/r"},
		"?id=shared":                                     {"/buckets/b/collections/shared"},
		"?_sort=uri&_limit=2&exclude_resource_name=root": {"/buckets/b", "/buckets/b/collections/c"},
		"?_since=5&gt_last_modified=3&id=b":              {"/buckets/b"},
		"?contains_permissions=record:create":            {"/buckets/b/collections/shared", "/buckets/b/collections/c"},
	} {
		if got := uris(s.must(200, "alice", "GET /v1/permissions"+query, "")); !slices.Equal(got, want) {
			t.Errorf("%s: %v", query, got)
		}
	}
	var paged []string
	for next := "/v1/permissions?_limit=4"; next != "" && len(paged) < 20; {
		r := s.must(200, "alice", "GET "+next, "")
		paged = append(paged, uris(r)...)
		next = strings.TrimPrefix(r.header.Get("Next-Page"), "http://example.com")
	}
	if !slices.Equal(paged, want) {
		t.Errorf("pages: %v", paged)
	}
	if got := s.must(200, "alice", "HEAD /v1/permissions?_limit=1", "").header.Get("Total-Records"); got != "6" {
		t.Errorf("total: %s", got)
	}
	s.must(400, "alice", "GET /v1/permissions?zz=1", "")
	s.must(400, "alice", "GET /v1/permissions?_sort=zz", "")
	s.must(405, "alice", "POST /v1/permissions", "{}")
	if got := uris(s.must(200, "bob", "GET /v1/permissions", "")); !slices.Equal(got, []string{"/buckets/b/collections/shared", "/buckets/b/collections/c/records/r", "/"}) {
		t.Errorf("bob has %v", got)
	}
	if r := s.must(200, "", "GET /v1/permissions?_fields=permissions", ""); r.text != `{"data":[{"permissions":["read","read:attributes"],"id":"shared"}]}` {
		t.Errorf("nobody has %s", r.text)
	}
	s.must(404, "alice", "GET /v1/permissions/x", "")
	filled(t, nil).must(404, "alice", "GET /v1/permissions", "")
	admin := filled(t, map[string]string{"includes": "kinto.plugins.admin", "bucket_read_principals": "system.Authenticated", "permissions_read_principals": "system.Authenticated"})
	if got := fmt.Sprint(admin.must(200, "bob", "GET /v1/permissions?resource_name=bucket", "").list()); got != "[map[bucket_id:b id:b permissions:[read read:attributes] resource_name:bucket uri:/buckets/b]]" {
		t.Errorf("by settings: %s", got)
	}
	admin.must(401, "", "GET /v1/permissions", "")
}

func TestFlush(t *testing.T) {
	settings := map[string]string{"multiauth.policies": "account", "account_create_principals": "system.Everyone", "includes": "kinto.plugins.flush kinto.plugins.accounts kinto.plugins.counters"}
	s, _ := owned(t, settings)
	s.must(201, "", "PUT "+accounts+"/paul", `{"data":{"password":"pass"}}`)
	s.must(201, "jeannine", "PUT /v1/buckets/b", "")
	s.must(201, "jeannine", "PUT "+collections+"/c", "")
	s.must(201, "jeannine", "PUT "+records+"/r", "")
	s.must(200, "jeannine", "DELETE "+records+"/r", "")
	tag := s.must(200, "jeannine", "GET "+records, "").header.Get("ETag")
	if r := s.must(200, "", "GET /v1/__counters__", ""); r.text != `{"objects":{"account":2,"bucket":1,"collection":1},"tombstones":{"record":1}}` {
		t.Errorf("counters: %s", r.text)
	}
	s.must(405, "", "GET /v1/__flush__", "")
	if r := s.must(202, "", "POST /v1/__flush__", ""); r.text != "{}" {
		t.Error(r.text)
	}
	s.must(401, "paul", "GET /v1/buckets", "")
	if got := s.must(200, "jeannine", "GET /v1/buckets?_since=0", "").list(); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
	s.must(201, "jeannine", "PUT /v1/buckets/b", "")
	s.must(201, "jeannine", "PUT "+collections+"/c", "")
	if again := s.must(200, "jeannine", "GET "+records, "").header.Get("ETag"); again <= tag {
		t.Errorf("the list is at %s, was at %s", again, tag)
	}
	off := filled(t, nil)
	off.must(404, "", "POST /v1/__flush__", "")
	off.must(404, "", "GET /v1/__counters__", "")
	off.must(200, "alice", "GET "+records+"/r", "")
}

func TestUserData(t *testing.T) {
	id := func(s *server, name string) string {
		return s.must(200, name, "GET /v1/", "").body["user"].(map[string]any)["id"].(string)
	}
	probe := start(t, nil)
	bob := id(probe, "bob")
	s := filled(t, map[string]string{"user-data_delete_principals": id(probe, "admin"), "includes": "kinto.plugins.history"})
	s.must(200, "alice", "PUT "+collections+"/c", `{"permissions":{"record:create":["system.Authenticated"],"read":["`+bob+`"]}}`)
	s.must(201, "bob", "PUT "+records+"/his", "")
	s.must(201, "bob", "PUT "+records+"/theirs", `{"permissions":{"write":["x"]}}`)
	s.must(201, "bob", "PUT /v1/buckets/his", "")
	s.must(201, "bob", "PUT /v1/buckets/his/collections/c", "")
	tag := s.must(200, "alice", "GET "+collections+"/c", "").header.Get("ETag")
	s.must(403, "bob", "DELETE /v1/__user_data__/"+bob, "")
	s.must(401, "", "DELETE /v1/__user_data__/"+bob, "")
	s.must(405, "admin", "GET /v1/__user_data__/"+bob, "")
	if r := s.must(200, "admin", "DELETE /v1/__user_data__/"+bob, ""); r.text != `{"data":{"principal":"`+bob+`"}}` {
		t.Error(r.text)
	}
	if got := ids(s.must(200, "alice", "GET "+records+"?_sort=id", "")); !slices.Equal(got, []string{"r", "theirs"}) {
		t.Errorf("records: %v", got)
	}
	s.must(403, "bob", "GET /v1/buckets/his", "")
	if got := s.must(200, "bob", "GET "+records, "").list(); len(got) != 0 {
		t.Errorf("bob sees %v", got)
	}
	s.must(403, "bob", "GET "+records+"/theirs", "")
	r := s.must(200, "alice", "GET "+collections+"/c", "")
	if r.header.Get("ETag") != tag || strings.Contains(r.text, bob) {
		t.Errorf("collection: %s", r.text)
	}
	if got := s.must(200, "alice", "GET "+historyURL+"?action=delete", "").list(); len(got) != 1 {
		t.Errorf("history: %v", got)
	}
}
