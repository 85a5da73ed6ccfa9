//go:build e2e

package lab

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// key is the TSIG key by which BIND knows Foyer.
const key = "c2VjcmV0LWZvci1hLWxhYi1vbmx5LTMyLWJ5dGVzISE="

// bind starts BIND with a zone in which Foyer may write.
func (p *place) bind() {
	p.t.Helper()
	zone := filepath.Join(p.dir, "zone")
	write(p.t, zone, `$TTL 300
@     SOA ns hostmaster 1 3600 600 86400 300
      NS  ns
ns    A   192.168.77.1
cloud A   198.51.100.3
cloud TXT "theirs"
other A   198.51.100.2
`)
	conf := filepath.Join(p.dir, "named.conf")
	write(p.t, conf, `options { directory "`+p.dir+`"; pid-file none; session-keyfile none; recursion no; listen-on { any; }; listen-on-v6 { none; }; dnssec-validation no; };
controls { };
key "foyer." { algorithm hmac-sha256; secret "`+key+`"; };
zone "jeannine-martin.fr" { type master; file "`+zone+`"; allow-update { key "foyer."; }; };
`)
	p.start("named", "-g", "-c", conf)
	within(p.t, "BIND answers", func() (string, bool) {
		out := p.dig("other", "A")
		return out, out == "198.51.100.2"
	})
}

func (p *place) dig(name, kind string) string {
	out, _ := p.ask("dig", "+short", "+tries=1", "+timeout=2", "@192.168.77.1", name+".jeannine-martin.fr", kind)
	return strings.TrimSpace(out)
}

func TestPublicNameFollowsTheConnection(t *testing.T) {
	t.Parallel()
	b := newBox(t, "8.8.4.4", "")
	b.bind()
	f := b.home.foyer(`mdns = "off"
router = "map"
dyndns = "router"
addresses = ["cloud.jeannine-martin.fr"]
[dns]
provider = "rfc2136"
credentials = ["server=192.168.77.1:53", "key_name=foyer.", "key=` + key + `", "key_alg=hmac-sha256"]
zone = "jeannine-martin.fr"
`)
	follows := func(address string) time.Duration {
		return within(t, "cloud.jeannine-martin.fr points at "+address, func() (string, bool) {
			out := b.dig("cloud", "A")
			return out, out == address
		})
	}
	took := follows("8.8.4.4")
	f.says("public-name", "ok", "cloud.jeannine-martin.fr points at 8.8.4.4.")
	if got := b.dig("cloud", "TXT") + " " + b.dig("other", "A"); got != `"theirs" 198.51.100.2` {
		t.Errorf("records of others: %s", got)
	}
	if log := f.log.String(); strings.Contains(log, key) {
		t.Error("the key is in the log")
	}
	show("public name, router and BIND", "points at the router's address after %.1f s, by TSIG; records of others left alone", took.Seconds())
}
