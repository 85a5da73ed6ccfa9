package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/supervisor/dyndns"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/reach"
	"github.com/foyer-server/foyer/supervisor/router"
)

// The authority that public names are ordered from when no other one is set, and its
// name in CAA records.
const (
	letsEncrypt       = "https://acme-v02.api.letsencrypt.org/directory"
	letsEncryptIssuer = "letsencrypt.org"
)

// situation is where to look, as the settings have it, for a Foyer whose server runs.
func (a *app) situation(s *config.Settings) reach.Situation {
	look := reach.Situation{
		Names: slices.DeleteFunc(dyndns.Names(s.Addresses), func(n string) bool { return strings.HasPrefix(n, "*.") }),
		HTTP:  s.HTTPPort, HTTPS: s.HTTPSPort, Proxied: s.Proxy.Listen != "",
		Peer: s.Peer(), Resolvers: s.DNS.Resolvers, Runner: host.Exec{}, Built: builtAt(),
		Expect: reach.Expect(filepath.Join(a.runDir, "local.sock")),
	}
	if s.MDNS == "on" {
		look.Name = s.Name
	}
	switch {
	case s.Certificates.CA == "off" || s.Certificates.CertFile != "" || look.Proxied:
	case s.Certificates.CA == "" || s.Certificates.CA == letsEncrypt:
		look.CA, look.Issuer = letsEncrypt, letsEncryptIssuer
	default:
		look.CA = s.Certificates.CA
	}
	if pem, err := os.ReadFile(s.Certificates.CARoots); err == nil {
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		roots.AppendCertsFromPEM(pem) // one that is none is told of by the certificates' own check
		look.Roots = roots
	}
	return look
}

// stateOf is what a router told, if there is one that is asked.
func stateOf(r *router.Router) router.State {
	if r == nil {
		return router.State{}
	}
	return r.State()
}

// signs are what makes a diagnosis old when they change.
func signs(s router.State) string {
	own, _ := host.Addresses()
	return fmt.Sprint(s.Asked, s.Outside, own)
}

// examine finds out by hand whether visitors get in, where the settings want them to.
// What the running Foyer found stays where this user may not ask its server.
func (a *app) examine(ctx context.Context, found []health.Result) ([]health.Result, *reach.Diagnosis) {
	s, err := config.Load(a.settings, a.environ)
	if err != nil {
		return found, nil // told elsewhere
	}
	look := a.situation(s)
	if look.Peer == "" && len(look.Names) == 0 {
		return found, nil
	}
	is := func(r health.Result) bool { return r.Code == reach.Code }
	if conn, err := net.Dial("unix", filepath.Join(a.runDir, "local.sock")); err == nil {
		conn.Close()
	} else if slices.ContainsFunc(found, is) {
		return found, nil
	} else if look.Expect = nil; look.Peer != "" && !look.Proxied {
		if expect, stop, err := standIn(s); err == nil { // otherwise it is looked who has the ports
			defer stop()
			look.Expect = expect
		}
	}
	look.Router = router.Look
	d := reach.Examine(ctx, look)
	r := health.Result{Code: reach.Code, Title: reach.Title(), Finding: d.Finding, Checked: d.Facts.Now}
	return append(slices.DeleteFunc(found, func(r health.Result) bool { return is(r) || r.Code == "router" }), r), &d
}
