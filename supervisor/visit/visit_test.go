package visit_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/server/servertest"
	"github.com/foyer-server/foyer/supervisor/visit"
)

// of is a visitor of the named port of s.
func of(s *servertest.Server, listener string) visit.Visitor {
	return visit.Of(s.Set, s.Addr(listener), listener == host.HTTPS)
}

func TestAServerAnswersAVisitor(t *testing.T) {
	t.Attr("shows", "ground2")
	for name, settings := range map[string]func(*config.Settings){
		"as it is":                  nil,
		"which waits for a proxy":   func(s *config.Settings) { s.Proxy.Trusted, s.Proxy.Protocol = []string{"127.0.0.0/8"}, "on" },
		"which has a proxy, not us": func(s *config.Settings) { s.Proxy.Trusted, s.Proxy.Protocol = []string{"192.0.2.1"}, "on" },
	} {
		t.Run(name, func(t *testing.T) {
			s := servertest.Start(t, servertest.Config{Settings: settings})
			for _, port := range []string{host.HTTP, host.HTTPS} {
				if connected, err := of(s, port).Visit(t.Context()); !connected || err != nil {
					t.Errorf("%s: connected %t, %v", port, connected, err)
				}
			}
		})
	}
}

// Only a server that has the home CA's certificate for the name is who was called.
func TestAVisitorIsNotFooled(t *testing.T) {
	s, other := servertest.Start(t, servertest.Config{}), servertest.Start(t, servertest.Config{})
	for name, change := range map[string]func(*visit.Visitor){
		"another server's root": func(v *visit.Visitor) { v.Root = of(other, host.HTTPS).Root },
		"another name":          func(v *visit.Visitor) { v.Name = "example.org" },
		"another server":        func(v *visit.Visitor) { v.Address = other.Addr(host.HTTPS) },
		"no TLS":                func(v *visit.Visitor) { v.Address = s.Addr(host.HTTP) },
	} {
		v := of(s, host.HTTPS)
		change(&v)
		if connected, err := v.Visit(t.Context()); !connected || err == nil {
			t.Errorf("%s: connected %t, %v", name, connected, err)
		}
	}
}

// Nobody at a port, somebody who does not answer well, and an address that is none are
// told apart.
func TestWhyAVisitFails(t *testing.T) {
	t.Attr("shows", "ground2")
	unwell := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer unwell.Close()
	hangsUp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hangsUp.Close()
	go func() {
		for c, err := hangsUp.Accept(); err == nil; c, err = hangsUp.Accept() {
			c.Close()
		}
	}()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	none := filepath.Join(t.TempDir(), "none")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	at := unwell.Listener.Addr().String()
	for name, c := range map[string]struct {
		v         visit.Visitor
		connected bool
		says      string
	}{
		"not well":            {visit.Visitor{Address: at}, true, "503"},
		"hangs up":            {visit.Visitor{Address: hangsUp.Addr().String()}, true, "cannot visit"},
		"nobody there":        {visit.Visitor{Address: closed.Addr().String()}, false, "refused"},
		"no address":          {visit.Visitor{Address: "here"}, false, "cannot visit"},
		"no root":             {visit.Visitor{Address: at, Root: none}, false, "no such file"},
		"a root that is none": {visit.Visitor{Address: at, Root: empty}, false, "holds no certificate"},
	} {
		if connected, err := c.v.Visit(t.Context()); connected != c.connected || err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: connected %t, %v", name, connected, err)
		}
	}
}

// A listener at every address is called by IPv4, and by IPv6 where only that is there.
func TestEveryAddressIsCalledAtLoopback(t *testing.T) {
	t.Attr("shows", "ground2")
	for _, c := range []struct{ network, listen, wildcard string }{
		{"tcp4", "127.0.0.1:0", "0.0.0.0"},
		{"tcp4", "127.0.0.1:0", "::"},
		{"tcp6", "[::1]:0", "::"},
	} {
		l, err := net.Listen(c.network, c.listen)
		if err != nil {
			t.Logf("no %s here: %v", c.network, err)
			continue
		}
		srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Host != "foyer.local" || r.URL.Path != "/v1/__lbheartbeat__" {
				w.WriteHeader(http.StatusTeapot)
			}
		})}}
		srv.Start()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		v := visit.Visitor{Name: "foyer.local", Address: net.JoinHostPort(c.wildcard, port)}
		if connected, err := v.Visit(t.Context()); !connected || err != nil {
			t.Errorf("%s by %s: connected %t, %v", c.listen, c.wildcard, connected, err)
		}
		srv.Close()
	}
}

// Who is no proxy begins with a request, whoever else is one.
func TestOnlyAProxyBeginsAsOne(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for proxies, want := range map[string]string{"127.0.0.0/8": "PROXY UNKNOWN\r\n", "192.0.2.0/24": "GET /v1/__lbheartb"} {
		first := make(chan string, 1)
		go func() {
			c, err := l.Accept()
			if err != nil {
				first <- err.Error()
				return
			}
			defer c.Close()
			text := make([]byte, len(want))
			n, _ := c.Read(text)
			first <- string(text[:n])
		}()
		v := visit.Visitor{Name: "foyer.local", Address: l.Addr().String(), Proxies: []netip.Prefix{netip.MustParsePrefix(proxies)}}
		if _, err := v.Visit(t.Context()); err == nil {
			t.Error("nobody answered, and it says that somebody did")
		}
		if got := <-first; got != want {
			t.Errorf("with proxies in %s the visit begins with %q, want %q", proxies, got, want)
		}
	}
}
