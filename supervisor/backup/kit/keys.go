package kit

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
)

// Identity opens what was sealed for its Recipient (age, X25519). It is not shown by being
// printed, logged or encoded, wherever it stands; Secret shows it.
//
// Secrets are held by functions: package fmt follows pointers, with some verbs and within
// what it may not ask for a String, and follows no function.
type Identity struct {
	x func() *age.X25519Identity
}

var _ age.Identity = Identity{}

// NewIdentity makes a random one.
func NewIdentity() (Identity, error) {
	x, err := age.GenerateX25519Identity()
	return holding(x), err
}

// ParseIdentity reads what Secret returned.
func ParseIdentity(secret string) (Identity, error) {
	x, err := age.ParseX25519Identity(secret)
	if err != nil {
		return Identity{}, errors.New("that is no age identity") // age's error may quote it
	}
	return holding(x), nil
}

func holding(x *age.X25519Identity) Identity {
	return Identity{func() *age.X25519Identity { return x }}
}

// Secret is the identity as text, "AGE-SECRET-KEY-1…", as the age command takes it.
func (i Identity) Secret() string { return i.x().String() }

// Recipient is who it opens for.
func (i Identity) Recipient() Recipient { return Recipient{i.x().Recipient()} }

// Unwrap is age.Identity's.
func (i Identity) Unwrap(stanzas []*age.Stanza) ([]byte, error) { return i.x().Unwrap(stanzas) }

func (i Identity) String() string   { return "identity of " + i.Recipient().String() }
func (i Identity) GoString() string { return i.String() }

// Recipient is whom something can be sealed for. It is public. The zero value is nobody.
type Recipient struct{ x *age.X25519Recipient }

var _ age.Recipient = Recipient{}

// ParseRecipient reads "age1…".
func ParseRecipient(text string) (Recipient, error) {
	x, err := age.ParseX25519Recipient(text)
	if err != nil {
		return Recipient{}, fmt.Errorf("%.80q is no age recipient", text)
	}
	return Recipient{x}, nil
}

// IsZero reports that it is nobody.
func (r Recipient) IsZero() bool { return r.x == nil }

// Wrap is age.Recipient's.
func (r Recipient) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	if r.IsZero() {
		return nil, errors.New("there is nobody to seal for")
	}
	return r.x.Wrap(fileKey)
}

// String is "age1…"; "" for nobody.
func (r Recipient) String() string {
	if r.IsZero() {
		return ""
	}
	return r.x.String()
}

// MarshalText is String.
func (r Recipient) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText is ParseRecipient.
func (r *Recipient) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRecipient(string(text))
	return err
}

// Signer signs (Ed25519). It is not shown by being printed, logged or encoded; Secret
// shows it.
type Signer struct{ key func() ed25519.PrivateKey }

func signing(key ed25519.PrivateKey) Signer {
	return Signer{func() ed25519.PrivateKey { return key }}
}

// NewSigner makes a random one.
func NewSigner() (Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return signing(key), err
}

// ParseSigner makes one of what Secret returned.
func ParseSigner(secret []byte) (Signer, error) {
	if len(secret) != ed25519.SeedSize {
		return Signer{}, errors.New("that is no key to sign with")
	}
	return signing(ed25519.NewKeyFromSeed(secret)), nil
}

// Secret is the key as bytes (RFC 8032).
func (s Signer) Secret() []byte { return s.key().Seed() }

// Public is what its signatures are verified by.
func (s Signer) Public() ed25519.PublicKey { return s.key().Public().(ed25519.PublicKey) }

// Sign signs a message for a purpose: a signature for one is none for another.
func (s Signer) Sign(purpose string, message []byte) []byte {
	return ed25519.Sign(s.key(), signed(purpose, message))
}

func (s Signer) String() string {
	return "signer " + hex.EncodeToString(s.Public())
}
func (s Signer) GoString() string { return s.String() }

// Verify reports whether signature is of the message, for that purpose, by who has the
// secret of key.
func Verify(key ed25519.PublicKey, purpose string, message, signature []byte) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, signed(purpose, message), signature)
}

// signed is what is signed: no purpose has a zero byte, so that no two pairs of purpose and
// message give the same.
func signed(purpose string, message []byte) []byte {
	return append([]byte("foyer/backup/"+purpose+"\x00"), message...)
}

// Public is what is known of a kit when its words are put away. It opens nothing.
type Public struct {
	Recipient Recipient         `json:"recipient"` // whom to seal for
	Key       ed25519.PublicKey `json:"key"`       // what the kit signed is verified by
}

// ID is a name for the kit. It proves nothing: whoever wants to know compares all of Public.
func (p Public) ID() string {
	sum := sha256.Sum256([]byte("foyer/kit/1/id\x00" + p.Recipient.String() + "\x00" + string(p.Key)))
	return hex.EncodeToString(sum[:8])
}

// UnmarshalJSON reads what was marshalled, and refuses what is no Public.
func (p *Public) UnmarshalJSON(text []byte) error {
	type plain Public
	var q plain
	if err := json.Unmarshal(text, &q); err != nil {
		return err
	}
	if q.Recipient.IsZero() || len(q.Key) != ed25519.PublicKeySize {
		return errors.New("those are no public keys of a kit")
	}
	*p = Public(q)
	return nil
}

// identityOf makes an age identity of 32 bytes: age takes it as text only, which is
// Bech32 (BIP 173).
func identityOf(scalar []byte) (Identity, error) {
	const (
		hrp      = "age-secret-key-"
		alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	)
	var values []byte // of five bits each
	acc, bits := 0, 0
	for _, b := range scalar {
		acc, bits = acc<<8|int(b), bits+8
		for ; bits >= 5; bits -= 5 {
			values = append(values, byte(acc>>(bits-5)&31))
		}
	}
	if bits > 0 {
		values = append(values, byte(acc<<(5-bits)&31))
	}
	check := uint32(1)
	polymod := func(v byte) {
		top := check >> 25
		check = check&0x1ffffff<<5 ^ uint32(v)
		for i, g := range [...]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				check ^= g
			}
		}
	}
	for i := range len(hrp) {
		polymod(hrp[i] >> 5)
	}
	polymod(0)
	for i := range len(hrp) {
		polymod(hrp[i] & 31)
	}
	for _, v := range values {
		polymod(v)
	}
	for range 6 {
		polymod(0)
	}
	check ^= 1
	for i := range 6 {
		values = append(values, byte(check>>(5*(5-i))&31))
	}
	var text strings.Builder
	text.WriteString(hrp + "1")
	for _, v := range values {
		text.WriteByte(alphabet[v])
	}
	return ParseIdentity(strings.ToUpper(text.String()))
}
