// Package auth says who sends an API request.
//
// It hides policies: accounts (by the password of a person or of an app, which
// package people checks), basicauth, and identity providers; and it names the groups
// a caller is in and the bucket that is a caller's own. Used by package api, which
// asks Identify for every request.
//
// Threat model. Anybody on the network may send any header. What guessing a password
// of an account is worth is limited in package people; a token is asked about at the
// provider that issued it, few at a time, and no longer believed than it lasts.
// Nothing here logs a name, a password, a token or a header.
package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"unicode/utf8"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/server/kinto"
	"github.com/foyer-server/foyer/server/people"
)

// Auth identifies callers. It is safe for concurrent use.
type Auth struct {
	store     kinto.Store
	people    *people.People
	log       *slog.Logger
	policies  []string
	providers map[string]*Provider // by policy

	bucketSecret []byte // default_bucket_hmac_secret
}

// New returns the Auth of a server. A policy this server does not have is logged and
// left out.
func New(store kinto.Store, settings config.Kinto, accounts *people.People, log *slog.Logger) *Auth {
	a := &Auth{store: store, people: accounts, log: log, providers: map[string]*Provider{}, bucketSecret: []byte(settings.String("default_bucket_hmac_secret"))}
	for _, p := range settings.List("multiauth.policies") {
		switch p {
		case "account", "basicauth":
			a.policies = append(a.policies, p)
			continue
		}
		provider, err := newProvider(p, settings)
		switch {
		case err != nil:
			log.Error("the settings of an identity provider are not right; it is left out", "policy", p, "err", err)
		case provider != nil:
			a.policies = append(a.policies, p)
			a.providers[p] = provider
		default:
			log.Error("there is no such way to authenticate; it is left out", "setting", "kinto.multiauth.policies", "policy", p)
		}
	}
	return a
}

// Policies lists the ways to authenticate that are on, in their order.
func (a *Auth) Policies() []string { return a.policies }

// Identify says who sends a request with this Authorization header; from is the
// address it came from, as guesses are counted by it (front.Origin). Missing and
// wrong credentials make kinto.Anonymous, not an error; errors are those of the
// store, or a *kinto.BusyError when too many logins are being checked, or too many
// were wrong.
func (a *Auth) Identify(ctx context.Context, authorization, from string) (kinto.Caller, error) {
	name, password, isBasic := basic(authorization)
	for _, p := range a.policies {
		provider := a.providers[p]
		if provider == nil && !isBasic {
			continue
		}
		switch p {
		case "account":
			app, err := a.people.ByApp(ctx, name, password)
			ok := app
			if err == nil && !app {
				ok, err = a.people.ByPassword(ctx, name, password, from)
			}
			if err != nil {
				return kinto.Caller{}, err
			}
			if ok {
				who, err := a.known(ctx, "account:"+name)
				who.App, who.Owner = app, who.Owner && !app
				return who, err
			}
		case "basicauth":
			secret, err := a.people.HMACSecret(ctx)
			if err != nil {
				return kinto.Caller{}, err
			}
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(name + ":" + password))
			return a.known(ctx, "basicauth:"+hex.EncodeToString(mac.Sum(nil)))
		default:
			token, ok := provider.token(authorization)
			if !ok {
				continue
			}
			k, ok, err := provider.identify(ctx, token, a.issued(provider, token))
			if err != nil {
				return kinto.Caller{}, err
			}
			if ok {
				return a.known(ctx, p+":"+k.id)
			}
		}
	}
	return kinto.Anonymous(), nil
}

// Profile is what an identity provider says of the caller whom it identified by
// this Authorization header; nil when it was not one.
func (a *Auth) Profile(ctx context.Context, authorization string) (json.RawMessage, error) {
	for _, p := range a.Providers() {
		if token, ok := p.token(authorization); ok {
			if k, ok, err := p.identify(ctx, token, a.issued(p, token)); ok || err != nil {
				return k.profile, err
			}
		}
	}
	return nil, nil
}

// Realms are what to ask a caller for who is nobody yet, one for each policy
// (WWW-Authenticate).
func (a *Auth) Realms() []string {
	var out []string
	for _, p := range a.policies {
		if provider := a.providers[p]; provider != nil {
			out = append(out, provider.HeaderType+` realm="Realm"`)
			continue
		}
		out = append(out, `Basic realm="Realm", charset="UTF-8"`) // RFC 7617 §2.1
	}
	return out
}

// known is the caller with an id, and with the groups that is in.
func (a *Auth) known(ctx context.Context, id string) (kinto.Caller, error) {
	name, isAccount := strings.CutPrefix(id, "account:")
	who := kinto.Caller{ID: id}
	err := a.store.Read(ctx, func(tx kinto.Reader) (err error) {
		if who.Principals, err = kinto.Principals(tx, id); err != nil || !isAccount {
			return err
		}
		who.Owner, err = a.people.Owns(tx, name)
		return err
	})
	if err != nil {
		return kinto.Caller{}, fmt.Errorf("cannot tell which groups a caller is in: %w", err)
	}
	return who, nil
}

// basic reads HTTP Basic credentials (RFC 7617). An empty name is nobody.
func basic(authorization string) (name, password string, ok bool) {
	scheme, rest, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
	if err != nil {
		return "", "", false
	}
	name, password, ok = strings.Cut(decoded(raw), ":")
	return name, password, ok && name != ""
}

// decoded is what a client wrote: UTF-8, as it is told to, or else ISO 8859-1, which some
// libraries write whatever they are told. The reference reads it so, too.
func decoded(raw []byte) string {
	if utf8.Valid(raw) {
		return string(raw)
	}
	out := make([]rune, len(raw))
	for i, b := range raw {
		out[i] = rune(b)
	}
	return string(out)
}
