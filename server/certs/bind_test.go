package certs

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/foyer-server/foyer/internal/dnsprovider"
)

// bind starts BIND, as Debian has it, with zones that take updates signed with the
// zone's key, and returns its address. Each zone is its first lines.
func bind(t *testing.T, zones map[string]string) string {
	t.Helper()
	named, err := exec.LookPath("named")
	if err != nil {
		if named = "/usr/sbin/named"; !exists(named) {
			if os.Getenv("CI") != "" {
				t.Fatal("BIND is not installed")
			}
			t.Skip("BIND is not installed")
		}
	}
	dir := t.TempDir()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := free.Addr().String()
	_, port, _ := net.SplitHostPort(server)
	var conf strings.Builder
	conf.WriteString(`options { directory "` + dir + `"; pid-file none; session-keyfile none; recursion yes; dnssec-validation no; listen-on port ` + port + ` { 127.0.0.1; }; listen-on-v6 { none; }; };
controls { };
key "` + zoneKey + `" { algorithm hmac-sha256; secret "` + zoneSecret + `"; };
`)
	for zone, lines := range zones {
		file := filepath.Join(dir, zone)
		text := "$TTL 1\n@ SOA ns hostmaster 1 3600 600 86400 1\n@ NS ns\nns A 127.0.0.1\n" + lines
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		update := `allow-update { key "` + zoneKey + `"; };`
		if !strings.Contains(lines, "; ours") {
			update = "allow-update { none; };"
		}
		conf.WriteString(`zone "` + zone + `" { type master; file "` + file + `"; ` + update + " };\n")
	}
	file := filepath.Join(dir, "named.conf")
	if err := os.WriteFile(file, []byte(conf.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &logged{}
	cmd := exec.Command(named, "-g", "-n", "1", "-c", file)
	cmd.Stdout, cmd.Stderr = log, log
	free.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
		if t.Failed() {
			t.Logf("BIND said:\n%s", log)
		}
	})
	for zone := range zones {
		until(t, "BIND answers", func() bool { return len(ask(server, zone, dns.TypeSOA)) > 0 })
	}
	return server
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

func ask(server, name string, kind uint16) []dns.RR {
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), kind)
	r, _, err := new(dns.Client).Exchange(q, server)
	if err != nil {
		return nil
	}
	return r.Answer
}

// The real BIND takes the records with the right key only; the authority asks it,
// follows an alias into a zone that can be written to, and issues. Afterwards the
// zone is as it was.
func TestOrderedThroughBIND(t *testing.T) {
	t.Attr("shows", "certificates")
	for _, c := range []struct {
		name, zone, ask string
		zones           map[string]string
	}{
		{"a zone of one's own", "", "any.bind.test", map[string]string{"bind.test": "; ours\n"}},
		{"the zone in the settings", "bind.test.", "any.bind.test", map[string]string{"bind.test": "; ours\n"}},
		{"an alias into another zone", "written.test", "any.fixed.test", map[string]string{
			"fixed.test": "_acme-challenge CNAME home.written.test.\n", "written.test": "; ours\n",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := bind(t, c.zones)
			l, err := newAuthority(server)
			if err != nil {
				t.Fatal(err)
			}
			p, err := dnsprovider.Open("rfc2136", map[string]string{"server": server, "key_name": zoneKey, "key": zoneSecret})
			if err != nil {
				t.Fatal(err)
			}
			_, parent, _ := strings.Cut(c.ask, ".")
			certs := l.start(t, t.TempDir(), func(cfg *Config) {
				cfg.Public.DNS, cfg.Public.Zone, cfg.Public.Resolvers = p, c.zone, []string{server}
			}, "*."+parent)
			until(t, "a wildcard", func() bool {
				if f := certs.public.failure("*." + parent); f != nil {
					t.Fatalf("%+v", f)
				}
				return certs.public.find(c.ask) != nil
			})
			if cert := visit(t, l, c.ask); !pebbles(cert) || cert.VerifyHostname(c.ask) != nil {
				t.Errorf("served: %v", cert.DNSNames)
			}
			for _, name := range []string{"_acme-challenge." + parent, "home.written.test"} {
				until(t, "the record is gone", func() bool {
					for _, rr := range ask(server, name, dns.TypeTXT) {
						if rr.Header().Rrtype == dns.TypeTXT {
							return false
						}
					}
					return true
				})
			}
			t.Logf("SHOW DNS-01 through Debian's BIND with TSIG, %s: %s issued, records gone again", c.name, "*."+parent)
		})
	}
	t.Run("the wrong key", func(t *testing.T) {
		server := bind(t, map[string]string{"bind.test": "; ours\n"})
		l, err := newAuthority(server)
		if err != nil {
			t.Fatal(err)
		}
		p, err := dnsprovider.Open("rfc2136", map[string]string{"server": server, "key_name": zoneKey, "key": "bm90LXRoZS1yaWdodC1rZXktZm9yLXRoaXMtem9uZQ=="})
		if err != nil {
			t.Fatal(err)
		}
		certs := l.start(t, t.TempDir(), func(cfg *Config) { cfg.Public.DNS, cfg.Public.Resolvers = p, []string{server} }, "*.bind.test")
		until(t, "a failure in words", func() bool { return certs.public.failure("*.bind.test") != nil })
		f := certs.public.failure("*.bind.test")
		if f.Kind != "dns-provider" || f.What.FR == "" || f.Do.EN == "" || f.Reason == "" || strings.Contains(f.Reason, "bm90") {
			t.Errorf("%+v", f)
		}
	})
}
