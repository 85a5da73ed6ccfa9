package server

import (
	"context"
	"fmt"
	"net"
	"path/filepath"

	"github.com/caddyserver/certmagic"

	"github.com/foyer-server/foyer/internal/dnsprovider"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/site"
	"github.com/foyer-server/foyer/server/certs"
)

// openCerts opens the certificates, where this server is the one that ends TLS; shared is
// where several servers keep theirs, nil: the data folder.
func (s *server) openCerts(ctx context.Context, shared certmagic.Storage) (err error) {
	if s.PlainHTTP || site.Of(s.Settings).BehindProxy() {
		return nil
	}
	c, dns := s.Settings.Certificates, s.Settings.DNS
	p := certs.Public{CA: c.CA, Roots: c.CARoots, Email: c.Email, Zone: dns.Zone, Resolvers: dns.Resolvers, Rehearse: c.Rehearse}
	for _, l := range s.Listeners {
		if tcp, ok := l.Addr().(*net.TCPAddr); ok && l.Name == host.HTTP {
			p.HTTP = tcp.Port
		} else if ok && l.Name == host.HTTPS {
			p.HTTPS = tcp.Port
		}
	}
	if dns.Provider != "" {
		credentials, err := dnsprovider.Credentials(dns.Credentials)
		if err == nil {
			p.DNS, err = dnsprovider.Open(dns.Provider, credentials)
		}
		p.Problem = hint.Find(err) // no reason not to serve
	}
	s.certs, err = certs.New(ctx, certs.Config{
		Dir: filepath.Join(s.Settings.Data, "certificates"), Shared: shared,
		Name: s.Settings.Name, Addresses: s.Settings.Addresses, Log: s.Log,
		Public: p, Members: certs.Members{Domain: c.Members, Is: s.isMember}, CertFile: c.CertFile, KeyFile: c.KeyFile,
	})
	if err != nil {
		return fmt.Errorf("cannot open the certificates: %w", err)
	}
	return nil
}

// isMember reports whether somebody has an account of this name. A storage that does
// not answer knows nobody.
func (s *server) isMember(ctx context.Context, name string) bool {
	if s.people == nil { // the server is down
		return false
	}
	m, err := s.people.Member(ctx, name)
	return err == nil && m != nil
}
