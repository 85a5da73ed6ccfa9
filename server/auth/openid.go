package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/server/kinto"
)

// Provider is an identity provider: somebody else who says who a caller is
// (protocol §8, openid). It speaks OpenID Connect (an issuer is set, and its
// endpoints are discovered), or plain OAuth 2 as GitHub does (the endpoints are
// set). A caller shows an access token it issued; the provider is asked whose it
// is, and what it said holds for a while.
type Provider struct {
	Name       string // of the policy; callers are NAME:ID
	Issuer     string // empty: plain OAuth 2
	ClientID   string
	Audience   string // tokens must be JWTs for it; empty: tokens for ClientID; "*": any of the provider's
	HeaderType string // of Authorization, "Bearer"

	secret  string
	userID  string // the field of what the provider says that is the caller's id
	keepFor time.Duration
	stateIn time.Duration
	set     oauth2.Endpoint // plain OAuth 2
	setInfo string

	client *http.Client
	key    []byte        // of the cache's keys; never leaves memory
	slots  chan struct{} // one for each question under way

	mu       sync.Mutex
	found    *oidc.Provider // nil until it was discovered
	failed   time.Time      // when that was last tried in vain
	verifier *oidc.IDTokenVerifier
	known    map[[sha256.Size]byte]knownToken
}

// knownToken is what a provider said of a token.
type knownToken struct {
	id      string // empty: it does not know it
	profile json.RawMessage
	until   time.Time
}

const (
	providerTime  = 10 * time.Second // a question to a provider
	providerBytes = 1 << 20          // of its answer
	providerSlots = 16
	unknownFor    = 30 * time.Second // before a token that was not good is asked about again
	discoverAgain = 10 * time.Second
	discoverShort = 2 * time.Second // for what can do without
	knownMost     = 10_000
	tokenBytes    = 16 << 10
)

// newProvider reads the settings multiauth.policy.NAME.*; nil when they are not
// those of a provider.
func newProvider(name string, k config.Kinto) (*Provider, error) {
	of := func(key string) string { return k.String("multiauth.policy." + name + "." + key) }
	p := &Provider{
		Name: name, Issuer: of("issuer"), ClientID: of("client_id"), Audience: of("audience"), HeaderType: of("header_type"),
		secret: of("client_secret"), userID: of("userid_field"),
		set: oauth2.Endpoint{AuthURL: of("authorization_endpoint"), TokenURL: of("token_endpoint")}, setInfo: of("userinfo_endpoint"),
		client: &http.Client{Timeout: providerTime}, key: make([]byte, 32), slots: make(chan struct{}, providerSlots),
		known: map[[sha256.Size]byte]knownToken{},
	}
	rand.Read(p.key)
	if p.Issuer == "" && p.setInfo == "" {
		return nil, nil
	}
	if p.HeaderType == "" {
		p.HeaderType = "Bearer"
	}
	if p.userID == "" {
		p.userID = "sub"
	}
	var err error
	if p.keepFor, err = secondsOf(of("verification_ttl_seconds"), 86400); err != nil {
		return nil, err
	}
	if p.stateIn, err = secondsOf(of("state_ttl_seconds"), 3600); err != nil {
		return nil, err
	}
	return p, nil
}

func secondsOf(text string, none int) (time.Duration, error) {
	if text == "" {
		return time.Duration(none) * time.Second, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		return 0, errors.New("a number of seconds is needed")
	}
	return time.Duration(n) * time.Second, nil
}

// Providers lists the identity providers that are on, in the order of the policies.
func (a *Auth) Providers() []*Provider {
	var out []*Provider
	for _, name := range a.policies {
		if p := a.providers[name]; p != nil {
			out = append(out, p)
		}
	}
	return out
}

// Provider returns the one of that name, or nil.
func (a *Auth) Provider(name string) *Provider { return a.providers[name] }

// token is the access token in an Authorization header meant for the provider.
func (p *Provider) token(authorization string) (string, bool) {
	scheme, token, _ := strings.Cut(authorization, " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, p.HeaderType) && token != "" && len(token) <= tokenBytes
}

// identify says whose a token is; false when the provider does not say. What it
// said of a token is asked again after a day, as with the reference, or when the
// token of OpenID Connect ends.
//
// issued reports whether the token was issued to a sign-in that this server finished.
func (p *Provider) identify(ctx context.Context, token string, issued func(context.Context) (bool, error)) (knownToken, bool, error) {
	mac := hmac.New(sha256.New, p.key)
	mac.Write([]byte(token))
	key := [sha256.Size]byte(mac.Sum(nil))
	p.mu.Lock()
	k, ok := p.known[key]
	p.mu.Unlock()
	if ok && time.Now().Before(k.until) {
		return k, k.id != "", nil
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	default:
		return k, false, &kinto.BusyError{What: "tokens"}
	}
	k, err := p.ask(ctx, token, issued)
	if err != nil {
		return k, false, fmt.Errorf("%w: cannot ask the identity provider %s: %w", kinto.ErrUnavailable, p.Name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) >= knownMost {
		clear(p.known)
	}
	p.known[key] = k
	return k, k.id != "", nil
}

// errProvider: a provider did not answer as one does.
var errProvider = errors.New("the identity provider gave no usable answer")

// ask asks the provider about a token. An error says that it could not be asked.
func (p *Provider) ask(ctx context.Context, token string, issued func(context.Context) (bool, error)) (knownToken, error) {
	none := knownToken{until: time.Now().Add(unknownFor)}
	until, ok, err := p.forUs(ctx, token, issued)
	if err != nil || !ok {
		return none, err
	}
	_, info, err := p.endpoints(ctx)
	if err != nil {
		return none, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, info, nil)
	if err != nil {
		return none, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept", "application/json")
	resp, err := p.client.Do(r)
	if err != nil {
		return none, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, providerBytes))
	if err != nil {
		return none, err
	}
	switch {
	case resp.StatusCode >= 500:
		return none, fmt.Errorf("%w: status %d", errProvider, resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return none, nil
	}
	var profile map[string]json.RawMessage
	if err := json.Unmarshal(body, &profile); err != nil {
		return none, errProvider
	}
	id := idOf(profile[p.userID])
	if id == "" {
		return none, nil
	}
	return knownToken{id, body, until}, nil
}

// forUs reports whether a token was made for this server, and not for another app that
// people sign in to at the same provider: whoever keeps that could be any of them here.
// A token is for us that names our audience, or where none is set our client (aud or
// azp), in a signed JWT (RFC 9068); and one that we got ourselves.
func (p *Provider) forUs(ctx context.Context, token string, issued func(context.Context) (bool, error)) (until time.Time, ok bool, err error) {
	until = time.Now().Add(p.keepFor)
	if p.Audience == "*" {
		return until, true, nil
	}
	if p.Audience == "" {
		if ok, err := issued(ctx); ok || err != nil {
			return until, ok, err
		}
		if p.Issuer == "" || p.ClientID == "" || strings.Count(token, ".") != 2 {
			return until, false, nil
		}
	}
	verifier, err := p.verify(ctx)
	if err != nil {
		return until, false, err
	}
	jwt, err := verifier.Verify(oidc.ClientContext(ctx, p.client), token)
	if err != nil {
		return until, false, nil // forged, for somebody else, or over
	}
	if p.Audience == "" {
		var claims struct {
			Client string `json:"azp"`
		}
		if err := jwt.Claims(&claims); err != nil || claims.Client != p.ClientID && !slices.Contains(jwt.Audience, p.ClientID) {
			return until, false, nil
		}
	}
	if jwt.Expiry.Before(until) {
		until = jwt.Expiry
	}
	return until, true, nil
}

// idOf is an id as text: a string, or the digits of a number.
func idOf(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var n json.Number
	if json.Unmarshal(raw, &n) == nil {
		return n.String()
	}
	return ""
}

// discover finds an OpenID provider's endpoints, once.
func (p *Provider) discover(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	found, failed := p.found, p.failed
	p.mu.Unlock()
	switch {
	case found != nil:
		return found, nil
	case time.Since(failed) < discoverAgain:
		return nil, errProvider
	}
	// Its keys are fetched with the context's client for as long as it is used.
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, p.client), p.Issuer)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.failed = time.Now()
		return nil, err
	}
	p.found = found
	return found, nil
}

func (p *Provider) verify(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	if p.Issuer == "" {
		return nil, errors.New("an audience needs an issuer")
	}
	found, err := p.discover(ctx)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.verifier == nil {
		p.verifier = found.Verifier(&oidc.Config{ClientID: p.Audience, SkipClientIDCheck: p.Audience == ""})
	}
	return p.verifier, nil
}

// endpoints are where to sign in and get a token, and whom to ask about one.
func (p *Provider) endpoints(ctx context.Context) (oauth2.Endpoint, string, error) {
	if p.Issuer == "" {
		return p.set, p.setInfo, nil
	}
	found, err := p.discover(ctx)
	if err != nil {
		return oauth2.Endpoint{}, "", err
	}
	return found.Endpoint(), found.UserInfoEndpoint(), nil
}

// UserInfo is whom the provider is asked about a token; empty when it does not say
// now.
func (p *Provider) UserInfo(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, discoverShort)
	defer cancel()
	_, info, err := p.endpoints(ctx)
	if err != nil {
		return ""
	}
	return info
}

func (p *Provider) oauth(ctx context.Context, redirect string, scopes []string) (*oauth2.Config, error) {
	endpoint, _, err := p.endpoints(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: cannot reach the identity provider %s: %w", kinto.ErrUnavailable, p.Name, err)
	}
	return &oauth2.Config{ClientID: p.ClientID, ClientSecret: p.secret, Endpoint: endpoint, RedirectURL: redirect, Scopes: scopes}, nil
}

// ErrState: a sign-in that came back is none that was begun, or took too long.
var ErrState = errors.New("the sign-in was not begun here")

// StateFor is how long somebody may take to sign in.
func (p *Provider) StateFor() time.Duration { return p.stateIn }

// Begin starts a sign-in: it returns where to send the browser, which comes back
// to redirect, and in the end to callback. browser is a secret that only this browser
// has: Finish wants it again, so that nobody is signed in by a link somebody else began.
func (a *Auth) Begin(ctx context.Context, p *Provider, browser, callback, redirect string, scopes []string, prompt string) (string, error) {
	conf, err := p.oauth(ctx, redirect, scopes)
	if err != nil {
		return "", err
	}
	text, err := a.sealState(ctx, state{p.Name, callback, time.Now().Add(p.stateIn)}, browser)
	if err != nil {
		return "", err
	}
	var more []oauth2.AuthCodeOption
	if prompt != "" {
		more = append(more, oauth2.SetAuthURLParam("prompt", prompt))
	}
	return conf.AuthCodeURL(text, more...), nil
}

// Finish ends a sign-in: the code that the provider sent becomes a token, as the
// provider answered it, for the callback that Begin was given. The state is good
// for one token, and for the browser that began. Errors are ErrState, and kinto.ErrUnavailable
// when the provider refuses.
func (a *Auth) Finish(ctx context.Context, p *Provider, browser, code, stateText, redirect string) (callback string, token []byte, err error) {
	s, err := a.openState(ctx, stateText, browser)
	if err == nil && s.Provider != p.Name {
		err = ErrState
	}
	if err != nil {
		return "", nil, err
	}
	conf, err := p.oauth(ctx, redirect, nil)
	if err != nil {
		return "", nil, err
	}
	form := url.Values{"code": {code}, "client_id": {conf.ClientID}, "client_secret": {p.secret}, "redirect_uri": {redirect}, "grant_type": {"authorization_code"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, conf.Endpoint.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json") // GitHub answers a form otherwise
	resp, err := p.client.Do(r)
	if err != nil {
		return "", nil, fmt.Errorf("%w: cannot get a token from %s: %w", kinto.ErrUnavailable, p.Name, err)
	}
	defer resp.Body.Close()
	token, err = io.ReadAll(io.LimitReader(resp.Body, providerBytes))
	if err != nil || resp.StatusCode >= 500 {
		return "", nil, fmt.Errorf("%w: cannot get a token from %s: status %d, %w", kinto.ErrUnavailable, p.Name, resp.StatusCode, errors.Join(err, errProvider))
	}
	if !json.Valid(token) {
		return "", nil, fmt.Errorf("%w: %s: %w", kinto.ErrUnavailable, p.Name, errProvider)
	}
	return s.Callback, token, a.noteIssued(ctx, p, token, stateKey(stateText), s.Until)
}

// issuedFor is how long a token that we got ourselves is known as ours, where the
// provider does not say how long it lasts.
const issuedFor = 90 * 24 * time.Hour

func issuedKey(p *Provider, token string) string {
	sum := sha256.Sum256([]byte(p.Name + "\x00" + token))
	return "openid:issued:" + fmt.Sprintf("%x", sum)
}

// noteIssued keeps that a token was made for this server, and that a state was used, by
// which it came; ErrState: it was used before.
func (a *Auth) noteIssued(ctx context.Context, p *Provider, answer []byte, used string, until time.Time) error {
	var got struct {
		Access  string `json:"access_token"`
		Seconds int64  `json:"expires_in"`
	}
	if err := json.Unmarshal(answer, &got); err != nil || got.Access == "" {
		return nil // the provider refused; the page that asked is told what it said
	}
	last := issuedFor
	if got.Seconds > 0 {
		last = min(last, time.Duration(got.Seconds)*time.Second)
	}
	return a.store.Write(ctx, nil, func(tx kinto.Tx) error {
		before, err := tx.Note(used)
		if err == nil && before != nil {
			err = ErrState
		}
		if err == nil {
			err = tx.SetNote(used, []byte("1"), until)
		}
		if err != nil {
			return err
		}
		return tx.SetNote(issuedKey(p, got.Access), []byte("1"), time.Now().Add(last))
	})
}

// issued reports whether a token was made for this server.
func (a *Auth) issued(p *Provider, token string) func(context.Context) (bool, error) {
	return func(ctx context.Context) (ok bool, err error) {
		err = a.store.Read(ctx, func(tx kinto.Reader) error {
			note, err := tx.Note(issuedKey(p, token))
			ok = note != nil
			return err
		})
		return ok, err
	}
}
