//go:build !windows

package api

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/server/kinto"
)

// What clients of Kinto know of what is kept (clients_test.go), on each store.

// Whoever may only create something in a bucket or a collection finds it in the list.
func TestListsShowWhereOneMayCreate(t *testing.T) {
	t.Attr("shows", "mend3")
	onBothStores(t, nil, func(s *server, _ kinto.Store) {
		t := s.t
		bob := s.must(200, "bob", "GET /v1/", "").body["user"].(map[string]any)["id"].(string)
		s.must(201, "alice", "PUT /v1/buckets/b", `{"permissions":{"collection:create":["`+bob+`"]}}`)
		s.must(201, "alice", "PUT /v1/buckets/g", `{"permissions":{"group:create":["`+bob+`"]}}`)
		s.must(201, "alice", "PUT /v1/buckets/other", "")
		s.must(201, "alice", "PUT "+collections+"/c", `{"permissions":{"record:create":["`+bob+`"]}}`)
		s.must(201, "alice", "PUT "+collections+"/other", "")
		s.must(201, "alice", "PUT "+records+"/r", "")
		same(t, "buckets", names(s.must(200, "bob", "GET /v1/buckets?_sort=id", "")), []string{"b", "g"})
		r := s.must(200, "bob", "GET "+collections, "")
		same(t, "collections", names(r), []string{"c"})
		if total := s.must(200, "bob", "HEAD "+collections, "").header.Get("Total-Records"); total != "1" {
			t.Errorf("%s collections", total)
		}
		// What is in it is shown no more than before, and deleted by nobody who may not.
		same(t, "records", names(s.must(200, "bob", "GET "+records, "")), []string{})
		same(t, "deleted", names(s.must(200, "bob", "DELETE "+collections, "")), []string{})
		s.must(200, "alice", "GET "+collections+"/c", "")
	})
}

// A JSON Patch gives principals as a list, where it replaces those of a permission, or all.
func TestJSONPatchReplacesPermissions(t *testing.T) {
	t.Attr("shows", "mend3")
	onBothStores(t, nil, func(s *server, _ kinto.Store) {
		t := s.t
		s.must(201, "alice", "PUT /v1/buckets/b", `{"permissions":{"read":["bob"],"group:create":["eve"]}}`)
		patch := func(ops string) map[string]any {
			t.Helper()
			r := s.must(200, "alice", "PATCH /v1/buckets/b", ops, "Content-Type: application/json-patch+json")
			all := r.body["permissions"].(map[string]any)
			delete(all, "write") // the caller, always
			for _, who := range all {
				slices.SortFunc(who.([]any), func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
			}
			return all
		}
		same(t, "of one", patch(`[{"op":"replace","path":"/permissions/read","value":["ann","zoe"]}]`), map[string]any{"read": []any{"ann", "zoe"}, "group:create": []any{"eve"}})
		same(t, "and one more", patch(`[{"op":"replace","path":"/permissions/read","value":["ann"]},{"op":"add","path":"/permissions/read/eve"}]`), map[string]any{"read": []any{"ann", "eve"}, "group:create": []any{"eve"}})
		same(t, "of another", patch(`[{"op":"replace","path":"/permissions/group:create","value":[]},{"op":"add","path":"/permissions/collection:create","value":["bob"]}]`), map[string]any{"read": []any{"ann", "eve"}, "collection:create": []any{"bob"}})
		same(t, "a principal", patch(`[{"op":"replace","path":"/permissions/read/eve","value":"eve"}]`), map[string]any{"read": []any{"ann", "eve"}, "collection:create": []any{"bob"}})
		same(t, "all", patch(`[{"op":"replace","path":"/permissions","value":{"read":["system.Everyone"],"collection:create":[]}}]`), map[string]any{"read": []any{"system.Everyone"}})
		s.must(200, "", "GET /v1/buckets/b", "")
	})
}

// The ids in a history are text, also where a filter could be a number.
func TestHistoryIsFilteredByIds(t *testing.T) {
	t.Attr("shows", "mend3")
	onBothStores(t, map[string]string{"includes": "kinto.plugins.history", "experimental_permissions_endpoint": "true"}, func(s *server, _ kinto.Store) {
		t := s.t
		for _, path := range []string{"/v1/buckets/7", "/v1/buckets/7/collections/42", "/v1/buckets/7/collections/null", "/v1/buckets/7/groups/1e5", "/v1/buckets/7/collections/42/records/1", "/v1/buckets/7/collections/42/records/2"} {
			s.must(201, "alice", "PUT "+path, "")
		}
		for query, want := range map[string]int{
			"record_id=1": 1, `record_id="1"`: 1, "in_record_id=1,2": 2, "collection_id=42": 3, "bucket_id=7": 1, "group_id=1e5": 1, "group_id=100000": 0, "collection_id=null": 1,
			"resource_name=record&exclude_record_id=1": 1, "resource_name=record&not_record_id=2": 1, "like_record_id=1": 1, "target.data.id=1": 1, "resource_name=record&gt_record_id=1": 1,
			"action=create&resource_name=collection&collection_id=42&_limit=1": 1,
		} {
			if r := s.must(200, "alice", "GET /v1/buckets/7/history?"+url.PathEscape(query), ""); len(r.list()) != want {
				t.Errorf("%s: %d entries, not %d", query, len(r.list()), want)
			}
		}
		if r := s.must(200, "alice", "GET /v1/permissions?collection_id=42", ""); len(r.list()) != 3 {
			t.Errorf("permissions: %s", r.text)
		}
	})
}

// Query strings are read as the reference reads them: nothing in one is malformed.
func TestQueryStringsAsTheyAreWritten(t *testing.T) {
	t.Attr("shows", "mend3")
	onBothStores(t, nil, func(s *server, _ kinto.Store) {
		t := s.t
		fill(s)
		s.must(201, "alice", "PUT "+records+"/s", `{"data":{"t":"a;b","p":"100%","q":"a b"}}`)
		for query, want := range map[string][]string{
			"t=a;b": {"s"}, "t=a%3Bb": {"s"}, "p=100%": {"s"}, "p=100%25": {"s"}, "q=a+b": {"s"}, "q=a%20b": {"s"}, "t=a;x": {},
			"_since=null": {}, "_before=null": {}, "_to=null": {}, "_since=null&id=s": {}, "_since=null&n=1": {},
		} {
			same(t, query, names(s.must(200, "alice", "GET "+records+"?"+query, "")), want)
			if total := s.must(200, "alice", "HEAD "+records+"?"+query, "").header.Get("Total-Records"); total != map[bool]string{true: "0", false: "1"}[len(want) == 0] {
				t.Errorf("%s: %s", query, total)
			}
		}
		next := s.must(200, "alice", "GET "+records+"?_limit=1&not_t=a;x", "").header.Get("Next-Page")
		at, err := url.Parse(next)
		if err != nil || at.Query().Get("not_t") != "a;x" {
			t.Errorf("%s, %v", next, err)
		}
		same(t, "the second page", names(s.must(200, "alice", "GET "+at.RequestURI(), "")), []string{"r"})
		for query, name := range map[string]string{"_limit=1&_limit=2": "_limit", "_limit=&_limit=": "_limit", "_since=1&_since=2": "_since"} {
			r := s.must(400, "alice", "GET "+records+"?"+query, "")
			if detail := r.body["details"].([]any)[0].(map[string]any); detail["name"] != name || detail["location"] != "querystring" {
				t.Errorf("%s: %s", query, r.text)
			}
			s.must(400, "alice", "DELETE "+records+"?"+query, "")
		}
		s.must(400, "alice", "DELETE "+records+"/r?last_modified=1&last_modified=2", "")
		same(t, "deleted", names(s.must(200, "alice", "DELETE "+records+"?_before=null", "")), []string{})
		same(t, "left", names(s.must(200, "alice", "GET "+records+"?_sort=id", "")), []string{"r", "s"})
	})
}

// A whole number beyond 64 bits is the double that most readers make of it.
func TestNumbersBeyond64Bits(t *testing.T) {
	t.Attr("shows", "mend3")
	onBothStores(t, nil, func(s *server, _ kinto.Store) {
		t := s.t
		fill(s)
		for in, out := range map[string]string{
			"100000000000000000000": "100000000000000000000", "123456789012345678901234567890": "123456789012345680000000000000", "-123456789012345678901": "-123456789012345680000",
			"1e20": "100000000000000000000", "9223372036854775807": "9223372036854775807", "18446744073709551615": "18446744073709551615", "18446744073709551617": "18446744073709552000",
			"-9223372036854775808": "-9223372036854775808", "1.0": "1.0", "1e5": "1e5", "0.1": "0.1", "1e300": "1e300", "12345678901234567": "12345678901234567",
		} {
			s.must(200, "alice", "PUT "+records+"/r", `{"data":{"x":`+in+`}}`)
			if r := s.must(200, "alice", "GET "+records+"/r", ""); !strings.Contains(r.text, `"x":`+out+`}`) {
				t.Errorf("%s: %s", in, r.text)
			}
			for _, query := range []string{"x=" + in, "x=" + out, "max_x=" + in, "min_x=" + in} {
				same(t, query, names(s.must(200, "alice", "GET "+records+"?"+query, "")), []string{"r"})
			}
		}
	})
}

// How many objects there are does not depend on the page somebody is at.
func TestTotalsKnowNoPages(t *testing.T) {
	t.Attr("shows", "mend3")
	onBothStores(t, map[string]string{"experimental_permissions_endpoint": "true"}, func(s *server, _ kinto.Store) {
		t := s.t
		fill(s)
		s.must(201, "alice", "PUT "+records+"/s", `{"data":{"n":2}}`)
		s.must(201, "alice", "PUT "+records+"/t", `{"data":{"n":3}}`)
		for _, c := range []struct{ path, total string }{
			{records + "?_limit=1", "3"}, {records + "?_limit=1&_sort=n", "3"}, {records + "?_limit=1&_sort=last_modified&min_n=2", "2"}, {"/v1/permissions?_limit=2", "6"},
		} {
			at, err := url.Parse(s.must(200, "alice", "GET "+c.path, "").header.Get("Next-Page"))
			if err != nil || !at.Query().Has("_token") {
				t.Fatal(c.path, at, err)
			}
			if got := s.must(200, "alice", "HEAD "+at.RequestURI(), "").header.Get("Total-Records"); got != c.total {
				t.Errorf("%s: %s at the second page, not %s", c.path, got, c.total)
			}
			s.must(400, "alice", "HEAD "+c.path+"&_token=x", "")
		}
	})
}
