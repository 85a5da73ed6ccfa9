package reach

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/foyer-server/foyer/internal/knock"
	"github.com/foyer-server/foyer/supervisor/router"
)

// peer is a Foyer elsewhere.
type peer struct {
	url   *url.URL
	roots *x509.CertPool
	now   func() time.Time
}

func (s *Situation) peer() *peer {
	u, err := url.Parse(s.Peer)
	if s.Peer == "" || err != nil || u.Host == "" {
		return nil
	}
	return &peer{url: u.JoinPath("/"), roots: s.Roots, now: s.now}
}

// transport makes connections to whatever address of one family a name has; network
// is as in package net.
func transport(network string, config *tls.Config) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, addr)
		},
		TLSClientConfig: config, DisableKeepAlives: true, MaxResponseHeaderBytes: 16 << 10,
	}
}

// anyCertificate is for finding out who is there, where a nonce proves it.
func anyCertificate() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// fetch makes one request and follows no redirect. body is JSON, if there is one.
func fetch(ctx context.Context, t *http.Transport, method, url string, body []byte) (text string, head http.Header, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return "", nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = statusError{resp.Status}
	}
	return strings.TrimSpace(string(all)), resp.Header, err
}

// statusError: somebody answers, and not what was hoped for.
type statusError struct{ status string }

func (e statusError) Error() string { return "it answers " + e.status }

// outside asks the peer to dial back by one family.
func (p *peer) outside(ctx context.Context, network, name string, expect func(context.Context, string) error) Outside {
	o, err := p.dialBack(ctx, network, name, expect)
	if err != nil {
		return Outside{Error: err.Error()}
	}
	return o
}

func (p *peer) dialBack(ctx context.Context, network, name string, expect func(context.Context, string) error) (Outside, error) {
	nonce := knock.NewNonce()
	if err := expect(ctx, nonce); err != nil {
		return Outside{}, fmt.Errorf("cannot let the server know a nonce: %w", err)
	}
	question, err := json.Marshal(knock.Request{Nonce: nonce, Name: name})
	if err != nil {
		return Outside{}, err
	}
	t := transport(network, &tls.Config{RootCAs: p.roots, Time: p.now})
	defer t.CloseIdleConnections()
	text, _, err := fetch(ctx, t, http.MethodPost, p.url.JoinPath(knock.Dial).String(), question)
	if err != nil {
		return Outside{}, fmt.Errorf("cannot ask the peer: %w", err)
	}
	var r knock.Reply
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return Outside{}, fmt.Errorf("cannot understand the peer: %w", err)
	}
	o := Outside{Seen: r.Seen.Unmap(), Ports: map[int]knock.Outcome{}}
	for _, port := range knock.Ports() {
		if !r.Ports[port].Known() {
			return Outside{}, fmt.Errorf("the peer says nothing of port %d", port)
		}
		o.Ports[port] = r.Ports[port]
	}
	if !o.Seen.IsValid() || o.Seen.Is4() != (network == "tcp4") {
		return Outside{}, fmt.Errorf("the peer sees %v over %s", r.Seen, network)
	}
	return o, nil
}

// heartbeat is a path that every Foyer answers by plain HTTP, with {}.
const heartbeat = "/v1/__lbheartbeat__"

// portal tells what came instead of the peer's plain answer; "" when that one came,
// or none. A peer on a port of its own may have no plain HTTP at all.
func (p *peer) portal(ctx context.Context) string {
	if p.url.Port() != "" {
		return ""
	}
	return plain(ctx, "http://"+p.url.Host)
}

// plain tells what comes instead of a Foyer's plain answer; "" when that one comes, or
// none.
func plain(ctx context.Context, base string) string {
	t := transport("tcp", nil)
	defer t.CloseIdleConnections()
	text, _, err := fetch(ctx, t, http.MethodGet, base+heartbeat, nil)
	if status, ok := errors.AsType[statusError](err); ok {
		return status.status
	}
	if err != nil || text == "{}" {
		return ""
	}
	return "another page"
}

// elsewhere tells what time it is for the peer or the authority, and by which names
// the authority goes in CAA records.
func (s *Situation) elsewhere(ctx context.Context) (at time.Time, issuers []string) {
	if s.CA != "" && len(s.Names) > 0 {
		if s.Issuer != "" {
			issuers = []string{s.Issuer}
		}
		text, when, err := s.moment(ctx, s.CA)
		if err == nil {
			at = when
			var directory struct {
				Meta struct {
					CAA []string `json:"caaIdentities"`
				} `json:"meta"`
			}
			if json.Unmarshal([]byte(text), &directory) == nil && len(directory.Meta.CAA) > 0 {
				issuers = directory.Meta.CAA
			}
		}
	}
	if p := s.peer(); p != nil {
		if _, when, err := s.moment(ctx, p.url.JoinPath(heartbeat).String()); err == nil {
			at = when
		}
	}
	return at, issuers
}

// moment reads a page and the time its server had. With a wrong clock its certificate
// looks over, or not begun; then it is believed, for the time alone, at a time at
// which it holds.
func (s *Situation) moment(ctx context.Context, url string) (text string, at time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	config := &tls.Config{RootCAs: s.Roots, Time: s.now}
	for range 2 {
		t := transport("tcp", config)
		var head http.Header
		text, head, err = fetch(ctx, t, http.MethodGet, url, nil)
		t.CloseIdleConnections()
		if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
			holds := invalid.Cert.NotBefore.Add(invalid.Cert.NotAfter.Sub(invalid.Cert.NotBefore) / 2)
			config = &tls.Config{RootCAs: s.Roots, Time: func() time.Time { return holds }}
			continue
		}
		if err != nil {
			return "", time.Time{}, err
		}
		at, err = http.ParseTime(head.Get("Date"))
		return text, at, err
	}
	return "", time.Time{}, err
}

// unreached tells apart how nobody was reached.
func unreached(err error) knock.Outcome {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return knock.Refused
	case errors.As(err, &timeout) && timeout.Timeout():
		return knock.Timeout
	}
	return knock.Unreachable
}

// Seen are the addresses the peer sees this connection come from, as far as it tells.
func (s *Situation) Seen(ctx context.Context) (out []netip.Addr) {
	p := s.peer()
	if p == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	for _, network := range []string{"tcp4", "tcp6"} {
		if a, err := p.sees(ctx, network); err == nil {
			out = append(out, a)
		}
	}
	return out
}

// sees asks the peer which address it sees, by one family.
func (p *peer) sees(ctx context.Context, network string) (netip.Addr, error) {
	t := transport(network, &tls.Config{RootCAs: p.roots, Time: p.now})
	defer t.CloseIdleConnections()
	text, _, err := fetch(ctx, t, http.MethodGet, p.url.JoinPath(knock.Dial).String(), nil)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("cannot ask the peer: %w", err)
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, errors.New("the peer answers no address")
	}
	return a.Unmap(), nil
}

// Confirm asks the peer whether it sees this connection come from addr, an address
// that the router says it has; otherwise it returns a *router.Doubt. It takes 7.5 s at
// most. The peer need not get in: a question over TLS that comes from an address is
// what makes the address this connection's.
func (s *Situation) Confirm(ctx context.Context, addr netip.Addr) error {
	p := s.peer()
	if p == nil {
		return &router.Doubt{}
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	network := "tcp4"
	if addr.Is6() {
		network = "tcp6"
	}
	switch a, err := p.sees(ctx, network); {
	case err != nil:
		return &router.Doubt{Witness: p.url.Host, Err: err}
	case a != addr:
		return &router.Doubt{Witness: p.url.Host, Other: a}
	}
	return nil
}

// Expect lets the server know a nonce over its private socket.
func Expect(socket string) func(ctx context.Context, nonce string) error {
	return func(ctx context.Context, nonce string) error {
		t := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}}
		defer t.CloseIdleConnections()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://local"+knock.Local, strings.NewReader(nonce))
		if err != nil {
			return err
		}
		resp, err := t.RoundTrip(req)
		if err != nil {
			return fmt.Errorf("cannot reach the server: %w", err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNoContent {
			return fmt.Errorf("the server takes no nonce: %s", resp.Status)
		}
		return nil
	}
}

// GetsIn asks the peer whether visitors get in at one IPv4 address on every port, for
// the router's proof. An error means that it could not be tried.
func (s *Situation) GetsIn(ctx context.Context) (bool, error) {
	p := s.peer()
	if p == nil || s.Expect == nil {
		return false, errors.New("nobody can be asked to try")
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	o, err := p.dialBack(ctx, "tcp4", "", s.Expect)
	return o.opens(), err
}
