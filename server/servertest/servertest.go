// Package servertest starts a real server for tests: real listeners on loopback,
// a data folder of its own, real TLS.
//
// It hides how a server is wired and when it is ready. Its clients trust the
// root of that server's home CA and nothing else, and find it by name, as people
// do. Everything it started is gone when the test ends, and a server that did not
// end well fails the test. Each server has a name of its own, since certmagic
// keeps some state by name for the whole process.
//
// Used by tests of package server and of whoever needs a server to talk to.
package servertest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/foyer-server/foyer/internal/claim"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/knock"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server"
	"github.com/foyer-server/foyer/server/web"
)

// The owner of a server that is claimed.
const (
	Owner    = "jeannine"
	Password = "correct horse battery"
)

// Config changes how a server is started. The zero Config is a claimed server.
type Config struct {
	Unclaimed bool                   // leave a code instead of an owner
	PlainHTTP bool                   // everything without TLS
	Data      string                 // its folder; empty: a new one
	Settings  func(*config.Settings) // changes them
	Appliance web.Appliance          // nil: nobody knows how the machine is
	Safe      bool                   // in safe mode
}

// Server is one that runs.
type Server struct {
	Name  string // it is NAME.local
	URL   string // "https://NAME.local:PORT", or http with PlainHTTP
	Plain string // "http://NAME.local:PORT" of the plain HTTP port
	Code  string // to claim it, when Unclaimed
	Data  string
	Set   *config.Settings // it was started with; not to be changed

	t     testing.TB
	addrs map[string]string // by listener name
	sock  string
	stop  context.CancelFunc
	ended chan struct{}
	err   error
	log   *buffer
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// Start starts a server and waits until it is well.
func Start(t testing.TB, c Config) *Server {
	t.Helper()
	s := &Server{t: t, Data: c.Data, addrs: map[string]string{}, ended: make(chan struct{}), log: &buffer{}}
	raw := make([]byte, 4)
	rand.Read(raw)
	s.Name = "foyer-" + hex.EncodeToString(raw)
	if s.Data == "" {
		s.Data = t.TempDir()
	}
	set := config.Default()
	set.Name, set.Data = s.Name, s.Data
	if c.Settings != nil {
		c.Settings(set)
		s.Name = set.Name
	}
	s.Set = set
	if err := s.offer(c.Unclaimed); err != nil {
		t.Fatal(err)
	}
	listeners, err := s.listen(c.PlainHTTP)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go func() {
		defer close(s.ended)
		s.err = server.Run(ctx, server.Config{
			Settings: set, Listeners: listeners, PlainHTTP: c.PlainHTTP, Version: "0.0.0-test", Appliance: c.Appliance, HashCost: hashCost, Safe: c.Safe,
			Log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
	}()
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.Log())
		}
	})
	h, status, err := s.Health()
	for deadline := time.Now().Add(2 * time.Minute); err == nil && h.Opening && time.Now().Before(deadline); h, status, err = s.Health() {
		time.Sleep(time.Millisecond) // its data are being opened
	}
	if err != nil || status != http.StatusOK {
		t.Fatalf("the server is not well: %d %+v, %v\n%s", status, h, err, s.Log())
	}
	return s
}

// offer leaves what makes the owner: themselves, or a code. Its hashes are cheap:
// tests do not wait for bcrypt.
func (s *Server) offer(unclaimed bool) error {
	if unclaimed {
		code, o, err := claim.NewCode(time.Now())
		if err != nil {
			return err
		}
		hash, err := bcrypt.GenerateFromPassword([]byte(claim.Normalise(code)), bcrypt.MinCost)
		if err != nil {
			return err
		}
		s.Code, o.CodeHash = code, string(hash)
		return claim.Leave(s.Data, o, -1, -1)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(Password), bcrypt.MinCost)
	if err != nil {
		return err
	}
	return claim.Leave(s.Data, claim.Offer{ID: rand.Text(), Owner: Owner, PasswordHash: string(hash)}, -1, -1)
}

func (s *Server) listen(plain bool) ([]host.Listener, error) {
	dir, err := os.MkdirTemp("", "foyer") // a unix socket's path is short
	if err != nil {
		return nil, err
	}
	s.t.Cleanup(func() { os.RemoveAll(dir) }) //nolint:errcheck // a temporary folder
	s.sock = filepath.Join(dir, "s")
	wants := []struct{ name, network, address string }{{host.Local, "unix", s.sock}, {host.HTTP, "tcp", "127.0.0.1:0"}}
	if !plain {
		wants = append(wants, struct{ name, network, address string }{host.HTTPS, "tcp", "127.0.0.1:0"})
	}
	var out []host.Listener
	for _, w := range wants {
		l, err := host.Listen(w.name, w.network, w.address)
		if err != nil {
			host.Close(out)
			return nil, err
		}
		out = append(out, l)
		s.addrs[w.name] = l.Addr().String()
	}
	at := func(name string) string {
		_, port, _ := net.SplitHostPort(s.addrs[name])
		return s.Name + ".local:" + port
	}
	s.Plain = "http://" + at(host.HTTP)
	s.URL = "https://" + at(host.HTTPS)
	if plain {
		s.URL = s.Plain
	}
	return out, nil
}

// Stop ends the server, waits for it, and returns how it ended. It may be called
// more than once.
func (s *Server) Stop() error {
	s.stop()
	<-s.ended
	return s.err
}

// Ended is closed when the server has ended.
func (s *Server) Ended() <-chan struct{} { return s.ended }

// End tells the server to end and does not wait.
func (s *Server) End() { s.stop() }

// Log is what the server has logged, debug lines included.
func (s *Server) Log() string {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.log.b.String()
}

// Addr is the address of a listener, by its name in package host.
func (s *Server) Addr(name string) string { return s.addrs[name] }

// Roots is the root certificate of this server alone.
func (s *Server) Roots() *x509.CertPool {
	s.t.Helper()
	pem, err := os.ReadFile(filepath.Join(s.Data, "certificates", "home-ca", "root.crt"))
	if err != nil {
		s.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		s.t.Fatal("the root certificate is none")
	}
	return pool
}

// Client is a new client with connections of its own. It trusts only this server
// and follows no redirect. It finds this server under any name.
func (s *Server) Client() *http.Client {
	tr := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			for _, a := range s.addrs { // the port tells which listener
				if _, port, err := net.SplitHostPort(a); err == nil && strings.HasSuffix(address, ":"+port) {
					address = a
				}
			}
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		},
		ForceAttemptHTTP2: true,
	}
	if !strings.HasPrefix(s.URL, "http:") {
		tr.TLSClientConfig = &tls.Config{RootCAs: s.Roots()}
	}
	s.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{
		Transport: tr, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Do makes one request as the owner with a client of its own; body may be empty
// and is JSON.
func (s *Server) Do(method, path, body string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.SetBasicAuth(Owner, Password)
	resp, err := s.Client().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(text)
}

// Health asks the server how it is, as the supervisor does.
func (s *Server) Health() (h report.Health, status int, err error) {
	resp, err := s.local().Get("http://local/health")
	if err != nil {
		return h, 0, fmt.Errorf("cannot ask the server how it is: %w", err)
	}
	defer resp.Body.Close()
	return h, resp.StatusCode, json.NewDecoder(resp.Body).Decode(&h)
}

// Expect lets the server know a nonce, as the supervisor does.
func (s *Server) Expect(nonce string) {
	s.t.Helper()
	resp, err := s.local().Post("http://local"+knock.Local, "text/plain", strings.NewReader(nonce))
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		s.t.Fatalf("the server expects no nonce: %s", resp.Status)
	}
}

// Happened asks what happened to people, oldest first, as the supervisor does.
func (s *Server) Happened() (all []report.Event, err error) {
	resp, err := s.local().Get("http://local/events")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s", resp.Status)
	}
	return all, json.NewDecoder(resp.Body).Decode(&all)
}

// Usage asks the server what takes room, as the supervisor does.
func (s *Server) Usage() (used report.Used, err error) {
	resp, err := s.local().Post("http://local/usage", "", nil)
	if err != nil {
		return used, err
	}
	defer resp.Body.Close()
	return used, json.NewDecoder(resp.Body).Decode(&used)
}

// Check has the server check its database, as the supervisor does, and returns all that it
// said.
func (s *Server) Check(ctx context.Context, how string) (all []report.CheckLine, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://local/check?how="+how, nil)
	if err != nil {
		return nil, err
	}
	c := s.local()
	c.Timeout = 0
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	for lines := json.NewDecoder(resp.Body); ; {
		var l report.CheckLine
		if err := lines.Decode(&l); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return all, err
		}
		all = append(all, l)
	}
}

// local is a client of the private socket.
func (s *Server) local() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", s.sock)
		},
	}}
}
