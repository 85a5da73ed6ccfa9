package people

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/foyer-server/foyer/internal/claim"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

type claims struct {
	*core
	dir     string      // where offers are left
	claimed atomic.Bool // once true it stays
	codes   *codes
}

// TakeOffer brings an offer that was left in the data folder into the store, and
// removes the note once that is safe. An offer of a code replaces an earlier
// one; an offer of an owner makes the owner. Where there is an owner already
// offers come to nothing. Without a note it does nothing. The same offer is
// taken once, however often this is interrupted. An offer to reset the owner's
// password is for a server that has an owner.
func (c *claims) TakeOffer(ctx context.Context) error {
	offer, err := claim.Pending(c.dir)
	if err != nil || offer == nil {
		return err
	}
	if err := c.take(ctx, *offer); err != nil {
		return fmt.Errorf("cannot take the claim offer: %w", err)
	}
	return claim.Taken(c.dir, *offer)
}

func (c *claims) take(ctx context.Context, offer claim.Offer) error {
	if offer.Owner != "" {
		if err := nameFits(offer.Owner); err != nil {
			return err
		}
	}
	return c.store.Write(ctx, nil, func(tx kinto.Tx) error {
		taken, err := tx.Meta(metaTaken)
		if err != nil || string(taken) == offer.ID && offer.ID != "" {
			return err
		}
		owner, err := tx.Meta(metaOwner)
		if err != nil {
			return err
		}
		if err := tx.SetMeta(metaTaken, []byte(offer.ID)); err != nil || (owner != nil) != offer.Reset {
			return err
		}
		if offer.Owner != "" {
			return makeOwner(tx, offer.Owner, offer.PasswordHash)
		}
		text, err := json.Marshal(offer)
		if err != nil {
			return err
		}
		return errors.Join(tx.SetMeta(metaOffer, text), tx.SetMeta(metaGuesses, nil))
	})
}

// makeOwner creates the owner and ends all claiming.
func makeOwner(tx kinto.Tx, name, hash string) error {
	if err := nameFree(tx, name, true); err != nil {
		return err
	}
	if err := errors.Join(putAccount(tx, name, hash), takeName(tx, name)); err != nil {
		return err
	}
	return errors.Join(tell(tx, Event{Who: name, What: Claimed}), tx.SetMeta(metaOwner, []byte(name)), tx.SetMeta(metaOffer, nil), tx.SetMeta(metaGuesses, nil))
}

// Claimed reports whether this server has an owner. Once it has, asking is free.
func (c *claims) Claimed(ctx context.Context) (bool, error) {
	if c.claimed.Load() {
		return true, nil
	}
	var owner []byte
	err := c.store.Read(ctx, func(tx kinto.Reader) (err error) {
		owner, err = tx.Meta(metaOwner)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("cannot tell whether there is an owner: %w", err)
	}
	if owner != nil {
		c.claimed.Store(true)
	}
	return owner != nil, nil
}

// Claim makes name, who will sign in with secret, the owner of this server, for
// whom knows the code that was offered, and signs them in; a pending offer is taken
// first, and tries are counted by from, the address they come from. Of any number of
// callers one succeeds. Errors a person can act on are *hint.Error with code
// claim-done, claim-expired, claim-paused, claim-wrong, name-malformed or
// password-weak; the last two cost no try.
func (c *claims) Claim(ctx context.Context, code, name string, secret Secret, from, device string) (cookie string, err error) {
	if err := c.TakeOffer(ctx); err != nil {
		return "", err
	}
	if claimed, err := c.Claimed(ctx); err != nil {
		return "", err
	} else if claimed {
		return "", claimDone()
	}
	if err := nameFits(name); err != nil {
		return "", err
	}
	if err := c.rules.fits(secret); err != nil {
		return "", err
	}
	offer, err := c.guess(ctx, code, false, from)
	if err != nil {
		return "", err
	}
	hash, err := c.hash(ctx, secret)
	if err != nil {
		return "", err
	}
	p := &person{Joined: time.Now().UTC().Truncate(time.Second)}
	cookie = p.open(name, hash, device)
	return cookie, c.settle(ctx, offer, name, hash, p, secret.Passkey)
}

// guess tries a code; the error is nil when it is that of the offer it returns.
func (c *claims) guess(ctx context.Context, code string, reset bool, from string) (claim.Offer, error) {
	offer, err := c.pending(ctx, reset)
	if err != nil {
		return offer, err
	}
	// The try is counted before it is made, so that any number made at once are counted too.
	if wait, err := c.codes.count(ctx, offer, from); err != nil {
		return offer, err
	} else if wait > 0 {
		return offer, claimPaused(wait, command(reset))
	}
	ok := false
	if err := hashing(ctx, c.codes.queue, from, func() { ok = offer.Matches(code) }); err != nil {
		return offer, err
	}
	if !ok {
		return offer, claimWrong(command(reset))
	}
	return offer, nil
}

// pending is the offer that can be used now.
func (c *claims) pending(ctx context.Context, reset bool) (offer claim.Offer, err error) {
	err = c.store.Read(ctx, func(tx kinto.Reader) error {
		o, err := pending(tx)
		if err != nil {
			return err
		}
		if o == nil || !time.Now().Before(o.Expires) || o.Reset != reset {
			return claimExpired(command(reset))
		}
		offer = *o
		return nil
	})
	return offer, err
}

// stands reports whether an offer is still the one that is pending.
func stands(tx kinto.Reader, offer claim.Offer) (bool, error) {
	now, err := pending(tx)
	return now != nil && now.ID == offer.ID && now.CodeHash == offer.CodeHash, err
}

// settle makes the owner if offer still stands.
func (c *claims) settle(ctx context.Context, offer claim.Offer, name, hash string, p *person, key *Passkey) error {
	err := c.store.Write(ctx, nil, func(tx kinto.Tx) error {
		owner, err := tx.Meta(metaOwner)
		if err != nil {
			return err
		}
		if owner != nil {
			return claimDone()
		}
		ok, err := stands(tx, offer)
		if err != nil {
			return err
		}
		if !ok {
			return claimWrong(command(false)) // a newer code was made meanwhile
		}
		if err := makeOwner(tx, name, hash); err != nil {
			return err
		}
		kept := *p // this may be run again
		return install(tx, name, hash, &kept, key)
	})
	if err == nil {
		c.claimed.Store(true)
		c.log.Info("this server has an owner now")
	}
	return err
}

func pending(tx kinto.Reader) (*claim.Offer, error) {
	text, err := tx.Meta(metaOffer)
	if err != nil || text == nil {
		return nil, err
	}
	var offer claim.Offer
	if err := json.Unmarshal(text, &offer); err != nil {
		return nil, fmt.Errorf("cannot read the claim offer: %w", err)
	}
	return &offer, nil
}

func claimDone() *hint.Error {
	return hint.New("claim-done",
		hint.T("This server already has an owner.", "Ce serveur a déjà un propriétaire."), hint.Text{},
		hint.T("Sign in with the owner's name and password.", "Connectez-vous avec le nom et le mot de passe du propriétaire."))
}

// command is what makes a code.
func command(reset bool) string {
	if reset {
		return "sudo foyer claim --reset"
	}
	return "sudo foyer claim"
}

func claimExpired(command string) *hint.Error {
	return hint.New("claim-expired",
		hint.T("There is no code that can be used now: it has expired.", "Aucun code n'est utilisable : il a expiré."), hint.Text{},
		hint.T("Make a new one on the server: %s", "Créez-en un nouveau sur le serveur : %s", command))
}

func claimWrong(command string) *hint.Error {
	return hint.New("claim-wrong",
		hint.T("This is not the code.", "Ce n'est pas le bon code."), hint.Text{},
		hint.T("Type the code as the server shows it; if it is lost, make a new one there: %s", "Saisissez le code tel que le serveur l'affiche ; s'il est perdu, créez-en un nouveau sur place : %s", command))
}

func claimPaused(wait time.Duration, command string) *hint.Error {
	minutes := int((wait + time.Minute - 1) / time.Minute)
	return hint.New("claim-paused",
		hint.T("Wrong codes were tried too often.", "Trop de mauvais codes ont été essayés."), hint.Text{},
		hint.T("Try again in %d min, or make a new code on the server: %s", "Réessayez dans %d min, ou créez un nouveau code sur le serveur : %s", minutes, command))
}
