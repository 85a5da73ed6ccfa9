// Package visit is what it is to be a visitor of a Foyer on this machine: to call
// at a port as people do, by the name they use, trusting the home CA and nobody else,
// and to be answered. It hides how one calls at a wildcard address, and that this
// machine may be one that has to begin with the PROXY protocol.
//
// Whoever has to know whether visitors get through asks here and nowhere else: the
// supervisor at its ports, and the installer, which waits until somebody answers.
//
// Threat model. The root certificate lies in a folder that user foyer can write to,
// and root visits too: it is read by package safepath, at most MostRoot of it, so that
// neither a pipe nor a link in its place makes root hang or read something else.
package visit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/safepath"
)

// Visitor is one who calls at one port of a Foyer, from the machine it runs on.
type Visitor struct {
	Name    string // what they call it by
	Address string // of the port, as IP:PORT; one that stands for every address is called by IPv4, and by IPv6 where nobody can be reached so
	Root    string // file of the one certificate they trust; empty: they call without TLS
	// Proxies are the networks whose connections begin with the PROXY protocol; whoever
	// calls from one of them begins so too. May be empty.
	Proxies []netip.Prefix
}

// Of is a visitor of the Foyer with these settings who calls at one of its ports, given
// the address that is listened at, over TLS if the port is an encrypted one.
func Of(s *config.Settings, address string, encrypted bool) Visitor {
	v := Visitor{Name: s.Name + ".local", Address: address}
	if encrypted {
		v.Root = RootCertificate(s.Data)
	}
	if s.Proxy.Protocol == "on" {
		v.Proxies = s.Proxy.Prefixes()
	}
	return v
}

// RootCertificate is the file of the root certificate that a Foyer with its data in this
// folder is to be trusted by.
func RootCertificate(data string) string {
	return filepath.Join(data, "certificates", "home-ca", "root.crt")
}

// connecting is how long a visitor waits to be connected: less than their callers have
// patience, so that they learn that nobody was there, and not that time is up.
const connecting = 4 * time.Second

// MostRoot is more bytes than any root certificate has.
const MostRoot = 64 << 10

// Visit asks the server how it is, and returns nil when it says that it is well; else
// why not, and whether somebody, if only the kernel, had taken the call by then.
func (v Visitor) Visit(ctx context.Context) (connected bool, err error) {
	at, err := netip.ParseAddrPort(v.Address)
	if err != nil {
		return false, fmt.Errorf("cannot visit the server: %w", err)
	}
	transport, scheme, err := v.transport()
	if err != nil {
		return false, err
	}
	defer transport.CloseIdleConnections()
	for _, to := range ways(at) {
		var got atomic.Bool
		traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{ConnectDone: func(_, _ string, err error) {
			if err == nil {
				got.Store(true)
			}
		}})
		e := ask(traced, transport, scheme+"://"+to.String()+"/v1/__lbheartbeat__", v.Name)
		if e == nil || got.Load() {
			return got.Load(), e
		} else if err == nil {
			err = e
		}
	}
	return false, err
}

// ways are the addresses by which to call at a listener with address at.
func ways(at netip.AddrPort) []netip.AddrPort {
	if !at.Addr().IsUnspecified() {
		return []netip.AddrPort{at}
	}
	return []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port()), netip.AddrPortFrom(netip.IPv6Loopback(), at.Port())}
}

// transport connects as this visitor does.
func (v Visitor) transport() (t *http.Transport, scheme string, err error) {
	t = &http.Transport{DisableKeepAlives: true, DialContext: v.dial}
	if v.Root == "" {
		return t, "http", nil
	}
	pem, err := safepath.ReadFile(v.Root, MostRoot)
	if err != nil {
		return nil, "", fmt.Errorf("cannot visit the server: %w", err)
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(pem) {
		return nil, "", fmt.Errorf("cannot visit the server: %s holds no certificate", v.Root)
	}
	t.TLSClientConfig = &tls.Config{RootCAs: trusted, ServerName: v.Name, MinVersion: tls.VersionTLS12}
	return t, "https", nil
}

// dial connects, and where this machine counts as a proxy, says first that it comes for
// itself.
func (v Visitor) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: connecting}
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	own, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err == nil && slices.ContainsFunc(v.Proxies, func(p netip.Prefix) bool { return p.Contains(own.Addr().Unmap()) }) {
		_, err = io.WriteString(c, "PROXY UNKNOWN\r\n")
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// ask sends one request and reads the answer to its end.
func ask(ctx context.Context, t *http.Transport, url, name string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("cannot visit the server: %w", err)
	}
	req.Host = name
	resp, err := t.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("cannot visit the server: %w", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)); err != nil {
		return fmt.Errorf("cannot visit the server: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("cannot visit the server: it answered %s", resp.Status)
	}
	return nil
}
