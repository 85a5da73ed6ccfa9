// Package kit is what a person keeps on paper to get a backup back: twelve words.
//
// The words are 16 random bytes and a checksum, as in BIP 39, in English, French or
// Spanish. By HKDF they become two keys: an age identity, which opens what was sealed for
// the kit, and an Ed25519 key, which says whom the kit trusts. The same words give the same
// keys for ever; a test fixes that.
//
// Words are read as people type them: with or without capitals, accents, numbers and commas
// between them, or only the first four letters of each. Which list they are of is
// known by the words. What is wrong with them is told apart: their number, a word that is in
// no list, words of two lists, and twelve words that do not belong together.
//
// Threat model: whoever reads the words has the backup; nobody else has. They are shown to a
// person and read from one, and stand in no argument, log line or file; neither a Kit nor an
// error of this package shows them when it is logged. Whoever has what a machine keeps once
// the words are put away (Public), or all that lies at the target, learns nothing about them:
// 2^128 kits are as good as no end, so that no slow hash is needed. The checksum of four bits
// finds fifteen typing errors of sixteen; that no other kit is taken for this one is shown by
// the keys.
//
// Used by supervisor/backup/object, which seals and signs with such keys, by whoever makes a
// kit, and by whoever restores. It has no clock, no network and no files.
package kit

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/foyer-server/foyer/internal/hint"
)

// entropyBytes is how much of a kit is random; Words is how many words say it.
const (
	entropyBytes = 16
	Words        = 12
)

// ES is Spanish, in which the words of a kit exist, too.
const ES hint.Lang = "es"

// What the keys are derived for. They are part of every kit there is.
const (
	forIdentity = "foyer/kit/1/age-x25519"
	forSigner   = "foyer/kit/1/ed25519"
)

// Kit is the words, and the keys they stand for. It is not shown by being printed, logged or
// encoded.
type Kit struct {
	entropy  func() [entropyBytes]byte
	identity Identity
	signer   Signer
}

// New makes a random kit. However its words are read, whole or by their first letters, they
// are this kit's alone.
func New() (*Kit, error) {
	for {
		var entropy [entropyBytes]byte
		rand.Read(entropy[:])
		k, err := of(entropy)
		if err != nil || k.clear() {
			return k, err
		}
	}
}

// of derives the keys.
func of(entropy [entropyBytes]byte) (*Kit, error) {
	scalar, err := hkdf.Key(sha256.New, entropy[:], nil, forIdentity, 32)
	if err != nil {
		return nil, err
	}
	identity, err := identityOf(scalar)
	if err != nil {
		return nil, err
	}
	seed, err := hkdf.Key(sha256.New, entropy[:], nil, forSigner, 32)
	if err != nil {
		return nil, err
	}
	signer, err := ParseSigner(seed)
	return &Kit{func() [entropyBytes]byte { return entropy }, identity, signer}, err
}

// clear reports that its words, and their first letters, are those of no other kit in
// another list.
func (k *Kit) clear() bool {
	for _, l := range lists {
		whole := l.say(k.entropy())
		short := slices.Clone(whole)
		for i, w := range short {
			short[i] = w[:min(len(w), prefixLetters)]
		}
		for _, words := range [][]string{whole, short} {
			read, err := decode(words)
			if err != nil || read != k.entropy() {
				return false
			}
		}
	}
	return true
}

// Words are the twelve words in a language, English where there is no list in it.
func (k *Kit) Words(lang hint.Lang) []string { return listIn(lang).show(k.entropy()) }

// Identity opens what was sealed for the kit.
func (k *Kit) Identity() Identity { return k.identity }

// Recipient is whom to seal for.
func (k *Kit) Recipient() Recipient { return k.identity.Recipient() }

// Sign signs as Signer.Sign does.
func (k *Kit) Sign(purpose string, message []byte) []byte { return k.signer.Sign(purpose, message) }

// Public is what may be kept when the words are put away.
func (k *Kit) Public() Public { return Public{k.Recipient(), k.signer.Public()} }

// ID is Public's.
func (k *Kit) ID() string { return k.Public().ID() }

// Format writes the name of the kit, whatever the verb.
func (k Kit) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "kit %s", k.ID()) }

// MarshalText is the name of the kit.
func (k Kit) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%v", k), nil }
