package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddyserver/certmagic"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/host"
	"github.com/foyer-server/foyer/internal/site"
	"github.com/foyer-server/foyer/supervisor/health"
	"github.com/foyer-server/foyer/supervisor/reach"
	"github.com/foyer-server/foyer/supervisor/router"
)

// letsEncryptIssuer is what site.LetsEncrypt is called in CAA records.
const letsEncryptIssuer = "letsencrypt.org"

// situation is where to look, as the settings have it, for a Foyer whose server runs.
func (a *app) situation(s *config.Settings) reach.Situation {
	place := site.Of(s)
	look := reach.Situation{
		Names: place.PublicNames(),
		HTTP:  s.HTTPPort, HTTPS: s.HTTPSPort, Proxied: place.BehindProxy(),
		Peer: s.Peer(), Resolvers: s.DNS.Resolvers, Runner: host.Exec{}, Built: builtAt(),
		Expect: reach.Expect(filepath.Join(a.runDir, "local.sock")),
	}
	if place.Announced() {
		look.Name = s.Name
	}
	if look.CA = place.Authority(); look.CA == site.LetsEncrypt {
		look.Issuer = letsEncryptIssuer
	}
	if look.CA != "" {
		look.Account = accountAt(filepath.Join(s.Data, "certificates"), look.CA)
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

// accountAt is the URI of this server's account at a certificate authority, as the
// server's certmagic keeps it among the certificates; "" where it is not to be read:
// there is none yet, the certificates are in a shared database, or this user may not.
func accountAt(dir, ca string) string {
	key := certmagic.StorageKeys.Safe((&certmagic.ACMEIssuer{CA: ca}).IssuerKey())
	files, err := filepath.Glob(filepath.Join(dir, "acme", key, "users", "*", "*.json"))
	if err != nil || len(files) != 1 { // of two it is not known which one orders
		return ""
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return ""
	}
	var account struct {
		Status   string `json:"status"`
		Location string `json:"location"`
	}
	if json.Unmarshal(text, &account) != nil || account.Status != "valid" {
		return ""
	}
	if u, err := url.Parse(account.Location); err != nil || u.Scheme != "https" || strings.ContainsAny(account.Location, "\"; \\") {
		return ""
	}
	return account.Location
}

// stateOf is what a router told, if there is one that is asked.
func stateOf(r *router.Router) router.State {
	if r == nil {
		return router.State{}
	}
	return r.State()
}

// looksIn are the ways in which the router may be asked for its address by hand. UPnP
// takes connections to where an answer says, so it is among them only when the owner
// wants it to be spoken.
func looksIn(s *config.Settings) []router.Way {
	if slices.Contains(site.Of(s).RouterWays(), site.UPnP) {
		return router.Ways()
	}
	return []router.Way{router.NATPMP}
}

// signs are what makes a diagnosis old when they change.
func signs(s router.State) string {
	own, _ := host.Addresses()
	return fmt.Sprint(s.Asked, s.Outside, own)
}

// examine finds out by hand whether visitors get in, where the settings want them to.
// What the running Foyer found stays where this user may not ask its server.
func (a *app) examine(ctx context.Context, found []health.Result) ([]health.Result, *reach.Diagnosis) {
	s, err := a.loadSettings(ctx, a.environ)
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
	look.Router = func(ctx context.Context) router.State { return router.LookIn(ctx, looksIn(s)) }
	d := reach.Examine(ctx, look)
	r := health.Result{Code: reach.Code, Title: reach.Title(), Finding: d.Finding, Checked: d.Facts.Now}
	found = append(slices.DeleteFunc(found, func(r health.Result) bool { return is(r) || r.Code == "router" }), r)
	if f, told := d.BindsIssuing(); told {
		found = append(found, health.Result{Code: "caa-account", Title: hint.T("Who may order certificates", "Qui peut demander des certificats"), Finding: f, Checked: d.Facts.Now})
	}
	return found, &d
}
