//go:build e2e

package attack

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
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

// patience bounds every wait for another process. Nothing here takes a tenth of it; it
// judges no speed.
const patience = 2 * time.Minute

// site is a Foyer under attack.
type site struct {
	address, data string
	roots         *x509.CertPool
	supervisor    int // process
	server        int // process
	log           *lines
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

func (l *lines) count() int { return strings.Count(l.String(), "\n") }

// Words of people, for tests alone.
const (
	owner    = "jeannine"
	password = "correct horse battery"
)

// open starts a Foyer with an owner; settings are environment variables.
func open(t *testing.T, settings ...string) *site {
	t.Helper()
	if os.Getenv("FOYER_E2E_BINARY") == "" {
		t.Fatal("FOYER_E2E_BINARY is needed")
	}
	s := &site{data: t.TempDir(), log: &lines{}}
	cmd := exec.Command(os.Getenv("FOYER_E2E_BINARY"), "try", "--json", "--listen", "127.0.0.1:0", "--data", s.data, "--owner", owner)
	cmd.Env = append(append(os.Environ(), "FOYER_OWNER_PASSWORD="+password, "GOMEMLIMIT=128MiB"), settings...)
	out := &lines{}
	cmd.Stdout, cmd.Stderr = out, s.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // however it ends: what it did was looked at
		if t.Failed() {
			said := s.log.String()
			t.Logf("the end of what foyer said:\n%s", said[max(0, len(said)-8000):])
		}
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !strings.Contains(out.String(), "\n"); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("foyer does not run after %s", patience)
		}
	}
	var told struct {
		Home string `json:"home"`
		Root string `json:"root_certificate"`
	}
	if err := json.Unmarshal([]byte(out.String()), &told); err != nil {
		t.Fatal(err)
	}
	s.address = strings.TrimSuffix(strings.TrimPrefix(told.Home, "https://"), "/")
	pem, err := os.ReadFile(told.Root)
	if err != nil {
		t.Fatal(err)
	}
	s.roots = x509.NewCertPool()
	if !s.roots.AppendCertsFromPEM(pem) {
		t.Fatal("the home CA has no certificate")
	}
	s.supervisor = cmd.Process.Pid
	if s.server = child(s.supervisor); s.server == 0 {
		t.Fatal("the supervisor has no server")
	}
	return s
}

// child is the process that a process started; 0: none.
func child(pid int) int {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		if text, err := os.ReadFile(task); err == nil {
			for field := range strings.FieldsSeq(string(text)) {
				if n, err := strconv.Atoi(field); err == nil {
					return n
				}
			}
		}
	}
	return 0
}

// resident is how much memory a process takes now, in MB; 0: it is gone.
func resident(pid int) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.Atoi(strings.Fields(rest)[0])
			return kb >> 10
		}
	}
	return 0
}

// visitor is somebody at an address, who may have a name.
type visitor struct {
	*site
	http.Client
	from     string
	name     string // empty: nobody
	password string
}

// visit is somebody who comes from an address of loopback.
func (s *site) visit(from, name, password string) *visitor {
	v := &visitor{site: s, from: from, name: name, password: password}
	v.Transport = &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: s.roots, ServerName: "localhost"},
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return v.dial(ctx) },
		MaxIdleConnsPerHost: 64,
		DisableCompression:  true,
	}
	return v
}

// dial opens a connection that says nothing yet.
func (v *visitor) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(v.from)}, Timeout: 30 * time.Second}
	return d.DialContext(ctx, "tcp", v.address)
}

// secure opens one that is encrypted, for what no good client would say on it.
func (v *visitor) secure(ctx context.Context) (net.Conn, error) {
	c, err := v.dial(ctx)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(c, &tls.Config{RootCAs: v.roots, ServerName: "localhost"})
	if err := secure.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return secure, nil
}

// request is one to be sent; headers are pairs of name and value.
func (v *visitor) request(ctx context.Context, method, path string, body io.Reader, headers ...string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, "https://"+v.address+"/v1"+path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if v.name != "" {
		r.SetBasicAuth(v.name, v.password)
	}
	return r, nil
}

// ask sends a request and reads the answer; body may be empty.
func (v *visitor) ask(ctx context.Context, method, path, body string, headers ...string) (*http.Response, string, error) {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := v.request(ctx, method, path, reader, headers...)
	if err != nil {
		return nil, "", err
	}
	resp, err := v.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp, string(text), err
}

// must is ask for what prepares an attack, and has to go well.
func (v *visitor) must(t *testing.T, method, path, body string, headers ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp, text, err := v.ask(ctx, method, path, body, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s\n%.500s", method, path, resp.Status, text)
	}
	return text
}
