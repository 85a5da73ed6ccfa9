package people

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/tidwall/gjson"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// person is what is kept of somebody beside their password: one fact in the
// store's meta, so that whatever happens to it happens at once, and which no API
// shows. It goes with the account (kinto.MetaPerson). It holds hashes of secrets,
// no secret.
type person struct {
	Owner    bool      `json:"owner,omitempty"` // one more owner; the first one is metaOwner
	Joined   time.Time `json:"joined,omitzero"`
	Sessions []session `json:"sessions,omitempty"`
	Apps     []app     `json:"apps,omitempty"`
	Passkeys []passkey `json:"passkeys,omitempty"`
	Unknown  []byte    `json:"unknown,omitempty"` // digest of the hash of the password nobody knows, of who chose a passkey instead
}

// find reads a person and the hash of their password; nil when there is no such
// account. An account made through the API has nothing else yet.
func find(tx kinto.Reader, name string) (p *person, hash string, err error) {
	if !kinto.Account.ValidID(name) {
		return nil, "", nil
	}
	o, err := tx.Get(accounts(name), name)
	if err != nil || o == nil {
		return nil, "", err
	}
	p = &person{}
	text, err := tx.Meta(kinto.MetaPerson + name)
	if err != nil {
		return nil, "", err
	}
	if text != nil {
		if err := json.Unmarshal(text, p); err != nil {
			return nil, "", fmt.Errorf("cannot read what is kept of a person: %w", err)
		}
	}
	return p, gjson.GetBytes(o.Data, "password").Str, nil
}

// keep writes a person back.
func keep(tx kinto.Tx, name string, p *person) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return tx.SetMeta(kinto.MetaPerson+name, text)
}

// change lets fn change a person, who must be there.
func (c *core) change(ctx context.Context, name string, fn func(tx kinto.Tx, p *person, hash string) error) error {
	return c.store.Write(ctx, nil, func(tx kinto.Tx) error {
		p, hash, err := find(tx, name)
		if err != nil {
			return err
		}
		if p == nil {
			return personGone()
		}
		if err := fn(tx, p, hash); err != nil {
			return err
		}
		return keep(tx, name, p)
	})
}

// putAccount creates an account inside tx, or gives the existing one a new password;
// what else is said of that stays.
func putAccount(tx kinto.Tx, name, hash string) error {
	l := accounts(name)
	old, err := tx.Get(l, name)
	if err != nil {
		return err
	}
	o := &kinto.Object{ID: name}
	attributes := map[string]json.RawMessage{}
	if old == nil {
		if o.Permissions, err = kinto.AccountPermissions(tx, name); err != nil {
			return err
		}
	} else {
		o.Permissions = old.Permissions
		if err := json.Unmarshal(old.Data, &attributes); err != nil {
			return fmt.Errorf("cannot read an account: %w", err)
		}
	}
	if attributes["password"], err = json.Marshal(hash); err != nil {
		return err
	}
	if o.Data, err = json.Marshal(attributes); err != nil {
		return err
	}
	if o.Timestamp, err = tx.Tick(l, -1); err != nil {
		return err
	}
	return tx.Put(l, o, old)
}

// digest is how a random secret is kept. Nobody can guess 128 random bits, so it
// need not be slow.
func digest(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// isOwner reports whether somebody owns the server.
func isOwner(tx kinto.Reader, name string, p *person) (bool, error) {
	if p.Owner {
		return true, nil
	}
	first, err := tx.Meta(metaOwner)
	return err == nil && first != nil && string(first) == name, err
}

// byID finds the place of what has an id in a list; -1: it is not there.
func byID[T any](all []T, id string, of func(*T) string) int {
	return slices.IndexFunc(all, func(x T) bool { return of(&x) == id })
}

// newID names something that is no secret.
func newID() string { return rand.Text()[:12] }

// short cuts what people and browsers call things to a length that can be shown.
func short(text string, most int) string {
	var b bytes.Buffer
	for _, r := range hint.Printable(text) {
		if b.Len()+len(string(r)) > most {
			break
		}
		b.WriteRune(r)
	}
	return string(bytes.TrimSpace(b.Bytes()))
}

func personGone() *hint.Error {
	return hint.New("person-gone",
		hint.T("There is nobody of this name here any more.", "Il n'y a plus personne de ce nom ici."), hint.Text{},
		hint.T("Go back to the list of people.", "Revenez à la liste des personnes."))
}

func thingGone() *hint.Error {
	return hint.New("thing-gone",
		hint.T("This is not there any more.", "Ceci n'existe plus."), hint.T("Nothing was changed.", "Rien n'a été changé."),
		hint.T("Look at the list again.", "Regardez à nouveau la liste."))
}
