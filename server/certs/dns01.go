package certs

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/libdns/libdns"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
	"github.com/miekg/dns"
	"go.uber.org/zap"

	"github.com/foyer-server/foyer/internal/dnsprovider"
)

// dns01 answers an authority by records in DNS (RFC 8555 §8.4). certmagic writes
// them, waits for them and removes them; what is added is where: an owner whose
// DNS service cannot be written to lets _acme-challenge.NAME be an alias (CNAME) for
// a name in a zone that can, and the authority follows it. So does this.
type dns01 struct {
	provider  certmagic.DNSProvider
	resolvers []string
	log       *zap.Logger

	mu   sync.Mutex
	open map[string]*certmagic.DNS01Solver // by what is to be written
}

var (
	_ acmez.Solver = (*dns01)(nil)
	_ acmez.Waiter = (*dns01)(nil)
)

// newDNS01 writes through p; zone is where, when the settings name it.
func newDNS01(p dnsprovider.Provider, zone string, resolvers []string, log *zap.Logger) *dns01 {
	d := &dns01{provider: p, resolvers: resolvers, log: log, open: map[string]*certmagic.DNS01Solver{}}
	if zone != "" {
		d.provider = within{p, strings.TrimSuffix(strings.ToLower(zone), ".") + "."}
	}
	return d
}

// Present implements acmez.Solver.
func (d *dns01) Present(ctx context.Context, c acme.Challenge) error {
	// A manager of its own each time: two names may be aliases for the same.
	s := &certmagic.DNS01Solver{DNSManager: certmagic.DNSManager{
		DNSProvider: d.provider, Resolvers: d.resolvers, Logger: d.log,
		OverrideDomain: strings.TrimSuffix(d.follow(ctx, c.DNS01TXTRecordName()), "."),
	}}
	if err := s.Present(ctx, c); err != nil {
		return &unwritten{err}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open[c.DNS01KeyAuthorization()] = s
	return nil
}

// unwritten is that a record could not be put where it belongs.
type unwritten struct{ err error }

func (u *unwritten) Error() string { return u.err.Error() }
func (u *unwritten) Unwrap() error { return u.err }

// Wait implements acmez.Waiter.
func (d *dns01) Wait(ctx context.Context, c acme.Challenge) error {
	if s := d.of(c); s != nil {
		return s.Wait(ctx, c)
	}
	return nil
}

// CleanUp implements acmez.Solver.
func (d *dns01) CleanUp(ctx context.Context, c acme.Challenge) error {
	s := d.of(c)
	if s == nil {
		return nil
	}
	d.mu.Lock()
	delete(d.open, c.DNS01KeyAuthorization())
	d.mu.Unlock()
	return s.CleanUp(ctx, c)
}

func (d *dns01) of(c acme.Challenge) *certmagic.DNS01Solver {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open[c.DNS01KeyAuthorization()]
}

// follow returns what name is an alias for, in the end; name itself when it is none,
// or nobody can tell.
func (d *dns01) follow(ctx context.Context, name string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	name = dns.Fqdn(name)
	for range 8 { // of which there are no more among sensible people
		next := ""
		for _, server := range certmagic.RecursiveNameservers(d.resolvers) {
			var answered bool
			if next, answered = alias(ctx, server, name); answered {
				break
			}
		}
		if next == "" {
			break
		}
		name = next
	}
	return name
}

// alias asks one server what name is an alias for; empty: it is none.
func alias(ctx context.Context, server, name string) (target string, answered bool) {
	q := new(dns.Msg)
	q.SetQuestion(name, dns.TypeCNAME)
	r, _, err := new(dns.Client).ExchangeContext(ctx, q, server)
	if err != nil {
		return "", false
	}
	i := slices.IndexFunc(r.Answer, func(rr dns.RR) bool {
		return rr.Header().Rrtype == dns.TypeCNAME && strings.EqualFold(rr.Header().Name, name)
	})
	if i < 0 {
		return "", true
	}
	return r.Answer[i].(*dns.CNAME).Target, true
}

// within writes to the zone of the settings what was meant for the one that was
// found out: a service may keep a zone of which others see a part only. What does
// not lie in it is written where it was found.
type within struct {
	dnsprovider.Provider
	zone string // with the dot at its end
}

func (w within) place(found string, records []libdns.Record) (string, []libdns.Record) {
	out := make([]libdns.Record, len(records))
	for i, r := range records {
		rr := r.RR()
		name := strings.ToLower(strings.TrimSuffix(libdns.AbsoluteName(rr.Name, found), ".") + ".")
		if !strings.HasSuffix("."+name, "."+w.zone) {
			return found, records
		}
		rr.Name = libdns.RelativeName(name, w.zone)
		out[i] = rr
		if parsed, err := rr.Parse(); err == nil {
			out[i] = parsed
		}
	}
	return w.zone, out
}

// AppendRecords implements libdns.RecordAppender. What it returns is as it was asked
// for, so that it is found again.
func (w within) AppendRecords(ctx context.Context, found string, records []libdns.Record) ([]libdns.Record, error) {
	zone, moved := w.place(found, records)
	if _, err := w.Provider.AppendRecords(ctx, zone, moved); err != nil {
		return nil, err
	}
	return records, nil
}

// DeleteRecords implements libdns.RecordDeleter.
func (w within) DeleteRecords(ctx context.Context, found string, records []libdns.Record) ([]libdns.Record, error) {
	zone, moved := w.place(found, records)
	if _, err := w.Provider.DeleteRecords(ctx, zone, moved); err != nil {
		return nil, err
	}
	return records, nil
}
