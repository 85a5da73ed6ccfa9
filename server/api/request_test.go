package api

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/server/kinto"
)

func TestTags(t *testing.T) {
	for text, want := range map[string]kinto.Tag{
		`"0"`: {Set: true}, `"123"`: {Set: true, Timestamp: 123}, `*`: {Set: true, Any: true}, ` "7" `: {Set: true, Timestamp: 7},
	} {
		if got, err := tag("If-Match", []string{text}); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", `123`, `""`, `"`, `"-1"`, `"+1"`, `"1.5"`, `"1e3"`, `W/"1"`, `"1", "2"`, `"abc"`, `**`, `"*"`, `"99999999999999999999"`, `"١"`} {
		if got, err := tag("If-Match", []string{bad}); err == nil {
			t.Errorf("%s was taken: %v", bad, got)
		}
	}
	if _, err := tag("If-Match", []string{`"1"`, `"2"`}); err == nil {
		t.Error("two headers were taken")
	}
	if got, err := tag("If-Match", nil); got.Set || err != nil {
		t.Errorf("none: %v, %v", got, err)
	}
}

// FuzzTag: what is taken is exactly digits between double quotes, or a star.
func FuzzTag(f *testing.F) {
	f.Add(`"12"`)
	f.Add(`*`)
	f.Add(`W/"1"`)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := tag("If-Match", []string{text})
		if err != nil {
			return
		}
		text = strings.TrimSpace(text)
		if got.Any {
			if text != "*" {
				t.Fatalf("%q is any", text)
			}
			return
		}
		want, err := strconv.ParseInt(strings.TrimLeft(text[1:len(text)-1], "0"), 10, 64)
		if err != nil && strings.Trim(text, `"0`) != "" || got.Timestamp != want || got.Timestamp < 0 {
			t.Fatalf("%q is %v", text, got)
		}
	})
}

// FuzzParameters: no query string makes a request that asks for more than was said.
func FuzzParameters(f *testing.F) {
	for _, s := range []string{"_since=1&_before=%223%22&_limit=4", "_since=1.5", "a=b", "_limit=1e99", "_sort=-last_modified", "%zz", "_since=&_since=2", "a;b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		req := kinto.Request{Op: kinto.Delete, List: kinto.List{Kind: kinto.Record}}
		if err := readParameters(http.Header{}, raw, &req); err == nil && (req.Query.Since < -1 || req.Query.Before < -1 || req.Query.Limit < 0) {
			t.Fatalf("%q: %+v", raw, req.Query)
		}
	})
}

func TestAccept(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, "*/*": true, "application/*": true, "application/json": true, "Application/JSON; charset=utf-8": true, "text/html, application/json;q=0.1": true, "text/html,*/*;q=0.8": true,
		"text/plain": false, "application/json;q=0": false, "application/jsonx": false,
	} {
		if got := accepts([]string{text}); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// What was compressed is not taken for what it is not, and errors are in the language that
// is wanted most.
func TestWhatClientsSayOfThemselves(t *testing.T) {
	t.Attr("shows", "mend2")
	s := filled(t, nil)
	for _, coding := range []string{"gzip", "br", "identity, gzip", "GZIP"} {
		if r := s.must(415, "alice", "PUT /v1/buckets/x", "{}", "Content-Encoding: "+coding); r.header.Get("Accept-Encoding") != "identity" || !strings.Contains(r.text, "Content-Encoding") {
			t.Errorf("%s: %v %s", coding, r.header, r.text)
		}
	}
	s.must(201, "alice", "PUT /v1/buckets/x", "{}", "Content-Encoding: identity")
	s.must(200, "alice", "GET /v1/buckets/x", "", "Content-Encoding: gzip") // has no body
	owned, _ := owned(t, map[string]string{"multiauth.policies": "account", "account_create_principals": "system.Everyone"})
	for header, word := range map[string]string{
		"fr": "propriétaire", "fr,en;q=0.5": "propriétaire", "en;q=0.5, fr": "propriétaire", "de, fr;q=0.8, en;q=0.7": "propriétaire", "fr-CA": "propriétaire", "FR ; q=1.0": "propriétaire",
		"en": "owner", "fr;q=0, en": "owner", "fr;q=0.2,en;q=0.3": "owner", "de": "owner", "*": "owner", "": "owner", "fr;q=x": "owner",
	} {
		if r := owned.must(403, "jeannine", "DELETE "+accounts+"/jeannine", "", "Accept-Language: "+header); !strings.Contains(r.text, word) {
			t.Errorf("%q: %s", header, r.text)
		}
	}
	// HTTP/1.0 need not say whom it calls.
	r := httptest.NewRequest("GET", "/v1/", nil)
	r.Host, r.Proto, r.ProtoMinor = "", "HTTP/1.0", 0
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 8888})))
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if !strings.Contains(w.Body.String(), `"url":"http://192.0.2.7:8888/v1/"`) {
		t.Error(w.Body)
	}
}
