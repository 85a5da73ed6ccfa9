package site

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/config"
)

// answers are all that a site says of itself.
type answers struct {
	BehindProxy      bool
	Front            string // "" = none
	Ports, Public    []int
	Announced        bool
	Given            []string
	Hosts, Addresses []string
	Kept, Names      []string
	ForStrangers     bool
	Ways             []string
	Authority        string
	EverybodyTrusts  bool
}

func TestWhatTheSettingsSayOfTheSite(t *testing.T) {
	t.Attr("shows", "ground2")
	own := []netip.Addr{netip.MustParseAddr("192.168.1.20"), netip.MustParseAddr("fd00::20"), netip.MustParseAddr("2a01:db9::20")}
	const le = LetsEncrypt
	for name, c := range map[string]struct {
		own  []netip.Addr
		set  map[string]string
		want answers
	}{
		"as it comes": {own, nil, answers{
			Ports: []int{80, 443}, Public: []int{80, 443}, Announced: true, Authority: le,
			Given: []string{"foyer.local"}, Hosts: []string{"foyer.local", "192.168.1.20"}, Addresses: []string{"https://foyer.local/", "https://192.168.1.20/"},
		}},
		"in no network": {nil, map[string]string{"mdns": "off", "name": "Nas"}, answers{
			Ports: []int{80, 443}, Public: []int{80, 443}, Authority: le,
			Hosts: []string{"nas.local"}, Addresses: []string{"https://nas.local/"},
		}},
		"a community's": {own, map[string]string{
			"mdns": "off", "addresses": "localhost Cloud.Martin.FR *.martin.fr 192.168.1.20 2a01:db9::20 cloud.martin.fr", "https_port": "8443", "router": "map",
		}, answers{
			Ports: []int{80, 8443}, Public: []int{80, 8443}, Ways: []string{"pcp", "nat-pmp", "upnp"}, Authority: le,
			Given:     []string{"cloud.martin.fr", "192.168.1.20", "2a01:db9::20"},
			Hosts:     []string{"cloud.martin.fr", "192.168.1.20", "2a01:db9::20"},
			Addresses: []string{"https://cloud.martin.fr:8443/", "https://192.168.1.20:8443/", "https://[2a01:db9::20]:8443/"},
			Kept:      []string{"cloud.martin.fr", "*.martin.fr"}, Names: []string{"cloud.martin.fr"},
			ForStrangers: true, EverybodyTrusts: true,
		}},
		"names at home": {own, map[string]string{"addresses": "nas.lan nas.fritz.box fd00::20", "router": "upnp"}, answers{
			Ports: []int{80, 443}, Public: []int{80, 443}, Announced: true, Ways: []string{"upnp"}, Authority: le,
			Given:     []string{"nas.lan", "nas.fritz.box", "foyer.local", "fd00::20"},
			Hosts:     []string{"nas.lan", "nas.fritz.box", "foyer.local", "fd00::20", "192.168.1.20"},
			Addresses: []string{"https://nas.lan/", "https://nas.fritz.box/", "https://foyer.local/", "https://[fd00::20]/", "https://192.168.1.20/"},
		}},
		"behind a proxy": {own, map[string]string{
			"proxy.listen": "127.0.0.1:8888", "addresses": "cloud.martin.fr *.martin.fr 81.2.69.142", "router": "map", "https_port": "8443",
		}, answers{
			BehindProxy: true, Front: "127.0.0.1:8888", Ports: []int{8888},
			Given: []string{"cloud.martin.fr", "81.2.69.142"}, Hosts: []string{"cloud.martin.fr", "81.2.69.142"}, Addresses: []string{"https://cloud.martin.fr/", "https://81.2.69.142/"},
			Kept: []string{"cloud.martin.fr", "*.martin.fr"}, Names: []string{"cloud.martin.fr"}, ForStrangers: true,
		}},
		"behind a proxy, and nobody knows how": {own, map[string]string{"proxy.listen": "[::1]:8888"}, answers{
			BehindProxy: true, Front: "[::1]:8888", Ports: []int{8888},
		}},
		"a certificate of one's own": {nil, map[string]string{
			"addresses": "cloud.martin.fr", "certificates.cert_file": "/etc/c.pem", "certificates.key_file": "/etc/k.pem",
		}, answers{
			Ports: []int{80, 443}, Public: []int{80, 443}, Announced: true,
			Given: []string{"cloud.martin.fr", "foyer.local"}, Hosts: []string{"cloud.martin.fr", "foyer.local"}, Addresses: []string{"https://cloud.martin.fr/", "https://foyer.local/"},
			Kept: []string{"cloud.martin.fr"}, Names: []string{"cloud.martin.fr"}, ForStrangers: true,
		}},
		"an authority of one's own": {nil, map[string]string{"addresses": "cloud.martin.fr", "certificates.ca": "https://ca.example/acme"}, answers{
			Ports: []int{80, 443}, Public: []int{80, 443}, Announced: true, Authority: "https://ca.example/acme",
			Given: []string{"cloud.martin.fr", "foyer.local"}, Hosts: []string{"cloud.martin.fr", "foyer.local"}, Addresses: []string{"https://cloud.martin.fr/", "https://foyer.local/"},
			Kept: []string{"cloud.martin.fr"}, Names: []string{"cloud.martin.fr"}, ForStrangers: true,
		}},
		"no authority": {nil, map[string]string{"addresses": "81.2.69.142", "certificates.ca": "off"}, answers{
			Ports: []int{80, 443}, Public: []int{80, 443}, Announced: true,
			Given: []string{"foyer.local", "81.2.69.142"}, Hosts: []string{"foyer.local", "81.2.69.142"}, Addresses: []string{"https://foyer.local/", "https://81.2.69.142/"}, ForStrangers: true,
		}},
	} {
		set := config.Default()
		for key, text := range c.set {
			if err := set.Set(key, text, ""); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if err := set.Validate(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s := Of(set)
		got := answers{
			BehindProxy: s.BehindProxy(), Ports: s.Ports(), Public: s.PublicPorts(), Announced: s.Announced(), Given: s.Given(), Hosts: s.hosts(c.own), Addresses: s.addresses(c.own),
			Kept: s.KeptNames(), Names: s.PublicNames(), ForStrangers: s.Public(), Ways: s.RouterWays(), Authority: s.Authority(), EverybodyTrusts: s.EverybodyTrusts(),
		}
		if s.Front().IsValid() {
			got.Front = s.Front().String()
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, got, c.want)
		}
	}
}

// Names that the DNS of the Internet can have are kept there, if somebody is asked for the
// address of this connection, and no others.
func TestNamesThatAreKept(t *testing.T) {
	t.Attr("shows", "ground2")
	set := config.Default()
	set.Addresses = strings.Fields("Cloud.Jeannine-Martin.FR nas nas.lan foyer.local 192.168.1.2 2001:db8::1 81.2.69.142 jeannine-martin.fr *.jeannine-martin.fr x.home.arpa nas.home nas.fritz.box cloud.example.org a.test a.onion")
	want := []string{"cloud.jeannine-martin.fr", "jeannine-martin.fr", "*.jeannine-martin.fr"}
	if got := Of(set).KeptNames(); !slices.Equal(got, want) {
		t.Errorf("kept are %q, want %q", got, want)
	}
	if got := Of(set).PublicNames(); !slices.Equal(got, want[:2]) {
		t.Errorf("public are %q, want %q", got, want[:2])
	}
	for _, c := range []struct {
		dyndns, router, proxy, names string
		want                         bool
	}{
		{"off", "map", "", "cloud.martin.fr", false},
		{"router", "map", "", "cloud.martin.fr", true},
		{"router", "map", "", "nas.lan", false},
		{"router", "off", "", "cloud.martin.fr", false},
		{"router", "map", "127.0.0.1:8888", "cloud.martin.fr", false}, // the router is the proxy's
		{"https://peer.martin.fr/v1/reach", "off", "", "cloud.martin.fr", true},
		{"https://peer.martin.fr/v1/reach", "off", "127.0.0.1:8888", "cloud.martin.fr", true},
	} {
		set.DynDNS, set.Router, set.Proxy.Listen, set.Addresses = c.dyndns, c.router, c.proxy, strings.Fields(c.names)
		if got := Of(set).KeepsNames(); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
	}
}
