package server_test

import (
	"net/http"
	"testing"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/knock"
	"github.com/foyer-server/foyer/server/servertest"
)

// Who knows the nonce that the supervisor made is answered once by each scheme,
// with or without an owner; everybody else learns nothing.
func TestProvesThatItWasReached(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]servertest.Config{"with an owner": {}, "without": {Unclaimed: true}} {
		s := servertest.Start(t, cfg)
		c, nonce := s.Client(), knock.NewNonce()
		strange, _ := get(t, c, http.MethodGet, s.URL+knock.Proof+nonce, "")
		s.Expect(nonce)
		for _, base := range []string{s.Plain, s.URL} {
			if resp, body := get(t, c, http.MethodGet, base+knock.Proof+nonce, ""); resp.StatusCode != http.StatusOK || body != knock.Answer(nonce) {
				t.Errorf("%s, %s: %s %s", name, base, resp.Status, body)
			}
		}
		if again, _ := get(t, c, http.MethodGet, s.URL+knock.Proof+nonce, ""); again.StatusCode != strange.StatusCode || again.StatusCode == http.StatusOK {
			t.Errorf("%s: a nonce is good twice: %s", name, again.Status)
		}
	}
}

func TestDialsBackOnlyWhenWanted(t *testing.T) {
	t.Parallel()
	ask := func(s *servertest.Server) (int, string) {
		resp, body := get(t, s.Client(), http.MethodPost, s.URL+knock.Dial, `{"nonce":"`+knock.NewNonce()+`"}`, "Content-Type", "application/json")
		return resp.StatusCode, body
	}
	if code, body := ask(servertest.Start(t, servertest.Config{})); code != http.StatusTemporaryRedirect { // like any path that is not there
		t.Errorf("nobody wanted it: %d %s", code, body)
	}
	on := func(s *config.Settings) { s.Reach.Answer = "home" }
	if code, body := ask(servertest.Start(t, servertest.Config{Unclaimed: true, Settings: on})); code != http.StatusServiceUnavailable {
		t.Errorf("without an owner: %d %s", code, body)
	}
	s := servertest.Start(t, servertest.Config{Settings: on})
	if code, body := ask(s); code != http.StatusForbidden {
		t.Errorf("this machine itself is dialled: %d %s", code, body)
	}
	if resp, body := get(t, s.Client(), http.MethodGet, s.URL+knock.Dial, ""); resp.StatusCode != http.StatusOK || body != "127.0.0.1" {
		t.Errorf("%s %s", resp.Status, body)
	}
	// Whom a stranger says to bring is not believed; whom a trusted proxy brings is.
	if _, body := get(t, s.Client(), http.MethodGet, s.URL+knock.Dial, "", "X-Forwarded-For", "81.2.69.142"); body != "127.0.0.1" {
		t.Errorf("a stranger's word is taken: %s", body)
	}
	s = servertest.Start(t, servertest.Config{Settings: func(s *config.Settings) { on(s); s.Proxy.Trusted = []string{"127.0.0.1"} }})
	if _, body := get(t, s.Client(), http.MethodGet, s.URL+knock.Dial, "", "X-Forwarded-For", "10.0.0.1, 81.2.69.142"); body != "81.2.69.142" {
		t.Errorf("a proxy's word is not taken: %s", body)
	}
}
