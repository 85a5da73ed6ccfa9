package neighbourhood

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/foyer-server/foyer/supervisor/health"
)

func testZone() zone {
	return newZone("foyer", 443, link{nets: []netip.Prefix{netip.MustParsePrefix("192.168.1.20/24")}})
}

func query(name string, kind uint16, known ...dns.RR) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(name, kind)
	m.Answer = known
	return m
}

func TestReply(t *testing.T) {
	z := testZone()
	old := dns.Copy(z.records[0])
	old.Header().Ttl = hostTTL/2 - 1
	for _, c := range []struct {
		name  string
		query *dns.Msg
		want  string // types of the answer; "" = silence
	}{
		{"address", query("foyer.local.", dns.TypeA), "A"},
		{"address, as people type it", query("FOYER.Local.", dns.TypeA), "A"},
		{"there is no IPv6 address", query("foyer.local.", dns.TypeAAAA), "NSEC"},
		{"who offers HTTPS", query("_https._tcp.local.", dns.TypePTR), "PTR"},
		{"where", query("foyer._https._tcp.local.", dns.TypeSRV), "SRV"},
		{"what services are there", query("_services._dns-sd._udp.local.", dns.TypePTR), "PTR"},
		{"somebody else", query("laptop.local.", dns.TypeA), ""},
		{"known already", query("foyer.local.", dns.TypeA, z.records[0]), ""},
		{"known, but for too long", query("foyer.local.", dns.TypeA, old), "A"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			reply := z.reply(c.query)
			if reply != nil {
				for _, rr := range reply.Answer {
					got = append(got, dns.TypeToString[rr.Header().Rrtype])
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestServiceComesWithItsAddress(t *testing.T) {
	reply := testZone().reply(query("_https._tcp.local.", dns.TypePTR))
	if got := addressesIn(reply, "foyer.local."); len(got) != 1 || got[0] != netip.MustParseAddr("192.168.1.20") {
		t.Errorf("addresses %v in %v", got, reply)
	}
}

func TestGoodbyeIsNoAnswer(t *testing.T) {
	if got := addressesIn(testZone().everything(true), "foyer.local."); got != nil {
		t.Errorf("a goodbye was taken for an address: %v", got)
	}
}

func TestPlainest(t *testing.T) {
	v4, v6, local := netip.MustParseAddr("192.168.1.7"), netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("fe80::7")
	if got := plainest([]netip.Addr{local, v6, v4}); got != v4 {
		t.Errorf("got %v", got)
	}
	if got := plainest([]netip.Addr{local, v6}); got != v6 {
		t.Errorf("got %v", got)
	}
}

func TestFindings(t *testing.T) {
	a := New(Config{Name: "foyer", Log: slog.New(slog.DiscardHandler)})
	for _, c := range []struct {
		s    state
		want health.Severity
		says string
	}{
		{state{}, health.OK, ""},
		{state{kind: byAvahi}, health.OK, "foyer.local leads here"},
		{state{kind: byItself}, health.OK, "foyer.local leads here"},
		{state{kind: taken, who: netip.MustParseAddr("192.168.1.7")}, health.Warning, "(192.168.1.7) answers to foyer.local"},
		{state{kind: taken}, health.Warning, "in your network answers to foyer.local"},
		{state{kind: alone}, health.Info, "in no network"},
		{state{kind: failed}, health.Warning, "could not be announced"},
	} {
		a.become(c.s)
		got := a.Checks()[0].Run(t.Context())
		if got.Severity != c.want || !strings.Contains(got.What.EN, c.says) || got.Severity == health.Warning && got.Do.IsZero() {
			t.Errorf("%v: %+v", c.s, got)
		}
	}
}
