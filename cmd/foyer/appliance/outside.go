package appliance

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
func (a Appliance) situation() reach.Situation {
	s := a.Settings
	place := site.Of(s)
	look := reach.Situation{
		Names: place.PublicNames(),
		HTTP:  s.HTTPPort, HTTPS: s.HTTPSPort, Proxied: place.BehindProxy(),
		Peer: s.Peer(), Resolvers: s.DNS.Resolvers, Runner: host.Exec{}, Built: a.Built,
		Expect: reach.Expect(filepath.Join(a.RunDir, "local.sock")),
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

// WantsVisitors reports whether anybody from outside is to come, as the settings have it,
// so that Examine and Outlook have something to tell.
func (a Appliance) WantsVisitors() bool {
	return a.Settings.Peer() != "" || len(site.Of(a.Settings).PublicNames()) > 0
}

// Examine finds out by hand whether visitors get in, where they are wanted, and adds that
// to what was found; the diagnosis is nil where it does not. What the running Foyer found
// stays where this user may not ask its server.
func (a Appliance) Examine(ctx context.Context, found []health.Result) ([]health.Result, *reach.Diagnosis) {
	if !a.WantsVisitors() {
		return found, nil
	}
	look := a.situation()
	is := func(r health.Result) bool { return r.Code == reach.Code }
	if conn, err := net.Dial("unix", filepath.Join(a.RunDir, "local.sock")); err == nil {
		conn.Close()
	} else if slices.ContainsFunc(found, is) {
		return found, nil
	} else if look.Expect = nil; look.Peer != "" && !look.Proxied {
		if expect, stop, err := standIn(a.Settings); err == nil { // otherwise it is looked who has the ports
			defer stop()
			look.Expect = expect
		}
	}
	look.Router = func(ctx context.Context) router.State { return router.LookIn(ctx, looksIn(a.Settings)) }
	d := reach.Examine(ctx, look)
	r := health.Result{Code: reach.Code, Title: reach.Title(), Finding: d.Finding, Checked: d.Facts.Now}
	found = append(slices.DeleteFunc(found, func(r health.Result) bool { return is(r) || r.Code == "router" }), r)
	if f, told := d.BindsIssuing(); told {
		found = append(found, health.Result{Code: "caa-account", Title: hint.T("Who may order certificates", "Qui peut demander des certificats"), Finding: f, Checked: d.Facts.Now})
	}
	return found, &d
}

// ofNames are causes that are gone once Foyer keeps the public names.
var ofNames = []string{"name-missing", "name-elsewhere", "aaaa-stale"}

// Outlook is what will keep visitors out, as far as it can be seen before anything is
// installed, each a sentence; it takes ten seconds at most, and none where nobody is to
// come from outside.
func (a Appliance) Outlook(ctx context.Context) []hint.Text {
	if !a.WantsVisitors() {
		return nil
	}
	where := a.situation()
	where.Expect, where.Router = nil, router.Look
	return outlook(ctx, where, a.Settings)
}

// outlook is what an examination finds in the way, and Foyer with the settings s does not
// mend by itself.
func outlook(ctx context.Context, where reach.Situation, s *config.Settings) []hint.Text {
	d := reach.Examine(ctx, where)
	if site.Of(s).KeepsNames() && slices.Contains(ofNames, d.Cause) {
		return nil
	}
	var out []hint.Text
	for _, t := range []hint.Text{d.What, d.Do} {
		if d.Severity >= health.Warning && !t.IsZero() {
			out = append(out, t)
		}
	}
	return out
}
