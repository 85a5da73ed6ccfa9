package neighbourhood

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"github.com/foyer-server/foyer/internal/pause"
)

// How long what was said may be believed (RFC 6762 §10), and the bit that says
// that there is no other such record.
const (
	hostTTL  = 120
	otherTTL = 4500
	flush    = uint16(1 << 15)
)

// answer is Foyer's own responder: it answers on every link until ctx ends or
// something changes.
func (a *Announcer) answer(ctx context.Context, links []link) error {
	g, ctx := errgroup.WithContext(ctx)
	var mouths []*mouth
	var why error
	for _, l := range links {
		for _, f := range families() {
			m, err := openMouth(f, l, newZone(a.cfg.Name, a.cfg.Port, l))
			if err != nil { // no IPv6 here
				why = err
				continue
			}
			mouths = append(mouths, m)
		}
	}
	if len(mouths) == 0 {
		return fmt.Errorf("cannot open the port of multicast DNS: %w", why)
	}
	for _, m := range mouths {
		g.Go(func() error { return m.listen(ctx) })
		g.Go(func() error { return m.announce(ctx) })
	}
	a.become(state{kind: byItself})
	g.Go(func() error {
		return a.watch(ctx, links, func(ctx context.Context) bool {
			bus, err := a.avahi(ctx)
			if err == nil {
				bus.Close()
			}
			return err == nil // it has come since
		})
	})
	return g.Wait()
}

// zone is what Foyer says of itself on one link.
type zone struct {
	host, service, instance string // fully qualified
	records                 []dns.RR
}

func newZone(name string, port int, l link) zone {
	z := zone{host: name + ".local.", service: "_https._tcp.local.", instance: name + "._https._tcp.local."}
	head := func(name string, kind uint16, ttl uint32) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
	}
	types := []uint16{}
	for _, p := range l.nets {
		ip := net.IP(p.Addr().AsSlice())
		if p.Addr().Is4() {
			z.records = append(z.records, &dns.A{Hdr: head(z.host, dns.TypeA, hostTTL), A: ip})
			types = append(types, dns.TypeA)
		} else {
			z.records = append(z.records, &dns.AAAA{Hdr: head(z.host, dns.TypeAAAA, hostTTL), AAAA: ip})
			types = append(types, dns.TypeAAAA)
		}
	}
	slices.Sort(types)
	z.records = append(
		z.records,
		&dns.NSEC{Hdr: head(z.host, dns.TypeNSEC, hostTTL), NextDomain: z.host, TypeBitMap: slices.Compact(types)},
		&dns.PTR{Hdr: head("_services._dns-sd._udp.local.", dns.TypePTR, otherTTL), Ptr: z.service},
		&dns.PTR{Hdr: head(z.service, dns.TypePTR, otherTTL), Ptr: z.instance},
		&dns.SRV{Hdr: head(z.instance, dns.TypeSRV, hostTTL), Port: uint16(port), Target: z.host},
		&dns.TXT{Hdr: head(z.instance, dns.TypeTXT, otherTTL), Txt: []string{"path=/"}},
	)
	return z
}

// find returns what answers a question. A type the host has no record of is
// answered by NSEC, so that nobody waits for it in vain (RFC 6762 §6.1).
func (z zone) find(q dns.Question) []dns.RR {
	var out []dns.RR
	var none dns.RR
	for _, rr := range z.records {
		h := rr.Header()
		if !strings.EqualFold(h.Name, q.Name) {
			continue
		}
		switch {
		case h.Rrtype == q.Qtype || q.Qtype == dns.TypeANY:
			out = append(out, rr)
		case h.Rrtype == dns.TypeNSEC:
			none = rr
		}
	}
	if len(out) == 0 && none != nil {
		return []dns.RR{none}
	}
	return out
}

// reply makes the answer to a query, or nil when there is nothing to say: what the
// one who asks knows already is left out (RFC 6762 §7.1).
func (z zone) reply(query *dns.Msg) *dns.Msg {
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}}
	known := func(rr dns.RR) bool {
		return slices.ContainsFunc(query.Answer, func(k dns.RR) bool {
			return dns.IsDuplicate(k, rr) && k.Header().Ttl >= rr.Header().Ttl/2
		})
	}
	add := func(to *[]dns.RR, rrs []dns.RR) {
		for _, rr := range rrs {
			if !slices.Contains(m.Answer, rr) && !slices.Contains(*to, rr) && !known(rr) {
				*to = append(*to, rr)
			}
		}
	}
	for _, q := range query.Question {
		if q.Qclass &^= flush; q.Qclass == dns.ClassINET || q.Qclass == dns.ClassANY {
			add(&m.Answer, z.find(q))
		}
	}
	if len(m.Answer) == 0 {
		return nil
	}
	for _, rr := range m.Answer { // what they will ask next
		switch rr := rr.(type) {
		case *dns.PTR:
			add(&m.Extra, z.find(dns.Question{Name: rr.Ptr, Qtype: dns.TypeANY}))
			add(&m.Extra, z.find(dns.Question{Name: z.host, Qtype: dns.TypeANY}))
		case *dns.SRV:
			add(&m.Extra, z.find(dns.Question{Name: z.host, Qtype: dns.TypeANY}))
		}
	}
	return m
}

// everything is what is said unasked; with ttl 0 it is a goodbye.
func (z zone) everything(goodbye bool) *dns.Msg {
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}}
	for _, rr := range z.records {
		rr = dns.Copy(rr)
		if goodbye {
			rr.Header().Ttl = 0
		}
		m.Answer = append(m.Answer, rr)
	}
	return m
}

// marked is m with the bit that there are no other such records, where it is so.
func marked(m *dns.Msg) *dns.Msg {
	m = m.Copy()
	for _, rr := range append(append([]dns.RR{}, m.Answer...), m.Extra...) {
		if rr.Header().Rrtype != dns.TypePTR {
			rr.Header().Class |= flush
		}
	}
	return m
}

// mouth speaks and hears multicast DNS on one link, in one family.
type mouth struct {
	f    family
	l    link
	z    zone
	conn *net.UDPConn
}

func openMouth(f family, l link, z zone) (*mouth, error) {
	conn, err := net.ListenMulticastUDP(f.network, &l.ifi, f.to(l))
	if err != nil {
		return nil, err
	}
	if err := f.sendsOn(conn, l); err != nil {
		conn.Close()
		return nil, err
	}
	return &mouth{f, l, z, conn}, nil
}

// announce says everything twice, one second apart (RFC 6762 §8.3), and goodbye
// when ctx ends; then the mouth is shut.
func (m *mouth) announce(ctx context.Context) error {
	defer m.conn.Close()
	m.say(m.z.everything(false), m.f.to(m.l))
	if pause.For(ctx, time.Second) {
		m.say(m.z.everything(false), m.f.to(m.l))
		<-ctx.Done()
	}
	m.say(m.z.everything(true), m.f.to(m.l))
	return nil
}

// say sends a message; what gets lost is asked for again.
func (m *mouth) say(msg *dns.Msg, to *net.UDPAddr) {
	if packet, err := marked(msg).Pack(); err == nil {
		m.conn.WriteTo(packet, to) //nolint:errcheck // as above
	}
}

// listen answers until the mouth is shut; it returns a takenError when another
// machine answers to our name.
func (m *mouth) listen(ctx context.Context) error {
	read := m.f.reader(m.conn, m.l)
	buf := make([]byte, 9000)
	for {
		n, from, err := read(buf)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return errChanged // the link is gone
		}
		var query dns.Msg
		if query.Unpack(buf[:n]) != nil || query.Opcode != dns.OpcodeQuery || !m.l.has(from.AddrPort().Addr()) {
			continue
		}
		if query.Response {
			if addrs := addressesIn(&query, m.z.host); len(addrs) > 0 && !own(addrs) && ctx.Err() == nil {
				return takenError{plainest(addrs)}
			}
			continue
		}
		m.answer(&query, from)
	}
}

// answer replies to everybody, or to the one who asks if they want it so or do
// not speak from the port of multicast DNS (RFC 6762 §5.4, §6.7).
func (m *mouth) answer(query *dns.Msg, from *net.UDPAddr) {
	reply := m.z.reply(query)
	if reply == nil {
		return
	}
	if from.Port != m.f.group.Port { // a plain DNS answer
		reply = reply.Copy()
		reply.Id, reply.Question = query.Id, query.Question
		for _, rr := range append(append([]dns.RR{}, reply.Answer...), reply.Extra...) {
			rr.Header().Ttl = min(rr.Header().Ttl, 10)
		}
		if packet, err := reply.Pack(); err == nil {
			m.conn.WriteTo(packet, from) //nolint:errcheck // they ask again
		}
		return
	}
	for _, q := range query.Question {
		if q.Qclass&flush == 0 {
			m.say(reply, m.f.to(m.l))
			return
		}
	}
	m.say(reply, from)
}
