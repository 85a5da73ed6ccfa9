package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/storage"
)

// entries are "status path" of a batch's answers.
func entries(t *testing.T, r reply) (out []string) {
	t.Helper()
	for _, e := range r.body["responses"].([]any) {
		e := e.(map[string]any)
		out = append(out, fmt.Sprintf("%v %s", e["status"], e["path"]))
	}
	return out
}

func entry(r reply, i int) map[string]any {
	return r.body["responses"].([]any)[i].(map[string]any)
}

func TestBatch(t *testing.T) {
	s := filled(t, nil)
	r := s.must(200, "alice", "POST /v1/batch", `{
		"defaults": {"method": "PUT", "body": {"data": {"x": {"a": 1}, "y": 1}}, "headers": {"If-None-Match": "*"}},
		"requests": [
			{"path": "/buckets/b/collections/c/records/one"},
			{"path": "/v1/buckets/b/collections/c/records/two", "body": {"data": {"x": {"b": 2}, "y": [3]}}},
			{"path": "/buckets/b/collections/c/records/one"},
			{"path": "/buckets/b/collections/c/records/%6fne?_x=y", "method": "GET", "headers": {"If-None-Match": "\"1\""}},
			{"path": "/buckets/b/collections/c/records", "method": "HEAD", "headers": {"If-None-Match": "\"1\""}},
			{"path": "/buckets/b/collections/c/records/no", "method": "DELETE"},
			{"path": "/buckets/b/collections/c/records/", "method": "GET", "headers": {"If-None-Match": "\"1\""}},
			{"path": "/nothing", "method": "GET"},
			{"path": "/", "method": "GET"}
		]}`)
	if diff := cmp.Diff([]string{
		"201 " + records + "/one", "201 " + records + "/two", "412 " + records + "/one", "200 " + records + "/one", "200 " + records, "404 " + records + "/no", "200 " + records, "404 /v1/nothing", "200 /v1/",
	}, entries(t, r)); diff != "" {
		t.Error(diff)
	}
	two := entry(r, 1)["body"].(map[string]any)["data"].(map[string]any)
	if diff := cmp.Diff(map[string]any{"id": "two", "last_modified": two["last_modified"], "x": map[string]any{"a": 1.0, "b": 2.0}, "y": []any{3.0}}, two); diff != "" {
		t.Error(diff)
	}
	if head := entry(r, 4); head["body"] != "" || head["headers"].(map[string]any)["Total-Records"] != "3" {
		t.Errorf("HEAD: %v", head)
	}
	if entry(r, 2)["body"].(map[string]any)["details"].(map[string]any)["existing"].(map[string]any)["id"] != "one" {
		t.Errorf("412: %v", entry(r, 2))
	}
	tag := s.must(200, "alice", "GET "+records, "").header.Get("ETag")
	r = s.must(200, "alice", "POST /v1/batch", `{"requests":[{"path":"/buckets/b/collections/c/records","headers":{"If-None-Match":"\"`+strings.Trim(tag, `"`)+`\""}}]}`)
	if e := entry(r, 0); e["status"] != 304.0 || e["body"] != "" || e["headers"].(map[string]any)["ETag"] != tag {
		t.Errorf("304: %v", e)
	}
	// who sends a request is said by the batch, unless by the request
	r = s.must(200, "", "POST /v1/batch", `{"requests":[{"path":"/buckets/b"},{"path":"/buckets/b","headers":{"authorization":"Basic YWxpY2U6cGFzcw=="}},{"path":"/buckets/b","headers":{"Authorization":""}}]}`)
	if diff := cmp.Diff([]string{"401 /v1/buckets/b", "200 /v1/buckets/b", "401 /v1/buckets/b"}, entries(t, r)); diff != "" {
		t.Error(diff)
	}
	if got := s.must(200, "alice", "POST /v1/batch", `{"requests":[]}`).text; got != `{"responses":[]}` {
		t.Error(got)
	}
	// pages of a deletion
	r = s.must(200, "alice", "POST /v1/batch", `{"requests":[{"method":"DELETE","path":"/buckets/b/collections/c/records?_limit=1"}]}`)
	next := entry(r, 0)["headers"].(map[string]any)["Next-Page"].(string)
	line := `{"requests":[{"method":"DELETE","path":"` + strings.TrimPrefix(next, "http://example.com") + `"}]}`
	if got := entries(t, s.must(200, "alice", "POST /v1/batch", line))[0]; got != "200 "+records {
		t.Error(got)
	}
	if got := entries(t, s.must(200, "alice", "POST /v1/batch", line))[0]; got != "400 "+records {
		t.Errorf("a token twice: %s", got)
	}
}

func TestBatchRefused(t *testing.T) {
	s := filled(t, nil)
	for body, message := range map[string]string{
		`[`: "Invalid JSON", `[]`: "is not a mapping type", `{}`: "requests in body: Required", `{"requests":{}}`: "is not iterable", `{"requests":[1]}`: "is not a mapping type", `{"requests":[],"x":1}`: "Unrecognized keys",
		`{"requests":[{}]}`: "requests.0.path in body: Required", `{"requests":[{"path":"x"}]}`: "requests.0.path", `{"requests":[{"path":1}]}`: "is not a string", `{"requests":[{"path":"/","x":1}]}`: "Unrecognized keys",
		`{"requests":[{"path":"/","method":"BREW"}]}`: `"BREW" is not one of GET`, `{"requests":[{"path":"/","headers":{"a":1}}]}`: "is not a string", `{"requests":[{"path":"/","body":[]}]}`: "is not a mapping type",
		`{"requests":[{"path":"/batch"}]}`: "Recursive call on /batch endpoint is forbidden.", `{"requests":[{"path":"/v1/batch?x"}]}`: "Recursive call", `{"defaults":3,"requests":[]}`: "is not a mapping type",
		`{"requests":[` + strings.Repeat(`{"path":"/"},`, 25) + `{"path":"/"}]}`: "Number of requests is limited to 25",
	} {
		if r := s.must(400, "alice", "POST /v1/batch", body); !strings.Contains(r.body["message"].(string), message) {
			t.Errorf("%s: %s", body, r.text)
		}
	}
	for _, hidden := range []string{"/%62atch", "/v1/%62atch", "/v1//batc%68"} {
		r := s.must(200, "alice", "POST /v1/batch", `{"requests":[{"method":"POST","path":"`+hidden+`","body":{"requests":[]}}]}`)
		if entry(r, 0)["status"] != 404.0 {
			t.Errorf("%s: %v", hidden, entry(r, 0))
		}
	}
	for _, path := range []string{"/buckets/b/collections/batches", "/buckets/b/collections/c/records/batch", "/v1/buckets/batch"} {
		r := s.must(200, "alice", "POST /v1/batch", `{"requests":[{"method":"PUT","path":"`+path+`"}]}`)
		if entry(r, 0)["status"] != 201.0 {
			t.Errorf("%s: %v", path, entry(r, 0))
		}
	}
	s.must(405, "alice", "GET /v1/batch", "")
	s.must(415, "alice", "POST /v1/batch", "{}", "Content-Type: text/plain")
	s.must(200, "", "OPTIONS /v1/batch", "", "Origin: https://a.example", "Access-Control-Request-Method: POST")
	s = start(t, map[string]string{"batch_max_requests": "0"})
	if s.must(200, "alice", "GET /v1/", "").body["settings"].(map[string]any)["batch_max_requests"] != 0.0 {
		t.Error("hello says otherwise")
	}
	s.must(200, "alice", "POST /v1/batch", `{"requests":[`+strings.Repeat(`{"path":"/"},`, 100)+`{"path":"/"}]}`)
}

// TestBatchConflict: nothing is kept, and nobody is told otherwise.
func TestBatchConflict(t *testing.T) {
	s := filled(t, nil)
	s.must(201, "alice", "PUT "+records+"/old", `{"data":{"last_modified":1000}}`)
	before := s.must(200, "alice", "GET "+records, "").text
	r := s.must(200, "alice", "POST /v1/batch", `{"defaults":{"method":"PUT"},"requests":[
		{"path":"/buckets/b/collections/c/records/new"},{"method":"GET","path":"/buckets/b"},{"method":"DELETE","path":"/buckets/b/collections/c/records/no"},
		{"path":"/buckets/b/collections/c/records/old2","body":{"data":{"last_modified":1000}}},{"path":"/buckets/b/collections/c/records/after"}]}`)
	if diff := cmp.Diff([]string{"409 " + records + "/new", "200 /v1/buckets/b", "404 " + records + "/no", "409 " + records + "/old2", "409 " + records + "/after"}, entries(t, r)); diff != "" {
		t.Error(diff)
	}
	if after := s.must(200, "alice", "GET "+records, "").text; after != before {
		t.Errorf("kept: %s", after)
	}
}

// stumbling is a store that fails when the object boom is written.
type stumbling struct {
	kinto.Store
	err error
}

type stumblingTx struct {
	kinto.Tx
	err error
}

func (s stumbling) Write(ctx context.Context, about []kinto.List, fn func(kinto.Tx) error) error {
	return s.Store.Write(ctx, nil, func(tx kinto.Tx) error { return fn(stumblingTx{tx, s.err}) })
}

func (tx stumblingTx) Put(l kinto.List, o, old *kinto.Object) error {
	if o.ID == "boom" {
		if tx.err == nil {
			panic("bug")
		}
		return tx.err
	}
	return tx.Tx.Put(l, o, old)
}

func TestBatchRollsBack(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
	}{{kinto.ErrUnavailable, 503}, {kinto.ErrFull, 507}, {errors.New("x"), 500}, {nil, 500}} {
		dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
		db, err := storage.Open(t.Context(), filepath.Join(dir, "foyer.db"), log)
		if err != nil {
			t.Fatal(err)
		}
		set := config.Default()
		set.Kinto = config.NewKinto(map[string]string{"multiauth.policies": "basicauth"})
		store := stumbling{db, c.err}
		s := &server{t, New(configured(store, set, dir, log))}
		s.must(201, "alice", "PUT /v1/buckets/b", "")
		s.must(c.status, "alice", "POST /v1/batch", `{"defaults":{"method":"PUT"},"requests":[{"path":"/buckets/b/collections/c"},{"path":"/buckets/b/collections/c/records/r"},{"path":"/buckets/b/collections/c/records/boom"},{"path":"/buckets/b2"}]}`)
		s.must(404, "alice", "GET /v1/buckets/b/collections/c", "")
		s.must(403, "alice", "GET /v1/buckets/b2", "")
		s.must(201, "alice", "PUT /v1/buckets/b/collections/c", "")
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// FuzzBatch: whatever is sent, the answer is JSON with an entry for each request,
// or a refusal.
func FuzzBatch(f *testing.F) {
	f.Add(`{"defaults":{"method":"PUT","body":{"data":{"a":1}}},"requests":[{"path":"/buckets/b"},{"path":"/buckets/b/collections/c","body":{"data":{"a":{}}}}]}`)
	f.Add(`{"requests":[{"path":"//x"},{"path":"/v1","method":"HEAD"},{"path":"/%","headers":{"If-Match":"*"}}]}`)
	h := newServer(f, nil)
	f.Fuzz(func(t *testing.T, body string) {
		s := &server{t, h}
		r := s.do("alice", "POST /v1/batch", body, "Content-Type: application/json")
		if r.status != http.StatusOK && r.status != http.StatusBadRequest || r.status == http.StatusOK && r.body["responses"] == nil {
			t.Fatalf("%d %s", r.status, r.text)
		}
	})
}
