// Package api is the door for Kinto clients: everything under /v1, and the
// redirects that lead there (Kinto HTTP API v1, docs/kinto-protocol.md; § numbers
// in comments refer to it).
//
// It hides HTTP: paths, methods, headers, conditional requests, CORS. A request is
// located, its form is checked, package auth says who sends it, package kinto decides and
// does it, and the answer's raw JSON is written out as it was stored. A batch (batch.go) sends its requests through the same door, in
// one transaction; below /buckets/default (default.go) callers find their own
// bucket. Errors become a status and an errno in package refusal.
//
// Promises: the checks come in the protocol's order (§1); every response, also a
// refusal, carries the headers of §2; nothing a client sends is logged; bodies
// are bounded one by one and all together.
package api

import (
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/fair"
	"github.com/foyer-server/foyer/server/admission"
	"github.com/foyer-server/foyer/server/attachment"
	"github.com/foyer-server/foyer/server/auth"
	"github.com/foyer-server/foyer/server/kinto"
)

// Config is what the door needs. Every field is required but Done.
type Config struct {
	Kinto    *kinto.Service
	Auth     *auth.Auth
	Files    *attachment.Folder // contents of attachments
	Settings *config.Settings   // bodies are bounded by Limits.Body
	Version  string             // of Foyer, told to everybody
	Log      *slog.Logger
	// How many connections the server holds at most, half of which may be change feeds,
	// and how many files of attachments may be open at once.
	Connections, OpenFiles int
	// Done is closed when the server ends: feeds end with it. nil: never.
	Done <-chan struct{}
}

// api is the handler; it is read-only after New but for what its pointers lead to.
type api struct {
	Config
	readonly   bool
	offers     offers
	history    bool     // buckets have a history
	accounts   bool     // accounts are objects too
	files      bool     // records may have attachments
	own        bool     // everybody has a bucket of their own
	retryAfter []string // header value
	backoff    []string // header value; nil: none
	backoffPct int
	cors       cors
	callbacks  []string // origins that tokens may be taken to; patterns
	eos        eos
	redirects  redirects
	scheme     string // of our URLs; empty: as the request came
	host       string
	feeds      feeds
	open       *fair.Queue   // files of attachments
	inFlight   *atomic.Int64 // bytes of large bodies being held
	notices    *notices
	searches   *fair.Queue // what looks through whole lists
	lists      *fair.Queue // what reads much of one
	held       *holdings   // bytes of large answers
	buffers    *sync.Pool
}

// New returns the handler.
func New(c Config) http.Handler {
	k := c.Settings.Kinto
	a := &api{
		Config:     c,
		readonly:   k.Bool("readonly"),
		offers:     newOffers(k),
		history:    k.Includes("history"),
		files:      k.Includes("attachment"),
		own:        k.Includes("default_bucket"),
		retryAfter: []string{strconv.Itoa(k.Int("retry_after_seconds", 3))},
		backoffPct: k.Int("backoff_percentage", 100),
		cors:       newCORS(k),
		callbacks:  slices.DeleteFunc(slices.Concat(k.List("openid.callbacks"), k.List("cors_origins")), func(o string) bool { return o == "*" }),
		redirects:  newRedirects(k),
		scheme:     k.String("http_scheme"),
		host:       k.String("http_host"),
		feeds:      newFeeds(c.Connections / 2),
		open:       fair.NewQueue(c.OpenFiles, 0, admission.Share(c.OpenFiles)),
		inFlight:   &atomic.Int64{},
		notices:    newNotices(c.Log),
		searches:   fair.NewQueue(searchesAtOnce(), searchesWaiting, searchesOfOne),
		lists:      fair.NewQueue(searchesAtOnce(), listsWaiting, listsOfOne),
		held:       newHoldings(answersHeld),
		buffers:    &sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }},
	}
	a.accounts = a.hasAccounts()
	var ok bool
	if a.eos, ok = newEOS(k); !ok {
		c.Log.Error("this is no day; the service has no end", "setting", "kinto.eos", "value", k.String("eos"))
	}
	if n := k.Int("backoff", 0); n > 0 {
		a.backoff = []string{strconv.Itoa(n)}
	}
	return a
}

// Header values that never change; nobody appends to them.
var (
	headerJSON    = []string{"application/json"}
	headerText    = []string{"text/plain; charset=utf-8"}
	headerHTML    = []string{"text/html; charset=utf-8"}
	headerNosniff = []string{"nosniff"}
	headerCSP     = []string{"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; "}
	headerNoStore = []string{"no-cache, no-store"}
)

// ServeHTTP implements http.Handler.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(&call{api: a, w: w, r: r, kinto: a.Kinto}).do()
}

// isVersion reports whether a segment is "v" and digits.
func isVersion(s string) bool {
	if len(s) < 2 || s[0] != 'v' {
		return false
	}
	return strings.Trim(s[1:], "0123456789") == ""
}

// place is what a path below /v1 names: a list, an object of it, its attachment, or
// a snapshot of the list.
type place struct {
	list       kinto.List
	id         string
	attachment bool
	snapshot   bool   // of the records of the list
	at         string // of a snapshot: the time, as it is written
}

// locate finds the place of a path; false when there is none such.
func (a *api) locate(path string) (p place, ok bool) {
	if p.list, p.id, ok = kinto.Locate(path); ok {
		return p, p.list.Kind != kinto.History || a.history && p.id == ""
	}
	if name, ok := strings.CutPrefix(path, "/accounts"); ok && a.accounts {
		p.list.Kind = kinto.Account
		if name == "" {
			return p, true
		}
		p.id, ok = strings.CutPrefix(name, "/")
		p.list.Parent = p.id
		return p, ok && p.id != "" && !strings.Contains(p.id, "/")
	}
	if a.history {
		if p.list, p.at, ok = snapshotAt(path); ok {
			p.snapshot = true
			return p, true
		}
	}
	record, ok := strings.CutSuffix(path, "/attachment")
	if !ok || !a.files {
		return p, false
	}
	p.attachment = true
	p.list, p.id, ok = kinto.Locate(record)
	return p, ok && p.list.Kind == kinto.Record && p.id != ""
}

// isOwn reports whether a path is the default bucket or below it.
func isOwn(path string) bool {
	rest, ok := strings.CutPrefix(path, "/buckets/"+alias)
	return ok && (rest == "" || rest[0] == '/')
}

func encodedSlash(raw string) bool {
	return raw != "" && (strings.Contains(raw, "%2F") || strings.Contains(raw, "%2f"))
}

// buffer returns an empty buffer and how to give it back.
func (a *api) buffer() (*[]byte, func()) {
	b := a.buffers.Get().(*[]byte)
	*b = (*b)[:0]
	return b, func() {
		if cap(*b) <= 1<<20 {
			a.buffers.Put(b)
		}
	}
}
