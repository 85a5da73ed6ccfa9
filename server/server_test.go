package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server"
	"github.com/foyer-server/foyer/server/servertest"
)

// get is a request with headers, given as pairs.
func get(t *testing.T, c *http.Client, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(req)
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

func TestServesAndComesBack(t *testing.T) {
	t.Parallel()
	first := servertest.Start(t, servertest.Config{})
	if resp, body := first.Do(http.MethodPut, "/v1/buckets/b", `{"data":{"kept":true}}`); resp.StatusCode != http.StatusCreated || resp.ProtoMajor != 2 {
		t.Fatalf("%s %s", resp.Status, body)
	}
	h, _, err := first.Health()
	if err != nil || !h.OK || !h.Claimed || h.Version != "0.0.0-test" || len(h.Words[hint.EN]) != 4 || len(h.Words[hint.FR]) != 4 || len(h.Names) < 3 ||
		!h.CertificateExpires.After(time.Now().Add(80*24*time.Hour)) {
		t.Errorf("health %+v, %v", h, err)
	}
	roots := first.Roots()
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	again := servertest.Start(t, servertest.Config{Data: first.Data, Settings: func(s *config.Settings) { s.Name = first.Name }})
	if !again.Roots().Equal(roots) {
		t.Error("another home CA after a restart")
	}
	if resp, body := again.Do(http.MethodGet, "/v1/buckets/b", ""); resp.StatusCode != http.StatusOK || !strings.Contains(body, `"kept":true`) {
		t.Errorf("%s %s", resp.Status, body)
	}
}

func TestPlainHTTPServesEverything(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Config{PlainHTTP: true})
	if resp, body := s.Do(http.MethodPut, "/v1/buckets/b", ""); resp.StatusCode != http.StatusCreated {
		t.Errorf("%s %s", resp.Status, body)
	}
	if resp, body := get(t, s.Client(), http.MethodGet, s.URL+"/", "", "Accept", "text/html"); resp.StatusCode != http.StatusOK || strings.Contains(body, "/trust") {
		t.Errorf("%s %s", resp.Status, body)
	}
	if _, err := os.Stat(filepath.Join(s.Data, "certificates")); err == nil {
		t.Error("certificates were made for nobody")
	}
	h, _, err := s.Health()
	if err != nil || !h.OK || h.Fingerprint != "" || !h.CertificateExpires.IsZero() {
		t.Errorf("health %+v, %v", h, err)
	}
}

// Everything that is not needed for the claim answers the same, to the byte.
func TestUnclaimedGivesNothingAway(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Config{Unclaimed: true})
	c := s.Client()
	var first string
	for _, path := range []string{
		"/v1/", "/v1", "/v0/", "/v2/", "/v1/buckets", "/v1/buckets/b", "/v1/buckets/b/collections/c/records", "/v1/accounts", "/v1/accounts/jeannine", "/v1/__version__",
		"/v1/__heartbeat__", "/v1/__api__", "/v1/batch", "/v1/contribute.json", "/v1/__lbheartbeat__/", "/admin", "/v1/admin/", "/anything", "/claimed", "/claim/", "/claim/x", "/trust/", "/trust/x",
		"/trust/../claim", "/static/", "/static/none", "/health", "/%2e%2e/etc/passwd", "/v1//buckets", "/v1/buckets?_since=abc", "/\xff", "/.well-known/acme-challenge/x", "/.well-known/foyer/dial",
		"/.well-known/foyer/nonce/00112233445566778899aabbccddeeff",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "TRACE"} {
			for _, headers := range [][]string{nil, {"Authorization", "Basic amVhbm5pbmU6Y29ycmVjdA==", "Content-Type", "application/json", "Origin", "https://app.example", "If-Match", `"1"`}} {
				resp, body := get(t, c, method, s.URL+(&url.URL{Opaque: path}).String(), "", headers...)
				if method == "HEAD" {
					if body != "" {
						t.Errorf("HEAD %s has a body", path)
					}
					body = `{"code":503,"errno":201,"error":"Service Unavailable","message":"This server has no owner yet."}`
				}
				resp.Header.Del("Date")
				got := fmt.Sprint(resp.StatusCode, resp.Header, body)
				if first == "" {
					first = got
				}
				if resp.StatusCode != http.StatusServiceUnavailable || got != first {
					t.Errorf("%s %s %v:\n%s\nothers:\n%s", method, path, headers, got, first)
				}
			}
		}
	}
	if !strings.Contains(first, "Retry-After:[30]") || !strings.Contains(first, `"message":"This server has no owner yet."`) {
		t.Errorf("the answer is %s", first)
	}
	for path, want := range map[string]int{"/claim": 200, "/trust": 200, "/trust/foyer-root.crt": 200, "/static/style.css": 200, "/v1/__lbheartbeat__": 200, "/": 303} {
		resp, body := get(t, c, http.MethodGet, s.URL+path, "", "Accept", "text/html")
		if resp.StatusCode != want {
			t.Errorf("%s: %s %s", path, resp.Status, body)
		}
		for _, leak := range []string{"0.0.0-test", s.Data, s.Code} {
			if strings.Contains(body, leak) || strings.Contains(fmt.Sprint(resp.Header), leak) {
				t.Errorf("%s tells %q", path, leak)
			}
		}
	}
	if resp, _ := get(t, c, http.MethodGet, s.URL+"/", "", "Accept", "text/html"); resp.Header.Get("Location") != "/claim" {
		t.Errorf("browsers are sent to %q", resp.Header.Get("Location"))
	}
	if h, _, err := s.Health(); err != nil || h.Claimed || !h.OK {
		t.Errorf("health %+v, %v", h, err)
	}
}

func claim(t *testing.T, s *servertest.Server, c *http.Client, code, name string, headers ...string) (int, map[string]string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"code": code, "name": name, "password": servertest.Password})
	if err != nil {
		t.Fatal(err)
	}
	resp, text := get(t, c, http.MethodPost, s.URL+"/claim", string(body), append([]string{"Content-Type", "application/json"}, headers...)...)
	var got map[string]string
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Errorf("%s is not JSON: %v", text, err)
	}
	return resp.StatusCode, got
}

// Real clients over real HTTPS race for one code: there is one owner, and the
// others are told so.
func TestClaimRace(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Config{Unclaimed: true})
	const racers = 4
	var mu sync.Mutex
	var owners []string
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			name := fmt.Sprintf("racer%d", i)
			status, got := claim(t, s, s.Client(), s.Code, name)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case status == http.StatusCreated && got["owner"] == name:
				owners = append(owners, name)
			case status == http.StatusConflict && got["code"] == "claim-done" && got["message"] != "" && got["todo"] != "":
			case status == http.StatusForbidden || status == http.StatusTooManyRequests: // more than five tries at once
			default:
				t.Errorf("%s: %d %v", name, status, got)
			}
		})
	}
	wg.Wait()
	if len(owners) != 1 {
		t.Fatalf("owners: %q", owners)
	}
	req, err := http.NewRequest(http.MethodPut, s.URL+"/v1/buckets/b", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range racers {
		name := fmt.Sprintf("racer%d", i)
		req.SetBasicAuth(name, servertest.Password)
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if in := resp.StatusCode < 300; in != (name == owners[0]) {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
	if h, _, err := s.Health(); err != nil || !h.Claimed {
		t.Errorf("health %+v, %v", h, err)
	}
}

func TestClaimFromAnotherSiteIsRefused(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Config{Unclaimed: true})
	for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
		if status, got := claim(t, s, s.Client(), s.Code, "thief", headers...); status != http.StatusForbidden || got["code"] != "request-foreign" {
			t.Errorf("%v: %d %v", headers, status, got)
		}
	}
	if status, got := claim(t, s, s.Client(), s.Code, "jeannine", "Sec-Fetch-Site", "same-origin", "Origin", s.URL); status != http.StatusCreated {
		t.Errorf("%d %v", status, got)
	}
	if strings.Contains(s.Log(), s.Code) || strings.Contains(s.Log(), servertest.Password) {
		t.Error("a code or a password is in the log")
	}
}

// patience bounds what a test waits for. Nothing takes a tenth of it on an idle
// machine; it ends a wait that would never end, and judges no speed.
const patience = time.Minute

// dial opens a connection to a listener, and its TLS if it has any.
func dial(t *testing.T, s *servertest.Server, name string, protos ...string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if name == host.HTTPS {
		tc := tls.Client(c, &tls.Config{RootCAs: s.Roots(), ServerName: s.Name + ".local", NextProtos: protos})
		if err := tc.Handshake(); err != nil {
			t.Fatal(err)
		}
		return tc
	}
	return c
}

func quick(s *config.Settings) { s.Limits.HeaderSeconds, s.Limits.BodySeconds = 1, 1 }

// Who sends one byte now and then does not hold a connection.
func TestSlowClientsAreCut(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Config{Settings: quick})
	for _, c := range []struct{ name, listener, head string }{
		{"slow TLS handshake", "", ""},
		{"slow head", host.HTTPS, "GET /v1/ HTTP/1.1\r\nHost: x\r\nX-Slow: "},
		{"slow head, plain", host.HTTP, "GET /v1/ HTTP/1.1\r\nHost: x\r\nX-Slow: "},
		{"slow body", host.HTTPS, "PUT /v1/buckets/b HTTP/1.1\r\nHost: x\r\nAuthorization: Basic amVhbm5pbmU6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"},
		{"slow chunked body", host.HTTPS, "PUT /v1/buckets/b HTTP/1.1\r\nHost: x\r\nAuthorization: Basic amVhbm5pbmU6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n{"},
		{"slow claim", host.HTTPS, "POST /claim HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var conn net.Conn
			if c.listener == "" {
				raw, err := net.Dial("tcp", s.Addr(host.HTTPS))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { raw.Close() })
				if err := raw.SetDeadline(time.Now().Add(patience)); err != nil {
					t.Fatal(err)
				}
				conn, c.head = raw, "\x16\x03\x01"
			} else {
				conn = dial(t, s, c.listener)
			}
			if _, err := io.WriteString(conn, c.head); err != nil {
				t.Fatal(err)
			}
			stop := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() { // goes on dripping until somebody says stop
				tick := time.NewTicker(50 * time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case <-stop:
						return
					case <-tick.C:
						if _, err := conn.Write([]byte(" ")); err != nil {
							return
						}
					}
				}
			})
			_, err := io.Copy(io.Discard, conn)
			close(stop)
			wg.Wait()
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Error("the connection was never cut")
			}
		})
	}
}

func TestSlowBodyOverHTTP2IsCut(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Config{Settings: quick})
	body, drip := io.Pipe()
	defer drip.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, s.URL+"/v1/buckets/b", body)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(servertest.Owner, servertest.Password)
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.Client().Do(req)
	if err == nil {
		resp.Body.Close()
		if resp.ProtoMajor != 2 || resp.StatusCode < 400 {
			t.Errorf("%s %s", resp.Proto, resp.Status)
		}
	}
	if ctx.Err() != nil {
		t.Error("the connection was never cut")
	}
}

// Who asks for much and reads nothing does not hold a connection either.
func TestClientThatDoesNotReadIsCut(t *testing.T) {
	t.Parallel()
	filling := servertest.Start(t, servertest.Config{}) // a patient one: on a busy machine large bodies take their time
	filling.Do(http.MethodPut, "/v1/buckets/b", "")
	filling.Do(http.MethodPut, "/v1/buckets/b/collections/c", "")
	big := strings.Repeat("x", 1<<20)
	for i := range 12 {
		if resp, body := filling.Do(http.MethodPut, fmt.Sprintf("/v1/buckets/b/collections/c/records/r%d", i), `{"data":{"x":"`+big+`"}}`); resp.StatusCode != http.StatusCreated {
			t.Fatalf("%s %s", resp.Status, body)
		}
	}
	if err := filling.Stop(); err != nil {
		t.Fatal(err)
	}
	s := servertest.Start(t, servertest.Config{Data: filling.Data, Settings: quick})
	conn := dial(t, s, host.HTTPS)
	for range 4 { // more than kernel buffers hold
		io.WriteString(conn, "GET /v1/buckets/b/collections/c/records HTTP/1.1\r\nHost: x\r\nAuthorization: Basic amVhbm5pbmU6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5\r\n\r\n")
	}
	// The access log tells when the server is done with the first request.
	deadline := time.Now().Add(patience)
	for !strings.Contains(s.Log(), "method=GET path=/v1/buckets") {
		if time.Now().After(deadline) {
			t.Fatal("the request is still being answered")
		}
		<-time.After(20 * time.Millisecond)
	}
	if n, err := io.Copy(io.Discard, conn); err == nil && n > 40<<20 {
		t.Errorf("%d bytes came after all", n)
	}
}

func TestTooMuch(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Config{Settings: func(s *config.Settings) { s.Limits.Header, s.Limits.Body = 8<<10, 10<<10 }})
	for name, c := range map[string]*http.Client{"HTTP/2": s.Client(), "HTTP/1.1": oldClient(s)} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v1/", nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 14 {
				req.Header.Set(fmt.Sprintf("X-Large-%d", i), strings.Repeat("x", 1<<10))
			}
			resp, err := c.Do(req)
			switch {
			case err == nil:
				resp.Body.Close()
				if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
					t.Errorf("large head: %s", resp.Status)
				}
			case !strings.Contains(err.Error(), "advertised limit"): // over HTTP/2 the client may know it beforehand
				t.Error(err)
			}
			large := `{"data":{"x":"` + strings.Repeat("x", 20<<10) + `"}}`
			auth := []string{"Authorization", "Basic amVhbm5pbmU6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5", "Content-Type", "application/json"}
			if resp, body := get(t, c, http.MethodPut, s.URL+"/v1/buckets/b", large, auth...); resp.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(body, `"errno":113`) {
				t.Errorf("large body: %s %s", resp.Status, body)
			}
			req, err = http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL+"/v1/buckets/b", io.MultiReader(strings.NewReader(large))) // chunked
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth(servertest.Owner, servertest.Password)
			req.Header.Set("Content-Type", "application/json")
			resp, err = c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("large chunked body: %s", resp.Status)
			}
		})
	}
}

func oldClient(s *servertest.Server) *http.Client {
	c := s.Client()
	tr := c.Transport.(*http.Transport)
	tr.ForceAttemptHTTP2 = false
	tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	return c
}

// Nonsense on a port is answered or cut, and the server goes on.
func TestNonsense(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Config{})
	for _, c := range []struct{ name, listener, send, want string }{
		{"plain HTTP on the TLS port", host.HTTPS, "GET /v1/ HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request"},
		{"TLS on the plain port", host.HTTP, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400 Bad Request"},
		{"a broken ClientHello", host.HTTPS, "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", ""},
		{"SSH", host.HTTPS, "SSH-2.0-OpenSSH_9\r\n", ""},
		{"zeros", host.HTTPS, strings.Repeat("\x00", 4096), ""},
		{"no HTTP", host.HTTP, "HELO mail.example\r\n\r\n", "400 Bad Request"},
		{"two lengths", host.HTTP, "POST /v1/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", "400 Bad Request"},
		{"length and chunks", host.HTTP, "GET /v1/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n\r\nx", "501"},
		{"a proxy is wanted", host.HTTP, "CONNECT bank.example:443 HTTP/1.1\r\nHost: bank.example:443\r\n\r\n", "400 Bad Request"},
		{"no host", host.HTTP, "GET / HTTP/1.1\r\n\r\n", "400 Bad Request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", s.Addr(c.listener))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(patience))
			io.WriteString(conn, c.send)
			conn.(*net.TCPConn).CloseWrite()
			got, err := io.ReadAll(conn)
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Error("never cut")
			}
			if !strings.Contains(string(got), c.want) {
				t.Errorf("answered %q", got)
			}
		})
	}
	t.Cleanup(func() {
		if log := s.Log(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "level=WARN") || strings.Contains(log, "HELO") {
			t.Errorf("an owner is bothered with it: %s", log)
		}
	})
}

func TestPlainHTTPLeadsToHTTPS(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Config{Settings: func(s *config.Settings) { s.Addresses = []string{"cloud.example", "10.9.9.9"} }})
	c := s.Client()
	_, port, _ := net.SplitHostPort(s.Addr(host.HTTPS))
	for _, x := range []struct{ name, method, path, host, want string }{
		{"our name", "GET", "/v1/buckets?_limit=1", "", "https://" + s.Name + ".local:" + port + "/v1/buckets?_limit=1"},
		{"a write keeps its method", "PUT", "/v1/buckets/b", s.Name + ".local:80", "https://" + s.Name + ".local:" + port + "/v1/buckets/b"},
		{"other case and a dot", "GET", "/x", strings.ToUpper(s.Name) + ".LOCAL.", "https://" + s.Name + ".local:" + port + "/x"},
		{"configured name", "GET", "/x", "cloud.example", "https://cloud.example:" + port + "/x"},
		{"an address", "GET", "/x", "192.168.1.20:8080", "https://192.168.1.20:" + port + "/x"},
		{"IPv6", "GET", "/x", "[fd00::1]:80", "https://[fd00::1]:" + port + "/x"},
		{"the router's name for us", "GET", "/x", "foyer.fritz.box", "https://127.0.0.1:" + port + "/x"},
		{"forged", "GET", "/x", "evil.example", "https://127.0.0.1:" + port + "/x"},
		{"forged with a user", "GET", "/x", "foyer.local@evil.example", ""},
		{"forged with a path", "GET", "/x", "evil.example/y", ""},
		{"two slashes", "GET", "//evil.example/x", "", "https://" + s.Name + ".local:" + port + "//evil.example/x"},
		{"a new line", "GET", "/x%0d%0aSet-Cookie:a=b", "", "https://" + s.Name + ".local:" + port + "/x%0D%0ASet-Cookie:a=b"},
		{"for a browser at /", "GET", "/", "", "/start"},
	} {
		t.Run(x.name, func(t *testing.T) {
			headers := []string{"Accept", "text/html"}
			if x.host != "" {
				headers = append(headers, "Host", x.host)
			}
			resp, _ := get(t, c, x.method, s.Plain+(&url.URL{Opaque: x.path}).String(), "", headers...)
			got := resp.Header.Get("Location")
			if x.want == "" {
				if resp.StatusCode != http.StatusBadRequest && got != "https://127.0.0.1:"+port+"/x" {
					t.Errorf("%s to %q", resp.Status, got)
				}
				return
			}
			if resp.StatusCode != http.StatusTemporaryRedirect || !strings.EqualFold(got, x.want) {
				t.Errorf("%s to %q, want %q", resp.Status, got, x.want)
			}
		})
	}
	for path, want := range map[string]string{"/trust": "text/html", "/start": "text/html", "/trust/foyer-root.crt": "application/x-x509-ca-cert", "/v1/__lbheartbeat__": "application/json"} {
		resp, body := get(t, c, http.MethodGet, s.Plain+path, "")
		if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), want) || body == "" {
			t.Errorf("%s: %s %s", path, resp.Status, resp.Header)
		}
	}
	if resp, _ := get(t, c, http.MethodGet, s.Plain+"/claim", ""); resp.StatusCode != http.StatusTemporaryRedirect {
		t.Errorf("the claim over plain HTTP: %s", resp.Status)
	}
}

// A request that is under way when the server is told to end is answered; new
// ones are not taken.
func TestDrainFinishesWhatIsInFlight(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Config{})
	idle := dial(t, s, host.HTTPS)
	conn := dial(t, s, host.HTTPS)
	body := `{"data":{"late":true}}`
	fmt.Fprintf(conn, "PUT /v1/buckets/late HTTP/1.1\r\nHost: x\r\nAuthorization: Basic amVhbm5pbmU6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(body))
	in := bufio.NewReader(conn)
	if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err)
	}
	in.ReadString('\n')
	s.End() // the handler waits for the body now
	for {   // until nobody listens any more
		c, err := net.Dial("tcp", s.Addr(host.HTTPS))
		if err != nil {
			break
		}
		c.Close()
	}
	select {
	case <-s.Ended():
		t.Fatal("the server did not wait")
	default:
	}
	io.WriteString(conn, body)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("%+v, %v", resp, err)
	}
	resp.Body.Close()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := idle.Read(make([]byte, 1)); err == nil {
		t.Error("an idle connection was kept")
	}
	again := servertest.Start(t, servertest.Config{Data: s.Data, Settings: func(set *config.Settings) { set.Name = s.Name }})
	if resp, text := again.Do(http.MethodGet, "/v1/buckets/late", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("%s %s", resp.Status, text)
	}
}

func TestStartErrorsTellWhatToDo(t *testing.T) {
	t.Parallel()
	run := func(data string) error {
		set := config.Default()
		set.Name, set.Data = "broken", data
		l, err := host.Listen(host.HTTP, "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return server.Run(t.Context(), server.Config{Settings: set, Listeners: []host.Listener{l}, Version: "0", Log: quietLog(), PlainHTTP: true})
	}
	h := hint.Find(run(filepath.Join(t.TempDir(), "unplugged")))
	if h == nil || h.Code != "data-missing" || h.Do.FR == "" {
		t.Errorf("no folder: %v", h)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "data.db"), bytes.Repeat([]byte("no database"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(dir); err == nil {
		t.Error("something that is no database was opened")
	}
}

func TestTheLogHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Config{})
	s.Do(http.MethodPut, "/v1/buckets/secretbucket", `{"data":{"secretfield":1}}`)
	s.Do(http.MethodGet, "/v1/buckets/secretbucket?secretquery=1", "")
	get(t, s.Client(), http.MethodGet, s.URL+"/secretpath/x", "", "Authorization", "Bearer secrettoken", "Cookie", "secretcookie")
	log := s.Log()
	if strings.Contains(log, "secret") || strings.Contains(log, servertest.Password) || strings.Contains(log, "PRIVATE KEY") {
		t.Errorf("%s", log)
	}
	if !strings.Contains(log, "method=PUT path=/v1/buckets status=201") {
		t.Errorf("no access log: %s", log)
	}
}

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }
