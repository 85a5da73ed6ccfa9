package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	claims "github.com/foyer-server/foyer/internal/claim"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server"
	"github.com/foyer-server/foyer/server/servertest"
)

// behindProxy starts a server with an owner that answers a proxy alone, and returns
// its address and its log, which is whole once stop has been called.
func behindProxy(t *testing.T, change func(*config.Settings), more ...func(*server.Config)) (url string, stop func() string) {
	t.Helper()
	l, err := host.Listen(host.Front, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	set := config.Default()
	set.Data, set.Proxy.Listen = t.TempDir(), l.Addr().String()
	change(set)
	if err := set.Validate(); err != nil {
		t.Fatal(err)
	}
	offer, err := claims.ForOwner(servertest.Owner, servertest.Password)
	if err != nil {
		t.Fatal(err)
	}
	if err := claims.Leave(set.Data, offer, -1, -1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended, log := make(chan error, 1), &bytes.Buffer{}
	cfg := server.Config{
		Settings: set, Listeners: []host.Listener{l}, Version: "0.0.0-test",
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range more {
		f(&cfg)
	}
	go func() { ended <- server.Run(ctx, cfg) }()
	stopped := false
	stop = func() string {
		if !stopped {
			stopped = true
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("the server ended with %v", err)
			}
			if _, err := os.Stat(filepath.Join(set.Data, "certificates")); err == nil {
				t.Error("certificates were made for nobody")
			}
		}
		return log.String()
	}
	t.Cleanup(func() { stop() })
	return "http://" + l.Addr().String(), stop
}

func TestBehindAProxyAddressesAreTheVisitors(t *testing.T) {
	t.Parallel()
	url, stop := behindProxy(t, func(s *config.Settings) { s.Proxy.Trusted = []string{"127.0.0.1"} })
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Timeout: patience}
	defer c.CloseIdleConnections()
	said := []string{"X-Forwarded-For", "6.6.6.6, 203.0.113.9", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "cloud.example"}
	owner := append(said, "Authorization", "Basic amVhbm5pbmU6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5", "Content-Type", "application/json")

	_, body := get(t, c, http.MethodGet, url+"/v1/", "", said...)
	var hello struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal([]byte(body), &hello); err != nil || hello.URL != "https://cloud.example/v1/" {
		t.Errorf("hello says %q, %v", hello.URL, err)
	}
	for _, id := range []string{"a", "b"} {
		if resp, body := get(t, c, http.MethodPut, url+"/v1/buckets/"+id, "", owner...); resp.StatusCode != http.StatusCreated {
			t.Fatalf("%s %s", resp.Status, body)
		}
	}
	if resp, _ := get(t, c, http.MethodGet, url+"/v1/buckets?_limit=1", "", owner...); !strings.HasPrefix(resp.Header.Get("Next-Page"), "https://cloud.example/v1/buckets?") {
		t.Errorf("Next-Page: %q", resp.Header.Get("Next-Page"))
	}
	// In a batch, too.
	batch := `{"requests":[{"path":"/v1/buckets?_limit=1","headers":{"X-Forwarded-Host":"evil.example"}}]}`
	if _, body := get(t, c, http.MethodPost, url+"/v1/batch", batch, owner...); !strings.Contains(body, "https://cloud.example/v1/buckets?") {
		t.Errorf("in a batch: %s", body)
	}
	if resp, _ := get(t, c, http.MethodGet, url+"/buckets", "", said...); resp.Header.Get("Location") != "https://cloud.example/v1/buckets" {
		t.Errorf("Location: %q", resp.Header.Get("Location"))
	}
	if _, body := get(t, c, http.MethodGet, url+"/", "", append(said, "Accept", "text/html")...); !strings.Contains(body, "https://cloud.example/v1/") {
		t.Errorf("the page for people: %s", body)
	}
	resp, _ := get(t, c, http.MethodGet, url+"/v1/buckets?x=1", "", "X-Forwarded-For", "203.0.113.9", "X-Forwarded-Proto", "http", "X-Forwarded-Host", "cloud.example")
	if resp.StatusCode != http.StatusTemporaryRedirect || resp.Header.Get("Location") != "https://cloud.example/v1/buckets?x=1" {
		t.Errorf("without TLS: %s %q", resp.Status, resp.Header.Get("Location"))
	}
	log := stop()
	if !strings.Contains(log, "client=203.0.113.9 ") || strings.Contains(log, "6.6.6.6") {
		t.Errorf("the log:\n%s", log)
	}
}

// Where nobody is trusted what a header says counts for nothing.
func TestBehindAProxyNobodyIsBelievedUnasked(t *testing.T) {
	t.Parallel()
	url, stop := behindProxy(t, func(*config.Settings) {})
	c := &http.Client{Timeout: patience}
	defer c.CloseIdleConnections()
	_, body := get(t, c, http.MethodGet, url+"/v1/", "", "X-Forwarded-For", "6.6.6.6", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "evil.example",
		"Forwarded", "for=6.6.6.6;host=evil.example;proto=https")
	if !strings.Contains(body, fmt.Sprintf("%q", url+"/v1/")) || strings.Contains(body, "evil") {
		t.Errorf("hello: %s", body)
	}
	if log := stop(); strings.Contains(log, "6.6.6.6") || !strings.Contains(log, "client=127.0.0.1:") {
		t.Errorf("the log:\n%s", log)
	}
}

// A server's own HTTPS, with a proxy before it that passes TLS on as it is.
func TestProxyProtocolBeforeTLS(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Config{Settings: func(s *config.Settings) {
		s.Proxy.Trusted, s.Proxy.Protocol = []string{"127.0.0.1"}, "on"
	}})
	c := s.Client()
	tr := c.Transport.(*http.Transport)
	dial := tr.DialContext
	tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err == nil {
			_, err = conn.Write([]byte("PROXY TCP4 203.0.113.9 192.0.2.1 5000 443\r\n"))
		}
		return conn, err
	}
	resp, body := get(t, c, http.MethodGet, s.URL+"/v1/", "", "X-Forwarded-For", "6.6.6.6", "X-Forwarded-Proto", "http", "X-Forwarded-Host", "evil.example")
	if resp.StatusCode != http.StatusOK || strings.Contains(body, "evil") || !strings.Contains(body, s.URL+"/v1/") {
		t.Errorf("%s %s", resp.Status, body)
	}
	if log := s.Log(); !strings.Contains(log, "client=203.0.113.9:5000 ") || strings.Contains(log, "6.6.6.6") {
		t.Errorf("the log:\n%s", log)
	}
	if resp, err := s.Client().Get(s.URL + "/v1/"); err == nil {
		resp.Body.Close()
		t.Error("served without the PROXY protocol")
	}
}
