package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/foyer-server/foyer/internal/report"
)

// Served is what a visitor gets who comes by one name, and why it is not better.
type Served = report.Served

// Served says for every name that should not be the home CA's alone what is really
// served. It looks by handshakes, at most once a minute, and with IP addresses,
// which are named in no handshake, at what is ready for them.
func (c *Certs) Served(ctx context.Context) []Served {
	c.mu.Lock()
	seen, at := c.seen, c.seenAt
	c.mu.Unlock()
	if at.IsZero() || time.Since(at).Abs() >= lookEvery {
		seen = nil
		for _, name := range c.watched() {
			seen = append(seen, c.probe(ctx, name))
		}
		if ctx.Err() == nil {
			c.mu.Lock()
			c.seen, c.seenAt = seen, time.Now()
			c.mu.Unlock()
		}
	}
	out := slices.Clone(seen)
	for i := range out {
		out[i].Failure = c.failure(out[i].Name)
	}
	return out
}

// watched are the names Served tells of.
func (c *Certs) watched() []string {
	out := slices.Clone(c.ordered)
	if cert := c.ownCert.Load(); cert != nil {
		for _, name := range c.own.names {
			if cert.Leaf.VerifyHostname(name) == nil && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	if len(out) == 0 && c.own != nil { // its trouble has to be told somewhere
		out = append(out, c.primary)
	}
	return out
}

func (c *Certs) failure(name string) *Failure {
	if slices.Contains(c.ordered, name) {
		f := c.public.failure(name)
		if f == nil && c.stage != nil {
			f = c.stage.rotten(name)
		}
		return f
	}
	return c.ownFail.Load()
}

func (c *Certs) probe(ctx context.Context, name string) Served {
	s := Served{Name: name}
	ask := name
	if rest, ok := strings.CutPrefix(name, "*."); ok {
		ask = "probe." + rest
	}
	var leaf *x509.Certificate
	if certmagic.SubjectIsIP(name) {
		if cert := c.public.find(name); cert != nil {
			leaf = cert.Leaf
		}
	} else if chain, err := c.shake(ctx, &tls.Config{
		ServerName: ask, InsecureSkipVerify: true, // what is served is told, not trusted
	}); err == nil {
		leaf = chain[0]
	}
	if leaf == nil {
		return s
	}
	s.Ends, s.Home = leaf.NotAfter, leaf.CheckSignatureFrom(c.ca.intermediate) == nil
	if s.Issuer = leaf.Issuer.CommonName; len(leaf.Issuer.Organization) > 0 && !s.Home {
		s.Issuer = leaf.Issuer.Organization[0]
	}
	return s
}

// Challenges answers what an authority asks on the plain HTTP port (RFC 8555
// §8.3), and leaves everything else to next.
func (c *Certs) Challenges(next http.Handler) http.Handler {
	if c.public == nil {
		return next
	}
	return c.public.issuer.HTTPChallengeHandler(next)
}

// TrustedFor is how long this name's certificates have been such as everybody
// trusts; negative: they are not.
func (c *Certs) TrustedFor(name string) time.Duration {
	if c.public == nil || !slices.Contains(c.ordered, name) || c.public.find(name) == nil {
		return -1
	}
	return c.public.trustedFor(name)
}
