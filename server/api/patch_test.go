package api

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	mergeType = "Content-Type: application/merge-patch+json"
	opsType   = "Content-Type: application/json-patch+json; charset=utf-8"
)

func TestPatches(t *testing.T) {
	s := filled(t, nil)
	path := records + "/r"
	data := func(r reply) map[string]any {
		d := r.data()
		delete(d, "id")
		delete(d, "last_modified")
		return d
	}
	check := func(r reply, want map[string]any) {
		t.Helper()
		if diff := cmp.Diff(want, data(r)); diff != "" {
			t.Errorf("%s: %s", r.text, diff)
		}
	}
	type m = map[string]any
	s.must(200, "alice", "PUT "+path, `{"data":{"a":{"b":1,"c":2},"n":null}}`)
	check(s.must(200, "alice", "PATCH "+path, `{"data":{"a":{"c":null,"d":{"e":null}},"n":null}}`, mergeType), m{"a": m{"b": 1.0, "d": m{}}})
	check(s.must(200, "alice", "PATCH "+path, `{"data":{"n":null}}`), m{"a": m{"b": 1.0, "d": m{}}, "n": nil})
	check(s.must(200, "alice", "PATCH "+path, `[{"op":"remove","path":"/data/n"},{"op":"add","path":"/data/a/b","value":[1]}]`, opsType), m{"a": m{"b": []any{1.0}, "d": m{}}})
	before := s.must(200, "alice", "GET "+path, "").header.Get("ETag")
	r := s.must(200, "alice", "PATCH "+path, `[]`, opsType)
	if r.header.Get("ETag") == before {
		t.Error("an empty patch does not move the timestamp")
	}
	check(r, m{"a": m{"b": []any{1.0}, "d": m{}}})
	check(s.must(200, "alice", "PATCH "+path, `[{"op":"replace","path":"/data","value":{"k":1,"last_modified":5}}]`, opsType), m{"k": 1.0})

	// permissions
	who := func() []any {
		p, _ := s.must(200, "alice", "GET "+path, "").body["permissions"].(map[string]any)["read"].([]any)
		return p
	}
	s.must(200, "alice", "PATCH "+path, `{"permissions":{"read":["a","b"]}}`, mergeType)
	s.must(200, "alice", "PATCH "+path, `[{"op":"remove","path":"/permissions/read/a"},{"op":"add","path":"/permissions/read/c"}]`, opsType)
	if diff := cmp.Diff([]any{"b", "c"}, who()); diff != "" {
		t.Error(diff)
	}
	s.must(200, "alice", "PATCH "+path, `{"permissions":{"read":null}}`, mergeType)
	if got := who(); got != nil {
		t.Errorf("left: %v", got)
	}

	for _, c := range []struct{ body, header, message string }{
		{`[{"op":"test","path":"/data/k","value":2}]`, opsType, "body: JSON Patch operation failed: "},
		{`{"data":{}}`, opsType, "is not iterable"},
		{`[{"op":"replace","path":"/data/id","value":"x"}]`, opsType, "Object id does not match existing object"},
		{`{"data":{"id":"x"}}`, mergeType, "Object id does not match existing object"},
		{`{}`, mergeType, "Provide at least one of data or permissions"},
		{`[]`, "Content-Type: application/json", "is not a mapping type"},
		{`{"data":{}}`, "Response-Behavior: some", `"some" is not one of full, light, diff`},
	} {
		if r := s.must(400, "alice", "PATCH "+path, c.body, c.header); !strings.Contains(r.body["message"].(string), c.message) {
			t.Errorf("%s: %s", c.body, r.text)
		}
	}
	s.must(415, "alice", "PATCH "+path, `{}`, "Content-Type: text/plain")
	s.must(415, "alice", "PUT "+path, `{}`, mergeType)
	s.must(404, "alice", "PATCH "+records+"/no", `[]`, opsType)

	s.must(200, "alice", "PUT "+path, `{"data":{"a":1,"o":{"x":1}}}`)
	check(s.must(200, "alice", "PATCH "+path, `{"data":{"a":1,"b":2}}`, "Response-Behavior: light"), m{"b": 2.0})
	check(s.must(200, "alice", "PATCH "+path, `{"data":{"a":3,"b":2}}`, "Response-Behavior: diff"), m{})
	check(s.must(200, "alice", "PATCH "+path, `{"data":{"o":{"y":2}}}`, "Response-Behavior: diff", mergeType), m{"o": m{"x": 1.0, "y": 2.0}})
	check(s.must(200, "alice", "PATCH "+path, `{"data":{"b":5}}`, "Response-Behavior: full"), m{"a": 3.0, "b": 5.0, "o": m{"x": 1.0, "y": 2.0}})

	// members of a group are checked in what the patch makes
	s.must(201, "alice", "PUT /v1/buckets/b/groups/g", `{"data":{"members":["a"]}}`)
	s.must(400, "alice", "PATCH /v1/buckets/b/groups/g", `[{"op":"add","path":"/data/members/-","value":7}]`, opsType)
	check(s.must(200, "alice", "PATCH /v1/buckets/b/groups/g", `[{"op":"add","path":"/data/members/-","value":"b"}]`, opsType), m{"members": []any{"a", "b"}})
}
