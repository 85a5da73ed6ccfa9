package api

import (
	"net/http"
	"net/url"
	"strings"
)

// alias is the id by which everybody calls the bucket of their own.
const alias = "default"

// ownBucket serves a path below /buckets/default: the caller's own bucket, and the
// collection the path names, come to be by being used (§8, default_bucket).
func (a *api) ownBucket(w http.ResponseWriter, r *http.Request, rest string) {
	if a.readonly {
		w.Header()["Allow"] = []string{"OPTIONS"}
		a.fail(w, r, errMethod)
		return
	}
	who, err := a.who(r)
	if err == nil && who.ID == "" {
		err = errSignIn
	}
	bucket := ""
	if err == nil {
		bucket, err = a.Auth.DefaultBucket(r.Context(), who)
	}
	if err == nil {
		err = a.Kinto.Ensure(r.Context(), who, bucket, collectionIn(rest, r.Method))
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	real := r.Clone(r.Context())
	real.URL = &url.URL{Path: "/v1/buckets/" + bucket + rest, RawQuery: r.URL.RawQuery}
	p, ok := a.locate(real.URL.Path[len("/v1"):])
	if !ok {
		panic("api: a path that was found cannot be found")
	}
	called := p.id
	if rest == "" {
		called = alias
	}
	a.serve(w, real, p, called)
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
