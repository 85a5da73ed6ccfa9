package people

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// A passkey is a key that a phone or a computer keeps (WebAuthn): it is bound to
// one name of this server, cannot be guessed or handed to another site, and asks
// for a finger, a face or a PIN. It signs in without a name: the device says whose
// it is.

type passkeys struct{ *core }

// Place is where passkeys are made and used: a name of this server, and the origin
// of its pages by that name.
type Place struct {
	Host   string // no address: passkeys know names only
	Origin string // "https://HOST[:PORT]"
	Server string // what the device calls it
}

const (
	passkeyTime  = 5 * time.Minute // from question to answer
	passkeysMost = 20
	metaHandle   = "auth.handle." // whose a handle is
)

// passkey is one that somebody has.
type passkey struct {
	ID         string              `json:"id"`
	Label      string              `json:"label"`
	Host       string              `json:"host"`
	Handle     []byte              `json:"handle"` // by which the device says whose it is: random
	Credential webauthn.Credential `json:"credential"`
	Made       time.Time           `json:"made"`
	Used       time.Time           `json:"used,omitzero"`
}

// Passkey is one that was just made, and is nobody's yet.
type Passkey struct{ passkey passkey }

// asked is what a device was asked.
type asked struct {
	Session webauthn.SessionData `json:"session"`
	Name    string               `json:"name,omitempty"`
	Handle  []byte               `json:"handle,omitempty"`
	Until   time.Time            `json:"until"`
}

// user is somebody, as webauthn wants to know them.
type user struct {
	name   string
	handle []byte
	keys   []webauthn.Credential
}

func (u user) WebAuthnID() []byte                         { return u.handle }
func (u user) WebAuthnName() string                       { return u.name }
func (u user) WebAuthnDisplayName() string                { return u.name }
func (u user) WebAuthnCredentials() []webauthn.Credential { return u.keys }

func (p Place) open() (*webauthn.WebAuthn, error) {
	wa, err := webauthn.New(&webauthn.Config{
		RPID: p.Host, RPDisplayName: p.Server, RPOrigins: []string{p.Origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			RequireResidentKey: protocol.ResidentKeyRequired(), ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot use passkeys at %s: %w", p.Origin, err)
	}
	return wa, nil
}

// OfferPasskey is what to ask a device that is to make a passkey for name, and a
// state to give back with its answer. Those that name has already are told, so that
// no device makes a second one.
func (k passkeys) OfferPasskey(ctx context.Context, place Place, name string, has bool) (options []byte, state string, err error) {
	wa, err := place.open()
	if err != nil {
		return nil, "", err
	}
	u := user{name: name, handle: make([]byte, 32)}
	rand.Read(u.handle)
	if has {
		err = k.store.Read(ctx, func(tx kinto.Reader) error {
			p, _, err := find(tx, name)
			u.keys = nil
			if err == nil && p != nil {
				u.keys = p.credentials(place.Host)
			}
			return err
		})
		if err != nil {
			return nil, "", err
		}
	}
	var known []protocol.CredentialDescriptor
	for _, k := range u.keys {
		known = append(known, k.Descriptor())
	}
	creation, session, err := wa.BeginRegistration(u, webauthn.WithExclusions(known))
	if err != nil {
		return nil, "", fmt.Errorf("cannot ask for a passkey: %w", err)
	}
	if options, err = json.Marshal(creation); err != nil {
		return nil, "", err
	}
	state, err = k.ask(ctx, asked{Session: *session, Name: name, Handle: u.handle})
	return options, state, err
}

// TakePasskey is the passkey that a device made, by its answer.
func (k passkeys) TakePasskey(ctx context.Context, place Place, state string, answer []byte, label string) (*Passkey, error) {
	q, err := k.answered(ctx, state)
	if err != nil {
		return nil, err
	}
	wa, err := place.open()
	if err != nil {
		return nil, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return nil, passkeyRefused().Because(errors.New("the answer cannot be read"))
	}
	c, err := wa.CreateCredential(user{name: q.Name, handle: q.Handle}, q.Session, parsed)
	if err != nil {
		return nil, passkeyRefused().Because(err)
	}
	if label = short(label, labelMost); label == "" {
		label = place.Host
	}
	return &Passkey{passkey{ID: newID(), Label: label, Host: place.Host, Handle: q.Handle, Credential: *c, Made: time.Now().UTC().Truncate(time.Second)}}, nil
}

// install keeps a person who chose how to sign in: by a password with this hash, or
// by a passkey, and then the hash is that of a password nobody knows.
func install(tx kinto.Tx, name, hash string, p *person, key *Passkey) error {
	if key == nil {
		return keep(tx, name, p)
	}
	p.Unknown = digest(hash)
	return addKey(tx, name, p, key)
}

// addKey keeps a person with a passkey more.
func addKey(tx kinto.Tx, name string, p *person, key *Passkey) error {
	if len(p.Passkeys) >= passkeysMost {
		return tooMany()
	}
	p.Passkeys = append(slices.Clone(p.Passkeys), key.passkey)
	if err := tx.SetMeta(metaHandle+hex.EncodeToString(key.passkey.Handle), []byte(name)); err != nil {
		return err
	}
	return keep(tx, name, p)
}

// AddPasskey gives somebody one more.
func (k passkeys) AddPasskey(ctx context.Context, name string, key *Passkey) error {
	return k.change(ctx, name, func(tx kinto.Tx, p *person, _ string) error {
		if err := tell(tx, Event{Who: name, What: PasskeyAdded, Note: key.passkey.Label}); err != nil {
			return err
		}
		return addKey(tx, name, p, key)
	})
}

// RemovePasskey takes one away.
func (k passkeys) RemovePasskey(ctx context.Context, name, id string) error {
	return k.change(ctx, name, func(tx kinto.Tx, p *person, _ string) error {
		i := byID(p.Passkeys, id, func(k *passkey) string { return k.ID })
		if i < 0 {
			return thingGone()
		}
		k := p.Passkeys[i]
		p.Passkeys = slices.Delete(p.Passkeys, i, i+1)
		if err := tx.SetMeta(metaHandle+hex.EncodeToString(k.Handle), nil); err != nil {
			return err
		}
		return tell(tx, Event{Who: name, What: PasskeyRemoved, Note: k.Label})
	})
}

// AskPasskey is what to ask a device that is to sign somebody in, and a state to
// give back with its answer.
func (k passkeys) AskPasskey(ctx context.Context, place Place) (options []byte, state string, err error) {
	wa, err := place.open()
	if err != nil {
		return nil, "", err
	}
	assertion, session, err := wa.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return nil, "", fmt.Errorf("cannot ask for a passkey: %w", err)
	}
	if options, err = json.Marshal(assertion); err != nil {
		return nil, "", err
	}
	state, err = k.ask(ctx, asked{Session: *session})
	return options, state, err
}

// SignInByPasskey begins a session for whose device answered; old is as with SignIn.
// An answer is good once.
func (k passkeys) SignInByPasskey(ctx context.Context, place Place, state string, answer []byte, device, old string) (cookie string, err error) {
	q, err := k.answered(ctx, state)
	if err != nil {
		return "", err
	}
	wa, err := place.open()
	if err != nil {
		return "", err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return "", passkeyRefused().Because(errors.New("the answer cannot be read"))
	}
	var name string
	c, err := wa.ValidateDiscoverableLogin(func(_, handle []byte) (webauthn.User, error) {
		u := user{handle: handle}
		err := k.store.Read(ctx, func(tx kinto.Reader) error {
			whose, err := tx.Meta(metaHandle + hex.EncodeToString(handle))
			if err != nil {
				return err
			}
			p, _, err := find(tx, string(whose))
			if err != nil {
				return err
			}
			u.name, u.keys = string(whose), nil
			if p != nil {
				for _, k := range p.Passkeys {
					if k.Host == place.Host && bytes.Equal(k.Handle, handle) {
						u.keys = append(u.keys, k.Credential)
					}
				}
			}
			return nil
		})
		name = u.name
		return u, err
	}, q.Session, parsed)
	if err != nil {
		return "", passkeyRefused().Because(err)
	}
	err = k.change(ctx, name, func(tx kinto.Tx, p *person, hash string) error {
		if err := q.once(tx); err != nil {
			return err
		}
		i := slices.IndexFunc(p.Passkeys, func(k passkey) bool { return bytes.Equal(k.Credential.ID, c.ID) })
		if i < 0 {
			return passkeyRefused() // taken away meanwhile
		}
		p.Passkeys[i].Credential, p.Passkeys[i].Used = *c, time.Now().UTC().Truncate(time.Second)
		cookie = p.open(name, hash, device)
		return tell(tx, Event{Who: name, What: SignedIn, Note: short(device, deviceBytes)})
	})
	return cookie, k.leave(ctx, old, err)
}

func (p *person) credentials(host string) (out []webauthn.Credential) {
	for _, k := range p.Passkeys {
		if k.Host == host {
			out = append(out, k.Credential)
		}
	}
	return out
}

// ask makes the state of a question: what was asked, signed. Strangers may ask as
// often as they like, so nothing of it is kept here.
func (k passkeys) ask(ctx context.Context, q asked) (state string, err error) {
	q.Until = time.Now().Add(passkeyTime)
	text, err := json.Marshal(q)
	if err != nil {
		return "", err
	}
	mac, err := k.sign(ctx, "passkey", text)
	return base64.RawURLEncoding.EncodeToString(append(mac, text...)), err
}

// answered is what a device was asked, by the state that came back.
func (k passkeys) answered(ctx context.Context, state string) (q asked, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(state)
	if err != nil || len(raw) < sha256.Size {
		return q, passkeyRefused().Because(errors.New("the state is none"))
	}
	want, err := k.sign(ctx, "passkey", raw[sha256.Size:])
	if err != nil {
		return q, err
	}
	if !hmac.Equal(want, raw[:sha256.Size]) {
		return q, passkeyRefused().Because(errors.New("the state is not ours"))
	}
	if err := json.Unmarshal(raw[sha256.Size:], &q); err != nil {
		return q, err
	}
	if time.Now().After(q.Until) {
		return q, passkeyRefused().Because(errors.New("it took too long"))
	}
	return q, nil
}

// once refuses the answer to a question that was answered before.
func (q *asked) once(tx kinto.Tx) error {
	key := "passkey:" + q.Session.Challenge
	before, err := tx.Note(key)
	if err != nil {
		return err
	}
	if before != nil {
		return passkeyRefused().Because(errors.New("it was answered before"))
	}
	return tx.SetNote(key, []byte("1"), q.Until)
}

func passkeyRefused() *hint.Error {
	return hint.New("passkey-refused",
		hint.T("This passkey was not accepted.", "Cette clé d'accès n'a pas été acceptée."), hint.T("Nothing was changed.", "Rien n'a été changé."),
		hint.T("Try again, or use the password.", "Réessayez, ou utilisez le mot de passe."))
}
