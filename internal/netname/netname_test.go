package netname

import (
	"net/netip"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for kind, names := range map[Kind]string{
		Home: "nas nas.local *.local local NAS.Local. nas.home.arpa home.arpa a.b.home.arpa db.internal nas.lan lan *.lan nas.LAN. nas.home pc.corp wiki.intranet x.private nas.localdomain " +
			"fritz.box nas.fritz.box speedport.ip nas.speedport.ip nas.easy.box nas.o2.box mafreebox.freebox.fr nas.attlocal.net routerlogin.net xn--bcher-kva.lan com",
		Machine: "localhost LOCALHOST. a.localhost *.localhost",
		Example: "test cloud.test cloud.example example example.com www.example.com *.example.net cloud.example.org Cloud.Example.ORG.",
		Nobody: "invalid a.invalid abc.onion x.alt arpa 1.168.192.in-addr.arpa ipv4only.arpa *.org *.com *.arpa *. * . .. a..b -a.fr a-.fr a_b.fr a.*.fr *.*.fr bücher.fr 1.2.3 127.1 10.0.0.0x1 a.b.256 cloud.fr:443 https://cloud.fr cloud/fr " +
			strings.Repeat("a", 64) + ".fr " + strings.Repeat("a.", 127) + "fr",
		Everyone: "cloud.jeannine-martin.fr CLOUD.Jeannine-Martin.FR cloud.jeannine-martin.fr. *.jeannine-martin.fr jeannine.duckdns.org x.myfritz.net freebox.fr a.freebox.fr notlan.fr lan.fr " +
			"mylocal.fr local.fr testing.fr example.fr notexample.com xn--bcher-kva.fr xn--p1ai.xn--p1ai box.fr nas.box notfritz.box arpa.fr " + strings.Repeat("a", 63) + ".fr",
	} {
		for name := range strings.FieldsSeq(names) {
			if got := OfName(name); got != kind {
				t.Errorf("%s: %v, is %v", name, got, kind)
			}
			if got := OfHost(name); got != kind {
				t.Errorf("%s as a host: %v, is %v", name, got, kind)
			}
			if HomeName(name) != (kind == Home) || PublicName(name) != (kind == Everyone) || Public(name) != (kind == Everyone) {
				t.Errorf("%s: home %v, public %v, %v", name, HomeName(name), PublicName(name), Public(name))
			}
			if set := kind == Machine || kind == Example || below(name, []string{"invalid", "onion", "alt", "arpa"}) && kind == Nobody; ReservedName(name) != set {
				t.Errorf("%s: reserved %v", name, !set)
			}
		}
	}
	if OfName("") != Nobody || OfHost("") != Nobody {
		t.Error("no name is somebody's")
	}
}

// What a home CA may vouch for wherever it is trusted is nobody else's.
func TestNamesThatNobodyElseHas(t *testing.T) {
	for name := range strings.FieldsSeq("foyer.local FOYER.Local. foyer.home.arpa db.internal nas.lan a.b.lan localhost Localhost") {
		if !NobodyElses(name) {
			t.Errorf("%s is somebody else's", name)
		}
	}
	for name := range strings.FieldsSeq(". .local local lan home.arpa internal *.lan *.local nas.home nas.corp nas.fritz.box fritz.box speedport.ip nas.localdomain nas com cloud.jeannine-martin.fr cloud.test x.invalid a.localhost a..lan notlan.fr lan.fr bücher.lan") {
		if NobodyElses(name) {
			t.Errorf("%s is nobody else's", name)
		}
	}
}

func TestAddresses(t *testing.T) {
	for kind, addresses := range map[Kind]string{
		Nobody: "0.0.0.0 0.1.2.3 :: 224.0.0.1 233.252.0.1 239.255.255.250 240.0.0.1 255.255.255.255 192.0.0.8 192.0.0.9 192.0.0.170 192.31.196.1 192.52.193.1 192.88.99.1 192.175.48.1 " +
			"64:ff9b::7f00:1 64:ff9b:1::1 100::1 100:0:0:1::1 2001::1 2001:1::1 2001:3::1 2001:4:112::1 2001:10::1 2001:20::1 2001:30::1 2002:7f00:1:: 2620:4f:8000::1 5f00::1 fec0::1 ff02::1 ff02::1%eth0 4000::1 ::7f00:1 ::ffff:0.0.0.0",
		Machine:  "127.0.0.1 127.255.255.255 ::1 ::ffff:127.0.0.1 ::ffff:127.0.0.1%eth0",
		Home:     "10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255 169.254.169.254 fc00::1 fd12:3456::1 fe80::1 fe80::1%eth0 febf::1 ::ffff:192.168.1.2",
		Carrier:  "100.64.0.0 100.127.255.255 ::ffff:100.64.1.2 192.0.0.1 192.0.0.7",
		Example:  "192.0.2.1 198.51.100.1 203.0.113.255 198.18.0.0 198.19.255.255 2001:db8::1 2001:2::1 3fff::1 3fff:fff::1 ::ffff:203.0.113.9",
		Everyone: "1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.0.3.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 203.0.112.255 203.0.114.0 223.255.255.255 ::ffff:81.2.69.142 2001:200::1 2a01:e0a::1 2a01:e0a::1%eth0 2003::1 2001:db9::1 3ffe::1 2620:4f:8001::1",
	} {
		for text := range strings.FieldsSeq(addresses) {
			a := netip.MustParseAddr(text)
			if got := Of(a); got != kind {
				t.Errorf("%s: %v, is %v", text, got, kind)
			}
			if Everywhere(a) != (kind == Everyone) || Within(a) != (kind == Machine || kind == Home) {
				t.Errorf("%s: everywhere %v, within %v", text, Everywhere(a), Within(a))
			}
			for _, host := range []string{text, "[" + text + "]"} {
				want := kind
				if host != text && !strings.Contains(text, ":") { // only IPv6 stands in brackets
					want = Nobody
				}
				if got := OfHost(host); got != want {
					t.Errorf("%s as a host: %v, is %v", host, got, want)
				}
			}
		}
	}
	if Of(netip.Addr{}) != Nobody {
		t.Error("no address is somebody's")
	}
	for host := range strings.FieldsSeq("[2a01:e0a::1 2a01:e0a::1] [cloud.jeannine-martin.fr] [] [[2a01:e0a::1]] 081.2.69.142 81.2.69 81.2.69.142.") {
		if Public(host) {
			t.Errorf("%s is public", host)
		}
	}
}

// What lies within is what the networks hold, to the last address.
func TestNetworksWithin(t *testing.T) {
	nets := WithinNets()
	if len(nets) != 8 {
		t.Errorf("%v", nets)
	}
	for _, n := range nets {
		last := n.Addr()
		for next := last; n.Bits() > n.Addr().BitLen()-8 && n.Contains(next); next = next.Next() {
			last = next
		}
		if !Within(n.Addr()) || !Within(last) {
			t.Errorf("%v", n)
		}
	}
}

// Whatever is written, there is one answer to it, and the ways to ask agree.
func FuzzOfHost(f *testing.F) {
	for _, seed := range []string{"cloud.jeannine-martin.fr.", "*.lan", "[fe80::1%25eth0]", "::ffff:10.0.0.1", "127.1", "*.", "[", "xn--", "a\x00.fr", "."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, host string) {
		kind := OfHost(host)
		if Public(host) && (HomeName(host) || ReservedName(host) || NobodyElses(host)) {
			t.Errorf("%q is public and is not", host)
		}
		if NobodyElses(host) && kind != Home && kind != Machine {
			t.Errorf("%q is %v, and nobody else's", host, kind)
		}
		if kind == Everyone && strings.ContainsAny(host, " /@\\\x00") && !strings.Contains(host, "%") {
			t.Errorf("%q is public", host)
		}
	})
}
