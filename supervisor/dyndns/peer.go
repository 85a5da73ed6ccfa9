package dyndns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Peer asks a server at url which address it sees, over IPv4 and over IPv6: the
// answer is the address and nothing else. It fails when neither gives one. A redirect
// is followed three times, and never from an encrypted page to one that is not, where
// anybody on the way could answer.
func Peer(url string) func(context.Context) ([]netip.Addr, error) {
	return func(ctx context.Context) ([]netip.Addr, error) {
		var out []netip.Addr
		var why error
		for _, network := range []string{"tcp4", "tcp6"} {
			a, err := seen(ctx, url, network)
			switch {
			case err != nil:
				why = err
			case a.Is4() == (network == "tcp4"):
				out = append(out, a)
			default:
				why = fmt.Errorf("the peer sees %v over %s", a, network)
			}
		}
		if len(out) == 0 {
			return nil, why
		}
		return out, nil
	}
}

func seen(ctx context.Context, url, network string) (netip.Addr, error) {
	var dialer net.Dialer
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, addr)
		},
		MaxResponseHeaderBytes: 16 << 10,
	}
	defer t.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("cannot ask the peer: %w", err)
	}
	resp, err := (&http.Client{Transport: t, CheckRedirect: redirect}).Do(req)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("cannot ask the peer: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("cannot hear the peer: %w", err)
	}
	a, err := netip.ParseAddr(strings.TrimSpace(string(text)))
	if resp.StatusCode != http.StatusOK || err != nil {
		return netip.Addr{}, fmt.Errorf("the peer answers %s and no address", resp.Status)
	}
	return a.Unmap(), nil
}

// redirect refuses to be led out of encryption, or around in circles.
func redirect(to *http.Request, before []*http.Request) error {
	if len(before) > 3 {
		return errors.New("too many redirects")
	}
	if before[0].URL.Scheme == "https" && to.URL.Scheme != "https" {
		return errors.New("it leads to a page without encryption")
	}
	return nil
}
