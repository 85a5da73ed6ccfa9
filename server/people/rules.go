package people

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/text/unicode/norm"

	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/server/kinto"
)

// The rules of accounts. Each stands here once; every door asks for it: the API
// through kinto.Accounts, the pages through this package's own functions, the
// installer's answers through the claim offer.
//
//	rule                                                        where
//	a name is one that accounts have, of at most 64 bytes       nameFits
//	no two names differ by case alone                           nameFree
//	the name of somebody removed stays theirs                   nameFree
//	a password has 8 characters or more, and 72 bytes or less   passwordFits
//	the first owner's account stays, and is theirs alone        ownerAlone
//	with a password, sessions and reset links end               putAccount, repassword
//	with an account, everything kept of its person ends         removeAccount
//	each of these is told                                       tell
//	the hash of a password is answered to nobody                kinto (account.go)

// What a name and a password may be.
const (
	nameBytes     = 64
	passwordChars = 8
	passwordOpen  = 4  // where anybody may make an account, as Kinto's own clients are used to
	passwordBytes = 72 // bcrypt looks no further
)

// rules are those that settings change.
type rules struct {
	passwordChars int
}

// newRules reads the settings. On a server where anybody may make an account
// (account_create_principals), passwords may be shorter than elsewhere, by every door:
// clients of Kinto make them, and the reference takes any.
func newRules(k config.Kinto) rules {
	least := passwordChars
	if slices.Contains(k.List("account_create_principals"), kinto.Everyone) {
		least = passwordOpen
	}
	return rules{max(1, k.Int("account_password_min_length", least))}
}

// accounts is the list an account is in: its own.
func accounts(name string) kinto.List { return kinto.List{Parent: name, Kind: kinto.Account} }

// metaFolded begins the name of the fact that says who has a name, whatever its case.
const metaFolded = "auth.name."

func nameFits(name string) error {
	if len(name) > nameBytes || !kinto.Account.ValidID(name) {
		return nameMalformed()
	}
	return nil
}

// nameFree is nil when an account of this name may come to be: returning says that it
// is for the one who had it.
func nameFree(tx kinto.Reader, name string, returning bool) error {
	if err := nameFits(name); err != nil {
		return err
	}
	p, _, err := find(tx, name)
	if err != nil {
		return err
	}
	reserved, err := tx.Meta(kinto.MetaReserved + name)
	if err != nil {
		return err
	}
	folded, err := tx.Meta(metaFolded + strings.ToLower(name))
	if err != nil {
		return err
	}
	if p != nil || reserved != nil && !returning || folded != nil && string(folded) != name {
		return nameTaken()
	}
	return nil
}

// takeName keeps that somebody has a name.
func takeName(tx kinto.Tx, name string) error {
	return errors.Join(tx.SetMeta(kinto.MetaReserved+name, nil), tx.SetMeta(metaFolded+strings.ToLower(name), []byte(name)))
}

// freeName gives the name of somebody who is gone away.
func freeName(tx kinto.Tx, name string) error {
	return errors.Join(kinto.GiveUp(tx, "account:"+name), tx.SetMeta(kinto.MetaReserved+name, nil), tx.SetMeta(metaFolded+strings.ToLower(name), nil))
}

// normal is a password as it is hashed and compared: letters with accents in one spelling
// (NFC), since keyboards and systems differ in how they write them (RFC 8265 §4.2).
func normal(password string) string { return norm.NFC.String(password) }

func (r rules) passwordFits(password string) error {
	password = normal(password)
	if utf8.RuneCountInString(password) < r.passwordChars || len(password) > passwordBytes || !utf8.ValidString(password) {
		return passwordWeak(r.passwordChars)
	}
	return nil
}

// PasswordChars is how many characters a password has at least.
func (c *core) PasswordChars() int { return c.rules.passwordChars }

// Secret is how somebody is going to sign in: by a password or by a passkey.
type Secret struct {
	Password string
	Passkey  *Passkey // instead of a password
}

// fits is nil when somebody may sign in so from now on.
func (r rules) fits(s Secret) error {
	if s.Passkey != nil {
		return nil
	}
	return r.passwordFits(s.Password)
}

// hash makes the hash of the new password, or with a passkey that of one nobody knows.
func (c *core) hash(ctx context.Context, s Secret) (hash string, err error) {
	if err := c.rules.fits(s); err != nil {
		return "", err
	}
	if s.Passkey != nil {
		s.Password = rand.Text()
	}
	if e := hashing(ctx, c.verifier.making, "", func() {
		var raw []byte
		raw, err = bcrypt.GenerateFromPassword([]byte(normal(s.Password)), c.verifier.cost)
		hash = string(raw)
	}); e != nil {
		return "", e
	}
	return hash, err
}

// ownerAlone refuses what somebody else would do with the account of the first owner.
func ownerAlone(tx kinto.Reader, name, by string) error {
	first, err := tx.Meta(metaOwner)
	if err == nil && first != nil && string(first) == name && by != name {
		return firstStays()
	}
	return err
}

// repassword does what goes with another password: no link that gives one is good any
// more. Sessions are bound to the hash, and end by themselves.
func repassword(tx kinto.Tx, name string) error {
	all, err := invitations(tx)
	if err != nil {
		return err
	}
	kept := slices.DeleteFunc(slices.Clone(all), func(i Invitation) bool { return i.Reset && i.For == name })
	if len(kept) == len(all) {
		return nil
	}
	return keepInvitations(tx, kept)
}

// removed does what goes with the end of an account: its name stays its person's,
// since whoever had it would find what they stored.
func removed(tx kinto.Tx, name, by string) error {
	if err := repassword(tx, name); err != nil {
		return err
	}
	if err := tx.SetMeta(kinto.MetaReserved+name, []byte("1")); err != nil {
		return err
	}
	return tell(tx, Event{Who: name, What: Removed, By: other(by, name)})
}

// other is who did something, unless it is who it happened to.
func other(by, name string) string {
	if by == name {
		return ""
	}
	return by
}

// Accounts are the rules, as package kinto asks for them (kinto.Accounts).
func (ps *People) Accounts() kinto.Accounts { return accountRules{ps.core} }

type accountRules struct{ *core }

// OwnsServer implements kinto.Accounts.
func (a accountRules) OwnsServer(tx kinto.Reader, name string) (bool, error) {
	p, _, err := find(tx, name)
	if err != nil || p == nil {
		return false, err
	}
	return isOwner(tx, name, p)
}

// MakeAccount implements kinto.Accounts.
func (a accountRules) MakeAccount(tx kinto.Tx, by kinto.Caller, name string, manager bool) error {
	reserved, err := tx.Meta(kinto.MetaReserved + name)
	if err != nil {
		return err
	}
	if reserved != nil && !manager {
		return kinto.ErrForbidden
	}
	if err := nameFree(tx, name, manager); err != nil {
		return ofAccount("data.id", err)
	}
	if reserved != nil { // who had it comes back by an invitation; this is somebody else
		if err := kinto.GiveUp(tx, "account:"+name); err != nil {
			return err
		}
	}
	if err := takeName(tx, name); err != nil || by.ID == "" {
		return err // strangers who make accounts do not push out what an owner should hear
	}
	return tell(tx, Event{Who: name, What: Joined, By: other(accountOf(by), name)})
}

// ChangeAccount implements kinto.Accounts.
func (a accountRules) ChangeAccount(tx kinto.Tx, by kinto.Caller, name string, password bool) error {
	who := accountOf(by)
	if err := ownerAlone(tx, name, who); err != nil {
		return ofAccount("", err)
	}
	if !password {
		return nil
	}
	e := Event{Who: name, What: PasswordChanged}
	if who != name {
		e = Event{Who: name, What: PasswordReset, By: who}
	}
	return errors.Join(repassword(tx, name), tell(tx, e))
}

// RemoveAccount implements kinto.Accounts.
func (a accountRules) RemoveAccount(tx kinto.Tx, by kinto.Caller, name string) error {
	if err := ownerAlone(tx, name, ""); err != nil {
		return ofAccount("", err)
	}
	return removed(tx, name, accountOf(by))
}

// ForgetAccount implements kinto.Accounts.
func (a accountRules) ForgetAccount(tx kinto.Tx, name string) error {
	if err := ownerAlone(tx, name, ""); err != nil {
		return ofAccount("", err)
	}
	return errors.Join(repassword(tx, name), freeName(tx, name))
}

// HashPassword implements kinto.Accounts.
func (a accountRules) HashPassword(ctx context.Context, password string) (string, error) {
	hash, err := a.hash(ctx, Secret{Password: password})
	return hash, ofAccount("data.password", err)
}

// accountOf is the name of the account a caller has, or who they are else; no name is
// like that. Empty: nobody is known.
func accountOf(who kinto.Caller) string { return strings.TrimPrefix(who.ID, "account:") }

// ofAccount is an error of ours as the API tells it: what is wrong with a field, or that
// the owner's account is theirs.
func ofAccount(field string, err error) error {
	e := hint.Find(err)
	switch {
	case e == nil:
		return err
	case e.Code == "owner-stays":
		return kinto.ErrOwner
	}
	return kinto.Invalid("body", field, e.What.EN+" "+e.Do.EN)
}

func nameMalformed() *hint.Error {
	return hint.New("name-malformed",
		hint.T("This cannot be a name.", "Ceci ne peut pas être un nom."), hint.Text{},
		hint.T("Use 1 to %d letters without accents, digits, and . + - _ @, beginning with a letter or a digit.", "Utilisez de 1 à %d lettres sans accent, chiffres et . + - _ @, en commençant par une lettre ou un chiffre.", nameBytes))
}

func nameTaken() *hint.Error {
	return hint.New("name-taken",
		hint.T("Somebody has this name already, or had it, or has one that differs by capital letters alone.", "Quelqu'un porte déjà ce nom, ou l'a porté, ou en porte un qui n'en diffère que par des majuscules."), hint.Text{},
		hint.T("Choose another one.", "Choisissez-en un autre."))
}

func passwordWeak(least int) *hint.Error {
	return hint.New("password-weak",
		hint.T("This password is too short or too long.", "Ce mot de passe est trop court ou trop long."), hint.Text{},
		hint.T("Use at least %d characters, and at most %d bytes of text.", "Utilisez au moins %d caractères, et au plus %d octets de texte.", least, passwordBytes))
}

func firstStays() *hint.Error {
	return hint.New("owner-stays",
		hint.T("This is whom the server belongs to: their account stays, and is theirs alone.", "C'est à cette personne que le serveur appartient : son compte reste, et n'est qu'à elle."), hint.T("Nothing was changed.", "Rien n'a été changé."), hint.Text{})
}
