package installer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/safepath"
	"github.com/foyer-server/foyer/internal/step"
)

// healthyStep waits until the server answers, asked as a visitor would ask.
type healthyStep struct{ m *machine }

func (healthyStep) ID() string { return "healthy" }

// Title implements step.Step.
func (healthyStep) Title() hint.Text {
	return hint.T("Wait until it answers", "Attendre sa réponse")
}

// lastLines is how many lines of the log are shown when it does not.
const lastLines = 20

func (s healthyStep) visit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if p := s.m.settings.Proxy; p.Listen != "" {
		return Visitor{Name: s.m.settings.Name + ".local", Proxy: p}.Visit(ctx, p.Listen)
	}
	return s.m.cfg.Facts.Visit(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(s.m.settings.HTTPSPort)), s.m.settings.Name+".local", RootCertificate(s.m.dataDir()))
}

func (s healthyStep) Check(ctx context.Context) ([]step.Change, error) {
	if s.visit(ctx) == nil {
		return nil, nil
	}
	return []step.Change{{Op: step.Made, Kind: step.KindCheck, What: "https://" + s.m.settings.Name + ".local/", Why: hint.T(
		"is waited for until it answers, as a visitor would see it", "est attendu jusqu'à ce qu'il réponde, comme le verrait un visiteur")}}, nil
}

func (s healthyStep) Apply(ctx context.Context) error {
	err := s.m.waitWell(ctx, s.m.cfg.patience.healthy, func(ctx context.Context) (bool, error) {
		err := s.visit(ctx)
		return err == nil, err
	})
	if err != nil {
		return s.m.notWell(ctx, err)
	}
	return nil
}

func (healthyStep) Undo(context.Context, []step.Change, bool) error { return nil }

// waitWell is waitFor, but that data which are not there are not waited for.
func (m *machine) waitWell(ctx context.Context, atMost time.Duration, ok func(context.Context) (bool, error)) error {
	return waitFor(ctx, atMost, m.cfg.patience.pause, func(ctx context.Context) (bool, error) {
		done, err := ok(ctx)
		if !done {
			if lost := m.cfg.Lost(ctx); lost != nil {
				return true, lost
			}
		}
		return done, err
	})
}

// notWell says what the log says when the server does not come up.
func (m *machine) notWell(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	if lost := hint.Find(err); lost != nil {
		return lost
	}
	if st, serr := m.service.State(ctx); serr == nil {
		err = fmt.Errorf("%w (the service is %s, %s, result %s)", err, st.Active, st.Sub, st.Result)
	}
	do := hint.T("`sudo foyer logs` shows more.", "`sudo foyer logs` en montre davantage.")
	what := hint.T("Foyer was started and does not answer.", "Foyer a été lancé et ne répond pas.")
	if lines := m.service.Log(ctx, lastLines); len(lines) > 0 {
		what = hint.T("Foyer was started and does not answer. The end of its log:\n%s", "Foyer a été lancé et ne répond pas. La fin de son journal :\n%s", hint.Block(lines))
	}
	return hint.New("not-healthy", what, hint.Text{}, do).Because(err)
}

// Visit asks the server at address how it is, as a visitor who calls it name and
// trusts the root certificate in the file and no other. It returns nil when the
// server says that it is well.
func Visit(ctx context.Context, address, name, rootCertificate string) error {
	return Visitor{Name: name, Root: rootCertificate}.Visit(ctx, address)
}

// Visitor is one who calls at a server from this machine.
type Visitor struct {
	Name  string       // what they call it by
	Root  string       // file of the one certificate they trust; empty: they call without TLS
	Proxy config.Proxy // of its settings: whether this machine begins with the PROXY protocol
}

// Visit calls at address and returns whether, and why not, it is answered.
func (v Visitor) Visit(ctx context.Context, address string) error {
	scheme, transport := "http", &http.Transport{DisableKeepAlives: true, DialContext: v.dial}
	if v.Root != "" {
		pem, err := safepath.ReadFile(v.Root, mostRoot)
		if err != nil {
			return fmt.Errorf("cannot visit the server: %w", err)
		}
		trusted := x509.NewCertPool()
		if !trusted.AppendCertsFromPEM(pem) {
			return fmt.Errorf("cannot visit the server: %s holds no certificate", v.Root)
		}
		scheme = "https"
		transport.TLSClientConfig = &tls.Config{RootCAs: trusted, ServerName: v.Name, MinVersion: tls.VersionTLS12}
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+address+"/v1/__lbheartbeat__", nil)
	if err != nil {
		return fmt.Errorf("cannot visit the server: %w", err)
	}
	req.Host = v.Name
	resp, err := transport.RoundTrip(req)
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

// dial connects. Where this machine is a proxy that has to begin with the PROXY
// protocol, it says that it comes for itself.
func (v Visitor) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 4 * time.Second} // who is not connected by then is to be told so, not that time is up
	c, err := d.DialContext(ctx, network, address)
	if err != nil || v.Proxy.Protocol != "on" {
		return c, err
	}
	own, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err == nil && slices.ContainsFunc(v.Proxy.Prefixes(), func(p netip.Prefix) bool { return p.Contains(own.Addr().Unmap()) }) {
		_, err = io.WriteString(c, "PROXY UNKNOWN\r\n")
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
