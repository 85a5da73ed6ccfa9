package api

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// identity is an identity provider of OpenID Connect, and of plain OAuth 2.
type identity struct {
	t     *testing.T
	url   string
	key   *rsa.PrivateKey
	asked atomic.Int64 // whose a token is
	down  atomic.Bool
}

func newIdentity(t *testing.T) *identity {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &identity{t: t, key: key}
	web := httptest.NewServer(p)
	t.Cleanup(web.Close)
	p.url = web.URL
	return p
}

func (p *identity) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.down.Load() {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	send := func(v any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			p.t.Error(err)
		}
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		send(map[string]any{"issuer": p.url, "authorization_endpoint": p.url + "/auth", "token_endpoint": p.url + "/token", "userinfo_endpoint": p.url + "/me", "jwks_uri": p.url + "/keys", "id_token_signing_alg_values_supported": []string{"RS256"}})
	case "/keys":
		send(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "k", Algorithm: "RS256", Use: "sig"}}})
	case "/token":
		if r.FormValue("code") != "the-code" || r.FormValue("client_secret") != "s3cret" || r.FormValue("grant_type") != "authorization_code" || r.FormValue("redirect_uri") == "" {
			w.WriteHeader(http.StatusBadRequest)
			send(map[string]string{"error": "invalid_grant"})
			return
		}
		if r.Header.Get("Accept") != "application/json" {
			fmt.Fprint(w, "access_token=good")
			return
		}
		send(map[string]string{"access_token": "good", "token_type": "Bearer"})
	case "/me":
		p.asked.Add(1)
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if token != "good" && strings.Count(token, ".") != 2 {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		send(map[string]any{"sub": "u-1", "id": 4711, "name": "Jeannine"})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// sign makes a JWT.
func (p *identity) sign(key *rsa.PrivateKey, audience string, until time.Time) string {
	p.t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(jwt.Claims{Issuer: p.url, Subject: "u-1", Audience: jwt.Audience{audience}, Expiry: jwt.NewNumericDate(until)}).Serialize()
	if err != nil {
		p.t.Fatal(err)
	}
	return text
}

func (p *identity) settings(more map[string]string) map[string]string {
	out := map[string]string{
		"multiauth.policies": "google account", "multiauth.policy.google.use": "kinto.plugins.openid.OpenIDConnectPolicy",
		"openid.callbacks": "https://app.example", "multiauth.policy.google.audience": "*",
		"multiauth.policy.google.issuer": p.url, "multiauth.policy.google.client_id": "foyer", "multiauth.policy.google.client_secret": "s3cret",
	}
	maps.Copy(out, more)
	return out
}

func TestOpenIDToken(t *testing.T) {
	p := newIdentity(t)
	s := start(t, p.settings(nil))
	for range 3 {
		hello := s.must(200, "", "GET /v1/", "", "Authorization: Bearer good")
		user, _ := hello.body["user"].(map[string]any)
		profile, _ := user["profile"].(map[string]any)
		if user["id"] != "google:u-1" || profile["name"] != "Jeannine" {
			t.Fatal(hello.text)
		}
	}
	s.must(201, "", "PUT /v1/buckets/default/collections/c/records/r", "", "Authorization: bearer good")
	if n := p.asked.Load(); n != 1 {
		t.Errorf("asked %d times about one token", n)
	}
	for _, header := range []string{"Bearer bad", "Bearer ", "Basic good", "Bearer " + strings.Repeat("x", 1<<15)} {
		r := s.must(401, "", "GET /v1/buckets", "", "Authorization: "+header)
		if got := r.header.Values("WWW-Authenticate"); len(got) != 2 || got[0] != `Bearer realm="Realm"` || got[1] != `Basic realm="Realm", charset="UTF-8"` {
			t.Errorf("%q", got)
		}
	}
	if n := p.asked.Load(); n != 2 {
		t.Errorf("asked %d times about two tokens", n)
	}
	told, err := json.Marshal(s.must(200, "", "GET /v1/", "").body["capabilities"].(map[string]any)["openid"].(map[string]any)["providers"])
	if want := `[{"auth_path":"/openid/google/login","client_id":"foyer","header_type":"Bearer","issuer":"` + p.url + `","name":"google","userinfo_endpoint":"` + p.url + `/me"}]`; string(told) != want || err != nil {
		t.Errorf("%s\nwant %s", told, want)
	}
	// A provider that cannot be asked is no proof of anything; whom it vouched for stays.
	p.down.Store(true)
	if r := s.must(503, "", "GET /v1/buckets", "", "Authorization: Bearer unheard-of"); r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	s.must(200, "", "GET /v1/buckets/default", "", "Authorization: Bearer good")
	s.must(200, "", "GET /v1/", "")
}

func TestOpenIDAudience(t *testing.T) {
	p := newIdentity(t)
	s := start(t, p.settings(map[string]string{"multiauth.policy.google.audience": "https://foyer"}))
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	soon := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		token string
		want  int
	}{
		"good":            {p.sign(p.key, "https://foyer", soon), 200},
		"another's":       {p.sign(p.key, "https://other", soon), 401},
		"over":            {p.sign(p.key, "https://foyer", time.Now().Add(-time.Hour)), 401},
		"forged":          {p.sign(other, "https://foyer", soon), 401},
		"no JWT":          {"good", 401},
		"without signing": {"eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"`+p.url+`","aud":"https://foyer","sub":"u-1","exp":99999999999}`)) + ".", 401},
	} {
		if r := s.do("", "GET /v1/buckets", "", "Authorization: Bearer "+c.token); r.status != c.want {
			t.Errorf("%s: %d %s", name, r.status, r.text)
		}
	}
}

// A token is for this server, and not for another app that people sign in to at the same
// provider.
func TestOpenIDTokensOfOtherApps(t *testing.T) {
	t.Attr("shows", "mend")
	p := newIdentity(t)
	settings := p.settings(map[string]string{
		"multiauth.policies":                             "google github",
		"multiauth.policy.github.authorization_endpoint": p.url + "/auth", "multiauth.policy.github.token_endpoint": p.url + "/token", "multiauth.policy.github.userinfo_endpoint": p.url + "/me",
		"multiauth.policy.github.client_id": "foyer", "multiauth.policy.github.client_secret": "s3cret", "multiauth.policy.github.userid_field": "id",
	})
	delete(settings, "multiauth.policy.google.audience")
	s := start(t, settings)
	soon := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		token string
		want  int
	}{
		"for our client":          {p.sign(p.key, "foyer", soon), 200},
		"for another app":         {p.sign(p.key, "another-app", soon), 401},
		"that says not for whom":  {"good", 401},
		"for our client, is over": {p.sign(p.key, "foyer", time.Now().Add(-time.Hour)), 401},
	} {
		if r := s.do("", "GET /v1/buckets", "", "Authorization: Bearer "+c.token); r.status != c.want {
			t.Errorf("%s: %d %s", name, r.status, r.text)
		}
	}
	// The same token, once this server got it itself; of that provider alone.
	other := start(t, settings)
	q, cookie := login(t, other, "github", "https://app.example/")
	other.must(307, "", "GET /v1/openid/github/token?code=the-code&state="+q.Get("state"), "", cookie)
	if user, _ := other.must(200, "", "GET /v1/", "", "Authorization: Bearer good").body["user"].(map[string]any); user["id"] != "github:4711" {
		t.Errorf("%v", user)
	}
}

// login begins a sign-in and returns where the provider was to send the browser, and the
// cookie that it has from then on, as a header.
func login(t *testing.T, s *server, provider, callback string) (to url.Values, cookie string) {
	t.Helper()
	r := s.must(307, "", "GET /v1/openid/"+provider+"/login?scope=openid+email&callback="+url.QueryEscape(callback), "")
	at, err := url.Parse(r.header.Get("Location"))
	if err != nil || at.Path != "/auth" {
		t.Fatal(r.header)
	}
	c, err := http.ParseSetCookie(r.header.Get("Set-Cookie"))
	if err != nil || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Domain != "" || c.MaxAge != 3600 {
		t.Fatalf("cookie %v, %v", c, err)
	}
	return at.Query(), "Cookie: " + c.Name + "=" + c.Value
}

func TestOpenIDSignIn(t *testing.T) {
	p := newIdentity(t)
	s := start(t, p.settings(map[string]string{
		"multiauth.policies":                             "google github account",
		"multiauth.policy.github.authorization_endpoint": p.url + "/auth", "multiauth.policy.github.token_endpoint": p.url + "/token", "multiauth.policy.github.userinfo_endpoint": p.url + "/me",
		"multiauth.policy.github.client_id": "foyer", "multiauth.policy.github.client_secret": "s3cret", "multiauth.policy.github.userid_field": "id",
	}))
	for provider, id := range map[string]string{"google": "google:u-1", "github": "github:4711"} {
		const callback = "https://app.example/#/auth/https%3A%2F%2Fs/"
		q, cookie := login(t, s, provider, callback)
		if q.Get("client_id") != "foyer" || q.Get("response_type") != "code" || q.Get("scope") != "openid email" || q.Get("redirect_uri") != "http://example.com/v1/openid/"+provider+"/token" {
			t.Errorf("%v", q)
		}
		back := "GET /v1/openid/" + provider + "/token?code=the-code&state=" + q.Get("state")
		// Whoever was sent a link that somebody else began is not signed in by it.
		s.must(400, "", back, "")
		_, another := login(t, s, provider, callback)
		s.must(400, "", back, "", another)
		r := s.must(307, "", back, "", cookie)
		text, ok := strings.CutPrefix(r.header.Get("Location"), callback)
		text, err := url.QueryUnescape(text)
		raw, err2 := base64.StdEncoding.DecodeString(text)
		var token struct {
			Access string `json:"access_token"`
		}
		if err3 := json.Unmarshal(raw, &token); !ok || err != nil || err2 != nil || err3 != nil || token.Access != "good" {
			t.Fatalf("%v %q", r.header, raw)
		}
		user, _ := s.must(200, "", "GET /v1/", "", "Authorization: Bearer "+token.Access).body["user"].(map[string]any)
		if want := map[string]string{"google": id, "github": "google:u-1"}[provider]; user["id"] != want { // the first policy that knows a token
			t.Errorf("%s: %v", provider, user)
		}
		s.must(400, "", back, "", cookie) // once
	}
	alone := start(t, map[string]string{"multiauth.policies": "github", "multiauth.policy.github.audience": "*", "multiauth.policy.github.userinfo_endpoint": p.url + "/me", "multiauth.policy.github.userid_field": "id"})
	if user, _ := alone.must(200, "", "GET /v1/", "", "Authorization: Bearer good").body["user"].(map[string]any); user["id"] != "github:4711" {
		t.Errorf("%v", user)
	}
}

func TestOpenIDRefusals(t *testing.T) {
	p := newIdentity(t)
	any := start(t, p.settings(map[string]string{"openid.callbacks": "", "cors_origins": "*"}))
	for _, callback := range []string{"https://evil.example/", "https://app.example/", "http://localhost:8080/"} {
		any.must(400, "", "GET /v1/openid/google/login?scope=openid&prompt=none&callback="+url.QueryEscape(callback), "")
	}
	s := start(t, p.settings(map[string]string{"openid.callbacks": "", "cors_origins": "https://app.example https://*.family.example *"}))
	const ours = "https%3A%2F%2Fapp.example%2F"
	for line, status := range map[string]int{
		"GET /v1/openid/google/login?scope=openid&callback=" + ours:                                     307,
		"GET /v1/openid/google/login?scope=openid&callback=http%3A%2F%2Fexample.com%2Fpage":             307,
		"GET /v1/openid/google/login?scope=openid&callback=https%3A%2F%2Fmum.family.example%2F":         307,
		"GET /v1/openid/google/login?scope=openid&prompt=none&callback=" + ours:                         307,
		"GET /v1/openid/google/login?scope=openid&prompt=all&callback=" + ours:                          400,
		"GET /v1/openid/google/login?scope=openid&callback=https%3A%2F%2Fevil.example%2F":               400,
		"GET /v1/openid/google/login?scope=openid&callback=https%3A%2F%2Fapp.example%40evil.example%2F": 400,
		"GET /v1/openid/google/login?scope=openid&callback=javascript%3Aalert(1)":                       400,
		"GET /v1/openid/google/login?scope=openid":                                                      400,
		"GET /v1/openid/google/login?callback=" + ours:                                                  400,
		"GET /v1/openid/none/login?scope=openid&callback=" + ours:                                       400,
		"GET /v1/openid/google/token?code=the-code&state=made-up":                                       400,
		"GET /v1/openid/google/token?state=x":                                                           400,
		"GET /v1/openid/google/other":                                                                   404,
		"POST /v1/openid/google/login":                                                                  405,
	} {
		s.must(status, "", line, "")
	}
	none := start(t, nil)
	none.must(404, "", "GET /v1/openid/google/login?scope=openid&callback="+ours, "")
	// A provider's state is not another's.
	two := start(t, p.settings(map[string]string{"multiauth.policies": "google other", "multiauth.policy.other.issuer": p.url}))
	q, cookie := login(t, two, "google", "https://app.example/")
	two.must(400, "", "GET /v1/openid/other/token?code=the-code&state="+q.Get("state"), "", cookie)
	// Two pages of one browser sign in at once.
	one, cookie := login(t, two, "google", "https://app.example/")
	r := two.must(307, "", "GET /v1/openid/google/login?scope=openid&callback="+ours, "", cookie)
	if again := r.header.Get("Set-Cookie"); !strings.HasPrefix(again, strings.TrimPrefix(cookie, "Cookie: ")) {
		t.Errorf("another cookie: %s", again)
	}
	two.must(307, "", "GET /v1/openid/google/token?code=the-code&state="+one.Get("state"), "", cookie)
}
