package api

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/foyer-server/foyer/server/front"

	"github.com/foyer-server/foyer/server/auth"
	"github.com/foyer-server/foyer/server/kinto"
)

// Signing in at an identity provider (§8, openid): /openid/NAME/login leads there,
// and /openid/NAME/token back to the page that asked, with the token. Pages may be
// led back to that are named: in the setting openid.callbacks, or in cors_origins, where
// "*" names nobody. The browser that began is the one that may come back.

const (
	openidPath   = "openid/"
	openidCookie = "foyer-openid"
)

// openid serves a path below /v1/openid/.
func (a *api) openid(w http.ResponseWriter, r *http.Request, rest string) {
	name, what, _ := strings.Cut(rest, "/")
	step := map[string]func(http.ResponseWriter, *http.Request, *auth.Provider, url.Values){"login": a.openidLogin, "token": a.openidToken}[what]
	if step == nil {
		a.fail(w, r, errNotHere)
		return
	}
	if !a.readOnly(w, r) {
		return
	}
	p := a.Auth.Provider(name)
	if p == nil {
		a.fail(w, r, kinto.Invalid("path", "provider", "Unknown provider"))
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		a.fail(w, r, errQuery)
		return
	}
	step(w, r, p, query)
}

// openidLogin sends the browser to the provider.
func (a *api) openidLogin(w http.ResponseWriter, r *http.Request, p *auth.Provider, query url.Values) {
	var bad []error
	callback, scope, prompt := query.Get("callback"), query.Get("scope"), query.Get("prompt")
	switch {
	case !query.Has("callback"):
		bad = append(bad, kinto.Invalid("querystring", "callback", "Required"))
	case !a.mayReturn(r, callback):
		bad = append(bad, kinto.Invalid("querystring", "callback", "Must be a valid URL of a site that may use this server"))
	}
	if !query.Has("scope") {
		bad = append(bad, kinto.Invalid("querystring", "scope", "Required"))
	}
	if prompt != "" && prompt != "none" {
		bad = append(bad, kinto.Invalid("querystring", "prompt", `"`+printable(prompt)+`" is not one of none`))
	}
	if err := kinto.Problems(bad...); err != nil {
		a.fail(w, r, err)
		return
	}
	to, err := a.Auth.Begin(r.Context(), p, a.openidBrowser(w, r, p), callback, a.openidReturn(r, p), strings.Fields(scope), prompt)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.lead(w, r, to)
}

// openidToken takes the browser back from the provider and leads it to the page
// that asked.
func (a *api) openidToken(w http.ResponseWriter, r *http.Request, p *auth.Provider, query url.Values) {
	var bad []error
	for _, name := range []string{"code", "state"} {
		if query.Get(name) == "" {
			bad = append(bad, kinto.Invalid("querystring", name, "Required"))
		}
	}
	if err := kinto.Problems(bad...); err != nil {
		a.fail(w, r, err)
		return
	}
	browser := ""
	if c, err := r.Cookie(openidCookieName(r)); err == nil {
		browser = c.Value
	}
	callback, token, err := a.Auth.Finish(r.Context(), p, browser, query.Get("code"), query.Get("state"), a.openidReturn(r, p))
	if errors.Is(err, auth.ErrState) {
		a.fail(w, r, &refusal{400, 105, "Invalid parameters", "Invalid state"})
		return
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.lead(w, r, callback+url.QueryEscape(base64.StdEncoding.EncodeToString(token)))
}

// openidCookieName is that of the cookie by which a browser is known that signs in. With
// this beginning browsers take it by HTTPS and for this host alone.
func openidCookieName(r *http.Request) string {
	if front.Scheme(r) == "https" {
		return "__Host-" + openidCookie
	}
	return openidCookie
}

// openidBrowser is the secret of the browser that begins to sign in; several pages of it
// may do so at once.
func (a *api) openidBrowser(w http.ResponseWriter, r *http.Request, p *auth.Provider) string {
	c := &http.Cookie{Name: openidCookieName(r), Value: rand.Text(), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(p.StateFor().Seconds()), Secure: front.Scheme(r) == "https"}
	if old, err := r.Cookie(c.Name); err == nil && len(old.Value) == len(c.Value) {
		c.Value = old.Value
	}
	http.SetCookie(w, c)
	return c.Value
}

// openidReturn is where the provider sends the browser back to.
func (a *api) openidReturn(r *http.Request, p *auth.Provider) string {
	return a.url(r, "/v1/openid/"+url.PathEscape(p.Name)+"/token")
}

// mayReturn reports whether a token may be taken to a page.
func (a *api) mayReturn(r *http.Request, callback string) bool {
	u, err := url.Parse(callback)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return false
	}
	origin := u.Scheme + "://" + u.Host
	return u.Host == r.Host || slices.ContainsFunc(a.callbacks, func(pattern string) bool {
		ok, err := path.Match(pattern, origin)
		return pattern == origin || err == nil && ok
	})
}

// lead sends a browser elsewhere; nothing on the way keeps or tells the address.
func (a *api) lead(w http.ResponseWriter, r *http.Request, to string) {
	h := w.Header()
	h["Location"] = []string{to}
	h["Cache-Control"] = headerNoStore
	h["Referrer-Policy"] = []string{"no-referrer"}
	h["Content-Type"] = headerHTML
	a.write(w, r, http.StatusTemporaryRedirect, nil)
}

// openidTold is what hello tells of the providers.
func openidTold(a *api, r *http.Request) capability {
	all := []map[string]any{}
	for _, p := range a.Auth.Providers() {
		one := map[string]any{
			"name": p.Name, "issuer": p.Issuer, "auth_path": "/openid/" + p.Name + "/login", "client_id": p.ClientID,
			"header_type": p.HeaderType, "userinfo_endpoint": p.UserInfo(r.Context()),
		}
		if p.Audience != "" && p.Audience != "*" {
			one["audience"] = p.Audience
		}
		all = append(all, one)
	}
	return capability{"providers": all}
}
