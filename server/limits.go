package server

import (
	"bytes"
	"context"
	"io"
	"log"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/foyer-server/foyer/server/admission"
	"github.com/foyer-server/foyer/server/front"
	"github.com/foyer-server/foyer/server/refusal"
)

// httpServer is a server with the limits of the settings.
func (s *server) httpServer(h http.Handler) *http.Server {
	l := s.Settings.Limits
	return &http.Server{
		Handler: h,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return admission.Context(front.ConnContext(ctx, c), c)
		},
		ConnState:                    s.door.State,
		ReadHeaderTimeout:            seconds(l.HeaderSeconds), // bounds the TLS handshake, too
		IdleTimeout:                  seconds(l.IdleSeconds),
		MaxHeaderBytes:               l.Header,
		DisableGeneralOptionsHandler: true, // OPTIONS * meets the gate like everything else
		ErrorLog:                     log.New(errorLog{s.Log}, "", 0),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 128,
			SendPingTimeout:      30 * time.Second, // notices phones that left
			PingTimeout:          15 * time.Second,
			WriteByteTimeout:     seconds(l.BodySeconds),
		},
	}
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// errorLog takes what net/http has to say. Trouble with clients is theirs: it
// goes to the debug log. Trouble with a listener is ours.
type errorLog struct{ log *slog.Logger }

func (e errorLog) Write(p []byte) (int, error) {
	text := string(bytes.TrimSpace(p))
	if strings.HasPrefix(text, "http: Accept error") {
		e.log.Warn("connections cannot be accepted", "err", text)
	} else {
		e.log.Debug("trouble with a client", "err", text)
	}
	return len(p), nil
}

// chain puts before a handler what every request from outside passes.
func (s *server) chain(next http.HandlerFunc) http.Handler {
	l := s.Settings.Limits
	slow := seconds(l.BodySeconds)
	upload := s.uploadLimit()
	verbose := s.Log.Enabled(context.Background(), slog.LevelDebug)
	if s.down != nil {
		next = s.refuse
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		admission.Of(r.Context()).Asked()
		r = s.front.Resolve(r)
		visitor := r.URL.Path != heartbeat || !front.Own(r) // who looks from here whether the server is there is none
		if visitor {
			s.requests.Add(1)
		}
		a := &answer{ResponseWriter: w, control: http.NewResponseController(w), slow: slow, id: rand.Uint64(), instead: func() []byte { return s.instead(r) }}
		start := time.Now()
		defer func() {
			if p := recover(); p != nil {
				s.broken(a, r, p)
			}
			if !verbose || !visitor {
				return
			}
			s.Log.Debug("request", "id", a.id, "client", r.RemoteAddr, "method", method(r.Method), "path", template(r.URL.Path), "status", a.status, "took", time.Since(start))
		}()
		a.extend(start)
		if r.Body != nil && r.Body != http.NoBody {
			most, b := int64(l.Body), &body{control: a.control}
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/attachment") {
				most, b.slow = upload, slow
			}
			b.ReadCloser = http.MaxBytesReader(w, r.Body, most)
			r.Body = b
			_ = a.control.SetReadDeadline(start.Add(slow)) // HTTP/1 and HTTP/2 both can
		}
		next(a, r)
	})
}

// uploadLimit is how large the request may be that brings an attachment: the
// largest one allowed anywhere, and the form around it.
func (s *server) uploadLimit() int64 {
	k := s.Settings.Kinto
	most := k.Int64("attachment.max_size_bytes", 0)
	for _, name := range k.Names() {
		if strings.HasPrefix(name, "attachment.resources.") && strings.HasSuffix(name, ".max_size_bytes") {
			most = max(most, k.Int64(name, 0))
		}
	}
	if most <= 0 {
		return math.MaxInt64
	}
	return most + int64(s.Settings.Limits.Body)
}

// broken answers after a bug.
func (s *server) broken(a *answer, r *http.Request, p any) {
	if p == http.ErrAbortHandler {
		panic(p)
	}
	s.Log.Error("a request met a bug", "id", a.id, "method", method(r.Method), "path", template(r.URL.Path), "what", p, "stack", string(debug.Stack()))
	if a.status != 0 {
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	}
	fail(a, s.lang(r), refusal.Bug)
}

// answer is a response that knows its status and does not wait for ever for a
// client that reads slowly: each piece has its time.
type answer struct {
	http.ResponseWriter
	control  *http.ResponseController
	slow     time.Duration
	extended time.Time
	status   int
	id       uint64
	instead  func() []byte // of a 503 in JSON; nil: what is said anyway. May be nil itself
	replaced bool          // that was written, and nothing else is
}

const piece = 64 << 10

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
	if status == http.StatusServiceUnavailable && a.instead != nil && strings.HasPrefix(a.Header().Get("Content-Type"), "application/json") {
		if body := a.instead(); body != nil {
			a.replaced = true
			a.Header().Set("Content-Length", strconv.Itoa(len(body)))
			a.ResponseWriter.WriteHeader(status)
			_, _ = a.ResponseWriter.Write(body) // a client that is gone is nobody to tell
			return
		}
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (n int, err error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if a.replaced {
		return len(p), nil
	}
	for first := true; first || len(p) > 0; first = false {
		now := p[:min(len(p), piece)]
		a.extend(time.Now())
		m, err := a.ResponseWriter.Write(now)
		n += m
		if err != nil {
			return n, err
		}
		p = p[len(now):]
	}
	return n, nil
}

func (a *answer) extend(now time.Time) {
	if now.Sub(a.extended) > a.slow/16 {
		a.extended = now
		_ = a.control.SetWriteDeadline(now.Add(a.slow))
	}
}

// body takes the time limit of a request's body away once it is read: a handler
// may take longer than a client.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	done    bool
	slow    time.Duration // an upload: each piece of it has this time; 0: the whole has
	got     int           // of the piece
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.got += n; b.slow > 0 && b.got >= piece {
		b.got = 0
		_ = b.control.SetReadDeadline(time.Now().Add(b.slow))
	}
	if err == io.EOF && !b.done {
		b.done = true
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// method is r's method for the log, if it is one.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// template is what the log may know of a path: its first words, if they are ours.
func template(path string) string {
	known := func(s string, words ...string) string {
		if slices.Contains(words, s) {
			return s
		}
		return "…"
	}
	first, rest, more := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	first = known(first, "", "v1", "claim", "trust", "start", "static")
	if first != "v1" || !more {
		return "/" + first
	}
	second, _, _ := strings.Cut(rest, "/")
	return "/v1/" + known(second, "", "buckets", "accounts", "batch", "permissions", "__heartbeat__", "__lbheartbeat__", "__version__", "__api__")
}
