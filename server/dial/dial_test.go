package dial

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foyer-server/foyer/internal/knock"
)

// place is where connections to a port are led; nil: refused.
type place = http.Handler

// peer is a room whose connections lead to places of the test, by port. It tells
// whom it dialled.
type peer struct {
	*Room
	mu      sync.Mutex
	dialled []netip.AddrPort
}

func newPeer(t *testing.T, cfg Config, http80, https443 place) *peer {
	t.Helper()
	p := &peer{Room: New(cfg)}
	at := map[uint16]string{}
	if http80 != nil {
		s := httptest.NewServer(http80)
		t.Cleanup(s.Close)
		at[80] = s.Listener.Addr().String()
	}
	if https443 != nil {
		s := httptest.NewTLSServer(https443)
		t.Cleanup(s.Close)
		at[443] = s.Listener.Addr().String()
	}
	p.connect = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		p.mu.Lock()
		p.dialled = append(p.dialled, to)
		p.mu.Unlock()
		if at[to.Port()] == "" {
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		}
		return (&net.Dialer{}).DialContext(ctx, "tcp", at[to.Port()])
	}
	return p
}

// ask is a question of somebody at from.
func (p *peer) ask(from, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "https://peer.example"+knock.Dial, strings.NewReader(body))
	r.RemoteAddr = from
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

func reply(t *testing.T, w *httptest.ResponseRecorder) knock.Reply {
	t.Helper()
	var got knock.Reply
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return got
}

// proving is a server that expects the nonce.
func proving(t *testing.T, nonce string) *Room {
	t.Helper()
	d := New(Config{})
	if !d.Expect(nonce) {
		t.Fatal("the nonce is not taken")
	}
	return d
}

func (d *Room) over(scheme string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !d.Proves(w, r, scheme) {
			http.NotFound(w, r)
		}
	})
}

const visitor = "81.2.69.142:40000"

func TestDialsBackWhoAsks(t *testing.T) {
	t.Parallel()
	nonce := knock.NewNonce()
	home := proving(t, nonce)
	p := newPeer(t, Config{Answer: true}, home.over("http"), home.over("https"))
	got := reply(t, p.ask(visitor, `{"nonce":"`+nonce+`","name":"cloud.example.org"}`))
	want := knock.Reply{Seen: netip.MustParseAddr("81.2.69.142"), Ports: map[int]knock.Outcome{80: knock.OK, 443: knock.OK}}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	// A nonce that was heard proves nothing a second time.
	got = reply(t, p.ask(visitor, `{"nonce":"`+nonce+`"}`))
	if got.Ports[80] != knock.Other || got.Ports[443] != knock.Other {
		t.Errorf("replayed: %v", got)
	}
}

func TestTellsHowItWent(t *testing.T) {
	t.Parallel()
	nonce := knock.NewNonce()
	question := `{"nonce":"` + nonce + `"}`
	for _, c := range []struct {
		name string
		http place
		want knock.Outcome
	}{
		{"nobody listens", nil, knock.Refused},
		{"a server that repeats what it is sent", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(strings.TrimPrefix(r.URL.Path, knock.Proof)))
		}), knock.Other},
		{"the proof, and more after it", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(knock.Answer(nonce) + strings.Repeat("x", 1<<20)))
		}), knock.Other},
		{"the proof, as an error", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(knock.Answer(nonce)))
		}), knock.Other},
		{"nobody answers in time", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), knock.Timeout},
		{"a head without an end", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 64<<10))
			_, _ = w.Write([]byte(knock.Answer(nonce)))
		}), knock.Other},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := reply(t, newPeer(t, Config{Answer: true}, c.http, nil).ask(visitor, question))
			if got.Ports[80] != c.want || got.Ports[443] != knock.Refused {
				t.Errorf("%v, want %q on port 80", got.Ports, c.want)
			}
		})
	}
}

// Whatever a question says, the address it came from is dialled, on two ports.
func TestNobodyElseIsDialled(t *testing.T) {
	t.Parallel()
	var elsewhere sync.Map
	trap := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { elsewhere.Store(r.URL.Path, true) }))
	t.Cleanup(trap.Close)
	nonce := knock.NewNonce()
	redirect := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, trap.URL+"/admin", http.StatusFound)
	})
	p := newPeer(t, Config{Answer: true}, redirect, redirect)
	for name, headers := range map[string][]string{
		"Host":            {"Host", "127.0.0.1:22"},
		"X-Forwarded-For": {"X-Forwarded-For", "10.0.0.1", "X-Forwarded-Host", "169.254.169.254"},
		"Forwarded":       {"Forwarded", "for=127.0.0.1;host=localhost"},
		"X-Real-IP":       {"X-Real-Ip", "192.168.1.1", "True-Client-Ip", "192.168.1.1"},
	} {
		if got := reply(t, p.ask(visitor, `{"nonce":"`+nonce+`","name":"localhost.localdomain"}`, headers...)); got.Ports[80] != knock.Other || got.Ports[443] != knock.Other {
			t.Errorf("%s: %v", name, got)
		}
	}
	for _, body := range []string{
		`{"nonce":"` + nonce + `","port":22}`, `{"nonce":"` + nonce + `","ports":[25]}`, `{"nonce":"` + nonce + `","seen":"127.0.0.1"}`,
		`{"nonce":"` + nonce + `","name":"127.0.0.1:22"}`, `{"nonce":"` + nonce + `","name":"a.example/x"}`, `{"nonce":"` + nonce + `","name":"a.example\r\nX: y"}`,
		`{"nonce":"../../admin"}`, `{"nonce":"` + nonce[:30] + `%2"}`, `{}`, ``, `[]`, `{"nonce":"` + strings.Repeat("0", 2<<10) + `"}`,
	} {
		if w := p.ask(visitor, body); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", body, w.Code)
		}
	}
	if w := p.ask(visitor, `{"nonce":"`+nonce+`"}`, "Content-Type", "text/plain"); w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("a form of another site: %d", w.Code)
	}
	for _, to := range p.dialled {
		if to.Addr() != netip.MustParseAddr("81.2.69.142") || to.Port() != 80 && to.Port() != 443 {
			t.Errorf("dialled %v", to)
		}
	}
	if len(p.dialled) != 8 {
		t.Errorf("dialled %d times", len(p.dialled))
	}
	elsewhere.Range(func(path, _ any) bool { t.Errorf("a redirect was followed to %v", path); return true })
}

func TestOnlyReachableAddressesAreDialled(t *testing.T) {
	t.Parallel()
	question := `{"nonce":"` + knock.NewNonce() + `"}`
	private := map[string]bool{"10.1.2.3:9": true, "192.168.1.7:9": true, "172.20.0.1:9": true, "[fd00::1]:9": true, "[::ffff:10.0.0.1]:9": true}
	for _, from := range []string{
		"10.1.2.3:9", "192.168.1.7:9", "172.20.0.1:9", "[fd00::1]:9", "[::ffff:10.0.0.1]:9",
		"127.0.0.1:9", "[::1]:9", "0.0.0.0:9", "[::]:9", "169.254.169.254:9", "[fe80::1%eth0]:9", "100.64.0.1:9", "192.0.2.1:9", "198.51.100.1:9", "203.0.113.1:9",
		"224.0.0.1:9", "255.255.255.255:9", "[ff02::1]:9", "[64:ff9b::7f00:1]:9", "[2002:7f00:1::]:9", "[2001:db8::1]:9", "[::ffff:127.0.0.1]:9", "somebody",
	} {
		for _, cfg := range []Config{{Answer: true}, {Answer: true, Private: true}} {
			p := newPeer(t, cfg, nil, nil)
			code, dialled := p.ask(from, question).Code, len(p.dialled) > 0
			if want := cfg.Private && private[from]; dialled != want || (code == http.StatusOK) != want {
				t.Errorf("%s, private networks %v: %d, dialled %v", from, cfg.Private, code, p.dialled)
			}
		}
	}
	for _, from := range []string{"81.2.69.142:9", "[2a01:e0a::1]:9", "[::ffff:81.2.69.142]:9", "81.2.69.142"} {
		if p := newPeer(t, Config{Answer: true}, nil, nil); p.ask(from, question).Code != http.StatusOK || len(p.dialled) != 2 {
			t.Errorf("%s is not dialled", from)
		}
	}
}

func TestFloodsAreNotPassedOn(t *testing.T) {
	t.Parallel()
	p := newPeer(t, Config{Answer: true}, nil, nil)
	now := time.Now()
	p.budget.now = func() time.Time { return now }
	question := `{"nonce":"` + knock.NewNonce() + `"}`
	served := func(address func(i int) string) (n int) {
		for i := range 1000 {
			w := p.ask(address(i), question)
			if w.Code == http.StatusOK {
				n++
			} else if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
				t.Fatalf("%d %v", w.Code, w.Header())
			}
		}
		return n
	}
	if n := served(func(i int) string { return netip.AddrFrom4([4]byte{81, 2, 69, byte(i)}).String() + ":9" }); n != nearBurst {
		t.Errorf("one /24 was dialled back %d times at once", n)
	}
	if n := served(func(i int) string {
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x2a, 1, 0x0e, 0x0a, 0, 0, 0, byte(i), byte(i >> 8), 15: 1}), 9).String()
	}); n != nearBurst {
		t.Errorf("one /56 was dialled back %d times at once", n)
	}
	if n := served(func(i int) string { return netip.AddrFrom4([4]byte{81, byte(i >> 8), byte(i), 1}).String() + ":9" }); n != allBurst-2*nearBurst {
		t.Errorf("everybody was dialled back %d times at once", n)
	}
	now = now.Add(time.Hour)
	if n := served(func(int) string { return visitor }); n != nearBurst {
		t.Errorf("an hour later: %d", n)
	}
	now = now.Add(nearEvery)
	if n := served(func(int) string { return visitor }); n != 1 {
		t.Errorf("after %v more: %d", nearEvery, n)
	}
}

func TestNoncesEnd(t *testing.T) {
	t.Parallel()
	now := time.Now()
	n := nonces{now: func() time.Time { return now }}
	a := knock.NewNonce()
	if n.take(a, "http") || !n.add(a) || n.add(a) || n.add("short") {
		t.Error("a nonce is made known once")
	}
	if !n.take(a, "http") || n.take(a, "http") || !n.take(a, "https") || n.take(a, "https") {
		t.Error("a nonce is good once by each scheme")
	}
	b := knock.NewNonce()
	n.add(b)
	now = now.Add(nonceLives + time.Second)
	if n.take(b, "http") {
		t.Error("a nonce outlives its time")
	}
	for range nonceMost {
		if !n.add(knock.NewNonce()) {
			t.Fatal("nonces that are over take room")
		}
	}
	if n.add(knock.NewNonce()) {
		t.Error("there is no end of nonces")
	}
}

func TestOnlyWhenWanted(t *testing.T) {
	t.Parallel()
	if New(Config{}).Here(knock.Dial) || !New(Config{Answer: true}).Here(knock.Dial) || New(Config{Answer: true}).Here("/v1/") {
		t.Error("who may ask where")
	}
	p := newPeer(t, Config{Answer: true}, nil, nil)
	r := httptest.NewRequest(http.MethodGet, knock.Dial, nil)
	r.RemoteAddr = "[2a01:e0a::7]:9"
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	if w.Code != http.StatusOK || w.Body.String() != "2a01:e0a::7" || len(p.dialled) > 0 {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}
