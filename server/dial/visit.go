package dial

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"

	"github.com/foyer-server/foyer/internal/knock"
)

// visit dials the asker at one of its two ports and looks for the proof there.
func (d *Room) visit(ctx context.Context, to netip.AddrPort, q knock.Request) knock.Outcome {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := d.connect(ctx, to)
	if err != nil {
		return why(err)
	}
	defer conn.Close()
	given := false
	t := &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			if given { // one connection, to nobody else
				return nil, net.ErrClosed
			}
			given = true
			return conn, nil
		},
		// Whether visitors get in is asked here, not whether they trust what they get.
		TLSClientConfig:        &tls.Config{ServerName: q.Name, InsecureSkipVerify: true},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 8 << 10,
	}
	defer t.CloseIdleConnections()
	scheme, host := "http", to.Addr().String()
	if to.Port() == 443 {
		scheme = "https"
	}
	if to.Addr().Is6() {
		host = "[" + host + "]"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+host+knock.Proof+q.Nonce, nil)
	if err != nil {
		return knock.Other
	}
	req.Host = q.Name // empty: the address
	req.Header.Set("User-Agent", "foyer-dial")
	resp, err := t.RoundTrip(req) // follows no redirect
	switch {
	case ctx.Err() != nil: // slow is not foreign
		return knock.Timeout
	case err != nil:
		return knock.Other
	}
	defer resp.Body.Close()
	want := knock.Answer(q.Nonce)
	text, err := io.ReadAll(io.LimitReader(resp.Body, int64(len(want))+16))
	if err != nil || resp.StatusCode != http.StatusOK || strings.TrimSpace(string(text)) != want {
		return knock.Other
	}
	return knock.OK
}

// why tells apart how nobody could be reached.
func why(err error) knock.Outcome {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return knock.Refused
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.Canceled):
		return knock.Timeout
	}
	return knock.Unreachable
}
