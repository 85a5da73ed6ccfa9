// Package people knows who has an account on this server, and holds the rules of
// accounts, whatever door a change comes by: the claim by which the first owner
// comes to be, sessions, passkeys, the passwords of apps, invitations, resets.
//
// It hides the cache in front of bcrypt, how guesses are counted, and what is kept
// of a person. Accounts are ordinary Kinto objects of kind account in the store, each
// in a list of its own. What else is kept of a person (sessions, passkeys, the
// passwords of apps) is one fact in the store's meta that no API shows, and goes with
// the account; so are the owner's name, the pending claim, invitations, and the secret
// made here. How often wrong passwords were tried is notes, which end by themselves;
// what a device was asked for a passkey is kept by who asked, signed. The rules
// (rules.go) are what package kinto asks before an account changes, and what the
// pages' doors here go through themselves.
//
// Threat model. Anybody on the network may try names, passwords and codes: an
// unknown name takes as long as a wrong password and is paused like a known one,
// bcrypt runs on a part of the machine only and turns callers away rather than
// queueing them without end, and every try is counted before it is compared. In a
// pause nothing is compared, whether it is right or not (guess.go): who goes on
// meanwhile is who needs no password (a session, a passkey, an app with a password of
// its own) and a device that showed the right one before, which has a handful of
// tries of its own. Sessions end with the password they were begun with. Who reads
// the database finds bcrypt hashes, and SHA-256 of random secrets, no passwords and no
// codes; with the policy basicauth, though, the secret that turns credentials into ids
// lies there too. Nothing here logs a name, a password, a code or a header.
//
// Used by the doors: auth asks who an API request is of, api, web and server the rest.
package people

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/server/kinto"
)

// People is all that this package does, in parts that share a core. It is safe for
// concurrent use.
type People struct {
	*core
	claims
	sessions
	passkeys
	apps
	links
	members
}

// core is what the parts share.
type core struct {
	store kinto.Store
	log   *slog.Logger
	*passwords
	rules rules
	owner atomic.Pointer[rights] // nil until they are known

	secretMu sync.Mutex
	secret   []byte // userid_hmac_secret; nil until it is known
}

// New returns the people of a server. dataDir is where claim offers are left.
func New(store kinto.Store, settings config.Kinto, dataDir string, log *slog.Logger) *People {
	c := &core{store: store, log: log, passwords: newPasswords(store, settings), rules: newRules(settings)}
	if s := settings.String("userid_hmac_secret"); s != "" {
		c.secret = []byte(s)
	}
	ps := &People{core: c, sessions: sessions{c}, passkeys: passkeys{c}, apps: apps{c}, members: members{c}}
	ps.claims = claims{core: c, dir: dataDir, codes: newCodes(store)}
	ps.links = links{core: c, claims: &ps.claims}
	return ps
}

// The facts kept in the store's meta. Their names are older than this package.
const (
	metaSecret  = "auth.userid_hmac_secret"
	metaOwner   = kinto.MetaOwner      // name of the first owner's account
	metaOwners  = "auth.owners"        // there is, or was, one more owner
	metaOffer   = "auth.claim.offer"   // claim.Offer as JSON
	metaTaken   = "auth.claim.taken"   // id of the last offer taken
	metaGuesses = "auth.claim.guesses" // spent as JSON
)

// HMACSecret is the setting userid_hmac_secret, or one made once and kept: a new one
// would make everybody somebody else, and sign everything anew.
func (c *core) HMACSecret(ctx context.Context) ([]byte, error) {
	c.secretMu.Lock()
	defer c.secretMu.Unlock()
	if c.secret != nil {
		return c.secret, nil
	}
	var kept []byte
	err := c.store.Read(ctx, func(tx kinto.Reader) (err error) {
		kept, err = tx.Meta(metaSecret)
		return err
	})
	if err == nil && kept == nil {
		fresh := []byte(rand.Text())
		err = c.store.Write(ctx, nil, func(tx kinto.Tx) (err error) {
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
	c.secret = kept
	return kept, nil
}

// sign is a MAC that only this server, on whatever node, can make. What is signed for
// one purpose is good for no other.
func (c *core) sign(ctx context.Context, purpose string, text []byte) ([]byte, error) {
	secret, err := c.HMACSecret(ctx)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(purpose + "\x00"))
	mac.Write(text)
	return mac.Sum(nil), nil
}
