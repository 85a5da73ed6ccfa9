package api

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestDefaultBucket(t *testing.T) {
	s := start(t, map[string]string{"multiauth.policies": "basicauth", "userid_hmac_secret": "s", "default_bucket_hmac_secret": "b"})
	hello := s.must(200, "alice", "GET /v1/", "")
	bucket := hello.body["user"].(map[string]any)["bucket"].(string)
	if !regexp.MustCompile("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$").MatchString(bucket) || hello.body["capabilities"].(map[string]any)["default_bucket"] == nil {
		t.Fatal(hello.text)
	}
	s.must(401, "", "GET /v1/buckets/default", "")
	s.must(403, "bob", "GET /v1/buckets/"+bucket, "")
	const notes = "/v1/buckets/default/collections/notes"
	if got := s.must(200, "alice", "GET "+notes+"/records", "").list(); len(got) != 0 {
		t.Errorf("not empty: %v", got)
	}
	s.must(201, "alice", "PUT "+notes+"/records/a", `{"data":{"x":1}}`)
	s.must(201, "alice", "POST "+notes+"/records", `{"data":{"x":2}}`)
	if got := s.must(200, "alice", "GET /v1/buckets/"+bucket+"/collections/notes/records?x=1", ""); !slices.Equal(ids(got), []string{"a"}) {
		t.Error(got.text)
	}
	next := s.must(200, "alice", "GET "+notes+"/records?_limit=1", "").header.Get("Next-Page")
	if !strings.HasPrefix(next, "http://example.com/v1/buckets/"+bucket+"/collections/notes/records?") {
		t.Error(next)
	}
	r := s.must(200, "alice", "PUT /v1/buckets/default", `{"data":{"id":"default","y":1}}`)
	if r.data()["id"] != bucket || r.data()["y"] != 1.0 {
		t.Error(r.text)
	}
	s.must(400, "alice", "PUT /v1/buckets/"+bucket, `{"data":{"id":"default"}}`)
	s.must(200, "alice", "PATCH /v1/buckets/default", `{"data":{"z":1}}`)
	if other := s.must(200, "bob", "GET /v1/buckets/default", "").data()["id"]; other == bucket {
		t.Error("bob is in alice's bucket")
	}
	s.must(201, "alice", "PUT /v1/buckets/default/collections/new", "")
	s.must(200, "alice", "PUT /v1/buckets/default/collections/new", "")
	s.must(201, "alice", "PUT /v1/buckets/default/groups/g", "")
	if r := s.must(400, "alice", "GET /v1/buckets/default/collections/-x/records", ""); !strings.Contains(r.text, "Invalid collection id") {
		t.Error(r.text)
	}
	s.must(307, "alice", "GET /v1/buckets/default/", "")
	s.must(404, "alice", "GET /v1/buckets/default/nothing", "")
	s.must(405, "alice", "POST /v1/buckets/default", "{}")
	s.must(200, "", "OPTIONS /v1/buckets/default", "", "Origin: https://a.example", "Access-Control-Request-Method: PUT")
	r = s.must(200, "eve", "POST /v1/batch", `{"requests":[{"method":"PUT","path":"/buckets/default/collections/c/records/r"},{"path":"/buckets/default/collections/c/records"},{"path":"/"}]}`)
	if entry(r, 0)["status"] != 201.0 || entry(r, 1)["status"] != 200.0 || strings.Contains(entry(r, 0)["path"].(string), "eve") {
		t.Error(r.text)
	}
	if r := s.must(200, "alice", "DELETE /v1/buckets/default", ""); r.data()["id"] != bucket {
		t.Error(r.text)
	}
	if got := s.must(200, "alice", "GET "+notes+"/records", "").list(); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestDefaultBucketReadOnly(t *testing.T) {
	s := start(t, map[string]string{"readonly": "true"})
	s.must(405, "alice", "GET /v1/buckets/default", "")
}

// TestDefaultBucketSecret: without settings a secret is made once, in a batch too.
func TestDefaultBucketSecret(t *testing.T) {
	s := start(t, map[string]string{"userid_hmac_secret": ""})
	s.must(200, "alice", "POST /v1/batch", `{"requests":[{"method":"PUT","path":"/buckets/default/collections/c/records/r"}]}`)
	s.must(200, "alice", "GET /v1/buckets/default/collections/c/records/r", "")
}
