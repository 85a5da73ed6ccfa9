package api

import (
	"net/http"
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
