package object

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup/kit"
)

// Machine is the key of a machine that makes backups. It does not show itself.
type Machine struct {
	Signer kit.Signer // signs its objects
}

// NewMachine makes a random one.
func NewMachine() (*Machine, error) {
	signer, err := kit.NewSigner()
	return &Machine{signer}, err
}

// Chain is a chain of objects, and the key that opens all of them. It does not show itself.
type Chain struct {
	ID       string // 32 hexadecimal digits
	Identity kit.Identity
}

// NewChain makes a new one.
func NewChain() (*Chain, error) {
	id := make([]byte, 16)
	rand.Read(id)
	identity, err := kit.NewIdentity()
	return &Chain{hex.EncodeToString(id), identity}, err
}

// Keys is what a kit opens and vouches for: the key of a chain, and who writes it.
type Keys struct {
	// Number counts the key objects of a chain, from 1: with other words, or one machine more,
	// there is a new one.
	Number  int
	Chain   *Chain
	Authors Authors   // in the order in which they began
	At      time.Time // when it was made, to the second
}

// Author is that machine, from object number from on.
func (m *Machine) Author(from uint64) Author {
	return Author{from, m.Signer.Public()}
}

// wireKeys is the first line of a key object; the second is its signature.
type wireKeys struct {
	Foyer     int           `json:"foyer"`
	Number    int           `json:"number"`
	Chain     string        `json:"chain"`
	Recipient kit.Recipient `json:"recipient"` // of the chain
	Identity  string        `json:"identity"`  // of the chain
	Authors   Authors       `json:"authors"`
	Kit       string        `json:"kit"` // ID
	At        time.Time     `json:"at"`
}

type wireSignature struct {
	Signature []byte `json:"signature"`
}

// keysSigned is what the kit's signature of a key object is for.
const keysSigned = "keys/1"

// What a key object has at most.
const (
	maxKeys    = 64 << 10 // bytes
	maxAuthors = 100
)

// kitStanza is in the head of a key object beside the recipient's: the name of the kit, by which
// other words are told from damage. age passes over it.
const kitStanza = "foyer-kit"

type named string

func (n named) Wrap([]byte) ([]*age.Stanza, error) {
	return []*age.Stanza{{Type: kitStanza, Args: []string{string(n)}}}, nil
}

var errKeys = errors.New("these are no keys of a chain")

// check says whether keys can be such.
func (k *Keys) check() error {
	if k.Number < 1 || k.Chain == nil || !isHex(k.Chain.ID, 16) || len(k.Authors) == 0 || len(k.Authors) > maxAuthors || k.Authors[0].From != 1 {
		return errKeys
	}
	for i, m := range k.Authors {
		if len(m.Key) != ed25519.PublicKeySize || i > 0 && m.From <= k.Authors[i-1].From {
			return errKeys
		}
	}
	return nil
}

// SealKeys makes the key object of a chain: who has the words of the kit opens the chain, and
// knows who writes it. The kit signs all of it, the number too.
func SealKeys(words *kit.Kit, k *Keys) ([]byte, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	first, err := json.Marshal(wireKeys{Format, k.Number, k.Chain.ID, k.Chain.Identity.Recipient(), k.Chain.Identity.Secret(), k.Authors, words.ID(), k.At.UTC().Truncate(time.Second)})
	if err != nil {
		return nil, err
	}
	first = append(first, '\n')
	second, err := json.Marshal(wireSignature{words.Sign(keysSigned, first)})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, words.Recipient(), named(words.ID()))
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(append(append(first, second...), '\n')); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// OpenKeys opens the key object that stands at the target under a number, of that chain ("":
// any), by the words.
func OpenKeys(sealed []byte, chain string, number int, words *kit.Kit) (*Keys, error) {
	name := fmt.Sprintf("key.%d", number)
	if len(sealed) > maxKeys {
		return nil, fail(name, ErrTooLarge, "%d bytes", len(sealed))
	}
	plain, err := age.Decrypt(bytes.NewReader(sealed), words.Identity())
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok && !bytes.Contains(sealed, []byte("\n-> "+kitStanza+" "+words.ID()+"\n")) {
		return nil, hint.New("backup-wrong-key",
			hint.T("These words do not open this backup: it is locked with the words of another kit.", "Ces mots n'ouvrent pas cette sauvegarde : elle est verrouillée avec les mots d'un autre kit."), hint.Text{},
			hint.T("Use the newest kit of this server. Nothing is damaged.", "Utilisez le kit le plus récent de ce serveur. Rien n'est endommagé.")).Because(fmt.Errorf("%w: %s: %w", ErrWrongKey, name, err))
	}
	if err != nil {
		return nil, fail(name, ErrDamaged, "%v", err)
	}
	text, err := io.ReadAll(plain)
	if err != nil {
		return nil, fail(name, ErrDamaged, "%v", err)
	}
	return readKeys(text, name, chain, number, words)
}

// readKeys reads what a key object holds.
func readKeys(text []byte, name, chain string, number int, words *kit.Kit) (*Keys, error) {
	n := bytes.IndexByte(text, '\n') + 1
	first, second := text[:n], text[n:]
	var version struct {
		Foyer int `json:"foyer"`
	}
	var w wireKeys
	var s wireSignature
	switch err := json.Unmarshal(first, &version); {
	case err == nil && version.Foyer > Format:
		return nil, fail(name, ErrNewer, "its format is %d", version.Foyer)
	case json.Unmarshal(second, &s) != nil || !kit.Verify(words.Public().Key, keysSigned, first, s.Signature):
		return nil, fail(name, ErrForged, "the signature is not the kit's")
	case json.Unmarshal(first, &w) != nil:
		return nil, fail(name, ErrDamaged, "it is no key object") // and is signed
	}
	identity, err := kit.ParseIdentity(w.Identity)
	if err != nil || identity.Recipient().String() != w.Recipient.String() {
		return nil, fail(name, ErrDamaged, "the key of the chain is none")
	}
	k := &Keys{w.Number, &Chain{w.Chain, identity}, w.Authors, w.At}
	switch {
	case k.check() != nil:
		return nil, fail(name, ErrDamaged, "it is no key object") // and is signed
	case k.Number != number:
		return nil, fail(name, ErrOutOfPlace, "it is number %d", k.Number)
	case chain != "" && k.Chain.ID != chain:
		return nil, fail(name, ErrOutOfPlace, "it is of chain %s, not %s", k.Chain.ID, chain)
	}
	return k, nil
}

// Found is what the words open of the key objects at a target.
type Found struct {
	*Keys
	// Replaced: there is a key object with a higher number, for other words. It is said, not
	// proven: anybody who writes to the target can put one there.
	Replaced bool
	// Bad are those that are damaged, forged or out of place, by their number. One that is higher
	// than the one found hides what had changed by then.
	Bad map[int]error
}

// FindKeys opens the highest of the key objects at a target, by their numbers, that the words
// open and that is what it says.
//
// Who holds the target can take away the newest one, and this cannot show: the one before
// counts then, where it is for the same words. That one does not know machines that began
// since, whose objects are refused (ErrForged); and has a machine that ended since go on writing,
// so that who has the keys of that machine, and the target, goes on from there. Both show to
// the machine, which knows what it put there, and by the newest manifest.
func FindKeys(objects map[int][]byte, chain string, words *kit.Kit) (*Found, error) {
	found := &Found{Bad: map[int]error{}}
	var wrong error
	for _, n := range slices.Backward(slices.Sorted(maps.Keys(objects))) {
		keys, err := OpenKeys(objects[n], chain, n, words)
		switch {
		case err == nil:
			found.Keys = keys
			return found, nil
		case errors.Is(err, ErrWrongKey):
			found.Replaced, wrong = true, err
		default:
			found.Bad[n] = err
		}
	}
	for _, n := range slices.Backward(slices.Sorted(maps.Keys(found.Bad))) {
		return nil, found.Bad[n]
	}
	if wrong != nil {
		return nil, wrong
	}
	return nil, fmt.Errorf("cannot find the keys of the backup: %w", ErrNoKeys)
}

// ErrNoKeys: there is no key object.
var ErrNoKeys = errors.New("there is none")

// KeyName and KeyNumber are the name of a key object at a target, beside the objects of its
// chain, and its number; 0: it is not such a name.
func KeyName(number int) string { return fmt.Sprintf("key.%d", number) }

// KeyNumber is the number of the key object of that name.
func KeyNumber(name string) int {
	var n int
	if digits, ok := strings.CutPrefix(name, "key."); ok {
		if _, err := fmt.Sscanf(digits, "%d", &n); err != nil || n < 1 || KeyName(n) != name {
			return 0
		}
	}
	return n
}
