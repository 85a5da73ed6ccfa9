//go:build e2e

package trust

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// foyer is a `foyer try` and the files of its home CA.
type foyer struct {
	address, port string
	root, secret  string
}

// lines is what a process says.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func try(t *testing.T) foyer {
	t.Helper()
	if os.Getenv("FOYER_E2E_BINARY") == "" {
		t.Fatal("FOYER_E2E_BINARY is needed")
	}
	data := t.TempDir()
	cmd := exec.Command(os.Getenv("FOYER_E2E_BINARY"), "try", "--json", "--listen", "127.0.0.1:0", "--data", data, "--owner", "jeannine")
	cmd.Env = append(os.Environ(), "FOYER_OWNER_PASSWORD=correct horse battery")
	out, logged := &lines{}, &lines{}
	cmd.Stdout, cmd.Stderr = out, logged
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // however it ends: what it did was looked at
		if t.Failed() {
			t.Logf("foyer said:\n%s%s", out, logged)
		}
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !strings.Contains(out.String(), "root_certificate"); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("foyer does not run after " + patience.String())
		}
	}
	var told struct {
		Home string `json:"home"`
		Root string `json:"root_certificate"`
	}
	if err := json.Unmarshal([]byte(out.String()), &told); err != nil {
		t.Fatal(err)
	}
	address := strings.TrimSuffix(strings.TrimPrefix(told.Home, "https://"), "/")
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return foyer{address, port, told.Root, filepath.Join(data, "certificates", "home-ca", "intermediate.pem")}
}

// patience bounds every wait for another process but testssl.sh. Nothing here takes
// a tenth of it, even beside a load of eight on two cores; it judges no speed.
const patience = 3 * time.Minute

// run runs a program for so long at most and returns its standard output and what
// it complained of.
func run(t *testing.T, limit time.Duration, environ []string, args ...string) (out, complaint string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), environ...)
	// Its children may hold the pipes a little longer.
	cmd.WaitDelay = 5 * time.Second
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	return o.String(), e.String(), err
}

// aside are findings of testssl.sh that are not about the server: of the OpenSSL it
// runs itself.
var aside = []string{"engine_problem"}

// Every door OpenSSL can knock at, by each of its suites; what its Debian build has
// no longer (RC4, 3DES, SSL 3) Go's tests and testssl.sh try.
func TestOpenSSLFindsNoOldDoor(t *testing.T) {
	f := try(t)
	const all = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
	ask := func(stdin string, args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, "openssl", append([]string{"s_client", "-connect", f.address, "-CAfile", f.root, "-verify_return_error"}, args...)...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	home := []string{"-servername", "foyer.local"}
	for _, old := range []string{"-tls1", "-tls1_1"} {
		if out, err := ask("", append(home, old, "-cipher", all)...); err == nil || !strings.Contains(out, "alert protocol version") {
			t.Errorf("%s: %v\n%s", old, err, out)
		}
	}
	list, _, err := run(t, patience, nil, "openssl", "ciphers", "-tls1_2", "-s", all)
	if err != nil {
		t.Fatal(err)
	}
	var spoken []string
	suites := strings.Split(strings.TrimSpace(list), ":")
	for _, suite := range suites {
		if strings.HasPrefix(suite, "TLS_") {
			continue // of TLS 1.3, where all are good
		}
		if _, err := ask("", append(home, "-tls1_2", "-cipher", suite+":@SECLEVEL=0")...); err == nil {
			spoken = append(spoken, suite)
		}
	}
	slices.Sort(spoken)
	if want := []string{"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"}; !slices.Equal(spoken, want) {
		t.Errorf("by TLS 1.2 it speaks %v", spoken)
	}
	for what, c := range map[string]struct {
		stdin string
		args  []string
		want  string
		fails bool
	}{
		"TLS 1.3":              {"", []string{"-servername", "foyer.local", "-tls1_3", "-verify_hostname", "foyer.local"}, "Verification: OK", false},
		"renegotiation":        {"R\n", []string{"-servername", "foyer.local", "-tls1_2"}, "alert unexpected message", true},
		"compression":          {"", []string{"-servername", "foyer.local", "-tls1_2", "-comp"}, "Compression: NONE", false},
		"HTTP/2":               {"", []string{"-servername", "foyer.local", "-alpn", "h2"}, "ALPN protocol: h2", false},
		"HTTP/1.1":             {"", []string{"-servername", "foyer.local", "-alpn", "http/1.1"}, "ALPN protocol: http/1.1", false},
		"an authority's":       {"", []string{"-servername", "foyer.local", "-alpn", "acme-tls/1"}, "alert no application protocol", true},
		"no name":              {"", []string{"-noservername", "-verify_ip", "127.0.0.1"}, "Verification: OK", false},
		"somebody else's name": {"", []string{"-servername", "bank.example"}, "Verification: OK", false},
	} {
		out, err := ask(c.stdin, c.args...)
		if !strings.Contains(out, c.want) || (err != nil) != c.fails {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
	}
	if !t.Failed() {
		t.Logf("SHOW OpenSSL at a real server: TLS 1.0 and 1.1 refused, of %d suites 3 spoken by TLS 1.2 (%s), no renegotiation, no compression, h2 and http/1.1, acme-tls/1 refused, works without a name", len(suites), strings.Join(spoken, ", "))
	}
}

// testssl.sh takes half a minute on a quiet machine.
func TestTestsslHasNothingToSay(t *testing.T) {
	f := try(t)
	file := filepath.Join(t.TempDir(), "found.json")
	began := time.Now()
	out, complaint, err := run(t, 10*time.Minute, nil, "testssl", "--quiet", "--warnings", "off", "--color", "0", "--nodns", "none", "--openssl", "/usr/bin/openssl",
		"--protocols", "--std", "--renegotiation", "--compression", "--heartbleed", "--robot", "--tls-fallback", "--jsonfile", file, f.address)
	text, readErr := os.ReadFile(file)
	if readErr != nil {
		t.Fatalf("%v, %v\n%s%s", err, readErr, out, complaint)
	}
	var found []struct{ ID, Severity, Finding string }
	if err := json.Unmarshal(text, &found); err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for _, x := range found {
		said[x.ID] = x.Severity + " " + x.Finding
		if slices.Contains([]string{"OK", "INFO", "LOW"}, x.Severity) || slices.Contains(aside, x.ID) {
			continue
		}
		t.Errorf("%s: %s: %s", x.ID, x.Severity, x.Finding)
	}
	for id, want := range map[string]string{
		"SSLv2": "not offered", "SSLv3": "not offered", "TLS1": "not offered", "TLS1_1": "not offered", "TLS1_2": "offered", "TLS1_3": "offered",
		"cipherlist_NULL": "not offered", "cipherlist_aNULL": "not offered", "cipherlist_EXPORT": "not offered", "cipherlist_3DES_IDEA": "not offered",
		"secure_client_renego": "not vulnerable", "CRIME_TLS": "not vulnerable", "heartbleed": "not vulnerable", "ROBOT": "not vulnerable",
	} {
		if !strings.Contains(said[id], want) {
			t.Errorf("%s: %q, not %q", id, said[id], want)
		}
	}
	if !t.Failed() {
		t.Logf("SHOW testssl.sh against a real server: %d findings in %d s, none above LOW about us: TLS 1.2 and 1.3 only, no CBC, RSA key exchange, 3DES, RC4, NULL or export, no renegotiation by clients, no compression", len(found), int(time.Since(began).Seconds()))
	}
}

// steal takes the key of the intermediate and signs a certificate for name with it.
func steal(t *testing.T, f foyer, name string) tls.Certificate {
	t.Helper()
	text, err := os.ReadFile(f.secret)
	if err != nil {
		t.Fatal(err)
	}
	var key any
	var chain []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "PRIVATE KEY" {
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		} else {
			var c *x509.Certificate
			c, err = x509.ParseCertificate(block.Bytes)
			chain = append(chain, c)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{Organization: []string{"Thief"}}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, chain[0], &own.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der, chain[0].Raw}, PrivateKey: own}
}

// thief is a server that shows cert to everybody; it returns its port.
func thief(t *testing.T, cert tls.Certificate) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}, ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "the page is here") }),
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.ServeTLS(l, "", "") }) // ends when it is closed
	t.Cleanup(func() { srv.Close(); wg.Wait() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// What the thief of a data folder signs for a bank is refused by every program that
// trusts the home CA; what they sign for the server itself is the control: so it is
// the name that is refused.
func TestForgedForABank(t *testing.T) {
	f := try(t)
	home := t.TempDir()
	nss := "sql:" + filepath.Join(home, ".pki", "nssdb")
	if err := os.MkdirAll(filepath.Join(home, ".pki", "nssdb"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-N", "--empty-password"}, {"-A", "-t", "C,,", "-n", "foyer", "-i", f.root}} {
		if out, complaint, err := run(t, patience, nil, append([]string{"certutil", "-d", nss}, args...)...); err != nil {
			t.Fatalf("%v\n%s%s", err, out, complaint)
		}
	}
	rootPEM, err := os.ReadFile(f.root)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(rootPEM)

	verdicts := map[string]func(name, port string) (bool, string){
		"Go": func(name, port string) (bool, string) {
			conn, err := tls.Dial("tcp", "127.0.0.1:"+port, &tls.Config{RootCAs: roots, ServerName: name})
			if err != nil {
				return false, err.Error()
			}
			conn.Close()
			return true, ""
		},
		"OpenSSL": func(name, port string) (bool, string) {
			out, complaint, err := run(t, patience, nil, "openssl", "s_client", "-connect", "127.0.0.1:"+port, "-servername", name, "-verify_hostname", name, "-CAfile", f.root, "-verify_return_error", "-brief")
			return err == nil, out + complaint
		},
		"Chromium": func(name, port string) (bool, string) {
			out, complaint, err := run(t, patience, []string{"HOME=" + home, "DBUS_SESSION_BUS_ADDRESS=unix:path=/dev/null"}, "chromium",
				"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
				"--user-data-dir="+t.TempDir(), "--host-resolver-rules=MAP * 127.0.0.1", "--enable-logging=stderr", "--dump-dom", "https://"+name+":"+port+"/")
			if err != nil {
				t.Errorf("chromium: %v", err)
			}
			_, why, failed := strings.Cut(complaint, "Page load failed: ")
			if !failed && !strings.Contains(out, "<body") {
				t.Errorf("chromium shows nothing and does not say why: %s", complaint)
			}
			return !failed, why
		},
	}
	honest := map[string]string{"the server itself": f.port, "signed by the thief": thief(t, steal(t, f, "foyer.local"))}
	bank := thief(t, steal(t, f, "bank.example"))
	for who, asks := range verdicts {
		t.Run(who, func(t *testing.T) {
			for what, port := range honest {
				if ok, said := asks("foyer.local", port); !ok {
					t.Fatalf("the control, %s, is refused: %s", what, said)
				}
			}
			ok, said := asks("bank.example", bank)
			if ok {
				t.Fatalf("bank.example is accepted: %s", said)
			}
			why := ""
			for _, word := range []string{"not permitted by any constraint", "permitted subtree violation", "ERR_CERT_INVALID", "ERR_CERT_NAME_CONSTRAINT_VIOLATION"} {
				if strings.Contains(said, word) {
					why = word
				}
			}
			if why == "" {
				t.Errorf("refused for another reason: %s", said)
				return
			}
			t.Logf("SHOW forged for bank.example with the home CA's stolen key: %s accepts foyer.local and refuses the bank: %s", who, why)
		})
	}
}
