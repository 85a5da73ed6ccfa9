package certs

import (
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// Who comes from outside and does not know whom they want learns no name and no
// address of this server; who knows, and who is at home, is served as ever.
func TestStrangersLearnNoName(t *testing.T) {
	t.Parallel()
	f := start(t, t.TempDir(), "quiet", usual, "cloud.example", "192.168.1.20")
	for _, c := range []struct{ name, remote, sni, local, good string }{
		{"outside, no name", "203.0.113.5", "", "192.168.1.20", ""},
		{"outside, no name, IPv6", "2001:db8::5", "", "2001:db8::20", ""},
		{"outside, another's name", "203.0.113.5", "bank.example", "192.168.1.20", ""},
		{"outside, through a provider's NAT", "100.64.0.9", "", "192.168.1.20", ""},
		{"outside, our name", "203.0.113.5", "cloud.example", "192.168.1.20", "cloud.example"},
		{"outside, our name at home", "2001:db8::5", "quiet.local", "2001:db8::20", "quiet.local"},
		{"at home, another's name", "192.168.1.9", "raspberrypi.lan", "192.168.1.20", "quiet.local"},
		{"at home, no name", "192.168.1.9", "", "192.168.1.20", "192.168.1.20"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := f.shakeFrom(c.remote, c.sni, c.local)
			if err != nil {
				t.Fatal(err)
			}
			if c.good != "" {
				if err := s.PeerCertificates[0].VerifyHostname(c.good); err != nil {
					t.Error(err)
				}
				return
			}
			for _, cert := range s.PeerCertificates {
				if len(cert.DNSNames)+len(cert.IPAddresses)+len(cert.PermittedDNSDomains) > 0 || strings.Contains(string(cert.Raw), "quiet") {
					t.Errorf("they learn %v %v %v, %s", cert.DNSNames, cert.IPAddresses, cert.PermittedDNSDomains, cert.Subject)
				}
			}
		})
	}
}

// The protocol of an authority's question is spoken while one is expected, and then
// for its name alone.
func TestQuestionsNobodyWasToldToAsk(t *testing.T) {
	t.Parallel()
	authority := httptest.NewServer(http.NotFoundHandler())
	defer authority.Close()
	log := &logged{}
	c, err := open(t.Context(), Config{
		Dir: t.TempDir(), Name: "asked", Addresses: []string{"asked.home.test"}, Public: Public{CA: authority.URL}, Log: slog.New(slog.NewTextHandler(log, nil)),
	}, usual)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	f := &fixture{c, "", log}
	ask := func(name string, protocols ...string) (string, error) {
		s, err := f.shakeFrom("203.0.113.5", name, "192.168.1.20", func(c *tls.Config) { c.NextProtos = protocols })
		if err != nil {
			return "", err
		}
		return s.NegotiatedProtocol, nil
	}
	for _, name := range []string{"asked.home.test", "asked.local", "Secret.example", ""} {
		if got, err := ask(name, "acme-tls/1"); err == nil || !strings.Contains(err.Error(), "no application protocol") {
			t.Errorf("for %q: %q, %v", name, got, err)
		}
		if got, err := ask(name, "acme-tls/1", "h2"); err != nil || got != "h2" {
			t.Errorf("for %q, beside HTTP/2: %q, %v", name, got, err)
		}
	}
	if strings.Contains(log.String(), "Secret") {
		t.Error("what a stranger asked for is in the log")
	}
	// Another server that shares the certificates has ordered one.
	question, err := json.Marshal(acme.Challenge{
		Type: acme.ChallengeTypeTLSALPN01, Token: "token", KeyAuthorization: "token.thumb",
		Identifier: acme.Identifier{Type: "dns", Value: "asked.home.test"},
	})
	if err != nil {
		t.Fatal(err)
	}
	key := path.Join("acme", certmagic.StorageKeys.Safe(c.public.issuer.IssuerKey()), "challenge_tokens", "asked.home.test.json")
	if err := c.storage.Store(t.Context(), key, question); err != nil {
		t.Fatal(err)
	}
	if got, err := ask("asked.home.test", "acme-tls/1"); err != nil || got != "acme-tls/1" {
		t.Errorf("while one is expected: %q, %v", got, err)
	}
	if got, err := ask("asked.local", "acme-tls/1"); err == nil {
		t.Errorf("for another name: %q", got)
	}
}
