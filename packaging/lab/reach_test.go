//go:build e2e

package lab

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foyer-server/foyer/supervisor/reach"
	"github.com/foyer-server/foyer/supervisor/router"
)

// internet is where the homes of one test meet: the DNS of the world, and a Foyer
// that dials back.
type internet struct {
	*place
	roots string // file of the peer's root certificate
}

// Addresses outside. They are other people's, and lead nowhere but here.
const (
	peer4, peer6 = "5.5.5.5", "2a02:1::5"
	dns4, dns6   = "5.5.5.53", "2a02:1::53"
)

// records are what DNS says of the homes' names; %d is a home's number.
func (n *internet) begin(records string) {
	t := n.t
	n.forwards()
	for _, a := range []string{peer4 + "/32", dns4 + "/32"} {
		n.must("ip", "address", "add", a, "dev", "lo")
	}
	for _, a := range []string{peer6 + "/128", dns6 + "/128"} {
		n.must("ip", "address", "add", a, "dev", "lo", "nodad")
	}
	zone := filepath.Join(n.dir, "zone")
	write(t, zone, "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n NS ns\nns A "+dns4+"\npeer A "+peer4+"\npeer AAAA "+peer6+"\n"+records)
	conf := filepath.Join(n.dir, "named.conf")
	write(t, conf, `options { directory "`+n.dir+`"; pid-file none; session-keyfile none; recursion no; listen-on { `+dns4+`; }; listen-on-v6 { `+dns6+`; }; dnssec-validation no; };
controls { };
zone "jeannine-martin.fr" { type master; file "`+zone+`"; };
`)
	n.start("named", "-g", "-c", conf)
	write(t, filepath.Join(n.dir, "resolv.conf"), "nameserver "+dns4+"\n")
	f := n.foyerOn(80, 443, `mdns = "off"
addresses = ["peer.jeannine-martin.fr"]
certificates.ca = "off"
reach.answer = "on"
`)
	f.answers()
	var claim struct{ Claim string }
	if out := n.must(os.Getenv("FOYER_E2E_BINARY"), "claim", "--json", "--run", f.run); json.Unmarshal([]byte(out), &claim) != nil || claim.Claim == "" {
		t.Fatalf("no claim code: %s", out)
	}
	n.must("curl", "-skf", "--json", `{"code":"`+claim.Claim+`","name":"jeannine","password":"correct horse battery"}`, "https://"+peer4+"/claim")
	root, err := os.ReadFile(filepath.Join(n.dir, "foyer", "data", "certificates", "home-ca", "root.crt"))
	if err != nil {
		t.Fatal(err)
	}
	n.roots = filepath.Join(n.dir, "peer-root.crt")
	write(t, n.roots, string(root))
}

// forwards makes a place pass packets on.
func (p *place) forwards() {
	p.must("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv4.ip_unprivileged_port_start=0")
}

// rules loads what nft is to do.
func (p *place) rules(text string) {
	file := filepath.Join(p.dir, "reach.nft")
	write(p.t, file, text)
	p.must("nft", "-f", file)
}

// site is one home of the test, as a provider connects it.
type site struct {
	*place
	i      int // its number
	net    *internet
	router *place
	serves *foyer // once it runs
}

// public is its address outside.
func (s *site) public() string  { return fmt.Sprintf("81.2.%d.2", s.i) }
func (s *site) gateway() string { return fmt.Sprintf("81.2.%d.1", s.i) }
func (s *site) host() string    { return fmt.Sprintf("t%d.jeannine-martin.fr", s.i) }

// lan6 is an address in its home network, by IPv6.
func (s *site) lan6(n int) string { return fmt.Sprintf("2a01:e0b:%x::%d", s.i, n) }

// newSite makes a router and a machine behind it, in one home network by IPv4. They
// are not connected to the Internet.
func newSite(t *testing.T, n *internet, i int) *site {
	s := &site{place: newPlace(t), i: i, net: n, router: newPlace(t)}
	s.router.forwards()
	s.must("sysctl", "-qw", "net.ipv4.ip_unprivileged_port_start=0")
	cable(t, s.router, "lan", "192.168.77.1/24", s.place, "eth0", "192.168.77.2/24")
	s.router.must("ip", "route", "replace", "224.0.0.0/4", "dev", "lan")
	s.must("ip", "route", "add", "default", "via", "192.168.77.1")
	write(t, filepath.Join(s.dir, "resolv.conf"), "nameserver "+dns4+"\n")
	return s
}

// connect gives a place the site's public IPv4 address.
func (s *site) connect(p *place) {
	cable(s.t, p, "wan", s.public()+"/24", s.net.place, fmt.Sprintf("h%d", s.i), s.gateway()+"/24")
	p.must("ip", "route", "add", "default", "via", s.gateway())
}

// behind connects the router to a place of the provider's, or to another router,
// with the addresses given, and that one to the Internet.
func (s *site) behind(own, outer string) *place {
	p := newPlace(s.t)
	p.forwards()
	s.connect(p)
	cable(s.t, s.router, "wan", own+"/24", p, "in", outer+"/24")
	s.router.must("ip", "route", "add", "default", "via", outer)
	p.rules("table ip nat { chain post { type nat hook postrouting priority 100; oifname \"wan\" masquerade; }; }\n")
	return p
}

// connect6 gives the home network IPv6 addresses that everybody reaches, over a line
// of their own.
func (s *site) connect6() {
	wan, far := fmt.Sprintf("2a01:e0a:%x::2", s.i), fmt.Sprintf("2a01:e0a:%x::1", s.i)
	dev := fmt.Sprintf("six%d", s.i)
	run(s.t, "ip", "link", "add", "wan6", "netns", s.router.ns, "type", "veth", "peer", "name", dev, "netns", s.net.ns)
	s.router.must("ip", "link", "set", "wan6", "up")
	s.net.must("ip", "link", "set", dev, "up")
	s.router.must("ip", "address", "add", wan+"/64", "dev", "wan6", "nodad")
	s.net.must("ip", "address", "add", far+"/64", "dev", dev, "nodad")
	s.router.must("ip", "address", "add", s.lan6(1)+"/64", "dev", "lan", "nodad")
	s.must("ip", "address", "add", s.lan6(2)+"/64", "dev", "eth0", "nodad")
	s.must("ip", "route", "add", "default", "via", s.lan6(1))
	s.router.must("ip", "route", "add", "default", "via", far)
	s.net.must("ip", "route", "add", s.lan6(0)+"/64", "via", wan)
}

// opens makes the router share its address, and pass on what these rules say.
func (s *site) opens(forwards ...string) {
	s.router.rules(`table ip nat {
	chain pre { type nat hook prerouting priority -100; ` + strings.Join(forwards, "; ") + `; }
	chain post { type nat hook postrouting priority 100; oifname "wan" masquerade; ip saddr 192.168.77.0/24 ip daddr 192.168.77.0/24 masquerade; }
}
table inet shut {
	chain in { type filter hook input priority 0; iifname "wan" tcp flags syn drop; }
}
`)
}

// forward passes a port on, for those outside and, by hairpin, for those at home.
func (s *site) forward(port int) string {
	return fmt.Sprintf("ip daddr { %s, 192.168.0.2 } tcp dport %d dnat to 192.168.77.2", s.public(), port)
}

// upnp starts the router's miniupnpd.
func (s *site) upnp(more string) {
	s.router.rules(tables)
	conf := filepath.Join(s.router.dir, "miniupnpd.conf")
	write(s.t, conf, `ext_ifname=wan
listening_ip=lan
enable_natpmp=yes
enable_upnp=yes
secure_mode=yes
uuid=7f2c3f7e-1c53-4b8e-9a94-0a1b2c3d4e5f
lease_file=`+filepath.Join(s.router.dir, "leases")+`
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
`+more+`
allow 1-65535 192.168.77.0/24 1-65535
deny 0-65535 0.0.0.0/0 0-65535
`)
	s.router.start("miniupnpd", "-d", "-f", conf, "-P", filepath.Join(s.router.dir, "pid"))
}

// settings are those of every home's Foyer.
func (s *site) settings(more string) string {
	if !strings.Contains(more, "certificates.ca ") {
		more += "certificates.ca = \"off\"\n"
	}
	return "addresses = [\"" + s.host() + "\"]\nreach.peer = \"https://peer.jeannine-martin.fr\"\ncertificates.ca_roots = \"" + s.net.roots + "\"\n" + more
}

// runs starts the home's Foyer and waits until it serves.
func (s *site) runs(more string) {
	s.serves = s.foyerOn(80, 443, s.settings(more))
	s.serves.answers()
}

// answers waits until the server is well, by the socket on which it tells so: there
// are many homes, and looking costs little this way.
func (f *foyer) answers() {
	f.t.Helper()
	c := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(f.run, "local.sock"))
	}}}
	within(f.t, "the server is well", func() (string, bool) {
		resp, err := c.Get("http://local/health")
		if err != nil {
			return err.Error(), false
		}
		resp.Body.Close()
		return resp.Status, resp.StatusCode == http.StatusOK
	})
}

// diagnosis is what `foyer doctor` says of visitors from outside.
type diagnosis struct {
	Code, Severity, Cause string
	What                  map[string]string
	Do                    map[string]string
}

// doctor asks once, as root, and is believed.
func (s *site) doctor() (d diagnosis, out string, took time.Duration) {
	begin := time.Now()
	cmd := s.command(os.Getenv("FOYER_E2E_BINARY"), "doctor", "--json", "--settings", filepath.Join(s.dir, "foyer.toml"), "--run", filepath.Join(s.dir, "foyer", "run"))
	text, _ := cmd.Output() // exit code 3 when something is wrong
	took = time.Since(begin)
	var all struct {
		OK       bool
		Findings []diagnosis
	}
	if err := json.Unmarshal([]byte(strings.SplitN(string(text), "\n", 2)[0]), &all); err != nil {
		s.t.Fatalf("%v in %s", err, text)
	}
	for _, f := range all.Findings {
		if f.Code == "reachability" {
			d = f
		}
	}
	if code := cmd.ProcessState.ExitCode(); (code == 3) == all.OK || d.Severity == "warning" && code != 3 {
		s.t.Errorf("exit code %d, %s", code, text)
	}
	return d, string(text), took
}

// examined asks `foyer doctor`, or, where the clock is to be another one, package
// reach in a process of its own.
func (s *site) examined(clock string) (diagnosis, string, time.Duration) {
	if clock == "" {
		return s.doctor()
	}
	begin := time.Now()
	cmd := s.command(os.Args[0])
	cmd.Env = append(cmd.Environ(), "FOYER_LAB_CLOCK="+clock, "FOYER_LAB_ROOTS="+s.net.roots, "FOYER_LAB_SOCKET="+filepath.Join(s.dir, "foyer", "run", "local.sock"))
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
	var d struct {
		Cause, Severity string
		What            map[string]string
	}
	if err := json.Unmarshal([]byte(strings.SplitN(string(out), "\n", 2)[0]), &d); err != nil {
		s.t.Fatalf("%v in %s", err, out)
	}
	return diagnosis{Cause: d.Cause, Severity: d.Severity, What: d.What}, string(out), time.Since(begin)
}

// TestMain is also the process that a topology with another clock runs in its network,
// and the device that lies.
func TestMain(m *testing.M) {
	if text := os.Getenv("FOYER_LAB_LIAR"); text != "" {
		fmt.Fprintln(os.Stderr, lie(text))
		os.Exit(1)
	}
	clock := os.Getenv("FOYER_LAB_CLOCK")
	if clock == "" {
		os.Exit(m.Run())
	}
	if err := examineWithClock(clock); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// examineWithClock examines as if it were the time clock says, and prints what came
// of it.
func examineWithClock(clock string) error {
	at, err := time.Parse(time.RFC3339, clock)
	if err != nil {
		return err
	}
	pem, err := os.ReadFile(os.Getenv("FOYER_LAB_ROOTS"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	ahead := time.Until(at)
	d := reach.Examine(context.Background(), reach.Situation{
		HTTP: 80, HTTPS: 443, Peer: "https://peer.jeannine-martin.fr", Roots: roots,
		Expect: reach.Expect(os.Getenv("FOYER_LAB_SOCKET")), Router: router.Look,
		Now: func() time.Time { return time.Now().Add(ahead) },
	})
	out, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = fmt.Println(string(out))
	return err
}

// topology is a network with one thing wrong.
type topology struct {
	name    string
	want    string // its cause; "" none
	records string // what DNS says of its name; "" leads here
	build   func(s *site)
	// clock is what the examination takes for now, in a network where all is well. The
	// kernel has one clock of this kind for all namespaces, and a Go program takes it
	// from nobody else; so here package reach itself looks, in the home's network and
	// for its running Foyer, with another clock than the machine's.
	clock string
	// then looks whether the running Foyer says the same by itself.
	then func(s *site)
}

func topologies() []topology {
	both := func(s *site) { s.connect(s.router); s.opens(s.forward(80), s.forward(443)) }
	well := func(s *site) { both(s); s.runs("") }
	return []topology{
		{name: "healthy", want: "", build: well},
		{name: "healthy, and nothing runs yet", want: "", build: func(s *site) {
			both(s)
			write(s.t, filepath.Join(s.dir, "foyer.toml"), s.settings("name = \"jeannine\"\n"))
		}},
		{name: "both ports closed, and nothing runs yet", want: "ports-closed", build: func(s *site) {
			s.connect(s.router)
			s.opens()
			write(s.t, filepath.Join(s.dir, "foyer.toml"), s.settings("name = \"jeannine\"\n"))
		}},
		{name: "healthy, IPv4 and IPv6", want: "", records: "NAME A PUBLIC\nNAME AAAA LAN6\n", build: func(s *site) { both(s); s.connect6(); s.runs("") }},
		{name: "healthy, behind nginx on this machine", want: "", build: func(s *site) {
			both(s)
			s.must("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN="+s.host(),
				"-keyout", filepath.Join(s.dir, "key.pem"), "-out", filepath.Join(s.dir, "cert.pem"))
			s.nginx("listen 80; listen 443 ssl; ssl_certificate "+filepath.Join(s.dir, "cert.pem")+"; ssl_certificate_key "+filepath.Join(s.dir, "key.pem")+";",
				"proxy_pass http://127.0.0.1:8888; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;")
			s.runs("proxy.listen = \"127.0.0.1:8888\"\nproxy.trusted = [\"127.0.0.1\"]\n")
		}},
		{name: "miniupnpd by UPnP", want: "", build: func(s *site) { s.mapped("upnp") }, then: func(s *site) {
			s.serves.says("reachability", "ok", "get in; it was tried")
			s.serves.says("router", "ok", "it was tried")
		}},
		{name: "miniupnpd by NAT-PMP", want: "", build: func(s *site) { s.mapped("nat-pmp") }},
		{name: "carrier NAT", want: "cgnat", build: func(s *site) {
			s.behind("100.64.7.2", "100.64.7.1")
			s.opens(s.forward(80), s.forward(443))
			s.upnp("")
			s.runs("router = \"map\"\n")
		}, then: func(s *site) {
			s.serves.says("reachability", "warning", "shares one Internet address")
			if said := s.serves.finding("router"); said.Code != "" {
				s.t.Errorf("the same is told twice: %v", said)
			}
		}},
		{name: "carrier NAT, the router lies", want: "cgnat", build: func(s *site) {
			s.behind("100.64.7.2", "100.64.7.1")
			s.upnp("ext_ip=8.8.4.4") // and says yes to every mapping
			s.opens()
			s.runs("router = \"map\"\n")
		}},
		{name: "carrier NAT, the router says nothing", want: "cgnat", build: func(s *site) {
			s.behind("100.64.7.2", "100.64.7.1")
			s.opens(s.forward(80), s.forward(443))
			s.runs("")
		}},
		{name: "double NAT", want: "double-nat", build: func(s *site) {
			s.behind("192.168.0.2", "192.168.0.1")
			s.opens(s.forward(80), s.forward(443))
			s.runs("")
		}},
		{name: "port 80 closed", want: "port-80-closed", build: func(s *site) { s.connect(s.router); s.opens(s.forward(443)); s.runs("") }},
		{name: "both ports closed", want: "ports-closed", build: func(s *site) { s.connect(s.router); s.opens(); s.runs("") }},
		{name: "a firewall on the machine", want: "local-firewall", build: func(s *site) {
			both(s)
			s.rules("table inet filter {\n chain input { type filter hook input priority 0; policy drop; iifname lo accept; ct state established,related accept; udp dport 5353 accept; tcp dport 22 accept; }\n}\n")
			s.runs("")
		}},
		{name: "the ports lead to another machine", want: "other-machine", build: func(s *site) {
			s.connect(s.router)
			s.opens("ip daddr " + s.public() + " tcp dport { 80, 443 } dnat to 192.168.77.1:8000")
			s.router.nginx("listen 8000;", "return 200 printer;")
			s.router.rules("delete table inet shut\n")
			s.runs("")
		}},
		{name: "IPv6 only", want: "ipv6-only", records: "NAME AAAA LAN6\n", build: func(s *site) {
			s.connect6()
			write(s.t, filepath.Join(s.dir, "resolv.conf"), "nameserver "+dns6+"\n")
			s.runs("")
		}},
		{name: "IPv6 closed by the router", want: "ipv6-closed", records: "NAME A PUBLIC\nNAME AAAA LAN6\n", build: func(s *site) {
			both(s)
			s.connect6()
			s.router.rules("table inet six { chain f { type filter hook forward priority 0; iifname wan6 tcp flags syn / syn,ack drop; }; }\n")
			s.runs("")
		}},
		{name: "IPv6, and IPv4 through carrier NAT", want: "ipv6-only", records: "NAME AAAA LAN6\n", build: func(s *site) {
			s.behind("100.64.7.2", "100.64.7.1")
			s.opens()
			s.connect6()
			s.runs("")
		}},
		{name: "stale AAAA", want: "aaaa-stale", records: "NAME A PUBLIC\nNAME AAAA 2a01:e0c::7\n", build: well},
		{name: "wrong DNS", want: "name-elsewhere", records: "NAME A 81.99.9.9\n", build: well},
		{name: "no record", want: "name-missing", records: "NAME TXT nothing\n", build: well},
		{name: "no DNS server", want: "dns-silent", build: func(s *site) {
			both(s)
			s.router.rules("table inet mute { chain f { type filter hook forward priority 0; udp dport 53 drop; tcp dport 53 drop; }; }\n")
			s.runs("")
		}},
		{name: "foreign CAA", want: "caa-foreign", records: "NAME A PUBLIC\nNAME CAA 0 issue \"ca.example.net\"\n", build: func(s *site) {
			both(s)
			s.runs("certificates.ca = \"\"\n")
		}},
		{name: "no hairpin", want: "no-hairpin", build: func(s *site) {
			s.connect(s.router)
			s.opens("iifname wan "+s.forward(80), "iifname wan "+s.forward(443))
			s.runs("")
		}},
		{name: "captive portal", want: "captive-portal", build: func(s *site) {
			s.connect(s.router)
			s.opens("iifname lan tcp dport 80 dnat to 192.168.77.1:8000")
			s.router.nginx("listen 8000;", "return 302 http://login.hotel.example/;")
			s.router.rules("table inet hotel { chain f { type filter hook forward priority 0; iifname lan udp dport 53 accept; iifname lan drop; }; }\n")
			s.runs("")
		}},
		{name: "nginx on port 80", want: "other-program", build: func(s *site) {
			both(s)
			s.nginx("listen 80;", "return 200 mine;")
			f := s.foyerOn(80, 443, s.settings("")) // cannot start
			<-f.ended
		}},
		{name: "clock at 1970", want: "clock-wrong", clock: "1970-01-01T00:10:00Z", build: well},
		{name: "clock at 2069", want: "clock-wrong", clock: "2069-07-20T20:17:00Z", build: well},
		{name: "the name is Avahi's elsewhere", want: "name-taken", build: func(s *site) {
			both(s)
			s.router.avahi("jeannine", "allow-interfaces=lan")
			s.runs("")
		}},
	}
}

// mapped is a home whose router opens its ports when Foyer asks it to.
func (s *site) mapped(way string) {
	s.connect(s.router)
	s.opens("iifname lan "+s.forward(80), "iifname lan "+s.forward(443)) // only the hairpin
	s.upnp("")
	s.runs("router = \"" + way + "\"\n")
	within(s.t, "the router passes visitors on", func() (string, bool) {
		rules := s.router.must("nft", "list", "table", "inet", "filter")
		return rules, strings.Contains(rules, "192.168.77.2:80") && strings.Contains(rules, "192.168.77.2:443")
	})
}

// nginx starts a real one with one server.
func (p *place) nginx(listen, location string) {
	p.t.Helper()
	dir := filepath.Join(p.dir, "nginx")
	if err := os.Mkdir(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	conf := filepath.Join(dir, "nginx.conf")
	write(p.t, conf, "user root; daemon off; pid "+dir+"/pid; error_log stderr;\nevents {}\nhttp { access_log off;\n"+
		"client_body_temp_path "+dir+"/b; proxy_temp_path "+dir+"/p; fastcgi_temp_path "+dir+"/f; uwsgi_temp_path "+dir+"/u; scgi_temp_path "+dir+"/s;\n"+
		"server { "+listen+" location / { "+location+" } }\n}\n")
	p.start("nginx", "-p", dir, "-c", conf)
	_, port, _ := strings.Cut(listen, " ")
	port, _, _ = strings.Cut(port, ";")
	within(p.t, "nginx answers", func() (string, bool) {
		out, err := p.ask("curl", "-s", "http://127.0.0.1:"+port+"/")
		return out, err == nil
	})
}

// Every topology has exactly one thing wrong, and `foyer doctor`, asked once, names it.
func TestReachability(t *testing.T) {
	t.Parallel()
	n := &internet{place: newPlace(t)}
	all := topologies()
	var zone strings.Builder
	for i, top := range all {
		s := &site{i: i + 1}
		records := top.records
		if records == "" {
			records = "NAME A PUBLIC\n"
		}
		zone.WriteString(strings.NewReplacer("NAME", strings.TrimSuffix(s.host(), ".jeannine-martin.fr"), "PUBLIC", s.public(), "LAN6", s.lan6(2)).Replace(records))
	}
	n.begin(zone.String())
	var mu sync.Mutex
	matrix := map[string]map[string]int{}
	right, slowest := 0, time.Duration(0)
	t.Run("topologies", func(t *testing.T) {
		for i, top := range all {
			t.Run(top.name, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, n, i+1)
				top.build(s)
				d, out, took := s.examined(top.clock)
				if d.Cause != top.want || d.What["fr"] == "" {
					t.Errorf("diagnosed as %q, is %q: %s", d.Cause, top.want, out)
				}
				if top.then != nil {
					top.then(s)
				}
				mu.Lock()
				defer mu.Unlock()
				if matrix[top.want] == nil {
					matrix[top.want] = map[string]int{}
				}
				matrix[top.want][d.Cause]++
				if d.Cause == top.want {
					right++
				}
				slowest = max(slowest, took)
				fmt.Printf("%-37s is %-16s diagnosed as %-16s %4.1f s: %s\n", top.name, or(top.want), or(d.Cause), took.Seconds(), d.What["en"])
			})
		}
	})
	printMatrix(matrix)
	show("reachability", "%d of %d topologies diagnosed as their cause; the slowest examination took %.1f s", right, len(all), slowest.Seconds())
}

func or(cause string) string {
	if cause == "" {
		return "well"
	}
	return cause
}

// printMatrix prints which causes were diagnosed as what.
func printMatrix(matrix map[string]map[string]int) {
	var causes []string
	for is, as := range matrix {
		causes = append(causes, is)
		for cause := range as {
			causes = append(causes, cause)
		}
	}
	slices.Sort(causes)
	causes = slices.Compact(causes)
	fmt.Println("cause of the topology (rows), diagnosed as (columns, by number)")
	fmt.Printf("%-20s", "")
	for i := range causes {
		fmt.Printf("%3d", i+1)
	}
	fmt.Println()
	for i, is := range causes {
		fmt.Printf("%2d %-17s", i+1, or(is))
		for _, as := range causes {
			cell := "."
			if k := matrix[is][as]; k > 0 {
				cell = fmt.Sprint(k)
			}
			fmt.Printf("%3s", cell)
		}
		fmt.Println()
	}
}
