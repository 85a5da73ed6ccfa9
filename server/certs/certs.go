// Package certs gives the server the certificate for each handshake.
//
// It hides where certificates come from and when they are renewed: certmagic
// keeps, loads and renews them, and asks an issuer for new ones. Public names get
// theirs from an authority that speaks ACME (public.go) or from two files the owner
// brought (own.go); until then, and for all other names, there is the home CA
// (homeca.go), which needs no network, no domain and no account. NAME.local and
// localhost are kept ready from the start; this server's other names and the
// private address a client came to are issued when first asked for, so that an
// address the router changed simply works. Whoever asks for anything else gets
// the certificate of NAME.local, or, coming from outside, one that tells nothing
// (stranger.go); nothing is issued for them.
//
// Promises: the first handshake after New works; a certificate that is over, or
// not valid yet because the clock went back, is replaced within the handshake
// that would have served it; a disk that is full or read-only stops no renewal.
//
// Threat model. Whoever steals the data folder, or the database where Shared is one,
// holds the intermediate's key and
// can impersonate this server, and nobody else: root and intermediate both carry
// critical name constraints (RFC 5280 §4.2.1.10) that permit this server's own
// names and private addresses only, and the root's key was never written. A
// visitor can make the server issue for addresses of this machine only, and for
// a bounded number of them; and order, within a weekly budget, for members' names. The words of a fingerprint help a person to see that
// they are at the right machine; 32 bits do not stop who can rewrite their
// network traffic, which the whole fingerprint, as the device shows it, does.
//
// Used by package server. Signs of expiry for health come from Expiry, which
// looks at a handshake and not at a file.
package certs

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/netname"
)

// Config is what New needs. Dir, Name and Log are required.
type Config struct {
	Dir string // folder of everything kept; made when missing, for its owner only
	// Shared is where certificates and the home CA are kept instead, so that several
	// servers of one name show the same; nil: in Dir. The root is in Dir, too.
	Shared    certmagic.Storage
	Name      string   // the server is NAME.local and NAME.home.arpa
	Addresses []string // further names and addresses it is called by
	Public    Public   // where certificates of public names come from
	Members   Members  // who has a name below a domain of the server's
	CertFile  string   // a certificate the owner brought, and its key; empty: none
	KeyFile   string
	Log       *slog.Logger // never sees a key
}

// Certs serves certificates. It is safe for concurrent use.
type Certs struct {
	log     *slog.Logger
	ca      *homeCA
	mute    *tls.Certificate // for strangers from outside
	primary string           // the name whose certificate answers strangers at home
	names   []string         // lower case; primary first
	ips     []netip.Addr
	ordered []string   // public names and addresses whose certificates are ordered
	public  *public    // nil: none are
	members *members   // nil: members have no names
	stage   *rehearsal // nil: nothing is rehearsed
	own     *own       // nil: none was brought
	ownCert atomic.Pointer[tls.Certificate]
	ownFail atomic.Pointer[Failure]

	storage  certmagic.Storage
	cache    *certmagic.Cache
	kept     *certmagic.Config // names kept ready and renewed in the background
	onDemand *certmagic.Config // everything, at a handshake

	mending sync.Mutex // one at a time makes a certificate anew

	mu       sync.Mutex
	came     map[netip.Addr]bool // addresses clients came to
	mended   map[string]time.Time
	expires  time.Time // as last seen in a handshake
	refused  error     // why it did not hold
	lookedAt time.Time
	seen     []Served // as last seen in handshakes
	seenAt   time.Time

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// tuning is what tests change.
type tuning struct {
	lifetime, backdate time.Duration
	pace               pace
}

var usual = tuning{lifetime: 90 * day, backdate: 7 * day, pace: usualPace}

const (
	day          = 24 * time.Hour
	maxAddresses = 256         // addresses issued for while the server runs
	mendEvery    = time.Minute // a name's certificate is made anew at most this often
	lookEvery    = time.Minute // Expiry looks at a handshake at most this often
)

// New loads the home CA in cfg.Dir, or makes one: at the first start, or when the
// one there is torn, or does not cover the settings (then the log says loudly
// that people have to trust the server again). It returns without waiting for
// certificates. Errors are those of the disk. Close it.
func New(ctx context.Context, cfg Config) (*Certs, error) { return open(ctx, cfg, usual) }

func open(ctx context.Context, cfg Config, t tuning) (*Certs, error) {
	c := &Certs{log: cfg.Log, came: map[netip.Addr]bool{}, mended: map[string]time.Time{}}
	name := strings.ToLower(cfg.Name)
	c.primary = name + ".local"
	c.names = []string{c.primary, name + ".home.arpa", "localhost"}
	home := slices.Clone(c.names) // what the home CA must be able to sign
	for _, a := range cfg.Addresses {
		ip, err := netip.ParseAddr(a)
		if a = strings.ToLower(a); err == nil { // as handshakes know it
			a = ip.Unmap().String()
		}
		if cfg.Public.Orders(a) {
			c.ordered = append(c.ordered, a)
			if err == nil || strings.HasPrefix(a, "*.") {
				continue
			}
		} else if err != nil {
			home = append(home, a)
		}
		switch {
		case err != nil:
			if !slices.Contains(c.names, a) {
				c.names = append(c.names, a)
			}
		case netname.Within(ip):
			c.ips = append(c.ips, ip.Unmap())
		default:
			cfg.Log.Warn("the home CA signs private addresses only; clients that come by this one are shown another name", "address", a)
		}
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the folder for certificates: %w", err)
	}
	if err := atomicfile.SyncDir(filepath.Dir(cfg.Dir)); err != nil {
		return nil, err
	}
	var err error
	if c.ca, err = openHomeCA(ctx, filepath.Join(cfg.Dir, "home-ca"), cfg.Shared, name, c.names, home, cfg.Log); err != nil {
		return nil, err
	}
	c.ca.tuning, c.ca.also = t, c.ips
	if c.mute, err = mute(); err != nil {
		return nil, err
	}

	zl := zapTo(cfg.Log)
	if c.storage = cfg.Shared; c.storage == nil {
		c.storage = newFiles(cfg.Dir, cfg.Log)
	}
	if cfg.CertFile != "" {
		c.own = &own{certFile: cfg.CertFile, keyFile: cfg.KeyFile, names: append(slices.Clone(c.names), c.ordered...)}
		c.refreshOwn()
		if cert := c.ownCert.Load(); cert != nil { // what was brought is not ordered
			c.ordered = slices.DeleteFunc(c.ordered, func(name string) bool { return cert.Leaf.VerifyHostname(name) == nil })
		}
	}
	if cfg.Members.Domain != "" && !cfg.Public.Orders(cfg.Members.Domain) {
		cfg.Log.Warn("members have no names: no authority issues certificates below this domain", "domain", cfg.Members.Domain, "ca", cfg.Public.CA)
		cfg.Members = Members{}
	}
	if len(c.ordered) > 0 || cfg.Members.Domain != "" {
		if c.public, err = newPublic(ctx, cfg.Public, c.ordered, c.storage, cfg.Log, t.pace); err != nil {
			return nil, err
		}
	}
	// Where certificates are shared, an authority's question may reach another server.
	if staging := stagingOf(cfg.Public.CA, cfg.Public.Rehearse); c.public != nil && staging != "" && cfg.Shared == nil {
		c.stage = newRehearsal(ctx, staging, c.public, cfg.Public, newFiles(filepath.Join(cfg.Dir, "rehearsal"), cfg.Log), cfg.Log)
	}
	c.cache = certmagic.NewCache(certmagic.CacheOptions{
		Capacity: 2 * maxAddresses, Logger: zl,
		GetConfigForCert: func(cert certmagic.Certificate) (*certmagic.Config, error) {
			if slices.ContainsFunc(cert.Names, c.isKept) {
				return c.kept, nil
			}
			return c.onDemand, nil
		},
	})
	common := certmagic.Config{
		Issuers: []certmagic.Issuer{c.ca}, Storage: c.storage, Logger: zl, OnEvent: c.onEvent,
		OCSP:       certmagic.OCSPConfig{DisableStapling: true}, // nobody answers for the home CA
		DisableARI: true, DisableStorageCheck: true,
		ShouldEmitFunc: func(event string) bool { return event != "tls_get_certificate" },
	}
	c.kept = certmagic.New(c.cache, common)
	common.OnDemand = &certmagic.OnDemandConfig{DecisionFunc: c.decide}
	c.onDemand = certmagic.New(c.cache, common)

	// What happens in the background outlives the start: Close ends it, not ctx.
	var background context.Context
	background, c.cancel = context.WithCancel(context.Background())
	c.wg.Go(func() { c.prepare(background) })
	if c.public != nil && cfg.Members.Domain != "" {
		c.members = newMembers(background, cfg.Members, c.public, &c.wg, cfg.Log)
	}
	for _, name := range c.ordered {
		c.wg.Go(func() { c.public.keep(background, name, func() bool { return true }) })
	}
	if c.stage != nil {
		c.wg.Go(func() { c.stage.run(background) })
	}
	if c.own != nil {
		c.wg.Go(func() { c.watchOwn(background) })
	}
	return c, nil
}

// Close stops what runs in the background. Handshakes go on with what there is.
func (c *Certs) Close() {
	c.cancel()
	c.wg.Wait()
	c.cache.Stop()
	if c.public != nil {
		c.public.cache.Stop()
	}
}

// prepare makes the certificates that are kept ready, and tidies up.
func (c *Certs) prepare(ctx context.Context) {
	for _, name := range c.names {
		if !c.isKept(name) {
			continue
		}
		err := c.kept.ManageSync(ctx, []string{name})
		if err != nil {
			// A handshake that finds the same waits until it is made anew, or has made it anew.
			c.mending.Lock()
			c.mend(ctx, name)
			err = c.kept.ManageSync(ctx, []string{name})
			c.mending.Unlock()
		}
		if err != nil && ctx.Err() == nil {
			c.log.Error("a certificate cannot be made; the next handshake tries again", "name", name, "err", err)
		}
	}
	if err := c.tidy(ctx); err != nil && ctx.Err() == nil {
		c.log.Warn("old certificates cannot be removed", "err", err)
	}
}

// tidy removes what an earlier home CA issued and what is over.
func (c *Certs) tidy(ctx context.Context) error {
	issuers, err := c.storage.List(ctx, "certificates", false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, prefix := range issuers {
		if strings.HasPrefix(prefix, "certificates/"+issuerPrefix) && prefix != certmagic.StorageKeys.CertsPrefix(c.ca.IssuerKey()) {
			if err := c.storage.Delete(ctx, prefix); err != nil {
				return err
			}
		}
	}
	if c.public != nil && c.public.clock.check(ctx) != nil {
		return nil // what seems to be over may not be
	}
	return sweep(ctx, c.storage)
}

// TLSConfig is for a server that speaks HTTP/2 and HTTP/1.1. Every cipher suite
// has forward secrecy and authenticated encryption (RFC 9325 §4.2). The protocol of
// an authority's question is spoken while there is one only.
func (c *Certs) TLSConfig() *tls.Config {
	return &tls.Config{
		GetCertificate:     c.get,
		GetConfigForClient: c.answer,
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2", "http/1.1"},
		CipherSuites: []uint16{ // of TLS 1.2; those of 1.3 are all good; RSA is for keys an owner brought
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		},
	}
}

// answer is the configuration for an authority's question (RFC 8737), and none for
// everybody else. Who asks what no authority was told to ask finds nobody who speaks
// that protocol.
func (c *Certs) answer(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	name := strings.ToLower(hello.ServerName)
	if c.public == nil || !challenged(hello) || !c.public.expects(hello.Context(), name) {
		return nil, nil
	}
	h := *hello
	h.ServerName = name
	cert, err := c.public.config.GetCertificateWithContext(hello.Context(), &h)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{*cert}, NextProtos: []string{acmez.ACMETLS1Protocol}, MinVersion: tls.VersionTLS12}, nil
}

// get finds the certificate for a handshake.
func (c *Certs) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	// A visitor who hangs up does not disturb what others wait for.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(hello.Context()), 30*time.Second)
	defer cancel()
	h := *hello
	name := strings.ToLower(h.ServerName)
	if cert := c.brought(name, &h); cert != nil {
		return cert, nil
	}
	if c.members != nil {
		if cert := c.members.find(ctx, name); cert != nil {
			return cert, nil
		}
	}
	switch known := slices.Contains(c.names, name) && c.ca.covers([]string{name}) == nil; {
	case known:
	case fromOutside(h.Conn):
		return c.mute, nil
	case name == "":
		name = c.admit(localAddr(h.Conn)) // certmagic finds the address in h.Conn, too
	default:
		name = ""
	}
	if name == "" { // a stranger's name: an orderly answer, and nothing is issued
		name, h.ServerName = c.primary, c.primary
	}
	cert, err := c.onDemand.GetCertificateWithContext(ctx, &h)
	if err == nil && current(cert) {
		return cert, nil
	}
	if cert, err = c.remake(ctx, name, &h); err == nil {
		return cert, nil
	}
	// Better a certificate that is over than no word at all: the client's clock
	// may be right where ours is wrong.
	for _, h.ServerName = range []string{h.ServerName, c.primary} {
		if cert, e := c.kept.GetCertificateWithContext(ctx, &h); e == nil {
			return cert, nil
		}
	}
	return nil, fmt.Errorf("no certificate can be made: %w", err)
}

// brought finds a certificate that is not the home CA's; nil: there is none.
func (c *Certs) brought(name string, h *tls.ClientHelloInfo) *tls.Certificate {
	if cert := c.ownCert.Load(); cert != nil && name != "" && current(cert) && cert.Leaf.VerifyHostname(name) == nil {
		return cert
	}
	if c.public == nil {
		return nil
	}
	if name == "" {
		return c.public.forAddress(h)
	}
	return c.public.find(name)
}

func (c *Certs) refreshOwn() {
	before := c.own.failure
	c.own.refresh()
	c.ownCert.Store(c.own.cert)
	c.ownFail.Store(c.own.failure)
	if f := c.own.failure; f != nil && (before == nil || before.Kind != f.Kind) {
		c.log.Error("the certificate that was brought is of no use", "kind", f.Kind, "err", f.Error())
	}
}

func (c *Certs) watchOwn(ctx context.Context) {
	tick := time.NewTicker(c.ca.pace.soon)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.refreshOwn()
		case <-ctx.Done():
			return
		}
	}
}

// remake is for a certificate that cannot be used: after a power cut, or a clock
// that went back.
func (c *Certs) remake(ctx context.Context, name string, h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mending.Lock()
	defer c.mending.Unlock()
	cert, err := c.onDemand.GetCertificateWithContext(ctx, h)
	if err == nil && current(cert) {
		return cert, nil // somebody else made it while we waited
	}
	if c.mend(ctx, name) {
		cert, err = c.onDemand.GetCertificateWithContext(ctx, h)
	}
	if err == nil && !current(cert) {
		err = errors.New("what was issued is not valid by this machine's clock")
	}
	return cert, err
}

// current reports whether cert is valid by this machine's clock. certmagic looks
// after the end, not after the beginning.
func current(cert *tls.Certificate) bool {
	t := now()
	return cert.Leaf != nil && !t.Before(cert.Leaf.NotBefore) && !t.After(cert.Leaf.NotAfter)
}

// admit returns the name under which addr gets a certificate; empty for none.
func (c *Certs) admit(addr netip.Addr) string {
	if !netname.Within(addr) || addr.IsLoopback() && addr != loopback4 && addr != loopback6 {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.came[addr] {
		if len(c.came) >= maxAddresses {
			return ""
		}
		c.came[addr] = true
	}
	return addr.String()
}

// decide is certmagic's last question before it loads or issues.
func (c *Certs) decide(_ context.Context, name string) error {
	if slices.Contains(c.names, name) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if ip, err := netip.ParseAddr(name); err == nil && c.came[ip] {
		return nil
	}
	return errors.New("not a name or address of this server")
}

// mend forgets the certificate of name, on disk and in memory: what was torn by
// a power cut or is not valid by the clock must not be found again. It reports
// whether it did; it does so at most once a minute for a name.
func (c *Certs) mend(ctx context.Context, name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, ok := c.mended[name]; ok && time.Since(at).Abs() < mendEvery {
		return false
	}
	c.mended[name] = time.Now()
	key := c.ca.IssuerKey()
	if err := c.storage.Delete(ctx, certmagic.StorageKeys.CertsSitePrefix(key, name)); err != nil {
		c.log.Warn("a certificate that does not work cannot be removed", "name", name, "err", err)
	}
	c.cache.RemoveManaged([]certmagic.SubjectIssuer{{Subject: name, IssuerKey: key}})
	return true
}

func (c *Certs) isKept(name string) bool { return name == c.primary || name == "localhost" }

func (c *Certs) onEvent(_ context.Context, event string, data map[string]any) error {
	switch event {
	case "cert_obtained":
		c.log.Info("certificate issued", "name", data["identifier"], "renewal", data["renewal"])
	case "cert_failed":
		c.log.Warn("a certificate could not be issued", "name", data["identifier"], "err", data["error"])
	}
	return nil
}

// RootPEM is the root certificate people have to trust.
func (c *Certs) RootPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.ca.root.Raw})
}

// Fingerprint is the SHA-256 of the root certificate, as browsers and phones
// show it: upper-case hex, a colon between bytes.
func (c *Certs) Fingerprint() string {
	sum := sha256.Sum256(c.ca.root.Raw)
	return strings.ReplaceAll(strings.ToUpper(fmt.Sprintf("% x", sum)), " ", ":")
}

// Words is the beginning of the fingerprint as four plain words: one byte each.
func (c *Certs) Words(l hint.Lang) []string {
	return Words(c.ca.root.Raw, l)
}

// Names are the names and addresses this server has certificates for: its own
// names first, then private addresses from the settings. The addresses clients
// come to are not among them.
func (c *Certs) Names() []string {
	out := slices.Clone(c.names)
	for _, ip := range c.ips {
		out = append(out, ip.String())
	}
	return out
}

// Expiry returns when the certificate that is served for NAME.local ends. It
// makes a handshake, at most once a minute, verified as a client would that
// trusts the root; the error says why such a client would refuse.
func (c *Certs) Expiry(ctx context.Context) (time.Time, error) {
	c.mu.Lock()
	end, err, at := c.expires, c.refused, c.lookedAt
	c.mu.Unlock()
	if !at.IsZero() && time.Since(at).Abs() < lookEvery && (err != nil || now().Before(end)) {
		return end, err
	}
	end, err = c.look(ctx)
	if ctx.Err() != nil {
		return time.Time{}, fmt.Errorf("cannot make a handshake with ourselves in time: %w", ctx.Err())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expires, c.refused, c.lookedAt = end, err, time.Now()
	return end, err
}

func (c *Certs) look(ctx context.Context) (time.Time, error) {
	roots := x509.NewCertPool()
	roots.AddCert(c.ca.root)
	chain, err := c.shake(ctx, &tls.Config{RootCAs: roots, ServerName: c.primary, Time: now})
	if err != nil {
		return time.Time{}, err
	}
	return chain[0].NotAfter, nil
}

// shake makes a handshake with ourselves and returns what was shown.
func (c *Certs) shake(ctx context.Context, as *tls.Config) ([]*x509.Certificate, error) {
	near, far := net.Pipe()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer near.Close()
	stop := context.AfterFunc(ctx, func() { near.Close() })
	defer stop()
	wg.Go(func() {
		defer far.Close()
		_ = tls.Server(far, c.TLSConfig()).HandshakeContext(ctx) // the client's side says what went wrong
	})
	client := tls.Client(near, as)
	if err := client.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("cannot make a handshake with ourselves: %w", err)
	}
	return client.ConnectionState().PeerCertificates, nil
}

var loopback4, loopback6 = netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()

// localAddr is the address a client came to, without zone.
func localAddr(c net.Conn) netip.Addr {
	if c == nil {
		return netip.Addr{}
	}
	ap, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}
