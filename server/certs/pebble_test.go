package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/mholt/acmez/v3/acme"
	"github.com/miekg/dns"

	"github.com/foyer-server/foyer/internal/dnsprovider"
)

// The real Pebble, Let's Encrypt's own test authority, in this process: one for
// all tests, since it never ends what it has begun. The names of home.test are in
// a real zone that takes updates signed with a key.

const (
	zoneKey    = "foyer."
	zoneSecret = "c2VjcmV0LW9mLXRoZS16b25lLWZvci10ZXN0cw=="
)

type lab struct {
	directory   string // of the authority
	rootPEM     []byte // whom its own server is trusted by
	zone        string // HOST:PORT of the DNS server
	http, https int    // ports the authority asks at
	handler     *swap  // what answers there
	dead        *flag  // set: the authority refuses to speak
}

// swap is an HTTP handler and a TLS configuration that tests put in place.
type swap struct {
	mu    sync.Mutex
	plain http.Handler
	tls   *tls.Config
}

func (s *swap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	h := s.plain
	s.mu.Unlock()
	if h == nil {
		http.NotFound(w, r)
		return
	}
	h.ServeHTTP(w, r)
}

func (s *swap) put(plain http.Handler, c *tls.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plain, s.tls = plain, c
}

type flag struct {
	mu sync.Mutex
	on bool
}

func (f *flag) set(on bool) { f.mu.Lock(); f.on = on; f.mu.Unlock() }
func (f *flag) get() bool   { f.mu.Lock(); defer f.mu.Unlock(); return f.on }

// zone answers for home.test: addresses, and what updates put there.
type zone struct {
	mu      sync.Mutex
	records []dns.RR
}

func (z *zone) ServeDNS(w dns.ResponseWriter, m *dns.Msg) {
	z.mu.Lock()
	defer z.mu.Unlock()
	r := new(dns.Msg)
	r.SetReply(m)
	r.Authoritative = true
	if m.Opcode == dns.OpcodeUpdate {
		if m.IsTsig() == nil || w.TsigStatus() != nil {
			r.Rcode = dns.RcodeRefused
		} else {
			z.update(m.Ns)
			r.SetTsig(zoneKey, dns.HmacSHA256, 300, time.Now().Unix())
		}
		_ = w.WriteMsg(r) // a client that is gone asks again
		return
	}
	q := m.Question[0]
	name := strings.ToLower(q.Name)
	switch {
	case name == "missing.home.test.":
		r.Rcode = dns.RcodeNameError
	case q.Qtype == dns.TypeA:
		rr, _ := dns.NewRR(name + " 1 IN A 127.0.0.1")
		r.Answer = append(r.Answer, rr)
	case q.Qtype == dns.TypeSOA && name == "home.test.":
		rr, _ := dns.NewRR("home.test. 1 IN SOA ns.home.test. me.home.test. 1 60 60 60 1")
		r.Answer = append(r.Answer, rr)
	case q.Qtype == dns.TypeNS && name == "home.test.":
		rr, _ := dns.NewRR("home.test. 1 IN NS ns.home.test.")
		r.Answer = append(r.Answer, rr)
	}
	for _, rr := range z.records {
		if strings.EqualFold(rr.Header().Name, name) && rr.Header().Rrtype == q.Qtype {
			r.Answer = append(r.Answer, rr)
		}
	}
	_ = w.WriteMsg(r)
}

func (z *zone) update(changes []dns.RR) {
	for _, c := range changes {
		h := c.Header()
		if h.Class == dns.ClassINET {
			z.records = append(z.records, c)
			continue
		}
		var rest []dns.RR
		for _, rr := range z.records {
			same := strings.EqualFold(rr.Header().Name, h.Name) && rr.Header().Rrtype == h.Rrtype
			if txt, ok := c.(*dns.TXT); same && ok && h.Class == dns.ClassNONE {
				same = rr.(*dns.TXT).Txt[0] == txt.Txt[0]
			}
			if !same {
				rest = append(rest, rr)
			}
		}
		z.records = rest
	}
}

var theLab = sync.OnceValues(newLab)

func openLab(t *testing.T) *lab {
	t.Helper()
	l, err := theLab()
	if err != nil {
		t.Fatal(err)
	}
	l.dead.set(false)
	l.handler.put(nil, nil)
	return l
}

func newLab() (*lab, error) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		return nil, err
	}
	z := &zone{}
	all := func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept } // the default refuses updates
	for _, s := range []*dns.Server{{Listener: tcp}, {PacketConn: udp}} {
		s.Handler, s.TsigSecret, s.MsgAcceptFunc = z, map[string]string{zoneKey: zoneSecret}, all
		go s.ActivateAndServe()
	}
	return newAuthority(tcp.Addr().String())
}

// newAuthority makes one that looks names up at a DNS server.
func newAuthority(zone string) (*lab, error) {
	os.Setenv("PEBBLE_VA_NOSLEEP", "1")
	os.Setenv("PEBBLE_WFE_NONCEREJECT", "5")
	l := &lab{handler: &swap{}, dead: &flag{}, zone: zone}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	secure, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l.http, l.https = plain.Addr().(*net.TCPAddr).Port, secure.Addr().(*net.TCPAddr).Port
	quiet := log.New(io.Discard, "", 0)
	go (&http.Server{Handler: l.handler, ErrorLog: quiet}).Serve(plain)
	go (&http.Server{Handler: l.handler, ErrorLog: quiet, TLSConfig: &tls.Config{
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			l.handler.mu.Lock()
			c := l.handler.tls
			l.handler.mu.Unlock()
			if c == nil || c.GetConfigForClient == nil {
				return c, nil
			}
			if own, err := c.GetConfigForClient(hello); own != nil || err != nil {
				return own, err
			}
			return c, nil
		},
	}}).ServeTLS(secure, "", "")

	store := db.NewMemoryStore()
	profiles := map[string]ca.Profile{"default": {ValidityPeriod: 90 * 86400}, "shortlived": {ValidityPeriod: 6 * 86400}}
	authority := ca.New(quiet, store, "", "ecdsa", 0, 1, profiles)
	front := wfe.New(quiet, store, va.New(quiet, l.http, l.https, false, l.zone, store), authority, []string{"pebble.test"}, false, false, 1, 1)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.dead.get() {
			http.Error(w, "closed today", http.StatusServiceUnavailable)
			return
		}
		front.Handler().ServeHTTP(w, r)
	}))
	srv.Config.ErrorLog = quiet
	srv.StartTLS()
	l.directory = srv.URL + wfe.DirectoryPath
	l.rootPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	return l, nil
}

// quick is a pace for people who wait.
var quick = pace{look: 100 * time.Millisecond, soon: 100 * time.Millisecond, waits: []time.Duration{100 * time.Millisecond}, rehearsal: 2 * time.Second}

// start starts certificates for names and answers at the lab's ports with them.
func (l *lab) start(t *testing.T, dir string, change func(*Config), names ...string) *Certs {
	t.Helper()
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, l.rootPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Dir: dir, Name: "lab", Addresses: names, Log: slog.New(slog.DiscardHandler),
		Public: Public{CA: l.directory, Roots: roots, HTTP: l.http, HTTPS: l.https},
	}
	if change != nil {
		change(&cfg)
	}
	tune := usual
	tune.pace = quick
	c, err := open(t.Context(), cfg, tune)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	l.handler.put(c.Challenges(http.NotFoundHandler()), c.TLSConfig())
	return c
}

// until waits until ok, or fails.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(2 * time.Minute) // what takes a second on an idle machine
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("it never came: %s", what)
		}
	}
}

// visit makes a handshake from outside by a name.
func visit(t *testing.T, l *lab, name string) *x509.Certificate {
	t.Helper()
	d := &tls.Dialer{Config: &tls.Config{ServerName: name, InsecureSkipVerify: true}}
	conn, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", itoa(l.https)))
	if err != nil {
		t.Fatalf("a handshake by %s failed: %v", name, err)
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
}

func itoa(n int) string { return (&net.TCPAddr{Port: n}).String()[1:] }

func pebbles(c *x509.Certificate) bool { return strings.Contains(c.Issuer.CommonName, "Pebble") }

func TestOrderedByHTTP(t *testing.T) {
	t.Attr("shows", "certificates")
	l := openLab(t)
	l.start(t, t.TempDir(), func(c *Config) { c.Public.HTTPS = 0 }, "www.home.test")
	until(t, "a certificate by HTTP-01", func() bool { return pebbles(visit(t, l, "www.home.test")) })
	if cert := visit(t, l, "lab.local"); pebbles(cert) {
		t.Error("a name of home is served with the authority's certificate")
	}
	t.Log("SHOW HTTP-01 at an in-process Pebble: www.home.test issued and served, names of home stay the home CA's")
}

func TestOrderedByTLS(t *testing.T) {
	t.Attr("shows", "certificates")
	l := openLab(t)
	l.start(t, t.TempDir(), func(c *Config) { c.Public.HTTP = 0 }, "tls.home.test")
	until(t, "a certificate by TLS-ALPN-01", func() bool { return pebbles(visit(t, l, "tls.home.test")) })
	t.Log("SHOW TLS-ALPN-01: tls.home.test issued and served, port 80 closed")
}

func TestOrderedByDNS(t *testing.T) {
	t.Attr("shows", "certificates")
	l := openLab(t)
	p, err := dnsprovider.Open("rfc2136", map[string]string{"server": l.zone, "key_name": zoneKey, "key": zoneSecret})
	if err != nil {
		t.Fatal(err)
	}
	c := l.start(t, t.TempDir(), func(c *Config) { c.Public.DNS, c.Public.Resolvers = p, []string{l.zone} }, "*.home.test")
	until(t, "a wildcard by DNS-01", func() bool { return pebbles(visit(t, l, "any.home.test")) })
	if s := c.Served(t.Context()); len(s) != 1 || s[0].Home || s[0].Ends.IsZero() {
		t.Errorf("told of it: %+v", s)
	}
	t.Log("SHOW DNS-01 wildcard through rfc2136 with TSIG, a zone of the test's own: *.home.test issued and served")
}

func TestOrderedForAnAddress(t *testing.T) {
	t.Attr("shows", "certificates")
	l := openLab(t)
	c := l.start(t, t.TempDir(), nil, "127.0.0.1")
	until(t, "a certificate for an address", func() bool { return c.public.find("127.0.0.1") != nil })
	cert := visit(t, l, "")
	if !pebbles(cert) || cert.VerifyHostname("127.0.0.1") != nil || time.Until(cert.NotAfter) > 7*day {
		t.Errorf("served: %v until %s", cert.IPAddresses, cert.NotAfter)
	}
	t.Logf("SHOW IP address in the profile shortlived: 127.0.0.1 issued for %.0f hours and served to who names nobody", cert.NotAfter.Sub(cert.NotBefore).Hours())
}

func TestFailuresInWords(t *testing.T) {
	t.Attr("shows", "certificates")
	l := openLab(t)
	for kind, c := range map[string]struct {
		name   string
		change func(*Config)
		plain  http.Handler
	}{
		"refused":      {name: "missing.home.test"}, // Pebble has no word of its own for a name that is nowhere
		"connection":   {name: "closed.home.test", change: func(c *Config) { c.Public.HTTPS = 0 }, plain: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })},
		"unauthorized": {name: "other.home.test", change: func(c *Config) { c.Public.HTTPS = 0 }, plain: http.NotFoundHandler()},
		"dns-missing":  {name: "*.wild.test"},
	} {
		t.Run(kind, func(t *testing.T) {
			certs := l.start(t, t.TempDir(), c.change, c.name)
			if c.plain != nil {
				l.handler.put(c.plain, nil)
			}
			var f *Failure
			until(t, "a failure", func() bool { f = certs.public.failure(c.name); return f != nil && f.Kind != "held-back" })
			if f.Kind != kind || kind == "refused" && !strings.Contains(f.Do.EN, f.Reason) || f.What.FR == "" || f.Do.EN == "" || !strings.Contains(f.What.EN+f.Do.EN, c.name) {
				t.Errorf("%+v", f)
			}
			if served := certs.Served(t.Context()); !strings.HasPrefix(c.name, "*.") && !served[0].Home {
				t.Errorf("meanwhile is served %+v", served)
			}
			t.Logf("SHOW failure at Pebble, %s: %q", kind, f.What.EN)
		})
	}
}

func TestEveryProblemHasWords(t *testing.T) {
	t.Attr("shows", "certificates")
	for problem, kind := range map[string]string{
		acme.ProblemTypeConnection: "connection", acme.ProblemTypeTLS: "connection", acme.ProblemTypeDNS: "dns", acme.ProblemTypeCAA: "caa",
		acme.ProblemTypeUnauthorized: "unauthorized", acme.ProblemTypeRateLimited: "rate-limited", acme.ProblemTypeServerInternal: "refused",
	} {
		f := explain("www.home.test", "Let's Encrypt", fmt.Errorf("order: %w", acme.Problem{Type: problem, Detail: "its own words"}))
		if f.Kind != kind || f.Reason != "its own words" || f.What.EN == "" || f.What.FR == "" || f.Do.EN == "" || f.Do.FR == "" {
			t.Errorf("%s: %+v", problem, f)
		}
		t.Logf("SHOW failure in words, %s: %q, %q", kind, f.What.EN, f.Do.EN)
	}
}

// What is ordered from the authority everybody trusts, from one of the owner's own, and
// from none.
func TestWhatIsOrdered(t *testing.T) {
	own := Public{CA: "https://ca.jeannine.fr/directory"}
	for name, want := range map[string]struct{ public, own bool }{
		"cloud.jeannine.fr": {true, true}, "*.jeannine.fr": {true, true}, "81.2.69.142": {true, true}, "2a01:e0a::9": {true, true},
		"foyer.local": {}, "nas.lan": {}, "nas.home.arpa": {}, "db.internal": {}, "nas.home": {}, "nas.fritz.box": {}, "nas": {},
		"192.168.1.9": {}, "fd00::1": {}, "100.64.1.2": {}, "169.254.1.2": {}, "224.0.0.1": {}, "localhost": {},
		"cloud.example": {own: true}, "cloud.test": {own: true}, "a.onion": {own: true}, "a.localhost": {own: true}, "203.0.113.9": {own: true}, "2001:db8::9": {own: true}, "127.0.0.1": {own: true}, "::1": {own: true},
	} {
		if got := (Public{}).Orders(name); got != want.public {
			t.Errorf("%s: %v", name, got)
		}
		if got := own.Orders(name); got != want.own {
			t.Errorf("%s, from an authority of one's own: %v", name, got)
		}
		if (Public{CA: "off"}).Orders(name) {
			t.Errorf("%s is ordered from nobody", name)
		}
	}
}

// Names of members are names of the Internet: below a domain of home, or one set aside,
// nobody's certificate is ordered, however often somebody asks.
func TestMembersBelowNoPublicDomainHaveNoNames(t *testing.T) {
	own := Public{CA: "https://127.0.0.1:1/directory", Rehearse: "off"} // where nobody answers
	for _, c := range []struct {
		domain string
		from   Public
		want   bool
	}{
		{"members.home.arpa", Public{}, false},
		{"members.fritz.box", Public{}, false},
		{"members.example", Public{}, false},
		{"members.jeannine.fr", Public{CA: "off"}, false},
		{"members.home.arpa", own, false},
		{"members.example", own, true},
		{"members.jeannine.fr", own, true},
	} {
		got, err := New(t.Context(), Config{
			Dir: t.TempDir(), Name: "foyer", Public: c.from, Log: slog.New(slog.DiscardHandler),
			Members: Members{Domain: c.domain, Is: func(context.Context, string) bool { return true }},
		})
		if err != nil {
			t.Fatal(err)
		}
		if has := got.members != nil; has != c.want {
			t.Errorf("%+v: %v", c, has)
		}
		got.Close()
	}
}

// An address is ordered, and found, in the one form that handshakes know, however the
// settings write it.
func TestAddressesAreOrderedAsHandshakesKnowThem(t *testing.T) {
	c, err := New(t.Context(), Config{
		Dir: t.TempDir(), Name: "foyer", Public: Public{CA: "https://127.0.0.1:1/directory", Rehearse: "off"}, Log: slog.New(slog.DiscardHandler),
		Addresses: []string{"2A01:0E0A::0001", "::ffff:81.2.69.142", "Cloud.Jeannine.fr"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if want := []string{"2a01:e0a::1", "81.2.69.142", "cloud.jeannine.fr"}; !slices.Equal(c.ordered, want) {
		t.Errorf("ordered: %q", c.ordered)
	}
}

// What an owner brought is served, told of in words when it is of no use, and
// taken up when it changes.
func TestOwnCertificate(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	put := func(name string, ends time.Time, other bool) {
		t.Helper()
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name}, NotBefore: time.Now().Add(-100 * day), NotAfter: ends}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		if other {
			if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
				t.Fatal(err)
			}
		}
		keyDER, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		for path, b := range map[string]*pem.Block{keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}, certFile: {Type: "CERTIFICATE", Bytes: der}} {
			if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	l := openLab(t)
	put("mine.example", now().Add(30*day), false)
	c := l.start(t, t.TempDir(), func(c *Config) { c.Public.CA, c.CertFile, c.KeyFile = "off", certFile, keyFile }, "mine.example")
	first := visit(t, l, "mine.example")
	if !first.NotAfter.Before(now().Add(31*day)) || c.ownFail.Load() != nil {
		t.Fatalf("served until %s; %v", first.NotAfter, c.ownFail.Load())
	}
	put("mine.example", now().Add(40*day), false)
	until(t, "the new one", func() bool { return visit(t, l, "mine.example").SerialNumber.Cmp(first.SerialNumber) != 0 })
	fails := func(kind string) {
		t.Helper()
		until(t, kind, func() bool { f := c.ownFail.Load(); return f != nil && f.Kind == kind })
	}
	put("mine.example", now().Add(40*day), true)
	fails("own-mismatch")
	if got := visit(t, l, "mine.example"); got.NotAfter.Before(now().Add(39 * day)) {
		t.Error("a pair that does not fit has replaced one that did")
	}
	put("foreign.example", now().Add(40*day), false)
	fails("own-foreign")
	put("mine.example", time.Now().Add(-day), false)
	fails("own-over")
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	fails("own-unreadable")
}

func TestDeadAuthorityAndBack(t *testing.T) {
	t.Attr("shows", "certificates")
	l := openLab(t)
	l.dead.set(true)
	c := l.start(t, t.TempDir(), nil, "back.home.test")
	until(t, "a word that it is dead", func() bool { f := c.public.failure("back.home.test"); return f != nil && f.Kind == "unreachable" })
	if pebbles(visit(t, l, "back.home.test")) {
		t.Fatal("a dead authority issued")
	}
	l.dead.set(false)
	until(t, "the way back", func() bool { return pebbles(visit(t, l, "back.home.test")) })
	until(t, "the end of the complaint", func() bool { return c.public.failure("back.home.test") == nil })
	t.Log("SHOW dead authority: the home CA serves, unreachable is said, and when it is back its certificate is served")
}

// A renewal is really served, and nobody who comes meanwhile is turned away.
func TestRenewalUnderLoad(t *testing.T) {
	t.Attr("shows", "certificates")
	l := openLab(t)
	c := l.start(t, t.TempDir(), nil, "new.home.test")
	until(t, "the first one", func() bool { return pebbles(visit(t, l, "new.home.test")) })
	first := visit(t, l, "new.home.test").SerialNumber
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var shaken atomic.Int64
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				conn, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", itoa(l.https)), &tls.Config{ServerName: "new.home.test", InsecureSkipVerify: true})
				if err != nil {
					t.Error(err)
					return
				}
				if !pebbles(conn.ConnectionState().PeerCertificates[0]) {
					t.Error("a visitor fell back to the home CA")
				}
				shaken.Add(1)
				conn.Close()
			}
		})
	}
	err := c.public.attend(t.Context(), "new.home.test", true)
	stop()
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if visit(t, l, "new.home.test").SerialNumber.Cmp(first) == 0 {
		t.Error("the old one is served after a renewal")
	}
	t.Logf("SHOW forced renewal under load: %d handshakes meanwhile, one failed: %t; the new one is really served", shaken.Load(), t.Failed())
}

// However often the server is started, the authority is not asked more often.
func TestRestartsStayWithinTheBudget(t *testing.T) {
	t.Attr("shows", "certificates")
	l := openLab(t)
	dir := t.TempDir()
	for range 5 {
		t.Run("", func(t *testing.T) {
			c := l.start(t, dir, func(c *Config) { c.Public.HTTPS = 0 }, "missing.home.test")
			until(t, "a failure", func() bool { return c.public.failure("missing.home.test") != nil })
		})
	}
	c := l.start(t, dir, nil, "missing.home.test")
	until(t, "a word that it waits", func() bool {
		f := c.public.failure("missing.home.test")
		return f != nil && f.Kind == "held-back"
	})
	data, err := os.ReadFile(filepath.Join(dir, ordersKey))
	if n := strings.Count(string(data), "T"); err != nil || n != c.public.budget.hour {
		t.Errorf("%d orders: %s, %v", n, data, err)
	}
	t.Logf("SHOW restart loop: 6 starts, %d orders of a name that fails, the budget of an hour; then it is held back", c.public.budget.hour)
}

func TestClock(t *testing.T) {
	l := openLab(t)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(l.rootPEM) {
		t.Fatal("the authority's root is none")
	}
	for year, kind := range map[int]string{1970: "clock", 2069: "clock", 2400: "clock", 0: ""} {
		k := &clock{directory: l.directory, roots: roots, now: func() time.Time {
			if year == 0 {
				return time.Now()
			}
			return time.Date(year, 5, 1, 0, 0, 0, 0, time.UTC)
		}}
		err := k.check(t.Context())
		f, _ := err.(*Failure)
		if kind == "" && err != nil || kind != "" && (f == nil || f.Kind != kind) {
			t.Errorf("in %d: %v", year, err)
		}
		if k.believed() != (kind == "") {
			t.Errorf("in %d it is believed: %v", year, k.believed())
		}
	}
}
