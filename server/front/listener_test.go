package front

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"
)

// answers starts a server behind f that says who it sees, and returns its address.
func answers(t *testing.T, f Front) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{
		ConnContext: ConnContext, ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = f.Resolve(r)
			fmt.Fprintf(w, "%s %s", r.RemoteAddr, Scheme(r))
		}),
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.Serve(f.Listener(l, 5*time.Second)) // ends with Close
	}()
	t.Cleanup(func() { srv.Close(); <-ended })
	return l.Addr().String()
}

// ask sends a beginning and a request, and returns the answer; empty when the
// connection was closed without one.
func ask(t *testing.T, address string, beginning []byte, headers string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	// One that is refused may be closed while this is written.
	_, _ = c.Write(append(bytes.Clone(beginning), "GET / HTTP/1.0\r\nHost: x\r\n"+headers+"\r\n"...))
	all, _ := io.ReadAll(c)
	head, body, _ := strings.Cut(string(all), "\r\n\r\n")
	if !strings.Contains(head, " 200 ") {
		return ""
	}
	return body
}

func version2(t *testing.T, tls bool) []byte {
	t.Helper()
	h := proxyproto.HeaderProxyFromAddrs(2, &net.TCPAddr{IP: net.IPv4(203, 0, 113, 9), Port: 5000}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443})
	if tls {
		v, err := tlvparse.PP2SSL{Client: tlvparse.PP2_BITFIELD_CLIENT_SSL, TLV: []proxyproto.TLV{{Type: proxyproto.PP2_SUBTYPE_SSL_VERSION, Value: []byte("TLSv1.3")}}}.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := h.SetTLVs([]proxyproto.TLV{v}); err != nil {
			t.Fatal(err)
		}
	}
	out, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	here := Front{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Protocol: true}
	elsewhere := Front{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Protocol: true}
	const one = "PROXY TCP4 203.0.113.9 192.0.2.1 5000 443\r\n"
	const spoofed = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n"
	trusted, stranger := answers(t, here), answers(t, elsewhere)
	for _, c := range []struct {
		name, address, headers string
		beginning              []byte
		want                   string // what it begins with; empty: no answer
	}{
		{"version 1", trusted, "", []byte(one), "203.0.113.9:5000 http"},
		{"version 1, IPv6", trusted, "", []byte("PROXY TCP6 2001:db8::7 2001:db8::1 5000 443\r\n"), "[2001:db8::7]:5000 http"},
		{"version 1, its own visit", trusted, "", []byte("PROXY UNKNOWN\r\n"), "127.0.0.1:"},
		{"version 2", trusted, "", version2(t, false), "203.0.113.9:5000 http"},
		{"version 2, the proxy ended TLS", trusted, "", version2(t, true), "203.0.113.9:5000 https"},
		{"the visitor's headers are no proxy's", trusted, spoofed, version2(t, false), "203.0.113.9:5000 http"},
		{"none where there must be one", trusted, "", nil, ""},
		{"half of one", trusted, "", []byte("PROXY TCP4 203.0.113.9\r\n"), ""},
		{"two are one too many", trusted, "", []byte(one + one), ""},
		{"a stranger's, version 1", stranger, "", []byte(one), ""},
		{"a stranger's, version 2", stranger, "", version2(t, true), ""},
		{"a stranger without", stranger, spoofed, nil, "127.0.0.1:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ask(t, c.address, c.beginning, c.headers)
			if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestOnlyProxiesReachAnOpenListener(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	door := Front{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}}.Only(&from{l, []string{"192.0.2.66:1", "192.0.2.1:1", "127.0.0.1:1"}})
	defer door.Close()
	var clients []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		clients = append(clients, c)
	}
	for _, want := range []string{"192.0.2.1:1", "127.0.0.1:1"} {
		c, err := door.Accept()
		if err != nil || c.RemoteAddr().String() != want {
			t.Fatalf("accepted %v, %v; want %s", c, err, want)
		}
		defer c.Close()
	}
	_ = clients[0].SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := clients[0].Read(make([]byte, 1)); err == nil {
		t.Error("the stranger is served")
	} else if e, ok := err.(net.Error); ok && e.Timeout() {
		t.Error("the stranger's connection stays open")
	}
}

// from is a listener whose visitors come from given addresses, in this order.
type from struct {
	net.Listener
	addresses []string
}

func (f *from) Accept() (net.Conn, error) {
	c, err := f.Listener.Accept()
	if err != nil {
		return nil, err
	}
	a := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(f.addresses[0]))
	f.addresses = f.addresses[1:]
	return addressed{c, a}, nil
}

type addressed struct {
	net.Conn
	remote net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.remote }

// What a proxy sends, however mangled, does not break the reading of it, and an
// address comes out that is one.
func FuzzProxyProtocol(f *testing.F) {
	f.Add([]byte("PROXY TCP4 203.0.113.9 192.0.2.1 5000 443\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x09\xc0\x00\x02\x01\x13\x88\x01\xbb"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x00\x00\x00"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\x00"))
	here := Front{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, Protocol: true}
	f.Fuzz(func(t *testing.T, data []byte) {
		server, client := net.Pipe()
		l := &once{c: addressed{server, net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:1"))}}
		c, err := here.Listener(l, time.Minute).Accept()
		if err != nil {
			t.Fatal(err)
		}
		written := make(chan struct{})
		go func() {
			defer close(written)
			_, _ = client.Write(data) // a reader that has had enough closes
			client.Close()
		}()
		if _, ok := ofAddr(c.RemoteAddr()); !ok {
			t.Errorf("from %v", c.RemoteAddr())
		}
		if s := ConnContext(t.Context(), c).Value(connKey).(*conn).scheme(); s != "" && s != "https" {
			t.Errorf("by %q", s)
		}
		c.Close()
		<-written
	})
}

// once is a listener with one visitor.
type once struct {
	net.Listener
	c net.Conn
}

func (o *once) Accept() (net.Conn, error) { return o.c, nil }
