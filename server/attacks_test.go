package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	console "github.com/foyer-server/foyer/internal/claim"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server/servertest"
)

// These are attacks as a stranger makes them, over HTTP alone. docs/hardening.md says
// which is which; the rooms have tests of every case.

// attacker sends requests from an address to a server that serves everything without TLS.
type attacker struct {
	*testing.T
	server *servertest.Server
	client *http.Client
}

func attacked(t *testing.T, c servertest.Config, kinto map[string]string) *attacker {
	t.Helper()
	change := c.Settings
	c.PlainHTTP = true
	c.Settings = func(s *config.Settings) {
		s.Kinto = config.NewKinto(kinto)
		if change != nil {
			change(s)
		}
	}
	return (&attacker{T: t, server: servertest.Start(t, c)}).from("127.0.0.1")
}

// from is the attacker at another address of this machine.
func (a *attacker) from(address string) *attacker {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 0))}
	tr := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return d.DialContext(ctx, network, a.server.Addr(host.HTTP))
	}}
	a.Cleanup(tr.CloseIdleConnections)
	return &attacker{a.T, a.server, &http.Client{Transport: tr, Timeout: 2 * time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// ask sends "METHOD path" as "name:password", or as nobody.
func (a *attacker) ask(who, line, body string, headers ...string) (status int, text string, header http.Header) {
	a.Helper()
	method, path, _ := strings.Cut(line, " ")
	base := strings.TrimSuffix(a.server.Plain, "/")
	r, err := http.NewRequestWithContext(a.Context(), method, base+path, strings.NewReader(body))
	if err != nil {
		a.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if name, password, ok := strings.Cut(who, ":"); ok {
		r.SetBasicAuth(name, password)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if r.Header.Set(name, value); name == "Host" {
			r.Host = value
		}
	}
	resp, err := a.client.Do(r)
	if err != nil {
		a.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		a.Fatal(err)
	}
	return resp.StatusCode, string(raw), resp.Header
}

func (a *attacker) must(status int, who, line, body string, headers ...string) string {
	a.Helper()
	got, text, _ := a.ask(who, line, body, headers...)
	if got != status {
		a.Fatalf("%s as %q: %d, want %d: %s", line, who, got, status, text)
	}
	return text
}

// signin types a password on the page.
func (a *attacker) signin(name, password string) int {
	a.Helper()
	status, _, _ := a.ask("", "POST /signin", url.Values{"name": {name}, "password": {password}}.Encode(), "Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin")
	return status
}

const jeannine = servertest.Owner + ":" + servertest.Password

// While a name is paused, a guess that equals a password which was right a moment ago is
// answered as any other, on both doors.
func TestAPauseTellsNoPassword(t *testing.T) {
	t.Attr("shows", "mend")
	a := attacked(t, servertest.Config{}, nil)
	a.must(200, jeannine, "GET /v1/", "")
	a.must(200, jeannine, "GET /v1/buckets/default", "")
	if got := a.signin(servertest.Owner, servertest.Password); got != http.StatusSeeOther {
		t.Fatalf("the owner signs in: %d", got)
	}
	b := a.from("127.0.0.2")
	for n := range 30 {
		b.ask(servertest.Owner+":guess "+fmt.Sprint(n), "GET /v1/buckets", "")
	}
	wrong, _, _ := b.ask(servertest.Owner+":another guess", "GET /v1/buckets", "")
	right, _, _ := b.ask(jeannine, "GET /v1/buckets", "")
	if wrong != right || right == http.StatusOK {
		t.Errorf("by API a wrong one gets %d and the right one %d", wrong, right)
	}
	if wrong, right := b.signin(servertest.Owner, "another guess"), b.signin(servertest.Owner, servertest.Password); wrong != right || right == http.StatusSeeOther {
		t.Errorf("on the page a wrong one gets %d and the right one %d", wrong, right)
	}
	if got, _, _ := a.ask(jeannine, "GET /v1/buckets", ""); got != http.StatusOK {
		t.Errorf("the owner's own app gets %d", got)
	}
}

var open = map[string]string{"account_create_principals": "system.Everyone"}

// By API nobody takes what is the owner's, or somebody's who was removed.
func TestAccountsAreTheirPersonsByAPI(t *testing.T) {
	t.Attr("shows", "mend")
	a := attacked(t, servertest.Config{}, open)
	a.must(201, "", "PUT /v1/accounts/paul", `{"data":{"password":"pauls horse"}}`)
	a.must(201, "paul:pauls horse", "PUT /v1/buckets/default/collections/c/records/r", `{"data":{"dear":"diary"}}`)
	a.must(200, "paul:pauls horse", "DELETE /v1/accounts/paul", "")
	if got, _, _ := a.ask("", "PUT /v1/accounts/paul", `{"data":{"password":"eves horse"}}`); got < 400 {
		t.Errorf("somebody else has the name: %d", got)
	}
	if got, text, _ := a.ask("paul:eves horse", "GET /v1/buckets/default/collections/c/records/r", ""); got == 200 {
		t.Errorf("and the diary: %s", text)
	}
}

// The hash of a password is answered to nobody.
func TestNoAnswerHasAHash(t *testing.T) {
	t.Attr("shows", "mend")
	a := attacked(t, servertest.Config{}, open)
	for _, c := range [][3]string{
		{"", "PUT /v1/accounts/paul", `{"data":{"password":"pauls horse"}}`},
		{"", "POST /v1/accounts", `{"data":{"id":"anna","password":"annas horse"}}`},
		{jeannine, "GET /v1/accounts", ""},
		{jeannine, "GET /v1/accounts/paul", ""},
		{"paul:pauls horse", "GET /v1/accounts/paul", ""},
		{jeannine, "PATCH /v1/accounts/paul", `{"data":{"x":1}}`},
		{jeannine, "POST /v1/batch", `{"requests":[{"path":"/accounts"}]}`},
	} {
		if _, text, _ := a.ask(c[0], c[1], c[2]); strings.Contains(text, "$2a$") {
			t.Errorf("%s: %s", c[1], text)
		}
	}
}

// What the pages refuse the API refuses.
func TestWeakPasswordsAndNamesAreRefusedByAPI(t *testing.T) {
	t.Attr("shows", "mend")
	a := attacked(t, servertest.Config{}, open)
	a.must(400, "", "PUT /v1/accounts/paul", `{"data":{"password":"x"}}`)
	a.must(400, "", "PUT /v1/accounts/Jeannine", `{"data":{"password":"long enough"}}`)
}

// A group that is made again by somebody else has nothing of what the former was granted.
func TestGroupsMadeAgainHaveNothing(t *testing.T) {
	t.Attr("shows", "mend")
	a := attacked(t, servertest.Config{}, open)
	const eve = "eve:eves horse"
	a.must(201, "", "PUT /v1/accounts/eve", `{"data":{"password":"eves horse"}}`)
	a.must(201, jeannine, "PUT /v1/buckets/friends", "")
	a.must(201, jeannine, "PUT /v1/buckets/friends/groups/family", `{"data":{"members":[]}}`)
	a.must(201, jeannine, "PUT /v1/buckets/diary", `{"permissions":{"read":["/buckets/friends/groups/family"]}}`)
	a.must(200, jeannine, "DELETE /v1/buckets/friends", "")
	a.must(201, eve, "PUT /v1/buckets/friends", "")
	a.must(201, eve, "PUT /v1/buckets/friends/groups/family", `{"data":{"members":["account:eve"]}}`)
	a.must(403, eve, "GET /v1/buckets/diary", "")
}

// A snapshot of a collection that was made again shows nothing of the one before.
func TestSnapshotsShowNothingOfOthers(t *testing.T) {
	t.Attr("shows", "mend")
	a := attacked(t, servertest.Config{}, map[string]string{"account_create_principals": "system.Everyone", "includes": "kinto.plugins.accounts kinto.plugins.history"})
	const eve = "eve:eves horse"
	a.must(201, "", "PUT /v1/accounts/eve", `{"data":{"password":"eves horse"}}`)
	a.must(201, jeannine, "PUT /v1/buckets/b", `{"permissions":{"collection:create":["account:eve"]}}`)
	a.must(201, jeannine, "PUT /v1/buckets/b/collections/c", "")
	text := a.must(201, jeannine, "PUT /v1/buckets/b/collections/c/records/r", `{"data":{"dear":"diary"}}`)
	var record struct {
		Data struct {
			At int64 `json:"last_modified"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(text), &record); err != nil {
		t.Fatal(err)
	}
	a.must(200, jeannine, "DELETE /v1/buckets/b/collections/c", "")
	a.must(201, eve, "PUT /v1/buckets/b/collections/c", "")
	if text := a.must(200, eve, fmt.Sprintf("GET /v1/buckets/b/snapshot/collections/c@%d", record.Data.At), ""); strings.Contains(text, "diary") {
		t.Error(text)
	}
}

// identities is a provider of identities that vouches for a token whoever it is for.
func identities(t *testing.T) map[string]string {
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/token":
			fmt.Fprint(w, `{"access_token":"ours","token_type":"Bearer"}`)
		case "/me":
			fmt.Fprint(w, `{"sub":"jeannine"}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(p.Close)
	return map[string]string{
		"multiauth.policies": "account other", "multiauth.policy.other.authorization_endpoint": p.URL + "/auth", "multiauth.policy.other.token_endpoint": p.URL + "/token", "multiauth.policy.other.userinfo_endpoint": p.URL + "/me",
		"multiauth.policy.other.client_id": "foyer", "multiauth.policy.other.client_secret": "s3cret",
	}
}

// With cors_origins = "*", which is the default, a link does not send a token to any site.
func TestTokensGoToNamedSites(t *testing.T) {
	t.Attr("shows", "mend")
	a := attacked(t, servertest.Config{}, identities(t))
	if status, _, header := a.ask("", "GET /v1/openid/other/login?callback=https%3A%2F%2Fevil.example%2F&scope=openid&prompt=none", ""); status != 400 {
		t.Errorf("%d, to %s", status, header.Get("Location"))
	}
}

// A sign-in that somebody else began signs nobody in.
func TestASignInIsItsBrowsers(t *testing.T) {
	t.Attr("shows", "mend")
	settings := identities(t)
	settings["cors_origins"] = "https://app.example"
	a := attacked(t, servertest.Config{}, settings)
	_, _, header := a.ask("", "GET /v1/openid/other/login?callback=https%3A%2F%2Fapp.example%2F&scope=openid", "")
	to, err := url.Parse(header.Get("Location"))
	if err != nil || to.Query().Get("state") == "" {
		t.Fatalf("%v", header)
	}
	if status, _, _ := a.ask("", "GET /v1/openid/other/token?code=x&state="+to.Query().Get("state"), ""); status != 400 {
		t.Errorf("another browser: %d", status)
	}
}

// A token that was made for another app is nobody's here.
func TestTokensOfOtherAppsAreRefused(t *testing.T) {
	t.Attr("shows", "mend")
	a := attacked(t, servertest.Config{}, identities(t))
	a.must(401, "", "GET /v1/buckets", "", "Authorization: Bearer of-another-app")
}

// attach sends a form with a file, as a page can have a browser do.
func (a *attacker) attach(who, record, name, kind, text string, headers ...string) (status int, answer string) {
	a.Helper()
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	part, err := m.CreatePart(textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name="attachment"; filename=%q`, name)}, "Content-Type": {kind}})
	if err == nil {
		_, err = io.WriteString(part, text)
	}
	if err == nil {
		err = m.WriteField("permissions", `{"read":["system.Everyone"]}`)
	}
	if err == nil {
		err = m.Close()
	}
	if err != nil {
		a.Fatal(err)
	}
	status, answer, _ = a.ask(who, "POST "+record+"/attachment", body.String(), append([]string{"Content-Type: " + m.FormDataContentType()}, headers...)...)
	return status, answer
}

const diary = "/v1/buckets/diary/collections/c/records/r"

func (a *attacker) withDiary() *attacker {
	a.Helper()
	a.must(201, jeannine, "PUT /v1/buckets/diary", "")
	a.must(201, jeannine, "PUT /v1/buckets/diary/collections/c", "")
	a.must(201, jeannine, "PUT "+diary, `{"data":{"dear":"diary"}}`)
	return a
}

// Another site's form opens no record to everybody.
func TestAnotherSitesFormChangesNothing(t *testing.T) {
	t.Attr("shows", "mend")
	a := attacked(t, servertest.Config{}, nil).withDiary()
	if status, text := a.attach(jeannine, diary, "a.txt", "text/plain", "x", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Origin: https://evil.example"); status != 403 {
		t.Errorf("%d %s", status, text)
	}
	a.must(401, "", "GET "+diary, "")
}

// A flood of wrong codes keeps out nobody who has a fresh one from the machine's console.
func TestAFreshCodeWorksInAFlood(t *testing.T) {
	t.Attr("shows", "mend")
	a := attacked(t, servertest.Config{Unclaimed: true}, nil)
	var wg sync.WaitGroup
	var over atomic.Bool
	defer wg.Wait()
	defer over.Store(true)
	var wrong atomic.Int64
	body := func(code string) string {
		return `{"code":"` + code + `","name":"jeannine","password":"correct horse battery"}`
	}
	for i := range 4 {
		b := a.from(fmt.Sprintf("127.0.0.%d", 10+i))
		wg.Go(func() {
			for !over.Load() && wrong.Add(1) < 5000 {
				resp, err := b.client.Post(b.server.Plain+"/claim", "application/json", strings.NewReader(body("0000-0000")))
				if err != nil {
					b.Error(err)
					return
				}
				resp.Body.Close() //nolint:errcheck // nothing of it is wanted
			}
		})
	}
	more := func(tries int64) { // lets the flood go on for a while
		for deadline, until := time.Now().Add(2*time.Minute), wrong.Load()+tries; wrong.Load() < until && !t.Failed() && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
	}
	more(100)
	tries := 0
	for deadline := time.Now().Add(time.Minute); ; tries++ {
		code, offer, err := console.NewCode(time.Now())
		if err == nil {
			err = console.Leave(a.server.Data, offer, -1, -1)
		}
		if err != nil {
			t.Fatal(err)
		}
		more(50) // while somebody types it
		status, text, _ := a.from("127.0.0.2").ask("", "POST /claim", body(code))
		if status == http.StatusCreated {
			break
		}
		if time.Now().After(deadline) || tries == 4 {
			t.Fatalf("after %d wrong ones, with a fifth fresh code: %d %s", wrong.Load(), status, text)
		}
	}
	t.Logf("SHOW a fresh code in a flood of wrong ones: try %d, after %d wrong ones", tries+1, wrong.Load())
}

// An address that a proxy writes without a port counts like one with.
func TestAddressesWithoutAPortCount(t *testing.T) {
	t.Attr("shows", "mend")
	a := attacked(t, servertest.Config{Settings: func(s *config.Settings) { s.Proxy.Trusted = []string{"127.0.0.1"} }}, nil)
	for n := range 70 {
		status, _, _ := a.ask("", "POST /signin", url.Values{"name": {fmt.Sprint("name", n)}, "password": {"guess"}}.Encode(), "Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin", "X-Forwarded-For: 198.51.100.7")
		if status == http.StatusTooManyRequests {
			return
		}
	}
	t.Error("70 names guessed from one address, and no pause")
}

// What tells of an attachment is not forged by another spelling of its name.
func TestAttachmentsAreNotForged(t *testing.T) {
	t.Attr("shows", "mend")
	a := attacked(t, servertest.Config{}, nil).withDiary()
	if status, text := a.attach(jeannine, diary, "a.txt", "text/plain", "x"); status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	a.must(400, jeannine, "PUT "+diary, `{"data":{"att\u0061chment":{"filename":"forged","location":"https://evil.example/"}}}`)
}

// A page, a profile or a certificate that somebody uploaded is not opened as one.
func TestAttachmentsAreNotOpened(t *testing.T) {
	t.Attr("shows", "mend")
	a := attacked(t, servertest.Config{}, map[string]string{"attachment.extensions": "any"}).withDiary()
	for _, kind := range []string{"text/html", "application/x-apple-aspen-config", "application/x-x509-ca-cert"} {
		_, text := a.attach(jeannine, diary, "a.txt", kind, "<script>alert(1)</script>")
		var told struct{ Location string }
		if err := json.Unmarshal([]byte(text), &told); err != nil {
			t.Fatal(err)
		}
		_, path, _ := strings.Cut(told.Location, "/v1/")
		_, _, header := a.ask("", "GET /v1/"+path, "")
		if !strings.HasPrefix(header.Get("Content-Disposition"), "attachment") || header.Get("Content-Type") != "application/octet-stream" {
			t.Errorf("%s is served as %s, %s", kind, header.Get("Content-Type"), header.Get("Content-Disposition"))
		}
	}
}

// After a change of name records point at the server as it is called now.
func TestAttachmentsFollowTheServersName(t *testing.T) {
	t.Attr("shows", "mend")
	a := attacked(t, servertest.Config{}, nil).withDiary()
	if status, text := a.attach(jeannine, diary, "a.txt", "text/plain", "x", "Host: old.example"); status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	if text := a.must(200, jeannine, "GET "+diary, "", "Host: new.example"); !strings.Contains(text, `"location":"http://new.example/v1/attachments/`) {
		t.Error(text)
	}
}
