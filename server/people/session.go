package people

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

type sessions struct{ *core }

// How long somebody stays signed in to the pages.
const (
	SessionIdle  = 30 * 24 * time.Hour  // without coming by
	sessionLong  = 180 * 24 * time.Hour // at most
	sessionSeen  = time.Hour            // how exactly it is known when they came by
	sessionsMost = 20                   // of one person; the one not seen for the longest goes
	deviceBytes  = 60
)

// session is one browser that is signed in.
type session struct {
	ID     string    `json:"id"`
	Hash   []byte    `json:"hash"`     // digest of the secret in its cookie
	Pass   []byte    `json:"password"` // digest of the password's hash: another password ends it
	Device string    `json:"device,omitempty"`
	Made   time.Time `json:"made"`
	Seen   time.Time `json:"seen"`
}

func (s *session) over(hash string, now time.Time) bool {
	return now.Sub(s.Seen) > SessionIdle || now.Sub(s.Made) > sessionLong || !bytes.Equal(s.Pass, digest(hash))
}

// Person is somebody who is signed in to the pages.
type Person struct {
	Name    string
	Owner   bool
	Session string // id of theirs
}

// open begins a session with a secret of its own, and returns what its cookie is
// to hold: the name, and the secret.
func (p *person) open(name, hash, device string) (cookie string) {
	raw := make([]byte, 32)
	rand.Read(raw)
	secret := base64.RawURLEncoding.EncodeToString(raw)
	now := time.Now().UTC().Truncate(time.Second)
	p.Sessions = slices.DeleteFunc(p.Sessions, func(s session) bool { return s.over(hash, now) })
	slices.SortFunc(p.Sessions, func(a, b session) int { return b.Seen.Compare(a.Seen) })
	p.Sessions = append(p.Sessions[:min(len(p.Sessions), sessionsMost-1)], session{newID(), digest(secret), digest(hash), short(device, deviceBytes), now, now})
	return name + ":" + secret
}

// match finds the session of a cookie's secret.
func (p *person) match(secret string) *session {
	want := digest(secret)
	for i := range p.Sessions {
		if subtle.ConstantTimeCompare(p.Sessions[i].Hash, want) == 1 {
			return &p.Sessions[i]
		}
	}
	return nil
}

// Session says who a cookie is of; nil: nobody. renew says that it is time to give
// the cookie again, for it to live on.
func (s sessions) Session(ctx context.Context, cookie string) (who *Person, renew bool, err error) {
	name, secret, ok := strings.Cut(cookie, ":")
	if !ok || !kinto.Account.ValidID(name) {
		return nil, false, nil
	}
	now := time.Now()
	err = s.store.Read(ctx, func(tx kinto.Reader) error {
		who, renew = nil, false
		p, hash, err := find(tx, name)
		if err != nil || p == nil {
			return err
		}
		s := p.match(secret)
		if s == nil || s.over(hash, now) {
			return nil
		}
		who, renew = &Person{Name: name, Session: s.ID}, now.Sub(s.Seen) > sessionSeen
		who.Owner, err = isOwner(tx, name, p)
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("cannot tell who is signed in: %w", err)
	}
	if renew {
		err = s.change(ctx, name, func(_ kinto.Tx, p *person, _ string) error {
			if s := p.match(secret); s != nil {
				s.Seen = now.UTC().Truncate(time.Second)
			}
			return nil
		})
		if errors.Is(err, kinto.ErrFull) || errors.Is(err, kinto.ErrUnavailable) {
			renew, err = false, nil // who can read is let in; the next page tries again
		}
	}
	return who, renew, err
}

// Proof says whose session a cookie is, whether they own the server, and when they signed
// in, by what tx reads; an empty name: nobody's. It is for whoever does not take the
// server's word for it, and changes nothing.
func Proof(tx kinto.Reader, cookie string) (name string, owner bool, signedIn time.Time, err error) {
	name, secret, ok := strings.Cut(cookie, ":")
	if !ok {
		return "", false, time.Time{}, nil
	}
	p, hash, err := find(tx, name)
	if err != nil || p == nil {
		return "", false, time.Time{}, err
	}
	s := p.match(secret)
	if s == nil || s.over(hash, time.Now()) {
		return "", false, time.Time{}, nil
	}
	owner, err = isOwner(tx, name, p)
	return name, owner, s.Made, err
}

// SignOut ends the session of a cookie. One that is none is ended already.
func (c *core) SignOut(ctx context.Context, cookie string) error {
	name, secret, _ := strings.Cut(cookie, ":")
	err := c.change(ctx, name, func(_ kinto.Tx, p *person, _ string) error {
		p.Sessions = slices.DeleteFunc(p.Sessions, func(s session) bool { return bytes.Equal(s.Hash, digest(secret)) })
		return nil
	})
	if e := hint.Find(err); e != nil && e.Code == "person-gone" {
		return nil
	}
	return err
}

// EndSession ends one session of somebody, by its id; with others, all but that one.
func (s sessions) EndSession(ctx context.Context, name, id string, others bool) error {
	return s.change(ctx, name, func(_ kinto.Tx, p *person, _ string) error {
		p.Sessions = slices.DeleteFunc(p.Sessions, func(s session) bool { return (s.ID == id) != others })
		return nil
	})
}

// SignIn begins a session for who knows the password of an account; from is where they
// type it, device what their browser is. old is the cookie they came with: it ends,
// whosoever it was, so that nobody can have prepared it.
// Errors a person can act on have code signin-wrong or signin-paused.
func (s sessions) SignIn(ctx context.Context, name, password string, from From, device, old string) (cookie string, err error) {
	if name, err = s.whose(ctx, name); err != nil {
		return "", err
	}
	if err := s.prove(ctx, name, password, from, ""); err != nil {
		return "", err
	}
	return s.begin(ctx, name, device, old, Event{Who: name, What: SignedIn, Note: short(device, deviceBytes)})
}

// whose is the name of an account that somebody means who types a name: without what
// stands around it, and with its own capital letters.
func (s sessions) whose(ctx context.Context, typed string) (name string, err error) {
	typed = strings.TrimSpace(typed)
	err = s.store.Read(ctx, func(tx kinto.Reader) error {
		name = typed
		p, _, err := find(tx, typed)
		if err != nil || p != nil || !kinto.Account.ValidID(typed) {
			return err
		}
		own, err := tx.Meta(metaFolded + strings.ToLower(typed))
		if own != nil {
			name = string(own)
		}
		return err
	})
	return name, err
}

// begin opens a session and tells of it.
func (s sessions) begin(ctx context.Context, name, device, old string, e Event) (cookie string, err error) {
	err = s.change(ctx, name, func(tx kinto.Tx, p *person, hash string) error {
		cookie = p.open(name, hash, device)
		return tell(tx, e)
	})
	return cookie, s.leave(ctx, old, err)
}

// leave ends the session of the cookie that somebody came with, once they have
// another: err says whether they do, and is returned.
func (c *core) leave(ctx context.Context, old string, err error) error {
	if err != nil || old == "" {
		return err
	}
	return c.SignOut(ctx, old)
}

// hashOf is the hash of an account's password; empty: there is no such account.
func (c *core) hashOf(ctx context.Context, name string) (hash string, err error) {
	err = c.store.Read(ctx, func(tx kinto.Reader) error {
		_, hash, err = find(tx, name)
		return err
	})
	return hash, err
}

// ChangePassword gives somebody who is signed in, and knows the old one, a new
// password. Every session ends, also theirs: cookie is of a new one.
func (s sessions) ChangePassword(ctx context.Context, who *Person, old, password string, from From, device string) (cookie string, err error) {
	if err := s.prove(ctx, who.Name, old, from, who.Session); err != nil {
		return "", err
	}
	hash, err := s.hash(ctx, Secret{Password: password})
	if err != nil {
		return "", err
	}
	err = s.change(ctx, who.Name, func(tx kinto.Tx, p *person, _ string) error {
		if err := errors.Join(putAccount(tx, who.Name, hash), repassword(tx, who.Name)); err != nil {
			return err
		}
		p.Sessions = nil
		cookie = p.open(who.Name, hash, device)
		return tell(tx, Event{Who: who.Name, What: PasswordChanged})
	})
	return cookie, err
}
