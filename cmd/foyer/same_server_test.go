//go:build !windows

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/server/servertest"
	"github.com/foyer-server/foyer/server/storage/postgres/pgtest"
)

// A request of the hundred that two servers are asked. As is whose it is: the owner, or
// somebody with a name and the password "a long password".
type request struct{ method, path, as, body string }

// requests are of every kind, and make what later ones ask for.
func requests() []request {
	const owner = "owner"
	out := []request{
		{"GET", "/v1/", "", ""},
		{"GET", "/v1/", owner, ""},
		{"GET", "/v1/", "ann", ""},
		{"GET", "/", "", ""},
		{"GET", "/v1", "", ""},
		{"GET", "/buckets/", "", ""},
		{"GET", "/v2/", "", ""},
		{"GET", "/v1/nothing", "", ""},
		{"GET", "/v1/__heartbeat__", "", ""},
		{"GET", "/v1/__lbheartbeat__", "", ""},
		{"GET", "/v1/__version__", "", ""},
		{"GET", "/v1/contribute.json", "", ""},
		{"GET", "/v1/__api__", "", ""},
		{"GET", "/v1/__counters__", "", ""},
		{"OPTIONS", "/v1/buckets", "", ""},
		{"TRACE", "/v1/buckets", owner, ""},
		{"PUT", "/v1/accounts/ann", "", `{"data":{"password":"a long password"}}`},
		{"PUT", "/v1/accounts/ann", "", `{"data":{"password":"a long password"}}`},
		{"GET", "/v1/accounts/ann", "ann", ""},
		{"GET", "/v1/accounts", "ann", ""},
		{"GET", "/v1/accounts", "", ""},
		{"POST", "/v1/accounts", owner, `{"data":{"id":"bob","password":"a long password"}}`},
		{"GET", "/v1/accounts", owner, ""},
		{"GET", "/v1/", "bob", ""},
		{"GET", "/v1/permissions", "", ""},
		{"GET", "/v1/permissions", "ann", ""},
	}
	for _, who := range []string{owner, "ann", ""} {
		bucket := "/v1/buckets/b" + who
		posts := bucket + "/collections/posts"
		out = append(out,
			request{"PUT", bucket, who, `{"permissions":{"read":["system.Everyone"]}}`}, request{"GET", bucket, who, ""}, request{"GET", "/v1/buckets", who, ""}, request{"HEAD", "/v1/buckets", who, ""},
			request{"PUT", posts, who, `{"data":{"schema":{"type":"object","properties":{"n":{"type":"integer"}}}}}`}, request{"PUT", bucket + "/groups/g", who, `{"data":{"members":["account:ann"]}}`},
			request{"POST", bucket + "/groups", who, `{"data":{"id":"h"}}`}, request{"GET", bucket + "/groups", who, ""},
			request{"PUT", posts + "/records/one", who, `{"data":{"n":1}}`}, request{"PUT", posts + "/records/two", who, `{"data":{"n":"two"}}`}, request{"POST", posts + "/records", who, `{"data":{"id":"three","n":3}}`},
			request{"PATCH", posts + "/records/one", who, `{"data":{"m":2}}`}, request{"GET", posts + "/records/one", "", ""}, request{"GET", posts + "/records?_sort=n&_limit=1", who, ""},
			request{"GET", posts + "/records?min_n=2", "bob", ""}, request{"HEAD", posts + "/records", who, ""}, request{"DELETE", posts + "/records/one", who, ""}, request{"GET", posts + "/records?_since=1", who, ""},
			request{"GET", bucket + "/history?_sort=uri,action,last_modified&_limit=100", who, ""}, request{"GET", bucket + "/snapshot/collections/posts@1", who, ""},
			request{"POST", "/v1/batch", who, `{"defaults":{"method":"PUT"},"requests":[{"path":"` + posts + `/records/x","body":{"data":{}}},{"path":"/buckets/nobody/collections/c"}]}`},
			request{"POST", posts + "/records/file/attachment", who, "file"}, request{"GET", posts + "/records/file", who, ""}, request{"DELETE", posts + "/records/file/attachment", who, ""},
			request{"GET", "/v1/buckets/default", who, ""}, request{"PUT", "/v1/buckets/default/collections/c/records/r", who, `{"data":{"a":1}}`}, request{"DELETE", posts + "/records", who, ""},
		)
	}
	return append(out, request{"GET", "/v1/openid/google/login?callback=https://app.example/", "", ""}, request{"GET", "/v1/openid/google/token", "", ""},
		request{"DELETE", "/v1/__user_data__/account:ann", owner, ""}, request{"POST", "/v1/__flush__", "", ""}, request{"GET", "/v1/buckets", owner, ""}, request{"PUT", "/v1/buckets/late", owner, ""})
}

// What differs from one server to the next: when it is asked, and its address, names and
// what is made at random, of which each is replaced by the number with which it came first.
var (
	when = regexp.MustCompile(`\b1[0-9]{12}\b|\b20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|\+00:00)?|[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} 20[0-9]{2} [0-9:]{8} GMT|_token=[^"&]*`)
	own  = regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b[0-9a-f]{32,}\b|foyer-[0-9a-f]{8}\.local:[0-9]+`)
)

// answer is what a server says to a request, without what is its own.
func answer(t *testing.T, s *servertest.Server, c *http.Client, r request) string {
	t.Helper()
	body, kind := r.body, "application/json"
	if body == "file" {
		kind = "multipart/form-data; boundary=xyz"
		body = "--xyz\r\nContent-Disposition: form-data; name=\"attachment\"; filename=\"a.exe\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--xyz--\r\n"
	}
	req, err := http.NewRequestWithContext(t.Context(), r.method, s.URL+r.path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", kind)
	}
	if r.method == "OPTIONS" {
		req.Header.Set("Access-Control-Request-Method", "POST")
	}
	req.Header.Set("Origin", "https://app.example")
	switch r.as {
	case "":
	case "owner":
		req.SetBasicAuth(servertest.Owner, servertest.Password)
	default:
		req.SetBasicAuth(r.as, "a long password")
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var value any // keys in order
	if json.Unmarshal(text, &value) == nil {
		text, _ = json.Marshal(value)
	}
	var b strings.Builder
	fmt.Fprintln(&b, resp.StatusCode)
	for _, name := range []string{"Content-Type", "Www-Authenticate", "Cache-Control", "Location", "Alert", "Backoff", "Retry-After", "Allow", "Etag", "Next-Page", "Total-Objects", "Access-Control-Allow-Origin"} {
		for _, v := range resp.Header.Values(name) {
			fmt.Fprintln(&b, name+": "+v)
		}
	}
	b.Write(text)
	seen := map[string]string{}
	return own.ReplaceAllStringFunc(when.ReplaceAllString(b.String(), "<time>"), func(text string) string {
		if seen[text] == "" {
			seen[text] = fmt.Sprintf("<%d>", len(seen))
		}
		return seen[text]
	})
}

// A host's kinto.ini, and the same settings by the environment, make the same server: it
// says the same of itself, and answers the same to a hundred requests of every kind.
func TestAKintoINIAndTheEnvironmentMakeTheSameServer(t *testing.T) {
	t.Attr("shows", "mend3")
	var cluster *pgtest.Cluster
	for _, h := range hosts {
		if watched && !strings.Contains(h.ini, "basicauth") { // a smaller dose, on both stores; the others wait for bcrypt
			continue
		}
		t.Run(h.name, func(t *testing.T) {
			dir, database := t.TempDir(), func() string { return someDatabase }
			if strings.Contains(h.ini, "DATABASE") {
				if cluster == nil {
					cluster = pgtest.Start(t)
				}
				database = func() string { // "host=SOCKET user=NAME dbname=NAME", as an address
					words := map[string]string{}
					for w := range strings.FieldsSeq(cluster.DSN(t)) {
						k, v, _ := strings.Cut(w, "=")
						words[k] = v
					}
					return "postgresql+psycopg2://" + words["user"] + "@/" + words["dbname"] + "?host=" + strings.ReplaceAll(words["host"], "/", "%2F")
				}
			}
			ini, _ := h.in(dir, database())
			_, environ := h.in(filepath.Join(dir, "other"), database())
			path := filepath.Join(dir, "kinto.ini")
			if err := os.WriteFile(path, []byte(ini), 0o600); err != nil {
				t.Fatal(err)
			}
			start := func(path string, environ []string) *servertest.Server {
				loaded, err := config.Load(path, environ)
				if err != nil {
					t.Fatal(err)
				}
				return servertest.Start(t, servertest.Config{PlainHTTP: true, Settings: func(s *config.Settings) { s.Kinto = loaded.Kinto }})
			}
			one, two := start(path, nil), start("", environ)
			if postgres := strings.Contains(h.ini, "DATABASE"); postgres == exists(filepath.Join(one.Data, "data.db")) || postgres == exists(filepath.Join(two.Data, "data.db")) {
				t.Error("the data are not where the settings say")
			}
			a, b := one.Client(), two.Client()
			statuses := map[string]int{}
			asked := requests()
			for _, r := range asked {
				first, second := answer(t, one, a, r), answer(t, two, b, r)
				statuses[first[:3]]++
				if first != second {
					t.Errorf("%s %s as %q: by the file\n%.1500s\nand by the environment\n%.1500s", r.method, r.path, r.as, first, second)
				}
			}
			if len(asked) < 100 || len(statuses) < 5 {
				t.Errorf("%d requests, answered %v", len(asked), statuses)
			}
			fmt.Fprintln(os.Stderr, "SHOW kinto.ini and environment,", h.name+":", len(asked), "requests are answered the same by both:", statuses)
		})
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
