package api

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const historyURL = "/v1/buckets/b/history"

var withHistory = map[string]string{"includes": "kinto.plugins.history kinto.plugins.default_bucket kinto_attachment"}

// told lists "action uri" of a history, the oldest first.
func told(r reply) []string {
	var out []string
	for _, e := range r.list() {
		e := e.(map[string]any)
		out = append(out, fmt.Sprint(e["action"], " ", e["uri"]))
	}
	slices.Reverse(out)
	return out
}

func TestHistory(t *testing.T) {
	s := filled(t, withHistory)
	s.must(200, "alice", "PATCH "+records+"/r", `{"data":{"n":2}}`)
	s.must(201, "alice", "PUT /v1/buckets/b/groups/g", `{"data":{"members":[]}}`)
	s.must(201, "alice", "POST "+records, `{"data":{"id":"q"}}`)
	s.must(200, "alice", "POST "+records, `{"data":{"id":"q"}}`)
	s.must(200, "alice", "DELETE "+records, "")
	s.must(200, "alice", "DELETE "+collections+"/c", "")
	r := s.must(200, "alice", "GET "+historyURL, "")
	want := []string{
		"create /buckets/b", "create /buckets/b/collections/c", "create /buckets/b/collections/c/records/r",
		"update /buckets/b/collections/c/records/r", "create /buckets/b/groups/g", "create /buckets/b/collections/c/records/q",
		"delete /buckets/b/collections/c/records/r", "delete /buckets/b/collections/c/records/q", "delete /buckets/b/collections/c",
	}
	if got := told(r); !slices.Equal(got, want) {
		t.Errorf("history:\n%s", strings.Join(got, "\n"))
	}
	e := s.must(200, "alice", "GET "+historyURL+"?action=update&target.data.n=2&gt_target.data.last_modified=5", "").list()
	if len(e) != 1 {
		t.Fatal(r.text)
	}
	one := e[0].(map[string]any)
	target := one["target"].(map[string]any)
	if one["resource_name"] != "record" || one["collection_id"] != "c" || one["record_id"] != "r" || !strings.HasPrefix(one["user_id"].(string), "basicauth:") ||
		target["data"].(map[string]any)["id"] != "r" || len(target["permissions"].(map[string]any)["write"].([]any)) != 1 || len(one["date"].(string)) != len("2006-01-02T15:04:05.000000+00:00") {
		t.Errorf("entry: %v", one)
	}
	if got := s.must(200, "alice", "GET "+historyURL+"?uri=/buckets/b/collections/c/records/q&action=delete&_fields=target", "").list(); len(got) != 1 ||
		got[0].(map[string]any)["target"].(map[string]any)["data"].(map[string]any)["deleted"] != true {
		t.Errorf("tombstone: %v", got)
	}
	for _, c := range []struct {
		line   string
		status int
	}{
		{"GET " + historyURL + "?zz=1", 400},
		{"GET " + historyURL + "?_sort=zz", 400},
		{"GET " + historyURL + "?_fields=zz", 400},
		{"GET " + historyURL + "?_sort=target.data.n&_limit=2", 200},
		{"POST " + historyURL, 405},
		{"GET " + historyURL + "/x", 404},
		{"PUT " + historyURL + "/x", 404},
	} {
		s.must(c.status, "alice", c.line, "")
	}
	if h := s.must(200, "alice", "HEAD "+historyURL, "").header; h.Get("Total-Records") != "" || h.Get("ETag") == "" {
		t.Errorf("HEAD: %v", h)
	}
	s.must(401, "", "GET "+historyURL, "")
	s.must(403, "bob", "GET "+historyURL, "")
	s.must(403, "bob", "DELETE "+historyURL, "")
	gone := len(s.must(200, "alice", "DELETE "+historyURL+"?resource_name=record", "").list())
	if left := told(s.must(200, "alice", "GET "+historyURL, "")); gone != 5 || len(left) != 4 {
		t.Errorf("%d are gone, left %v", gone, left)
	}
	if tombs := s.must(200, "alice", "GET "+historyURL+"?_since=0&deleted=true", "").list(); len(tombs) != 5 {
		t.Errorf("%d tombstones", len(tombs))
	}
	s.must(200, "alice", "DELETE /v1/buckets/b", "")
	s.must(201, "alice", "PUT /v1/buckets/b", "")
	if got := told(s.must(200, "alice", "GET "+historyURL, "")); !slices.Equal(got, []string{"create /buckets/b"}) {
		t.Errorf("made again: %v", got)
	}
}

func TestHistoryOfOthers(t *testing.T) {
	s := filled(t, withHistory)
	bob := s.must(200, "bob", "GET /v1/", "").body["user"].(map[string]any)["id"].(string)
	s.must(200, "alice", "PUT "+records+"/r", `{"permissions":{"read":["`+bob+`"]}}`)
	s.must(200, "alice", "DELETE "+records+"/r", "")
	s.must(201, "alice", "PUT "+collections+"/open", `{"permissions":{"write":["system.Everyone"]}}`)
	s.must(201, "", "PUT "+collections+"/open/records/x", "")
	got := told(s.must(200, "bob", "GET "+historyURL, ""))
	want := []string{
		"update /buckets/b/collections/c/records/r", "delete /buckets/b/collections/c/records/r",
		"create /buckets/b/collections/open", "create /buckets/b/collections/open/records/x",
	}
	if !slices.Equal(got, want) {
		t.Errorf("bob sees %v", got)
	}
	if r := s.must(200, "", "GET "+historyURL+"?user_id=null", ""); !slices.Equal(told(r), want[3:]) {
		t.Errorf("nobody: %s", r.text)
	}
	s.must(200, "bob", "GET /v1/buckets/default/collections/c/records", "")
	own := told(s.must(200, "bob", "GET /v1/buckets/default/history", ""))
	if len(own) != 2 || !strings.HasPrefix(own[0], "create /buckets/") || !strings.HasSuffix(own[1], "/collections/c") {
		t.Errorf("default bucket: %v", own)
	}
}

func TestHistoryInBatches(t *testing.T) {
	s := filled(t, withHistory)
	s.must(200, "alice", "POST /v1/batch", `{"defaults":{"method":"PUT"},"requests":[{"path":"`+records+`/a"},{"path":"`+records+`/b"},{"path":"/buckets/other"},{"path":"`+records+`/-"}]}`)
	if got := told(s.must(200, "alice", "GET "+historyURL+"?_sort=last_modified", "")); len(got) != 5 || got[0] != "create /buckets/b/collections/c/records/b" {
		t.Errorf("history: %v", got)
	}
	if got := told(s.must(200, "alice", "GET /v1/buckets/other/history", "")); len(got) != 1 {
		t.Errorf("history: %v", got)
	}
}

func TestHistoryLeavesOut(t *testing.T) {
	settings := map[string]string{"includes": "kinto.plugins.history", "history.exclude_resources": "/buckets/b/collections/c/records/x /buckets/b/collections/d"}
	bob := start(t, nil).must(200, "bob", "GET /v1/", "").body["user"].(map[string]any)["id"].(string)
	settings["history.exclude_user_ids"] = bob
	s := filled(t, settings)
	s.must(201, "alice", "PUT "+records+"/x", "")
	s.must(201, "alice", "PUT "+collections+"/d", `{"permissions":{"write":["system.Everyone"]}}`)
	s.must(201, "alice", "PUT "+collections+"/d/records/x", "")
	s.must(200, "alice", "PUT "+collections+"/c", `{"permissions":{"write":["system.Everyone"]}}`)
	s.must(201, "bob", "PUT "+records+"/y", "")
	if got := told(s.must(200, "alice", "GET "+historyURL, "")); len(got) != 4 || got[3] != "update /buckets/b/collections/c" {
		t.Errorf("history: %v", got)
	}
	h := s.must(200, "", "GET /v1/", "").body["capabilities"].(map[string]any)["history"].(map[string]any)
	if got := fmt.Sprint(h["excluded_resources"]); got != "[map[bucket:b collection:c record:x] map[bucket:b collection:d]]" {
		t.Errorf("told: %v", got)
	}
	off := filled(t, nil)
	off.must(404, "alice", "GET "+historyURL, "")
	off.must(404, "alice", "GET /v1/buckets/b/snapshot/collections/c@1", "")
}

func TestHistoryIsTrimmed(t *testing.T) {
	s := filled(t, map[string]string{"includes": "kinto.plugins.history", "history.auto_trim_max_count": "2", "history.auto_trim_threshold": "3"})
	s.must(201, "alice", "PUT "+collections+"/d", "")
	s.must(201, "alice", "PUT "+collections+"/d/records/x", "")
	for i := range 8 {
		s.must(200, "alice", "PUT "+records+"/r", fmt.Sprintf(`{"data":{"i":%d}}`, i))
		if got := s.must(200, "alice", "GET "+historyURL+"?collection_id=c&resource_name=record", "").list(); len(got) > 2+3 {
			t.Fatalf("%d entries", len(got))
		}
	}
	got := s.must(200, "alice", "GET "+historyURL+"?collection_id=c&resource_name=record", "")
	if len(got.list()) != 2 || got.list()[0].(map[string]any)["target"].(map[string]any)["data"].(map[string]any)["i"] != 7.0 {
		t.Errorf("left: %s", got.text)
	}
	if got := told(s.must(200, "alice", "GET "+historyURL+"?not_collection_id=c", "")); len(got) != 3 {
		t.Errorf("others: %v", got)
	}
}

func TestSnapshot(t *testing.T) {
	s := filled(t, withHistory)
	s.must(201, "alice", "PUT "+records+"/old", `{"data":{"v":1}}`)
	s.must(201, "alice", "PUT "+records+"/gone", "")
	s.must(200, "alice", "DELETE "+records+"/gone", "")
	r := s.must(200, "alice", "PUT "+records+"/r", `{"data":{"v":2}}`)
	at := fmt.Sprintf("%.0f", r.data()["last_modified"])
	s.must(200, "alice", "PUT "+records+"/r", `{"data":{"v":3}}`)
	s.must(201, "alice", "PUT "+records+"/new", "")
	s.must(200, "alice", "DELETE "+records+"/old", "")
	const snapshot = "/v1/buckets/b/snapshot/collections/c@"
	r = s.must(200, "alice", "GET "+snapshot+at, "")
	if got := ids(r); !slices.Equal(got, []string{"r", "old"}) || r.list()[0].(map[string]any)["v"] != 2.0 || fmt.Sprintf("%.0f", r.list()[0].(map[string]any)["last_modified"]) != at {
		t.Errorf("snapshot: %s", r.text)
	}
	for _, bad := range []string{"zz", "-1", "", "1.5"} {
		if r := s.must(400, "alice", "GET "+snapshot+bad, ""); r.body["message"] != "path: Invalid timestamp '"+bad+"'" {
			t.Errorf("%q: %s", bad, r.text)
		}
	}
	if got := s.must(200, "alice", "GET "+snapshot+"0", "").list(); len(got) != 0 {
		t.Errorf("before: %v", got)
	}
	s.must(401, "", "GET "+snapshot+at, "")
	s.must(403, "bob", "GET "+snapshot+at, "")
	s.must(405, "alice", "PUT "+snapshot+at, "")
}

func TestMethodsTurnedOff(t *testing.T) {
	s := filled(t, map[string]string{"plural_record_delete_enabled": "false", "object_record_get_enabled": "false"})
	r := s.must(405, "alice", "DELETE "+records, "")
	if got := r.header.Get("Allow"); got != "HEAD, GET, POST, OPTIONS" {
		t.Errorf("Allow: %s", got)
	}
	s.must(405, "alice", "GET "+records+"/r", "")
	s.must(405, "alice", "HEAD "+records+"/r", "")
	s.must(200, "alice", "GET "+records, "")
	s.must(200, "alice", "DELETE "+collections, "")
}
