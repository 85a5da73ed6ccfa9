package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/server/attachment"
	"github.com/foyer-server/foyer/server/auth"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/people"
	"github.com/foyer-server/foyer/server/storage"
)

// server is the whole stack over a database of its own.
type server struct {
	t *testing.T
	http.Handler
}

func newServer(t testing.TB, settings map[string]string) http.Handler {
	h, _ := newHouse(t, settings)
	return h
}

// newHouse is newServer with its database.
func newHouse(t testing.TB, settings map[string]string) (http.Handler, kinto.Store) {
	t.Helper()
	db, err := openStore(t)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return houseOn(t, db, settings), db
}

// closer is a store of a test's own.
type closer interface {
	kinto.Store
	Close() error
}

// openStore is SQLite's; with FOYER_API_TESTS_ON=PostgreSQL it is that (birth_test.go).
var openStore = func(t testing.TB) (closer, error) {
	return storage.Open(t.Context(), filepath.Join(t.TempDir(), "foyer.db"), slog.New(slog.DiscardHandler))
}

// houseOn is a server over a store.
func houseOn(t testing.TB, db kinto.Store, settings map[string]string) http.Handler {
	t.Helper()
	return houseIn(t, db, t.TempDir(), settings)
}

// houseIn is houseOn whose attachments are in a folder of dir.
func houseIn(t testing.TB, db kinto.Store, dir string, settings map[string]string) http.Handler {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	all := map[string]string{"multiauth.policies": "basicauth", "userid_hmac_secret": "secret"}
	maps.Copy(all, settings)
	s := config.Default()
	s.Limits.Body = 1 << 20
	s.Kinto = config.NewKinto(all)
	files, err := attachment.Open(filepath.Join(dir, "attachments"))
	if err != nil {
		t.Fatal(err)
	}
	c := configured(db, s, dir, log)
	c.Files, c.Version = files, "1.2.3"
	return New(c)
}

// configured is what a door needs, over a store.
func configured(db kinto.Store, s *config.Settings, dir string, log *slog.Logger) Config {
	p := people.New(db, s.Kinto, dir, log)
	if err := p.SetCost(bcrypt.MinCost); err != nil {
		panic(err)
	}
	return Config{Kinto: kinto.New(db, s.Kinto, p.Accounts()), Auth: auth.New(db, s.Kinto, p, log), Settings: s, Connections: s.Limits.Connections, OpenFiles: 64, Log: log}
}

func start(t *testing.T, settings map[string]string) *server {
	return &server{t, newServer(t, settings)}
}

// reply is an answer, its body read as JSON.
type reply struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

func (r reply) data() map[string]any {
	d, _ := r.body["data"].(map[string]any)
	return d
}

func (r reply) list() []any {
	d, _ := r.body["data"].([]any)
	return d
}

// do sends "METHOD path" as user ("" = nobody) with headers "Name: value".
func (s *server) do(user, line, body string, headers ...string) reply {
	s.t.Helper()
	method, path, _ := strings.Cut(line, " ")
	var req *http.Request
	if body == "" {
		req = httptest.NewRequest(method, path, nil)
	} else {
		req = httptest.NewRequest(method, path, strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
	}
	if user != "" {
		req.SetBasicAuth(user, "pass")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if req.Header.Set(name, value); name == "Host" {
			req.Host = value
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	res := reply{status: w.Code, header: w.Result().Header, text: w.Body.String()}
	if strings.HasPrefix(res.header.Get("Content-Type"), "application/json") && res.text != "" && method != "HEAD" {
		if err := json.Unmarshal(w.Body.Bytes(), &res.body); err != nil && res.text != "null" {
			s.t.Fatalf("%s: %v in %s", line, err, res.text)
		}
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options":  "nosniff",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; ",
	} {
		if got := res.header.Get(name); got != want {
			s.t.Errorf("%s: header %s = %q", line, name, got)
		}
	}
	for _, name := range []string{"ETag", "Next-Page", "Total-Records", "Alert", "Backoff", "Retry-After"} {
		if !strings.Contains(res.header.Get("Access-Control-Expose-Headers"), name) {
			s.t.Errorf("%s: %s is not exposed", line, name)
		}
	}
	if res.status >= 400 && method != "HEAD" && !strings.HasSuffix(path, "heartbeat__") && (res.body["code"] != float64(res.status) || res.body["errno"] == nil || res.body["error"] == nil) {
		s.t.Errorf("%s: %d with body %s", line, res.status, res.text)
	}
	return res
}

// must is do with the status expected.
func (s *server) must(status int, user, line, body string, headers ...string) reply {
	s.t.Helper()
	r := s.do(user, line, body, headers...)
	if r.status != status {
		s.t.Fatalf("%s as %q: %d, want %d: %s", line, user, r.status, status, r.text)
	}
	return r
}

// filled is a server with alice's bucket b, collection c and record r.
func filled(t *testing.T, settings map[string]string) *server {
	s := start(t, settings)
	s.must(201, "alice", "PUT /v1/buckets/b", "")
	s.must(201, "alice", "PUT /v1/buckets/b/collections/c", "")
	s.must(201, "alice", "PUT /v1/buckets/b/collections/c/records/r", `{"data":{"n":1}}`)
	return s
}

const (
	collections = "/v1/buckets/b/collections"
	records     = "/v1/buckets/b/collections/c/records"
)

func TestHello(t *testing.T) {
	s := start(t, nil)
	r := s.must(200, "", "GET /v1/", "")
	if r.body["http_api_version"] != "1.23" || r.body["project_name"] != "foyer" || r.body["project_version"] != "1.2.3" || r.body["url"] != "http://example.com/v1/" || r.body["user"] != nil {
		t.Errorf("hello: %s", r.text)
	}
	if diff := cmp.Diff(map[string]any{"readonly": false, "explicit_permissions": true, "batch_max_requests": 25.0}, r.body["settings"]); diff != "" {
		t.Error(diff)
	}
	r = s.must(200, "alice", "GET /v1/", "")
	user := r.body["user"].(map[string]any)
	if !regexp.MustCompile(`^basicauth:[0-9a-f]{64}$`).MatchString(user["id"].(string)) {
		t.Errorf("user: %v", user)
	}
	if diff := cmp.Diff([]any{user["id"], "system.Authenticated", "system.Everyone"}, user["principals"]); diff != "" {
		t.Error(diff)
	}
	for _, path := range []string{"__heartbeat__", "__lbheartbeat__", "__version__"} {
		s.must(200, "", "GET /v1/"+path, "")
	}
	s.must(405, "", "POST /v1/__version__", "")
	for accept, want := range map[string]string{"text/html": "application/json", "text/plain": "text/plain; charset=utf-8", "application/json, text/plain, */*": "application/json"} {
		if got := s.must(200, "", "GET /v1/", "", "Accept: "+accept).header.Get("Content-Type"); got != want {
			t.Errorf("Accept: %s: %s", accept, got)
		}
	}
}

func TestRedirects(t *testing.T) {
	s := start(t, nil)
	for _, c := range []struct{ line, to, cache string }{
		{"GET /", "http://example.com/v1/", ""},
		{"GET /buckets?_since=3", "http://example.com/v1/buckets?_since=3", ""},
		{"PUT /buckets/b", "http://example.com/v1/buckets/b", ""},
		{"GET /v1", "http://example.com/v1/", "max-age=3600"},
		{"GET /v1/buckets/", "http://example.com/v1/buckets", "max-age=3600"},
		{"GET /v1/nothing//?a=b", "http://example.com/v1/nothing?a=b", "max-age=3600"},
		{"GET /vx/buckets", "http://example.com/v1/vx/buckets", ""},
	} {
		r := s.must(307, "", c.line, "")
		if got := r.header.Get("Location"); got != c.to || r.header.Get("Cache-Control") != c.cache || (c.cache != "") != (r.header.Get("Expires") != "") {
			t.Errorf("%s → %s, Cache-Control %q", c.line, got, r.header.Get("Cache-Control"))
		}
	}
	s.must(200, "", "OPTIONS /buckets", "")
}

func TestErrorsOfRouting(t *testing.T) {
	s := filled(t, nil)
	for _, c := range []struct {
		user, line, body string
		headers          []string
		status, errno    int
	}{
		{"", "GET /v1/nothing", "", nil, 404, 111},
		{"", "GET /v1/buckets/b/records", "", nil, 404, 111},
		{"", "GET /v2/buckets", "", nil, 404, 116},
		{"", "GET /v0", "", nil, 404, 116},
		{"", "GET /v1/buckets/%ff", "", nil, 400, 107},
		{"", "GET /v1/buckets?a=%ff", "", nil, 400, 107},
		{"alice", "PUT /v1/buckets/b%2Fcollections", "", nil, 400, 107},
		// 405, then 406, then 415, all before authentication
		{"", "PUT /v1/buckets", "{}", nil, 405, 115},
		{"", "POST /v1/buckets/b", "{}", []string{"Accept: text/plain"}, 405, 115},
		{"", "BREW /v1/buckets/b", "", nil, 405, 115},
		{"", "PUT /v1/buckets/b", "{}", []string{"Accept: text/plain", "Content-Type: text/plain"}, 406, 107},
		{"", "PUT /v1/buckets/b", "{}", []string{"Content-Type: text/plain"}, 415, 107},
		{"", "GET /v1/buckets/b", "", []string{"Content-Type: text/plain"}, 401, 104},
		{"", "DELETE /v1/buckets/b", "", []string{"Content-Type: text/plain"}, 401, 104},
		// the parent of a record is told to anybody who writes, before everything else
		{"", "PUT /v1/buckets/b/collections/no/records/r", "{}", nil, 404, 111},
		{"", "PUT /v1/buckets/b/collections/no/records/r", "{}", []string{"Content-Type: text/plain"}, 404, 111},
		{"", "POST /v1/buckets/no/collections/no/records", "{}", nil, 404, 111},
		{"", "PATCH /v1/buckets/b/collections/no/records/r", "[", nil, 404, 111},
		{"", "DELETE /v1/buckets/b/collections/no/records/r", "", nil, 404, 111},
		// and to those who may know when it is read
		{"", "GET /v1/buckets/b/collections/no/records", "", nil, 401, 104},
		{"bob", "GET /v1/buckets/b/collections/no/records", "", nil, 403, 121},
		{"alice", "GET /v1/buckets/b/collections/no/records", "", nil, 404, 111},
		{"alice", "GET /v1/buckets/b/collections/no/records/r", "", nil, 404, 111},
		{"bob", "DELETE /v1/buckets/b/collections/no/records", "", nil, 403, 121},
		{"alice", "DELETE /v1/buckets/b/collections/no/records", "", nil, 404, 111},
		// a bucket that is not there is not told of
		{"", "PUT /v1/buckets/no/collections/c", "{}", nil, 401, 104},
		{"bob", "PUT /v1/buckets/no/collections/c", "{}", nil, 403, 121},
		{"bob", "GET /v1/buckets/no", "", nil, 403, 121},
		{"bob", "DELETE /v1/buckets/no", "", nil, 403, 121},
		// an invalid id in a POST comes before authentication
		{"", "POST /v1/buckets", `{"data":{"id":"é"}}`, nil, 400, 107},
		{"", "POST /v1/buckets", `{"data":{"id":7}}`, nil, 400, 107},
		// authorisation comes before validation
		{"", "PUT /v1/buckets/b", "[", nil, 401, 104},
		{"bob", "PUT /v1/buckets/b", "[", nil, 403, 121},
		{"alice", "PUT /v1/buckets/b", "[", nil, 400, 107},
		{"bob", "PUT /v1/buckets/b", "{}", []string{"If-Match: 12"}, 403, 121},
		{"alice", "GET " + records + "/no", "", []string{`If-Match: W/"12"`}, 400, 107},
		{"alice", "GET " + records + "/-r", "", nil, 400, 107},
		{"alice", "PUT " + records + "/-r", "", nil, 400, 107},
		{"bob", "PUT " + records + "/-r", "", nil, 403, 121},
		{"alice", "GET " + records + "/no", "", nil, 404, 110},
		{"alice", "PATCH " + records + "/no", `{"data":{}}`, nil, 404, 110},
		{"alice", "DELETE " + records + "/no", "", nil, 404, 110},
		{"bob", "DELETE " + records + "/no", "", nil, 403, 121},
	} {
		r := s.do(c.user, c.line, c.body, c.headers...)
		if r.status != c.status || r.body["errno"] != float64(c.errno) {
			t.Errorf("%s as %q %v: %d %s, want %d errno %d", c.line, c.user, c.headers, r.status, r.text, c.status, c.errno)
		}
		if r.status == 401 && r.header.Get("WWW-Authenticate") != `Basic realm="Realm", charset="UTF-8"` {
			t.Errorf("%s: WWW-Authenticate %q", c.line, r.header.Get("WWW-Authenticate"))
		}
	}
	if got := s.do("", "PUT /v1/buckets", "{}").header.Get("Allow"); got != "HEAD, GET, POST, DELETE, OPTIONS" {
		t.Errorf("Allow: %s", got)
	}
	r := s.do("alice", "GET "+records+"/no", "")
	if diff := cmp.Diff(map[string]any{"code": 404.0, "errno": 110.0, "error": "Not Found", "details": map[string]any{"id": "no", "resource_name": "record"}}, r.body); diff != "" {
		t.Error(diff)
	}
	r = s.do("", "PUT /v1/buckets/b/collections/no/records/r", "")
	if diff := cmp.Diff(map[string]any{"id": "no", "resource_name": "collection"}, r.body["details"]); diff != "" {
		t.Error(diff)
	}
}

func TestValidationMessages(t *testing.T) {
	s := filled(t, nil)
	for _, c := range []struct{ line, body, message string }{
		{"PUT " + records + "/r", `{"data":{}`, "Invalid JSON: "},
		{"PUT " + records + "/r", `{"data":{"a":NaN}}`, "Invalid JSON: "},
		{"PUT " + records + "/r", `{"data":{"a":1,}}`, "Invalid JSON: "},
		{"PUT " + records + "/r", "{\"data\":{\"a\":\"\xff\"}}", "Invalid JSON: "},
		{"PUT " + records + "/r", strings.Repeat(`{"data":`, 200) + "1" + strings.Repeat("}", 200), "Invalid JSON: "},
		{"PUT " + records + "/r", `3`, "Should be a JSON object or an array"},
		{"PUT " + records + "/r", `{"foo":1}`, `Unrecognized keys in mapping: "{'foo': 1}"`},
		{"PUT " + records + "/r", `{"data":"x"}`, `data in body: "x" is not a mapping type: Does not implement dict-like functionality.`},
		{"PUT " + records + "/r", `{"data":null}`, `is not a mapping type`},
		{"PUT " + records + "/r", `{"permissions":{"read":"a"}}`, `permissions.read in body: "a" is not iterable`},
		{"PUT " + records + "/r", `{"permissions":{"read":[1]}}`, `permissions.read.0 in body: 1 is not a string: {'': ''}`},
		{"PUT " + records + "/r", `{"permissions":{"zz":[]}}`, `permissions in body: "zz" is not one of read, write`},
		{"PUT " + records + "/r", `{"data":{"id":"other"}}`, "Object id does not match existing object"},
		{"PUT " + records + "/r", `{"data":{"last_modified":-3}}`, "-3 is less than minimum value 0"},
		{"PATCH " + records + "/r", ``, "Provide at least one of data or permissions"},
		{"PATCH " + records + "/r", `{"permissions":{}}`, "Provide at least one of data or permissions"},
		{"POST " + records, `{"data":{"id":"-a"}}`, "path: Invalid object id"},
		{"GET " + records + "?_since=", "", "Invalid value for _since"},
		{"GET " + records + "?_since=abc", "", "Invalid value for _since"},
		{"GET " + records + "?_before=-1", "", "Invalid value for _before"},
		{"GET " + records + "?_since=99999999999999", "", "Invalid value for _since"},
		{"GET " + records + "?_limit=x", "", `_limit in querystring: "x" is not a number`},
		{"GET " + records + "?_limit=-1", "", `-1 is less than minimum value 0`},
		{"DELETE " + records + "/r?last_modified=abc", "", "Invalid value for last_modified"},
	} {
		r := s.must(400, "alice", c.line, c.body)
		if got := r.body["message"].(string); !strings.Contains(got, c.message) || r.body["error"] != "Invalid parameters" || r.body["errno"] != 107.0 {
			t.Errorf("%s %s: %s", c.line, c.body, r.text)
		}
	}
	r := s.must(400, "alice", "PUT "+records+"/r", `{"data":1,"permissions":2}`)
	if got := len(r.body["details"].([]any)); got != 2 {
		t.Errorf("problems found: %d in %s", got, r.text)
	}
	r = s.must(400, "alice", "GET "+records, "", "If-None-Match: 12")
	if r.body["message"] != "If-None-Match in header: The value should be integer between double quotes." {
		t.Error(r.text)
	}
	if n := s.must(200, "alice", "GET "+records+"/r", "").data()["n"]; n != 1.0 {
		t.Errorf("a refused request changed the record: %v", n)
	}
}

func TestLifeOfARecord(t *testing.T) {
	s := filled(t, nil)
	path := records + "/r"
	r := s.must(200, "alice", "GET "+path, "")
	if r.header.Get("Cache-Control") != "no-cache, no-store" || r.header.Get("Last-Modified") == "" || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("headers: %v", r.header)
	}
	first := r.header.Get("ETag")
	if want := `"` + number(r.data()["last_modified"]) + `"`; first != want {
		t.Errorf("ETag %s, want %s", first, want)
	}
	head := s.must(200, "alice", "HEAD "+path, "")
	if head.text != "" || head.header.Get("ETag") != first || head.header.Get("Content-Length") == "" {
		t.Errorf("HEAD: %q %v", head.text, head.header)
	}
	s.must(304, "alice", "GET "+path, "", "If-None-Match: "+first)
	s.must(200, "alice", "GET "+path, "", "If-Match: "+first)
	s.must(200, "alice", "PUT "+path, "", "If-None-Match: "+first) // ignored on writes
	if s.must(200, "alice", "GET "+path, "").data()["n"] != 1.0 {
		t.Error("PUT without data did not keep it")
	}
	r = s.must(412, "alice", "GET "+path, "", "If-Match: "+first)
	r2 := s.must(412, "alice", "PUT "+path, `{"data":{"n":2}}`, "If-Match: "+first)
	for _, r := range []reply{r, r2} {
		existing, _ := r.body["details"].(map[string]any)["existing"].(map[string]any)
		if existing["n"] != 1.0 || existing["id"] != "r" || r.header.Get("ETag") != `"`+number(existing["last_modified"])+`"` {
			t.Errorf("412: %s, ETag %s", r.text, r.header.Get("ETag"))
		}
	}
	s.must(412, "alice", "PUT "+path, `{"data":{"n":2}}`, "If-None-Match: *")
	s.must(201, "alice", "PUT "+path+"2", `{"data":{"n":2}}`, "If-None-Match: *")
	for _, line := range []string{"PUT " + path + "3", "POST " + records} {
		for _, match := range []string{"*", `"12"`} {
			r := s.must(412, "alice", line, `{"data":{}}`, "If-Match: "+match)
			if list := s.must(200, "alice", "GET "+records, "").header.Get("ETag"); r.body["details"] != nil || r.header.Get("ETag") != list {
				t.Errorf("nothing is there: %s, ETag %s, the list's %s", r.text, r.header.Get("ETag"), list)
			}
		}
	}
	s.must(404, "alice", "PATCH "+path+"3", `{"data":{}}`, "If-Match: *")
	s.must(404, "alice", "DELETE "+path+"3", ``, "If-Match: *")

	r = s.must(200, "alice", "PATCH "+path, `{"data":{"m":null,"n":[1.0,1e2, 12345678901234567890]}}`, "If-Match: *")
	if !strings.Contains(r.text, `"n":[1.0,1e2,12345678901234567890],"m":null`) {
		t.Errorf("PATCH: %s", r.text)
	}
	r = s.must(200, "alice", "PUT "+path, `{"data":{"a":1,"a":2,"o":{"x":1,"\u0078":3}}}`)
	if _, ok := r.data()["n"]; ok || r.data()["a"] != 2.0 || r.data()["o"].(map[string]any)["x"] != 3.0 {
		t.Errorf("PUT: %s", r.text)
	}
	before := int64(r.data()["last_modified"].(float64))
	r = s.must(200, "alice", "DELETE "+path, "")
	if diff := cmp.Diff(map[string]any{"data": map[string]any{"id": "r", "last_modified": r.data()["last_modified"], "deleted": true}}, r.body); diff != "" || int64(r.data()["last_modified"].(float64)) <= before {
		t.Errorf("%s after %d: %s", r.text, before, diff)
	}
	if r.header.Get("Cache-Control") != "" {
		t.Error("Cache-Control on a write")
	}
	s.must(404, "alice", "GET "+path, "")
	s.must(404, "alice", "DELETE "+path, "")
	s.must(201, "alice", "PUT "+path, "")
	if got := s.must(200, "alice", "GET "+records+"?_since=0", "").list(); len(got) != 2 {
		t.Errorf("the tombstone of a record made again is still there: %v", got)
	}
}

func number(v any) string { b, _ := json.Marshal(v); return strings.TrimSuffix(string(b), ".0") }

// TestNoUpdateIsLost: of many who change what they have read, one may at a time.
func TestNoUpdateIsLost(t *testing.T) {
	s := filled(t, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for done := 0; done < 10; {
				r := s.do("alice", "GET "+records+"/r", "")
				body := fmt.Sprintf(`{"data":{"n":%d}}`, int(r.data()["n"].(float64))+1)
				switch r = s.do("alice", "PUT "+records+"/r", body, "If-Match: "+r.header.Get("ETag")); r.status {
				case 200:
					done++
				case 412:
				default:
					t.Errorf("%d %s", r.status, r.text)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := s.must(200, "alice", "GET "+records+"/r", "").data()["n"]; n != 81.0 {
		t.Errorf("counted to %v, want 81", n)
	}
}

func TestPost(t *testing.T) {
	s := filled(t, nil)
	r := s.must(201, "alice", "POST "+records, "")
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4`).MatchString(r.data()["id"].(string)) {
		t.Errorf("id: %s", r.text)
	}
	r = s.must(201, "bob", "POST /v1/buckets", "")
	if !regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{7}$`).MatchString(r.data()["id"].(string)) {
		t.Errorf("id: %s", r.text)
	}
	r = s.must(200, "alice", "POST "+records, `{"data":{"id":"r","n":9}}`)
	if r.data()["n"] != 1.0 {
		t.Errorf("POST changed what is there: %s", r.text)
	}
	s.must(412, "alice", "POST "+records, `{"data":{"id":"r"}}`, "If-None-Match: *")
	s.must(201, "alice", "POST "+records, `{"data":{"id":"new"}}`, "If-None-Match: *")
	s.must(201, "alice", "POST "+records, `{"data":{}}`, "If-None-Match: *")
	s.must(403, "bob", "POST "+records, `{"data":{"id":"r"}}`)
}

func TestPermissions(t *testing.T) {
	s := filled(t, nil)
	id := func(user string) string {
		return s.must(200, user, "GET /v1/", "").body["user"].(map[string]any)["id"].(string)
	}
	bob := id("bob")
	write := func(r reply) any { return r.body["permissions"] }
	alices := map[string]any{"write": []any{id("alice")}}
	if diff := cmp.Diff(any(alices), write(s.must(200, "alice", "GET "+records+"/r", ""))); diff != "" {
		t.Error(diff)
	}
	s.must(403, "bob", "GET "+records+"/r", "")
	s.must(401, "", "GET "+records+"/r", "")
	// reading is granted on the record alone; its permissions stay hidden
	s.must(200, "alice", "PATCH "+records+"/r", `{"permissions":{"read":["`+bob+`"]}}`)
	r := s.must(200, "bob", "GET "+records+"/r", "")
	if diff := cmp.Diff(any(map[string]any{}), write(r)); diff != "" {
		t.Error(diff)
	}
	s.must(403, "bob", "PUT "+records+"/r", "")
	s.must(403, "bob", "GET "+records+"/other", "")
	// creating, without reading
	s.must(200, "alice", "PATCH "+collections+"/c", `{"permissions":{"record:create":["system.Everyone"]}}`)
	r = s.must(201, "", "POST "+records, `{"data":{"by":"nobody"}}`)
	if diff := cmp.Diff(any(map[string]any{"write": []any{"system.Everyone"}}), write(r)); diff != "" {
		t.Error(diff)
	}
	s.must(412, "bob", "PUT "+records+"/hidden", "", `If-Match: "3"`)
	s.must(201, "alice", "PUT "+records+"/hidden", `{"data":{"secret":1}}`)
	r = s.must(412, "bob", "PUT "+records+"/hidden", "", `If-None-Match: *`)
	if strings.Contains(r.text, "secret") {
		t.Errorf("a record is told to somebody who may not read it: %s", r.text)
	}
	s.must(403, "bob", "POST "+records, `{"data":{"id":"hidden"}}`)
	// record:create reads the collection itself, without its permissions
	r = s.must(200, "bob", "GET "+collections+"/c", "")
	if diff := cmp.Diff(any(map[string]any{}), write(r)); diff != "" {
		t.Error(diff)
	}
	s.must(200, "bob", "GET "+records, "") // what bob sees of the list: r and what nobody wrote
	if got := ids(s.must(200, "bob", "GET "+records, "")); !cmp.Equal(len(got), 2) || strings.Contains(strings.Join(got, " "), "hidden") {
		t.Errorf("bob sees %v", got)
	}
	if got := s.must(200, "bob", "HEAD "+records, "").header.Get("Total-Records"); got != "2" {
		t.Errorf("bob counts %s", got)
	}
	if got := ids(s.must(200, "bob", "DELETE "+records, "")); len(got) != 1 {
		t.Errorf("bob deleted %v", got)
	}
	// a bucket owner sees {} on what somebody else made
	s.must(201, "bob", "PUT "+records+"/bobs", "")
	if diff := cmp.Diff(any(map[string]any{}), write(s.must(200, "alice", "GET "+records+"/bobs", ""))); diff != "" {
		t.Error(diff)
	}
	s.must(200, "alice", "PUT "+records+"/bobs", "") // and becomes a writer by writing
	if got := write(s.must(200, "alice", "GET "+records+"/bobs", "")).(map[string]any)["write"]; len(got.([]any)) != 2 {
		t.Errorf("writers: %v", got)
	}
	// replacing, keeping, clearing
	s.must(200, "alice", "PUT "+records+"/r", `{"permissions":{}}`)
	s.must(200, "bob", "GET "+records+"/r", "")
	s.must(200, "alice", "PUT "+records+"/r", `{"permissions":{"read":null}}`)
	s.must(200, "bob", "GET "+records+"/r", "")
	s.must(200, "alice", "PATCH "+records+"/r", `{"permissions":{"read":[]}}`)
	s.must(403, "bob", "GET "+records+"/r", "")
	s.must(200, "alice", "PATCH "+records+"/r", `{"permissions":{"read":["`+bob+`"]}}`)
	s.must(200, "alice", "PUT "+records+"/r", `{"permissions":{"write":[]}}`)
	s.must(403, "bob", "GET "+records+"/r", "")
	// deleting takes grants along
	s.must(200, "alice", "PATCH "+records+"/r", `{"permissions":{"read":["`+bob+`"]}}`)
	s.must(200, "alice", "DELETE "+records+"/r", "")
	s.must(201, "alice", "PUT "+records+"/r", "")
	s.must(403, "bob", "GET "+records+"/r", "")
	for _, got := range ids(s.must(200, "bob", "GET "+records+"?_since=0", "")) {
		if got == "r" {
			t.Error("a grant outlived its object")
		}
	}
}

func ids(r reply) []string {
	var out []string
	for _, o := range r.list() {
		out = append(out, o.(map[string]any)["id"].(string))
	}
	return out
}

func TestBucketsAreVisibleToTheirPeople(t *testing.T) {
	s := filled(t, nil)
	s.must(401, "", "GET /v1/buckets", "")
	if got := ids(s.must(200, "bob", "GET /v1/buckets", "")); got != nil {
		t.Errorf("bob sees %v", got)
	}
	if got := ids(s.must(200, "alice", "GET /v1/buckets", "")); !cmp.Equal(got, []string{"b"}) {
		t.Errorf("alice sees %v", got)
	}
	s.must(403, "bob", "GET "+collections, "")
	s.must(403, "bob", "GET /v1/buckets/b", "")
	s.must(200, "bob", "DELETE /v1/buckets", "")
	s.must(200, "alice", "GET /v1/buckets/b", "")
	if got := ids(s.must(200, "alice", "DELETE /v1/buckets", "")); !cmp.Equal(got, []string{"b"}) {
		t.Errorf("alice deleted %v", got)
	}
	s.must(403, "alice", "GET "+records, "")
}

func TestPermissionsBySettings(t *testing.T) {
	s := filled(t, map[string]string{
		"bucket_create_principals": "system.Everyone", "bucket_read_principals": "system.Authenticated",
		"record_create_principals": "system.Everyone", "collection_write_principals": "system.Authenticated",
	})
	s.must(201, "", "PUT /v1/buckets/anybodys", "")
	s.must(200, "bob", "GET /v1/buckets/b", "")
	if got := ids(s.must(200, "bob", "GET /v1/buckets", "")); len(got) != 2 {
		t.Errorf("bob sees %v", got)
	}
	if got := s.must(200, "bob", "GET "+records, "").list(); len(got) != 0 { // may create there, sees nothing
		t.Errorf("bob sees %v", got)
	}
	s.must(403, "bob", "GET "+records+"/r", "")
	s.must(201, "", "POST "+records, "")
	s.must(403, "bob", "PUT "+records+"/r", "")     // write on collections is not write on records
	s.must(200, "bob", "PUT "+collections+"/c", "") // but makes bob a writer of c, and so of what is in it
	s.must(200, "bob", "PUT "+records+"/r", "")
}

func TestLists(t *testing.T) {
	s := filled(t, nil)
	s.must(201, "alice", "PUT "+records+"/r2", "")
	s.must(201, "alice", "PUT "+records+"/r3", "")
	all := s.must(200, "alice", "GET "+records, "")
	if diff := cmp.Diff([]string{"r3", "r2", "r"}, ids(all)); diff != "" {
		t.Error(diff)
	}
	etag := all.header.Get("ETag")
	stamp := func(i int) string { return number(all.list()[i].(map[string]any)["last_modified"]) }
	if etag != `"`+stamp(0)+`"` {
		t.Errorf("ETag %s", etag)
	}
	s.must(304, "alice", "GET "+records, "", "If-None-Match: "+etag)
	s.must(412, "alice", "GET "+records, "", "If-None-Match: *")
	s.must(412, "alice", "GET "+records, "", `If-Match: "12"`)
	s.must(412, "alice", "DELETE "+records, "", `If-Match: "12"`)
	s.must(200, "alice", "DELETE "+records+"/r2", "")
	for query, want := range map[string][]string{
		"":                                     {"r3", "r"},
		"?_limit=1":                            {"r3"},
		"?_limit=0":                            {"r3", "r"},
		"?_since=" + stamp(2):                  {"r2", "r3"},
		"?_since=%22" + stamp(2) + "%22":       {"r2", "r3"},
		"?_since=" + stamp(0):                  {"r2"},
		"?_before=" + stamp(0):                 {"r"},
		"?_to=" + stamp(0):                     {"r"},
		"?_since=0&_before=" + stamp(0) + ".9": {"r"},
		"?_since=0&_unknown=x":                 {"r2", "r3", "r"},
	} {
		r := s.must(200, "alice", "GET "+records+query, "")
		if diff := cmp.Diff(want, ids(r)); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
		if strings.HasPrefix(query, "?_to") != (r.header.Get("Alert") != "") {
			t.Errorf("%s: Alert %q", query, r.header.Get("Alert"))
		}
	}
	head := s.must(200, "alice", "HEAD "+records+"?_since=0", "")
	if head.header.Get("Total-Records") != "2" || head.header.Get("Total-Objects") != "2" || head.text != "" {
		t.Errorf("HEAD: %v", head.header)
	}
	if got := ids(s.must(200, "alice", "DELETE "+records+"?exclude_id=r&exclude_id_=x&n=zz", "")); got != nil {
		t.Errorf("deleted %v", got)
	}
	r := s.must(200, "alice", "DELETE "+records+"?exclude_id=zz", "")
	if diff := cmp.Diff([]string{"r3", "r"}, ids(r)); diff != "" || r.list()[0].(map[string]any)["deleted"] != true {
		t.Errorf("%s %s", diff, r.text)
	}
	if r.header.Get("ETag") != `"`+number(r.list()[0].(map[string]any)["last_modified"])+`"` {
		t.Errorf("ETag of a list DELETE: %s %s", r.header.Get("ETag"), r.text)
	}
	r = s.must(200, "alice", "DELETE "+records, "")
	if r.text != `{"data":[]}` || r.header.Get("ETag") != s.must(200, "alice", "GET "+records, "").header.Get("ETag") {
		t.Errorf("DELETE of nothing: %s %s", r.text, r.header.Get("ETag"))
	}
}

func TestTimestampOfAnEmptyListStays(t *testing.T) {
	s := filled(t, nil)
	s.must(201, "alice", "PUT "+collections+"/empty", "")
	path := collections + "/empty/records"
	first := s.must(200, "alice", "GET "+path, "").header.Get("ETag")
	if again := s.must(200, "alice", "HEAD "+path, "").header.Get("ETag"); again != first || first == "" {
		t.Errorf("ETag %s, then %s", first, again)
	}
	s.must(304, "alice", "GET "+path, "", "If-None-Match: "+first)
}

func TestClientTimestamps(t *testing.T) {
	s := filled(t, nil)
	r := s.must(201, "alice", "PUT "+records+"/old", `{"data":{"last_modified":1000}}`)
	if r.header.Get("ETag") != `"1000"` || r.header.Get("Last-Modified") != "Thu, 01 Jan 1970 00:00:01 GMT" {
		t.Errorf("past timestamp: %v", r.header)
	}
	r = s.must(409, "alice", "PUT "+records+"/old2", `{"data":{"last_modified":1000}}`)
	if r.body["errno"] != 122.0 || r.header.Get("Retry-After") != "3" {
		t.Errorf("collision: %s", r.text)
	}
	for _, dropped := range []string{`"1000"`, `1000.5`, `true`, `null`, `1e3`} {
		r := s.must(200, "alice", "PUT "+records+"/r", `{"data":{"last_modified":`+dropped+`}}`)
		if r.data()["last_modified"].(float64) < 1e12 {
			t.Errorf("last_modified %s was taken: %s", dropped, r.text)
		}
	}
	future := s.must(200, "alice", "PUT "+records+"/r", `{"data":{"last_modified":4000000000000}}`)
	if future.header.Get("ETag") != `"4000000000000"` || s.must(200, "alice", "GET "+records, "").header.Get("ETag") != `"4000000000000"` {
		t.Error("a future timestamp was not taken")
	}
	if got := s.must(201, "alice", "PUT "+records+"/next", "").header.Get("ETag"); got != `"4000000000001"` {
		t.Errorf("after it: %s", got)
	}
	if got := s.must(200, "alice", "PUT "+records+"/next", `{"data":{"last_modified":2000}}`).header.Get("ETag"); got != `"4000000000002"` {
		t.Errorf("an update into the past: %s", got)
	}
	if got := s.must(200, "alice", "DELETE "+records+"/next?last_modified=%224000000000009%22", "").header.Get("ETag"); got != `"4000000000009"` {
		t.Errorf("DELETE with last_modified: %s", got)
	}
	if got := s.must(200, "alice", "DELETE "+records+"/r?last_modified=5", "").header.Get("ETag"); got != `"4000000000010"` {
		t.Errorf("DELETE into the past: %s", got)
	}
	s.must(400, "alice", "PUT "+records+"/r", `{"data":{"last_modified":99999999999999999999}}`)
}

func TestDeletingAParentTakesEverythingBelow(t *testing.T) {
	s := filled(t, nil)
	before := s.must(200, "alice", "GET "+records, "").header.Get("ETag")
	s.must(200, "alice", "DELETE /v1/buckets/b", "")
	s.must(403, "alice", "GET "+records, "")
	if got := ids(s.must(200, "alice", "GET /v1/buckets?_since=0", "")); got != nil {
		t.Errorf("alice holds nothing on the tombstone, yet sees %v", got)
	}
	s.must(201, "alice", "PUT /v1/buckets/b", "")
	if got := s.must(200, "alice", "GET "+collections+"?_since=0", "").list(); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
	s.must(201, "alice", "PUT "+collections+"/c", "")
	r := s.must(200, "alice", "GET "+records+"?_since=0", "")
	if len(r.list()) != 0 || r.header.Get("ETag") == before {
		t.Errorf("left: %s, ETag %s", r.text, r.header.Get("ETag"))
	}
	s.must(404, "alice", "GET "+records+"/r", "")
}

func TestCORS(t *testing.T) {
	s := filled(t, nil)
	for _, line := range []string{"GET /v1/", "GET " + records, "GET /v1/nothing", "PUT /v1/buckets"} {
		if got := s.do("", line, "", "Origin: https://a.example").header.Get("Access-Control-Allow-Origin"); got != "*" {
			t.Errorf("%s: %q", line, got)
		}
		if got := s.do("", line, "").header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s without Origin: %q", line, got)
		}
	}
	r := s.must(200, "", "OPTIONS "+records, "", "Origin: https://a.example", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization, x-mine")
	if r.text != "null" || r.header.Get("Access-Control-Max-Age") != "3600" || !strings.Contains(r.header.Get("Access-Control-Allow-Headers"), "authorization, x-mine") ||
		!strings.Contains(r.header.Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("preflight: %q %v", r.text, r.header)
	}
	for _, headers := range [][]string{nil, {"Origin: https://a.example"}, {"Access-Control-Request-Method: GET"}, {"Origin: https://a.example", "Access-Control-Request-Method: PUT"}} {
		s.must(400, "", "OPTIONS "+records, "", headers...)
	}
	s.must(404, "", "OPTIONS /v1/nothing", "")
	s = start(t, map[string]string{"cors_origins": "https://home.example https://*.lan", "backoff": "7"})
	for origin, want := range map[string]string{"https://home.example": "https://home.example", "https://pi.lan": "https://pi.lan", "https://evil.example": ""} {
		r := s.do("", "GET /v1/", "", "Origin: "+origin)
		if got := r.header.Get("Access-Control-Allow-Origin"); got != want || r.header.Get("Vary") != "Origin" || r.header.Get("Backoff") != "7" {
			t.Errorf("%s: %q, Backoff %q", origin, got, r.header.Get("Backoff"))
		}
	}
}

func TestReadOnly(t *testing.T) {
	s := start(t, map[string]string{"readonly": "true", "bucket_read_principals": "system.Everyone"})
	s.must(405, "alice", "PUT /v1/buckets/b", "{}")
	s.must(405, "", "POST /v1/buckets", "{}")
	s.must(405, "alice", "DELETE /v1/buckets/b", "")
	s.must(200, "", "GET /v1/buckets", "")
	s.must(200, "", "OPTIONS /v1/buckets", "", "Origin: https://a.example", "Access-Control-Request-Method: POST")
	if s.must(200, "", "GET /v1/", "").body["settings"].(map[string]any)["readonly"] != true {
		t.Error("hello does not say so")
	}
}

func TestBodiesAreBounded(t *testing.T) {
	s := filled(t, nil)
	big := `{"data":{"x":"` + strings.Repeat("x", 1<<20) + `"}}`
	r := s.must(413, "alice", "PUT "+records+"/big", big)
	if r.body["errno"] != 113.0 {
		t.Error(r.text)
	}
	req := httptest.NewRequest("PUT", records+"/big", struct{ *strings.Reader }{strings.NewReader(big)})
	req.ContentLength = -1 // chunked
	req.SetBasicAuth("alice", "pass")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	if w.Code != 413 {
		t.Errorf("chunked: %d %s", w.Code, w.Body)
	}
	s.must(201, "alice", "PUT "+records+"/big", `{"data":{"x":"`+strings.Repeat("x", 900<<10)+`"}}`)
	if got := s.must(200, "alice", "GET "+records+"/big", "").data()["x"].(string); len(got) != 900<<10 {
		t.Errorf("%d bytes came back", len(got))
	}
}

// TestAnswersThatPass: a full disk, a store that cannot be reached and a bug each
// have their answer, and none of them tells what it knows.
func TestAnswersThatPass(t *testing.T) {
	for _, c := range []struct {
		err           error
		status, errno int
		retry         string
	}{
		{fmt.Errorf("%w: SECRET", kinto.ErrFull), 507, 201, "3"},
		{fmt.Errorf("%w: SECRET", kinto.ErrUnavailable), 503, 201, "3"},
		{fmt.Errorf("%w: SECRET", kinto.ErrConflict), 409, 122, "3"},
		{errors.New("SECRET"), 500, 999, ""},
		{nil, 500, 999, ""}, // the store panics
	} {
		log := slog.New(slog.DiscardHandler)
		s := config.Default()
		s.Kinto = config.NewKinto(map[string]string{"multiauth.policies": "basicauth", "userid_hmac_secret": "x"})
		db := broken{c.err}
		h := &server{t, New(configured(db, s, t.TempDir(), log))}
		r := h.must(c.status, "alice", "PUT /v1/buckets/b", "{}")
		if r.body["errno"] != float64(c.errno) || r.header.Get("Retry-After") != c.retry || strings.Contains(r.text, "SECRET") {
			t.Errorf("%v: %s, Retry-After %q", c.err, r.text, r.header.Get("Retry-After"))
		}
		if c.status == 507 {
			r = h.must(507, "alice", "PUT /v1/buckets/b", "{}", "Accept-Language: fr-CA,en")
			if !strings.Contains(r.text, "disque") {
				t.Error(r.text)
			}
		}
		if c.err != nil {
			r = h.do("", "GET /v1/__heartbeat__", "")
			if want := `{"attachments":false,"cache":false,"permission":false,"storage":false}`; r.status != 503 || r.text != want {
				t.Errorf("heartbeat: %d %s", r.status, r.text)
			}
		}
	}
}

// broken is a store in which everything fails; without an error it panics.
type broken struct{ err error }

func (b broken) Read(context.Context, func(kinto.Reader) error) error            { return b.fail() }
func (b broken) Write(context.Context, []kinto.List, func(kinto.Tx) error) error { return b.fail() }
func (b broken) Watch(kinto.List) (<-chan struct{}, func())                      { panic("SECRET") }
func (b broken) fail() error {
	if b.err == nil {
		panic("SECRET")
	}
	return b.err
}
