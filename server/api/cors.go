package api

import (
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/server/kinto"
)

// cors lets pages of other origins read answers (§2, CORS).
type cors struct {
	origins []string // patterns
	maxAge  []string
}

func newCORS(k config.Kinto) cors {
	return cors{origins: k.List("cors_origins"), maxAge: []string{strconv.Itoa(k.Int("cors_max_age_seconds", 3600))}}
}

// exposed is what any answer may have for a page to read. Exposing a header that
// an answer does not have harms nobody.
const exposed = "Backoff, Retry-After, Alert, Content-Length, Content-Type, Last-Modified, ETag, Cache-Control, Expires, Pragma, Next-Page, Total-Objects, Total-Records, Idempotent-Replayed, Preference-Applied"

var (
	headerExposed = []string{exposed}
	headerAny     = []string{"*"}
	headerOrigin  = []string{"Origin"}
)

// common sets what every answer has.
func (c *cors) common(h http.Header, r *http.Request) {
	h["Access-Control-Expose-Headers"] = headerExposed
	origin, all := r.Header["Origin"], slices.Contains(c.origins, "*")
	if !all {
		// Also of an answer that no page may read: a cache that keeps it is not to
		// give it to a page that may.
		h["Vary"] = headerOrigin
	}
	switch {
	case len(origin) == 0:
	case all:
		h["Access-Control-Allow-Origin"] = headerAny
	case c.allows(origin[0]):
		h["Access-Control-Allow-Origin"] = origin[:1]
	}
}

// allows reports whether pages of an origin may use this server.
func (c *cors) allows(origin string) bool {
	return slices.ContainsFunc(c.origins, func(o string) bool {
		ok, err := path.Match(o, origin)
		return o == "*" || o == origin || err == nil && ok
	})
}

// allow sets what a preflight asks for.
func (c *cors) allow(h http.Header, r *http.Request, methods string) {
	var asked strings.Builder
	asked.WriteString(exposed)
	for _, v := range r.Header["Access-Control-Request-Headers"] {
		asked.WriteString(", " + v)
	}
	h["Access-Control-Allow-Methods"] = []string{methods}
	h["Access-Control-Allow-Headers"] = []string{asked.String()}
	h["Access-Control-Max-Age"] = c.maxAge
}

// preflight answers OPTIONS on an endpoint with these methods.
func (c *call) preflight(methods []string) {
	var missing []error
	for _, name := range []string{"Origin", "Access-Control-Request-Method"} {
		if c.r.Header.Get(name) == "" {
			missing = append(missing, kinto.Invalid("header", name, "this header is mandatory"))
		}
	}
	if err := kinto.Problems(missing...); err != nil {
		c.fail(err)
		return
	}
	if !slices.Contains(methods, c.r.Header.Get("Access-Control-Request-Method")) {
		c.fail(kinto.Invalid("header", "Access-Control-Request-Method", "Method not allowed"))
		return
	}
	c.cors.allow(c.w.Header(), c.r, strings.Join(methods, ","))
	c.write(http.StatusOK, []byte("null"))
}
