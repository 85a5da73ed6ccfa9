package appliance

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/foyer-server/foyer/installer"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
)

// changesOf are those of a machine with these settings, and the address 203.0.113.7 or that
// which public tells.
func changesOf(t *testing.T, settings string) changes {
	t.Helper()
	a := of(t, settings)
	path := filepath.Join(t.TempDir(), "foyer.toml")
	if err := os.WriteFile(path, a.Settings.File(hint.EN), 0o600); err != nil {
		t.Fatal(err)
	}
	return changes{a, path, func() netip.Addr { return netip.MustParseAddr("93.184.216.34") }}
}

// Who moves to a server has the address that an install there has, by the same rule.
func TestAChangeToAServerIsSettledAsAnInstallThere(t *testing.T) {
	t.Attr("shows", "ground2")
	for _, c := range []struct {
		name, settings string
		given          map[string]string
		want           string
	}{
		{"to a server", "", map[string]string{"where": "server"}, "93.184.216.34"},
		{"to a server with a name", "", map[string]string{"where": "server", "addresses": "cloud.martin.fr"}, ""},
		{"to a server, and the name goes", "addresses=cloud.martin.fr\nrouter=map", map[string]string{"where": "server", "addresses": ""}, "93.184.216.34"},
		{"to a server behind a proxy", "", map[string]string{"where": "server", "proxy.listen": "127.0.0.1:8888"}, ""},
		{"it stays at home", "", map[string]string{"name": "attic"}, ""},
		{"it is on a server that somebody took its address", "mdns=off", map[string]string{"name": "attic"}, ""},
	} {
		ch := changesOf(t, c.settings)
		given, was := installer.Values(c.given), c.given["addresses"]
		got, err := ch.Settle(t.Context(), c.given)
		if c.want == "" {
			c.want = was
		}
		if err != nil || got["addresses"] != c.want || given.Get("addresses") != was {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
	ch := changesOf(t, "")
	settled, err := ch.Settle(t.Context(), map[string]string{"where": "server"})
	if err != nil {
		t.Fatal(err)
	}
	today, err := config.Load(ch.path, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, changed, err := installer.PlanChange(today, settled)
	if err != nil {
		t.Fatal(err)
	}
	v := installer.Values{"where": "server", "data": today.Data}
	settle(v, ch.public)
	answers, err := installer.LoadAnswers("", nil, nil, v)
	if err != nil {
		t.Fatal(err)
	}
	installed, err := answers.Settings()
	if err != nil {
		t.Fatal(err)
	}
	if differ := config.Differ(installed, changed); len(differ) > 0 {
		t.Errorf("an install there and a change to it differ in %q", differ)
	}
	if _, err := ch.Settle(t.Context(), map[string]string{"limits.body": "5"}); err == nil {
		t.Error("what is no answer is settled")
	}
}

// resolver answers that no name exists, or nothing.
func resolver(t *testing.T, silent bool) (address string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	up := make(chan struct{})
	s := &dns.Server{PacketConn: conn, NotifyStartedFunc: func() { close(up) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		if !silent {
			w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeNameError)) //nolint:errcheck // then it is silent
		}
	})}
	done := make(chan error, 1)
	go func() { done <- s.ActivateAndServe() }()
	<-up
	t.Cleanup(func() { s.Shutdown(); <-done }) //nolint:errcheck // the test is over
	return conn.LocalAddr().String()
}

// A plan tells what will keep visitors out, where a name or the router is new; where nothing
// answers it is there all the same, and what Foyer sees to itself is not told.
func TestAPlanTellsWhatWillKeepVisitorsOut(t *testing.T) {
	t.Attr("shows", "ground2")
	nowhere := "\ncertificates.ca=https://127.0.0.1:1/directory\ndns.resolvers="
	for _, c := range []struct {
		name, settings string
		silent         bool
		given          map[string]string
		want           string // a cause's words; "" = nothing
	}{
		{"a new name that nobody knows", "", false, map[string]string{"where": "server", "addresses": "cloud.martin.fr"}, "cloud.martin.fr"},
		{"and no DNS", "", true, map[string]string{"where": "server", "addresses": "cloud.martin.fr"}, "No DNS server answers"},
		{"one that Foyer keeps itself", "", false, map[string]string{"where": "reachable", "addresses": "cloud.duckdns.org", "dns.credentials": "token=t0ken-t0ken"}, ""},
		{"another port", "addresses=cloud.martin.fr\nmdns=off", false, map[string]string{"https_port": "8443"}, ""},
		{"a name at home", "", false, map[string]string{"name": "attic"}, ""},
		{"what is no answer", "", false, map[string]string{"https_port": "x"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ch := changesOf(t, strings.TrimSpace(c.settings+nowhere+resolver(t, c.silent)))
			var said strings.Builder
			for _, text := range ch.Outlook(t.Context(), c.given) {
				said.WriteString(text.EN + "\n")
			}
			if got := said.String(); (got != "") != (c.want != "") || !strings.Contains(got, c.want) {
				t.Errorf("it says %q, want %q", got, c.want)
			}
		})
	}
}
