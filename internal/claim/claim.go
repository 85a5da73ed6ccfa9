// Package claim is how somebody on the machine tells the server who may become
// its first owner: by a one-time code, or by name and password hash.
//
// The two sides share nothing but a note in the data folder. Whoever may write
// there (the installer as root, the supervisor, `foyer try`) leaves an Offer; the
// server takes it into its database and removes the note. The note never holds
// the code or a password, only bcrypt hashes.
//
// Threat model: who can read the data folder learns nothing that lets them claim
// before the code expires; who can write there owns the server anyway. Whoever leaves a
// note as root writes to that folder and to nowhere a link in it leads (safepath).
package claim

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/text/unicode/norm"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/safepath"
)

// How long a new code can be used: to claim, and to choose another password.
const (
	Validity      = 24 * time.Hour
	ResetValidity = 15 * time.Minute
)

// codeCost is the bcrypt cost of a code: about a millisecond, so that a flood of wrong
// ones keeps nobody waiting who has the right one. Who steals the note would try 2^40
// codes for half a month of a fast graphics card; it is good for a day.
const codeCost = bcrypt.MinCost

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
	hash, err := bcrypt.GenerateFromPassword([]byte(code), codeCost)
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
	hash, err := bcrypt.GenerateFromPassword([]byte(norm.NFC.String(password)), bcrypt.DefaultCost)
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

// Matches reports whether code is the one offered. It takes some milliseconds.
func (o Offer) Matches(code string) bool {
	return bcrypt.CompareHashAndPassword([]byte(o.CodeHash), []byte(Normalise(code))) == nil
}

const file = "claim.json"

// Path is the note in data folder dir.
func Path(dir string) string { return filepath.Join(dir, file) }

// mostBytes is more than any note has.
const mostBytes = 64 << 10

// Leave writes the note durably, over an older one. uid and gid own it (-1: the
// caller); only they can read it. As root it is left in a folder of that account only,
// where somebody else can put another one in its place: *safepath.Error.
func Leave(dir string, o Offer, uid, gid int) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	d, err := safepath.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // a folder, opened to be written to
	if info, err := d.Info(); err != nil || !d.Trusted() && uid >= 0 && info.UID != uid {
		return errors.Join(err, &safepath.Error{Path: dir, Why: safepath.Foreign})
	}
	return d.Write(file, data, 0o600, uid, gid)
}

// Withdraw removes the note durably, whatever offer it holds; none is no error.
func Withdraw(dir string) error {
	d, err := safepath.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // a folder, opened to be changed
	return d.Remove(file)
}

// Pending reads the note; nil when there is none.
func Pending(dir string) (*Offer, error) {
	data, err := safepath.ReadFile(Path(dir), mostBytes)
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
