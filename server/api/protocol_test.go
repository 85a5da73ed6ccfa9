package api

import "testing"

// Statements of the protocol that held, but that no other test would have missed.

// What somebody has already comes before what they do not want (§7, preconditions).
func TestNotModifiedComesFirst(t *testing.T) {
	s := filled(t, nil)
	for _, path := range []string{records, records + "/r"} {
		now := s.must(200, "alice", "GET "+path, "").header.Get("ETag")
		s.must(304, "alice", "GET "+path, "", "If-None-Match: "+now, `If-Match: "1"`)
		s.must(412, "alice", "GET "+path, "", `If-None-Match: "1"`, `If-Match: "1"`)
	}
}

// POST of an object that is there answers with that one, its ETag too (§2).
func TestPostOfOneThatIsThereHasItsETag(t *testing.T) {
	s := filled(t, nil)
	first := s.must(200, "alice", "GET "+records+"/r", "").header
	s.must(201, "alice", "PUT "+records+"/s", "")
	if r := s.must(200, "alice", "POST "+records, `{"data":{"id":"r","n":2}}`); r.header.Get("ETag") != first.Get("ETag") || r.header.Get("Last-Modified") != first.Get("Last-Modified") || r.data()["n"] != 1.0 {
		t.Errorf("%v %s", r.header, r.text)
	}
}

// Without explicit permissions nobody is added to the writers, whatever they do (§4.5).
func TestWritersAreNotAdded(t *testing.T) {
	s := start(t, map[string]string{"explicit_permissions": "false", "bucket_write_principals": "system.Authenticated"})
	s.must(201, "alice", "PUT /v1/buckets/b", `{"permissions":{"write":["bob"]}}`)
	for _, line := range []string{"PUT", "PATCH"} {
		for _, body := range []string{`{"data":{"n":1}}`, `{"permissions":{"write":["system.Everyone"]}}`} {
			s.must(200, "alice", line+" /v1/buckets/b", body)
		}
	}
	r := s.must(200, "alice", "GET /v1/buckets/b", "")
	if all, _ := r.body["permissions"].(map[string]any); len(all) != 1 || len(all["write"].([]any)) != 1 {
		t.Error(r.text)
	}
}

// A body in a batch is JSON, whatever its request says of it (§8, batch).
func TestBodiesOfABatchAreJSON(t *testing.T) {
	s := filled(t, nil)
	r := s.must(200, "alice", "POST /v1/batch", `{"requests":[
		{"method":"PATCH","path":"/buckets/b/collections/c/records/r","headers":{"Content-Type":"application/merge-patch+json"},"body":{"data":{"n":null}}},
		{"method":"PUT","path":"/buckets/b/collections/c/records/s","headers":{"Content-Type":"text/plain"},"body":{"data":{"n":2}}}]}`)
	for i, status := range []float64{200, 201} {
		if got := r.body["responses"].([]any)[i].(map[string]any); got["status"] != status {
			t.Errorf("%v", got)
		}
	}
	if n, there := s.must(200, "alice", "GET "+records+"/r", "").data()["n"]; n != nil || !there {
		t.Errorf("n is %v, %v", n, there)
	}
}

// What cannot be an array is filtered by nothing of one (§7, filters).
func TestTimestampsAreNoArrays(t *testing.T) {
	s := filled(t, nil)
	for _, op := range []string{"contains", "contains_any"} {
		for _, field := range []string{"id", "last_modified"} {
			r := s.must(400, "alice", "GET "+records+"?"+op+"_"+field+"=1", "")
			if r.body["message"] != op+"_"+field+" in querystring: Field '"+field+"' is not an array" {
				t.Error(r.text)
			}
		}
	}
}

// A method that an endpoint does not have is answered with those it has (§1), everywhere.
func TestMethodsOfOtherEndpoints(t *testing.T) {
	s := start(t, map[string]string{"includes": "kinto.plugins.flush kinto.plugins.counters", "experimental_permissions_endpoint": "true"})
	for line, allow := range map[string]string{
		"GET /v1/batch": "POST, OPTIONS", "POST /v1/__counters__": "GET, HEAD, OPTIONS", "GET /v1/__flush__": "POST, OPTIONS", "PUT /v1/permissions": "HEAD, GET, OPTIONS",
		"POST /v1/": "GET, HEAD, OPTIONS", "DELETE /v1/__heartbeat__": "GET, HEAD, OPTIONS", "GET /v1/__user_data__/x": "DELETE, OPTIONS",
	} {
		if r := s.must(405, "alice", line, ""); r.header.Get("Allow") != allow || r.body["errno"] != 115.0 {
			t.Errorf("%s: Allow %q, %s", line, r.header.Get("Allow"), r.text)
		}
	}
}

// What a server that takes no writes says of itself may be kept for a day (§8, hello).
func TestHelloOfAReadOnlyServerIsKept(t *testing.T) {
	s := start(t, map[string]string{"readonly": "true"})
	if h := s.must(200, "", "GET /v1/", "").header; h.Get("Cache-Control") != "max-age=86400" || h.Get("Expires") == "" {
		t.Errorf("%v", h)
	}
	if h := s.must(200, "alice", "GET /v1/", "").header; h.Get("Cache-Control") != "" {
		t.Errorf("of somebody: %v", h)
	}
	if h := start(t, nil).must(200, "", "GET /v1/", "").header; h.Get("Cache-Control") != "" {
		t.Errorf("of a server that takes writes: %v", h)
	}
}

// An entry tells who may do what with the object; of one that is gone nobody (§8, history).
func TestHistoryTellsOfNobodysRights(t *testing.T) {
	s := filled(t, map[string]string{"includes": "kinto.plugins.history"})
	s.must(200, "alice", "DELETE "+records+"/r", "")
	r := s.must(200, "alice", "GET /v1/buckets/b/history?record_id=r&action=delete", "")
	target, _ := r.list()[0].(map[string]any)["target"].(map[string]any)
	if all, ok := target["permissions"].(map[string]any); !ok || len(all) != 0 {
		t.Error(r.text)
	}
}
