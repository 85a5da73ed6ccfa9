package api

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/server/kinto"
)

// stock fills alice's collection with records r0…, n of them.
func stock(t *testing.T, s *server, n int) {
	t.Helper()
	s.must(200, "alice", "DELETE "+collections+"/c", "")
	s.must(201, "alice", "PUT "+collections+"/c", "")
	for i := range n {
		s.must(201, "alice", fmt.Sprintf("PUT %s/r%d", records, i), fmt.Sprintf(`{"data":{"i":%d,"mod":%d,"o":{"p":"%c"}}}`, i, i%3, 'a'+i))
	}
}

// follow walks from line through all pages.
func follow(t *testing.T, s *server, line string) (all []string, sizes []int) {
	t.Helper()
	method, path, _ := strings.Cut(line, " ")
	for {
		r := s.must(200, "alice", method+" "+path, "")
		all = append(all, ids(r)...)
		sizes = append(sizes, len(r.list()))
		next := r.header.Get("Next-Page")
		if next == "" {
			return all, sizes
		}
		u, err := url.Parse(next)
		if err != nil || !strings.HasPrefix(next, "http://example.com"+records+"?") {
			t.Fatalf("Next-Page: %s, %v", next, err)
		}
		path = u.RequestURI()
	}
}

// Who goes through the pages of a list while others write, and asks then for what has come
// since the timestamp of the last page (as kinto-http.js does), misses nothing.
func TestPagesMissNothing(t *testing.T) {
	t.Attr("shows", "mend2")
	s := filled(t, map[string]string{"paginate_by": "4"})
	stock(t, s, 10)
	for _, query := range []string{"", "?_limit=3", "?_sort=-i", "?_since=0", "?_sort=last_modified"} {
		seen := map[string]bool{}
		page := s.must(200, "alice", "GET "+records+query, "")
		first := page.header.Get("ETag")
		for n := 0; ; n++ {
			for _, id := range ids(page) {
				seen[id] = true
			}
			s.must(201, "alice", fmt.Sprintf("PUT %s/meanwhile%d", records, n), "")
			s.must(200, "alice", fmt.Sprintf("PUT %s/r%d", records, n%10), `{"data":{"i":-1}}`) // which moves it
			next := page.header.Get("Next-Page")
			if next == "" || n > 20 {
				break
			}
			page = s.must(200, "alice", "GET "+strings.TrimPrefix(next, "http://example.com"), "")
			if got := page.header; got.Get("ETag") != first {
				t.Fatalf("%q: page %d has the ETag %s, the first %s", query, n+1, got.Get("ETag"), first)
			}
		}
		since, _ := follow(t, s, "GET "+records+"?_since="+strings.Trim(page.header.Get("ETag"), `"`))
		for _, id := range since {
			seen[id] = true
		}
		all, _ := follow(t, s, "GET "+records)
		for _, id := range all {
			if !seen[id] {
				t.Errorf("%q: %s was never seen", query, id)
			}
			if strings.HasPrefix(id, "meanwhile") {
				s.must(200, "alice", "DELETE "+records+"/"+id, "")
			}
		}
	}
	for _, token := range []string{`{"last_object":{"last_modified":5},"began":-1}`, `{"last_object":{"last_modified":5},"began":253402300800000}`, `{"last_object":{"last_modified":5},"began":"x"}`} {
		s.must(400, "alice", "GET "+records+"?_token="+base64.StdEncoding.EncodeToString([]byte(token)), "")
	}
}

func TestPages(t *testing.T) {
	s := filled(t, map[string]string{"paginate_by": "4"})
	stock(t, s, 10)
	for _, c := range []struct {
		query string
		want  string
		sizes []int
	}{
		{"", "r9 r8 r7 r6 r5 r4 r3 r2 r1 r0", []int{4, 4, 2}},
		{"?_limit=5", "r9 r8 r7 r6 r5 r4 r3 r2 r1 r0", []int{4, 4, 2}},
		{"?_limit=0", "r9 r8 r7 r6 r5 r4 r3 r2 r1 r0", []int{4, 4, 2}},
		{"?_limit=3.9&lt_i=6", "r5 r4 r3 r2 r1 r0", []int{3, 3}},
		{"?_limit=2&_sort=last_modified&in_id=r1,r4,r2", "r1 r2 r4", []int{2, 1}},
		{"?_limit=3&_sort=mod,-i", "r9 r6 r3 r0 r7 r4 r1 r8 r5 r2", []int{3, 3, 3, 1}},
		{"?_sort=-o.p", "r9 r8 r7 r6 r5 r4 r3 r2 r1 r0", []int{4, 4, 2}},
		{"?id=r3", "r3", []int{1}},
		{"?_limit=1&id=r3&not_mod=0", "", []int{0}},
	} {
		all, sizes := follow(t, s, "GET "+records+c.query)
		if got := strings.Join(all, " "); got != c.want || !slices.Equal(sizes, c.sizes) {
			t.Errorf("%s: %s by %v", c.query, got, sizes)
		}
	}
	head := s.must(200, "alice", "HEAD "+records+"?_limit=2&mod=0", "")
	if head.header.Get("Total-Records") != "4" || head.header.Get("Next-Page") != "" {
		t.Errorf("HEAD: %v", head.header)
	}
	// Pages hold, whatever is written meanwhile.
	next := s.must(200, "alice", "GET "+records+"?_limit=2", "").header.Get("Next-Page")
	s.must(201, "alice", "PUT "+records+"/new", "")
	if got := ids(s.must(200, "alice", "GET "+strings.TrimPrefix(next, "http://example.com"), "")); !slices.Equal(got, []string{"r7", "r6"}) {
		t.Errorf("after an insertion: %v", got)
	}
	for _, bad := range []string{"x", "e30=", "W10=", "eyJsYXN0X29iamVjdCI6e319"} {
		r := s.must(400, "alice", "GET "+records+"?_token="+url.QueryEscape(bad), "")
		if !strings.Contains(r.text, "_token has invalid content") {
			t.Error(r.text)
		}
	}
}

func TestPagesOfDeletion(t *testing.T) {
	s := filled(t, nil)
	stock(t, s, 7)
	s.must(200, "alice", "PUT /v1/buckets/b", `{"permissions":{"read":["system.Everyone"]}}`)
	r := s.must(200, "alice", "DELETE "+records+"?_limit=2&_sort=i&gt_i=0", "")
	if got := ids(r); !slices.Equal(got, []string{"r1", "r2"}) {
		t.Errorf("deleted %v", got)
	}
	next := strings.TrimPrefix(r.header.Get("Next-Page"), "http://example.com")
	s.must(401, "", "DELETE "+next, "") // uses nothing up
	r = s.must(200, "alice", "DELETE "+next, "")
	if got := ids(r); !slices.Equal(got, []string{"r3", "r4"}) {
		t.Errorf("then %v", got)
	}
	again := s.must(400, "alice", "DELETE "+next, "")
	if !strings.Contains(again.text, "_token was already used or has expired.") {
		t.Error(again.text)
	}
	token := strings.TrimPrefix(s.must(200, "alice", "GET "+records+"?_limit=1", "").header.Get("Next-Page"), "http://example.com")
	s.must(400, "alice", "DELETE "+token, "") // that of a GET
	if got, _ := follow(t, s, "DELETE "+records+"?_limit=1"); len(got) != 3 {
		t.Errorf("the rest: %v", got)
	}
	if got := ids(s.must(200, "alice", "GET "+records, "")); got != nil {
		t.Errorf("left: %v", got)
	}
}

// TestDeletionOfWhatMatches: a deletion by filter takes what passes it and is the
// caller's to delete, and nothing else.
func TestDeletionOfWhatMatches(t *testing.T) {
	s := filled(t, nil)
	stock(t, s, 9)
	bob := s.must(200, "bob", "GET /v1/", "").body["user"].(map[string]any)["id"].(string)
	for _, id := range []string{"r3", "r4", "r6"} {
		s.must(200, "alice", "PATCH "+records+"/"+id, `{"permissions":{"write":["`+bob+`"]}}`)
	}
	s.must(403, "eve", "DELETE "+records+"?mod=0", "")
	got, sizes := follow(t, s, "DELETE "+records+"?in_mod=1,2&_sort=-o.p&_limit=2&exclude_id=r8")
	if strings.Join(got, " ") != "r7 r5 r4 r2 r1" || !slices.Equal(sizes, []int{2, 2, 1}) {
		t.Errorf("deleted %v by %v", got, sizes)
	}
	if got := ids(s.must(200, "bob", "DELETE "+records+"?min_i=3", "")); !slices.Equal(got, []string{"r6", "r3"}) {
		t.Errorf("bob deleted %v", got)
	}
	if got := ids(s.must(200, "alice", "GET "+records+"?_sort=i", "")); !slices.Equal(got, []string{"r0", "r8"}) {
		t.Errorf("left: %v", got)
	}
}

// TestTokensAreOfTheStore: what one node gave out another takes, once.
func TestTokensAreOfTheStore(t *testing.T) {
	h, db := newHouse(t, nil)
	first := &server{t, h}
	c := h.(*api).Config
	c.Kinto = kinto.New(db, c.Settings.Kinto, nil)
	second := &server{t, New(c)}
	first.must(201, "alice", "PUT /v1/buckets/b", "")
	first.must(201, "alice", "PUT "+collections+"/c", "")
	for _, id := range []string{"a", "b", "c", "d"} {
		first.must(201, "alice", "PUT "+records+"/"+id, "")
	}
	next := strings.TrimPrefix(first.must(200, "alice", "DELETE "+records+"?_limit=1", "").header.Get("Next-Page"), "http://example.com")
	second.must(403, "bob", "DELETE "+next, "")
	second.must(412, "alice", "DELETE "+next, "", `If-Match: "1"`)
	if got := ids(second.must(200, "alice", "DELETE "+next, "")); !slices.Equal(got, []string{"c"}) {
		t.Errorf("deleted %v", got)
	}
	for _, s := range []*server{first, second} {
		if r := s.must(400, "alice", "DELETE "+next, ""); r.body["message"] != "_token was already used or has expired." {
			t.Error(r.text)
		}
	}
	if got := ids(first.must(200, "alice", "GET "+records, "")); !slices.Equal(got, []string{"b", "a"}) {
		t.Errorf("left: %v", got)
	}
}

func TestFilterParameters(t *testing.T) {
	s := filled(t, nil)
	stock(t, s, 4)
	stamp := func(id string) string {
		return number(s.must(200, "alice", "GET "+records+"/"+id, "").data()["last_modified"])
	}
	two := stamp("r2")
	s.must(200, "alice", "DELETE "+records+"/r3", "")
	for query, want := range map[string][]string{
		"last_modified=" + two:                {"r2"},
		"last_modified=%22" + two + "%22":     {"r2"},
		"gt_last_modified=" + two:             {"r3"},
		"min_last_modified=" + two:            {"r3", "r2"},
		"lt_last_modified=" + two:             {"r1", "r0"},
		"max_last_modified=" + two:            {"r2", "r1", "r0"},
		"not_last_modified=" + two:            {"r3", "r1", "r0"},
		"has_last_modified=true":              {"r3", "r2", "r1", "r0"},
		"_since=0&deleted=true":               {"r3"},
		"_since=0&not_deleted=true":           {"r2", "r1", "r0"},
		"_since=0&i=1":                        {"r1"},
		"_since=0&id=r3":                      {"r3"},
		"id=r3":                               nil,
		"deleted=true":                        nil,
		"_since=0&exclude_id=r3,r1":           {"r2", "r0"},
		"i=1&i=1":                             nil,
		"o.p=b&_unknown=1":                    {"r1"},
		"unknown=1":                           nil,
		"id=r1&in_id=r1,r2":                   {"r1"},
		"_since=0&_sort=deleted,-id&gt_id=r0": {"r3", "r2", "r1"},
	} {
		if diff := cmp.Diff(want, ids(s.must(200, "alice", "GET "+records+"?"+query, ""))); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	for _, bad := range []string{
		"last_modified=abc", "last_modified=-1", "last_modified=1.5", "last_modified=99999999999999", "in_last_modified=1", "exclude_last_modified=1", "contains_last_modified=1", "like_last_modified=1", "last_modified=1&last_modified=2",
		"id=1", "in_id=1", "contains_id=a", "like_i=1", "i=%22%5Cu0000%22", "_since=1&_since=2",
	} {
		s.must(400, "alice", "GET "+records+"?"+bad, "")
		s.must(400, "alice", "DELETE "+records+"?"+bad, "")
	}
	r := s.must(200, "alice", "GET "+records+"?_fields=o.p&id=r1", "")
	if diff := cmp.Diff(map[string]any{"id": "r1", "last_modified": r.list()[0].(map[string]any)["last_modified"], "o": map[string]any{"p": "b"}}, r.list()[0]); diff != "" {
		t.Error(diff)
	}
	r = s.must(200, "alice", "GET "+records+"/r1?_fields=i", "")
	if _, ok := r.body["permissions"]; ok || r.data()["i"] != 1.0 || r.data()["o"] != nil {
		t.Error(r.text)
	}
	// bob sees what is shared with him, filtered and in pages, too
	s.must(200, "alice", "PATCH "+records+"/r1", `{"permissions":{"read":["system.Everyone"]}}`)
	s.must(200, "alice", "PATCH "+records+"/r0", `{"permissions":{"read":["system.Everyone"]}}`)
	for query, want := range map[string][]string{"?_sort=i": {"r0", "r1"}, "?i=1": {"r1"}, "?in_id=r0,r2": {"r0"}, "?_sort=last_modified&_limit=1": {"r1"}} {
		if diff := cmp.Diff(want, ids(s.must(200, "bob", "GET "+records+query, ""))); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
}

// FuzzToken: a token is taken only if it says where to go on.
func FuzzToken(f *testing.F) {
	f.Add(`{"last_object":{"last_modified":5},"offset":1,"nonce":"x"}`)
	f.Add(`{"last_object":[]}`)
	f.Fuzz(func(t *testing.T, text string) {
		req := newRequest()
		raw := "_token=" + url.QueryEscape(base64Of(text))
		if err := readParameters(http.Header{}, raw, req); err == nil && text != "" && req.Query.Before < 0 {
			t.Fatalf("%s was taken and says nothing", text)
		}
	})
}

func newRequest() *kinto.Request {
	return &kinto.Request{Op: kinto.Get, List: kinto.List{Kind: kinto.Record}}
}

func base64Of(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
