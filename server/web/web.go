// Package web holds the pages people see in a browser: the claim, how to trust this
// server, the way from plain HTTP to HTTPS, signing in, home, people, their accounts,
// their apps.
//
// It hides how pages are made: html/template and a few static files, embedded; no
// page needs JavaScript, but for passkeys; none loads anything from elsewhere. Each
// page is one file: its paths, its sentences in every language, its handler. A
// sentence is a field of a struct, so that a template which asks for a missing one
// does not execute. Who is signed in is package people's to say; cookies, languages
// and what goes around every page are here (session.go, frame.go). What a page needs
// of the server is declared here, small.
//
// Threat model. Visitors are strangers until they show a code, a password or a
// passkey; the pages tell them no more than that this is a Foyer without, or with,
// an owner. Another site a person has open cannot send a form or a request that
// changes anything (Sec-Fetch-Site and Origin are checked before every page),
// frame a page or run a script in it (Content-Security-Policy allows this server's
// own files only), or choose where signing in leads. Links that people pass on are
// made of names this server was given, never of what a request calls it. Codes travel
// in the fragment of an address, which browsers send to nobody, and are removed from
// it at once. Codes and passwords are neither logged nor sent back; a secret that is
// part of a change of the settings waits in memory, for the session it was typed in,
// until somebody agrees to what it comes to. The code that confirms such a change may
// be seen by whoever carries the link, so it counts only by the address the request
// really came to. The cookie is
// for HTTPS and this host alone, scripts cannot read it, and signing in makes a new
// one. Over plain HTTP nobody can promise a page's contents: only /trust and
// /start, which hold no secret, are meant for it.
//
// Used by package server, which decides which paths are answered where.
package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/server/people"
)

//go:embed templates static
var embedded embed.FS

// Claimer makes the first owner.
type Claimer interface {
	// Claimed reports whether there is an owner.
	Claimed(ctx context.Context) (bool, error)
	// Claim makes name the owner and signs them in, on a device called so; cookie is
	// that of their session, from the address they come from (front.Origin). Errors a
	// person can act on are *hint.Error.
	Claim(ctx context.Context, code, name string, secret people.Secret, from, device string) (cookie string, err error)
}

// Trust is what there is to trust.
type Trust interface {
	RootPEM() []byte
	Fingerprint() string        // SHA-256, as devices show it
	Words(l hint.Lang) []string // its beginning, as words
}

// Config is what New needs.
type Config struct {
	Name     string    // of the server
	Language hint.Lang // of every page; empty: as each browser asks
	Claimer  Claimer
	Trust    Trust // nil: nothing to trust, no pages about it
	// Secure returns the address of this server's HTTPS, "https://HOST[:PORT]/",
	// as the sender of r can reach it.
	Secure func(r *http.Request) string
	Log    *slog.Logger

	// People knows who has an account. Without it there are the pages for strangers alone.
	People *people.People
	// Address returns the address of this server as the sender of r can reach it,
	// "https://HOST[:PORT]/", made of names the server was given; empty: none is known.
	Address func(r *http.Request) string
	// Addresses lists all of them, for people to read.
	Addresses func(r *http.Request) []string
	// Shared reports whether names below one of ours belong to others: their pages could
	// ask for its passkeys, so there are none. nil: no name's do.
	Shared func(host string) bool
	// Light tells how the server is, as far as it knows itself.
	Light func(ctx context.Context) Light
	// Appliance knows how the whole machine is, and does what takes longer; nil: nobody
	// does, and the server's own light is shown.
	Appliance Appliance
	// Forget deletes what only somebody could change, in the name of an owner.
	Forget  func(ctx context.Context, by *people.Person, name string) error
	Version string // of Foyer
}

// Site is the pages. It is safe for concurrent use.
type Site struct {
	Config
	mux   *http.ServeMux
	paths map[string]Where
	root  []byte // DER
	pages map[hint.Lang]*template.Template
	css   string // path with a version

	started time.Time
}

// Where says where a path may be answered.
type Where int

// Flags of Where.
const (
	Here      Where = 1 << iota // it is a page at all
	Unclaimed                   // also before there is an owner
	Plain                       // also over plain HTTP, by strangers' networks
)

// New makes the site.
func New(cfg Config) (*Site, error) {
	s := &Site{Config: cfg, mux: http.NewServeMux(), paths: map[string]Where{}, pages: map[hint.Lang]*template.Template{}, started: time.Now()}
	if err := s.static(); err != nil {
		return nil, err
	}
	for _, l := range hint.Langs {
		t, err := template.New("").Option("missingkey=error").Funcs(template.FuncMap{
			"t":     func(x hint.Text) string { return say(x, l) },
			"day":   func(x time.Time) string { return day(x, l) },
			"when":  func(x time.Time) string { return day(x, l) + x.Local().Format(", 15:04") },
			"mends": mends,
			"stamp": func(x time.Time) string { return x.Format(time.RFC3339) },
			"size": func(n any) hint.Text {
				switch n := n.(type) {
				case uint64:
					return report.Size(n)
				case int64:
					return report.Size(uint64(max(0, n)))
				}
				panic(fmt.Sprintf("web: %T is no number of bytes", n))
			},
		}).ParseFS(embedded, "templates/*.html")
		if err != nil {
			return nil, fmt.Errorf("cannot read the pages: %w", err)
		}
		s.pages[l] = t
	}
	homePages{s}.home()
	claimPages{s}.claim()
	if cfg.People != nil {
		signinPages{s}.signin()
		passkeyPages{s}.passkeys()
		joinPages{s}.join()
		peoplePages{s}.people()
		peoplePages{s}.person()
		accountPages{s}.account()
		appPages{s}.apps()
	}
	if cfg.People != nil && cfg.Appliance != nil {
		machinePages{s}.machine()
		machinePages{s}.job()
		changePages{s, &drafts{of: map[string]draft{}}}.change()
		keepPages{s}.keep()
	}
	if cfg.Trust != nil {
		if err := (trustPages{s}).trust(); err != nil {
			return nil, err
		}
		startPages{s}.start()
	}
	return s, nil
}

// Where returns where path may be answered; 0 when it is no page.
func (s *Site) Where(path string) Where { return s.paths[path] }

// ServeHTTP implements http.Handler for paths that Where knows.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.paths[r.URL.Path] == 0 {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", policy(""))
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if err := foreign(r); err != nil {
		s.failed(w, r, nil, err)
		return
	}
	if l, ok := chosen(r); ok && s.Language == "" {
		http.SetCookie(w, &http.Cookie{Name: langCookie, Value: string(l), Path: "/", SameSite: http.SameSiteLaxMode, HttpOnly: true, MaxAge: 365 * 86400})
	}
	s.mux.ServeHTTP(w, r)
}

// policy is the Content-Security-Policy; connect may name one origin more that
// scripts may ask.
func policy(connect string) string {
	return "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; connect-src " +
		strings.TrimSpace("'self' "+connect)
}

// handle makes a page known.
func (s *Site) handle(where Where, methods, path string, h http.HandlerFunc) {
	s.paths[path] |= where | Here
	exact := path
	if path == "/" {
		exact = "/{$}"
	}
	for method := range strings.FieldsSeq(methods) {
		s.mux.HandleFunc(method+" "+exact, h)
	}
}

// static serves the embedded files.
func (s *Site) static() error {
	all := sha256.New()
	err := fs.WalkDir(embedded, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := embedded.ReadFile(name)
		if err != nil {
			return err
		}
		all.Write(data)
		kind := mime.TypeByExtension(path.Ext(name))
		switch path.Ext(name) { // the machine's own table may say otherwise
		case ".css":
			kind = "text/css; charset=utf-8"
		case ".js":
			kind = "text/javascript; charset=utf-8"
		case ".svg":
			kind = "image/svg+xml"
		}
		s.handle(Unclaimed|Plain, http.MethodGet, "/"+name, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Cache-Control", "public, max-age=86400")
			s.write(w, http.StatusOK, data)
		})
		return nil
	})
	s.css = "?v=" + hex.EncodeToString(all.Sum(nil)[:6])
	return err
}

// render sends a page, whole or not at all.
func (s *Site) render(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	l := s.lang(r)
	var b bytes.Buffer
	if err := s.pages[l].ExecuteTemplate(&b, name, data); err != nil {
		s.Log.Error("a page cannot be made", "page", name, "err", err)
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", string(l))
	h.Add("Vary", "Accept-Language, Cookie")
	s.write(w, status, b.Bytes())
}

func (s *Site) write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a visitor who has gone is nobody to tell
}
