//go:build e2e

package front

import (
	"bufio"
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
	"fmt"
	"io"
	"math/big"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const name, password = "cloud.example", "correct horse battery"

// front is a proxy, what has to be around the snippet, and how it is started with
// the file.
type frontend struct {
	kind     string
	protocol bool
	around   func(dir, snippet string) string
	command  func(dir, file string) *exec.Cmd
}

var frontends = []frontend{
	{"nginx", false, func(dir, snippet string) string {
		return "daemon off;\npid " + dir + "/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n" +
			"client_body_temp_path " + dir + "/b; proxy_temp_path " + dir + "/p; fastcgi_temp_path " + dir + "/f; uwsgi_temp_path " + dir + "/u; scgi_temp_path " + dir + "/s;\n" + snippet + "}\n"
	}, func(dir, file string) *exec.Cmd { return exec.Command("nginx", "-p", dir, "-c", file) }},
	{"apache", false, func(dir, snippet string) string {
		var b strings.Builder
		for _, m := range []string{"mpm_event", "authz_core", "alias", "ssl", "http2", "headers", "proxy", "proxy_http"} {
			fmt.Fprintf(&b, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", m, m)
		}
		ports := ""
		for line := range strings.Lines(snippet) {
			if rest, ok := strings.CutPrefix(line, "<VirtualHost *:"); ok {
				ports += "Listen 127.0.0.1:" + strings.TrimSuffix(strings.TrimSpace(rest), ">") + "\n"
			}
		}
		user := ""
		if os.Getuid() == 0 {
			user = "User www-data\nGroup www-data\n"
		}
		return b.String() + user + "ServerRoot " + dir + "\nDefaultRuntimeDir " + dir + "\nPidFile " + dir + "/pid\nErrorLog " + dir + "/error.log\nServerName " + name + "\n" + ports + snippet
	}, func(dir, file string) *exec.Cmd { return exec.Command("apache2", "-DFOREGROUND", "-f", file) }},
	{"caddy", false, func(_, snippet string) string {
		return "{\n\tadmin off\n\tauto_https off\n}\n" + snippet
	}, func(dir, file string) *exec.Cmd {
		cmd := exec.Command("caddy", "run", "--adapter", "caddyfile", "--config", file)
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
		return cmd
	}},
	{"haproxy", true, plainly, haproxy},
	{"haproxy", false, plainly, haproxy},
}

func plainly(_, snippet string) string { return snippet }
func haproxy(_, file string) *exec.Cmd { return exec.Command("haproxy", "-db", "-f", file) }

func TestBehindRealProxies(t *testing.T) {
	if os.Getenv("FOYER_E2E_BINARY") == "" {
		t.Fatal("FOYER_E2E_BINARY is needed")
	}
	for _, f := range frontends {
		t.Run(fmt.Sprintf("%s,protocol=%t", f.kind, f.protocol), func(t *testing.T) { behind(t, f) })
	}
}

// free are ports that nobody had a moment ago.
func free(t *testing.T, n int) (ports []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return ports
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

// start runs a process until the test ends.
func start(t *testing.T, cmd *exec.Cmd) (out, log *lines) {
	t.Helper()
	out, log = &lines{}, &lines{}
	cmd.Stdout, cmd.Stderr = out, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // however it ends: what it did was looked at
		if t.Failed() {
			t.Logf("%s:\n%s%s", cmd.Path, out, log)
		}
	})
	return out, log
}

// patience bounds every wait for another process. Nothing here takes a tenth of it,
// even beside a load of eight on two cores; it judges no speed.
const patience = 2 * time.Minute

// until asks again and again.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// certificate makes one for name, and returns its files and who trusts it.
func certificate(t *testing.T, dir string) (cert, key, both string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	c, k := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
	cert, key, both = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "both.pem")
	for file, data := range map[string][]byte{cert: c, key: k, both: append(bytes.Clone(c), k...)} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(c)
	return cert, key, both, pool
}

func behind(t *testing.T, f frontend) {
	dir := t.TempDir()
	cert, key, both, pool := certificate(t, dir)
	ports := free(t, 3)
	inner, plain, secure := "127.0.0.1:"+ports[0], ports[1], ports[2]
	environ := append(os.Environ(), "FOYER_PROXY_LISTEN="+inner, "FOYER_PROXY_TRUSTED=127.0.0.1", "FOYER_ADDRESSES="+name, "FOYER_LOG=debug",
		"FOYER_OWNER_PASSWORD="+password, "KINTO_INCLUDES=kinto_attachment")
	if f.protocol {
		environ = append(environ, "FOYER_PROXY_PROTOCOL=on")
	}
	foyer := exec.Command(os.Getenv("FOYER_E2E_BINARY"), "try", "--proxy", "--json", "--listen", inner, "--owner", "jeannine")
	foyer.Env = environ
	out, log := start(t, foyer)
	until(t, "foyer runs", func() bool { return strings.Contains(out.String(), `"owner"`) })

	args := []string{"proxy", f.kind, "--settings", "", "--http-port", plain, "--https-port", secure, "--certificate", cert, "--key", key}
	if f.kind == "haproxy" {
		args = append(args, "--certificate", both)
	}
	print := exec.Command(os.Getenv("FOYER_E2E_BINARY"), args...)
	print.Env = environ
	snippet, err := print.Output()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "conf")
	if err := os.WriteFile(file, []byte(f.around(dir, string(snippet))), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, f.command(dir, file))
	until(t, "the proxy listens", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+secure)
		if err == nil {
			c.Close()
		}
		return err == nil
	})

	// Visitors come from 127.0.0.2, the proxy from 127.0.0.1.
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(address)
			return dialer.DialContext(ctx, network, "127.0.0.1:"+port)
		},
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	do := func(method, url, kind string, body io.Reader, more ...string) (*http.Response, string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, method, url, body)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("jeannine", password)
		if kind != "" {
			r.Header.Set("Content-Type", kind)
		}
		for i := 0; i < len(more); i += 2 {
			r.Header.Set(more[i], more[i+1])
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(text)
	}
	spoofed := []string{"X-Forwarded-For", "6.6.6.6", "X-Forwarded-Proto", "http", "X-Forwarded-Host", "evil.example", "Forwarded", "for=6.6.6.6;proto=http;host=evil.example"}
	base := "https://" + name + ":" + secure
	told := func(body string) string {
		var h struct {
			URL string `json:"url"`
		}
		_ = json.Unmarshal([]byte(body), &h)
		return h.URL
	}
	for _, headers := range [][]string{nil, spoofed} {
		resp, body := do("GET", base+"/v1/", "", nil, headers...)
		if told(body) != base+"/v1/" || resp.ProtoMajor != 2 {
			t.Errorf("hello says %q by %s, with headers %v", told(body), resp.Proto, headers)
		}
	}
	for _, path := range []string{"/v1/buckets/b", "/v1/buckets/b/collections/c", "/v1/buckets/b/collections/c/records/1", "/v1/buckets/b/collections/c/records/2"} {
		if resp, body := do("PUT", base+path, "application/json", strings.NewReader(`{"data":{}}`)); resp.StatusCode != http.StatusCreated {
			t.Fatalf("%s: %s %s", path, resp.Status, body)
		}
	}
	records := base + "/v1/buckets/b/collections/c/records"
	resp, _ := do("GET", records+"?_limit=1", "", nil, spoofed...)
	next := resp.Header.Get("Next-Page")
	if !strings.HasPrefix(next, records+"?") {
		t.Errorf("Next-Page: %q", next)
	} else if resp, body := do("GET", next, "", nil); resp.StatusCode != http.StatusOK || !strings.Contains(body, `"id"`) {
		t.Errorf("the next page: %s %s", resp.Status, body)
	}
	resp, _ = do("GET", "http://"+name+":"+plain+"/v1/buckets?x=1", "", nil)
	if resp.StatusCode != http.StatusTemporaryRedirect || !strings.HasPrefix(resp.Header.Get("Location"), base+"/v1/buckets") {
		t.Errorf("without TLS: %s %q", resp.Status, resp.Header.Get("Location"))
	}

	// A stranger who reaches Foyer itself is nobody's proxy.
	if _, body := do("GET", "http://"+inner+"/v1/", "", nil, spoofed...); told(body) != "http://"+inner+"/v1/" {
		t.Errorf("a stranger is told %q", told(body))
	}

	// An attachment larger than any other body may be.
	size := 20 << 20
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("attachment", "big.png")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(part, rand.Reader, int64(size)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if resp, body := do("POST", records+"/1/attachment", w.FormDataContentType(), &form); resp.StatusCode/100 != 2 || !strings.Contains(body, fmt.Sprintf(`"size":%d`, size)) {
		t.Errorf("an attachment of 20 MiB: %s %.300s", resp.Status, body)
	}

	// The feed tells of a change while it stays open.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", records, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("jeannine", password)
	r.Header.Set("Accept", "text/event-stream")
	feed, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Body.Close()
	began := time.Now()
	if resp, body := do("PUT", records+"/live", "application/json", strings.NewReader(`{"data":{}}`)); resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s", resp.Status, body)
	}
	seen := false
	for sc := bufio.NewScanner(feed.Body); !seen && sc.Scan(); {
		seen = strings.Contains(sc.Text(), `"live"`)
	}
	took := time.Since(began)
	if !seen {
		t.Errorf("no change came through in %s", took)
	}

	said := log.String()
	if !strings.Contains(said, "client=127.0.0.2") || strings.Contains(said, "6.6.6.6") {
		t.Error("the log does not have the visitor's address, or has one they made up")
	}
	if !t.Failed() {
		t.Logf("SHOW behind %s (PROXY protocol: %t): hello, Next-Page, redirect, visitor's address, 20 MiB attachment, HTTP/2; a change came through in %d ms", f.kind, f.protocol, took.Milliseconds())
	}
}
