package people

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// An invitation lets one more person in, once; a reset lets one choose another way
// to sign in, once. Both are a code of 130 random bits, which is in the link that
// the owner passes on.

type links struct {
	*core
	claims *claims
}

// InviteFor is how long an invitation or a reset can be used.
const InviteFor = 7 * 24 * time.Hour

const (
	metaInvites = "auth.invitations"
	invitesMost = 100
)

// Invitation is one that waits.
type Invitation struct {
	ID    string    `json:"id"`
	Hash  []byte    `json:"hash"`
	Owner bool      `json:"owner,omitempty"` // who comes owns the server, too
	For   string    `json:"for"`             // for whom: what the owner called them, or whose password
	Reset bool      `json:"reset,omitempty"`
	By    string    `json:"by"`
	Until time.Time `json:"until"`
}

func invitations(tx kinto.Reader) (all []Invitation, err error) {
	text, err := tx.Meta(metaInvites)
	if err != nil || text == nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("cannot read the invitations: %w", err)
	}
	now := time.Now()
	return slices.DeleteFunc(all, func(i Invitation) bool { return !now.Before(i.Until) }), nil
}

func keepInvitations(tx kinto.Tx, all []Invitation) error {
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return tx.SetMeta(metaInvites, text)
}

// Invitations lists those that wait, resets as well.
func (l links) Invitations(ctx context.Context) (all []Invitation, err error) {
	err = l.store.Read(ctx, func(tx kinto.Reader) error {
		all, err = invitations(tx)
		return err
	})
	return all, err
}

// Invite makes an invitation in the name of an owner: for one more owner, or for a
// member. label is what they call who is to come. The code is told once.
func (l links) Invite(ctx context.Context, by *Person, label string, owner bool) (code string, err error) {
	label = short(label, labelMost)
	return l.offerLink(ctx, Invitation{Owner: owner, For: label, By: by.Name}, Event{Who: by.Name, What: Invited, Note: label})
}

// OfferReset makes a code with which somebody can choose another way to sign in,
// in the name of an owner.
func (l links) OfferReset(ctx context.Context, by *Person, name string) (code string, err error) {
	return l.offerLink(ctx, Invitation{Reset: true, For: name, By: by.Name}, Event{Who: name, What: ResetOffered, By: by.Name})
}

func (l links) offerLink(ctx context.Context, i Invitation, e Event) (code string, err error) {
	code = rand.Text()
	i.ID, i.Hash, i.Until = newID(), digest(code), time.Now().Add(InviteFor).UTC().Truncate(time.Second)
	err = l.store.Write(ctx, nil, func(tx kinto.Tx) error {
		all, err := invitations(tx)
		if err != nil {
			return err
		}
		if i.Reset {
			p, _, err := find(tx, i.For)
			if err != nil {
				return err
			}
			if p == nil {
				return personGone()
			}
			if err := ownerAlone(tx, i.For, i.By); err != nil {
				return err
			}
			// The newest counts alone.
			all = slices.DeleteFunc(all, func(o Invitation) bool { return o.Reset && o.For == i.For })
		}
		if len(all) >= invitesMost {
			return tooMany()
		}
		if err := tell(tx, e); err != nil {
			return err
		}
		return keepInvitations(tx, append(all, i))
	})
	return code, err
}

// Withdraw ends an invitation before somebody uses it.
func (l links) Withdraw(ctx context.Context, id string) error {
	return l.store.Write(ctx, nil, func(tx kinto.Tx) error {
		all, err := invitations(tx)
		if err != nil {
			return err
		}
		return keepInvitations(tx, slices.DeleteFunc(all, func(i Invitation) bool { return i.ID == id }))
	})
}

// spend takes the invitation or reset of a code out of those that wait.
func spend(tx kinto.Tx, code string, reset bool) (*Invitation, error) {
	all, err := invitations(tx)
	if err != nil {
		return nil, err
	}
	want := digest(codeOf(code))
	for n, i := range all {
		if i.Reset == reset && subtle.ConstantTimeCompare(i.Hash, want) == 1 {
			return &i, keepInvitations(tx, slices.Delete(all, n, n+1))
		}
	}
	return nil, inviteGone()
}

// codeOf is a code as it was made, however it was copied.
func codeOf(text string) string {
	return strings.ToUpper(strings.Join(strings.Fields(text), ""))
}

// Join makes the account of who was invited, and signs them in. Of any number who
// use one invitation, one gets in. Errors a person can act on have code
// invite-gone, name-taken, name-malformed or password-weak; after all but the first
// the invitation is still good.
func (l links) Join(ctx context.Context, code, name string, secret Secret, device, old string) (cookie string, err error) {
	if err := nameFits(name); err != nil {
		return "", err
	}
	if err := l.waits(ctx, code, false); err != nil {
		return "", err // before anything slow is done for a stranger
	}
	hash, err := l.hash(ctx, secret)
	if err != nil {
		return "", err
	}
	err = l.store.Write(ctx, nil, func(tx kinto.Tx) error {
		i, err := spend(tx, code, false)
		if err != nil {
			return err
		}
		if err := nameFree(tx, name, i.For == name); err != nil {
			return err
		}
		if err := putAccount(tx, name, hash); err != nil {
			return err
		}
		p := &person{Joined: time.Now().UTC().Truncate(time.Second), Owner: i.Owner}
		if i.Owner {
			if err := tx.SetMeta(metaOwners, []byte("1")); err != nil {
				return err
			}
		}
		if err := takeName(tx, name); err != nil {
			return err
		}
		cookie = p.open(name, hash, device)
		if err := tell(tx, Event{Who: name, What: Joined, By: i.By}); err != nil {
			return err
		}
		return install(tx, name, hash, p, secret.Passkey)
	})
	if err == nil {
		l.owner.Store(nil)
	}
	return cookie, l.leave(ctx, old, err)
}

// waits is nil when there is an invitation or a reset with this code.
func (l links) waits(ctx context.Context, code string, reset bool) error {
	all, err := l.Invitations(ctx)
	if err != nil {
		return err
	}
	want := digest(codeOf(code))
	if !slices.ContainsFunc(all, func(i Invitation) bool {
		return i.Reset == reset && subtle.ConstantTimeCompare(i.Hash, want) == 1
	}) {
		return inviteGone()
	}
	return nil
}

// Reset gives who has a reset code another password or one more passkey, and signs
// them in: the code of a link an owner made, or the short one that foyer claim
// --reset shows, which is the first owner's, and whose tries are counted by from, the
// address they come from. Their sessions end; apps stay, and so
// does everything they stored. Errors a person can act on have code invite-gone,
// password-weak, or, for the short one, those of Claim.
func (l links) Reset(ctx context.Context, code string, secret Secret, from, device, old string) (name, cookie string, err error) {
	if err := l.rules.fits(secret); err != nil {
		return "", "", err
	}
	take, err := l.resetter(ctx, code, from)
	if err != nil {
		return "", "", err
	}
	hash, err := l.hash(ctx, secret)
	if err != nil {
		return "", "", err
	}
	err = l.store.Write(ctx, nil, func(tx kinto.Tx) error {
		var by string
		if name, by, err = take(tx); err != nil {
			return err
		}
		p, _, err := find(tx, name)
		if err != nil {
			return err
		}
		if p == nil {
			return personGone()
		}
		if err := errors.Join(putAccount(tx, name, hash), repassword(tx, name)); err != nil {
			return err
		}
		p.Sessions = nil
		cookie = p.open(name, hash, device)
		if err := tell(tx, Event{Who: name, What: PasswordReset, By: by}); err != nil {
			return err
		}
		return install(tx, name, hash, p, secret.Passkey)
	})
	return name, cookie, l.leave(ctx, old, err)
}

// resetter checks a reset code, and returns what takes it and tells whose it is.
func (l links) resetter(ctx context.Context, code, from string) (take func(kinto.Tx) (name, by string, err error), err error) {
	if len(codeOf(code)) > 12 {
		return func(tx kinto.Tx) (name, by string, err error) {
			i, err := spend(tx, code, true)
			if err != nil {
				return "", "", err
			}
			return i.For, i.By, nil
		}, l.waits(ctx, code, true)
	}
	if err := l.claims.TakeOffer(ctx); err != nil {
		return nil, err
	}
	offer, err := l.claims.guess(ctx, code, true, from)
	if err != nil {
		return nil, err
	}
	return func(tx kinto.Tx) (name, by string, err error) {
		ok, err := stands(tx, offer)
		if err != nil {
			return "", "", err
		}
		owner, err := tx.Meta(metaOwner)
		if err != nil {
			return "", "", err
		}
		if !ok || owner == nil {
			return "", "", claimWrong(command(true))
		}
		return string(owner), "", errors.Join(tx.SetMeta(metaGuesses, nil), tx.SetMeta(metaOffer, nil))
	}, nil
}

func inviteGone() *hint.Error {
	return hint.New("invite-gone",
		hint.T("This link was used already, or its time is over.", "Ce lien a déjà servi, ou son temps est passé."), hint.Text{},
		hint.T("Ask who sent it for a new one.", "Demandez-en un nouveau à qui l'a envoyé."))
}
