//go:build e2e

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// selfSigned makes a certificate of nobody's for name, in folder dir of the machine.
func (m *machine) selfSigned(dir, name string) *x509.CertPool {
	m.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		m.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		m.t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		m.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(m.root, dir), 0o755); err != nil {
		m.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "EC PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(m.root, dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		m.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool
}

// A machine whose nginx answers the web already: the wizard sees it and puts Foyer
// behind it; what `foyer proxy` prints, unchanged, makes it work.
func TestWizardBehindNginx(t *testing.T) {
	t.Attr("shows", "one-click")
	m := newMachine(t).withFoyer()
	m.boot()
	m.must("systemctl", "start", "nginx")
	x := m.terminal(80, 24, []string{"LANG=en_GB.UTF-8"}, downloaded)
	x.see("nginx already answers the web on this machine")
	x.see("> At home")
	x.press(keyEnter)
	x.see("Which web address")
	x.press(keyEnter)
	x.see("An answer is needed here")
	x.press(strings.Split("cloud.jeannine-martin.fr", "")...)
	x.press(keyEnter)
	x.see(`https://cloud\.jeannine-martin\.fr/`)
	x.see("> Install <")
	x.press(keyEnter)
	code := x.see(codeOnScreen)
	x.press(keyEnter)
	x.end()

	pool := m.selfSigned("/etc/nginx/own", "cloud.jeannine-martin.fr")
	snippet := m.must("foyer", "proxy", "nginx", "--certificate", "/etc/nginx/own/cert.pem", "--key", "/etc/nginx/own/key.pem")
	if err := os.WriteFile(filepath.Join(m.root, "etc/nginx/conf.d/foyer.conf"), []byte(snippet+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	m.must("nginx", "-t")
	m.must("systemctl", "restart", "nginx")
	c := &http.Client{Timeout: patience, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return m.dial(ctx, network, "127.0.0.1:443")
		},
	}}
	body := `{"code":"` + code + `","name":"jeannine","password":"` + password + `"}`
	resp, err := c.Post("https://cloud.jeannine-martin.fr/claim", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("claim through nginx: %s%s", resp.Status, m.journal())
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://cloud.jeannine-martin.fr/v1/buckets/b", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("jeannine", password)
	resp, err = c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Errorf("PUT through nginx: %s", resp.Status)
	}
	if state := m.must("systemctl", "is-active", "nginx"); state != "active" {
		t.Errorf("nginx is %s", state)
	}
	show("nginx on 80 before the install", "the wizard saw it and put Foyer behind it; the printed snippet, unchanged, serves claim and storage")
}
