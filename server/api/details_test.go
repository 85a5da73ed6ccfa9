package api

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// detail is one entry of the details of a validation error.
func detail(location string, name any, description string) map[string]any {
	return map[string]any{"location": location, "name": name, "description": description}
}

// What is wrong with a request is told with its place and its name, all of it at once,
// sorted by name; the message is about the first.
func TestDetailsOfValidationErrors(t *testing.T) {
	t.Attr("shows", "mend3")
	s := filled(t, map[string]string{"includes": "kinto.plugins.history kinto.plugins.default_bucket", "experimental_permissions_endpoint": "true", "experimental_collection_schema_validation": "true", "batch_max_requests": "3"})
	s.must(201, "alice", "PUT "+collections+"/s", `{"data":{"schema":{"type":"object","required":["a","z"],"properties":{"a":{"type":"string"},"n":{"properties":{"k":{"type":"integer"}}}},"additionalProperties":false}}}`)
	const (
		dict   = " is not a mapping type: Does not implement dict-like functionality."
		text   = " is not a string: {'': ''}"
		tag    = "The value should be integer between double quotes."
		patch  = "Content-Type: application/json-patch+json"
		object = "Should be a JSON object or an array"
	)
	r, group := records+"/r", "/v1/buckets/b/groups/g"
	for _, c := range []struct {
		line, body, headers, message string
		details                      []any
	}{
		{"PUT " + r, `3`, "", object, []any{detail("body", "", object), detail("body", "", "Required")}},
		{"PATCH " + r, `"x"`, patch, object, []any{detail("body", "", object), detail("body", "", "Required")}},
		{"POST /v1/batch", `true`, "", object, []any{detail("body", "", object), detail("body", "", "Required")}},
		{"PUT " + r, `["a",{"b":null}]`, "", `"['a', {'b': None}]"` + dict, []any{detail("body", "", `"['a', {'b': None}]"`+dict)}},
		{"PATCH " + r, `{"data":{}}`, patch, `"{'data': {}}" is not iterable`, []any{detail("body", "", `"{'data': {}}" is not iterable`)}},
		{"PATCH " + r, ``, patch, `"{}" is not iterable`, []any{detail("body", "", `"{}" is not iterable`)}},
		{"PUT " + r, `{"foo":"it's","bar":[true,{"x":null}]}`, "", `Unrecognized keys in mapping: "{'bar': [True, {'x': None}], 'foo': "it's"}"`, []any{detail("body", "", `Unrecognized keys in mapping: "{'bar': [True, {'x': None}], 'foo': "it's"}"`)}},
		{"PUT " + r, `{"data":"a\"b","permissions":[1]}`, "", `data in body: "a"b"` + dict, []any{detail("body", "data", `"a"b"`+dict), detail("body", "permissions", `"[1]"`+dict)}},
		{
			"PUT " + r, `{"permissions":{"read":{"a":"b"},"write":["x",{"a":"b"},null]}}`, "", `permissions.read in body: "{'a': 'b'}" is not iterable`,
			[]any{detail("body", "permissions.read", `"{'a': 'b'}" is not iterable`), detail("body", "permissions.write.1", "{'a': 'b'}"+text), detail("body", "permissions.write.2", "None"+text)},
		},
		{"PUT " + r, `{"permissions":{"zz":[]}}`, "", `permissions in body: "zz" is not one of read, write`, []any{detail("body", "permissions", `"zz" is not one of read, write`)}},
		{"PUT " + r, `{"data":{"id":"other"}}`, "", "Object id does not match existing object", []any{detail("body", "id", "Object id does not match existing object")}},
		{"PUT " + r, `{"data":{"id":1}}`, "", "path: Invalid object id", []any{detail("path", nil, "Invalid object id")}},
		{"PUT " + records + "/-r", ``, "", "path: Invalid object id", []any{detail("path", nil, "Invalid object id")}},
		{"PATCH " + r, ``, "", "Provide at least one of data or permissions", []any{detail("body", "", "Provide at least one of data or permissions")}},
		{"PATCH " + r, `{"data":{}}`, "Response-Behavior: some", `Response-Behavior in header: "some" is not one of full, light, diff`, []any{detail("header", "Response-Behavior", `"some" is not one of full, light, diff`)}},
		{"PUT " + r, `{"data":3}`, "If-Match: 1", "If-Match in header: " + tag, []any{detail("header", "If-Match", tag), detail("body", "data", `"3"`+dict)}},
		{"GET " + records + "?_limit=x&_since=y&contains_id=z", "", "If-None-Match: W/\"1\"", "If-None-Match in header: " + tag, []any{
			detail("header", "If-None-Match", tag), detail("querystring", "_limit", `"x" is not a number`), detail("querystring", "_since", "Invalid value for _since"), detail("querystring", "contains_id", "Field 'id' is not an array"),
		}},
		{"GET " + records + "?_token=x", "", "", "querystring: _token has invalid content", []any{detail("querystring", nil, "_token has invalid content")}},
		{"DELETE " + r + "?last_modified=x", "", "", "Invalid value for last_modified", []any{detail("querystring", "last_modified", "Invalid value for last_modified")}},
		{"GET /v1/permissions?_fields=zz,id,yy", "", "", "_fields in querystring: Fields yy,zz do not exist", []any{detail("querystring", "_fields", "Fields yy,zz do not exist")}},
		{"GET /v1/buckets/b/history?zz=1", "", "", "Unknown filter field 'zz'", []any{detail("querystring", "zz", "Unknown filter field 'zz'")}},
		{"GET /v1/buckets/b/snapshot/collections/c@zz", "", "", "path: Invalid timestamp 'zz'", []any{detail("path", nil, "Invalid timestamp 'zz'")}},
		{"GET /v1/buckets/default/collections/-c", "", "", "path: Invalid collection id", []any{detail("path", nil, "Invalid collection id")}},
		{"PUT " + group, `{"data":{"members":["x","it's","/buckets/b",{"a":1}]}}`, "", "data.members.2 in body: '/buckets/b' is not a valid user ID.", []any{detail("body", "data.members.2", "'/buckets/b' is not a valid user ID."), detail("body", "data.members.3", "{'a': 1}"+text)}},
		{"PUT " + group, `{"data":{"members":"x"}}`, "", `data.members in body: "x" is not iterable`, []any{detail("body", "data.members", `"x" is not iterable`)}},
		{"PUT " + collections + "/s", `{"data":{"schema":{"type":"zz"},"cache_expires":"x"}}`, "", `data.cache_expires in body: "x" is not a number`, []any{
			detail("body", "data.cache_expires", `"x" is not a number`), detail("body", "data.schema", "'zz' is not valid under any of the given schemas"),
		}},
		{"PUT " + collections + "/s/records/x", `{"data":{"z":1}}`, "", "z in body: 'a' is a required property", []any{detail("body", "z", "'a' is a required property")}},
		{"PUT " + collections + "/s/records/x", `{"data":{"a":"","n":{"k":"x"}}}`, "", "'z' is a required property", []any{detail("body", "z", "'z' is a required property")}},
		{"PUT " + collections + "/s/records/x", `{"data":{"a":"","n":{"k":"x"},"z":1}}`, "", "k in body: 'x' is not of type 'integer'", []any{detail("body", "k", "'x' is not of type 'integer'")}},
		{"POST /v1/batch", ``, "", "requests in body: Required", []any{detail("body", "requests", "Required")}},
		{"POST /v1/batch", `{"requests":[{},{},{},{}]}`, "", "Number of requests is limited to 3", []any{detail("body", "requests", "Number of requests is limited to 3")}},
		{"POST /v1/batch", `{"requests":[{"path":"/v1/batch"}]}`, "", "requests in body: Recursive call on /batch endpoint is forbidden.", []any{detail("body", "requests", "Recursive call on /batch endpoint is forbidden.")}},
		{"POST /v1/batch", `{"requests":[{"path":"x","b":1,"a":2},3,{"path":["y"],"headers":{"h":[1]}}]}`, "", `requests.0 in body: Unrecognized keys in mapping: "{'a': 2, 'b': 1}"`, []any{
			detail("body", "requests.0", `Unrecognized keys in mapping: "{'a': 2, 'b': 1}"`), detail("body", "requests.0.path", "String does not match expected pattern"), detail("body", "requests.1", `"3"`+dict),
			detail("body", "requests.2.headers.h", "[1]"+text), detail("body", "requests.2.path", "['y']"+text),
		}},
	} {
		headers := []string{}
		if c.headers != "" {
			headers = append(headers, c.headers)
		}
		if c.body == "" && c.headers == patch {
			c.body = " "
		}
		got := s.must(400, "alice", c.line, c.body, headers...).body
		if got["message"] != c.message {
			t.Errorf("%s %s: %v, not %s", c.line, c.body, got["message"], c.message)
		}
		if diff := cmp.Diff(any(c.details), got["details"]); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", c.line, c.body, diff)
		}
		if got["error"] != "Invalid parameters" || got["errno"] != 107.0 {
			t.Errorf("%s %s: %v", c.line, c.body, got)
		}
	}
}
