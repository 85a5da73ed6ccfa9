package api

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/server/auth"
	"github.com/foyer-server/foyer/server/front"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/refusal"
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
func openid(c *call, rest string) {
	name, what, _ := strings.Cut(rest, "/")
	step := map[string]func(*call, *auth.Provider, url.Values){"login": openidLogin, "token": openidToken}[what]
	if step == nil {
		c.fail(refusal.Absent)
		return
	}
	if !c.readOnly() {
		return
	}
	p := c.Auth.Provider(name)
	if p == nil {
		c.fail(kinto.Invalid("path", "provider", "Unknown provider"))
		return
	}
	step(c, p, queryOf(c.r.URL.RawQuery))
}

// callbackBytes bounds the address of a page that asks for a sign-in: it goes to the
// provider and back in an address.
const callbackBytes = 2000

// openidPatience is for how long a provider is asked what its answer could do without.
const openidPatience = 2 * time.Second

// errState: a sign-in that came back is none that was begun here.
var errState = &refusal.FormError{Status: 400, Errno: 105, InvalidError: kinto.Invalid("querystring", "state", "Invalid state")}

// openidLogin sends the browser to the provider.
func openidLogin(c *call, p *auth.Provider, query url.Values) {
	var bad []error
	callback, scope, prompt := query.Get("callback"), query.Get("scope"), query.Get("prompt")
	switch {
	case !query.Has("callback"):
		bad = append(bad, kinto.Invalid("querystring", "callback", "Required"))
	case len(callback) > callbackBytes || !mayReturn(c, callback):
		bad = append(bad, kinto.Invalid("querystring", "callback", "Must be a valid URL of a site that may use this server"))
	}
	if !query.Has("scope") {
		bad = append(bad, kinto.Invalid("querystring", "scope", "Required"))
	}
	if prompt != "" && prompt != "none" {
		bad = append(bad, kinto.Invalid("querystring", "prompt", `"`+printable(prompt)+`" is not one of none`))
	}
	if err := kinto.Problems(bad...); err != nil {
		c.fail(err)
		return
	}
	to, err := c.Auth.Begin(c.r.Context(), p, openidBrowser(c, p), callback, openidReturn(c, p), strings.Fields(scope), prompt)
	if err != nil {
		c.fail(err)
		return
	}
	if p.Audience != "" && p.Audience != "*" { // unasked, some providers make tokens for nobody in particular
		to += "&audience=" + url.QueryEscape(p.Audience)
	}
	c.lead(to)
}

// openidAddress is where the provider lets people sign in; empty when it does not say
// now.
func openidAddress(c *call, p *auth.Provider) string {
	ctx, cancel := context.WithTimeout(c.r.Context(), openidPatience)
	defer cancel()
	to, err := c.Auth.Begin(ctx, p, "", "", "", nil, "")
	if err != nil {
		return ""
	}
	address, err := url.Parse(to)
	if err != nil {
		return ""
	}
	query := address.Query()
	for _, ours := range []string{"client_id", "response_type", "redirect_uri", "scope", "state"} {
		query.Del(ours)
	}
	address.RawQuery = query.Encode()
	return address.String()
}

// openidToken takes the browser back from the provider and leads it to the page
// that asked.
func openidToken(c *call, p *auth.Provider, query url.Values) {
	var bad []error
	for _, name := range []string{"code", "state"} {
		if query.Get(name) == "" {
			bad = append(bad, kinto.Invalid("querystring", name, "Required"))
		}
	}
	if err := kinto.Problems(bad...); err != nil {
		c.fail(err)
		return
	}
	browser := ""
	if cookie, err := c.r.Cookie(openidCookieName(c.r)); err == nil {
		browser = cookie.Value
	}
	callback, token, err := c.Auth.Finish(c.r.Context(), p, browser, query.Get("code"), query.Get("state"), openidReturn(c, p))
	if errors.Is(err, auth.ErrState) {
		c.fail(errState)
		return
	}
	if err != nil {
		c.fail(err)
		return
	}
	c.lead(callback + url.QueryEscape(base64.StdEncoding.EncodeToString(token)))
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
func openidBrowser(c *call, p *auth.Provider) string {
	cookie := &http.Cookie{Name: openidCookieName(c.r), Value: rand.Text(), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(p.StateFor().Seconds()), Secure: front.Scheme(c.r) == "https"}
	if old, err := c.r.Cookie(cookie.Name); err == nil && len(old.Value) == len(cookie.Value) {
		cookie.Value = old.Value
	}
	http.SetCookie(c.w, cookie)
	return cookie.Value
}

// openidReturn is where the provider sends the browser back to.
func openidReturn(c *call, p *auth.Provider) string {
	return c.url("/v1/openid/" + url.PathEscape(p.Name) + "/token")
}

// mayReturn reports whether a token may be taken to a page.
func mayReturn(c *call, callback string) bool {
	u, err := url.Parse(callback)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return false
	}
	origin := u.Scheme + "://" + u.Host
	return withoutPort(u.Scheme, u.Host) == withoutPort(u.Scheme, c.r.Host) || slices.ContainsFunc(c.callbacks, func(pattern string) bool {
		ok, err := path.Match(pattern, origin)
		return pattern == origin || err == nil && ok
	})
}

// lead sends a browser elsewhere; nothing on the way keeps or tells the address.
func (c *call) lead(to string) {
	h := c.w.Header()
	h["Location"] = []string{to}
	h["Cache-Control"] = headerNoStore
	h["Referrer-Policy"] = []string{"no-referrer"}
	h["Content-Type"] = headerHTML
	c.write(http.StatusTemporaryRedirect, nil)
}

// openidTold is what hello tells of the providers.
func openidTold(c *call) capability {
	all := []map[string]any{}
	for _, p := range c.Auth.Providers() {
		one := map[string]any{
			"name": p.Name, "issuer": p.Issuer, "auth_path": "/openid/" + p.Name + "/login", "client_id": p.ClientID,
			"header_type": p.HeaderType, "userinfo_endpoint": p.UserInfo(c.r.Context()),
		}
		if p.Audience != "" && p.Audience != "*" {
			one["audience"] = p.Audience
		}
		all = append(all, one)
	}
	return capability{"providers": all}
}
