package api

import (
	"maps"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What clients of Kinto know, each thing they were told otherwise once.

// names are the ids in a list.
func names(r reply) []string {
	out := []string{}
	for _, o := range r.list() {
		id, _ := o.(map[string]any)["id"].(string)
		out = append(out, id)
	}
	return out
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// A PUT makes a default bucket that is not there, and says so.
func TestDefaultBucketIsMadeByPut(t *testing.T) {
	t.Attr("shows", "mend3")
	for name, settings := range map[string]map[string]string{
		"as usual":                   nil,
		"buckets are made by others": {"bucket_create_principals": "basicauth:nobody"},
		"writers are not added":      {"explicit_permissions": "false"},
	} {
		t.Run(name, func(t *testing.T) {
			all := map[string]string{"includes": "kinto.plugins.default_bucket"}
			maps.Copy(all, settings)
			s := start(t, all)
			r := s.must(201, "alice", "PUT /v1/buckets/default", `{"data":{"id":"default","n":1}}`)
			if r.data()["n"] != 1.0 || r.data()["id"] == "default" || len(r.body["permissions"].(map[string]any)) != 1 {
				t.Error(r.text)
			}
			s.must(200, "alice", "PUT /v1/buckets/default", `{"data":{"n":2}}`)
			s.must(201, "bob", "PUT /v1/buckets/default", "", "If-None-Match: *")
			s.must(412, "bob", "PUT /v1/buckets/default", "", "If-None-Match: *")
			s.must(201, "bob", "PUT /v1/buckets/default/collections/c/records/r", "")
			s.must(400, "eve", "PUT /v1/buckets/default", `{"data":3}`)
			s.must(401, "", "PUT /v1/buckets/default", "")
			s.must(201, "eve", "PUT /v1/buckets/default", "")
		})
	}
}

// A URL says no port that its scheme has anyway.
func TestURLsSayNoUsualPort(t *testing.T) {
	t.Attr("shows", "mend3")
	s := filled(t, nil)
	s.must(201, "alice", "PUT "+records+"/s", "")
	for host, want := range map[string]string{"name:80": "http://name", "name:8080": "http://name:8080", "name:443": "http://name:443", "[::1]:80": "http://[::1]", "name": "http://name", "name:1080": "http://name:1080"} {
		if got := s.must(200, "", "GET /v1/", "", "Host: "+host).body["url"]; got != want+"/v1/" {
			t.Errorf("%s: %v", host, got)
		}
		if got := s.must(200, "alice", "GET "+records+"?_limit=1", "", "Host: "+host).header.Get("Next-Page"); !strings.HasPrefix(got, want+records) {
			t.Errorf("%s: %s", host, got)
		}
		if got := s.must(307, "", "GET /", "", "Host: "+host).header.Get("Location"); got != want+"/v1/" {
			t.Errorf("%s: %s", host, got)
		}
	}
	tls := start(t, map[string]string{"http_scheme": "https", "http_host": "storage.example:443"})
	if got := tls.must(200, "", "GET /v1/", "").body["url"]; got != "https://storage.example/v1/" {
		t.Error(got)
	}
}

// A missing parent is named by details, and by no sentence; a path that nobody knows is
// the other way round.
func TestMissingParentIsNamed(t *testing.T) {
	t.Attr("shows", "mend3")
	s := filled(t, nil)
	for _, line := range []string{"PUT /v1/buckets/b/collections/no/records/r", "GET /v1/buckets/b/collections/no/records", "POST /v1/buckets/b/collections/no/records", "GET /v1/buckets/b/collections/no/records/r"} {
		same(t, line, s.must(404, "alice", line, "").body, map[string]any{
			"code": 404.0, "errno": 111.0, "error": "Not Found", "details": map[string]any{"id": "no", "resource_name": "collection"},
		})
	}
	same(t, "object", s.must(404, "alice", "GET "+records+"/no", "").body, map[string]any{
		"code": 404.0, "errno": 110.0, "error": "Not Found", "details": map[string]any{"id": "no", "resource_name": "record"},
	})
	same(t, "path", s.must(404, "alice", "GET /v1/nowhere", "").body, map[string]any{
		"code": 404.0, "errno": 111.0, "error": "Not Found", "message": "The resource you are looking for could not be found.",
	})
}

// Headers that are not taken are parameters that are invalid, and details name them.
func TestHeadersAreNamedInDetails(t *testing.T) {
	t.Attr("shows", "mend3")
	s := filled(t, map[string]string{"experimental_permissions_endpoint": "true"})
	for _, c := range []struct {
		status             int
		line, body, header string
		name, message      string
	}{
		{406, "GET " + records, "", "Accept: text/html", "Accept", "Accept header should be one of ['application/json']"},
		{406, "GET " + records + "/r", "", "Accept: application/json;q=0", "Accept", "Accept header should be one of ['application/json']"},
		{406, "GET /v1/permissions", "", "Accept: text/html", "Accept", "Accept header should be one of ['application/json']"},
		{415, "PUT " + records + "/r", "{}", "Content-Type: text/plain", "Content-Type", "Content-Type header should be one of ['application/json']"},
		{415, "POST /v1/batch", "{}", "Content-Type: text/plain", "Content-Type", "Content-Type header should be one of ['application/json']"},
		{415, "PATCH " + records + "/r", "{}", "Content-Type: text/plain", "Content-Type", "Content-Type header should be one of ['application/json', 'application/merge-patch+json', 'application/json-patch+json']"},
		{415, "POST " + records, "{}", "Content-Type: ", "Content-Type", "Content-Type header is missing"},
		{415, "PUT " + records + "/r", "{}", "Content-Encoding: gzip", "Content-Encoding", "Content-Encoding is not supported; send the body as it is."},
	} {
		same(t, c.line+" "+c.header, s.must(c.status, "alice", c.line, c.body, c.header).body, map[string]any{
			"code": float64(c.status), "errno": 107.0, "error": "Invalid parameters", "message": c.message,
			"details": []any{map[string]any{"location": "header", "name": c.name, "description": c.message}},
		})
	}
}

// What must not be kept says so to caches of HTTP/1.0, too.
func TestPragmaOfWhatIsNotKept(t *testing.T) {
	t.Attr("shows", "mend3")
	s := start(t, map[string]string{"version_prefix_redirect_ttl_seconds": "0"})
	s.must(201, "alice", "PUT /v1/buckets/b", `{"permissions":{"read":["system.Everyone"]}}`)
	s.must(201, "alice", "PUT "+collections+"/c", `{"data":{"cache_expires":0}}`)
	s.must(201, "alice", "PUT "+collections+"/d", `{"data":{"cache_expires":60}}`)
	for _, line := range []string{"GET " + records, "GET /"} {
		h := s.do("", line, "").header
		if h.Get("Pragma") != "no-cache" || h.Get("Cache-Control") != "max-age=0, must-revalidate, no-cache, no-store" || h.Get("Expires") == "" {
			t.Errorf("%s: %v", line, h)
		}
	}
	for _, line := range []string{"GET " + collections, "GET " + collections + "/d/records", "GET /v1/"} {
		if h := s.do("", line, "").header; h.Get("Pragma") != "" {
			t.Errorf("%s: %v", line, h)
		}
	}
}

// A client says by qualities what it would rather have.
func TestTextOrJSON(t *testing.T) {
	t.Attr("shows", "mend3")
	s := filled(t, nil)
	const text, json = "text/plain; charset=utf-8", "application/json"
	for accept, want := range map[string]string{
		"text/plain": text, "text/*": text, "text/plain, */*;q=0.1": text, "application/json;q=0.5, text/plain": text,
		"text/html": json, "*/*": json, "text/plain, application/json": json, "text/plain;q=0.5, application/*": json, "text/plain;q=0": json, "text/plain;q=0, */*": json,
	} {
		r := s.do("", "GET /v1/", "", "Accept: "+accept)
		if got := r.header.Get("Content-Type"); r.status != 200 || got != want || !strings.Contains(r.text, `"http_api_version"`) {
			t.Errorf("%s: %d %s", accept, r.status, got)
		}
	}
	for accept, status := range map[string]int{"application/json;q=0, */*": 406, "*/*;q=0": 406, "text/html, application/*;q=0.1": 200} {
		s.must(status, "alice", "GET "+records, "", "Accept: "+accept)
	}
}

// contribute.json says where to take part, and to report what is wrong.
func TestContribute(t *testing.T) {
	t.Attr("shows", "mend3")
	s := start(t, nil)
	r := s.must(200, "", "GET /v1/contribute.json", "")
	for _, name := range []string{"name", "description", "repository", "participate", "bugs", "keywords"} {
		if r.body[name] == nil {
			t.Errorf("no %s", name)
		}
	}
	for name, keys := range map[string][]string{"repository": {"url", "license"}, "participate": {"home", "docs"}, "bugs": {"list", "report"}} {
		for _, key := range keys {
			one, _ := r.body[name].(map[string]any)
			if text, _ := one[key].(string); text == "" {
				t.Errorf("no %s of %s", key, name)
			}
		}
	}
}

// What has no id comes after what has one.
func TestRootComesLastById(t *testing.T) {
	t.Attr("shows", "mend3")
	s := filled(t, map[string]string{"experimental_permissions_endpoint": "true"})
	same(t, "rising", names(s.must(200, "alice", "GET /v1/permissions?_sort=id", "")), []string{"b", "c", "r", ""})
	same(t, "falling", names(s.must(200, "alice", "GET /v1/permissions?_sort=-id", "")), []string{"", "r", "c", "b"})
	at, _ := url.Parse(s.must(200, "alice", "GET /v1/permissions?_sort=id&_limit=3", "").header.Get("Next-Page"))
	same(t, "the second page", names(s.must(200, "alice", "GET "+at.RequestURI(), "")), []string{""})
	same(t, "since nobody knows when", names(s.must(200, "alice", "GET /v1/permissions?_since=null&_sort=id", "")), []string{"b", "c", "r", ""})
	same(t, "those with one", names(s.must(200, "alice", "GET /v1/permissions?has_id=true&_sort=id", "")), []string{"b", "c", "r"})
}

// An operation that lacks something fails, after whatever is said of an object that is not
// there.
func TestJSONPatchThatLacksSomething(t *testing.T) {
	t.Attr("shows", "mend3")
	s := filled(t, nil)
	for ops, member := range map[string]string{
		`[{"op":"add","path":"/data/x"}]`: "value", `[{"op":"replace","path":"/data/n"}]`: "value", `[{"op":"test","path":"/data/n"}]`: "value",
		`[{"op":"add","path":"/permissions/read"}]`: "value", `[{"op":"move","path":"/data/x"}]`: "from", `[{"op":"copy","path":"/data/x"}]`: "from",
	} {
		description := "JSON Patch operation failed: The operation does not contain a '" + member + "' member"
		same(t, ops, s.must(400, "alice", "PATCH "+records+"/r", ops, "Content-Type: application/json-patch+json").body, map[string]any{
			"code": 400.0, "errno": 107.0, "error": "Invalid parameters", "message": "body: " + description,
			"details": []any{map[string]any{"location": "body", "name": nil, "description": description}},
		})
		s.must(404, "alice", "PATCH "+records+"/no", ops, "Content-Type: application/json-patch+json")
	}
	s.must(200, "alice", "PATCH "+records+"/r", `[{"op":"add","path":"/permissions/read/bob"}]`, "Content-Type: application/json-patch+json")
}

// What is wrong with a form is a bad request; what is wrong with a file is invalid, and
// details say what.
func TestAttachmentErrorsAsTheReferenceWritesThem(t *testing.T) {
	t.Attr("shows", "mend3")
	s := filled(t, map[string]string{"includes": "kinto_attachment", "attachment.extensions": "txt", "attachment.max_size_bytes": "10"})
	file := part{"attachment", "a.txt", "text/plain", "x"}
	invalid := func(description string) map[string]any {
		return map[string]any{
			"code": 400.0, "errno": 107.0, "error": "Invalid parameters", "message": "body: " + description,
			"details": []any{map[string]any{"location": "body", "name": nil, "description": description}},
		}
	}
	bad := func(errno float64, message string) map[string]any {
		return map[string]any{"code": 400.0, "errno": errno, "error": "Bad Request", "message": message}
	}
	same(t, "no form", s.must(400, "alice", "POST "+attachmentPath, "{}").body, bad(107, "Content-Type should be multipart/form-data"))
	for _, c := range []struct {
		parts []part
		want  map[string]any
	}{
		{nil, bad(109, "Attachment missing.")},
		{[]part{{name: "data", text: "{}"}}, bad(109, "Attachment missing.")},
		{[]part{{name: "attachment", text: "x"}}, bad(109, "Filename is required.")},
		{[]part{file, {name: "foo", text: "x"}}, bad(109, "body: 'foo' not in ('data', 'permissions')")},
		{[]part{file, {name: "data", text: "{"}}, bad(109, "body: data is not valid JSON.")},
		{[]part{{"attachment", "a.exe", "text/plain", "x"}}, invalid("File extension is not allowed.")},
		{[]part{{"attachment", "a.txt", "text/plain", "longer than ten"}}, invalid("The file is larger than the limit of 10 bytes.")},
	} {
		r := s.form("alice", "POST "+attachmentPath, c.parts)
		same(t, r.text, r.body, c.want)
	}
}

// Taking an attachment away changes the record, whose new version the answer says.
func TestAttachmentsGoWithAnETag(t *testing.T) {
	t.Attr("shows", "mend3")
	s := filled(t, map[string]string{"includes": "kinto_attachment"})
	s.form("alice", "POST "+attachmentPath, []part{{"attachment", "a.txt", "text/plain", "x"}})
	r := s.must(204, "alice", "DELETE "+attachmentPath, "")
	now := s.must(200, "alice", "GET "+records+"/r", "").header
	if r.header.Get("ETag") == "" || r.header.Get("ETag") != now.Get("ETag") || r.header.Get("Last-Modified") != now.Get("Last-Modified") || r.header.Get("Content-Type") != "" {
		t.Errorf("%v, then %v", r.header, now)
	}
	s.must(412, "alice", "DELETE "+attachmentPath, "", `If-Match: "1"`)
	s.must(204, "alice", "DELETE "+attachmentPath, "", "If-Match: "+r.header.Get("ETag"))
}

// A sign-in asks the provider for the audience that tokens must have.
func TestOpenIDLoginAsksForTheAudience(t *testing.T) {
	t.Attr("shows", "mend3")
	p := newIdentity(t)
	for audience, want := range map[string]string{"https://foyer/?a&b": "https://foyer/?a&b", "*": "", "": ""} {
		s := start(t, p.settings(map[string]string{"multiauth.policy.google.audience": audience}))
		to, err := url.Parse(s.must(307, "", "GET /v1/openid/google/login?scope=openid+email&callback=https%3A%2F%2Fapp.example%2F", "").header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		q := to.Query()
		if q.Get("audience") != want || q.Has("audience") != (want != "") || q.Get("scope") != "openid email" {
			t.Errorf("%q: %v", audience, q)
		}
	}
}

// The description of the API says where people sign in.
func TestOpenIDIsDescribed(t *testing.T) {
	t.Attr("shows", "mend3")
	p := newIdentity(t)
	s := start(t, p.settings(map[string]string{
		"multiauth.policies":                             "google github account",
		"multiauth.policy.github.authorization_endpoint": p.url + "/auth?tenant=t", "multiauth.policy.github.token_endpoint": p.url + "/token", "multiauth.policy.github.userinfo_endpoint": p.url + "/me",
	}))
	all := s.must(200, "", "GET /v1/__api__", "").body["securityDefinitions"].(map[string]any)
	for name, want := range map[string]string{"google": p.url + "/auth", "github": p.url + "/auth?tenant=t"} {
		one, _ := all[name].(map[string]any)
		scopes, _ := one["scopes"].(map[string]any)
		if one["type"] != "oauth2" || one["flow"] != "implicit" || one["authorizationUrl"] != want || scopes["openid"] == nil || scopes["email"] == nil {
			t.Errorf("%s: %v", name, one)
		}
	}
	if one, _ := all["account"].(map[string]any); one["type"] != "basic" {
		t.Errorf("account: %v", one)
	}
}

// A snapshot is of a time: without one there is no such path.
func TestSnapshotsAreOfATime(t *testing.T) {
	t.Attr("shows", "mend3")
	s := filled(t, map[string]string{"includes": "kinto.plugins.history"})
	if r := s.must(404, "alice", "GET /v1/buckets/b/snapshot/collections/c", ""); r.body["errno"] != 111.0 {
		t.Error(r.text)
	}
	s.must(200, "alice", "GET /v1/buckets/b/snapshot/collections/c@1", "")
	s.must(400, "alice", "GET /v1/buckets/b/snapshot/collections/c@", "")
}
