package appliance

import (
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/site"
	"github.com/foyer-server/foyer/supervisor"
	"github.com/foyer-server/foyer/supervisor/visit"
)

// naming tells inherited listeners apart. Where a proxy ends TLS the one at
// proxy.listen has a use and no other one: what a service manager still holds from
// before would answer everybody without encryption.
func naming(s *config.Settings) func(net.Addr) string {
	if !site.Of(s).BehindProxy() {
		return host.ByPort(s.HTTPSPort)
	}
	want := site.Of(s).Front()
	return func(a net.Addr) string {
		tcp, ok := a.(*net.TCPAddr)
		switch {
		case !ok:
			return host.Local
		case netip.AddrPortFrom(tcp.AddrPort().Addr().Unmap(), tcp.AddrPort().Port()) == netip.AddrPortFrom(want.Addr().Unmap(), want.Port()):
			return host.Front
		}
		return ""
	}
}

// known closes the listeners that have no name, hence no use.
func known(ls []host.Listener) []host.Listener {
	return slices.DeleteFunc(ls, func(l host.Listener) bool {
		if l.Name == "" {
			l.Close()
		}
		return l.Name == ""
	})
}

// doors are the public ports, and how the supervisor calls there from this machine
// itself, trusting only the home CA.
func doors(s *config.Settings, ls []host.Listener) []supervisor.Door {
	var out []supervisor.Door
	for _, l := range ls {
		if address := l.Addr().String(); l.Name != host.Local {
			out = append(out, supervisor.Door{Address: address, Visit: visit.Of(s, address, l.Name == host.HTTPS).Visit})
		}
	}
	return out
}

// bind opens the public ports where nobody handed them down.
func bind(s *config.Settings) ([]host.Listener, error) {
	if place := site.Of(s); place.BehindProxy() {
		l, err := host.Listen(host.Front, "tcp", s.Proxy.Listen)
		if err != nil {
			return nil, host.PortTaken(int(place.Front().Port()), err)
		}
		return []host.Listener{l}, nil
	}
	var ls []host.Listener
	for _, want := range []struct {
		name string
		port int
	}{{host.HTTP, s.HTTPPort}, {host.HTTPS, s.HTTPSPort}} {
		l, err := host.Listen(want.name, "tcp", net.JoinHostPort("", strconv.Itoa(want.port)))
		if err != nil {
			host.Close(ls)
			return nil, host.PortTaken(want.port, err)
		}
		ls = append(ls, l)
	}
	return ls, nil
}
