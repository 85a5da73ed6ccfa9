package reach

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/foyer-server/foyer/internal/knock"
	"github.com/foyer-server/foyer/supervisor/router"
)

// nameserver answers with these records, and says that there is nothing else.
func nameserver(t *testing.T, records ...string) string {
	t.Helper()
	var all []dns.RR
	for _, r := range records {
		rr, err := dns.NewRR(r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rr)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	s := &dns.Server{PacketConn: conn, NotifyStartedFunc: func() { close(ready) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		for _, rr := range all {
			if strings.EqualFold(rr.Header().Name, q.Question[0].Name) && rr.Header().Rrtype == q.Question[0].Qtype {
				m.Answer = append(m.Answer, rr)
			}
		}
		if len(m.Answer) == 0 {
			m.Rcode = dns.RcodeNameError
		}
		if err := w.WriteMsg(m); err != nil {
			t.Error(err)
		}
	})}
	ended := make(chan error, 1)
	go func() { ended <- s.ActivateAndServe() }()
	<-ready
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return conn.LocalAddr().String()
}

func TestLooksUpNames(t *testing.T) {
	t.Parallel()
	server := nameserver(t,
		"cloud.example.org. 60 IN A 81.2.69.142", "cloud.example.org. 60 IN AAAA 2a01:e0a::7", "v4.example.org. 60 IN A 81.2.69.142",
		`example.org. 60 IN CAA 0 issue "Letsencrypt.org; validationmethods=http-01"`, `example.org. 60 IN CAA 0 issuewild ";"`, `deep.cloud.example.org. 60 IN A 81.2.69.142`,
		`own.example.org. 60 IN CAA 0 issue ";"`, `v4.example.org. 60 IN CAA 0 issue "letsencrypt.org; validationmethods=dns-01 ; AccountURI = https://ca.example/acct/1"`, `mail.example.org. 60 IN CAA 0 iodef "mailto:a@example.org"`)
	dead, err := net.ListenPacket("udp", "127.0.0.1:0") // takes questions and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	s := Situation{Names: []string{"cloud.example.org", "v4.example.org", "none.example.org", "own.example.org", "mail.example.org", "deep.cloud.example.org"}, Resolvers: []string{server}}
	got, silent := s.lookUp(t.Context())
	a, caa, every := []netip.Addr{home4}, []string{"letsencrypt.org"}, []string{""}
	want := []Name{
		{Name: "cloud.example.org", A: a, AAAA: []netip.Addr{home6}, CAA: caa, Accounts: every},
		{Name: "v4.example.org", A: a, CAA: caa, Accounts: []string{"https://ca.example/acct/1"}},
		{Name: "none.example.org", CAA: caa, Accounts: every},
		{Name: "own.example.org", CAA: []string{""}, Accounts: every},
		{Name: "mail.example.org"},
		{Name: "deep.cloud.example.org", A: a, CAA: caa, Accounts: every},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); silent || diff != "" {
		t.Errorf("silent %v: %s", silent, diff)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	s.Resolvers = []string{dead.LocalAddr().String()}
	if got, silent := s.lookUp(ctx); !silent || !got[0].Failed {
		t.Errorf("nobody answers: %v, silent %v", got, silent)
	}
	if _, silent := (&Situation{Resolvers: s.Resolvers}).lookUp(ctx); silent {
		t.Error("nobody was asked, and is silent")
	}
}

// elsewhere is a Foyer of the test that dials back, and its roots; its certificate
// holds from now on for a month.
func elsewhere(t *testing.T, dial http.HandlerFunc) (url string, roots *x509.CertPool) {
	t.Helper()
	mux := http.NewServeMux()
	if dial != nil {
		mux.HandleFunc("POST "+knock.Dial, dial)
	}
	return serves(t, mux)
}

// serves is a server of the test, by which a Foyer elsewhere tells that it lives.
func serves(t *testing.T, mux *http.ServeMux) (url string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "peer"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 1, 0),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	mux.HandleFunc("GET "+heartbeat, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	mux.HandleFunc("GET /directory", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"newOrder":"x","meta":{"caaIdentities":["ca.example","ca.example.net"]}}`)
	})
	s := httptest.NewUnstartedServer(mux)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	roots = x509.NewCertPool()
	roots.AddCert(leaf)
	return s.URL, roots
}

// With a wrong clock the peer's certificate looks over or not begun, and the time is
// had from it all the same; a stranger's certificate is never believed.
func TestAsksElsewhereForTheTime(t *testing.T) {
	t.Parallel()
	url, roots := elsewhere(t, nil)
	for _, year := range []int{1970, 2026, 2069} {
		s := Situation{Peer: url, CA: url + "/directory", Issuer: "else", Names: []string{"a.example.org"}, Roots: roots, Now: func() time.Time { return time.Date(year, 12, 1, 0, 0, 0, 0, time.UTC) }}
		at, issuers := s.elsewhere(t.Context())
		if time.Since(at).Abs() > time.Minute || !slices.Equal(issuers, []string{"ca.example", "ca.example.net"}) {
			t.Errorf("in %d: %v, %q", year, at, issuers)
		}
		s.Roots = x509.NewCertPool()
		if at, issuers := s.elsewhere(t.Context()); !at.IsZero() || !slices.Equal(issuers, []string{"else"}) {
			t.Errorf("a stranger is believed: %v, %q", at, issuers)
		}
	}
}

func TestAsksToBeDialledBack(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var expected []string
	expect := func(_ context.Context, nonce string) error {
		mu.Lock()
		defer mu.Unlock()
		expected = append(expected, nonce)
		return nil
	}
	say := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var q knock.Request
			mu.Lock()
			defer mu.Unlock()
			if err := json.NewDecoder(r.Body).Decode(&q); err != nil || !slices.Contains(expected, q.Nonce) || q.Name != "cloud.example.org" || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("asked %+v, %v", q, err)
			}
			_, _ = io.WriteString(w, text)
		}
	}
	for text, good := range map[string]bool{
		`{"seen":"81.2.69.142","ports":{"80":"ok","443":"timeout"}}`: true,
		`{"seen":"2a01:e0a::7","ports":{"80":"ok","443":"ok"}}`:      false, // that was not IPv4
		`{"seen":"","ports":{"80":"ok","443":"ok"}}`:                 false,
		`{"seen":"81.2.69.142","ports":{"80":"ok"}}`:                 false,
		`{"seen":"81.2.69.142","ports":{"80":"ok","443":"fine"}}`:    false,
		`<html>`: false,
		``:       false,
	} {
		url, roots := elsewhere(t, say(text))
		s := Situation{Peer: url, Roots: roots, Expect: expect}
		o := s.peer().outside(t.Context(), "tcp4", "cloud.example.org", expect)
		if got := o.Ports != nil && o.Error == ""; got != good || good && (o.Seen != home4 || o.opens() || !o.opensAny() || !o.shut(443)) {
			t.Errorf("%s: %+v", text, o)
		}
	}
	url, roots := elsewhere(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/v1/", http.StatusTemporaryRedirect)
	})
	s := Situation{Peer: url, Roots: roots, Expect: expect}
	if in, err := s.GetsIn(t.Context()); err == nil || in {
		t.Error("a peer that does not dial back has tried")
	}
	s.Roots = x509.NewCertPool()
	if o := s.peer().outside(t.Context(), "tcp4", "", expect); o.Error == "" {
		t.Error("a stranger's word is taken")
	}
}

// What the router says is certain when the peer sees it, too, and only then.
func TestThePeerConfirmsTheAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]*router.Doubt{
		"81.2.69.142":  nil,
		"81.9.9.9":     {Other: addr("81.9.9.9")},
		"2a01:e0a::7":  {Other: home6},
		"":             {},
		"<html>":       {},
		"81.2.69.142 ": nil,
	} {
		mux := http.NewServeMux()
		mux.HandleFunc("GET "+knock.Dial, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
		url, roots := serves(t, mux)
		s := Situation{Peer: url, Roots: roots}
		err := s.Confirm(t.Context(), home4)
		doubt, ok := errors.AsType[*router.Doubt](err)
		switch {
		case want == nil && err != nil, want != nil && !ok:
			t.Errorf("%q: %v", text, err)
		case want != nil && (doubt.Other != want.Other || doubt.Witness == "" || (doubt.Err != nil) == want.Other.IsValid()):
			t.Errorf("%q: %+v", text, doubt)
		}
		s.Roots = x509.NewCertPool()
		if doubt, ok := errors.AsType[*router.Doubt](s.Confirm(t.Context(), home4)); !ok || doubt.Err == nil {
			t.Error("a stranger's word is taken")
		}
	}
	if err := (&Situation{}).Confirm(t.Context(), home4); err == nil {
		t.Error("nobody was asked, and it is certain")
	}
}

func TestAPortalIsNoPeer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"the peer": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }, ""},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://login.example/", http.StatusFound)
		}, "302 Found"},
		"a page": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>Welcome") }, "another page"},
		"511":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNetworkAuthenticationRequired) }, "511 Network Authentication Required"},
	} {
		s := httptest.NewServer(c.answer)
		t.Cleanup(s.Close)
		if got := plain(t.Context(), s.URL); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := plain(t.Context(), "http://127.0.0.1:1"); got != "" {
		t.Errorf("nobody: %q", got)
	}
	if got := (&Situation{Peer: "https://127.0.0.1:8443"}).peer().portal(t.Context()); got != "" {
		t.Errorf("a peer on a port of its own has no plain HTTP: %q", got)
	}
}

// A machine whose server runs, and one where another program has the port.
func TestLooksAtItsOwnDoors(t *testing.T) {
	t.Parallel()
	var known sync.Map
	proof := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nonce := strings.TrimPrefix(r.URL.Path, knock.Proof)
		if _, ok := known.Load(nonce); !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, knock.Answer(nonce))
	})
	http80, https443 := httptest.NewServer(proof), httptest.NewTLSServer(proof)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) }))
	for _, s := range []*httptest.Server{http80, https443, other} {
		t.Cleanup(s.Close)
	}
	port := func(s *httptest.Server) int { return s.Listener.Addr().(*net.TCPAddr).Port }
	expect := func(_ context.Context, nonce string) error { known.Store(nonce, true); return nil }
	s := Situation{HTTP: port(http80), HTTPS: port(https443), Expect: expect}
	if d := s.doors(t.Context()); d[0].Outcome != knock.OK || d[1].Outcome != knock.OK || (&Facts{Doors: d}).otherProgram() != nil {
		t.Errorf("%+v", d)
	}
	s.HTTP = port(other)
	if d := s.doors(t.Context()); d[0].Outcome != knock.Other || (&Facts{Doors: d}).otherProgram() == nil || (&Facts{Doors: d}).otherProgram().Port != s.HTTP {
		t.Errorf("%+v", d)
	}
	s.Proxied = true
	if d := s.doors(t.Context()); d != nil {
		t.Errorf("a proxy has the ports: %+v", d)
	}
}

func TestLetsTheServerKnow(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	nonce := knock.NewNonce()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text, _ := io.ReadAll(r.Body); r.URL.Path != knock.Local || string(text) != nonce {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	if err := Expect(socket)(t.Context(), nonce); err != nil {
		t.Error(err)
	}
	if Expect(socket)(t.Context(), "other") == nil || Expect(socket+"x")(t.Context(), nonce) == nil {
		t.Error("a server that knows no nonce, or none at all, is taken for one that does")
	}
}

// Everything hangs, and it is over in time.
func TestExamineIsOverInTime(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dead, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	at := l.Addr().String()
	begin := time.Now()
	d := Examine(t.Context(), Situation{
		Names: []string{"cloud.example.org"}, HTTP: l.Addr().(*net.TCPAddr).Port, HTTPS: l.Addr().(*net.TCPAddr).Port,
		Peer: "https://" + at, CA: "https://" + at, Resolvers: []string{dead.LocalAddr().String()}, Built: built,
		Expect: func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() },
	})
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("took %v", took)
	}
	if d.Cause == "" || d.What.IsZero() {
		t.Errorf("nothing is wrong: %+v", d)
	}
}
