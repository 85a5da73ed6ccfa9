// Package dial tells other Foyers whether visitors get in at their place: it dials
// them back (docs/reach.md). And it answers when this Foyer is the one that is
// dialled.
//
// It hides who may be dialled, how often, and what is said of it. Whoever asks is
// dialled at the address their question came from, on the ports 80 and 443, and
// told for each how it went and nothing of what was answered.
//
// Threat model. Anybody may ask. A Foyer that dials on demand could be made to
// knock at doors that are closed to the asker, or to add its packets to a flood;
// hence: no address, no port and no path is ever taken from a question; addresses
// that are not reachable from everywhere are not dialled (unless the owner wants
// their own network's to be); no redirect is followed; little is read and within
// little time; neighbours together (a /24, a /56) have a budget, and so have all
// together. A question is JSON by its content type, which no other site's page can
// send from somebody's browser. A nonce is answered only when this server's
// supervisor made it, for a minute, once by HTTP and once by HTTPS; any other one is
// answered like a path that is not there.
//
// Used by package server.
package dial

import (
	"context"
	"encoding/json"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/knock"
	"github.com/foyer-server/foyer/internal/netname"
)

// Config says whom to dial.
type Config struct {
	Answer  bool // dial others back at all
	Private bool // those in private networks, too
}

// Room is both sides. Use New. It is safe for concurrent use.
type Room struct {
	cfg    Config
	nonces nonces
	budget budget
	busy   chan struct{} // those being dialled now
	// connect opens a connection; tests lead it elsewhere.
	connect func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
}

const (
	atOnce      = 16              // so many are dialled at once
	connectTime = 3 * time.Second // two attempts of TCP
	dialTime    = 6 * time.Second // for one port, with all that follows
	largest     = 1 << 10         // of a question, in bytes
)

// New returns a Room that has dialled nobody yet.
func New(cfg Config) *Room {
	return &Room{
		cfg: cfg, nonces: nonces{now: time.Now}, budget: budget{now: time.Now}, busy: make(chan struct{}, atOnce),
		connect: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			return (&net.Dialer{Timeout: connectTime}).DialContext(ctx, "tcp", to.String())
		},
	}
}

// Expect makes a nonce known that this server's supervisor has made.
func (d *Room) Expect(nonce string) bool { return d.nonces.add(nonce) }

// Proves answers r if it asks for a nonce that is expected over its scheme, and
// reports whether it did.
func (d *Room) Proves(w http.ResponseWriter, r *http.Request, scheme string) bool {
	nonce, ok := strings.CutPrefix(r.URL.Path, knock.Proof)
	if !ok || r.Method != http.MethodGet || !d.nonces.take(nonce, scheme) {
		return false
	}
	say(w, http.StatusOK, "text/plain; charset=utf-8", knock.Answer(nonce))
	return true
}

// Here reports whether path is where others ask to be dialled, and they may.
func (d *Room) Here(path string) bool { return d.cfg.Answer && path == knock.Dial }

// ServeHTTP implements http.Handler for the path of Here. The visitor is who
// r.RemoteAddr says; trusted proxies have been heard before.
func (d *Room) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	visitor, err := netip.ParseAddrPort(r.RemoteAddr)
	seen := visitor.Addr().Unmap().WithZone("")
	if err != nil { // behind a proxy, without a port
		seen, err = netip.ParseAddr(r.RemoteAddr)
		seen = seen.Unmap().WithZone("")
	}
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, "no address")
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		say(w, http.StatusOK, "text/plain; charset=utf-8", seen.String())
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "GET, HEAD, POST")
		refuse(w, http.StatusMethodNotAllowed, "GET or POST")
	default:
		d.asked(w, r, seen)
	}
}

// asked dials back who asks for it.
func (d *Room) asked(w http.ResponseWriter, r *http.Request, seen netip.Addr) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "application/json")
		return
	}
	var q knock.Request
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, largest))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&q); err != nil || !knock.Nonce(q.Nonce) || q.Name != "" && (!netname.Valid(q.Name) || !strings.Contains(q.Name, ".")) {
		refuse(w, http.StatusBadRequest, "a nonce is 32 hexadecimal digits; a name is one of DNS")
		return
	}
	if !d.dialled(seen) {
		refuse(w, http.StatusForbidden, "this address cannot be reached from here: "+seen.String())
		return
	}
	if wait := d.budget.spend(seen); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		refuse(w, http.StatusTooManyRequests, "not so often")
		return
	}
	select {
	case d.busy <- struct{}{}:
		defer func() { <-d.busy }()
	default:
		w.Header().Set("Retry-After", "10")
		refuse(w, http.StatusServiceUnavailable, "too many at once")
		return
	}
	reply := knock.Reply{Seen: seen, Ports: map[int]knock.Outcome{}}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, port := range knock.Ports() {
		wg.Go(func() {
			how := d.visit(r.Context(), netip.AddrPortFrom(seen, uint16(port)), q)
			mu.Lock()
			defer mu.Unlock()
			reply.Ports[port] = how
		})
	}
	wg.Wait()
	text, err := json.Marshal(reply)
	if err != nil {
		panic("dial: a reply cannot be encoded: " + err.Error())
	}
	say(w, http.StatusOK, "application/json", string(text))
}

// dialled reports whether an address is: one that everybody reaches, or, where the owner
// wants it, one of a private network. Link-local ones never are: there are services there
// that give whoever asks the machine's own keys.
func (d *Room) dialled(a netip.Addr) bool {
	return netname.Everywhere(a) || d.cfg.Private && netname.Of(a) == netname.Home && !a.IsLinkLocalUnicast()
}

func refuse(w http.ResponseWriter, status int, why string) {
	say(w, status, "text/plain; charset=utf-8", why)
}

func say(w http.ResponseWriter, status int, kind, text string) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // a client that is gone is nobody to tell
}
