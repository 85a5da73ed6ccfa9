package appliance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/dnsprovider"
	"github.com/foyer-server/foyer/internal/site"
	"github.com/foyer-server/foyer/supervisor"
	"github.com/foyer-server/foyer/supervisor/dyndns"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/neighbourhood"
	"github.com/foyer-server/foyer/supervisor/reach"
	"github.com/foyer-server/foyer/supervisor/router"
)

// found are the rooms by which an installed Foyer is found, as the settings want it.
func (a Appliance) found(log *slog.Logger) []supervisor.Room {
	s := a.Settings
	var rooms []supervisor.Room
	place := site.Of(s)
	if place.Announced() {
		rooms = append(rooms, neighbourhood.New(neighbourhood.Config{Name: s.Name, Port: s.HTTPSPort, Log: log}))
	}
	var outer *router.Router
	look := a.situation()
	look.Router = func(context.Context) router.State { return stateOf(outer) }
	wanted := look.Peer != "" || len(look.Names) > 0
	if wanted {
		cfg := reach.WatchConfig{
			Examine: func(ctx context.Context) reach.Diagnosis { return reach.Examine(ctx, look) },
			Signs:   func() string { return signs(stateOf(outer)) }, Log: log,
		}
		if look.Peer != "" {
			cfg.Seen = look.Seen
		}
		rooms = append(rooms, reach.NewWatch(cfg))
	}
	if ways := place.RouterWays(); len(ways) > 0 {
		secret, err := routerSecret(s.Data)
		if err != nil { // a full disk keeps nobody from being found
			log.Warn("what the router knows this server by could not be kept; good until the next start", "err", err)
		}
		cfg := router.Config{
			Ports:  []router.Port{{Outside: 443, Inside: uint16(s.HTTPSPort)}, {Outside: 80, Inside: uint16(s.HTTPPort)}},
			Secret: secret, Log: log,
		}
		for _, way := range ways {
			cfg.Ways = append(cfg.Ways, router.Way(way))
		}
		if look.Peer != "" {
			cfg.Verify = look.GetsIn
		}
		if wanted { // what reachability says of the router is not said twice
			cfg.DependsOn = []string{reach.Code}
		}
		outer = router.New(cfg)
		rooms = append(rooms, outer)
	}
	if place.KeepsNames() {
		rooms = append(rooms, namesOutside(s, place.KeptNames(), outer, &look, log))
	}
	return rooms
}

// namesOutside keeps names at the address of this connection; outer may be nil
// where a peer is asked. What a router says is confirmed by the Foyer elsewhere that the
// settings name, which then has the last word, and otherwise by the router in another
// way.
func namesOutside(s *config.Settings, names []string, outer *router.Router, look *reach.Situation, log *slog.Logger) supervisor.Room {
	outside := func(context.Context) ([]netip.Addr, error) { return []netip.Addr{outer.Outside()}, nil }
	var confirm func(context.Context, netip.Addr) error
	switch {
	case s.DynDNS != "router":
		outside = dyndns.Peer(s.DynDNS)
	case look.Peer != "":
		confirm = look.Confirm
	default:
		confirm = outer.Confirm
	}
	var provider dnsprovider.Provider
	credentials, err := dnsprovider.Credentials(s.DNS.Credentials)
	if err == nil {
		provider, err = dnsprovider.Open(s.DNS.Provider, credentials)
	}
	k := dyndns.New(dyndns.Config{Names: names, Zone: s.DNS.Zone, Provider: provider, Outside: outside, Confirm: confirm, Log: log})
	if err != nil { // the server runs all the same
		return unable(k, err)
	}
	return k
}

// unable is a room that cannot do its work: in place of what it would find it tells why.
func unable(r supervisor.Room, err error) supervisor.Room {
	var out supervisor.Looks
	for _, c := range r.Checks() {
		c.Run = func(context.Context) health.Finding { return health.FromError(c.Code, c.Title, err).Finding }
		out = append(out, c)
	}
	return out
}

// routerSecret is what the router knows this Foyer by; it is made once. With an
// error comes one that could not be kept.
func routerSecret(data string) ([]byte, error) {
	path := filepath.Join(data, "router.secret")
	secret, err := os.ReadFile(path)
	if err == nil && len(secret) == 32 {
		return secret, nil
	}
	secret = make([]byte, 32)
	rand.Read(secret) //nolint:errcheck // it does not fail
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return secret, fmt.Errorf("cannot read what the router knows this server by: %w", err)
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return secret, fmt.Errorf("cannot make the data folder: %w", err)
	}
	return secret, atomicfile.Write(path, secret, 0o600)
}
