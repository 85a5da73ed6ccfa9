package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
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

// everyPage are the ids of a list, the pages followed to their end.
func everyPage(s *server, user, address string) (out []string) {
	s.t.Helper()
	for pages := 0; ; pages++ {
		r := s.must(200, user, "GET "+address, "")
		out = append(out, ids(r)...)
		next := r.header.Get("Next-Page")
		if next == "" {
			return out
		}
		if pages > 20 {
			s.t.Fatalf("%s has no end", address)
		}
		u, err := url.Parse(next)
		if err != nil {
			s.t.Fatal(err)
		}
		address = u.RequestURI()
	}
}

// feed are the ids that a feed tells of, n of them.
func (s *server) feed(user, address string, n int, headers ...string) (out []string) {
	s.t.Helper()
	web := httptest.NewServer(s)
	defer web.Close()
	defer web.CloseClientConnections()
	e := listen(s.t, web.URL+address, user, headers...)
	e.want("ready", "")
	for range n {
		_, id, _ := strings.Cut(e.want("change", "").data, `"id":"`)
		id, _, _ = strings.Cut(id, `"`)
		out = append(out, id)
	}
	return out
}

// TestEveryTimestampIsTakenBack: what a list can stand at, from 1970 to far beyond what
// clients choose, is taken by every door it can come back to.
func TestEveryTimestampIsTakenBack(t *testing.T) {
	t.Attr("shows", "mend2")
	takenBack(filled(t, withClocks))
}

func takenBack(s *server) {
	t := s.t
	now := time.Now().UnixMilli()
	// What is far ahead, and nobody gave, is refused.
	for _, list := range []string{records, collections, "/v1/buckets", "/v1/permissions", historyURL} {
		for _, p := range []string{"_since", "_before", "_to"} {
			s.must(400, "alice", fmt.Sprintf("GET %s?%s=%d", list, p, now+25*3_600_000), "")
			s.must(400, "alice", fmt.Sprintf("GET %s?%s=9223372036854775807", list, p), "")
		}
	}
	for i, ts := range []int64{0, 1, 999, 1000, now - 5000, now + 3_600_000, now + 40*24*3_600_000, 4_000_000_000_000, latest9000 - 1, latest9000} {
		c := fmt.Sprintf("%s/c%d", collections, i)
		list := c + "/records"
		s.must(201, "alice", "PUT "+c, "")
		s.must(201, "alice", "PUT "+list+"/old", `{"data":{"last_modified":7}}`)
		if got := etag(t, s.must(201, "alice", "PUT "+list+"/r", fmt.Sprintf(`{"data":{"n":1,"last_modified":%d}}`, ts))); got != ts {
			t.Fatalf("%d became %d", ts, got)
		}
		// Nobody chose the next ones: a list that stands at the last one counts on.
		for round := range 3 {
			comesBack(s, list, ts)
			r := s.must(200, "alice", "PUT "+list+"/r", fmt.Sprintf(`{"data":{"n":%d}}`, round+2), fmt.Sprintf(`If-Match: "%d"`, ts))
			next := etag(t, r)
			if next <= ts || ts > now && next > ts+3_600_000 {
				t.Fatalf("%d after %d", next, ts)
			}
			s.must(412, "alice", "PUT "+list+"/r", `{"data":{}}`, fmt.Sprintf(`If-Match: "%d"`, ts))
			ts = next
		}
		// What was read can be written as it is.
		read := s.must(200, "alice", "GET "+list+"/r", "")
		for _, w := range []struct{ line, kind string }{
			{"PUT " + list + "/r", "application/json"}, {"PATCH " + list + "/r", "application/json"}, {"PATCH " + list + "/r", "application/merge-patch+json"},
		} {
			r := s.do("alice", w.line, fmt.Sprintf(`{"data":{"n":9,"last_modified":%s}}`, number(read.data()["last_modified"])), "Content-Type: "+w.kind)
			if r.status >= 300 {
				t.Errorf("%s, as it was read at %d: %s", w.line, ts, r.text)
			}
		}
		r := s.must(200, "alice", "PATCH "+list+"/r", `[{"op":"add","path":"/data/x","value":1}]`, "Content-Type: application/json-patch+json")
		ts = etag(t, r)
		form := []part{{"attachment", "a.txt", "text/plain", "x"}, {"data", "", "", fmt.Sprintf(`{"n":9,"last_modified":%d}`, ts)}}
		if r := s.form("alice", "POST "+list+"/r/attachment", form); r.status != 200 {
			t.Errorf("an attachment, at %d: %s", ts, r.text)
		}
		ts = etag(t, s.must(200, "alice", "GET "+list+"/r", ""))
		comesBack(s, list, ts)
		got := s.must(200, "alice", "POST /v1/batch", fmt.Sprintf(`{"requests":[{"path":"%s/r","headers":{"If-None-Match":"\"%d\""}},{"method":"PATCH","path":"%s/r","body":{"data":{"last_modified":%d}},"headers":{"If-Match":"\"%d\""}}]}`, list, ts, list, ts, ts))
		for j, want := range []float64{304, 200} {
			if one := got.body["responses"].([]any)[j].(map[string]any); one["status"] != want {
				t.Errorf("in a batch, at %d: %v", ts, one)
			}
		}
		ts = etag(t, s.must(200, "alice", "GET "+list+"/r", ""))
		s.must(201, "alice", "PUT "+list+"/other", fmt.Sprintf(`{"data":{"last_modified":%d}}`, ts))
		if gone := etag(t, s.must(200, "alice", fmt.Sprintf("DELETE %s/r?last_modified=%d", list, ts), "", fmt.Sprintf(`If-Match: "%d"`, ts))); gone <= ts {
			t.Errorf("a tombstone at %d, after %d", gone, ts)
		}
	}
}

// comesBack sends the timestamp of record r of a list, beside which there is old, to
// every door that only looks.
func comesBack(s *server, list string, ts int64) {
	t := s.t
	t.Helper()
	one := s.must(200, "alice", "GET "+list+"/r", "")
	if got := etag(t, one); got != ts || number(one.data()["last_modified"]) != strconv.FormatInt(ts, 10) {
		t.Fatalf("%d is %s", ts, one.text)
	}
	tag := fmt.Sprintf(`"%d"`, ts)
	if r := s.must(304, "alice", "GET "+list+"/r", "", "If-None-Match: "+tag); etag(t, r) != ts {
		t.Errorf("304: %v", r.header)
	}
	if r := s.must(412, "alice", "GET "+list+"/r", "", "If-Match: \"5\""); etag(t, r) != ts {
		t.Errorf("412: %v", r.header)
	}
	stands := etag(t, s.must(200, "alice", "GET "+list, ""))
	s.must(304, "alice", "GET "+list, "", fmt.Sprintf(`If-None-Match: "%d"`, stands))
	s.must(200, "alice", "HEAD "+list, "", fmt.Sprintf(`If-Match: "%d"`, stands))
	// The others have 7, and timestamps of now if r is older than its list.
	sees := func(parameter string, at int64, r, old bool) {
		t.Helper()
		for _, text := range []string{strconv.FormatInt(at, 10), url.QueryEscape(fmt.Sprintf(`"%d"`, at))} {
			got := ids(s.must(200, "alice", "GET "+list+"?"+parameter+"="+text, ""))
			if slices.Contains(got, "r") != r || slices.Contains(got, "old") != old {
				t.Errorf("%s=%s: %v", parameter, text, got)
			}
		}
	}
	for _, p := range []string{"_since", "gt_last_modified"} {
		sees(p, ts, false, ts < 7)
	}
	for _, p := range []string{"_before", "_to", "lt_last_modified"} {
		sees(p, ts, false, ts > 7)
	}
	sees("min_last_modified", ts, true, ts <= 7)
	sees("max_last_modified", ts, true, ts >= 7)
	sees("last_modified", ts, true, false)
	sees("not_last_modified", ts, false, true)
	sees("_since", stands, false, false)
	if ts > 0 {
		sees("_since", ts-1, true, ts <= 7)
	}
	both := []string{"old", "r"}
	for _, q := range []string{"", "&_since=0", "&_sort=last_modified", "&_sort=n", fmt.Sprintf("&max_last_modified=%d", stands), fmt.Sprintf("&_sort=last_modified&max_last_modified=%d", stands)} {
		if ts == 0 && strings.Contains(q, "_since") {
			continue
		}
		got := everyPage(s, "alice", list+"?_limit=1"+q)
		slices.Sort(got)
		if !slices.Equal(got, both) {
			t.Errorf("page by page%s: %v", q, got)
		}
	}
	if ts > 7 {
		if got := s.feed("alice", list+"?_since=7", 1); !slices.Equal(got, []string{"r"}) {
			t.Errorf("a feed since 7: %v", got)
		}
	}
	s.feed("alice", fmt.Sprintf("%s?_since=%d", list, stands), 0)
	s.feed("alice", list, 0, fmt.Sprintf("Last-Event-ID: %d", stands))
	at := strings.Replace(strings.TrimSuffix(list, "/records"), "/collections/", "/snapshot/collections/", 1) + "@" + strconv.FormatInt(ts, 10)
	if got := ids(s.must(200, "alice", "GET "+at, "")); !slices.Contains(got, "r") {
		t.Errorf("the snapshot %s: %v", at, got)
	}
	s.must(200, "alice", fmt.Sprintf("GET /v1/permissions?_since=%d", time.Now().UnixMilli()), "")
	s.must(200, "alice", fmt.Sprintf("GET %s?gt_target.data.last_modified=%d", historyURL, ts), "")
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
		s.must(400, "admin", fmt.Sprintf("GET %s?_since=%d", accounts, seen+25*3_600_000), "")
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

// TestListsMadeAgainBeginNow: a list that was flushed, or whose collection or bucket was
// made again, begins at now, wherever it stood, and its clients are shown what it has.
func TestListsMadeAgainBeginNow(t *testing.T) {
	t.Attr("shows", "mend2")
	madeAgain(start(t, withClocks))
}

func madeAgain(s *server) {
	t := s.t
	const bucket, c, list = "/v1/buckets/b", "/v1/buckets/b/collections/c", "/v1/buckets/b/collections/c/records"
	for _, how := range []string{"DELETE " + c, "DELETE " + collections, "DELETE " + bucket, "DELETE /v1/buckets", "POST /v1/__flush__"} {
		s.do("alice", "PUT "+bucket, "")
		s.do("alice", "PUT "+c, "")
		s.must(201, "alice", "PUT "+list+"/r", fmt.Sprintf(`{"data":{"last_modified":%d}}`, 4_000_000_000_000))
		former := etag(t, s.must(200, "alice", "PUT "+list+"/r", ""))
		if former < 4_000_000_000_000 {
			t.Fatalf("%s: the list did not move: %d", how, former)
		}
		start := time.Now().UnixMilli()
		if r := s.do("alice", how, ""); r.status >= 300 {
			t.Fatalf("%s: %s", how, r.text)
		}
		s.do("alice", "PUT "+bucket, "")
		s.do("alice", "PUT "+c, "")
		if began := etag(t, s.must(200, "alice", "GET "+list, "")); began < start || began > time.Now().UnixMilli() {
			t.Errorf("%s: the list began at %d, now is %d", how, began, time.Now().UnixMilli())
		}
		since := fmt.Sprintf("%s?_since=%d", list, former)
		if got := ids(s.must(200, "alice", "GET "+since, "")); got != nil {
			t.Errorf("%s: left %v", how, got)
		}
		// A client of the former list sees all that the new one has, however it asks.
		for i := range 3 {
			s.must(201, "alice", fmt.Sprintf("PUT %s/n%d", list, i), "")
		}
		s.must(200, "alice", "DELETE "+list+"/n1", "")
		newest, oldest := []string{"n1", "n2", "n0"}, []string{"n0", "n2", "n1"}
		for query, want := range map[string][]string{
			"": newest, "&_limit=1": newest, "&_sort=last_modified": oldest, "&_limit=1&_sort=last_modified": oldest, "&_limit=2&_sort=id": {"n0", "n1", "n2"},
		} {
			if diff := cmp.Diff(want, everyPage(s, "alice", since+query)); diff != "" {
				t.Errorf("%s: %s%s: %s", how, since, query, diff)
			}
		}
		if got := s.must(200, "alice", "HEAD "+since, "").header.Get("Total-Records"); got != "2" {
			t.Errorf("%s: counted %s", how, got)
		}
		if got := s.feed("alice", since, 3); !slices.Equal(got, oldest) {
			t.Errorf("%s: a feed since then: %v", how, got)
		}
		if got := s.feed("alice", list, 3, fmt.Sprintf("Last-Event-ID: %d", former)); !slices.Equal(got, oldest) {
			t.Errorf("%s: a feed that goes on: %v", how, got)
		}
		// What the new list gave is as it always is, and so is what nobody gave.
		if got := ids(s.must(200, "alice", fmt.Sprintf("GET %s?_since=%d", list, etag(t, s.must(200, "alice", "GET "+list, ""))), "")); got != nil {
			t.Errorf("%s: since now: %v", how, got)
		}
		if got := ids(s.must(200, "alice", fmt.Sprintf("GET %s?last_modified=%d", list, former), "")); got != nil {
			t.Errorf("%s: at the former: %v", how, got)
		}
		s.must(400, "alice", fmt.Sprintf("GET %s?_since=%d", list, former+1_000_000), "")
		// Nobody deletes what they were not shown.
		if got := ids(s.must(200, "alice", "DELETE "+since, "")); got != nil {
			t.Errorf("%s: deleted %v", how, got)
		}
		s.must(200, "alice", "DELETE "+bucket, "")
	}
	// A list that is a little ahead goes on there, so that its clients notice by the ETag,
	// as kinto.js does: the clock is there soon.
	s.must(201, "alice", "PUT "+bucket, "")
	s.must(201, "alice", "PUT "+c, "")
	ahead := etag(t, s.must(201, "alice", "PUT "+list+"/r", fmt.Sprintf(`{"data":{"last_modified":%d}}`, time.Now().UnixMilli()+3_600_000)))
	s.must(200, "alice", "DELETE "+c, "")
	s.must(201, "alice", "PUT "+c, "")
	if got := etag(t, s.must(200, "alice", "GET "+list, "")); got != ahead+1 {
		t.Errorf("it was at %d, and began at %d", ahead, got)
	}
}
