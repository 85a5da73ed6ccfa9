package api

import (
	"html"
	"net/http"
	"net/url"
	"time"

	"github.com/foyer-server/foyer/internal/config"
)

// redirects leads to the paths of §1.
type redirects struct {
	versions   bool
	versionTTL int
	slashes    bool
	slashTTL   int
}

func newRedirects(k config.Kinto) redirects {
	return redirects{
		versions: k.Bool("version_prefix_redirect_enabled"), versionTTL: k.Int("version_prefix_redirect_ttl_seconds", -1),
		slashes: k.Bool("trailing_slash_redirect_enabled"), slashTTL: k.Int("trailing_slash_redirect_ttl_seconds", 3600),
	}
}

// version leads a path without a version to the same one under /v1.
func (d redirects) version(a *api, w http.ResponseWriter, r *http.Request) {
	switch {
	case !d.versions:
		a.fail(w, r, errVersion)
	case r.Method == http.MethodOptions:
		a.cors.allow(w.Header(), r, "GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS")
		a.write(w, r, http.StatusOK, nil)
	default:
		path := r.URL.EscapedPath()
		if path == "" || path[0] != '/' {
			path = "/" + path
		}
		d.to(a, w, r, "/v1"+path, d.versionTTL)
	}
}

// slash leads to the path with, or without, its last slash.
func (d redirects) slash(a *api, w http.ResponseWriter, r *http.Request, path string) {
	d.to(a, w, r, (&url.URL{Path: path}).EscapedPath(), d.slashTTL)
}

func (d redirects) to(a *api, w http.ResponseWriter, r *http.Request, path string, ttl int) {
	h := w.Header()
	if ttl >= 0 {
		cacheFor(h, time.Duration(ttl)*time.Second)
	}
	target := a.url(r, path)
	if r.URL.RawQuery != "" {
		target += "?" + r.URL.RawQuery
	}
	h["Location"] = []string{target}
	h["Content-Type"] = headerHTML
	target = html.EscapeString(target)
	a.write(w, r, http.StatusTemporaryRedirect, []byte(`<!DOCTYPE html><title>307 Temporary Redirect</title><a href="`+target+`">`+target+"</a>\n"))
}
