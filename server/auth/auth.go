// Package auth says who is calling, and who owns this server.
//
// It hides policies, groups, passwords, passkeys, the cache in front of bcrypt, the
// claim by which the first owner comes to be, and how people are signed in to the
// pages. Accounts are ordinary Kinto objects of kind account in the store, each in a
// list of its own. What else is kept of a person (sessions, passkeys, the passwords
// of apps) is one fact in the store's meta that no API shows, and goes with the
// account; so are the owner's name, the pending claim, invitations, and the secrets
// made here. How often wrong passwords were tried is notes, which end by themselves;
// what a device was asked for a passkey is kept by who asked, signed. Used by the doors: api asks Identify for every request, web and server the rest.
//
// Threat model. Anybody on the network may try names, passwords and codes: an
// unknown name takes as long as a wrong password and is paused like a known one,
// bcrypt runs on a part of the machine only and turns callers away rather than
// queueing them without end, and what was tried is counted durably: codes before
// they are compared, passwords before the answer. A pause keeps out nobody whose
// credentials were right since the server started, no app with a password of its
// own, no passkey and no session: at worst strangers have a new device wait for a
// quarter of an hour. Sessions end with the password they were begun with. Who reads the database finds bcrypt hashes, and
// SHA-256 of random secrets, no passwords and no codes; with the policy basicauth,
// though, the secret that turns credentials into ids lies there too. Nothing here
// logs a name, a password, a code or a header.
package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/gjson"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/server/kinto"
)

// Auth identifies callers. It is safe for concurrent use.
type Auth struct {
	store     kinto.Store
	dir       string
	log       *slog.Logger
	policies  []string
	providers map[string]*Provider // by policy
	verifier  *verifier
	claimed   atomic.Bool            // once true it stays
	owner     atomic.Pointer[rights] // nil until they are known

	bucketSecret []byte // default_bucket_hmac_secret

	secretMu sync.Mutex
	secret   []byte // userid_hmac_secret; nil until it is known
}

// New returns the Auth of a server. dataDir is where claim offers are left. A
// policy this server does not have is logged and left out.
func New(store kinto.Store, settings config.Kinto, dataDir string, log *slog.Logger) *Auth {
	a := &Auth{store: store, dir: dataDir, log: log, verifier: newVerifier(time.Duration(settings.Int("account_cache_ttl_seconds", 30)) * time.Second), providers: map[string]*Provider{}, bucketSecret: []byte(settings.String("default_bucket_hmac_secret"))}
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
	if s := settings.String("userid_hmac_secret"); s != "" {
		a.secret = []byte(s)
	}
	return a
}

// Policies lists the ways to authenticate that are on, in their order.
func (a *Auth) Policies() []string { return a.policies }

// Identify says who sends a request with this Authorization header. Missing and
// wrong credentials make kinto.Anonymous, not an error; errors are those of the
// store, or kinto.ErrUnavailable when too many logins are being checked.
func (a *Auth) Identify(ctx context.Context, authorization string) (kinto.Caller, error) {
	name, password, isBasic := basic(authorization)
	for _, p := range a.policies {
		provider := a.providers[p]
		if provider == nil && !isBasic {
			continue
		}
		switch p {
		case "account":
			who, ok, err := a.byApp(ctx, name, password)
			if err != nil || ok {
				return who, err
			}
			if ok, err = a.checkAccount(ctx, name, password); err != nil {
				return kinto.Caller{}, err
			}
			if ok {
				return a.known(ctx, "account:"+name)
			}
		case "basicauth":
			secret, err := a.hmacSecret(ctx)
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
			k, ok, err := provider.identify(ctx, token)
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
			if k, ok, err := p.identify(ctx, token); ok || err != nil {
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
		scheme := "Basic"
		if provider := a.providers[p]; provider != nil {
			scheme = provider.HeaderType
		}
		out = append(out, scheme+` realm="Realm"`)
	}
	return out
}

// known is the caller with an id, and with the groups that is in.
func (a *Auth) known(ctx context.Context, id string) (kinto.Caller, error) {
	var groups []string
	name, isAccount := strings.CutPrefix(id, "account:")
	rights, owns := a.rights(), false
	err := a.store.Read(ctx, func(tx kinto.Reader) (err error) {
		if groups, err = tx.Groups(id, kinto.Authenticated); err != nil || !isAccount {
			return err
		}
		if rights == nil {
			if rights, err = a.readRights(tx); err != nil {
				return err
			}
		}
		owns = rights.first == name && name != ""
		if owns || !rights.more {
			return nil
		}
		more, err := tx.Meta(kinto.MetaPerson + name)
		owns = gjson.GetBytes(more, "owner").Bool()
		return err
	})
	if err != nil {
		return kinto.Caller{}, fmt.Errorf("cannot tell which groups a caller is in: %w", err)
	}
	who := make([]string, 0, len(groups)+3)
	who = append(append(who, id), groups...)
	return kinto.Caller{ID: id, Principals: append(who, kinto.Authenticated, kinto.Everyone), Owner: owns}, nil
}

// rights are who owns the server, as far as it is not said in what is kept of a person.
type rights struct {
	first string // the first owner's account
	more  bool   // there may be more
	until time.Time
}

// rightsFor is how long another node may not know yet that there is a second owner.
const rightsFor = 2 * time.Second

// rights are those that were read lately; nil: none were.
func (a *Auth) rights() *rights {
	r := a.owner.Load()
	if r == nil || r.first == "" || !r.more && time.Now().After(r.until) {
		return nil
	}
	return r
}

func (a *Auth) readRights(tx kinto.Reader) (*rights, error) {
	first, err := tx.Meta(metaOwner)
	if err != nil {
		return nil, err
	}
	more, err := tx.Meta(metaOwners)
	if err != nil {
		return nil, err
	}
	r := &rights{string(first), more != nil, time.Now().Add(rightsFor)}
	a.owner.Store(r)
	return r, nil
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
	name, password, ok = strings.Cut(string(raw), ":")
	return name, password, ok && name != ""
}

// The facts kept in the store's meta.
const (
	metaSecret  = "auth.userid_hmac_secret"
	metaOwner   = kinto.MetaOwner      // name of the first owner's account
	metaOwners  = "auth.owners"        // there is, or was, one more owner
	metaOffer   = "auth.claim.offer"   // claim.Offer as JSON
	metaTaken   = "auth.claim.taken"   // id of the last offer taken
	metaGuesses = "auth.claim.guesses" // guesses as JSON
)

// hmacSecret is the setting userid_hmac_secret, or one made once and kept: a new
// one would make everybody somebody else.
func (a *Auth) hmacSecret(ctx context.Context) ([]byte, error) {
	a.secretMu.Lock()
	defer a.secretMu.Unlock()
	if a.secret != nil {
		return a.secret, nil
	}
	var kept []byte
	err := a.store.Read(ctx, func(tx kinto.Reader) (err error) {
		kept, err = tx.Meta(metaSecret)
		return err
	})
	if err == nil && kept == nil {
		fresh := []byte(rand.Text())
		err = a.store.Write(ctx, nil, func(tx kinto.Tx) (err error) {
			if kept, err = tx.Meta(metaSecret); err != nil || kept != nil {
				return err
			}
			kept = fresh
			return tx.SetMeta(metaSecret, fresh)
		})
	}
	if err != nil {
		return nil, fmt.Errorf("cannot get the secret of user ids: %w", err)
	}
	a.secret = kept
	return kept, nil
}
