package front

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"
)

// Listener reads what trusted proxies begin their connections with: the PROXY
// protocol, version 1 or 2, within patience. The connections of everybody else
// pass as they are: the same bytes are no valid beginning of HTTP or TLS.
func (f Front) Listener(l net.Listener, patience time.Duration) net.Listener {
	if !f.Protocol || len(f.Trusted) == 0 {
		return l
	}
	return &proxyproto.Listener{
		Listener: l, ReadHeaderTimeout: patience,
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			if ip, ok := ofAddr(o.Upstream); ok && f.Trusts(ip) {
				return proxyproto.REQUIRE, nil
			}
			return proxyproto.SKIP, nil
		},
		ValidateHeader: func(h *proxyproto.Header) error {
			if h.Command.IsLocal() { // the proxy's own visit
				return nil
			}
			if _, ok := ofAddr(h.SourceAddr); !ok {
				return errors.New("the PROXY protocol names no address")
			}
			return nil
		},
	}
}

// Only closes connections that come neither from this machine nor from a trusted
// proxy: it is for a listener without encryption.
func (f Front) Only(l net.Listener) net.Listener { return only{l, f} }

type only struct {
	net.Listener
	f Front
}

func (o only) Accept() (net.Conn, error) {
	for {
		c, err := o.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if ip, ok := ofAddr(c.RemoteAddr()); ok && (ip.IsLoopback() || isOwn(ip, c.LocalAddr()) || o.f.Trusts(ip)) {
			return c, nil
		}
		_ = c.Close() // a stranger's
	}
}

// ConnContext is for http.Server: requests know the connection they came by.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if p, ok := c.(*proxyproto.Conn); ok {
		return context.WithValue(ctx, connKey, &conn{p})
	}
	return ctx
}

// conn is a connection that a proxy began. Its header is read with the first
// request, never where connections are accepted.
type conn struct{ *proxyproto.Conn }

// scheme is what the visitor came by, if the proxy ended TLS for them and says so.
func (c *conn) scheme() string {
	h := c.ProxyHeader()
	if h == nil || h.Command.IsLocal() {
		return ""
	}
	tlvs, err := h.TLVs()
	if err != nil {
		return ""
	}
	if ssl, ok := tlvparse.FindSSL(tlvs); ok && ssl.ClientSSL() {
		return "https"
	}
	return ""
}

func ofAddr(a net.Addr) (netip.Addr, bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || tcp == nil {
		return netip.Addr{}, false
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	return ip, ip.IsValid()
}
