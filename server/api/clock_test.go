package api

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// withClocks is a server on which each door leads to a timestamp.
var withClocks = map[string]string{"includes": "kinto.plugins.history kinto.plugins.default_bucket kinto.plugins.flush kinto_attachment", "attachment.extensions": "any", "experimental_permissions_endpoint": "true"}

// latest9000 is the end of the year 8999, the latest timestamp that a client may choose.
const latest9000 = 221845391999999

// etag is the timestamp of an answer, whose Last-Modified is a date of HTTP and the same.
func etag(t *testing.T, r reply) int64 {
	t.Helper()
	n, err := strconv.ParseInt(strings.Trim(r.header.Get("ETag"), `"`), 10, 64)
	if err != nil {
		t.Fatalf("ETag %q: %s", r.header.Get("ETag"), r.text)
	}
	when, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", r.header.Get("Last-Modified"))
	if err != nil || when.Unix() != n/1000 || len(r.header.Get("Last-Modified")) != len(http.TimeFormat) {
		t.Errorf("%d is Last-Modified %q: %v", n, r.header.Get("Last-Modified"), err)
	}
	return n
}

// TestWhatClientsMayChoose: a timestamp that leaves no room to count, or is none, is
// refused by every door with the bound in the answer, and nothing of the request is done.
func TestWhatClientsMayChoose(t *testing.T) {
	t.Attr("shows", "mend2")
	mayChoose(filled(t, withClocks))
}

func mayChoose(s *server) {
	t := s.t
	const r = records + "/r"
	before := s.must(200, "alice", "GET "+records, "")
	for _, n := range []string{"221845392000000", "253402300799999", "253402300800000", "9007199254740991", "9007199254740992", "9223372036854775807", "99999999999999999999", "-1", "-9007199254740991", "-99999999999999999999"} {
		bound := "221845391999999"
		if n[0] == '-' {
			bound = "minimum value 0"
		}
		data := `{"data":{"last_modified":` + n + `}}`
		for _, c := range []struct{ line, body, kind string }{
			{"PUT " + r, data, "application/json"},
			{"PUT " + records + "/new", data, "application/json"},
			{"POST " + records, data, "application/json"},
			{"PATCH " + r, data, "application/json"},
			{"PATCH " + r, data, "application/merge-patch+json"},
			{"PATCH " + r, `[{"op":"add","path":"/data/last_modified","value":` + n + `}]`, "application/json-patch+json"},
			{"PUT /v1/buckets/b", data, "application/json"},
			{"PUT /v1/buckets/b2", data, "application/json"},
			{"PATCH " + collections + "/c", data, "application/json"},
			{"PUT /v1/buckets/b/groups/g", data, "application/json"},
			{"POST /v1/buckets/default/collections/c/records", data, "application/json"},
			{"DELETE " + r + "?last_modified=" + n, "", ""},
			{"DELETE " + r + "?last_modified=%22" + n + "%22", "", ""},
			{"DELETE /v1/buckets/b?last_modified=" + n, "", ""},
		} {
			got := s.do("alice", c.line, c.body, "Content-Type: "+c.kind)
			spelt := n[0] == '-' || len(n) > 19 // what is no timestamp at all is an invalid parameter
			if got.status != 400 || !strings.Contains(got.text, bound) && !(spelt && strings.HasPrefix(c.line, "DELETE")) {
				t.Errorf("%s with %s: %d %s", c.line, n, got.status, got.text)
			}
		}
		form := []part{{"attachment", "a.txt", "text/plain", "x"}, {"data", "", "", `{"last_modified":` + n + `}`}}
		for _, id := range []string{"r", "new"} {
			if got := s.form("alice", "POST "+records+"/"+id+"/attachment", form); got.status != 400 || !strings.Contains(got.text, bound) {
				t.Errorf("an attachment with %s: %d %s", n, got.status, got.text)
			}
		}
		got := s.must(200, "alice", "POST /v1/batch", `{"defaults":{"method":"PUT","body":`+data+`},"requests":[{"path":"`+r+`"},{"path":"/buckets/b"}]}`)
		for _, one := range got.body["responses"].([]any) {
			if one := one.(map[string]any); one["status"] != 400.0 || !strings.Contains(fmt.Sprint(one), bound) {
				t.Errorf("in a batch with %s: %v", n, one)
			}
		}
	}
	after := s.must(200, "alice", "GET "+records, "")
	if diff := cmp.Diff(before.text, after.text); diff != "" || before.header.Get("ETag") != after.header.Get("ETag") {
		t.Errorf("something was done: %s", diff)
	}
	if got := ids(s.must(200, "alice", "GET /v1/buckets", "")); slices.Contains(got, "b2") {
		t.Errorf("something was made: %v", got)
	}
	// What is over before it is looked at is none: an update into the past.
	s.must(200, "alice", "PUT "+r, `{"data":{"last_modified":221845391999999}}`)
	s.must(400, "alice", "PUT "+r, `{"data":{"last_modified":221845392000001}}`)
	for range 3 { // safe updates, as JavaScript sends them: numbers are doubles
		last := number(s.must(200, "alice", "GET "+r, "").data()["last_modified"])
		s.must(200, "alice", "PUT "+r, `{"data":{}}`, `If-Match: "`+last+`"`)
	}
}

// TestNobodyMovesASharedClock: what somebody asks for their own bucket or account moves
// nobody else's by more than a day.
func TestNobodyMovesASharedClock(t *testing.T) {
	t.Attr("shows", "mend2")
	sharedClock(start(t, withClocks))
}

func sharedClock(s *server) {
	t := s.t
	const day = 24 * 3_600_000
	s.must(201, "bob", "PUT /v1/buckets/bobs", "")
	s.must(201, "bob", "PUT /v1/buckets/gone", "")
	// A restore is taken as it is, from a server whose clock is a little ahead too.
	hour := time.Now().UnixMilli() + 3_600_000
	if got := etag(t, s.must(201, "alice", "PUT /v1/buckets/past", `{"data":{"last_modified":1234567890123}}`)); got != 1234567890123 {
		t.Errorf("of the past: %d", got)
	}
	if got := etag(t, s.must(201, "alice", "PUT /v1/buckets/soon", fmt.Sprintf(`{"data":{"last_modified":%d}}`, hour))); got != hour {
		t.Errorf("in an hour: %d", got)
	}
	for i, ahead := range []int64{day + 3_600_000, 400 * day, latest9000 - 3_600_000 - time.Now().UnixMilli()} {
		want := time.Now().UnixMilli() + ahead
		data := fmt.Sprintf(`{"data":{"last_modified":%d}}`, want)
		for _, c := range []struct {
			status     int
			line, body string
		}{
			{201, fmt.Sprintf("PUT /v1/buckets/b%d", i), data},
			{200, fmt.Sprintf("PUT /v1/buckets/b%d", i), data},
			{200, fmt.Sprintf("PATCH /v1/buckets/b%d", i), data},
			{201, "POST /v1/buckets", data},
			{200, "POST /v1/batch", fmt.Sprintf(`{"requests":[{"method":"PUT","path":"/buckets/batch%d","body":%s}]}`, i, data)},
			{200, fmt.Sprintf("DELETE /v1/buckets/b%d?last_modified=%d", i, want), ""},
		} {
			s.must(c.status, "mallory", c.line, c.body)
			stands := etag(t, s.must(200, "alice", "GET /v1/buckets", ""))
			if latest := time.Now().UnixMilli() + day; stands > latest {
				t.Fatalf("%s moved everybody's buckets to %d, %d ms ahead", c.line, stands, stands-latest+day)
			}
			if got := etag(t, s.must(200, "bob", "PUT /v1/buckets/bobs", "")); got > time.Now().UnixMilli()+day {
				t.Fatalf("%s moved bob's bucket to %d", c.line, got)
			}
		}
	}
	// Whose own list it is may go where they like.
	if got := etag(t, s.must(201, "alice", "PUT /v1/buckets/past/collections/c", `{"data":{"last_modified":4000000000000}}`)); got != 4000000000000 {
		t.Errorf("a collection: %d", got)
	}
}

// TestNoAccountHidesOthers: the accounts have one ETag together, and one of them that is
// moved ahead would hide what becomes of the others.
func TestNoAccountHidesOthers(t *testing.T) {
	t.Attr("shows", "mend2")
	accountClocks(withUsers(t, withAccounts))
}

func accountClocks(s *server) {
	t := s.t
	for _, ahead := range []int64{20 * 3_600_000, 400 * 24 * 3_600_000} {
		want := time.Now().UnixMilli() + ahead
		for _, line := range []string{"PUT " + accounts + "/bob", "PATCH " + accounts + "/bob"} {
			r := s.must(200, "bob", line, fmt.Sprintf(`{"data":{"password":"pass","last_modified":%d}}`, want))
			if got := etag(t, r); got > time.Now().UnixMilli() {
				t.Errorf("%s moved the account to %d", line, got)
			}
		}
		seen := etag(t, s.must(200, "admin", "GET "+accounts, ""))
		if seen > time.Now().UnixMilli() {
			t.Fatalf("the accounts are ahead of the clock, at %d", seen)
		}
		for time.Now().UnixMilli() <= seen { // a millisecond at most
			runtime.Gosched()
		}
		s.must(200, "alice", "PATCH "+accounts+"/alice", `{"data":{"age":4}}`)
		r := s.must(200, "admin", fmt.Sprintf("GET %s?_since=%d", accounts, seen), "", fmt.Sprintf(`If-None-Match: "%d"`, seen))
		if got := ids(r); !slices.Equal(got, []string{"alice"}) {
			t.Errorf("since %d: %v", seen, got)
		}
	}
}
