package server_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server/servertest"
)

// Browsers are told to come by HTTPS only a week after everybody began to trust a
// name's certificates, by that name alone; and who comes without is led there. Whom
// everybody trusts is read once by a process: so the test runs itself, in one to
// which everybody trusts an authority of the test's.
func TestStrictAfterAWeek(t *testing.T) {
	t.Attr("shows", "certificates")
	const inner = "FOYER_TEST_STRICT"
	if dir := os.Getenv(inner); dir != "" {
		strictInside(t, dir)
		return
	}
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStrictAfterAWeek$", "-test.v")
	cmd.Env = append(os.Environ(), inner+"="+dir, "SSL_CERT_FILE="+filepath.Join(dir, "everybody.pem"), "SSL_CERT_DIR="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "SHOW HSTS") {
		t.Fatalf("%v\n%s", err, out)
	}
	_, said, _ := strings.Cut(string(out), "SHOW HSTS")
	said, _, _ = strings.Cut(said, "\n")
	t.Log("SHOW HSTS" + said)
}

func strictInside(t *testing.T, dir string) {
	const name = "cloud.home.test"
	write := func(path string, data []byte) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ours, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(template, parent *x509.Certificate) []byte {
		t.Helper()
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &ours.PublicKey, ours)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Everybody trusts me"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-30 * 24 * time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotBefore: time.Now().Add(-8 * 24 * time.Hour), NotAfter: time.Now().Add(82 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	rootPEM, leafPEM := issue(root, root), issue(leaf, root)
	write(filepath.Join(dir, "everybody.pem"), rootPEM)
	keyDER, err := x509.MarshalECPrivateKey(ours)
	if err != nil {
		t.Fatal(err)
	}
	// An authority that cannot be reached changes nothing about what there is.
	authority := httptest.NewTLSServer(http.NotFoundHandler())
	directory := authority.URL + "/dir"
	authority.Close()
	at, err := url.Parse(directory)
	if err != nil {
		t.Fatal(err)
	}
	issuer := at.Host + "-dir"

	told := map[string]string{}
	for _, since := range []time.Duration{8 * 24 * time.Hour, 6 * 24 * time.Hour, -1} {
		data := filepath.Join(dir, since.String())
		store := filepath.Join(data, "certificates")
		meta, err := json.Marshal(certmagic.CertificateResource{SANs: []string{name}})
		if err != nil {
			t.Fatal(err)
		}
		for key, value := range map[string][]byte{
			certmagic.StorageKeys.SiteCert(issuer, name):       leafPEM,
			certmagic.StorageKeys.SitePrivateKey(issuer, name): pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
			certmagic.StorageKeys.SiteMeta(issuer, name):       meta,
		} {
			write(filepath.Join(store, filepath.FromSlash(key)), value)
		}
		if since > 0 {
			text, err := json.Marshal(map[string]time.Time{name: time.Now().Add(-since)})
			if err != nil {
				t.Fatal(err)
			}
			write(filepath.Join(store, "trusted-since.json"), text)
		}
		s := servertest.Start(t, servertest.Config{Data: data, Settings: func(c *config.Settings) {
			c.Addresses, c.Certificates.CA = []string{name}, directory
		}})
		pool := s.Roots()
		pool.AppendCertsFromPEM(rootPEM)
		strict := func(by string) string {
			t.Helper()
			tr := &http.Transport{TLSClientConfig: &tls.Config{ServerName: by, RootCAs: pool}}
			defer tr.CloseIdleConnections()
			resp, _ := get(t, &http.Client{Transport: tr}, http.MethodGet, "https://"+s.Addr(host.HTTPS)+"/v1/__lbheartbeat__", "", "Host", by)
			return resp.Header.Get("Strict-Transport-Security")
		}
		want := ""
		if since == 8*24*time.Hour {
			want = "max-age=31536000"
		}
		tick := time.NewTicker(20 * time.Millisecond)
		for end := time.Now().Add(patience); !everybodys(s.Addr(host.HTTPS), name, rootPEM); <-tick.C {
			if time.Now().After(end) {
				t.Fatal("the certificate everybody trusts is not served")
			}
		}
		tick.Stop()
		told[since.String()] = strict(name)
		if got := strict(name); got != want {
			t.Errorf("trusted for %s, it says %q", since, got)
		}
		if got := strict(s.Name + ".local"); got != "" {
			t.Errorf("by a name of home it says %q", got)
		}
		_, port, _ := net.SplitHostPort(s.Addr(host.HTTPS))
		resp, _ := get(t, s.Client(), http.MethodGet, s.Plain+"/v1/buckets?x=1", "", "Host", name)
		if resp.StatusCode != http.StatusTemporaryRedirect || resp.Header.Get("Location") != "https://"+name+":"+port+"/v1/buckets?x=1" || resp.Header.Get("Strict-Transport-Security") != "" {
			t.Errorf("without TLS: %s %v", resp.Status, resp.Header)
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
	if !t.Failed() {
		t.Logf("SHOW HSTS: after eight days of trust %q, after six and at the start nothing, by NAME.local never; plain HTTP leads there by 307", told["192h0m0s"])
	}
}

// everybodys reports whether by name is served what everybody trusts.
func everybodys(address, name string, root []byte) bool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(bytes.Clone(root))
	conn, err := tls.Dial("tcp", address, &tls.Config{ServerName: name, RootCAs: pool})
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
