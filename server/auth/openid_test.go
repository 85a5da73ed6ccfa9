package auth

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/foyer-server/foyer/server/kinto"
)

// issuer is an OpenID provider: it says whose a token is of any that it is asked about, and
// signs tokens.
type issuer struct {
	*httptest.Server
	key *rsa.PrivateKey

	mu    sync.Mutex
	asked int
	gone  bool // it does not know tokens any more
	token string
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{token: "opaque"}
	var err error
	if i.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	answer := func(path string, f func() any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(f()) //nolint:errcheck // a test that is over
		})
	}
	answer("/.well-known/openid-configuration", func() any {
		return map[string]any{
			"issuer": i.URL, "authorization_endpoint": i.URL + "/auth", "token_endpoint": i.URL + "/token", "userinfo_endpoint": i.URL + "/userinfo",
			"jwks_uri": i.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256"},
		}
	})
	answer("/keys", func() any {
		text := base64.RawURLEncoding.EncodeToString
		return map[string]any{"keys": []any{map[string]string{
			"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1", "n": text(i.key.N.Bytes()), "e": text(big.NewInt(int64(i.key.E)).Bytes()),
		}}}
	})
	answer("/token", func() any { return map[string]any{"access_token": i.token, "token_type": "Bearer"} })
	mux.HandleFunc("/userinfo", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.asked++; i.gone {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"sub":"anna"}`) //nolint:errcheck // as above
	})
	return i
}

// sign is a token with these claims.
func (i *issuer) sign(t *testing.T, claims map[string]any) string {
	all := map[string]any{"iss": i.URL, "sub": "anna", "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	body, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"1"}`)) + "." + base64.RawURLEncoding.EncodeToString(body)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func (i *issuer) settings(more map[string]string) map[string]string {
	s := map[string]string{
		"multiauth.policies":                  "google",
		"multiauth.policy.google.issuer":      i.URL,
		"multiauth.policy.google.client_id":   "foyer",
		"multiauth.policy.google.header_type": "Bearer",
	}
	maps.Copy(s, more)
	return s
}

func (h *house) bearer(t *testing.T, token string) string {
	t.Helper()
	who, err := h.Identify(t.Context(), "Bearer "+token, "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	return who.ID
}

// TestTokensForOthers: a token of the same provider, made for another app, makes nobody
// known; whoever keeps it could be any of its people here.
func TestTokensForOthers(t *testing.T) {
	t.Attr("shows", "ground2")
	i := newIssuer(t)
	forged := newIssuer(t)
	for _, c := range []struct {
		name     string
		audience string
		token    string
		want     string
	}{
		{"for us", "", i.sign(t, map[string]any{"aud": "foyer"}), "google:anna"},
		{"for us and others", "", i.sign(t, map[string]any{"aud": []string{"api", "foyer"}}), "google:anna"},
		{"got by us, for an API", "", i.sign(t, map[string]any{"aud": "api", "azp": "foyer"}), "google:anna"},
		{"for another app", "", i.sign(t, map[string]any{"aud": "shop"}), ""},
		{"got by another app, for an API", "", i.sign(t, map[string]any{"aud": "api", "azp": "shop"}), ""},
		{"over", "", i.sign(t, map[string]any{"aud": "foyer", "exp": time.Now().Add(-time.Hour).Unix()}), ""},
		{"signed by somebody else", "", forged.sign(t, map[string]any{"aud": "foyer", "iss": i.URL}), ""},
		{"no JWT", "", "opaque", ""},
		{"for our audience", "api", i.sign(t, map[string]any{"aud": "api"}), "google:anna"},
		{"for another audience", "api", i.sign(t, map[string]any{"aud": "foyer"}), ""},
		{"whatever it is for", "*", "opaque", "google:anna"},
	} {
		h := newHouse(t, i.settings(map[string]string{"multiauth.policy.google.audience": c.audience}))
		if got := h.bearer(t, c.token); got != c.want {
			t.Errorf("%s: %q is let in, want %q", c.name, got, c.want)
		}
	}
}

// TestWhatAProviderSaidEnds: it is asked once, and again when what it said is no longer to be
// believed.
func TestWhatAProviderSaidEnds(t *testing.T) {
	i := newIssuer(t)
	h := newHouse(t, i.settings(map[string]string{"multiauth.policy.google.audience": "*", "multiauth.policy.google.verification_ttl_seconds": "1"}))
	for range 2 {
		if got := h.bearer(t, "opaque"); got != "google:anna" {
			t.Fatalf("%q is let in", got)
		}
	}
	i.mu.Lock()
	asked := i.asked
	i.gone = true
	i.mu.Unlock()
	if asked > 2 { // two, where a second passed in between
		t.Errorf("it was asked %d times", asked)
	}
	time.Sleep(1100 * time.Millisecond) // longer than it is to be believed
	if got := h.bearer(t, "opaque"); got != "" {
		t.Errorf("%q is let in by a token that the provider does not know any more", got)
	}
}

// TestASignInIsFinishedOnce: of two who come back with one state, even at the same time, one
// gets a token that is known as ours; and only from the provider it was begun with.
func TestASignInIsFinishedOnce(t *testing.T) {
	t.Attr("shows", "ground2")
	i := newIssuer(t)
	settings := i.settings(map[string]string{"multiauth.policies": "google other", "multiauth.policy.other.issuer": i.URL, "multiauth.policy.other.client_id": "foyer"})
	h := newHouse(t, settings)
	google, other := h.Provider("google"), h.Provider("other")
	begin := func() string {
		to, err := h.Begin(t.Context(), google, "cookie", "https://app.example/", "https://foyer.example/back", []string{"openid"}, "")
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		return u.Query().Get("state")
	}
	if _, _, err := h.Finish(t.Context(), other, "cookie", "code", begin(), "https://foyer.example/back"); !errors.Is(err, ErrState) {
		t.Errorf("by another provider: %v", err)
	}
	state := begin()
	got := make(chan error, 8)
	for range cap(got) {
		go func() {
			_, _, err := h.Finish(t.Context(), google, "cookie", "code", state, "https://foyer.example/back")
			got <- err
		}()
	}
	good := 0
	for range cap(got) {
		switch err := <-got; {
		case err == nil:
			good++
		case !errors.Is(err, ErrState):
			t.Error(err)
		}
	}
	if good != 1 {
		t.Errorf("%d sign-ins were finished with one state", good)
	}
	if who := h.bearer(t, "opaque"); who != "google:anna" {
		t.Errorf("who signed in here is %q", who)
	}
	// What is noted of a state that was used decides, though it was open when it was read.
	if err := h.noteIssued(t.Context(), google, []byte(`{"access_token":"second"}`), stateKey(state), time.Now().Add(time.Hour)); !errors.Is(err, ErrState) {
		t.Errorf("a second token for one state: %v", err)
	}
	err := h.db.Read(t.Context(), func(tx kinto.Reader) error {
		note, err := tx.Note(issuedKey(google, "second"))
		if note != nil {
			t.Error("the second token is known as ours")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
