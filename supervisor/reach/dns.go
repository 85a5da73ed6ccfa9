package reach

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// lookUp asks DNS for every public name. silent: there are names, and no server
// answered any question.
func (s *Situation) lookUp(ctx context.Context) (out []Name, silent bool) {
	servers := s.Resolvers
	if len(servers) == 0 {
		servers = systemResolvers()
	}
	if len(s.Names) == 0 || len(servers) == 0 {
		return nil, false
	}
	out = make([]Name, len(s.Names))
	var wg sync.WaitGroup
	for i, name := range s.Names {
		wg.Go(func() { out[i] = look(ctx, servers, name) })
	}
	wg.Wait()
	return out, !slices.ContainsFunc(out, func(n Name) bool { return !n.Failed })
}

func systemResolvers() []string {
	config, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil {
		return nil
	}
	var out []string
	for _, server := range config.Servers {
		out = append(out, net.JoinHostPort(server, config.Port))
	}
	return out
}

// look asks for one name: its addresses and what CAA says of it, side by side.
func look(ctx context.Context, servers []string, name string) Name {
	n := Name{Name: name}
	var wg sync.WaitGroup
	var failed4, failed6 bool
	wg.Go(func() { n.A, failed4 = addresses(ctx, servers, name, dns.TypeA) })
	wg.Go(func() { n.AAAA, failed6 = addresses(ctx, servers, name, dns.TypeAAAA) })
	wg.Go(func() { n.CAA, n.Accounts = issuers(ctx, servers, name) })
	wg.Wait()
	n.Failed = failed4 || failed6
	return n
}

func addresses(ctx context.Context, servers []string, name string, kind uint16) (out []netip.Addr, failed bool) {
	m := ask(ctx, servers, name, kind)
	if m == nil {
		return nil, true
	}
	for _, rr := range m.Answer {
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if a, ok := netip.AddrFromSlice(ip); ok {
			out = append(out, a.Unmap())
		}
	}
	return out, false
}

// issuers are those that the nearest CAA records allow, at the name or above it
// (RFC 8659 §3), and for each the account that it binds itself to (RFC 8657 §3); nil:
// every one.
func issuers(ctx context.Context, servers []string, name string) (allowed, accounts []string) {
	for labels := strings.Split(name, "."); len(labels) > 1; labels = labels[1:] {
		m := ask(ctx, servers, strings.Join(labels, "."), dns.TypeCAA)
		if m == nil {
			return nil, nil
		}
		records := false
		for _, rr := range m.Answer {
			caa, ok := rr.(*dns.CAA)
			records = records || ok
			if ok && strings.EqualFold(caa.Tag, "issue") {
				domain, parameters, _ := strings.Cut(caa.Value, ";")
				allowed = append(allowed, strings.ToLower(strings.TrimSpace(domain)))
				accounts = append(accounts, accountIn(parameters))
			}
		}
		if records { // those without "issue" restrict nothing
			return allowed, accounts
		}
	}
	return nil, nil
}

// accountIn is the account among the parameters of a CAA record; the others are the
// authority's to judge.
func accountIn(parameters string) string {
	for p := range strings.SplitSeq(parameters, ";") {
		tag, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(tag), "accounturi") {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// ask asks the servers one after the other until one says what is, or that nothing is.
func ask(ctx context.Context, servers []string, name string, kind uint16) *dns.Msg {
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), kind)
	q.SetEdns0(1232, false)
	for range 2 { // packets get lost
		for _, server := range servers {
			for _, network := range []string{"udp", "tcp"} {
				c := &dns.Client{Net: network, Timeout: 1500 * time.Millisecond}
				m, _, err := c.ExchangeContext(ctx, q, server)
				if err != nil || m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
					break
				}
				if !m.Truncated {
					return m
				}
			}
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	return nil
}
