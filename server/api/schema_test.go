package api

import (
	"strings"
	"testing"
)

func TestSchemaOfACollection(t *testing.T) {
	s := filled(t, map[string]string{"experimental_collection_schema_validation": "true"})
	const schema = `{"data":{"schema":{"type":"object","required":["title","last_modified","schema"],"additionalProperties":false,
		"properties":{"title":{"type":"string","maxLength":5},"n":{"type":"object","properties":{"k":{"minimum":3}}},"tags":{"type":"array","uniqueItems":true}}}}}`
	version := s.must(200, "alice", "PUT "+collections+"/c", schema).data()["last_modified"]
	r := s.must(200, "alice", "PUT "+records+"/r", `{"data":{"title":"x","schema":5}}`)
	if r.data()["schema"] != version || version == nil {
		t.Errorf("version: %s, want %v", r.text, version)
	}
	for _, c := range []struct{ data, name, description string }{
		{`{}`, "title", "'title' is a required property"},
		{`{"title":42}`, "title", "42 is not of type 'string'"},
		{`{"title":"x","x":1}`, "additionalProperties", "Additional properties are not allowed ('x' was unexpected)"},
		{`{"title":"x","x":1,"y":2}`, "additionalProperties", "Additional properties are not allowed ('x', 'y' were unexpected)"},
		{`{"title":"x","n":{"k":1}}`, "k", "1 is less than the minimum of 3"},
		{`{"title":"abcdef"}`, "title", "'abcdef' is too long"},
		{`{"title":"x","tags":[1,2,1.0]}`, "tags", "[1, 2, 1.0] has non-unique elements"},
	} {
		r := s.must(400, "alice", "PUT "+records+"/r", `{"data":`+c.data+`}`)
		d := r.body["details"].([]any)[0].(map[string]any)
		if d["location"] != "body" || d["name"] != c.name || d["description"] != c.description {
			t.Errorf("%s: %s", c.data, r.text)
		}
	}
	s.must(400, "alice", "PATCH "+records+"/r", `{"data":{"title":7}}`)
	s.must(200, "alice", "PATCH "+records+"/r", `{"data":{"title":"y"}}`)
	s.must(400, "alice", "POST "+records, ``)
	s.must(400, "alice", "PATCH "+records+"/r", `[{"op":"remove","path":"/data/title"}]`, "Content-Type: application/json-patch+json")
	// One that is there is not looked at again until it is written.
	s.must(200, "alice", "PATCH "+collections+"/c", `{"data":{"schema":{"type":"object","required":["id","other"],"properties":{"id":{"type":"string"}}}}}`)
	s.must(200, "alice", "GET "+records+"/r", "")
	s.must(400, "alice", "PATCH "+records+"/r", `{"data":{"title":"z"}}`)
	s.must(200, "alice", "PATCH "+records+"/r", `{"data":{"other":"z"}}`)
	for _, ref := range []string{"https://example.com/a.json", "file:///etc/passwd", "#/definitions/none"} {
		s.must(200, "alice", "PUT "+collections+"/c", `{"data":{"schema":{"properties":{"a":{"$ref":"`+ref+`"}}}}}`)
		if r := s.must(400, "alice", "PUT "+records+"/r", `{"data":{"a":1}}`); !strings.Contains(r.text, `"name":"schema"`) {
			t.Errorf("%s: %s", ref, r.text)
		}
	}
}

func TestSchemasOfABucket(t *testing.T) {
	s := filled(t, map[string]string{"experimental_collection_schema_validation": "true"})
	s.must(200, "alice", "PUT /v1/buckets/b", `{"data":{"collection:schema":{"required":["title"]},"group:schema":{"properties":{"members":{"maxItems":1}}},"record:schema":{"properties":{"n":{"type":"integer"}}}}}`)
	s.must(400, "alice", "PUT "+collections+"/d", "{}")
	s.must(201, "alice", "PUT "+collections+"/d", `{"data":{"title":"x"}}`)
	s.must(201, "alice", "PUT /v1/buckets/b/groups/g", `{"data":{"members":["x"]}}`)
	s.must(400, "alice", "PUT /v1/buckets/b/groups/h", `{"data":{"members":["x","y"]}}`)
	s.must(400, "alice", "PUT "+records+"/q", `{"data":{"n":"x"}}`)
	if r := s.must(201, "alice", "PUT "+records+"/q", `{"data":{"n":2.0}}`); r.data()["schema"] != nil {
		t.Errorf("a version of no schema: %s", r.text)
	}
}

// TestWellFormed: schemas are checked to be some, also when nothing is checked by them.
func TestWellFormed(t *testing.T) {
	s := filled(t, nil)
	for _, c := range []struct{ line, data, want string }{
		{"PUT " + collections + "/c", `{"schema":{"type":"any"}}`, "data.schema in body: 'any' is not"},
		{"PUT " + collections + "/c", `{"schema":{"properties":{"a":{"pattern":"("}}}}`, "data.schema in body: '(' is not a 'regex'"},
		{"PUT " + collections + "/c", `{"schema":"x"}`, "data.schema in body: "},
		{"PUT " + collections + "/c", `{"schema":[]}`, "data.schema in body: "},
		{"PATCH " + collections + "/c", `{"schema":{"required":"x"}}`, "data.schema in body: 'x' is not of type 'array'"},
		{"PUT /v1/buckets/b", `{"record:schema":{"maxLength":-1}}`, "data.record:schema in body: -1 is less than the minimum of 0"},
		{"PUT /v1/buckets/b", `{"collection:schema":7}`, "data.collection:schema in body: "},
		{"PUT /v1/buckets/b", `{"group:schema":{"items":3}}`, "data.group:schema in body: 3 is not"},
	} {
		r := s.must(400, "alice", c.line, `{"data":`+c.data+`}`)
		if m, _ := r.body["message"].(string); !strings.HasPrefix(m, c.want) {
			t.Errorf("%s: %s, want %s", c.data, r.text, c.want)
		}
	}
	s.must(200, "alice", "PUT "+collections+"/c", `{"data":{"schema":{"type":"string"}}}`)
	s.must(200, "alice", "PUT "+records+"/r", `{"data":{}}`)
	s.must(200, "alice", "PUT "+collections+"/c", `{"data":{"schema":{}}}`)
}

func TestCacheExpires(t *testing.T) {
	s := filled(t, map[string]string{
		"bucket_cache_expires_seconds": "7", "b.d.record_cache_expires_seconds": "0", "b_e_record_cache_expires_seconds": "5", "bucket_read_principals": "system.Everyone",
	})
	const public = `"permissions":{"read":["system.Everyone"]}}`
	for _, c := range []struct{ data, want string }{{"null", ""}, {`"12"`, "12"}, {"12.9", "12"}, {"true", "1"}, {`""`, ""}} {
		r := s.must(200, "alice", "PUT "+collections+"/c", `{"data":{"cache_expires":`+c.data+`},`+public)
		if (c.want == "") != (r.data()["cache_expires"] == nil) || c.want != "" && !strings.Contains(r.text, `"cache_expires":`+c.want+"}") {
			t.Errorf("%s: %s", c.data, r.text)
		}
	}
	s.must(400, "alice", "PUT "+collections+"/c", `{"data":{"cache_expires":"x"}}`)
	s.must(200, "alice", "PUT "+collections+"/c", `{"data":{"cache_expires":30},`+public)
	s.must(201, "alice", "PUT "+collections+"/d", `{`+public)
	s.must(201, "alice", "PUT "+collections+"/f", `{`+public)
	s.must(201, "alice", "PUT "+collections+"/e", `{"data":{"cache_expires":3},`+public)
	for _, c := range []struct{ user, path, want string }{
		{"", "/v1/buckets/b", "max-age=7"},
		{"alice", "/v1/buckets/b", "no-cache, no-store"},
		{"", records, "max-age=30"},
		{"", records + "/r", "max-age=30"},
		{"alice", records, "no-cache, no-store"},
		{"", collections + "/d/records", "max-age=0, must-revalidate, no-cache, no-store"},
		{"", collections + "/e/records", "max-age=5"},
		{"", collections + "/f/records", "no-cache, no-store"},
		{"", collections + "/c", "no-cache, no-store"},
	} {
		r := s.must(200, c.user, "GET "+c.path, "")
		if got := r.header.Get("Cache-Control"); got != c.want || (r.header.Get("Expires") != "") != strings.HasPrefix(c.want, "max-age") {
			t.Errorf("%s as %q: %q, Expires %q", c.path, c.user, got, r.header.Get("Expires"))
		}
	}
}
