package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"

	"github.com/foyer-server/foyer/internal/hint"
)

// rehearsal proves, once a week (once a day what is rotten) and to an authority that issues nothing of worth,
// that each way by which a name can be proven still works: a port that was closed
// or a DNS token that ended is told of weeks before a renewal fails by it. A way that
// never worked is nobody's plan, and not told of.
//
// What is issued is thrown away. The account and the notes lie in a folder of their
// own; the certificates that are served are never looked at for writing.
type rehearsal struct {
	log     *slog.Logger
	ca      string
	storage certmagic.Storage
	ways    map[string]*certmagic.ACMEIssuer // by the kind of challenge
	names   []string
	ready   func(name string) bool // has what it rehearses for
	turns   *sync.RWMutex          // of real orders
	pace    pace

	mu    sync.Mutex
	notes map[string]note // by way and name
}

// note is how the last rehearsal of one way for one name went.
type note struct {
	At      time.Time `json:"at"`
	Worked  time.Time `json:"worked,omitzero"` // last; zero: never
	Failure *Failure  `json:"failure,omitempty"`
}

// notesKey is the key under which the notes are kept.
const notesKey = "rehearsals.json"

// stagingOf is where is rehearsed what is issued by the authority with directory ca;
// empty: nowhere.
func stagingOf(ca, setting string) string {
	switch {
	case setting == "off":
		return ""
	case setting != "":
		return setting
	case ca == "" || ca == certmagic.LetsEncryptProductionCA:
		return certmagic.LetsEncryptStagingCA
	}
	return ""
}

// newRehearsal returns nil where there is nothing to rehearse.
func newRehearsal(ctx context.Context, directory string, o *public, p Public, storage certmagic.Storage, log *slog.Logger) *rehearsal {
	r := &rehearsal{
		log: log, storage: storage, ways: map[string]*certmagic.ACMEIssuer{}, notes: map[string]note{}, turns: &o.turns, pace: o.pace,
		ready: func(name string) bool { return o.find(name) != nil && o.clock.believed() },
	}
	for _, name := range o.names {
		if net.ParseIP(name) == nil {
			r.names = append(r.names, name)
		}
	}
	at, err := url.Parse(directory)
	if err != nil || len(r.names) == 0 || o.problem != nil {
		return nil
	}
	r.ca = at.Host
	zl := zapTo(log)
	cache := certmagic.NewCache(certmagic.CacheOptions{Logger: zl, GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) {
		return nil, errors.New("nothing of a rehearsal is kept")
	}})
	cache.Stop() // it only has to be there
	cfg := certmagic.New(cache, certmagic.Config{Storage: storage, Logger: zl, DisableStorageCheck: true})
	template := certmagic.ACMEIssuer{
		CA: directory, TestCA: directory, Email: p.Email, Agreed: true, TrustedRoots: o.clock.roots, Logger: zl,
		AltHTTPPort: p.HTTP, AltTLSALPNPort: p.HTTPS, DisableHTTPChallenge: true, DisableTLSALPNChallenge: true,
	}
	if p.HTTP != 0 {
		way := template
		way.DisableHTTPChallenge = false
		r.ways[acme.ChallengeTypeHTTP01] = certmagic.NewACMEIssuer(cfg, way)
	}
	if p.HTTPS != 0 {
		way := template
		way.DisableTLSALPNChallenge = false
		r.ways[acme.ChallengeTypeTLSALPN01] = certmagic.NewACMEIssuer(cfg, way)
	}
	if p.DNS != nil {
		way := template
		way.DNS01Solver = newDNS01(p.DNS, p.Zone, p.Resolvers, zl)
		r.ways[acme.ChallengeTypeDNS01] = certmagic.NewACMEIssuer(cfg, way)
	}
	if data, err := storage.Load(ctx, notesKey); err == nil {
		_ = json.Unmarshal(data, &r.notes) // what cannot be read begins anew
	}
	return r
}

// run rehearses until ctx ends.
func (r *rehearsal) run(ctx context.Context) {
	tick := time.NewTicker(r.pace.rehearsal / 168) // each hour of a week
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, name := range r.names {
			for kind, way := range r.ways {
				if strings.HasPrefix(name, "*.") && kind != acme.ChallengeTypeDNS01 {
					continue
				}
				if r.ready(name) && r.due(kind, name) && ctx.Err() == nil {
					r.rehearse(ctx, kind, name, way)
				}
			}
		}
	}
}

func (r *rehearsal) due(kind, name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, wait := r.notes[kind+" "+name], r.pace.rehearsal
	if n.Failure != nil && !n.Worked.IsZero() { // what is told of should not be told long after it was mended
		wait /= 7
	}
	return time.Since(n.At).Abs() >= wait // one ahead of the clock was written while it was wrong
}

// rehearse orders once. That it does is written down first, so that a server which
// is started again and again does not do so more often.
func (r *rehearsal) rehearse(ctx context.Context, kind, name string, way *certmagic.ACMEIssuer) {
	key := kind + " " + name
	r.mu.Lock()
	n := r.notes[key]
	r.mu.Unlock()
	n.At = now()
	if err := r.write(ctx, key, n); err != nil {
		r.log.Warn("a rehearsal cannot be noted and is left out", "err", err)
		return
	}
	r.turns.Lock()
	err := r.order(ctx, name, way)
	r.turns.Unlock()
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		n.Worked, n.Failure = now(), nil
	} else if f := explain(name, r.ca, err); f.Kind != "unreachable" { // that authority is nobody's plan either
		n.Failure = f
	}
	r.log.Info("rehearsed", "name", name, "way", kind, "worked", err == nil, "err", err)
	if err := r.write(ctx, key, n); err != nil && ctx.Err() == nil {
		r.log.Warn("a rehearsal cannot be noted", "err", err)
	}
}

func (r *rehearsal) order(ctx context.Context, name string, way *certmagic.ACMEIssuer) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("cannot make a key: %w", err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, key)
	if err != nil {
		return fmt.Errorf("cannot make a request: %w", err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return fmt.Errorf("cannot make a request: %w", err)
	}
	if err := way.PreCheck(ctx, []string{name}, false); err != nil {
		return err
	}
	_, err = way.Issue(ctx, csr)
	return err
}

func (r *rehearsal) write(ctx context.Context, key string, n note) error {
	r.mu.Lock()
	r.notes[key] = n
	notes := maps.Clone(r.notes)
	r.mu.Unlock()
	data, err := json.Marshal(notes)
	if err != nil {
		return err
	}
	return r.storage.Store(ctx, notesKey, data)
}

// rotten is the way that worked for name and does so no longer; nil: none.
func (r *rehearsal) rotten(name string) *Failure {
	r.mu.Lock()
	defer r.mu.Unlock()
	for kind := range r.ways {
		n := r.notes[kind+" "+name]
		if n.Failure == nil || n.Worked.IsZero() {
			continue
		}
		f := *n.Failure
		f.Kind = "rehearsal"
		f.What = hint.T("The certificate of %s is good, but a rehearsal of its renewal (%s) failed, which worked on %s: %s", "Le certificat de %s est bon, mais une répétition de son renouvellement (%s) a échoué, qui marchait le %s : %s", name, kind, n.Worked.Format(time.DateOnly), f.What)
		return &f
	}
	return nil
}
