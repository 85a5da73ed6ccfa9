package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Members gives each member of a community a name below Domain. Its certificate is
// ordered when somebody first asks for it in a handshake, which waits for it.
type Members struct {
	Domain string // e.g. members.example, without *.; empty: none have names
	// Is reports whether there is a member of this name; it is asked at handshakes.
	Is func(ctx context.Context, name string) bool
}

const (
	maxMembers = 10000            // names looked after at a time
	memberWait = 25 * time.Second // a handshake waits so long for a first certificate
)

// members looks after the certificates of members that somebody asked for. Whoever
// makes up names starts nothing: the name of no member is not ordered, and of
// members at most forty-nine new ones a week are, since authorities allow fifty new
// certificates for a domain (https://letsencrypt.org/docs/rate-limits/).
type members struct {
	Members
	log        *slog.Logger
	public     *public
	budget     *budget
	background context.Context
	wg         *sync.WaitGroup

	mu    sync.Mutex
	known map[string]chan struct{} // closed once the first attempt is over
}

func newMembers(background context.Context, m Members, p *public, wg *sync.WaitGroup, log *slog.Logger) *members {
	m.Domain = strings.ToLower(m.Domain)
	return &members{
		Members: m, log: log, public: p, background: background, wg: wg, known: map[string]chan struct{}{},
		budget: &budget{storage: p.storage, hour: 7, day: 7, now: time.Now},
	}
}

// of is the member whose name a host is; "" for all other hosts.
func (m *members) of(host string) string {
	label, ok := strings.CutSuffix(host, "."+m.Domain)
	if !ok || label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || label[0] == '-' || label[len(label)-1] == '-' {
		return ""
	}
	return label
}

// find returns the certificate of a member's host, ordering it if need be; nil for
// hosts that are no member's, and when there is none in time.
func (m *members) find(ctx context.Context, host string) *tls.Certificate {
	name := m.of(host)
	if name == "" {
		return nil
	}
	if cert := m.public.find(host); cert != nil {
		return cert
	}
	tried := m.look(ctx, name, host)
	if tried == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, memberWait)
	defer cancel()
	select {
	case <-tried:
	case <-ctx.Done():
	}
	return m.public.find(host)
}

// look has the host looked after, if it is a member's; nil: it is not.
func (m *members) look(ctx context.Context, name, host string) <-chan struct{} {
	m.mu.Lock()
	tried := m.known[host]
	m.mu.Unlock()
	if tried != nil {
		return tried
	}
	if !m.Is(ctx, name) {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if tried := m.known[host]; tried != nil {
		return tried
	}
	if len(m.known) >= maxMembers || m.background.Err() != nil {
		return nil
	}
	first := make(chan struct{})
	m.known[host] = first
	m.wg.Go(func() {
		m.keep(name, host, sync.OnceFunc(func() { close(first) }))
		m.mu.Lock()
		delete(m.known, host)
		m.mu.Unlock()
	})
	return first
}

// keep looks after one host for as long as it is a member's; tried is called after
// each attempt.
func (m *members) keep(name, host string, tried func()) {
	defer tried()
	if _, err := m.public.load(m.background, host); errors.Is(err, fs.ErrNotExist) {
		if err := m.budget.spend(m.background, "members of "+m.Domain); err != nil {
			if m.background.Err() == nil {
				m.log.Warn("a member's certificate has to wait", "name", host, "err", err)
			}
			return // the next handshake asks again
		}
	}
	m.public.keep(m.background, host, func() bool {
		tried()
		return m.Is(m.background, name)
	})
}
