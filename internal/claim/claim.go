// Package claim is how somebody on the machine tells the server who may become
// its first owner: by a one-time code, or by name and password hash.
//
// The two sides share nothing but a note in the data folder. Whoever may write
// there (the installer as root, the supervisor, `foyer try`) leaves an Offer; the
// server takes it into its database and removes the note. The note never holds
// the code or a password, only bcrypt hashes.
//
// Threat model: who can read the data folder learns nothing that lets them claim
// before the code expires; who can write there owns the server anyway.
package claim

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/foyer-server/foyer/internal/atomicfile"
)

// How long a new code can be used: to claim, and to choose another password.
const (
	Validity      = 24 * time.Hour
	ResetValidity = 15 * time.Minute
)

// Offer is the note. Exactly one of CodeHash and Owner is set.
type Offer struct {
	ID       string    `json:"id"`                  // random; the same offer is taken once
	CodeHash string    `json:"code_hash,omitempty"` // bcrypt of the code as Normalise gives it
	Expires  time.Time `json:"expires,omitzero"`    // of the code
	Reset    bool      `json:"reset,omitempty"`     // the code is for the owner there is

	Owner        string `json:"owner,omitempty"`         // makes this owner at once, if there is none yet
	PasswordHash string `json:"password_hash,omitempty"` // bcrypt
}

// crockford is base32 without I, L, O, U: nothing in it can be misread.
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// NewCode makes a code of 40 random bits, "K7QX-9M2P", and the offer for it.
func NewCode(now time.Time) (code string, o Offer, err error) {
	raw := make([]byte, 5)
	rand.Read(raw)
	code = crockford.EncodeToString(raw)
	hash, err := bcrypt.GenerateFromPassword([]byte(code), bcrypt.DefaultCost)
	if err != nil {
		return "", Offer{}, fmt.Errorf("cannot hash the claim code: %w", err)
	}
	return code[:4] + "-" + code[4:], Offer{ID: rand.Text(), CodeHash: string(hash), Expires: now.Add(Validity).UTC()}, nil
}

// NewReset makes a code with which the owner chooses another password, and the
// offer for it.
func NewReset(now time.Time) (code string, o Offer, err error) {
	code, o, err = NewCode(now)
	o.Reset, o.Expires = true, now.Add(ResetValidity).UTC()
	return code, o, err
}

// ForOwner makes the offer that creates an owner without a claim. bcrypt takes
// at most 72 bytes of password: longer ones are an error.
func ForOwner(name, password string) (Offer, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		return Offer{}, fmt.Errorf("cannot hash the password: %w", err)
	}
	return Offer{ID: rand.Text(), Owner: name, PasswordHash: string(hash)}, nil
}

// Normalise reads a code as people type it: case, spaces and dashes do not
// matter, I and L stand for 1, O for 0.
func Normalise(code string) string {
	return strings.NewReplacer("-", "", " ", "", "I", "1", "L", "1", "O", "0").Replace(strings.ToUpper(code))
}

// Matches reports whether code is the one offered. It takes as long as bcrypt
// does, tens of milliseconds or more.
func (o Offer) Matches(code string) bool {
	return bcrypt.CompareHashAndPassword([]byte(o.CodeHash), []byte(Normalise(code))) == nil
}

const file = "claim.json"

// Path is the note in data folder dir.
func Path(dir string) string { return filepath.Join(dir, file) }

// Leave writes the note durably, over an older one. uid and gid own it (-1: the
// caller); only they can read it.
func Leave(dir string, o Offer, uid, gid int) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return atomicfile.WriteAs(Path(dir), data, 0o600, uid, gid)
}

// Pending reads the note; nil when there is none.
func Pending(dir string) (*Offer, error) {
	data, err := os.ReadFile(Path(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the claim offer: %w", err)
	}
	var o Offer
	if err := json.Unmarshal(data, &o); err != nil {
		return nil, fmt.Errorf("cannot read the claim offer %s: %w", Path(dir), err)
	}
	return &o, nil
}

// Taken removes the note after its offer o is safe elsewhere. A newer offer that
// was left meanwhile stays.
func Taken(dir string, o Offer) error {
	now, err := Pending(dir)
	if err != nil || now == nil || now.ID != o.ID {
		return err
	}
	return atomicfile.Remove(Path(dir))
}
