package api

import (
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/foyer-server/foyer/server/front"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/refusal"
)

// call is one request on its way to an answer, or one of a batch's. Endpoints are
// functions of it.
type call struct {
	*api
	w      http.ResponseWriter
	r      *http.Request
	kinto  *kinto.Service // in the transaction of a batch, where there is one
	within *within        // the batch; nil: none
}

// do answers the request.
func (c *call) do() {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			// Our own panics may name what a client sent; the runtime's do not.
			bug, _ := p.(runtime.Error)
			c.Log.Error("a request met a bug", "method", c.r.Method, "err", bug, "stack", string(debug.Stack()))
			c.fail(refusal.Bug)
		}
	}()
	h := c.w.Header()
	h["Content-Type"] = headerJSON
	h["X-Content-Type-Options"] = headerNosniff
	h["Content-Security-Policy"] = headerCSP
	c.cors.common(h, c.r)
	if c.backoff != nil && rand.IntN(100) < c.backoffPct {
		h["Backoff"] = c.backoff
	}
	if c.eos.told(h) {
		c.fail(errOver)
		return
	}
	path := c.r.URL.Path
	if !utf8.ValidString(path) {
		c.fail(refusal.Path)
		return
	}
	if !validQuery(c.r.URL.RawQuery) {
		c.fail(errQuery)
		return
	}
	if encoded(c.r) {
		h["Accept-Encoding"] = []string{"identity"} // RFC 9110 §15.5.16
		c.fail(errEncoding)
		return
	}
	if forged(c.r) {
		c.fail(errForged)
		return
	}
	version, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch {
	case !isVersion(version) || !strings.HasPrefix(path, "/"):
		c.redirects.version(c)
		return
	case version != "v1":
		c.fail(errVersion)
		return
	case path == "/v1":
		c.redirects.slash(c, "/v1/")
		return
	}
	c.route(rest)
}

// route finds the endpoint; rest is the path after "/v1/".
func (c *call) route(rest string) {
	if u := utilities[rest]; u != nil {
		if c.readOnly() {
			u(c)
		}
		return
	}
	if rest == "batch" && c.within == nil {
		batch(c)
		return
	}
	if special(c, rest) {
		return
	}
	if location, ok := strings.CutPrefix(rest, filesPath); ok && c.files && c.within == nil {
		sendFile(c, location)
		return
	}
	if rest, ok := strings.CutPrefix(rest, openidPath); ok && c.within == nil && len(c.Auth.Providers()) > 0 {
		openid(c, rest)
		return
	}
	path := c.r.URL.Path[len("/v1"):]
	p, ok := c.locate(path)
	ok = ok && !(p.attachment && c.within != nil) // contents are not part of a batch
	switch {
	case ok && !p.attachment && p.list.Kind != kinto.Account && c.isOnce():
		doOnce(c)
	case ok && encodedSlash(c.r.URL.RawPath):
		// It would be taken for a separator, and no id may have one.
		c.fail(kinto.InvalidID())
	case ok && c.own && isOwn(path) && c.r.Method != http.MethodOptions:
		ownBucket(c, path[len("/buckets/"+alias):])
	case ok:
		c.serve(p, p.id)
	case strings.HasSuffix(path, "/") && c.redirects.slashes:
		c.redirects.slash(c, strings.TrimRight(c.r.URL.Path, "/"))
	default:
		c.fail(refusal.Absent)
	}
}

// readOnly reports whether a request for what can only be read asks to read it; it
// answers any other.
func (c *call) readOnly() bool {
	switch c.r.Method {
	case http.MethodGet, http.MethodHead:
		return true
	case http.MethodOptions:
		c.preflight([]string{"GET", "HEAD", "OPTIONS"})
	default:
		c.w.Header()["Allow"] = []string{"GET, HEAD, OPTIONS"}
		c.fail(refusal.Method)
	}
	return false
}

// serve does a request for a place; called is what the client calls the object.
func (c *call) serve(p place, called string) {
	if p.attachment {
		attach(c, p.list, p.id)
		return
	}
	if p.snapshot {
		snapshot(c, p.list, p.at)
		return
	}
	resource(c, p.list, p.id, called)
}

// url is the absolute URL of a path on this server, as the client calls it (§7, Next-Page).
func (c *call) url(path string) string {
	scheme, host := c.scheme, c.host
	if scheme == "" {
		scheme = front.Scheme(c.r)
	}
	if host == "" {
		host = c.r.Host
	}
	if local, ok := c.r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && host == "" {
		host = local.String() // HTTP/1.0 need not say whom it calls
	}
	return scheme + "://" + withoutPort(scheme, host) + path
}

// withoutPort is a host without the port that its scheme has anyway: a URL is written in
// one way, whatever the client says (RFC 3986 §6.2.3).
func withoutPort(scheme, host string) string {
	return strings.TrimSuffix(host, map[string]string{"http": ":80", "https": ":443"}[scheme])
}

// write sends a body that is whole.
func (c *call) write(status int, body []byte) {
	body = c.addressed(body)
	c.w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(body) // a client that is gone is nobody to tell
	}
}
