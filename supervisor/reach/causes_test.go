package reach

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/knock"
	"github.com/foyer-server/foyer/supervisor/health"
)

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

var (
	built  = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	home4  = addr("81.2.69.142")
	home6  = addr("2a01:e0a::7")
	inside = addr("192.168.1.7")
)

func outside(at netip.Addr, http, https knock.Outcome) Outside {
	return Outside{Seen: at, Ports: map[int]knock.Outcome{80: http, 443: https}}
}

// healthy is a home where all is well; each case changes what it says.
func healthy() Facts {
	return Facts{
		Now: built.AddDate(0, 6, 0), Built: built, Elsewhere: built.AddDate(0, 6, 0), Own: []netip.Addr{inside, home6}, Self: inside,
		Doors: []Door{{Outside: 80, Port: 80, Outcome: knock.OK}, {Outside: 443, Port: 443, Outcome: knock.OK}},
		Hops:  []netip.Addr{addr("192.168.1.1"), addr("81.2.0.1")}, Router: home4,
		Peer: "https://peer.example", V4: outside(home4, knock.OK, knock.OK), V6: outside(home6, knock.OK, knock.OK), Inside: knock.OK,
		Names: []Name{{Name: "cloud.example.org", A: []netip.Addr{home4}, AAAA: []netip.Addr{home6}}}, Issuers: []string{"letsencrypt.org"}, Local: "jeannine.local",
	}
}

// noPeer takes away what only somebody outside can know.
func noPeer(f *Facts) {
	f.Peer, f.V4, f.V6, f.Inside, f.Elsewhere = "", Outside{}, Outside{}, "", time.Time{}
}

func noIPv6(f *Facts) {
	f.V6, f.Own, f.Names[0].AAAA = Outside{}, []netip.Addr{inside}, nil
}

func TestOneCauseIsNamed(t *testing.T) {
	t.Parallel()
	closed4 := func(f *Facts) { noIPv6(f); f.V4 = outside(home4, knock.Timeout, knock.Timeout) }
	seen := map[string]bool{}
	for _, c := range []struct {
		name, want string
		change     func(*Facts)
	}{
		{"all is well", "", func(*Facts) {}},
		{"all is well, without IPv6", "", noIPv6},
		{"all is well, nobody tried", "untried", noPeer},
		{"the peer does not answer", "untried", func(f *Facts) { noPeer(f); f.Peer = "https://peer.example" }},

		{"1970, a peer says otherwise", "clock-wrong", func(f *Facts) { f.Now = time.Unix(0, 0) }},
		{"1970, nobody to ask", "clock-wrong", func(f *Facts) { noPeer(f); f.Now = time.Unix(0, 0) }},
		{"2069, nobody to ask", "clock-wrong", func(f *Facts) { noPeer(f); f.Now = built.AddDate(43, 0, 0) }},
		{"a day and an hour late, and everything else is wrong", "clock-wrong", func(f *Facts) {
			f.Now, f.Portal, f.DNSSilent, f.Router = f.Now.Add(25*time.Hour), "302 Found", true, addr("100.64.0.1")
		}},
		{"an hour late", "", func(f *Facts) { f.Now = f.Now.Add(time.Hour) }},
		{"an old version, a right clock", "", func(f *Facts) { f.Now = built.AddDate(30, 0, 0); f.Elsewhere = f.Now }},

		{"nginx has the port", "other-program", func(f *Facts) {
			f.Doors[0] = Door{80, 80, knock.Other, "nginx"}
			f.V4 = outside(home4, knock.Other, knock.OK)
		}},
		{"nginx has the port, no server runs", "other-program", func(f *Facts) { noPeer(f); f.Doors = []Door{{80, 80, "", "nginx"}, {443, 443, "", ""}} }},
		{"nothing has the port, no server runs", "untried", func(f *Facts) { noPeer(f); f.Doors = []Door{{80, 80, "", ""}, {443, 443, "", ""}} }},
		{"no network", "offline", func(f *Facts) { noPeer(f); f.Own, f.Self, f.DNSSilent = nil, netip.Addr{}, true }},
		{"a portal", "captive-portal", func(f *Facts) { noPeer(f); f.Peer, f.Portal, f.DNSSilent = "https://peer.example", "302 Found", true }},
		{"the peer's plain port redirects, and the peer was met", "", func(f *Facts) { f.Portal = "301 Moved Permanently" }},
		{"no DNS", "dns-silent", func(f *Facts) { noPeer(f); f.DNSSilent = true }},

		{"the router has a shared address", "cgnat", func(f *Facts) { closed4(f); f.Router = addr("100.64.3.4") }},
		{"the same, nobody tried", "cgnat", func(f *Facts) { noPeer(f); f.Router = addr("100.64.3.4") }},
		{"the router says another address than others see", "cgnat", func(f *Facts) { closed4(f); f.Router = addr("81.9.9.9") }},
		{"the way out leads through a shared address", "cgnat", func(f *Facts) { closed4(f); f.Router, f.Hops[1] = netip.Addr{}, addr("100.64.0.1") }},
		{"the router says it has none", "cgnat", func(f *Facts) { closed4(f); f.Router, f.NoWay = netip.Addr{}, true }},
		{"a shared address, and visitors get in all the same", "", func(f *Facts) { f.Router = addr("100.64.3.4") }},
		{"a VPN with shared addresses", "", func(f *Facts) { f.Own = append(f.Own, addr("100.100.1.2")) }},
		{"the router has a private address", "double-nat", func(f *Facts) { closed4(f); f.Router = addr("192.168.0.2") }},
		{"the way out leads through two private addresses", "double-nat", func(f *Facts) { closed4(f); f.Router, f.NoWay, f.Hops[1] = netip.Addr{}, true, addr("192.168.0.1") }},
		{"two routers, both open", "", func(f *Facts) { f.Router = addr("192.168.0.2") }},
		{"the provider's own routers have private addresses", "ports-closed", func(f *Facts) { closed4(f); f.Hops[1] = addr("10.0.0.1") }},

		{"a firewall here", "local-firewall", func(f *Facts) { closed4(f); f.Firewall, f.Shut = "nftables", []int{80, 443} }},
		{"a firewall here that lets in what counts", "", func(f *Facts) { f.Firewall, f.Shut = "ufw", []int{80} }},
		{"the router leads to a printer", "other-machine", func(f *Facts) { noIPv6(f); f.V4 = outside(home4, knock.Other, knock.Refused) }},
		{"both closed", "ports-closed", closed4},
		{"both closed by IPv4, open by IPv6", "ports-closed", func(f *Facts) { f.V4 = outside(home4, knock.Timeout, knock.Refused) }},
		{"80 closed", "port-80-closed", func(f *Facts) { f.V4 = outside(home4, knock.Timeout, knock.OK) }},
		{"443 closed", "port-443-closed", func(f *Facts) { f.V4 = outside(home4, knock.OK, knock.Refused) }},
		{"by IPv6 alone, closed", "ports-closed", func(f *Facts) {
			f.V4, f.V6, f.Names[0].A = Outside{Error: "no way"}, outside(home6, knock.Timeout, knock.Timeout), nil
		}},

		{"no address", "name-missing", func(f *Facts) { f.Names[0].A, f.Names[0].AAAA = nil, nil }},
		{"DNS did not say", "", func(f *Facts) { f.Names[0] = Name{Name: "cloud.example.org", Failed: true} }},
		{"another address", "name-elsewhere", func(f *Facts) { f.Names[0].A = []netip.Addr{addr("81.9.9.9")} }},
		{"another address, nobody tried", "name-elsewhere", func(f *Facts) { noPeer(f); f.Names[0].A = []netip.Addr{addr("81.9.9.9")} }},
		{"another address among two", "", func(f *Facts) { f.Names[0].A = append(f.Names[0].A, addr("81.9.9.9")) }},
		{"an IPv6 address of before", "aaaa-stale", func(f *Facts) { f.Names[0].AAAA = []netip.Addr{addr("2a01:e0b::7")} }},
		{"an IPv6 address, and no IPv6", "aaaa-stale", func(f *Facts) { noIPv6(f); f.Names[0].AAAA = []netip.Addr{home6} }},
		{"an IPv6 address by which nobody gets in", "ipv6-closed", func(f *Facts) { f.V6 = outside(home6, knock.Timeout, knock.Timeout) }},
		{"IPv6 closed, and no name leads there", "", func(f *Facts) { f.V6, f.Names[0].AAAA = outside(home6, knock.Timeout, knock.Timeout), nil }},
		{"CAA for another authority", "caa-foreign", func(f *Facts) { f.Names[0].CAA = []string{"ca.example"} }},
		{"CAA for nobody", "caa-foreign", func(f *Facts) { f.Names[0].CAA = []string{""} }},
		{"CAA for ours, too", "", func(f *Facts) { f.Names[0].CAA = []string{"ca.example", "letsencrypt.org"} }},
		{"CAA, and none is ordered", "", func(f *Facts) { f.Names[0].CAA, f.Issuers = []string{"ca.example"}, nil }},
		{"CAA for another account", "caa-other-account", func(f *Facts) {
			f.Account, f.Names[0].CAA, f.Names[0].Accounts = "https://ca.example/acct/1", []string{"letsencrypt.org"}, []string{"https://ca.example/acct/2"}
		}},
		{"CAA for our account", "", func(f *Facts) {
			f.Account, f.Names[0].CAA, f.Names[0].Accounts = "https://ca.example/acct/1", []string{"letsencrypt.org", "letsencrypt.org"}, []string{"https://ca.example/acct/2", "https://ca.example/acct/1"}
		}},
		{"CAA for an account, and ours is not known", "", func(f *Facts) {
			f.Names[0].CAA, f.Names[0].Accounts = []string{"letsencrypt.org"}, []string{"https://ca.example/acct/2"}
		}},

		{"no way from inside", "no-hairpin", func(f *Facts) { f.Inside = knock.Timeout }},
		{"the router's own pages from inside", "no-hairpin", func(f *Facts) { f.Inside = knock.Other }},
		{"the name is taken", "name-taken", func(f *Facts) { f.Taken, f.Taker = true, addr("192.168.1.9") }},
		{"no IPv4", "ipv6-only", func(f *Facts) { f.V4, f.Router, f.Names[0].A = Outside{Error: "no way"}, netip.Addr{}, nil }},
		{"IPv4 shared, IPv6 open", "ipv6-only", func(f *Facts) {
			f.V4, f.Router, f.Names[0].A = outside(addr("81.3.3.3"), knock.Timeout, knock.Timeout), addr("100.64.3.4"), nil
		}},
	} {
		f := healthy()
		c.change(&f)
		d := Diagnose(f)
		seen[d.Cause] = true
		if d.Cause != c.want {
			t.Errorf("%s: %q, want %q", c.name, d.Cause, c.want)
		}
		calm := c.want == "" || c.want == "untried" || c.want == "ipv6-only"
		if d.What.IsZero() || calm == (d.Severity >= health.Warning) || !calm && d.Do.IsZero() {
			t.Errorf("%s: %v %q %q", c.name, d.Severity, d.What.EN, d.Do.EN)
		}
	}
	for _, c := range causes() {
		if !seen[c.Code] {
			t.Errorf("no case for %s (there are %v)", c.Code, slices.Sorted(maps.Keys(seen)))
		}
	}
}

// Nobody is told to point a name at what any device at home may have said.
func TestHearsayIsToldAsSuch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		hearsay bool
		change  func(*Facts)
	}{
		{"the router alone", true, func(f *Facts) { noPeer(f); noIPv6(f) }},
		{"the router, in two ways", false, func(f *Facts) { noPeer(f); noIPv6(f); f.Sure = true }},
		{"a peer", false, func(*Facts) {}},
		{"an address of this machine", false, func(f *Facts) { noPeer(f); noIPv6(f); f.Own = append(f.Own, home4) }},
	} {
		f := healthy()
		c.change(&f)
		f.Names[0].A, f.Names[0].AAAA = nil, nil
		missing := Diagnose(f)
		f.Names[0].A = []netip.Addr{addr("81.9.9.9")}
		other := Diagnose(f)
		if missing.Cause != "name-missing" || other.Cause != "name-elsewhere" {
			t.Fatalf("%s: %s, %s", c.name, missing.Cause, other.Cause)
		}
		if strings.Contains(missing.Do.EN, "Let it point to "+home4.String()) == c.hearsay || strings.Contains(other.What.EN, "nothing confirms") != c.hearsay {
			t.Errorf("%s: %q, %q", c.name, missing.Do.EN, other.What.EN)
		}
	}
}

// CAA records that bind issuing to our account are proposed, and seen when they are there.
func TestBindingIsProposed(t *testing.T) {
	t.Parallel()
	const ours = "https://acme.example/acct/1"
	for _, c := range []struct {
		name, account string
		change        func(*Name)
		want          string // in what there is to do; "" nothing is
		told          bool
	}{
		{"no account is known", "", func(*Name) {}, "", false},
		{"no record", ours, func(*Name) {}, `cloud.example.org. CAA 0 issue "letsencrypt.org; accounturi=` + ours + `"`, true},
		{"the authority, any account", ours, func(n *Name) { n.CAA, n.Accounts = []string{"letsencrypt.org"}, []string{""} }, "accounturi=" + ours, true},
		{"ours, and another authority", ours, func(n *Name) { n.CAA, n.Accounts = []string{"letsencrypt.org", "ca.example"}, []string{ours, ""} }, "accounturi=" + ours, true},
		{"ours alone", ours, func(n *Name) { n.CAA, n.Accounts = []string{"letsencrypt.org"}, []string{ours} }, "", true},
		{"DNS did not say", ours, func(n *Name) { n.Failed = true }, "", true},
	} {
		f := healthy()
		f.Account = c.account
		c.change(&f.Names[0])
		got, told := Diagnosis{Facts: f}.BindsIssuing()
		if told != c.told || !strings.Contains(got.Do.EN, c.want) || c.want == "" && !got.Do.IsZero() || got.Severity > health.Info {
			t.Errorf("%s: %v %+v", c.name, told, got)
		}
	}
}
