package front

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

// Connections are counted as requests are (Origin): by address, and by the /64 of IPv6;
// but not those of proxies that bring many, nor of this machine itself.
func TestWhose(t *testing.T) {
	f := Front{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("2001:db8:1::/48")}}
	for _, c := range []struct{ remote, local, want string }{
		{"203.0.113.9:5000", "192.168.1.5:443", "203.0.113.9"},
		{"[::ffff:203.0.113.9]:5000", "[::]:443", "203.0.113.9"},
		{"[2001:db8:2:3:4:5:6:7]:5000", "[2001:db8:9::1]:443", "2001:db8:2:3::/64"},
		{"[2001:db8:2:3::1]:5000", "[2001:db8:9::1]:443", "2001:db8:2:3::/64"},
		{"[fe80::1%eth0]:5000", "[fe80::2%eth0]:443", "fe80::/64"},
		{"10.0.0.7:5000", "192.168.1.5:443", ""},
		{"[2001:db8:1::9]:5000", "[2001:db8:9::1]:443", ""},
		{"127.0.0.1:5000", "127.0.0.1:443", ""},
		{"[::1]:5000", "[::1]:443", ""},
		{"192.168.1.5:5000", "192.168.1.5:443", ""},
		{"127.0.0.2:5000", "127.0.0.1:443", "127.0.0.2"},
	} {
		remote, local := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.remote)), net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.local))
		if got := f.Whose(remote, local); got != c.want {
			t.Errorf("%s at %s: %q, want %q", c.remote, c.local, got, c.want)
		}
		if r := (&http.Request{RemoteAddr: c.remote}); c.want != "" && Origin(r) != c.want {
			t.Errorf("%s: connections are %q, requests %q", c.remote, c.want, Origin(r))
		}
	}
	if got := f.Whose(&net.UnixAddr{}, &net.UnixAddr{}); got != "" {
		t.Errorf("of a socket without addresses: %q", got)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if r.RemoteAddr = "203.0.113.9:5000"; Own(r) {
		t.Error("a stranger is this machine")
	}
	if r.RemoteAddr = "127.0.0.1:5000"; !Own(r) {
		t.Error("this machine is a stranger")
	}
}
