package api

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func damage(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("jello"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestQuotas(t *testing.T) {
	t.Attr("shows", "mend2")
	s := filled(t, map[string]string{"quotas.owner_max_records": "3", "quotas.owner_max_bytes": "3400", "quotas.owner_max_attachment_bytes": "10"})
	if told := fmt.Sprint(s.must(200, "", "GET /v1/", "").body["capabilities"]); !strings.Contains(told, "max_records:3") || !strings.Contains(told, "max_attachment_bytes:10") {
		t.Error(told)
	}
	records := "/v1/buckets/b/collections/c/records"
	s.must(200, "alice", "PATCH /v1/buckets/b", `{"permissions":{"write":["system.Authenticated"]}}`)
	// Whoever writes, the owner of the bucket answers for it.
	s.must(201, "bob", "PUT "+records+"/2", "")
	s.must(201, "alice", "PUT "+records+"/3", "")
	for _, line := range []string{"PUT " + records + "/4", "POST " + records} {
		r := s.must(507, "bob", line, "{}")
		details, _ := r.body["details"].(map[string]any)
		if r.body["errno"] != 121.0 || details["quota"] != "records" || details["limit"] != 3.0 || details["used"] != 3.0 || r.header.Get("Retry-After") != "" {
			t.Error(r.text, r.header)
		}
	}
	if r := s.must(507, "alice", "PUT "+records+"/4", "{}", "Accept-Language: fr"); !strings.Contains(r.text, "Supprimez-en") {
		t.Error(r.text)
	}
	// A batch that does not fit is refused whole.
	r := s.must(507, "alice", "POST /v1/batch", `{"requests":[{"method":"PUT","path":"/buckets/b/collections/d"},{"method":"PUT","path":"`+records+`/5"}]}`)
	if r.body["errno"] != 121.0 {
		t.Error(r.text)
	}
	// What is there can be changed, and what is deleted makes room.
	s.must(200, "alice", "PUT "+records+"/3", `{"data":{"n":2}}`)
	s.must(200, "alice", "DELETE "+records+"/3", "")
	s.must(201, "alice", "PUT "+records+"/4", "")

	big := `{"data":{"x":"` + strings.Repeat("x", 3390) + `"}}`
	if r := s.must(507, "alice", "PUT "+records+"/4", big); r.body["details"].(map[string]any)["quota"] != "bytes" {
		t.Error(r.text)
	}
	s.must(200, "alice", "PUT "+records+"/4", `{"data":{"x":"`+strings.Repeat("x", 1700)+`"}}`)
	s.must(507, "alice", "PUT /v1/buckets/b/collections/c", big)
	s.must(200, "alice", "PUT "+records+"/4", `{"data":{}}`)
	s.must(200, "alice", "PUT /v1/buckets/b/collections/c", `{"data":{"x":"`+strings.Repeat("x", 1700)+`"}}`)

	s.must(200, "alice", "PUT /v1/buckets/b/collections/c", `{"data":{}}`) // else there is no room to tell of it
	if r := s.form("alice", "POST "+records+"/4/attachment", []part{{"attachment", "a.txt", "", "12345678901"}}); r.status != 507 || r.body["details"].(map[string]any)["quota"] != "attachment_bytes" {
		t.Errorf("%d %s", r.status, r.text)
	}
	free := start(t, map[string]string{"quotas.owner_max_attachment_bytes": "10"})
	free.must(201, "alice", "PUT /v1/buckets/b", "")
	free.must(201, "alice", "PUT /v1/buckets/b/collections/c", "")
	for i, c := range []struct {
		record, text string
		status       int
	}{{"1", "123456", 201}, {"2", "12345", 507}, {"1", "12345678", 200}, {"1", "123", 200}, {"2", "1", 201}, {"2", "123456789", 507}} {
		if r := free.form("alice", "POST "+records+"/"+c.record+"/attachment", []part{{"attachment", "a.txt", "", c.text}}); r.status != c.status {
			t.Errorf("%d: %d %s", i, r.status, r.text)
		}
	}
	// What a record says of itself is no measure: a client can have written it.
	for i, claimed := range []string{`{"size":1000000000}`, `{"size":9223372036854775807}`, `{"location":"a","size":100}`} {
		record := fmt.Sprintf("/v1/buckets/b%d/collections/c/records/3", i)
		who := fmt.Sprint("owner", i)
		free.must(201, who, fmt.Sprintf("PUT /v1/buckets/b%d", i), "")
		free.must(201, who, fmt.Sprintf("PUT /v1/buckets/b%d/collections/c", i), "")
		free.must(201, who, "PUT "+record, `{"data":{"attachment":`+claimed+`}}`)
		if r := free.form(who, "POST "+record+"/attachment", []part{{"attachment", "a.txt", "", "12345678901"}}); r.status != 507 {
			t.Errorf("%s: %d %s", claimed, r.status, r.text)
		}
		if r := free.form(who, "POST "+record+"/attachment", []part{{"attachment", "a.txt", "", "1234567890"}}); r.status != 200 {
			t.Errorf("%s: %d %s", claimed, r.status, r.text)
		}
	}
	// Another owner has a quota of their own.
	s.must(201, "carol", "PUT /v1/buckets/carols", "")
	s.must(201, "carol", "PUT /v1/buckets/carols/collections/c", "")
	s.must(201, "carol", "PUT /v1/buckets/carols/collections/c/records/1", "")
	// A bucket that is gone counts no more.
	s.must(200, "alice", "DELETE /v1/buckets/b", "")
	s.must(201, "alice", "PUT /v1/buckets/b", "")
	s.must(201, "alice", "PUT /v1/buckets/b/collections/c", "")
	for i := range 3 {
		s.must(201, "alice", fmt.Sprintf("PUT %s/%d", records, i), "")
	}
	s.must(507, "alice", "PUT "+records+"/9", "")
	// The default bucket is its caller's.
	for i := range 3 {
		s.must(201, "dora", fmt.Sprintf("PUT /v1/buckets/default/collections/c/records/%d", i), "")
	}
	s.must(507, "dora", "PUT /v1/buckets/default/collections/c/records/9", "")
}
