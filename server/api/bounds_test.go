package api

import (
	"fmt"
	"strings"
	"testing"
)

// What one request may cost is bounded, far above what apps ask for, and refused with the
// bound in the answer; nothing of it is done.
func TestWhatOneRequestMayCost(t *testing.T) {
	t.Attr("shows", "mend2")
	s := filled(t, map[string]string{"experimental_collection_schema_validation": "true"})
	many := func(n int, format, between string) string {
		var all []string
		for i := range n {
			all = append(all, strings.ReplaceAll(format, "%", fmt.Sprint(i)))
		}
		return strings.Join(all, between)
	}
	const record, patch = "/v1/buckets/b/collections/c/records/r", "Content-Type: application/json-patch+json"
	wide := `{"data":{` + many(20_000, `"k%":%`, ",") + `}}`
	s.must(200, "alice", "PUT "+record, wide)
	for _, c := range []struct {
		what, line, body string
		headers          []string
		status           int
		says             string
	}{
		{"31 fields to sort by", "GET " + records + "?_sort=" + many(31, "f%", ","), "", nil, 200, ""},
		{"9,000 fields to sort by", "GET " + records + "?_sort=" + many(9_000, "f%", ","), "", nil, 400, "at most 32 fields"},
		{"the same, to delete by", "DELETE " + records + "?_sort=" + many(9_000, "f%", ","), "", nil, 400, "at most 32 fields"},
		{"64 filters", "GET " + records + "?" + many(64, "not_f%=1", "&"), "", nil, 200, ""},
		{"65 filters", "GET " + records + "?" + many(65, "not_f%=1", "&"), "", nil, 400, "at most 64 fields"},
		{"5,000 filters", "HEAD " + records + "?" + many(5_000, "f%=1", "&"), "", nil, 400, ""},
		{"5,000 values", "GET " + records + "?in_k7=" + many(5_000, "%", ","), "", nil, 200, ""},
		{"a pattern of 100 letters", "GET " + records + "?like_k1=" + many(10, "abcdefgh%", "*"), "", nil, 200, ""},
		{"a pattern of 1,000", "GET " + records + "?like_k1=" + strings.Repeat("*a", 500), "", nil, 400, "Invalid value"},
		{"50 tests of a record with 20,000 keys", "PATCH " + record, "[" + many(50, `{"op":"test","path":"/data/k%","value":%}`, ",") + "]", []string{patch}, 200, ""},
		{"1,000 of them", "PATCH " + record, "[" + many(1_000, `{"op":"test","path":"/data/k%","value":%}`, ",") + "]", []string{patch}, 400, "too large"},
		{"1,000 that remove", "PATCH " + record, "[" + many(1_000, `{"op":"remove","path":"/data/k%"}`, ",") + "]", []string{patch}, 400, "too large"},
		{"1,000 that add", "PATCH " + record, "[" + many(1_000, `{"op":"add","path":"/data/n%","value":1}`, ",") + "]", []string{patch}, 400, "too large"},
		{"a schema with 100 patterns", "PUT /v1/buckets/b/collections/c", `{"data":{"schema":{"properties":{` + many(100, `"k%":{"pattern":"^[a-z]+%$"}`, ",") + `}}}}`, nil, 200, ""},
		{"a schema with 3,000 patterns", "PUT /v1/buckets/b/collections/c", `{"data":{"schema":{"properties":{` + many(3_000, `"k%":{"pattern":"^[a-z]{1,50}%$"}`, ",") + `}}}}`, nil, 400, ""},
		{"an id of 255 letters", "PUT /v1/buckets/" + strings.Repeat("b", 255), "", nil, 201, ""},
		{"an id of 256", "PUT /v1/buckets/" + strings.Repeat("b", 256), "", nil, 400, "Invalid object id"},
		{"a name of an account of 60,000", "GET /v1/accounts/" + strings.Repeat("b", 60_000), "", nil, 404, ""},
	} {
		r := s.do("alice", c.line, c.body, c.headers...)
		if r.status != c.status || !strings.Contains(r.text, c.says) {
			t.Errorf("%s: %d, want %d: %.300s", c.what, r.status, c.status, r.text)
		}
	}
	if n := len(s.must(200, "alice", "GET "+record, "").data()); n != 20_000+2 {
		t.Errorf("the record has %d attributes", n)
	}
	// Groups that everybody is in are principals of everybody.
	for i := range 205 {
		r := s.do("alice", fmt.Sprintf("PUT /v1/buckets/b/groups/g%d", i), `{"data":{"members":["system.Authenticated"]}}`)
		if want := map[bool]int{true: 201, false: 400}[i < 200]; r.status != want {
			t.Fatalf("group %d: %d %s", i, r.status, r.text)
		}
	}
	s.must(200, "alice", "PATCH /v1/buckets/b/groups/g0", `{"data":{"members":["system.Authenticated","account:x"]}}`)
	if n := len(s.must(200, "bob", "GET /v1/", "").body["user"].(map[string]any)["principals"].([]any)); n != 203 {
		t.Errorf("bob is in %d", n)
	}
}
