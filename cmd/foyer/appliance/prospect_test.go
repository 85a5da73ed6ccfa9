package appliance

import (
	"strings"
	"testing"

	"github.com/foyer-server/foyer/installer"
)

// Before an install nothing is promised that the server will not do.
func TestTheSummaryPromisesWhatIsDone(t *testing.T) {
	t.Attr("shows", "ground2")
	const everybody, learns, own, routed, follows = "that every phone and computer trusts", "learns once to trust it", "the certificate you have, /etc/c.pem", "The router is asked", "The name follows"
	for name, c := range map[string]struct {
		settings string
		says     []string
	}{
		"at home":                        {"", []string{learns}},
		"a name of home":                 {"addresses=nas.lan", []string{learns}},
		"a public name":                  {"addresses=cloud.martin.fr\nrouter=map", []string{everybody, routed}},
		"an authority of one's own":      {"addresses=cloud.martin.fr\ncertificates.ca=https://ca.example/acme", []string{learns}},
		"a certificate of one's own":     {"addresses=cloud.martin.fr\ncertificates.cert_file=/etc/c.pem\ncertificates.key_file=/etc/k.pem", []string{own}},
		"a name that follows":            {"addresses=cloud.martin.fr\nrouter=map\ndyndns=router\ndns.provider=duckdns", []string{everybody, routed, follows}},
		"a name of home does not follow": {"addresses=nas.lan\nrouter=map\ndyndns=router\ndns.provider=duckdns", []string{learns, routed}},
		"behind a proxy":                 {"addresses=cloud.martin.fr\nproxy.listen=127.0.0.1:8888\nrouter=map\ndyndns=router\ndns.provider=duckdns", nil},
	} {
		var all strings.Builder
		for _, text := range Summary(of(t, c.settings).Settings, []string{"https://nas.lan/"}) {
			all.WriteString(text.EN + "\n")
			if text.EN == text.FR {
				t.Errorf("%s: %q in both languages", name, text.EN)
			}
		}
		for _, promise := range []string{everybody, learns, own, routed, follows} {
			want := false
			for _, s := range c.says {
				want = want || s == promise
			}
			if got := strings.Contains(all.String(), promise); got != want {
				t.Errorf("%s: says %q: %t, want %t", name, promise, got, want)
			}
		}
	}
}

// An answer that somebody gave is not changed for what the machine has.
func TestSettleLeavesWhatWasSaid(t *testing.T) {
	for _, v := range []installer.Values{
		{"where": installer.WhereHome}, {"where": installer.WhereServer, "addresses": "cloud.martin.fr"}, {"where": installer.WhereServer, "proxy.listen": "127.0.0.1:8888"},
	} {
		was := v["addresses"]
		if Settle(v); v["addresses"] != was {
			t.Errorf("%q became %q", was, v["addresses"])
		}
	}
}
