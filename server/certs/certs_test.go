package certs

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/foyer-server/foyer/internal/hint"
)

// fixture is a Certs for tests. certmagic keeps some state by name for the whole
// process, so tests that run side by side use different names and addresses.
type fixture struct {
	*Certs
	dir string
	log *logged
}

type logged struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.String()
}

func start(t *testing.T, dir, name string, tune tuning, addresses ...string) *fixture {
	t.Helper()
	log := &logged{}
	c, err := open(t.Context(), Config{
		Dir: dir, Name: name, Addresses: addresses,
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, tune)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{c, dir, log}
	t.Cleanup(func() {
		c.Close()
		if strings.Contains(log.String(), "PRIVATE KEY") {
			t.Error("a key is in the log")
		}
	})
	return f
}

// cameTo is a connection whose client came to a given address of ours, from a
// given one of theirs.
type cameTo struct {
	net.Conn
	local, remote net.Addr
}

func (c cameTo) LocalAddr() net.Addr  { return c.local }
func (c cameTo) RemoteAddr() net.Addr { return c.remote }

// shake makes a handshake as a client at home that asks for sni (may be empty) at
// the server's address local, and returns what it was shown.
func (f *fixture) shake(sni, local string, opts ...func(*tls.Config)) (*tls.ConnectionState, error) {
	return f.shakeFrom("192.168.1.99", sni, local, opts...)
}

func (f *fixture) shakeFrom(remote, sni, local string, opts ...func(*tls.Config)) (*tls.ConnectionState, error) {
	near, far := net.Pipe()
	defer near.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		defer far.Close()
		here := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(local), 443))
		there := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(remote), 40000))
		tls.Server(cameTo{far, here, there}, f.TLSConfig()).HandshakeContext(context.Background()) //nolint:errcheck // the client tells
	})
	cfg := &tls.Config{ServerName: sni, InsecureSkipVerify: true} // verified below, or by the test
	for _, o := range opts {
		o(cfg)
	}
	client := tls.Client(near, cfg)
	if err := client.Handshake(); err != nil {
		near.Close()
		return nil, err
	}
	state := client.ConnectionState()
	near.Close()
	return &state, nil
}

// verify checks what a client was shown, as that client would at that time.
func (f *fixture) verify(s *tls.ConnectionState, name string, at time.Time) error {
	roots, middle := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(f.RootPEM())
	for _, c := range s.PeerCertificates[1:] {
		middle.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: middle, DNSName: name, CurrentTime: at})
	return err
}

func (f *fixture) mustServe(t *testing.T, sni, local, name string) *x509.Certificate {
	t.Helper()
	s, err := f.shake(sni, local)
	if err != nil {
		t.Fatalf("handshake for %q at %s: %v\n%s", sni, local, err, f.log)
	}
	if err := f.verify(s, name, time.Now()); err != nil {
		t.Fatalf("what was shown for %q at %s does not do for %s: %v", sni, local, name, err)
	}
	return s.PeerCertificates[0]
}

func TestHandshakes(t *testing.T) {
	f := start(t, t.TempDir(), "Hands", usual, "cloud.example", "10.9.8.7", "8.8.8.8")
	for _, c := range []struct{ name, sni, local, good string }{
		{"own name", "hands.local", "192.168.1.20", "hands.local"},
		{"own name, other case", "HANDS.local", "192.168.1.20", "hands.local"},
		{"home.arpa", "hands.home.arpa", "192.168.1.20", "hands.home.arpa"},
		{"localhost", "localhost", "127.0.0.1", "localhost"},
		{"configured name", "cloud.example", "192.168.1.20", "cloud.example"},
		{"address of the connection", "", "192.168.1.20", "192.168.1.20"},
		{"another one, after DHCP", "", "192.168.1.21", "192.168.1.21"},
		{"configured address behind a router", "", "192.168.1.20", "10.9.8.7"},
		{"loopback", "", "127.0.0.1", "127.0.0.1"},
		{"IPv6 ULA", "", "fd00::20", "fd00::20"},
		{"IPv6 link-local", "", "fe80::1%eth0", "fe80::1"},
		{"IPv4 in IPv6", "", "::ffff:192.168.1.22", "192.168.1.22"},
		{"public address", "", "203.0.113.9", "hands.local"},
		{"foreign name", "bank.example", "192.168.1.20", "hands.local"},
		{"another server's name", "other.local", "192.168.1.20", "hands.local"},
		{"other loopback", "", "127.3.3.3", "hands.local"},
	} {
		t.Run(c.name, func(t *testing.T) {
			leaf := f.mustServe(t, c.sni, c.local, c.good)
			if d := leaf.NotAfter.Sub(leaf.NotBefore); d > 90*day {
				t.Errorf("valid for %s", d)
			}
			if k, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || k.Curve != elliptic.P256() {
				t.Errorf("key %T", leaf.PublicKey)
			}
			if len(leaf.ExtKeyUsage) != 1 || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageServerAuth || leaf.KeyUsage != x509.KeyUsageDigitalSignature || leaf.IsCA {
				t.Errorf("usage %v %v, CA %t", leaf.KeyUsage, leaf.ExtKeyUsage, leaf.IsCA)
			}
		})
	}
	for _, stranger := range []string{"bank.example", "other.local", "203.0.113.9", "127.3.3.3"} {
		if sites := f.sites(t); slices.Contains(sites, stranger) {
			t.Errorf("something was issued for %s: %v", stranger, sites)
		}
	}
	if !strings.Contains(f.log.String(), "8.8.8.8") {
		t.Error("nobody was told that a public address gets no certificate of its own")
	}
}

// sites are the names certificates are stored for.
func (f *fixture) sites(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(f.dir, "certificates", "home-*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	return files
}

func TestTLSVersionsAndProtocols(t *testing.T) {
	t.Parallel()
	f := start(t, t.TempDir(), "vers", usual)
	if _, err := f.shake("vers.local", "10.0.0.1", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11 }); err == nil {
		t.Error("TLS 1.1 was spoken")
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s, err := f.shake("vers.local", "10.0.0.1", func(c *tls.Config) { c.MaxVersion, c.NextProtos = version, []string{"h2", "http/1.1"} })
		if err != nil || s.NegotiatedProtocol != "h2" {
			t.Errorf("%s: %+v, %v", tls.VersionName(version), s, err)
		}
	}
	for _, suite := range append(tls.InsecureCipherSuites(), &tls.CipherSuite{ID: tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, Name: "CBC"}) {
		_, err := f.shake("vers.local", "10.0.0.1", func(c *tls.Config) { c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{suite.ID} })
		if err == nil {
			t.Errorf("%s was spoken", suite.Name)
		}
	}
}

// forge signs a certificate with the intermediate's key, as a thief would.
func (f *fixture) forge(t *testing.T, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"Thief"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(day),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, f.ca.intermediate, &key.PublicKey, f.ca.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestConstraintsHoldForGoAndOpenSSL(t *testing.T) {
	t.Parallel()
	f := start(t, t.TempDir(), "limit", usual, "cloud.example")
	dns := func(name string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.DNSNames = []string{name} }
	}
	ip := func(ip string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP(ip)} }
	}
	dir := t.TempDir()
	write := func(name string, certs ...*x509.Certificate) string {
		var b bytes.Buffer
		for _, c := range certs {
			pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) //nolint:errcheck // into memory
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	root, middle := write("root.crt", f.ca.root), write("intermediate.crt", f.ca.intermediate)
	for _, c := range []struct {
		name   string
		change func(*x509.Certificate)
		good   bool
	}{
		{"limit.local", dns("limit.local"), true},
		{"limit.home.arpa", dns("limit.home.arpa"), true},
		{"cloud.example", dns("cloud.example"), true},
		{"localhost", dns("localhost"), true},
		{"192.168.1.20", ip("192.168.1.20"), true},
		{"10.1.2.3", ip("10.1.2.3"), true},
		{"172.31.0.1", ip("172.31.0.1"), true},
		{"169.254.7.7", ip("169.254.7.7"), true},
		{"fd12::1", ip("fd12::1"), true},
		{"fe80::1", ip("fe80::1"), true},
		{"::1", ip("::1"), true},
		{"bank.example", dns("bank.example"), false},
		{"another server at home", dns("other.local"), false},
		{"a name that only ends alike", dns("notlimit.local"), false},
		{"wildcard of everything", dns("*.example"), false},
		{"public address", ip("8.8.8.8"), false},
		{"just outside RFC 1918", ip("172.32.0.1"), false},
		{"public IPv6 address", ip("2001:db8::1"), false},
		{"e-mail", func(c *x509.Certificate) { c.EmailAddresses = []string{"me@limit.local"} }, false},
		{"URI", func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "https", Host: "limit.local", Path: "/"}} }, false},
		{"our name beside a bank's", func(c *x509.Certificate) { c.DNSNames = []string{"limit.local", "bank.example"} }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			leaf := f.forge(t, c.change)
			err := f.verify(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf, f.ca.intermediate}}, "", time.Now())
			if (err == nil) != c.good {
				t.Errorf("Go says %v", err)
			}
			out, err := exec.Command("openssl", "verify", "-purpose", "sslserver", "-CAfile", root, "-untrusted", middle, write(strings.ReplaceAll(c.name, "*", "any")+".crt", leaf)).CombinedOutput()
			if (err == nil) != c.good {
				t.Errorf("openssl says %v: %s", err, out)
			}
		})
	}
	for _, ca := range []*x509.Certificate{f.ca.root, f.ca.intermediate} {
		if !ca.PermittedDNSDomainsCritical || ca.NotBefore.Year() != 2020 {
			t.Errorf("%s: critical %t, from %s", ca.Subject.CommonName, ca.PermittedDNSDomainsCritical, ca.NotBefore)
		}
		if years := time.Until(ca.NotAfter) / (365 * day); years < 9 || years > 10 {
			t.Errorf("%s ends in %d years", ca.Subject.CommonName, years)
		}
	}
	if f.ca.root.MaxPathLen != 1 || f.ca.intermediate.MaxPathLen != 0 || !f.ca.intermediate.MaxPathLenZero {
		t.Error("another CA could be made below")
	}
}

// Our own issuer refuses, too, before any verifier is asked.
func TestIssuerRefusesForeignNames(t *testing.T) {
	t.Parallel()
	f := start(t, t.TempDir(), "refuse", usual)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []x509.CertificateRequest{{DNSNames: []string{"bank.example"}}, {IPAddresses: []net.IP{{8, 8, 8, 8}}}, {}} {
		der, err := x509.CreateCertificateRequest(rand.Reader, &r, key)
		if err != nil {
			t.Fatal(err)
		}
		csr, err := x509.ParseCertificateRequest(der)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.ca.Issue(t.Context(), csr); err == nil {
			t.Errorf("issued for %v %v", r.DNSNames, r.IPAddresses)
		}
	}
}

// No file holds the key of the root, in whatever form.
func TestRootKeyIsNowhere(t *testing.T) {
	t.Parallel()
	f := start(t, t.TempDir(), "nokey", usual)
	f.mustServe(t, "nokey.local", "10.0.0.1", "nokey.local")
	keys := 0
	err := filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			if !strings.Contains(block.Type, "PRIVATE") {
				continue
			}
			keys++
			if fi, err := d.Info(); err != nil || fi.Mode().Perm() != 0o600 {
				t.Errorf("%s: mode %v, %v", path, fi.Mode(), err)
			}
			var key any
			if key, err = x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
				if key, err = x509.ParseECPrivateKey(block.Bytes); err != nil {
					t.Errorf("%s: a key of no known kind", path)
					continue
				}
			}
			if key.(*ecdsa.PrivateKey).PublicKey.Equal(f.ca.root.PublicKey) {
				t.Errorf("%s holds the root's key", path)
			}
		}
		return nil
	})
	if err != nil || keys < 2 {
		t.Errorf("%d keys found, %v: does this test still look in the right place?", keys, err)
	}
	for name, want := range map[string]fs.FileMode{"home-ca/root.crt": 0o644, "home-ca/intermediate.pem": 0o600} {
		if fi, err := os.Stat(filepath.Join(f.dir, name)); err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, fi, err)
		}
	}
}

func TestCAIsFinishedOrReplaced(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		crash func(dir string) error
		same  bool // the same CA afterwards
	}{
		{"nothing happened", func(string) error { return nil }, true},
		{"cut before the root was published", func(dir string) error { return os.Remove(dir + "/home-ca/root.crt") }, true},
		{"somebody else's root", func(dir string) error { return os.WriteFile(dir+"/home-ca/root.crt", []byte("x"), 0o644) }, true},
		{"cut before anything", func(dir string) error { return os.Remove(dir + "/home-ca/intermediate.pem") }, false},
		{"empty file", func(dir string) error { return os.Truncate(dir+"/home-ca/intermediate.pem", 0) }, false},
		{"half a file", func(dir string) error { return os.Truncate(dir+"/home-ca/intermediate.pem", 500) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, name := t.TempDir(), strings.NewReplacer(" ", "", "'", "").Replace(c.name)
			before := start(t, dir, name, usual)
			before.mustServe(t, name+".local", "10.0.0.1", name+".local")
			before.wg.Wait()
			if err := c.crash(dir); err != nil {
				t.Fatal(err)
			}
			after := start(t, dir, name, usual)
			if same := after.Fingerprint() == before.Fingerprint(); same != c.same {
				t.Errorf("the same CA: %t", same)
			}
			after.mustServe(t, name+".local", "10.0.0.1", name+".local")
			if data, err := os.ReadFile(filepath.Join(dir, "home-ca", "root.crt")); err != nil || !bytes.Equal(data, after.RootPEM()) {
				t.Errorf("root.crt is not the root: %v", err)
			}
			after.wg.Wait()
			if issuers, err := filepath.Glob(filepath.Join(dir, "certificates", "home-*")); err != nil || len(issuers) != 1 {
				t.Errorf("certificates of other CAs are kept: %v, %v", issuers, err)
			}
		})
	}
}

func TestSettingsThatNeedANewCA(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, dir, "moved", usual, "cloud.example")
	first.wg.Wait() // two at once in one folder is not what happens
	less := start(t, dir, "moved", usual)
	if less.Fingerprint() != first.Fingerprint() {
		t.Error("a name taken away made everybody trust again")
	}
	less.wg.Wait()
	private := start(t, dir, "moved", usual, "192.168.7.7", "www.cloud.example")
	if private.Fingerprint() != first.Fingerprint() {
		t.Error("an address that is permitted already made everybody trust again")
	}
	private.wg.Wait()
	other := start(t, dir, "renamed", usual)
	if other.Fingerprint() == first.Fingerprint() {
		t.Error("the CA may not sign the new name")
	}
	other.mustServe(t, "renamed.local", "10.0.0.1", "renamed.local")
	if log := other.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "trust it again") {
		t.Errorf("said too softly: %s", log)
	}
	if strings.Contains(first.log.String(), "level=ERROR") {
		t.Errorf("the first start is no alarm: %s", first.log)
	}
}

// A year passes. Nobody is ever shown a certificate that is over, whether they
// come every day, every hundred days, or only look by Expiry.
func TestAYearOfHandshakes(t *testing.T) {
	for _, c := range []struct {
		name    string
		every   time.Duration
		renewed int // at least
	}{
		{"everyfivedays", 5 * day, 5},
		{"eachhundreddays", 100 * day, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				<-time.After(time.Until(epoch.AddDate(0, 1, 0))) // the bubble starts in 2000
				f := start(t, dir, c.name, usual)
				seen := map[string]bool{}
				for begin := time.Now(); time.Since(begin) < 400*day; <-time.After(c.every) {
					for _, at := range []struct{ sni, local, good string }{
						{c.name + ".local", "192.168.1.20", c.name + ".local"}, {"", "192.168.1.20", "192.168.1.20"}, {c.name + ".home.arpa", "192.168.1.20", c.name + ".home.arpa"},
					} {
						leaf := f.mustServe(t, at.sni, at.local, at.good)
						if at.sni == c.name+".local" {
							seen[leaf.SerialNumber.String()] = true
						}
					}
					end, err := f.Expiry(t.Context())
					if err != nil || !end.After(time.Now()) {
						t.Fatalf("Expiry: %s, %v", end, err)
					}
				}
				if len(seen) < c.renewed {
					t.Errorf("%d different certificates were shown", len(seen))
				}
			})
		})
	}
}

// A short life, really served: the certificate that follows is in the handshake,
// not only on disk, and the one that is over never is.
func TestRenewalIsServed(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		<-time.After(time.Until(epoch.AddDate(0, 1, 0)))
		f := start(t, dir, "short", tuning{lifetime: time.Hour})
		var serials []string
		for range 400 {
			serial := f.mustServe(t, "short.local", "10.0.0.1", "short.local").SerialNumber.String()
			if !slices.Contains(serials, serial) {
				serials = append(serials, serial)
			}
			<-time.After(97 * time.Second)
		}
		if len(serials) < 10 {
			t.Errorf("in eleven hours %d certificates of an hour", len(serials))
		}
		if stored := f.stored(t, "short.local"); stored.SerialNumber.String() != serials[len(serials)-1] {
			<-time.After(time.Second)
			if now := f.mustServe(t, "short.local", "10.0.0.1", "short.local"); now.SerialNumber.Cmp(f.stored(t, "short.local").SerialNumber) != 0 {
				t.Error("the newest one is on disk and not in the handshake")
			}
		}
	})
}

func (f *fixture) stored(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	data, err := f.storage.Load(t.Context(), certmagic.StorageKeys.SiteCert(f.ca.IssuerKey(), name))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// The clock was ahead when a certificate was made; now it is right.
func TestCertificateFromTheFutureIsReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ahead := start(t, dir, "future", tuning{lifetime: 90 * day, backdate: -48 * time.Hour})
	ahead.wg.Wait()
	if begin := ahead.stored(t, "future.local").NotBefore; !begin.After(time.Now()) {
		t.Fatalf("the test is none: from %s", begin)
	}
	right := start(t, dir, "future", usual)
	right.mustServe(t, "future.local", "10.0.0.1", "future.local")
	if begin := right.stored(t, "future.local").NotBefore; begin.After(time.Now()) {
		t.Errorf("the old one is still on disk: from %s", begin)
	}
}

// The clock was years behind when everything was made; visitors' clocks are right.
func TestMadeWithAClockInThePast(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		<-time.After(time.Until(epoch.AddDate(-1, 0, 0)))
		f := start(t, dir, "past", usual)
		for _, sni := range []string{"past.local", "past.home.arpa"} {
			s, err := f.shake(sni, "10.0.0.1")
			if err != nil {
				t.Fatal(err)
			}
			if err := f.verify(s, sni, epoch.Add(day)); err != nil {
				t.Errorf("a visitor with the right time refuses: %v", err)
			}
		}
		if n := strings.Count(f.log.String(), "certificate issued"); n > 3 {
			t.Errorf("%d certificates were made for 3 names:\n%s", n, f.log)
		}
		<-time.After(time.Until(epoch.AddDate(0, 5, 0))) // NTP answers
		f.mustServe(t, "past.local", "10.0.0.1", "past.local")
	})
}

func TestTornLeafIsMadeAnew(t *testing.T) {
	t.Parallel()
	for i, c := range []struct {
		name string
		tear func(t *testing.T, base string) // base + .key, .crt, .json
	}{
		{"key of another renewal", func(t *testing.T, base string) {
			key, err := certmagic.StandardKeyGenerator{KeyType: certmagic.P256}.GenerateKey()
			if err != nil {
				t.Fatal(err)
			}
			data, err := certmagic.PEMEncodePrivateKey(key)
			if err != nil {
				t.Fatal(err)
			}
			os.WriteFile(base+".key", data, 0o600)
		}},
		{"empty certificate", func(_ *testing.T, base string) { os.Truncate(base+".crt", 0) }},
		{"empty key", func(_ *testing.T, base string) { os.Truncate(base+".key", 0) }},
		{"no meta file", func(_ *testing.T, base string) { os.Remove(base + ".json") }},
		{"empty meta file", func(_ *testing.T, base string) { os.Truncate(base+".json", 0) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, name, ip := t.TempDir(), "torn"+string(rune('a'+i)), "10.0.7."+strconv.Itoa(i)
			before := start(t, dir, name, usual)
			before.wg.Wait()
			before.mustServe(t, "", ip, ip)
			for _, site := range []string{name + ".local", ip} {
				c.tear(t, strings.TrimSuffix(before.storage.(*files).Filename(certmagic.StorageKeys.SiteCert(before.ca.IssuerKey(), site)), ".crt"))
			}
			after := start(t, dir, name, usual)
			after.mustServe(t, name+".local", "10.0.0.1", name+".local")
			after.mustServe(t, "", ip, ip)
		})
	}
}

// A disk that takes nothing any more: certificates are made, served and renewed.
func TestFullDiskStopsNoCertificate(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "certificates"), nil, 0o600); err != nil { // a file where the folder should be
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		<-time.After(time.Until(epoch.AddDate(0, 1, 0)))
		f := start(t, dir, "full", usual)
		first := f.mustServe(t, "full.local", "10.0.0.1", "full.local")
		<-time.After(100 * day)
		if again := f.mustServe(t, "full.local", "10.0.0.1", "full.local"); again.SerialNumber.Cmp(first.SerialNumber) == 0 {
			t.Error("not renewed")
		}
	})
}

func TestManyFirstHandshakesAtOnce(t *testing.T) {
	t.Parallel()
	f := start(t, t.TempDir(), "crowd", usual)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			name := []string{"crowd.local", "crowd.home.arpa", "localhost", "nobody.example"}[i%4]
			s, err := f.shake(name, "10.0.0.1")
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			if name == "nobody.example" {
				name = "crowd.local"
			}
			if err := f.verify(s, name, time.Now()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	wg.Wait()
}

func TestAddressesAreBounded(t *testing.T) {
	t.Parallel()
	f := start(t, t.TempDir(), "bound", usual)
	for i := range maxAddresses + 10 {
		a := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		if got := f.admit(a); (got != "") != (i < maxAddresses) {
			t.Fatalf("address %d: %q", i, got)
		}
	}
	f.mustServe(t, "", "10.2.2.2", "bound.local")
}

func TestExpiryIsOfTheHandshake(t *testing.T) {
	t.Parallel()
	f := start(t, t.TempDir(), "expiry", usual)
	got, err := f.Expiry(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := f.mustServe(t, "expiry.local", "10.0.0.1", "expiry.local").NotAfter; !got.Equal(want) {
		t.Errorf("got %s, want %s", got, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.mu.Lock()
	f.lookedAt = time.Time{}
	f.mu.Unlock()
	if _, err := f.Expiry(ctx); err == nil {
		t.Error("a look that was called off says all is well")
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for _, l := range hint.Langs {
		list := words[l]
		if len(list) != 256 {
			t.Errorf("%s has %d words", l, len(list))
		}
		for i, w := range list {
			if len(w) < 3 || len(w) > 9 || strings.ToLower(w) != w || slices.Contains(list[:i], w) {
				t.Errorf("%s: %q", l, w)
			}
		}
	}
	if got, want := wordsFor([]byte{0, 1, 254, 255}, hint.EN), []string{"acorn", "actor", "tiger", "violin"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q: the order never changes", got, want)
	}
	f := start(t, t.TempDir(), "words", usual)
	if got := f.Words(hint.FR); len(got) != 4 {
		t.Errorf("got %q", got)
	}
	if fp := f.Fingerprint(); len(fp) != 32*3-1 || fp != strings.ToUpper(fp) {
		t.Errorf("fingerprint %q", fp)
	}
}

func TestLogBridgeLeavesSecretsOut(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	zl := zapTo(slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelInfo})))
	zl.With(zap.String("identifier", "a.local")).Warn("said", zap.String("key_pem", "SECRET1"), zap.ByteString("raw", []byte("SECRET2")),
		zap.Any("thing", struct{ K string }{"SECRET3"}), zap.Error(os.ErrClosed))
	zl.Info("not for an owner")
	if got := b.String(); strings.Contains(got, "SECRET") || strings.Contains(got, "not for") || !strings.Contains(got, "a.local") || !strings.Contains(got, "err=") {
		t.Errorf("got %s", got)
	}
}

// Whatever is in the file of the CA, it is one that works or an error.
func FuzzParseHomeCA(f *testing.F) {
	_, whole, err := makeHomeCA("fuzz", []string{"fuzz.local"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		ca, err := parseHomeCA(data)
		if err == nil && (ca.root == nil || ca.intermediate == nil || !ca.key.PublicKey.Equal(ca.intermediate.PublicKey)) {
			t.Error("half a CA was taken for a whole one")
		}
	})
}

// TestServersShareACA: servers that start together make one home CA, and each puts
// its root where people find it.
func TestServersShareACA(t *testing.T) {
	shared := newFiles(t.TempDir(), slog.New(slog.DiscardHandler))
	var wg sync.WaitGroup
	roots := make([]string, 3)
	for i := range roots {
		dir := t.TempDir()
		wg.Go(func() {
			c, err := New(context.Background(), Config{Dir: dir, Shared: shared, Name: "shared", Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			roots[i] = string(c.RootPEM())
			if here, err := os.ReadFile(filepath.Join(dir, "home-ca", "root.crt")); err != nil || string(here) != roots[i] {
				t.Errorf("%s, %v", here, err)
			}
			if _, err := os.Stat(filepath.Join(dir, "home-ca", "intermediate.pem")); err == nil {
				t.Error("the key of the CA is in the folder, too")
			}
		})
	}
	wg.Wait()
	if roots[0] == "" || roots[0] != roots[1] || roots[1] != roots[2] {
		t.Error("they have different roots")
	}
}
