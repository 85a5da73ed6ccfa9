package appliance

import (
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/site"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/router"
)

// of is a Foyer with some settings: KEY=VALUE, each a line.
func of(t *testing.T, settings string) Appliance {
	t.Helper()
	s := config.Default()
	for line := range strings.Lines(settings) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if err := s.Set(key, value, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Validate(); err != nil {
		t.Fatalf("%q: %v", settings, err)
	}
	s.Data = t.TempDir()
	return Appliance{Settings: s, RunDir: t.TempDir(), Version: "0.0.0-test", Built: time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)}
}

// The settings say which rooms there are, and each tells of itself.
func TestRoomsAreAsTheSettingsWant(t *testing.T) {
	t.Attr("shows", "ground2")
	for _, c := range []struct{ name, settings, want string }{
		{"as it comes", "", "local-name"},
		{"found by nobody", "mdns=off", ""},
		{"a public name", "addresses=cloud.martin.fr", "local-name reachability"},
		{"whose visitors the router lets in", "addresses=cloud.martin.fr\nrouter=map", "local-name reachability router"},
		{"a router alone", "router=upnp", "local-name router"},
		{"a name that follows", "addresses=cloud.martin.fr\nrouter=map\ndyndns=router\ndns.provider=duckdns", "local-name reachability router public-name"},
		{"a name that follows what a peer says", "addresses=cloud.martin.fr\ndyndns=https://peer.martin.fr/address\ndns.provider=duckdns", "local-name reachability public-name"},
		{"behind a proxy", "addresses=cloud.martin.fr\nproxy.listen=127.0.0.1:8888\nrouter=map\ndyndns=router\ndns.provider=duckdns", "reachability"},
	} {
		a := of(t, c.settings)
		var got []string
		for _, r := range a.found(slog.New(slog.DiscardHandler)) {
			for _, check := range r.Checks() {
				got = append(got, check.Code)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if wants := strings.Contains(c.want, "reachability"); wants != a.WantsVisitors() {
			t.Errorf("%s: wants visitors: %t", c.name, a.WantsVisitors())
		}
	}
}

// A room that cannot work tells why, in place of what it would find.
func TestARoomThatCannotWorkSaysWhy(t *testing.T) {
	t.Attr("shows", "ground2")
	a := of(t, "addresses=cloud.martin.fr\nrouter=map\ndyndns=router\ndns.provider=nobody")
	rooms := a.found(slog.New(slog.DiscardHandler))
	last := rooms[len(rooms)-1]
	last.Run(t.Context()) // there is nothing it could do: it comes back
	for _, c := range last.Checks() {
		if f := c.Run(t.Context()); c.Code != "public-name" || f.Severity != health.Error || f.What.IsZero() {
			t.Errorf("%s: %+v", c.Code, f)
		}
	}
}

// What reachability says of the router is not said by the router's room again.
func TestTheRouterIsToldOfOnce(t *testing.T) {
	for settings, want := range map[string][]string{"router=map": nil, "router=map\naddresses=cloud.martin.fr": {"reachability"}} {
		rooms := of(t, settings).found(slog.New(slog.DiscardHandler))
		for _, c := range rooms[len(rooms)-1].Checks() {
			if c.Code != "router" || !slices.Equal(c.DependsOn, want) {
				t.Errorf("%q: %s depends on %q, want %q", settings, c.Code, c.DependsOn, want)
			}
		}
	}
}

// The ways of the settings are those the router's room knows, in its order.
func TestWaysToTheRouter(t *testing.T) {
	t.Attr("shows", "ground2")
	var ways []string
	for _, w := range router.Ways() {
		ways = append(ways, string(w))
	}
	if got := site.Of(of(t, "router=map").Settings).RouterWays(); !slices.Equal(got, ways) {
		t.Errorf("the settings know %q, the router's room %q", got, ways)
	}
	for settings, want := range map[string][]router.Way{
		"router=off": {router.NATPMP}, "router=pcp": {router.NATPMP}, "router=map": router.Ways(), "router=upnp": router.Ways(),
		"router=upnp\nproxy.listen=127.0.0.1:8888": {router.NATPMP}, // the router is not Foyer's then
	} {
		if got := looksIn(of(t, settings).Settings); !slices.Equal(got, want) {
			t.Errorf("%q: looked at by %q, want %q", settings, got, want)
		}
	}
}

// Behind a proxy nothing but its own listener has a use: what is left of a Foyer that did
// its own HTTPS would answer everybody without encryption.
func TestListenersAreNamedByWhatTheyAreFor(t *testing.T) {
	tcp := func(text string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text)) }
	unix := &net.UnixAddr{Name: "/run/foyer/local.sock", Net: "unix"}
	for _, c := range []struct {
		settings string
		at       net.Addr
		want     string
	}{
		{"", tcp("0.0.0.0:443"), host.HTTPS},
		{"", tcp("[::]:80"), host.HTTP},
		{"", unix, host.Local},
		{"proxy.listen=127.0.0.1:8888", tcp("127.0.0.1:8888"), host.Front},
		{"proxy.listen=127.0.0.1:8888", tcp("[::ffff:127.0.0.1]:8888"), host.Front},
		{"proxy.listen=127.0.0.1:8888", tcp("[::]:443"), ""},
		{"proxy.listen=127.0.0.1:8888", tcp("0.0.0.0:8888"), ""},
		{"proxy.listen=127.0.0.1:8888", unix, host.Local},
	} {
		if got := naming(of(t, c.settings).Settings)(c.at); got != c.want {
			t.Errorf("%q at %s: %q, want %q", c.settings, c.at, got, c.want)
		}
	}
}
