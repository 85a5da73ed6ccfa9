package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"github.com/foyer-server/foyer/internal/dnsprovider"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/netname"
	"github.com/foyer-server/foyer/internal/pause"
)

// Public is how certificates come from a certificate authority that speaks ACME.
// The zero value is Let's Encrypt.
type Public struct {
	CA          string               // URL of its directory; "off": ask none
	Roots       string               // PEM file of the roots of a CA that is not publicly trusted
	Email       string               // for its letters; optional
	HTTP, HTTPS int                  // ports we answer on ourselves; 0: not at all
	DNS         dnsprovider.Provider // proves names by DNS records; nil: through our ports
	Zone        string               // where DNS writes; empty: found out
	Resolvers   []string             // HOST:PORT that are asked for those records; empty: the system's
	Rehearse    string               // URL of the directory where renewals are rehearsed; empty: the one of Let's Encrypt for that, for what it issues; "off": nowhere
	Problem     *hint.Error          // what is wrong with the settings of all this; nil: nothing. Then none is ordered
}

// public keeps a certificate for each public name. It serves what it has and
// orders what is missing, one name at a time, forever; whoever has no certificate
// of it is served by the home CA, from the first moment on and only until there
// is one: what was obtained is what is served, so there is no way back to find.
type public struct {
	log     *slog.Logger
	ca      string // as people know it
	storage certmagic.Storage
	cache   *certmagic.Cache
	config  *certmagic.Config
	address *certmagic.Config // of IP addresses
	issuer  *certmagic.ACMEIssuer
	dns     bool
	names   []string // whose certificates are ordered
	problem *Failure // why nothing can be ordered; nil: it can
	clock   *clock
	budget  *budget
	pace    pace
	trusted *x509.CertPool // nil: the system's

	turns sync.RWMutex // orders may run side by side; a rehearsal, whose questions are for the same names, alone

	mu       sync.Mutex
	served   map[string]*tls.Certificate
	failures map[string]*Failure
	since    map[string]time.Time // a publicly trusted certificate is served since
}

// pace is what tests change.
type pace struct {
	look  time.Duration   // between two looks at a certificate that is well
	soon  time.Duration   // after which what was held back here is tried again
	waits []time.Duration // after the first, second, … refusal
	// rehearsal is between two rehearsals of the same.
	rehearsal time.Duration
}

var usualPace = pace{
	look: 10 * time.Minute, soon: time.Minute,
	waits:     []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour},
	rehearsal: 7 * day,
}

// attemptTime bounds one order, its waiting for DNS included.
const attemptTime = 5 * time.Minute

// sinceKey is the key under which is kept since when what is served is trusted.
const sinceKey = "trusted-since.json"

// Orders reports whether a certificate for a name or address is ordered: for what
// everyone can use. An authority of the owner's own may know what no public one does, so
// it is asked for names and addresses set aside for examples and tests, too, and for those
// of this machine alone; names of home are the home CA's.
func (p Public) Orders(name string) bool {
	switch own := p.CA != ""; netname.OfHost(name) {
	case netname.Everyone:
		return p.CA != "off"
	case netname.Example, netname.Machine:
		return own && p.CA != "off" && strings.ContainsAny(name, ".:")
	case netname.Nobody:
		return own && p.CA != "off" && netname.ReservedName(name) && strings.Contains(name, ".")
	}
	return false
}

// attemptKey is where in a context the end of an attempt is found.
type attemptKey struct{}

func newPublic(ctx context.Context, p Public, names []string, storage certmagic.Storage, log *slog.Logger, pc pace) (*public, error) {
	b := &budget{storage: storage, hour: 3, day: 20, now: time.Now}
	o := &public{
		log: log, storage: storage, budget: b, pace: pc, dns: p.DNS != nil, names: names,
		served: map[string]*tls.Certificate{}, failures: map[string]*Failure{}, since: map[string]time.Time{},
	}
	directory := p.CA
	if directory == "" {
		directory = certmagic.LetsEncryptProductionCA
	}
	at, err := url.Parse(directory)
	if err != nil {
		return nil, fmt.Errorf("cannot read the address of the certificate authority: %w", err)
	}
	if o.ca = at.Host; at.Host == "acme-v02.api.letsencrypt.org" {
		o.ca = "Let's Encrypt"
	}
	var roots *x509.CertPool
	if p.Roots != "" {
		roots = x509.NewCertPool()
		if pem, err := os.ReadFile(p.Roots); err != nil || !roots.AppendCertsFromPEM(pem) {
			o.problem = rootsUnfit(p.Roots, err)
		}
	}
	if p.Problem != nil {
		o.problem = misset(p.Problem)
	}
	o.clock = &clock{directory: directory, roots: roots, now: time.Now}
	if data, err := storage.Load(ctx, sinceKey); err == nil {
		_ = json.Unmarshal(data, &o.since) // what cannot be read begins anew
	}

	zl := zapTo(log)
	o.cache = certmagic.NewCache(certmagic.CacheOptions{Logger: zl, GetConfigForCert: func(cert certmagic.Certificate) (*certmagic.Config, error) {
		return o.configOf(cert.Names[0]), nil
	}})
	common := certmagic.Config{
		Storage: storage, Logger: zl, OnEvent: o.onEvent, DisableStorageCheck: true,
		ShouldEmitFunc: func(event string) bool {
			return event == "cert_obtaining" || event == "cert_failed" || event == "cert_obtained"
		},
	}
	o.config, o.address = certmagic.New(o.cache, common), certmagic.New(o.cache, common)
	template := certmagic.ACMEIssuer{
		CA: directory, TestCA: directory, Email: p.Email, Agreed: true, TrustedRoots: roots, Logger: zl,
		AltHTTPPort: p.HTTP, AltTLSALPNPort: p.HTTPS, DisableHTTPChallenge: p.HTTP == 0, DisableTLSALPNChallenge: p.HTTPS == 0,
	}
	byAddress := template
	byAddress.Profile = "shortlived" // the only one in which there are addresses
	if p.DNS != nil {
		template.DNS01Solver = newDNS01(p.DNS, p.Zone, p.Resolvers, zl)
	}
	o.issuer = certmagic.NewACMEIssuer(o.config, template)
	o.config.Issuers = []certmagic.Issuer{o.issuer}
	o.address.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(o.address, byAddress)}
	return o, nil
}

func (o *public) configOf(name string) *certmagic.Config {
	if net.ParseIP(name) != nil {
		return o.address
	}
	return o.config
}

// keep looks after the certificate of one name until ctx ends, or goOn, which is
// asked after each look, says no.
func (o *public) keep(ctx context.Context, name string, goOn func() bool) {
	for refused := 0; ; {
		err := o.attend(ctx, name, false)
		if ctx.Err() != nil || !goOn() {
			return
		}
		wait := o.pace.look
		f, _ := errors.AsType[*Failure](err)
		switch {
		case err == nil:
			refused = 0
		case f != nil && (f.Kind == "unreachable" || f.Kind == "clock" || f.Kind == "held-back"):
			wait = o.pace.soon
		default:
			wait = o.pace.waits[min(refused, len(o.pace.waits)-1)]
			refused++
		}
		if !pause.For(ctx, wait) {
			return
		}
	}
}

// attend serves the certificate of name that is kept, and orders one when there
// is none, or it is time, or force says so.
func (o *public) attend(ctx context.Context, name string, force bool) error {
	cfg := o.configOf(name)
	cert, err := o.load(ctx, name)
	missing := err != nil
	if missing && !errors.Is(err, fs.ErrNotExist) && ctx.Err() == nil {
		if cert, missing, err = o.reread(ctx, name); err != nil {
			return err
		}
	}
	if !missing && !force && !cert.NeedsRenewal(cfg) {
		o.failed(name, nil)
		return nil
	}
	f := o.problem
	if f == nil && strings.HasPrefix(name, "*.") && !o.dns {
		f = needsDNS(name)
	}
	if f != nil {
		o.failed(name, f)
		return f
	}
	if err := o.order(ctx, name, missing, force); err != nil {
		f := explain(name, o.ca, err)
		if ctx.Err() == nil {
			o.failed(name, f)
		}
		return f
	}
	if _, err = o.load(ctx, name); err == nil {
		o.failed(name, nil)
	}
	return err
}

// reread looks again at a certificate that could not be read, when nobody writes
// it: a renewal, of this server or of another that shares the certificates, replaces
// three files one by one. What is torn then is thrown away.
func (o *public) reread(ctx context.Context, name string) (cert certmagic.Certificate, missing bool, err error) {
	writing := "issue_cert_" + name // certmagic holds it
	if err := o.storage.Lock(ctx, writing); err != nil {
		return cert, false, fmt.Errorf("cannot wait until a certificate is written: %w", err)
	}
	defer func() { err = errors.Join(err, o.storage.Unlock(context.WithoutCancel(ctx), writing)) }()
	cert, err = o.load(ctx, name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return cert, err != nil, nil
	}
	o.log.Warn("a certificate cannot be read and is ordered anew", "name", name, "err", err)
	return cert, true, o.storage.Delete(ctx, certmagic.StorageKeys.CertsSitePrefix(o.issuer.IssuerKey(), name))
}

// order orders once. certmagic would go on for thirty days with pauses of its
// own, and ask on the terminal for an address when it should not: so it is told
// to try in the background and stopped after the first answer.
func (o *public) order(ctx context.Context, name string, missing, force bool) error {
	if err := o.clock.check(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	ctx = context.WithValue(ctx, attemptKey{}, end)
	o.turns.RLock()
	defer o.turns.RUnlock()
	cfg := o.configOf(name)
	var err error
	if missing {
		err = cfg.ObtainCertAsync(ctx, name)
	} else {
		err = cfg.RenewCertAsync(ctx, name, force)
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// onEvent is certmagic's word about an order.
func (o *public) onEvent(ctx context.Context, event string, data map[string]any) error {
	name, _ := data["identifier"].(string)
	switch event {
	case "cert_obtaining": // an error here forbids it
		if err := o.clock.check(ctx); err != nil {
			return certmagic.ErrNoRetry{Err: err}
		}
		if err := o.budget.spend(ctx, name); err != nil {
			return certmagic.ErrNoRetry{Err: err}
		}
	case "cert_failed":
		err, _ := data["error"].(error)
		if end, ok := ctx.Value(attemptKey{}).(context.CancelCauseFunc); ok {
			end(err)
		} else {
			o.failed(name, explain(name, o.ca, err))
		}
	case "cert_obtained":
		o.log.Info("certificate issued", "name", name, "renewal", data["renewal"], "by", o.ca)
	}
	return nil
}

// load serves what is kept. certmagic's cache adds and never replaces, and is
// emptied first; handshakes look at served, in which there is no gap.
func (o *public) load(ctx context.Context, name string) (certmagic.Certificate, error) {
	o.cache.RemoveManaged([]certmagic.SubjectIssuer{{Subject: name}})
	cert, err := o.configOf(name).CacheManagedCertificate(ctx, name)
	if err != nil {
		return cert, err
	}
	o.mu.Lock()
	o.served[name] = &cert.Certificate
	o.mu.Unlock()
	o.remember(ctx, name, cert.Leaf, cert.Certificate.Certificate[1:])
	return cert, nil
}

// remember keeps since when the certificate of name is one everybody trusts.
func (o *public) remember(ctx context.Context, name string, leaf *x509.Certificate, chain [][]byte) {
	between := x509.NewCertPool()
	for _, der := range chain {
		if c, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(c)
		}
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: o.trusted, Intermediates: between, CurrentTime: leaf.NotBefore.Add(time.Second)})
	over := now().After(leaf.NotAfter) && o.clock.believed()
	o.mu.Lock()
	_, known := o.since[name]
	good := err == nil && !over
	if good == known {
		o.mu.Unlock()
		return
	}
	if good {
		o.since[name] = now()
	} else {
		delete(o.since, name)
	}
	data, err := json.Marshal(o.since)
	o.mu.Unlock()
	if err == nil {
		err = o.storage.Store(ctx, sinceKey, data)
	}
	if err != nil && ctx.Err() == nil {
		o.log.Warn("cannot keep since when certificates are trusted", "err", err)
	}
}

// failed remembers why name has no new certificate; nil: it has. That the next
// order waits is no reason to forget what the last one failed by. The log is told of
// what is new.
func (o *public) failed(name string, f *Failure) {
	o.mu.Lock()
	before := o.failures[name]
	if f != nil && f.Kind == "held-back" && before != nil {
		o.mu.Unlock()
		return
	}
	o.failures[name] = f
	if f == nil {
		delete(o.failures, name)
	}
	o.mu.Unlock()
	if f != nil && (before == nil || before.Kind != f.Kind) {
		o.log.Warn("a certificate could not be had", "name", name, "kind", f.Kind, "err", f.Error())
	}
}

func (o *public) failure(name string) *Failure {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failures[name]
}

// find returns the certificate for a name that is asked for, nil for none. One
// that is over is one only while the clock is not believed.
func (o *public) find(name string) *tls.Certificate {
	o.mu.Lock()
	cert := o.served[name]
	if _, parent, ok := strings.Cut(name, "."); cert == nil && ok {
		cert = o.served["*."+parent]
	}
	o.mu.Unlock()
	if cert == nil || now().After(cert.Leaf.NotAfter) && o.clock.believed() {
		return nil
	}
	return cert
}

// forAddress returns the certificate for a client that named nobody and came from
// outside: a router's port forwarding hides by which address.
func (o *public) forAddress(h *tls.ClientHelloInfo) *tls.Certificate {
	if cert := o.find(localAddr(h.Conn).String()); cert != nil || h.Conn == nil {
		return cert
	}
	from, err := netip.ParseAddrPort(h.Conn.RemoteAddr().String())
	if err != nil || netname.Within(from.Addr()) {
		return nil
	}
	o.mu.Lock()
	names := maps.Clone(o.served)
	o.mu.Unlock()
	for name := range names {
		if ip, err := netip.ParseAddr(name); err == nil && ip.Is4() == from.Addr().Unmap().Is4() {
			return o.find(name)
		}
	}
	return nil
}

// challenged reports whether a handshake is an authority's question (RFC 8737).
func challenged(h *tls.ClientHelloInfo) bool {
	return len(h.SupportedProtos) == 1 && h.SupportedProtos[0] == acmez.ACMETLS1Protocol
}

// expects reports whether an authority has been told to ask by TLS for name: by this
// server, or by another that shares the certificates.
func (o *public) expects(ctx context.Context, name string) bool {
	if chal, ok := certmagic.GetACMEChallenge(name); ok {
		return chal.Type == acme.ChallengeTypeTLSALPN01
	}
	// Only where it can be: what strangers ask is no reason to look.
	return slices.Contains(o.names, name) && o.storage.Exists(ctx, path.Join("acme", certmagic.StorageKeys.Safe(o.issuer.IssuerKey()), "challenge_tokens", certmagic.StorageKeys.Safe(name)+".json"))
}

// trustedFor is how long the certificates of name have been trusted by everybody.
func (o *public) trustedFor(name string) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	since, ok := o.since[name]
	if !ok {
		return -1
	}
	return now().Sub(since)
}
