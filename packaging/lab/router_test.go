//go:build e2e

package lab

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// box is a home router: a home network on one side, the Internet on the other.
type box struct {
	*place
	home *place // a machine in its home network
	upnp *daemon
	conf string
}

const tables = `
table inet filter {
	chain miniupnpd { }
	chain prerouting_miniupnpd { }
	chain postrouting_miniupnpd { }
	chain forward { type filter hook forward priority 0; jump miniupnpd; }
	chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
	chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd; }
}
`

// newBox makes one whose provider gave it the address. more are lines of its
// configuration.
func newBox(t *testing.T, address, more string) *box {
	t.Helper()
	b := &box{place: newPlace(t), home: newPlace(t)}
	internet := newPlace(t)
	cable(t, b.place, "lan", "192.168.77.1/24", b.home, "eth0", "192.168.77.2/24")
	cable(t, b.place, "wan", address+"/24", internet, "eth0", netip.MustParseAddr(address).Next().String()+"/24")
	b.must("ip", "route", "replace", "224.0.0.0/4", "dev", "lan")
	b.home.must("ip", "route", "add", "default", "via", "192.168.77.1")
	rules := filepath.Join(b.dir, "rules")
	write(t, rules, tables)
	b.must("nft", "-f", rules)
	b.conf = filepath.Join(b.dir, "miniupnpd.conf")
	write(t, b.conf, `ext_ifname=wan
listening_ip=lan
enable_natpmp=yes
enable_upnp=yes
secure_mode=yes
system_uptime=yes
uuid=7f2c3f7e-1c53-4b8e-9a94-0a1b2c3d4e5f
lease_file=`+filepath.Join(b.dir, "leases")+`
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
`+more+`
allow 1-65535 192.168.77.0/24 1-65535
deny 0-65535 0.0.0.0/0 0-65535
`)
	b.begin()
	return b
}

func (b *box) begin() {
	b.upnp = b.start("miniupnpd", "-d", "-f", b.conf, "-P", filepath.Join(b.dir, "pid"))
}

// letsIn waits until the router really sends visitors of both ports to the home's
// machine, or until it does not.
func (b *box) letsIn(want bool) time.Duration {
	b.t.Helper()
	return within(b.t, "visitors are sent to the home's machine", func() (string, bool) {
		rules := b.must("nft", "list", "ruleset")
		return rules, b.has(rules) == want
	})
}

func (b *box) has(rules string) bool {
	all := true
	for _, rule := range []string{"192.168.77.2:8443", "192.168.77.2:8080"} {
		all = all && strings.Contains(rules, rule)
	}
	return all
}

func TestRouterLetsVisitorsIn(t *testing.T) {
	for _, way := range []string{"pcp", "nat-pmp", "upnp", "map"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			b := newBox(t, "8.8.4.4", "")
			f := b.home.foyer("mdns = \"off\"\nrouter = \"" + way + "\"\n")
			took := b.letsIn(true)
			got, _ := f.says("router", "info", "(8.8.4.4) was asked to let visitors in on port 443, 80 and said yes; nobody has tried it from outside")
			if !strings.Contains(got.What["fr"], "personne ne l'a essayé de l'extérieur") {
				t.Errorf("in French: %q", got.What["fr"])
			}
			f.stop()
			if rules := b.must("nft", "list", "ruleset"); strings.Contains(rules, "192.168.77.2") {
				t.Errorf("Foyer has stopped, and visitors are still let in:\n%s", rules)
			}
			show("router, "+way, "ports 443 and 80 let in after %.1f s as the router's own rules show, told as asked for and not as proven; taken back at the end", took.Seconds())
		})
	}
}

// The router grants 20 s only. That the rules outlive that is renewal; that they go
// when Foyer is killed shows that nothing else keeps them.
func TestRouterIsAskedAgain(t *testing.T) {
	t.Parallel()
	b := newBox(t, "8.8.4.4", "min_lifetime=10\nmax_lifetime=20")
	f := b.home.foyer("mdns = \"off\"\nrouter = \"map\"\n")
	b.letsIn(true)
	for begin := time.Now(); time.Since(begin) < 45*time.Second; time.Sleep(time.Second) { // another process is watched
		rules := b.must("nft", "list", "ruleset")
		if !b.has(rules) { // miniupnpd replaces a rule by taking it away first, which may just be seen
			rules = b.must("nft", "list", "ruleset")
		}
		if !b.has(rules) {
			t.Fatalf("after %v visitors are no longer let in:\n%s", time.Since(begin), rules)
		}
	}
	f.killAll()
	took := b.letsIn(false)
	show("router that grants 20 s only", "still open after 45 s, closed by itself %d s after Foyer was killed", int(took.Seconds()))
}

func TestRouterBehindCarrierNAT(t *testing.T) {
	for _, way := range []string{"map", "upnp"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			b := newBox(t, "100.64.1.2", "")
			f := b.home.foyer("mdns = \"off\"\nrouter = \"" + way + "\"\n")
			got, _ := f.says("router", "warning", "shares one")
			if !strings.Contains(got.What["fr"], "Votre fournisseur partage") && !strings.Contains(got.What["fr"], "le fournisseur en partage") {
				t.Errorf("in French: %q", got.What["fr"])
			}
			said := "no"
			if b.has(b.must("nft", "list", "ruleset")) {
				said = "yes"
			}
			show("router behind carrier NAT, "+way, "the router says %s, Foyer says: %q", said, got.What["en"])
		})
	}
}

func TestNoRouterAnswers(t *testing.T) {
	t.Parallel()
	b := newBox(t, "8.8.4.4", "")
	b.upnp.stop()
	f := b.home.foyer("mdns = \"off\"\nrouter = \"map\"\n")
	f.says("router", "warning", "No router answers")
	b.begin()
	took := b.letsIn(true)
	show("router that answers later", "asked again by itself: open %d s after it came", int(took.Seconds()))
}

func TestRouterOff(t *testing.T) {
	t.Parallel()
	b := newBox(t, "8.8.4.4", "")
	f := b.home.foyer("mdns = \"off\"\n")
	f.says("server", "ok", "answers")
	if got := f.finding("router"); got.Code != "" || b.has(b.must("nft", "list", "ruleset")) {
		t.Errorf("nobody wanted the router to be asked: %v", got)
	}
}
