package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/foyer-server/foyer/internal/claim"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// What a password and a name may be.
const (
	passwordChars = 8
	passwordBytes = 72 // bcrypt looks no further
	nameBytes     = 64
)

// How claim codes may be guessed: a few times, then a pause that doubles.
const (
	guessesAtOnce = 5
	firstPause    = time.Minute
	longestPause  = time.Hour
)

// guesses counts claim codes that were tried since the offer was taken. It is
// kept in the store, so that a restart forgets nothing.
type guesses struct {
	Tries int       `json:"tries"`
	Until time.Time `json:"until,omitzero"` // no further try before
}

// count takes one more try at the time now; it reports how long to wait instead.
func (g *guesses) count(now time.Time) (wait time.Duration) {
	if now.Before(g.Until) {
		return g.Until.Sub(now)
	}
	g.Tries++
	if pause := pauseAfter(g.Tries, guessesAtOnce, longestPause); pause > 0 {
		g.Until = now.Add(pause)
	}
	return 0
}

// TakeOffer brings an offer that was left in the data folder into the store, and
// removes the note once that is safe. An offer of a code replaces an earlier
// one; an offer of an owner makes the owner. Where there is an owner already
// offers come to nothing. Without a note it does nothing. The same offer is
// taken once, however often this is interrupted. An offer to reset the owner's
// password is for a server that has an owner.
func (a *Auth) TakeOffer(ctx context.Context) error {
	offer, err := claim.Pending(a.dir)
	if err != nil || offer == nil {
		return err
	}
	if err := a.take(ctx, *offer); err != nil {
		return fmt.Errorf("cannot take the claim offer: %w", err)
	}
	return claim.Taken(a.dir, *offer)
}

func (a *Auth) take(ctx context.Context, offer claim.Offer) error {
	if offer.Owner != "" && !validName(offer.Owner) {
		return nameMalformed()
	}
	return a.store.Write(ctx, nil, func(tx kinto.Tx) error {
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
	if err := putAccount(tx, name, hash); err != nil {
		return err
	}
	return errors.Join(tell(tx, Event{Who: name, What: Claimed}), tx.SetMeta(metaOwner, []byte(name)), tx.SetMeta(metaOffer, nil), tx.SetMeta(metaGuesses, nil))
}

// Claimed reports whether this server has an owner. Once it has, asking is free.
func (a *Auth) Claimed(ctx context.Context) (bool, error) {
	if a.claimed.Load() {
		return true, nil
	}
	var owner []byte
	err := a.store.Read(ctx, func(tx kinto.Reader) (err error) {
		owner, err = tx.Meta(metaOwner)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("cannot tell whether there is an owner: %w", err)
	}
	if owner != nil {
		a.claimed.Store(true)
	}
	return owner != nil, nil
}

// Claim makes name, who will sign in with secret, the owner of this server, for
// whom knows the code that was offered, and signs them in; a pending offer is taken first. Of any number of
// callers one succeeds. Errors a person can act on are *hint.Error with code
// claim-done, claim-expired, claim-paused, claim-wrong, name-malformed or
// password-weak; the last two cost no try.
func (a *Auth) Claim(ctx context.Context, code, name string, secret Secret, device string) (cookie string, err error) {
	if err := a.TakeOffer(ctx); err != nil {
		return "", err
	}
	if claimed, err := a.Claimed(ctx); err != nil {
		return "", err
	} else if claimed {
		return "", claimDone()
	}
	if !validName(name) {
		return "", nameMalformed()
	}
	if secret.Passkey == nil && !strong(secret.Password) {
		return "", passwordWeak()
	}
	// The try is counted before it is made, so that any number made at once are counted too.
	offer, err := a.guess(ctx, code, false)
	if err != nil {
		return "", err
	}
	hash, err := a.hash(ctx, secret)
	if err != nil {
		return "", err
	}
	p := &person{Joined: time.Now().UTC().Truncate(time.Second)}
	cookie = p.open(name, hash, device)
	return cookie, a.settle(ctx, offer, name, hash, p, secret.Passkey)
}

// guess tries a code; the error is nil when it is that of the offer it returns.
func (a *Auth) guess(ctx context.Context, code string, reset bool) (claim.Offer, error) {
	offer, err := a.tryOffer(ctx, reset)
	if err != nil {
		return offer, err
	}
	ok := false
	if err := a.verifier.slowly(ctx, func() { ok = offer.Matches(code) }); err != nil {
		return offer, err
	}
	if !ok {
		return offer, claimWrong(command(reset))
	}
	return offer, nil
}

// stands reports whether an offer is still the one that is pending.
func stands(tx kinto.Reader, offer claim.Offer) (bool, error) {
	now, err := pending(tx)
	return now != nil && now.ID == offer.ID && now.CodeHash == offer.CodeHash, err
}

// settle makes the owner if offer still stands.
func (a *Auth) settle(ctx context.Context, offer claim.Offer, name, hash string, p *person, key *Passkey) error {
	err := a.store.Write(ctx, nil, func(tx kinto.Tx) error {
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
		a.claimed.Store(true)
		a.log.Info("this server has an owner now")
	}
	return err
}

// tryOffer counts a try and returns the offer it is for.
func (a *Auth) tryOffer(ctx context.Context, reset bool) (claim.Offer, error) {
	var offer *claim.Offer
	err := a.store.Write(ctx, nil, func(tx kinto.Tx) (err error) {
		if offer, err = pending(tx); err != nil {
			return err
		}
		now := time.Now()
		if offer == nil || !now.Before(offer.Expires) || offer.Reset != reset {
			return claimExpired(command(reset))
		}
		var g guesses
		text, err := tx.Meta(metaGuesses)
		if err != nil {
			return err
		}
		if text != nil {
			if err := json.Unmarshal(text, &g); err != nil {
				return fmt.Errorf("cannot read how often a code was tried: %w", err)
			}
		}
		if wait := g.count(now); wait > 0 {
			return claimPaused(wait, command(reset))
		}
		if text, err = json.Marshal(g); err != nil {
			return err
		}
		return tx.SetMeta(metaGuesses, text)
	})
	if err != nil {
		return claim.Offer{}, err
	}
	return *offer, nil
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

func validName(name string) bool { return len(name) <= nameBytes && kinto.Account.ValidID(name) }

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

func nameMalformed() *hint.Error {
	return hint.New("name-malformed",
		hint.T("This cannot be a name.", "Ceci ne peut pas être un nom."), hint.Text{},
		hint.T("Use 1 to %d letters without accents, digits, and . + - _ @, beginning with a letter or a digit.", "Utilisez de 1 à %d lettres sans accent, chiffres et . + - _ @, en commençant par une lettre ou un chiffre.", nameBytes))
}

func passwordWeak() *hint.Error {
	return hint.New("password-weak",
		hint.T("This password is too short or too long.", "Ce mot de passe est trop court ou trop long."), hint.Text{},
		hint.T("Use at least %d characters, and at most %d bytes of text.", "Utilisez au moins %d caractères, et au plus %d octets de texte.", passwordChars, passwordBytes))
}
