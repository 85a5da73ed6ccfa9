package api

import (
	"html"
	"net/http"
	"net/url"

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
func (d redirects) version(c *call) {
	switch {
	case !d.versions:
		c.fail(errVersion)
	case c.r.Method == http.MethodOptions:
		c.cors.allow(c.w.Header(), c.r, "GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS")
		c.write(http.StatusOK, nil)
	default:
		path := c.r.URL.EscapedPath()
		if path == "" || path[0] != '/' {
			path = "/" + path
		}
		d.to(c, "/v1"+path, d.versionTTL)
	}
}

// slash leads to the path with, or without, its last slash.
func (d redirects) slash(c *call, path string) {
	d.to(c, (&url.URL{Path: path}).EscapedPath(), d.slashTTL)
}

func (d redirects) to(c *call, path string, ttl int) {
	h := c.w.Header()
	if ttl >= 0 {
		keep(h, ttl)
	}
	target := c.url(path)
	if c.r.URL.RawQuery != "" {
		target += "?" + c.r.URL.RawQuery
	}
	h["Location"] = []string{target}
	h["Content-Type"] = headerHTML
	target = html.EscapeString(target)
	c.write(http.StatusTemporaryRedirect, []byte(`<!DOCTYPE html><title>307 Temporary Redirect</title><a href="`+target+`">`+target+"</a>\n"))
}
