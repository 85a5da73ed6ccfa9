package api

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/refusal"
)

// alias is the id by which everybody calls the bucket of their own.
const alias = "default"

// ownBucket serves a path below /buckets/default: the caller's own bucket, and the
// collection the path names, come to be by being used (§8, default_bucket).
func ownBucket(c *call, rest string) {
	if c.readonly {
		c.w.Header()["Allow"] = []string{"OPTIONS"}
		c.fail(refusal.Method)
		return
	}
	who, err := c.who()
	if err == nil && who.ID == "" {
		err = errSignIn
	}
	var names kinto.OwnNames
	if err == nil {
		names, err = c.Auth.DefaultBucket(c.r.Context(), who)
	}
	bucket := ""
	switch {
	case err != nil:
	case rest == "" && c.r.Method == http.MethodPut: // it makes the bucket itself, and says so
		bucket, err = c.kinto.OwnBucket(c.r.Context(), who, names)
	default:
		bucket, err = c.kinto.Ensure(c.r.Context(), who, names, collectionIn(rest, c.r.Method))
	}
	if err != nil {
		c.fail(err)
		return
	}
	real := *c
	real.r = c.r.Clone(c.r.Context())
	real.r.URL = &url.URL{Path: "/v1/buckets/" + bucket + rest, RawQuery: c.r.URL.RawQuery}
	p, ok := c.locate(real.r.URL.Path[len("/v1"):])
	if !ok {
		panic("api: a path that was found cannot be found")
	}
	called := p.id
	if rest == "" {
		called = alias
	}
	real.serve(p, called)
}

// collectionIn is the collection that a path below a bucket names; none when the
// request itself puts it there.
func collectionIn(rest, method string) string {
	below, ok := strings.CutPrefix(rest, "/collections/")
	if !ok {
		return ""
	}
	id, _, more := strings.Cut(below, "/")
	if !more && method == http.MethodPut {
		return ""
	}
	return id
}
