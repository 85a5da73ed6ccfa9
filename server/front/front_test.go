package front

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

var lan = Front{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}

func TestResolveBelievesTrustedProxiesAlone(t *testing.T) {
	t.Parallel()
	const near, far = "127.0.0.1:4000", "203.0.113.9:5000"
	for _, c := range []struct {
		name, peer           string
		headers              []string
		client, host, scheme string
	}{
		{"nothing said", near, nil, near, "foyer.local", "http"},
		{"one proxy", near, []string{"X-Forwarded-For", "198.51.100.7", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "cloud.example"}, "198.51.100.7", "cloud.example", "https"},
		{"a stranger", far, []string{"X-Forwarded-For", "198.51.100.7", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "cloud.example", "Forwarded", "for=198.51.100.7;proto=https;host=cloud.example"}, far, "foyer.local", "http"},
		{"left of a stranger's address is what they say", near, []string{"X-Forwarded-For", "127.0.0.1, 203.0.113.9"}, "203.0.113.9", "foyer.local", "http"},
		{"two proxies", near, []string{"X-Forwarded-For", "6.6.6.6, 203.0.113.9, 10.1.2.3"}, "203.0.113.9", "foyer.local", "http"},
		{"several headers are one list", near, []string{"X-Forwarded-For", "6.6.6.6", "X-Forwarded-For", "203.0.113.9", "X-Forwarded-For", "10.1.2.3"}, "203.0.113.9", "foyer.local", "http"},
		{"what cannot be read ends the list", near, []string{"X-Forwarded-For", "6.6.6.6, nonsense, 10.1.2.3"}, "10.1.2.3", "foyer.local", "http"},
		{"only proxies", near, []string{"X-Forwarded-For", "10.1.2.3, 10.1.2.4"}, "10.1.2.3", "foyer.local", "http"},
		{"IPv6", near, []string{"X-Forwarded-For", "2001:db8::7, fd00::1"}, "2001:db8::7", "foyer.local", "http"},
		{"IPv6 with a port", near, []string{"X-Forwarded-For", "[2001:db8::7]:443"}, "[2001:db8::7]:443", "foyer.local", "http"},
		{"IPv4 in IPv6", "[::ffff:127.0.0.1]:4000", []string{"X-Forwarded-For", "198.51.100.7"}, "198.51.100.7", "foyer.local", "http"},
		{"the nearest proxy's scheme and host", near, []string{"X-Forwarded-Proto", "http, https", "X-Forwarded-Host", "evil.example, cloud.example:8443"}, near, "cloud.example:8443", "https"},
		{"no host is one with a path", near, []string{"X-Forwarded-Host", "evil.example/x", "X-Forwarded-Proto", "gopher"}, near, "foyer.local", "http"},
		{"Forwarded", near, []string{"Forwarded", `for="[2001:db8::7]:4711";proto=https;host="cloud.example", for=10.9.9.9`}, "[2001:db8::7]:4711", "foyer.local", "http"},
		{"Forwarded, one", near, []string{"Forwarded", `For=198.51.100.7; Proto=HTTPS; Host=cloud.example`}, "198.51.100.7", "cloud.example", "https"},
		{"Forwarded, hidden", near, []string{"Forwarded", `for=6.6.6.6, for=_secret`}, near, "foyer.local", "http"},
		{"Forwarded, malformed", near, []string{"Forwarded", `for=198.51.100.7;proto=https for=1.1.1.1`}, near, "foyer.local", "http"},
		{"a stranger's Forwarded beside the proxy's own", near, []string{"Forwarded", "for=6.6.6.6;proto=http;host=evil.example", "X-Forwarded-For", "203.0.113.9", "X-Forwarded-Proto", "https"}, "203.0.113.9", "foyer.local", "https"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr, r.Host = c.peer, "foyer.local"
			for i := 0; i < len(c.headers); i += 2 {
				r.Header.Add(c.headers[i], c.headers[i+1])
			}
			got := lan.Resolve(r)
			if got.RemoteAddr != c.client || got.Host != c.host || Scheme(got) != c.scheme {
				t.Errorf("got %s, %s, %s; want %s, %s, %s", got.RemoteAddr, got.Host, Scheme(got), c.client, c.host, c.scheme)
			}
			if nobody := (Front{}).Resolve(r); nobody.RemoteAddr != c.peer || nobody.Host != "foyer.local" || Scheme(nobody) != "http" {
				t.Errorf("believed without anybody to believe: %s, %s, %s", nobody.RemoteAddr, nobody.Host, Scheme(nobody))
			}
		})
	}
}

// Whatever is written left of what a trusted proxy adds, the visitor is the
// address the proxy saw.
func FuzzHeaders(f *testing.F) {
	f.Add("6.6.6.6", `for=6.6.6.6`, "evil.example")
	f.Add("[::1]:80, ,", `for="[2001:db8::7]:1";proto=https, for=_x`, "a:1, b/")
	f.Add("127.0.0.1", `for="\"";host="x"`, `"`)
	f.Fuzz(func(t *testing.T, theirs, forwarded, host string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr, r.Host = "127.0.0.1:4000", "foyer.local"
		r.Header["X-Forwarded-For"] = []string{theirs, "203.0.113.9"}
		r.Header["Forwarded"] = []string{forwarded}
		r.Header["X-Forwarded-Host"] = []string{host}
		got := lan.Resolve(r)
		if got.RemoteAddr != "203.0.113.9" || Scheme(got) != "http" {
			t.Errorf("from %s by %s", got.RemoteAddr, Scheme(got))
		}
		if got.Host != "foyer.local" && !hostRE.MatchString(got.Host) {
			t.Errorf("a host like %q", got.Host)
		}
		delete(r.Header, "X-Forwarded-For")
		got = lan.Resolve(r)
		if _, ok := address(got.RemoteAddr); !ok {
			t.Errorf("an address like %q", got.RemoteAddr)
		}
	})
}
