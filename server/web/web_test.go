package web

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/people"
)

// house is a server as the pages see it.
type house struct {
	claimed bool
	broken  error // of Claimed
	refuse  error // of Claim
	got     []string
	root    []byte
}

func (h *house) Claimed(context.Context) (bool, error) { return h.claimed, h.broken }

func (h *house) Claim(_ context.Context, code, name string, secret people.Secret, _, _ string) (string, error) {
	h.got = []string{code, name, secret.Password}
	return name + ":cookie", h.refuse
}

func (h *house) RootPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.root})
}

func (h *house) Fingerprint() string {
	return strings.Repeat("AB:", 31) + "CD"
}

func (h *house) Words(l hint.Lang) []string {
	if l == hint.FR {
		return []string{"abeille", "violon", "lune", "pomme"}
	}
	return []string{"acorn", "violin", "moon", "apple"}
}

func site(t testing.TB, h *house, change ...func(*Config)) *Site {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Foyer test"}, NotAfter: time.Now().Add(time.Hour)}
	if h.root, err = x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key); err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Name: "foyer", Claimer: h, Trust: h, Log: slog.New(slog.DiscardHandler),
		Secure:  func(*http.Request) string { return "https://foyer.local:8443/" },
		Address: func(*http.Request) string { return "https://foyer.local/" },
	}
	for _, c := range change {
		c(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ask(t testing.TB, s *Site, method, path, body string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "https://foyer.local"+path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result()
}

func text(t testing.TB, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEverySentenceIsSaidInEachLanguage(t *testing.T) {
	t.Parallel()
	n := 0
	var walk func(where string, v reflect.Value)
	walk = func(where string, v reflect.Value) {
		switch {
		case v.Type() == reflect.TypeFor[hint.Text]():
			n++
			if x := v.Interface().(hint.Text); strings.TrimSpace(x.EN) == "" || strings.TrimSpace(x.FR) == "" {
				t.Errorf("%s: %q", where, x)
			}
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				if f := v.Type().Field(i); f.IsExported() && (f.Name != "Note" || !v.Field(i).IsZero()) {
					walk(where+"."+f.Name, v.Field(i))
				}
			}
		case v.Kind() == reflect.Slice:
			for i := range v.Len() {
				walk(where, v.Index(i))
			}
		}
	}
	for name, says := range map[string]any{
		"home": homeSays, "claim": claimSays, "start": startSays, "trust": trustSays, "platforms": platforms, "profile": mobileconfigSays, "frame": frameSays, "choose": chooseSays, "signin": signinSays, "people": peopleSays, "person": personSays,
		"join": joinSays, "reset": resetSays, "account": accountSays, "apps": appsSays, "link": linkSays, "change": changeSays, "standing": standingSays, "keep": keepSays,
	} {
		walk(name, reflect.ValueOf(says))
	}
	if n < 60 {
		t.Errorf("only %d sentences found", n)
	}
}

var (
	tags   = regexp.MustCompile(`<([a-z0-9]+)([^>]*)>`)
	inline = regexp.MustCompile(`(?i)\son[a-z]+=|\sstyle=|javascript:|<style|<script[^>]*>[^<]`)
	refs   = regexp.MustCompile(`(?:href|src|action)="([^"]*)"`)
	inputs = regexp.MustCompile(`<input id="([^"]*)"`)
)

// Every page, in each language and state: its language is marked, nothing is
// inline, nothing comes from elsewhere, every field has a label, links lead somewhere.
func TestPages(t *testing.T) {
	t.Parallel()
	for _, claimed := range []bool{false, true} {
		s, paths, signedIn := site(t, &house{claimed: claimed}), []string{"/", "/claim", "/trust", "/start"}, ""
		if claimed {
			f := newFamily(t)
			owner := f.browser().signIn(jeannine, words)
			f.join(owner, "paul", "member")
			owner.send("/people", fields("for", "anna", "role", "owner"))
			owner.send("/apps", fields("label", "notes"))
			f.browser().signIn(jeannine, words)
			s, signedIn = f.site, cookie+"="+owner.cookie
			paths = append(paths, "/signin", "/join", "/reset", "/!", "/people!", "/person!", "/person?name=paul!", "/person?name=jeannine!", "/account!", "/apps!")
		}
		for _, path := range paths {
			path, in := strings.CutSuffix(path, "!") // for who is signed in
			for _, l := range hint.Langs {
				headers := []string{"Accept-Language", string(l) + ",de;q=0.5"}
				if in {
					headers = append(headers, "Cookie", signedIn)
				}
				resp := ask(t, s, http.MethodGet, path, "", headers...)
				page := text(t, resp)
				if resp.StatusCode != http.StatusOK && path != "/person" || !strings.Contains(page, `<html lang="`+string(l)+`">`) || resp.Header.Get("Content-Language") != string(l) {
					t.Fatalf("%s %s: %s\n%s", path, l, resp.Status, page)
				}
				for name, want := range map[string]string{
					"Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
					"Content-Type": "text/html; charset=utf-8",
				} {
					if got := resp.Header.Get(name); got != want {
						t.Errorf("%s: %s is %q", path, name, got)
					}
				}
				csp := resp.Header.Get("Content-Security-Policy")
				if !strings.HasPrefix(csp, "default-src 'none'; ") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
					t.Errorf("%s: policy %q", path, csp)
				}
				if bad := inline.FindString(page); bad != "" {
					t.Errorf("%s: inline %q", path, bad)
				}
				if n := strings.Count(page, "<h1>"); n != 1 {
					t.Errorf("%s: %d h1", path, n)
				}
				for _, m := range refs.FindAllStringSubmatch(page, -1) {
					to, _, _ := strings.Cut(m[1], "?")
					if to != "https://foyer.local:8443/" && to != "#main" && s.Where(to) == 0 {
						t.Errorf("%s leads to %q", path, m[1])
					}
				}
				for _, m := range inputs.FindAllStringSubmatch(page, -1) {
					if !strings.Contains(page, `<label for="`+m[1]+`">`) {
						t.Errorf("%s: no label for %q", path, m[1])
					}
				}
				if depth := strings.Count(page, "<p"); depth == 0 || len(tags.FindAllString(page, -1)) < 10 {
					t.Errorf("%s: an empty page", path)
				}
			}
		}
	}
}

func TestWhere(t *testing.T) {
	t.Parallel()
	s := site(t, &house{})
	for path, want := range map[string]Where{
		"/": Here, "/claim": Here | Unclaimed, "/trust": Here | Unclaimed | Plain, "/trust/foyer-root.crt": Here | Unclaimed | Plain, "/start": Here | Unclaimed | Plain,
		"/static/style.css": Here | Unclaimed | Plain, "/v1/": 0, "/static/": 0, "/static/../claim": 0, "/trust/": 0, "/claim/": 0, "": 0,
	} {
		if got := s.Where(path); got != want {
			t.Errorf("%q: got %b, want %b", path, got, want)
		}
	}
	none := site(t, &house{}, func(c *Config) { c.Trust = nil })
	if none.Where("/trust") != 0 || none.Where("/start") != 0 || strings.Contains(text(t, ask(t, none, http.MethodGet, "/", "")), "/trust") {
		t.Error("there is nothing to trust, and yet pages about it")
	}
	if resp := ask(t, s, http.MethodGet, "/nowhere", ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("%s", resp.Status)
	}
	if resp := ask(t, s, http.MethodDelete, "/claim", ""); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("%s", resp.Status)
	}
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	s := site(t, &house{})
	for header, want := range map[string]hint.Lang{
		"": hint.EN, "fr": hint.FR, "fr-CA,en;q=0.9": hint.FR, "en;q=0.3, fr;q=0.8": hint.FR, "de, fr;q=0.2": hint.FR, "de": hint.EN,
		"fr;q=0": hint.EN, "fr;q=x, en": hint.EN, "*": hint.EN, "en,fr": hint.EN, ";;,,": hint.EN,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set("Accept-Language", header)
		if got := s.lang(r); got != want {
			t.Errorf("%q: got %s", header, got)
		}
	}
	fixed := site(t, &house{}, func(c *Config) { c.Language = hint.FR })
	if page := text(t, ask(t, fixed, http.MethodGet, "/", "", "Accept-Language", "en")); !strings.Contains(page, `lang="fr"`) {
		t.Error("the setting does not count")
	}
}

func refusal(code string) error {
	return hint.New(code, hint.T("What happened.", "Ce qui s'est passé."), hint.Text{}, hint.T("Do this.", "Faites ceci.")).Because(errors.New("the cause"))
}

func TestClaimAnswers(t *testing.T) {
	t.Parallel()
	good := `{"code":"K7QX-9M2P","name":"jeannine","password":"a secret one"}`
	for _, c := range []struct {
		name, kind, body string
		refuse           error
		status           int
		code             string
	}{
		{"done", "application/json", good, nil, 201, ""},
		{"wrong code", "application/json", good, refusal("claim-wrong"), 403, "claim-wrong"},
		{"expired", "application/json; charset=utf-8", good, refusal("claim-expired"), 403, "claim-expired"},
		{"paused", "application/json", good, refusal("claim-paused"), 429, "claim-paused"},
		{"taken", "application/json", good, refusal("claim-done"), 409, "claim-done"},
		{"name", "application/json", good, refusal("name-malformed"), 400, "name-malformed"},
		{"password", "application/json", good, refusal("password-weak"), 400, "password-weak"},
		{"another hint", "application/json", good, refusal("something-else"), 503, "page-failed"},
		{"the disk", "application/json", good, errors.New("EIO on a secret one"), 503, "page-failed"},
		{"no JSON", "application/json", `{"password":"a secret one`, nil, 400, "request-malformed"},
		{"more after it", "application/json", good + good, nil, 400, "request-malformed"},
		{"other types", "application/json", `{"code":1}`, nil, 400, "request-malformed"},
		{"empty", "application/json", "", nil, 400, "request-malformed"},
		{"too large", "application/json", `{"code":"` + strings.Repeat("x", claimBytes) + `"}`, nil, 400, "request-malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			h := &house{refuse: c.refuse}
			s := site(t, h, func(cfg *Config) { cfg.Log = slog.New(slog.NewTextHandler(&log, nil)) })
			resp := ask(t, s, http.MethodPost, "/claim", c.body, "Content-Type", c.kind, "Accept-Language", "fr")
			body := text(t, resp)
			var got map[string]string
			if err := json.Unmarshal([]byte(body), &got); err != nil || resp.StatusCode != c.status || got["code"] != c.code {
				t.Fatalf("%s %s", resp.Status, body)
			}
			if strings.Contains(body, "secret") || strings.Contains(body, "cause") {
				t.Errorf("sent back: %s", body)
			}
			if c.status == 201 && (got["owner"] != "jeannine" || strings.Join(h.got, " ") != "K7QX-9M2P jeannine a secret one") {
				t.Errorf("got %v, claimed with %q", got, h.got)
			}
			if c.code != "" && (got["message"] == "" || got["todo"] == "") {
				t.Errorf("nothing is said: %v", got)
			}
			if strings.HasPrefix(c.code, "claim-w") && got["message"] != "Ce qui s'est passé." {
				t.Errorf("in the wrong language: %v", got)
			}
			if (c.status == 429 || c.status == 503) != (resp.Header.Get("Retry-After") != "") {
				t.Errorf("Retry-After %q", resp.Header.Get("Retry-After"))
			}
			if log.Len() > 0 && c.status != 503 {
				t.Errorf("logged %s", &log)
			}
		})
	}
}

func TestClaimForm(t *testing.T) {
	t.Parallel()
	form := func(again string) string {
		return url.Values{"code": {"k7qx-9m2p"}, "name": {`<b>"jeannine`}, "password": {"a secret one"}, "again": {again}}.Encode()
	}
	kind := []string{"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin"}
	h := &house{}
	s := site(t, h)
	if resp := ask(t, s, http.MethodPost, "/claim", form("a secret one"), kind...); resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/" || h.got[2] != "a secret one" || !strings.HasPrefix(resp.Header.Get("Set-Cookie"), "__Host-foyer=") {
		t.Errorf("%s, claimed with %q, %s", resp.Status, h.got, resp.Header)
	}
	h.got = nil
	resp := ask(t, s, http.MethodPost, "/claim", form("another one"), kind...)
	if page := text(t, resp); resp.StatusCode != http.StatusBadRequest || h.got != nil || !strings.Contains(page, "not the same") {
		t.Errorf("%s, claimed with %q", resp.Status, h.got)
	}
	for code, field := range map[string]string{"claim-wrong": "code", "name-malformed": "name", "password-weak": "password"} {
		h.refuse = refusal(code)
		page := text(t, ask(t, s, http.MethodPost, "/claim", form("a secret one"), kind...))
		marked := regexp.MustCompile(`<input id="` + field + `"[^>]*aria-invalid="true"[^>]*autofocus`).MatchString(page)
		if !marked || strings.Count(page, "aria-invalid") != 1 || !strings.Contains(page, `role="alert"`) {
			t.Errorf("%s: the field %s is not marked", code, field)
		}
		if !strings.Contains(page, `value="k7qx-9m2p"`) || !strings.Contains(page, `value="&lt;b&gt;&#34;jeannine"`) || strings.Contains(page, "secret") || strings.Contains(page, "the cause") {
			t.Errorf("%s: what was typed: %s", code, page)
		}
	}
	h.refuse = refusal("claim-done")
	if resp := ask(t, s, http.MethodPost, "/claim", form("a secret one"), kind...); resp.StatusCode != http.StatusConflict || strings.Contains(text(t, resp), "<form") {
		t.Errorf("%s", resp.Status)
	}
	for _, foreign := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
		h.got = nil
		resp := ask(t, s, http.MethodPost, "/claim", form("a secret one"), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, foreign...)...)
		if resp.StatusCode != http.StatusForbidden || h.got != nil {
			t.Errorf("%v: %s", foreign, resp.Status)
		}
	}
	for _, bad := range []string{"text/plain", "multipart/form-data; boundary=x", ""} {
		h.got = nil
		if resp := ask(t, s, http.MethodPost, "/claim", form("a secret one"), "Content-Type", bad); resp.StatusCode != http.StatusBadRequest || h.got != nil {
			t.Errorf("%q: %s", bad, resp.Status)
		}
	}
}

func TestHomeWhenTheStorageFails(t *testing.T) {
	t.Parallel()
	if resp := ask(t, site(t, &house{broken: errors.New("EIO")}), http.MethodGet, "/", ""); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%s", resp.Status)
	}
}

func TestTrustFiles(t *testing.T) {
	t.Parallel()
	h := &house{}
	s := site(t, h, func(c *Config) { c.Name = "foyer" })
	der := ask(t, s, http.MethodGet, "/trust/foyer-root.crt", "")
	if body := text(t, der); body != string(h.root) || der.Header.Get("Content-Type") != "application/x-x509-ca-cert" {
		t.Errorf("%s", der.Header)
	}
	if body := text(t, ask(t, s, http.MethodGet, "/trust/foyer-root.pem", "")); body != string(h.RootPEM()) {
		t.Errorf("%s", body)
	}
	resp := ask(t, s, http.MethodGet, "/trust/foyer.mobileconfig", "", "Accept-Language", "fr")
	profile := text(t, resp)
	if kind := resp.Header.Get("Content-Type"); kind != "application/x-apple-aspen-config" {
		t.Errorf("kind %q", kind)
	}
	values := map[string][]string{}
	dec, key, tag := xml.NewDecoder(strings.NewReader(profile)), "", ""
	for {
		token, err := dec.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("the profile is no XML: %v", err)
		}
		switch x := token.(type) {
		case xml.StartElement:
			tag = x.Name.Local
		case xml.CharData:
			switch v := strings.TrimSpace(string(x)); {
			case v == "":
			case tag == "key":
				key = v
			default:
				values[key] = append(values[key], v)
			}
		}
	}
	if root, err := base64.StdEncoding.DecodeString(strings.Join(values["PayloadContent"], "")); err != nil || !bytes.Equal(root, h.root) {
		t.Errorf("the root in the profile: %v", err)
	}
	ids := append(values["PayloadUUID"], values["PayloadIdentifier"]...)
	if len(ids) != 4 || ids[0] == ids[1] || !regexp.MustCompile(`^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$`).MatchString(ids[0]) {
		t.Errorf("identifiers %q", ids)
	}
	if !strings.Contains(profile, "Permet") || profile != text(t, ask(t, s, http.MethodGet, "/trust/foyer.mobileconfig", "", "Accept-Language", "fr")) {
		t.Error("not in French, or another profile each time")
	}
}

func TestTrustPageOpensOnTheVisitorsDevice(t *testing.T) {
	t.Parallel()
	s := site(t, &house{})
	for agent, want := range map[string]string{
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1": "ios",
		"Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36":                   "android",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36":                         "windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15":                   "mac",
		"Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0":                                                                  "linux",
		"curl/8.0": "",
	} {
		page := text(t, ask(t, s, http.MethodGet, "/trust", "", "User-Agent", agent))
		if want == "" {
			if strings.Contains(page, " open>") {
				t.Errorf("%s: something is open", agent)
			}
			continue
		}
		first := regexp.MustCompile(`<details id="([a-z]+)"( open)?>`).FindStringSubmatch(page)
		if first == nil || first[1] != want || first[2] == "" || strings.Count(page, " open>") != 1 {
			t.Errorf("%s: first is %q", agent, first)
		}
		if strings.Count(page, "<details") != len(platforms) {
			t.Errorf("%s: a platform is missing", agent)
		}
	}
	if page := text(t, ask(t, s, http.MethodGet, "/trust", "", "Accept-Language", "fr")); !strings.Contains(page, "<li>violon</li>") || !strings.Contains(page, "AB:AB:") {
		t.Error("words or fingerprint are missing")
	}
}

func TestStartMayAskTheSecureAddressOnly(t *testing.T) {
	t.Parallel()
	resp := ask(t, site(t, &house{}), http.MethodGet, "/start", "")
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.HasSuffix(csp, "connect-src 'self' https://foyer.local:8443") {
		t.Errorf("policy %q", csp)
	}
}
