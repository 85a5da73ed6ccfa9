package api

import (
	"strings"
	"testing"
)

// Another site that somebody has open cannot make their browser change anything here, by
// whatever it can have a browser send without asking.
func TestNothingIsChangedForAnotherSite(t *testing.T) {
	t.Attr("shows", "mend")
	s := filled(t, nil)
	const record = "/v1/buckets/b/collections/c/records/r"
	n := 0
	for _, site := range []string{"cross-site", "same-site"} {
		for _, mode := range []string{"navigate", "no-cors", "same-origin", "websocket", ""} {
			headers := []string{"Sec-Fetch-Site: " + site, "Sec-Fetch-Mode: " + mode}
			for _, c := range [][2]string{
				{"POST /v1/buckets", ""},
				{"POST /v1/buckets/b/collections/c/records", `{"data":{}}`},
				{"PUT " + record, `{}`},
				{"PATCH " + record, `{"permissions":{"read":["system.Everyone"]}}`},
				{"DELETE " + record, ""},
				{"POST /v1/batch", `{"requests":[{"path":"` + record + `","method":"DELETE"}]}`},
				{"DELETE " + attachmentPath, ""},
				{"POST /v1/__flush__", ""},
			} {
				if r := s.do("alice", c[0], c[1], headers...); r.status != 403 {
					t.Errorf("%s, %v: %d %s", c[0], headers, r.status, r.text)
				}
				n++
			}
			if r := s.form("alice", "POST "+attachmentPath, []part{{"attachment", "a.txt", "text/plain", "x"}, {name: "permissions", text: `{"read":["system.Everyone"]}`}}, headers...); r.status != 403 {
				t.Errorf("a form, %v: %d %s", headers, r.status, r.text)
			}
			n++
		}
	}
	if d := s.must(200, "alice", "GET "+record, "").data(); d["attachment"] != nil {
		t.Errorf("something was attached: %v", d)
	}
	s.must(401, "", "GET "+record, "")
	// Whoever reads, a script that names its credentials, our own pages, and what is no browser go on.
	s.must(200, "alice", "GET "+record, "", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate")
	for _, headers := range [][]string{nil, {"Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate"}, {"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors"}, {"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: cors"}} {
		s.must(200, "alice", "PATCH "+record, `{"data":{"n":3}}`, headers...)
		if r := s.form("alice", "POST "+attachmentPath, []part{{"attachment", "a.txt", "text/plain", "x"}}, headers...); r.status != 200 {
			t.Errorf("a form, %v: %d %s", headers, r.status, r.text)
		}
	}
	// A body that does not say what it is can be sent without asking, too.
	for _, line := range []string{"POST /v1/buckets", "POST /v1/buckets/b/collections/c/records", "POST /v1/batch"} {
		for _, kind := range []string{"", " "} {
			if r := s.do("alice", line, `{"data":{"id":"x"}}`, "Content-Type: "+kind); r.status != 415 {
				t.Errorf("%s of nothing in particular: %d %s", line, r.status, r.text)
			}
		}
	}
	s.must(201, "alice", "POST /v1/buckets", "")
	t.Logf("SHOW requests that another site made a browser send: %d of %d refused", n, n)
}

// A browser that opens an address is not asked for a name and a password, which it would
// keep and send along with what other sites make it send; clients are asked.
func TestBrowsersAreNotAskedForPasswords(t *testing.T) {
	s := filled(t, nil)
	asked := func(headers ...string) string {
		return strings.Join(s.must(401, "", "GET /v1/buckets/b", "", headers...).header.Values("WWW-Authenticate"), ", ")
	}
	if got := asked("Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: none"); got != `x-Basic realm="Realm", charset="UTF-8"` {
		t.Errorf("a browser: %s", got)
	}
	for _, headers := range [][]string{nil, {"Sec-Fetch-Mode: cors", "Sec-Fetch-Site: cross-site"}} {
		if got := asked(headers...); got != `Basic realm="Realm", charset="UTF-8"` {
			t.Errorf("a client with %v: %s", headers, got)
		}
	}
}
