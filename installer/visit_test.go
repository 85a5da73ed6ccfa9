package installer

import (
	"net/netip"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/foyer-server/foyer/supervisor/visit"
)

// The installer waits for a server as the supervisor visits one: where this machine counts
// as a proxy it begins with the PROXY protocol, which no other word of it is understood
// without, whoever does the encryption.
func TestTheInstallerVisitsAsWhoItIs(t *testing.T) {
	t.Attr("shows", "ground2")
	proxies := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	for name, c := range map[string]struct {
		settings map[string]string
		want     func(root string) visit.Visitor
	}{
		"alone": {nil, func(root string) visit.Visitor {
			return visit.Visitor{Name: "foyer.local", Address: "[::]:443", Root: root}
		}},
		"behind a proxy": {map[string]string{"proxy.listen": "127.0.0.1:8888"}, func(string) visit.Visitor {
			return visit.Visitor{Name: "foyer.local", Address: "127.0.0.1:8888"}
		}},
		"behind one with the PROXY protocol": {map[string]string{"proxy.listen": "0.0.0.0:8888", "proxy.trusted": "127.0.0.1", "proxy.protocol": "on"}, func(string) visit.Visitor {
			return visit.Visitor{Name: "foyer.local", Address: "0.0.0.0:8888", Proxies: proxies}
		}},
		"behind one that passes TLS on": {map[string]string{"proxy.trusted": "127.0.0.1", "proxy.protocol": "on"}, func(root string) visit.Visitor {
			return visit.Visitor{Name: "foyer.local", Address: "[::]:443", Root: root, Proxies: proxies}
		}},
	} {
		a, err := LoadAnswers("", nil, nil, c.settings)
		if err != nil {
			t.Fatal(name, err)
		}
		s, err := a.Settings()
		if err != nil {
			t.Fatal(name, err)
		}
		m := &machine{cfg: Config{Root: "/elsewhere"}, settings: s}
		root := filepath.Join("/elsewhere", s.Data, "certificates", "home-ca", "root.crt")
		if got, want := (healthyStep{m}).visitor(), c.want(root); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}
