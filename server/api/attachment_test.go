package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/server/kinto"
)

// part is one part of a form; a file has a filename.
type part struct{ name, filename, kind, text string }

// form sends a multipart form.
func (s *server) form(user, line string, parts []part, headers ...string) reply {
	s.t.Helper()
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	for _, p := range parts {
		h := textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name=%q`, p.name)}}
		if p.filename != "" {
			h.Set("Content-Disposition", fmt.Sprintf(`form-data; name=%q; filename=%q`, p.name, p.filename))
		}
		if p.kind != "" {
			h.Set("Content-Type", p.kind)
		}
		w, err := m.CreatePart(h)
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := w.Write([]byte(p.text)); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		s.t.Fatal(err)
	}
	return s.do(user, line, body.String(), append([]string{"Content-Type: " + m.FormDataContentType()}, headers...)...)
}

// get fetches an absolute URL of this server as nobody.
func (s *server) get(location string, headers ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequest("GET", location, nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

const attachmentPath = "/v1/buckets/b/collections/c/records/r/attachment"

func TestAttachment(t *testing.T) {
	s := filled(t, nil)
	file := part{"attachment", "note.txt", "text/plain", "hello"}
	// A record that is there is patched, one that is not is created.
	r := s.form("alice", "POST "+attachmentPath, []part{{name: "data", text: `{"family":"yes"}`}, file, {name: "permissions", text: `{"read":["system.Everyone"]}`}})
	if r.status != 200 || r.body["filename"] != "note.txt" || r.body["size"] != 5.0 || r.body["mimetype"] != "text/plain" ||
		r.body["hash"] != "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" {
		t.Fatalf("%d %s", r.status, r.text)
	}
	if got := r.header.Get("Location"); got != "http://example.com/v1/buckets/b/collections/c/records/r" {
		t.Errorf("Location %q", got)
	}
	location := r.body["location"].(string)
	if !strings.HasPrefix(location, "http://example.com/v1/attachments/") || !strings.HasSuffix(location, ".txt") {
		t.Errorf("location %q", location)
	}
	record := s.must(200, "", "GET /v1/buckets/b/collections/c/records/r", "")
	if d := record.data(); d["n"] != 1.0 || d["family"] != "yes" || fmt.Sprint(d["attachment"]) != fmt.Sprint(r.body) {
		t.Errorf("record %v", d)
	}
	if r.header.Get("ETag") != record.header.Get("ETag") {
		t.Error("ETag is not the record's")
	}
	created := s.form("alice", "POST /v1/buckets/b/collections/c/records/new/attachment", []part{file})
	if created.status != 201 || s.must(200, "alice", "GET /v1/buckets/b/collections/c/records/new", "").data()["attachment"] == nil {
		t.Errorf("created: %d %s", created.status, created.text)
	}
	if created.body["location"] == r.body["location"] {
		t.Error("two records share an address")
	}

	// The contents: whole, in ranges, not again, checked.
	got := s.get(location)
	if got.Code != 200 || got.Body.String() != "hello" || got.Header().Get("Content-Type") != "text/plain" || got.Header().Get("X-Content-Type-Options") != "nosniff" ||
		!strings.Contains(got.Header().Get("Content-Security-Policy"), "sandbox") || !strings.Contains(got.Header().Get("Content-Disposition"), "note.txt") {
		t.Errorf("%d %s %v", got.Code, got.Body, got.Header())
	}
	etag := got.Header().Get("ETag")
	if got := s.get(location, "Range: bytes=1-3"); got.Code != 206 || got.Body.String() != "ell" {
		t.Errorf("range: %d %s", got.Code, got.Body)
	}
	if got := s.get(location, "Range: bytes=9-"); got.Code != 416 {
		t.Errorf("range beyond: %d", got.Code)
	}
	if got := s.get(location, "If-None-Match: "+etag); got.Code != 304 {
		t.Errorf("the same again: %d", got.Code)
	}
	if got := s.get(location, "If-Range: \"other\"", "Range: bytes=1-3"); got.Code != 200 {
		t.Errorf("If-Range: %d", got.Code)
	}
	if got := s.get(location, "Want-Repr-Digest: sha-256=1"); got.Header().Get("Repr-Digest") != "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:" {
		t.Errorf("digest: %v", got.Header())
	}
	for _, path := range []string{"/v1/attachments/", "/v1/attachments/x.txt", "/v1/attachments/../data.db", "/v1/attachments/" + strings.Repeat("x", 3000)} {
		if got := s.get("http://example.com" + path); got.Code != 404 {
			t.Errorf("%.40s: %d", path, got.Code)
		}
	}

	// What tells of it is the server's to change, but for taking it away.
	for _, line := range []string{"PUT", "PATCH"} {
		r := s.must(400, "alice", line+" /v1/buckets/b/collections/c/records/r", `{"data":{"attachment":{"filename":"x"}}}`)
		if r.body["errno"] != 999.0 || r.body["message"] != "Attachment metadata cannot be modified." {
			t.Error(r.text)
		}
	}
	s.must(200, "alice", "PATCH /v1/buckets/b/collections/c/records/r", `{"data":{"more":1}}`)
	if s.get(location).Code != 200 {
		t.Error("gone by a patch")
	}

	// A new one takes the place of the old.
	second := s.form("alice", "POST "+attachmentPath, []part{{"attachment", "b.json", "application/json", "{}"}})
	if second.status != 200 || s.get(location).Code != 404 || s.get(second.body["location"].(string)).Body.String() != "{}" {
		t.Errorf("replaced: %d %s", second.status, second.text)
	}
	location = second.body["location"].(string)

	// Taken away.
	if r := s.do("alice", "DELETE "+attachmentPath, ""); r.status != 204 || r.text != "" {
		t.Errorf("%d %s", r.status, r.text)
	}
	if d := s.must(200, "alice", "GET /v1/buckets/b/collections/c/records/r", "").data(); d["attachment"] != nil || s.get(location).Code != 404 {
		t.Errorf("still there: %v", d)
	}
}

func TestAttachmentGoesWithItsRecord(t *testing.T) {
	for _, line := range []string{
		"DELETE /v1/buckets/b/collections/c/records/r", "DELETE /v1/buckets/b/collections/c/records", "DELETE /v1/buckets/b/collections/c", "DELETE /v1/buckets/b", "DELETE /v1/buckets",
	} {
		s := filled(t, nil)
		r := s.form("alice", "POST "+attachmentPath, []part{{"attachment", "a.txt", "", "hello"}})
		if s.get(r.body["location"].(string)).Code != 200 {
			t.Fatal("not there")
		}
		s.must(200, "alice", line, "")
		if s.get(r.body["location"].(string)).Code != 404 {
			t.Errorf("%s: still there", line)
		}
	}
	s := filled(t, nil)
	r := s.form("alice", "POST "+attachmentPath, []part{{"attachment", "a.txt", "", "hello"}})
	s.must(200, "alice", "PUT /v1/buckets/b/collections/c/records/r", `{"data":{}}`)
	if s.get(r.body["location"].(string)).Code != 404 {
		t.Error("replaced by a record without: still there")
	}
}

func TestAttachmentRefusals(t *testing.T) {
	s := filled(t, map[string]string{"attachment.max_size_bytes": "10", "attachment.resources.b.special.extensions": "exe+audio"})
	s.must(201, "alice", "PUT /v1/buckets/b/collections/special", "")
	file := part{"attachment", "a.txt", "text/plain", "hello"}
	for _, c := range []struct {
		name, user, path string
		parts            []part
		status           int
		errno            float64
		message          string
	}{
		{"nobody", "", attachmentPath, []part{file}, 401, 104, ""},
		{"a stranger", "bob", attachmentPath, []part{file}, 403, 121, ""},
		{"no collection", "alice", "/v1/buckets/b/collections/none/records/r/attachment", []part{file}, 404, 111, ""},
		{"no file", "alice", attachmentPath, []part{{name: "data", text: "{}"}}, 400, 109, "Attachment missing."},
		{"a text", "alice", attachmentPath, []part{{name: "attachment", text: "hello"}}, 400, 109, "Filename is required."},
		{"another field", "alice", attachmentPath, []part{file, {name: "foo", text: "x"}}, 400, 109, "body: 'foo' not in ('data', 'permissions')"},
		{"bad data", "alice", attachmentPath, []part{file, {name: "data", text: "{"}}, 400, 109, ""},
		{"data of the wrong kind", "alice", attachmentPath, []part{file, {name: "data", text: "[]"}}, 400, 107, ""},
		{"an extension", "alice", attachmentPath, []part{{"attachment", "a.exe", "", "x"}}, 400, 107, "body: File extension is not allowed."},
		{"no extension", "alice", attachmentPath, []part{{"attachment", "a", "", "x"}}, 400, 107, "body: File extension is not allowed."},
		{"too large", "alice", attachmentPath, []part{{"attachment", "a.txt", "", "01234567890"}}, 400, 107, "body: The file is larger than the limit of 10 bytes."},
		{"allowed there", "alice", "/v1/buckets/b/collections/special/records/r/attachment", []part{{"attachment", "a.EXE", "", "x"}}, 201, 0, ""},
		{"not allowed there", "alice", "/v1/buckets/b/collections/special/records/r/attachment", []part{file}, 400, 107, ""},
	} {
		r := s.form(c.user, "POST "+c.path, c.parts)
		if r.status != c.status || c.errno != 0 && r.body["errno"] != c.errno || c.message != "" && r.body["message"] != c.message {
			t.Errorf("%s: %d %s", c.name, r.status, r.text)
		}
	}
	if r := s.do("alice", "POST "+attachmentPath, "{}"); r.status != 400 || r.body["message"] != "Content-Type should be multipart/form-data" {
		t.Errorf("no form: %d %s", r.status, r.text)
	}
	if r := s.form("alice", "POST "+attachmentPath, []part{file}, `If-Match: "1"`); r.status != 412 {
		t.Errorf("If-Match: %d", r.status)
	}
	s.must(405, "alice", "PUT "+attachmentPath, "{}")
	if s.must(200, "alice", "GET /v1/buckets/b/collections/c/records/r", "").data()["attachment"] != nil {
		t.Error("something was attached")
	}
	off := filled(t, map[string]string{"includes": ""})
	off.must(404, "alice", "POST "+attachmentPath, "{}")
}

func TestAttachmentInTheDefaultBucket(t *testing.T) {
	s := start(t, nil)
	r := s.form("alice", "POST /v1/buckets/default/collections/c/records/r/attachment", []part{{"attachment", "../../x/photo.JPG", "image/jpeg", "…"}})
	if r.status != 201 || r.body["filename"] != "photo.JPG" {
		t.Fatalf("%d %s", r.status, r.text)
	}
	if strings.Contains(r.header.Get("Location"), "default") {
		t.Error(r.header.Get("Location"))
	}
}

func TestDamagedAttachmentIsNotServed(t *testing.T) {
	s := filled(t, nil)
	r := s.form("alice", "POST "+attachmentPath, []part{{"attachment", "a.txt", "", "hello"}})
	files := s.Handler.(*api).Files
	file, err := files.Open(r.body["hash"].(string))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	damage(t, file.Name())
	if got := s.get(r.body["location"].(string), "Want-Repr-Digest: sha-256=1"); got.Code != 500 || strings.Contains(got.Body.String(), "jello") {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}

// FuzzForm: whatever a form holds, the answer is one of the protocol, and what was
// attached comes back as it was.
func FuzzForm(f *testing.F) {
	f.Add("--x\r\nContent-Disposition: form-data; name=\"attachment\"; filename=\"a.txt\"\r\n\r\nhello\r\n--x--\r\n", "multipart/form-data; boundary=x")
	f.Add("--x\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n{\"a\":[1,{\"b\":null}]}\r\n--x\r\nContent-Disposition: form-data; name=\"attachment\"; filename=\"é\\\".md\"\r\nContent-Type: text/x; a=\"b\"\r\n\r\n\r\n--x--", "multipart/form-data; boundary=x")
	f.Add("--x\r\nContent-Disposition: form-data; name=\"permissions\"\r\n\r\n{\"read\":[1]}\r\n--x--\r\n", "multipart/form-data; boundary=\"x\"")
	f.Add("", "multipart/form-data")
	h := newServer(f, map[string]string{"attachment.extensions": "any", "attachment.max_size_bytes": "100000"})
	for _, line := range []string{"/v1/buckets/b", "/v1/buckets/b/collections/c"} {
		r := httptest.NewRequest("PUT", line, nil)
		r.SetBasicAuth("alice", "pass")
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	f.Fuzz(func(t *testing.T, body, kind string) {
		s := &server{t, h}
		r := s.do("alice", "POST "+attachmentPath, body+" ", "Content-Type: "+strings.Map(func(c rune) rune {
			if c < ' ' {
				return -1
			}
			return c
		}, kind))
		switch r.status {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		case http.StatusOK, http.StatusCreated:
			got := s.get(r.body["location"].(string))
			sum := sha256.Sum256(got.Body.Bytes())
			if got.Code != 200 || hex.EncodeToString(sum[:]) != r.body["hash"] {
				t.Errorf("%d, and another hash than %v", got.Code, r.body)
			}
		default:
			t.Errorf("%d %s", r.status, r.text)
		}
	})
}

// What tells of an attachment has one name, however it is spelt: it cannot be forged, nor
// the file lost.
func TestAttachmentIsNotForgedByItsSpelling(t *testing.T) {
	t.Attr("shows", "mend")
	s := filled(t, nil)
	r := s.form("alice", "POST "+attachmentPath, []part{{"attachment", "note.txt", "text/plain", "hello"}})
	location := r.body["location"].(string)
	const record = "/v1/buckets/b/collections/c/records/r"
	for _, key := range []string{`att\u0061chment`, `\u0061\u0074\u0074\u0061\u0063\u0068\u006d\u0065\u006e\u0074`, `attachmen\u0074`} {
		forged := `{"data":{"` + key + `":{"filename":"x","location":"https://evil.example/x"}}}`
		for _, method := range []string{"PUT", "PATCH"} {
			s.must(400, "alice", method+" "+record, forged)
			s.must(400, "alice", method+" "+record, forged, "Idempotency-Key: "+method+key)
		}
		s.must(400, "alice", "PATCH "+record, forged, "Content-Type: application/merge-patch+json")
		s.must(400, "alice", "PATCH "+record, `[{"op":"add","path":"/data/`+key+`","value":{"filename":"x"}}]`, "Content-Type: application/json-patch+json")
		if r := s.form("alice", "POST "+attachmentPath, []part{{name: "data", text: `{"` + key + `":{"filename":"x"}}`}, {"attachment", "note.txt", "text/plain", "hello"}}); r.status != 200 {
			t.Errorf("%d %s", r.status, r.text)
		} else {
			location = r.body["location"].(string)
		}
		if d, _ := s.must(200, "alice", "GET "+record, "").data()["attachment"].(map[string]any); d["filename"] != "note.txt" || s.get(location).Code != 200 {
			t.Errorf("by %s: %v", key, d)
		}
	}
	text := s.must(200, "alice", "PATCH "+record, `{"data":{"caf\u00e9":1,"a\u0026b":2,"q\"\\\u000a":3}}`).text
	if !strings.Contains(text, `"café":1,"a&b":2,"q\"\\\n":3`) {
		t.Errorf("names of attributes: %s", text)
	}
}

// Nothing that a stranger uploaded is opened as a page, a profile or a certificate.
func TestAttachmentsAreShownOnlyWhereThatIsSafe(t *testing.T) {
	t.Attr("shows", "mend")
	s := filled(t, map[string]string{"attachment.extensions": "any"})
	n := 0
	for _, ext := range []string{"txt", "html", "png", "bin"} {
		for said, want := range map[string]string{
			"image/png": "inline", "IMAGE/JPEG": "inline", "text/plain; charset=utf-8": "inline", "video/mp4": "inline", "audio/mpeg": "inline",
			"image/svg+xml": "attachment", "application/pdf": "attachment", "application/json": "attachment", "text/csv": "attachment",
			"text/html": "", "TEXT/HTML; charset=utf-7": "", "application/xhtml+xml": "", "text/javascript": "", "application/x-apple-aspen-config": "", "application/x-x509-ca-cert": "",
			"application/x-x509-user-cert": "", "application/pkix-cert": "", "application/x-pkcs12": "", "application/x-pkcs7-certificates": "", "application/vnd.android.package-archive": "",
			"application/x-shockwave-flash": "", "application/hta": "", "message/rfc822": "", "multipart/related": "", "model/vrml": "", "nonsense": "",
		} {
			r := s.form("alice", "POST "+attachmentPath, []part{{"attachment", "a." + ext, said, "<script>alert(1)</script>"}})
			got := s.get(r.body["location"].(string)).Header()
			kind, how := strings.ToLower(got.Get("Content-Type")), got.Get("Content-Disposition")
			if want == "" && said == "nonsense" && strings.HasPrefix(how, "inline") && (ext == "txt" || ext == "png") {
				want = "inline" // what the extension is known for
			}
			ok := strings.HasPrefix(how, want+";")
			if want == "" {
				ok = strings.HasPrefix(how, "attachment;") && kind == "application/octet-stream"
			}
			if n++; !ok || got.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("a.%s as %s: %s, %s", ext, said, kind, how)
			}
		}
	}
	t.Logf("SHOW types of attachments: %d combinations, none opened as a page, a profile or a certificate", n)
}

// A record keeps no name of the server: what tells of an attachment leads to the server
// as it is called now, by every door, and goes back as it was shown.
func TestAttachmentAddressesFollowTheServersName(t *testing.T) {
	t.Attr("shows", "mend")
	s := filled(t, map[string]string{"includes": "kinto_attachment kinto.plugins.history kinto.plugins.default_bucket", "attachment.folder": "a folder/{collection_id}"})
	r := s.form("alice", "POST "+attachmentPath, []part{{"attachment", "note.txt", "text/plain", "hello"}}, "Idempotency-Key: attach")
	old := r.body["location"].(string)
	const record = "/v1/buckets/b/collections/c/records/r"
	s.must(200, "alice", "PATCH "+record, `{"data":{"n":2}}`, "Idempotency-Key: k")
	n := 0
	for _, host := range []string{"example.com", "new.example", "new.example:8443"} {
		for _, c := range []struct {
			line, body string
			headers    []string
		}{
			{"GET " + record, "", nil},
			{"GET " + record + "?_fields=attachment", "", nil},
			{"GET " + record + "?_fields=attachment.location", "", nil},
			{"GET /v1/buckets/b/collections/c/records", "", nil},
			{"GET /v1/buckets/b/history", "", nil},
			{"PATCH " + record, `{"data":{"m":"` + host + `"}}`, nil},
			{"PATCH " + record, `{"data":{"n":2}}`, []string{"Idempotency-Key: k"}},
			{"PUT " + record, `{"data":{}}`, []string{"If-None-Match: *"}},
			{"POST /v1/batch", `{"requests":[{"path":"` + record + `"}]}`, nil},
			{"POST /v1/batch", `{"requests":[{"path":"` + record + `","method":"PATCH","body":{"data":{"k":1}}}]}`, nil},
		} {
			r := s.do("alice", c.line, c.body, append(c.headers, "Host: "+host)...)
			n++
			if !strings.Contains(r.text, `"location":"http://`+host+`/v1/attachments/`) || strings.Contains(r.text, kinto.FileScheme) || strings.Count(r.text, `"location":"http://`) != strings.Count(r.text, `"location":"http://`+host+"/") {
				t.Errorf("%s: %s: %d %s", host, c.line, r.status, r.text)
			}
		}
		d := s.must(200, "alice", "GET "+record, "", "Host: "+host).data()
		shown := d["attachment"].(map[string]any)["location"].(string)
		if s.get(shown).Code != 200 || s.get(old).Code != 200 {
			t.Errorf("%s, or %s, leads nowhere", shown, old)
		}
		// A client that sends back what it read changes nothing, also when it read it by another name.
		for _, send := range []string{shown, old} {
			d["attachment"].(map[string]any)["location"] = send
			text, err := json.Marshal(map[string]any{"data": d})
			if err != nil {
				t.Fatal(err)
			}
			s.must(200, "alice", "PUT "+record, string(text), "Host: "+host)
			s.must(200, "alice", "PATCH "+record, string(text), "Host: "+host)
			if got := s.must(200, "alice", "GET "+record, "", "Host: "+host).data()["attachment"].(map[string]any)["location"]; got != shown {
				t.Errorf("sent back as %s, then %s", send, got)
			}
		}
		d["attachment"].(map[string]any)["location"] = shown + "x"
		text, err := json.Marshal(map[string]any{"data": d})
		if err != nil {
			t.Fatal(err)
		}
		s.must(400, "alice", "PUT "+record, string(text), "Host: "+host)
	}
	t.Logf("SHOW addresses of attachments after a change of name: right in %d answers", n)
}

// Ranges are read as RFC 9110 §14 has them.
func TestRanges(t *testing.T) {
	t.Attr("shows", "mend2")
	s := filled(t, nil)
	attach := func(text string) string {
		return s.form("alice", "POST "+attachmentPath, []part{{"attachment", "a.txt", "text/plain", text}}).body["location"].(string)
	}
	location := attach("hello")
	huge := strings.Repeat("9", 40)
	for header, want := range map[string]string{
		"bytes=0-0": "206 h", "bytes=1-": "206 ello", "bytes=-2": "206 lo", "bytes=-99": "206 hello", "bytes=0-" + huge: "206 hello", "bytes=-" + huge: "206 hello", "BYTES=1-2": "206 el", "bytes= 1-2": "206 el",
		"bytes=-0": "416", "bytes=5-": "416", "bytes=" + huge + "-": "416", "bytes=5-9,-0": "416", "bytes=-0,0-0": "206 h",
		"lines=0-1": "200 hello", "bytes": "200 hello", "bytes=": "200 hello", "bytes= , ,": "200 hello", "bytes=,0-0,": "206 h", "bytes=a-b": "200 hello", "bytes=3-1": "200 hello", "bytes=-": "200 hello", "bytes=--1": "200 hello", "bytes=1": "200 hello", "bytes=" + huge + "-1": "200 hello",
	} {
		got := s.get(location, "Range: "+header)
		text := fmt.Sprint(got.Code)
		if got.Code < 300 {
			text += " " + got.Body.String()
		}
		if text != want || got.Code == 416 && (got.Header().Get("Content-Range") != "bytes */5" || !strings.Contains(got.Body.String(), `"errno":107`)) {
			t.Errorf("%.40s: %s, %v", header, text, got.Header())
		}
	}
	etag := s.get(location).Header().Get("ETag")
	if got := s.get(location, "Range: bytes=-0", "If-None-Match: "+etag); got.Code != 304 {
		t.Errorf("what one has: %d", got.Code)
	}
	if got := s.get(location, "Range: bytes=-0", `If-Range: "another"`); got.Code != 200 || got.Body.String() != "hello" {
		t.Errorf("of another version: %d %s", got.Code, got.Body)
	}
	empty := attach("")
	for _, header := range []string{"bytes=0-", "bytes=-1", "bytes=0-0", "bytes=-0"} {
		if got := s.get(empty, "Range: "+header); got.Code != 200 || got.Body.Len() != 0 {
			t.Errorf("%s of nothing: %d", header, got.Code)
		}
	}
}
