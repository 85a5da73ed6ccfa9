//go:build !windows

package api

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
)

// No way leads past the quota of bytes, on either store: what an owner writes again and
// again ends with 507 before it is more than the quota, whatever kind of thing it is, by
// whatever door; and what makes less goes on.
func TestQuotasAreNotPassed(t *testing.T) {
	t.Attr("shows", "mend2")
	const quota = 10_000
	many := func(n int) string { // some 40 bytes each
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`"a somebody of some forty letters, %06d"`, i))
		}
		return strings.Join(all, ",")
	}
	big := `{"data":{"x":"` + strings.Repeat("x", 1000) + `"}}`
	long := func(i int) string { return fmt.Sprintf("%06d", i) + strings.Repeat("i", 200) }
	const record = "/v1/buckets/b/collections/c/records/r"
	ways := []struct {
		name    string
		history bool
		least   int // bytes that each turn adds
		turn    func(s *server, who string, i int) reply
	}{
		{"permissions of a record", false, 400, func(s *server, who string, i int) reply {
			return s.do(who, "PATCH "+record, `{"permissions":{"read":[`+many(10*(i+1))+`]}}`)
		}},
		{"permissions of records", false, 400, func(s *server, who string, i int) reply {
			return s.do(who, fmt.Sprintf("PUT %s%d", record, i), `{"permissions":{"read":[`+many(10)+`]}}`)
		}},
		{"permissions of collections", false, 400, func(s *server, who string, i int) reply {
			return s.do(who, fmt.Sprintf("PUT /v1/buckets/b/collections/c%d", i), `{"permissions":{"record:create":[`+many(10)+`]}}`)
		}},
		{"permissions of groups", false, 400, func(s *server, who string, i int) reply {
			return s.do(who, fmt.Sprintf("PUT /v1/buckets/b/groups/g%d", i), `{"data":{"members":[]},"permissions":{"read":[`+many(10)+`]}}`)
		}},
		{"permissions of the bucket", false, 400, func(s *server, who string, i int) reply {
			return s.do(who, "PATCH /v1/buckets/b", `{"permissions":{"read":[`+many(10*(i+1))+`]}}`)
		}},
		{"attributes of the bucket", false, 1000, func(s *server, who string, i int) reply {
			return s.do(who, "PATCH /v1/buckets/b", fmt.Sprintf(`{"data":{"x%d":"%s"}}`, i, strings.Repeat("x", 1000)))
		}},
		{"buckets", false, 1000, func(s *server, who string, i int) reply { return s.do(who, fmt.Sprintf("PUT /v1/buckets/b%d", i), big) }},
		{"members of a group", false, 400, func(s *server, who string, i int) reply {
			return s.do(who, "PUT /v1/buckets/b/groups/g", `{"data":{"members":[`+many(10*(i+1))+`]}}`)
		}},
		{"attributes of collections", false, 1000, func(s *server, who string, i int) reply {
			return s.do(who, fmt.Sprintf("PUT /v1/buckets/b/collections/c%d", i), big)
		}},
		{"ids", false, 206, func(s *server, who string, i int) reply { return s.do(who, "PUT "+records+"/"+long(i), "") }},
		{"empty records", false, 64, func(s *server, who string, i int) reply { return s.do(who, "POST "+records, "") }},
		{"a JSON Patch that grows", false, 1000, func(s *server, who string, i int) reply {
			return s.do(who, "PATCH "+record, fmt.Sprintf(`[{"op":"add","path":"/data/x%d","value":"%s"}]`, i, strings.Repeat("x", 1000)), "Content-Type: application/json-patch+json")
		}},
		{"tombstones", false, 206, func(s *server, who string, i int) reply {
			r := s.do(who, "PUT "+records+"/"+long(i), "")
			if r.status == 201 {
				s.must(200, who, "DELETE "+records+"/"+long(i), "")
			}
			return r
		}},
		{"tombstones of collections", false, 206, func(s *server, who string, i int) reply {
			r := s.do(who, "PUT /v1/buckets/b/collections/"+long(i), "")
			if r.status == 201 {
				s.must(200, who, "DELETE /v1/buckets/b/collections/"+long(i), "")
			}
			return r
		}},
		{"tombstones of buckets", false, 206, func(s *server, who string, i int) reply {
			r := s.do(who, "PUT /v1/buckets/"+long(i), "")
			if r.status == 201 {
				s.must(200, who, "DELETE /v1/buckets/"+long(i), "")
			}
			return r
		}},
		{"what was in buckets that are gone", false, 1000, func(s *server, who string, i int) reply {
			all := []string{fmt.Sprintf(`{"path":"/buckets/full%d"}`, i)}
			for c := range 10 {
				all = append(all, fmt.Sprintf(`{"path":"/buckets/full%d/collections/c%d"},{"path":"/buckets/full%[1]d/collections/c%[2]d/records/r"}`, i, c))
			}
			r := s.do(who, "POST /v1/batch", `{"defaults":{"method":"PUT"},"requests":[`+strings.Join(all, ",")+`]}`)
			if r.status == 200 {
				s.must(200, who, fmt.Sprintf("DELETE /v1/buckets/full%d", i), "")
			}
			return r
		}},
		{"the default bucket", false, 64, func(s *server, who string, i int) reply {
			return s.do(who, fmt.Sprintf("GET /v1/buckets/default/collections/c%d/records", i), "")
		}},
		{"one thing again and again, with history", true, 1000, func(s *server, who string, i int) reply { return s.do(who, "PUT "+record, big) }},
		{"one bucket again and again, with history", true, 1000, func(s *server, who string, i int) reply { return s.do(who, "PUT /v1/buckets/b", big) }},
		{"fields of a form", false, 1000, func(s *server, who string, i int) reply {
			return s.form(who, fmt.Sprintf("POST %s/f%d/attachment", records, i), []part{{"attachment", "a.txt", "", ""}, {name: "data", text: `{"x":"` + strings.Repeat("x", 500) + `"}`}, {name: "permissions", text: `{"read":[` + many(13) + `]}`}})
		}},
		{"batches", false, 1000, func(s *server, who string, i int) reply {
			return s.do(who, "POST /v1/batch", fmt.Sprintf(`{"defaults":{"method":"PUT","body":{"permissions":{"read":[%s]}}},"requests":[{"path":"%[2]s/%[3]da"},{"path":"%[2]s/%[3]db"},{"path":"%[2]s/%[3]dc"},{"path":"%[2]s/%[3]dd"},{"path":"%[2]s/%[3]de"}]}`, many(5), records, i))
		}},
	}
	for _, history := range []bool{false, true} {
		settings := map[string]string{"quotas.owner_max_bytes": fmt.Sprint(quota), "includes": "kinto.plugins.default_bucket kinto_attachment"}
		if history {
			settings["includes"] += " kinto.plugins.history"
		}
		onBothStores(t, settings, func(s *server, db kinto.Store) {
			for i, w := range ways {
				if w.history != history {
					continue
				}
				s.t.Run(w.name, func(t *testing.T) {
					s, who := &server{t, s.Handler}, fmt.Sprint("owner", i)
					s.must(201, who, "PUT /v1/buckets/b", "")
					s.must(201, who, "PUT /v1/buckets/b/collections/c", "")
					s.must(201, who, "PUT "+record, `{"data":{"keep":1}}`)
					var last reply
					n := 0
					for most := quota/w.least + 1; n < most; n++ {
						if last = w.turn(s, who, n); last.status >= 400 {
							break
						}
					}
					details, _ := last.body["details"].(map[string]any)
					used, _ := details["used"].(float64)
					if last.status != 507 || n < 2 || details["quota"] != "bytes" || used > quota || used < quota/2 {
						t.Errorf("after %d times: %d %.300s", n, last.status, last.text)
					}
					// What was refused is not there, and what makes less is not refused.
					if again := w.turn(s, who, n); again.status != 507 || fmt.Sprint(again.body["details"]) != fmt.Sprint(details) {
						t.Errorf("once more: %d %.300s", again.status, again.text)
					}
					s.must(200, who, "DELETE "+record, "")
					s.must(200, who, "DELETE /v1/buckets/b/collections", "")
					s.must(200, who, "DELETE /v1/buckets", "")
					s.must(200, "somebody", "GET /v1/buckets/default", "")
				})
			}
		})
	}
}

// Buckets that callers make whom nobody knows count together.
func TestBucketsOfNobodyHaveAQuota(t *testing.T) {
	t.Attr("shows", "mend2")
	onBothStores(t, map[string]string{"quotas.owner_max_bytes": "5000", "bucket_create_principals": "system.Everyone"}, func(s *server, db kinto.Store) {
		n := 0
		for ; n < 10; n++ {
			if r := s.do("", fmt.Sprintf("PUT /v1/buckets/b%d", n), `{"data":{"x":"`+strings.Repeat("x", 1000)+`"}}`); r.status != 201 {
				break
			}
		}
		r := s.must(507, "", "PUT /v1/buckets/more", `{"data":{"x":"`+strings.Repeat("x", 1000)+`"}}`)
		if n != 4 {
			s.t.Errorf("%d buckets, then %s", n, r.text)
		}
		s.must(201, "alice", "PUT /v1/buckets/mine", `{"data":{"x":"`+strings.Repeat("x", 1000)+`"}}`)
	})
}

// Attachments have a pace where they have a quota: what was deleted is on the disk for a
// while, and nobody fills that by uploading and deleting in turn.
func TestUploadsHaveAPace(t *testing.T) {
	t.Attr("shows", "mend2")
	const quota = 1000
	onBothStores(t, map[string]string{"quotas.owner_max_attachment_bytes": fmt.Sprint(quota)}, func(s *server, db kinto.Store) {
		t := s.t
		s.must(201, "alice", "PUT /v1/buckets/b", "")
		s.must(201, "alice", "PUT /v1/buckets/b/collections/c", "")
		n := 0
		attach := func(size int) reply {
			n++
			return s.form("alice", fmt.Sprintf("POST %s/r%d/attachment", records, n), []part{{"attachment", "a.txt", "", strings.Repeat("x", size)}})
		}
		took := 0
		var last reply
		for range 100 {
			if last = attach(200); last.status != 201 {
				break
			}
			took += 200
			switch n % 4 { // by each door
			case 0:
				s.must(204, "alice", fmt.Sprintf("DELETE %s/r%d/attachment", records, n), "")
			case 1:
				s.must(200, "alice", fmt.Sprintf("PUT %s/r%d", records, n), `{"data":{}}`)
			case 2:
				s.must(200, "alice", fmt.Sprintf("DELETE %s/r%d", records, n), "")
			case 3:
				s.must(200, "alice", "DELETE /v1/buckets/b/collections/c", "")
				s.must(201, "alice", "PUT /v1/buckets/b/collections/c", "")
			}
		}
		details, _ := last.body["details"].(map[string]any)
		if took != 2*quota || last.status != 507 || details["quota"] != "uploaded_bytes" || details["limit"] != 2.0*quota || last.header.Get("Retry-After") == "" {
			t.Fatalf("after %d bytes: %d %s %v", took, last.status, last.text, last.header)
		}
		// An hour later half a quota has been forgotten.
		key := ""
		err := db.Write(t.Context(), nil, func(tx kinto.Tx) error {
			owner, err := tx.Owner("/buckets/b")
			if err != nil {
				return err
			}
			key = "uploads:" + owner
			raw, err := tx.Note(key)
			if err != nil || raw == nil {
				return fmt.Errorf("%q: %w", raw, err)
			}
			bytes, at := int64(0), int64(0)
			if _, err := fmt.Sscan(string(raw), &bytes, &at); err != nil {
				return err
			}
			return tx.SetNote(key, fmt.Appendf(nil, "%d %d", bytes, at-time.Hour.Milliseconds()), time.Now().Add(time.Hour))
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct{ size, status int }{{quota/2 + 100, 507}, {quota / 2, 201}, {quota / 2, 507}} {
			if r := attach(c.size); r.status != c.status {
				t.Errorf("%d bytes: %d %s", c.size, r.status, r.text)
			}
		}
	})
}
