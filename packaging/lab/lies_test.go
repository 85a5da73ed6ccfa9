//go:build e2e

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// household is a home network with a router, the machine Foyer runs on, and a device
// that is somebody else's by now. All of them hear each other.
type household struct {
	t                    *testing.T
	router, home, device *place
}

// right is the router's address outside, and where the name points.
const right = "8.8.4.4"

func newHousehold(t *testing.T) *household {
	t.Helper()
	h := &household{t: t, router: newPlace(t), home: newPlace(t), device: newPlace(t)}
	h.router.must("ip", "link", "add", "lan", "type", "bridge", "mcast_snooping", "0")
	h.router.must("ip", "address", "add", "192.168.77.1/24", "dev", "lan")
	h.router.must("ip", "link", "set", "lan", "up")
	h.router.must("ip", "link", "add", "wan", "type", "bridge") // a device that is there, and leads nowhere
	h.router.must("ip", "address", "add", right+"/24", "dev", "wan")
	h.router.must("ip", "link", "set", "wan", "up")
	h.router.must("ip", "route", "add", "224.0.0.0/4", "dev", "lan")
	for port, end := range map[string]struct {
		p       *place
		address string
	}{"port1": {h.home, deceived}, "port2": {h.device, "192.168.77.66"}} {
		run(t, "ip", "link", "add", port, "netns", h.router.ns, "type", "veth", "peer", "name", "eth0", "netns", end.p.ns)
		h.router.must("ip", "link", "set", port, "master", "lan", "up")
		end.p.must("ip", "address", "add", end.address+"/24", "dev", "eth0")
		end.p.must("ip", "link", "set", "eth0", "up")
		end.p.must("ip", "route", "add", "default", "via", "192.168.77.1")
	}
	h.home.must("sysctl", "-qw", fmt.Sprintf("net.ipv4.ip_local_port_range=%d %d", firstPort, lastPort))
	// The device speaks in the router's name where it wants to: an address it has, and
	// tells nobody that it has.
	h.device.must("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2")
	h.device.must("ip", "address", "add", "192.168.77.1/32", "dev", "lo")
	write(t, filepath.Join(h.home.dir, "resolv.conf"), "nameserver 127.0.0.1\n")
	return h
}

// silent makes the router say nothing, not even that nobody listens.
func (h *household) silent() {
	h.router.rules("table inet silent { chain in { type filter hook input priority 0; udp dport { 1900, 5351 } drop; }; }\n")
}

// miniupnpd starts a real one at a router; more are lines of its configuration.
func (p *place) miniupnpd(more string) *daemon {
	p.t.Helper()
	p.rules(tables)
	conf := filepath.Join(p.dir, "miniupnpd.conf")
	write(p.t, conf, `ext_ifname=wan
listening_ip=lan
secure_mode=yes
uuid=7f2c3f7e-1c53-4b8e-9a94-0a1b2c3d4e5f
lease_file=`+filepath.Join(p.dir, "leases")+`
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
`+more+`
allow 1-65535 192.168.77.0/24 1-65535
deny 0-65535 0.0.0.0/0 0-65535
`)
	return p.start("miniupnpd", "-d", "-f", conf, "-P", filepath.Join(p.dir, "pid"))
}

// zoneHere starts BIND at 127.0.0.1, with a zone in which Foyer may write.
func (p *place) zoneHere(records string) {
	p.t.Helper()
	zone := filepath.Join(p.dir, "zone")
	write(p.t, zone, "$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 300\n NS ns\nns A 127.0.0.1\n"+records)
	conf := filepath.Join(p.dir, "named.conf")
	write(p.t, conf, `options { directory "`+p.dir+`"; pid-file none; session-keyfile none; recursion no; listen-on { 127.0.0.1; }; listen-on-v6 { none; }; dnssec-validation no; };
controls { };
key "foyer." { algorithm hmac-sha256; secret "`+key+`"; };
zone "jeannine-martin.fr" { type master; file "`+zone+`"; allow-update { key "foyer."; }; allow-transfer { key "foyer."; }; };
`)
	p.start("named", "-g", "-c", conf)
	within(p.t, "BIND answers", func() (string, bool) {
		out := p.digHere("ns")
		return out, out == "127.0.0.1"
	})
}

func (p *place) digHere(name string) string {
	out, _ := p.ask("dig", "+short", "+tries=1", "+timeout=2", "@127.0.0.1", name+".jeannine-martin.fr", "A")
	return strings.TrimSpace(out)
}

// keepsName are settings by which a Foyer keeps a name at the router's address, in the
// BIND of zoneHere.
const keepsName = `dyndns = "router"
dns.provider = "rfc2136"
dns.credentials = ["server=127.0.0.1:53", "key_name=foyer.", "key=` + key + `", "key_alg=hmac-sha256"]
dns.zone = "jeannine-martin.fr"
`

// cause is what `foyer status` names as the cause of a finding.
func (f *foyer) cause(code string) (cause, what string) {
	got := f.finding(code)
	return got.Cause, got.Severity + ": " + got.What["en"]
}

// Where a stranger's router is.
const (
	atDevice = "http://192.168.77.66:5000"
	atRouter = "http://192.168.77.1:8000"
	atHome   = "http://127.0.0.1:5000"
)

// A device at home answers SSDP, NAT-PMP and PCP as it likes, or the router itself says
// what is not so; the record stays where it is right.
func TestTheRecordStaysRightWhateverADeviceSays(t *testing.T) {
	t.Attr("shows", "mend")
	t.Parallel()
	device := pageLie{Listen: "192.168.77.66:5000", Control: "/control"}
	asked := func(source, location string) []ssdpLie { return []ssdpLie{{source, location + "/router.xml"}} }
	const itself, asRouter = "192.168.77.66", "192.168.77.1"
	lies := []struct {
		name   string
		way    string // setting `router`; "" map
		device liar
		router []pageLie // pages at the router that are somebody's: a share, a port of an old program
		silent bool      // the router drops what it is asked
		upnpd  string    // lines of the configuration of a real miniupnpd; "" none
		cause  string    // why the record stays; "" nobody is believed
	}{
		{name: "a router of the device's own", device: liar{SSDP: asked(itself, atDevice), Pages: []pageLie{device}}},
		{name: "the device's own, told in the router's name", device: liar{SSDP: asked(asRouter, atDevice), Pages: []pageLie{device}}},
		{name: "by a name in DNS", device: liar{SSDP: asked(asRouter, "http://device.jeannine-martin.fr:5000"), Pages: []pageLie{device}}},
		{name: "a page at the router names the device's control", router: []pageLie{{Listen: "192.168.77.1:8000", Control: atDevice + "/control"}}, device: liar{SSDP: asked(asRouter, atRouter), Pages: []pageLie{device}}},
		{name: "a page at the router has its base at the device", router: []pageLie{{Listen: "192.168.77.1:8000", Control: "/control", Base: atDevice}}, device: liar{SSDP: asked(asRouter, atRouter), Pages: []pageLie{device}}},
		{name: "a page at the router redirects to the device", router: []pageLie{{Listen: "192.168.77.1:8000", To: atDevice}}, device: liar{SSDP: asked(asRouter, atRouter), Pages: []pageLie{device}}},
		{name: "an answer that never ends", router: []pageLie{{Listen: "192.168.77.1:8000", Control: "/control", Endless: true}}, device: liar{SSDP: asked(asRouter, atRouter)}},
		{name: "NAT-PMP in the router's name", silent: true, cause: "address-unconfirmed", device: liar{Flood: []floodLie{{"192.168.77.1:5351", forgedPMP()}}}},
		{name: "NAT-PMP and PCP from the device's own address", silent: true, device: liar{Flood: []floodLie{{"192.168.77.66:5351", forgedPMP()}, {"192.168.77.66:5352", forgedPCP(8443)}}}},
		{name: "PCP in the router's name, the nonce guessed", silent: true, device: liar{Flood: []floodLie{{"192.168.77.1:5351", forgedPCP(8443)}}}},
		{name: "a page at the router that says so itself", cause: "address-unconfirmed", router: []pageLie{{Listen: "192.168.77.1:8000", Control: "/control"}}, device: liar{SSDP: asked(asRouter, atRouter)}},
		{name: "the same, and the router says otherwise by NAT-PMP", way: "upnp", upnpd: "enable_upnp=no\nenable_natpmp=yes", cause: "address-contradicted", router: []pageLie{{Listen: "192.168.77.1:8000", Control: "/control"}}, device: liar{SSDP: asked(asRouter, atRouter)}},
		{name: "the router itself, in one way alone", upnpd: "enable_upnp=yes\nenable_natpmp=no\next_ip=" + evil, cause: "address-unconfirmed"},
	}
	t.Run("lies", func(t *testing.T) {
		for _, l := range lies {
			t.Run(l.name, func(t *testing.T) {
				t.Parallel()
				h := newHousehold(t)
				h.home.zoneHere("cloud A " + right + "\ndevice A 192.168.77.66\n")
				if l.silent {
					h.silent()
				}
				if l.upnpd != "" {
					h.router.miniupnpd(l.upnpd)
				}
				device := h.device.lies(l.device)
				heard := func() bool {
					return len(l.device.SSDP) == 0 || strings.Contains(device.log.String(), "answered a search")
				}
				if l.router != nil {
					page := h.router.lies(liar{Pages: l.router})
					heard = func() bool { return strings.Contains(page.log.String(), "asked for") }
				}
				way := l.way
				if way == "" {
					way = "map"
				}
				f := h.home.foyer("mdns = \"off\"\nrouter = \"" + way + "\"\naddresses = [\"cloud.jeannine-martin.fr\"]\ncertificates.ca = \"off\"\n" + keepsName)
				var said string
				within(t, "Foyer has heard it, and told what it makes of it", func() (string, bool) {
					if record := h.home.digHere("cloud"); record != right {
						t.Fatalf("cloud.jeannine-martin.fr points at %q", record)
					}
					cause, what := f.cause("public-name")
					said = what
					_, router := f.cause("router")
					return what + "; " + router, heard() && strings.HasPrefix(what, "warning: ") && cause == l.cause &&
						(l.cause != "" || strings.HasPrefix(what, "warning: It is not known") && strings.Contains(router, "No router answers"))
				})
				if strings.Contains(device.log.String(), "asked for") {
					t.Errorf("Foyer was at the device: %s", device.log)
				}
				if record := h.home.digHere("cloud"); record != right {
					t.Errorf("cloud.jeannine-martin.fr points at %q", record)
				}
				fmt.Printf("%-55s %s\n", l.name, said)
			})
		}
	})
	if t.Failed() {
		return
	}
	show("a device that speaks as the router", "the record of a real BIND stays right in %d kinds of lies", len(lies))
}

// What the router says is confirmed by a Foyer elsewhere, where one is named; it has
// the last word, also against a router that lies in all its ways. An honest router that
// speaks one way alone is believed with it.
func TestAFoyerElsewhereConfirmsTheAddress(t *testing.T) {
	t.Attr("shows", "mend")
	t.Parallel()
	n := &internet{place: newPlace(t)}
	n.begin("t1 A 81.2.1.2\n")
	s := newSite(t, n, 1)
	s.connect(s.router)
	s.opens(s.forward(80), s.forward(443))
	s.zoneHere("t1 A 198.51.100.3\n")
	upnp := s.router.miniupnpd("enable_upnp=yes\nenable_natpmp=yes\next_ip=" + evil)
	record := func(want string) {
		t.Helper()
		if got := s.digHere("t1"); got != want {
			t.Fatalf("%s points at %q", s.host(), got)
		}
	}
	s.runs("mdns = \"off\"\nrouter = \"map\"\n" + keepsName)
	within(t, "the peer contradicts the router", func() (string, bool) {
		record("198.51.100.3")
		cause, what := s.serves.cause("public-name")
		return what, cause == "address-contradicted" && strings.Contains(what, "peer.jeannine-martin.fr sees this connection at 81.2.1.2")
	})
	s.serves.stop()
	upnp.stop()
	s.router.must("nft", "delete", "table", "inet", "filter")
	s.router.miniupnpd("enable_upnp=yes\nenable_natpmp=no")
	s.runs("mdns = \"off\"\nrouter = \"map\"\n" + keepsName)
	took := within(t, "the name follows", func() (string, bool) {
		got := s.digHere("t1")
		return got, got == "81.2.1.2"
	})
	s.serves.says("public-name", "ok", "points at 81.2.1.2")
	show("a Foyer elsewhere confirms the router's address", "a router that lies in every way is not believed; an honest one that speaks UPnP alone is, after %.1f s", took.Seconds())
}

// A stranger at home names URLs: this machine's own, the device's, a name's, others of
// the router. `foyer doctor` opens no connection to any of them; where the owner wants
// UPnP to be spoken, to the router alone.
func TestDoctorOpensNoConnectionThatAStrangerNamed(t *testing.T) {
	t.Attr("shows", "mend")
	t.Parallel()
	for _, c := range []struct{ router, trap string }{
		{"off", "ip daddr { 192.168.77.1, 192.168.77.66 } meta l4proto tcp"},
		{"pcp", "ip daddr { 192.168.77.1, 192.168.77.66 } meta l4proto tcp"},
		{"map", "ip daddr 192.168.77.66 meta l4proto tcp"},
	} {
		t.Run(c.router, func(t *testing.T) {
			t.Parallel()
			h := newHousehold(t)
			h.home.zoneHere("cloud A " + right + "\ndevice A 192.168.77.66\n")
			var lies []ssdpLie
			for _, source := range []string{"192.168.77.66", "192.168.77.1"} {
				for _, at := range []string{atHome, atDevice, atRouter, "http://device.jeannine-martin.fr:5000", "http://localhost:5000", "http://[::1]:5000"} {
					lies = append(lies, ssdpLie{source, at + "/router.xml"})
				}
			}
			forged := "HTTP/1.1 200 OK\r\nEXT:\r\nST: urn:schemas-upnp-org:service:WANIPConnection:1\r\nUSN: uuid:1\r\nLOCATION: " + atHome + "/router.xml\r\n\r\n"
			h.home.lies(liar{Pages: []pageLie{{Listen: "127.0.0.1:5000", Control: "/control"}}})
			h.router.lies(liar{Pages: []pageLie{{Listen: "192.168.77.1:8000", To: atHome}}})
			device := h.device.lies(liar{SSDP: lies, Pages: []pageLie{{Listen: "192.168.77.66:5000", Control: "/control"}}, Flood: []floodLie{{"192.168.77.1:1901", []byte(forged)}}})
			h.home.rules(`table inet trap {
	counter strangers { }
	chain out { type filter hook output priority 0; tcp flags & (syn | ack) == syn ` + c.trap + ` counter name strangers; tcp flags & (syn | ack) == syn tcp dport 5000 counter name strangers; }
}
`)
			f := h.home.foyer("mdns = \"off\"\naddresses = [\"cloud.jeannine-martin.fr\"]\ncertificates.ca = \"off\"\n")
			f.answers()
			// The one that runs has no router: what is counted is the doctor's.
			settings := filepath.Join(h.home.dir, "foyer.toml")
			text, err := os.ReadFile(settings)
			if err != nil {
				t.Fatal(err)
			}
			write(t, settings, string(text)+"router = \""+c.router+"\"\n")
			cmd := h.home.command(os.Getenv("FOYER_E2E_BINARY"), "doctor", "--json", "--settings", settings, "--run", f.run)
			out, err := cmd.Output()
			if _, ended := err.(*exec.ExitError); err != nil && !ended || !strings.Contains(string(out), `"reachability"`) {
				t.Fatalf("%v: %s", err, out)
			}
			if c.router == "map" && !strings.Contains(device.log.String(), "answered a search") {
				t.Error("nobody lied to the doctor")
			}
			counted := h.home.must("nft", "list", "counter", "inet", "trap", "strangers")
			if !strings.Contains(counted, "packets 0 ") {
				t.Errorf("connections that a stranger named: %s", counted)
			}
			if strings.Contains(string(out), evil) {
				t.Errorf("the doctor tells what a stranger says: %s", out)
			}
			show("foyer doctor, router = "+c.router, "connections that a stranger named: none, to %d URLs told from two addresses", len(lies))
		})
	}
}

// What makes a lie worth telling is the certificate: `foyer doctor` proposes the record
// by which this server's account alone gets one, sees it, and warns of another's.
func TestDoctorProposesWhoMayOrder(t *testing.T) {
	t.Attr("shows", "mend")
	t.Parallel()
	const ours = "https://acme-v02.api.letsencrypt.org/acme/acct/1234567890"
	h := newPlace(t)
	write(t, filepath.Join(h.dir, "resolv.conf"), "nameserver 127.0.0.1\n")
	h.zoneHere("free A " + right + "\nbound A " + right + "\nbound CAA 0 issue \"letsencrypt.org; accounturi=" + ours + "\"\nother A " + right + "\nother CAA 0 issue \"letsencrypt.org; accounturi=" + ours + "0\"\n")
	h.must("ip", "link", "add", "eth0", "type", "bridge")
	h.must("ip", "address", "add", right+"/24", "dev", "eth0")
	h.must("ip", "link", "set", "eth0", "up")
	users := filepath.Join(h.dir, "data", "certificates", "acme", "acme-v02.api.letsencrypt.org-directory", "users", "default")
	if err := os.MkdirAll(users, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(users, "default.json"), `{"status":"valid","location":"`+ours+`"}`)
	settings := filepath.Join(h.dir, "foyer.toml")
	for name, want := range map[string]string{
		"free":  `free.jeannine-martin.fr. CAA 0 issue \"letsencrypt.org; accounturi=` + ours + `\"`,
		"bound": "DNS lets only this server's own account",
		"other": "caa-other-account",
	} {
		write(t, settings, fmt.Sprintf("mdns = \"off\"\ndata = %q\nhttp_port = 8080\nhttps_port = 8443\naddresses = [\"%s.jeannine-martin.fr\"]\n", filepath.Join(h.dir, "data"), name))
		out, err := h.command(os.Getenv("FOYER_E2E_BINARY"), "doctor", "--json", "--settings", settings, "--run", filepath.Join(h.dir, "run")).Output()
		if _, ended := err.(*exec.ExitError); err != nil && !ended || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
	show("who may order certificates", "foyer doctor proposes the CAA record with this server's account, sees it when it is there, and warns of another account's")
}
