package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup/kit"
	"github.com/foyer-server/foyer/supervisor/backup/object"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// Keys are those of a chain, and of the machine that writes it.
type Keys struct {
	Machine *object.Machine
	Chain   *object.Chain
	Authors object.Authors // whose signatures count: this machine's, and those of machines before it
	// Newest is the newest key object that this machine knows of at the target.
	Newest KeyObject
}

// KeyObject is a key object of a chain, as each manifest names the newest: so it shows when a target has
// an older one in its place. The zero KeyObject is none that is known.
type KeyObject struct {
	Number int    `json:"number"`
	Sum    string `json:"sum"` // SHA-256 of its sealed bytes, in hexadecimal
}

// expect is what an object of the chain has to be like.
func (k Keys) expect() object.Expect {
	return object.Expect{Identities: []age.Identity{k.Chain.Identity}, OfChain: true, Authors: k.Authors, Chain: k.Chain.ID}
}

// Files of Begin in the folder of the keys, beside those of package object.
const (
	begunDir = "begun" // holds a chain that no kit is known to open yet
	keysLock = "keys.lock"
	// keyFile says which key object is the newest. It came later than the others: without it Begin
	// asks the target.
	keyFile = "key-object.json"
)

// LoadKeys reads the keys of a chain that Begin made in folder dir. The error matches
// fs.ErrNotExist where there are none, or not all of them.
func LoadKeys(dir string) (Keys, error) {
	machine, err := object.LoadMachine(dir)
	if err != nil {
		return Keys{}, err
	}
	chain, err := object.LoadChain(dir)
	if err != nil {
		return Keys{}, err
	}
	keys := ownKeys(machine, chain)
	var known knownKey
	err = loadSummed(filepath.Join(dir, keyFile), &known)
	switch {
	case err == nil && known.Chain == chain.ID:
		keys.Newest = known.KeyObject
	case err == nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, errSpoiled): // nobody knows
	default:
		return Keys{}, err
	}
	return keys, nil
}

// knownKey is what keyFile says.
type knownKey struct {
	Chain string `json:"chain"`
	KeyObject
}

// saveNewest keeps which key object is the newest.
func (k *Keys) saveNewest(dir string) error {
	return saveSummed(filepath.Join(dir, keyFile), knownKey{k.Chain.ID, k.Newest})
}

// ownKeys are the keys of a chain that one machine has begun.
func ownKeys(machine *object.Machine, chain *object.Chain) Keys {
	return Keys{Machine: machine, Chain: chain, Authors: object.Authors{machine.Author(1)}}
}

// Begin begins a chain at a target: it makes its keys and those of the machine in folder dir,
// seals them for the kit, and has the kit open what the target then says. Only then LoadKeys
// knows them: nothing is ever sealed that the words do not open.
//
// One that broke off is gone on with, by the same words, or begun again, with others. Where
// a chain was begun that these words open, its keys are returned; with other words, or at
// another target, the error has code backup-begun. Two at once in one folder are refused.
func Begin(ctx context.Context, at target.Target, dir string, words *kit.Kit) (Keys, error) {
	lock, err := lockKeys(dir)
	if err != nil {
		return Keys{}, err
	}
	defer lock.Unlock() //nolint:errcheck // a lock that is not let go of ends with this process
	if err := finishEnding(dir); err != nil {
		return Keys{}, fmt.Errorf("cannot end the backup before: %w", err)
	}
	known, err := LoadKeys(dir)
	if err == nil {
		return known, proved(ctx, at, &known, dir, words)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return Keys{}, err
	}
	keys, err := begin(ctx, at, dir, words)
	if err != nil {
		return Keys{}, fmt.Errorf("cannot begin a backup: %w", err)
	}
	return keys, nil
}

// lockKeys has a folder of keys to itself, and makes it.
func lockKeys(dir string) (*atomicfile.Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, here(dir, fmt.Errorf("cannot make the keys of a backup: %w", err))
	}
	lock, err := atomicfile.TryLock(filepath.Join(dir, keysLock))
	if errors.Is(err, atomicfile.ErrLocked) {
		return nil, hint.New("backup-keys-busy",
			hint.T("Somebody else is setting this backup up now.", "Quelqu'un d'autre configure cette sauvegarde en ce moment."), hint.T("Nothing was changed.", "Rien n'a été changé."),
			hint.T("Wait until that is done, then look at it.", "Attendez la fin, puis regardez le résultat.")).Because(err)
	}
	return lock, here(dir, err)
}

// begin goes on from wherever an earlier one broke off.
func begin(ctx context.Context, at target.Target, dir string, words *kit.Kit) (Keys, error) {
	machine, err := object.LoadMachine(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if machine, err = object.NewMachine(); err == nil {
			err = machine.Save(dir)
		}
	}
	if err != nil {
		return Keys{}, err
	}
	begun := filepath.Join(dir, begunDir)
	if err := os.MkdirAll(begun, 0o700); err != nil {
		return Keys{}, err
	}
	chain, err := object.LoadChain(begun)
	if err == nil {
		switch _, e := opens(ctx, at, ownKeys(machine, chain), words); {
		case e == nil, errors.Is(e, target.ErrNotFound):
		case errors.Is(e, object.ErrWrongKey), errors.Is(e, object.ErrForged), errors.Is(e, object.ErrDamaged), errors.Is(e, object.ErrOutOfPlace):
			// Nothing was ever sealed for a chain that is no further.
			if err := at.Delete(ctx, keyName(chain.ID)); err != nil {
				return Keys{}, err
			}
			chain = nil
		default:
			return Keys{}, e
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return Keys{}, err
	}
	if chain == nil {
		if chain, err = object.NewChain(); err == nil {
			err = chain.Save(begun)
		}
		if err != nil {
			return Keys{}, err
		}
	}
	keys := ownKeys(machine, chain)
	sealed, err := object.SealKeys(words, &object.Keys{Number: 1, Chain: chain, Authors: keys.Authors, At: time.Now()})
	if err != nil {
		return Keys{}, err
	}
	if err := at.Put(ctx, keyName(chain.ID), bytes.NewReader(sealed), int64(len(sealed))); err != nil && !errors.Is(err, target.ErrExists) {
		return Keys{}, err
	}
	if keys.Newest, err = opens(ctx, at, keys, words); err != nil {
		return Keys{}, err
	}
	if err := keys.saveNewest(dir); err != nil {
		return Keys{}, err
	}
	if err := chain.Save(dir); err != nil {
		return Keys{}, err
	}
	return keys, os.RemoveAll(begun)
}

func keyName(chain string) string { return chain + "/" + object.KeyName(1) }

// opens has the kit open what the target says are the keys of a chain, and be right.
func opens(ctx context.Context, at target.Reader, keys Keys, words *kit.Kit) (KeyObject, error) {
	sealed, err := fetchKeys(ctx, at, keyName(keys.Chain.ID))
	if err != nil {
		return KeyObject{}, err
	}
	got, err := object.OpenKeys(sealed, keys.Chain.ID, 1, words)
	if err != nil {
		return KeyObject{}, err
	}
	if got.Chain.Identity.Secret() != keys.Chain.Identity.Secret() || len(got.Authors) != 1 || !got.Authors[0].Key.Equal(keys.Machine.Signer.Public()) {
		return KeyObject{}, fmt.Errorf("the keys at the target are others: %w", object.ErrForged)
	}
	return KeyObject{got.Number, sumOf(sealed)}, nil
}

func sumOf(text []byte) string { return fmt.Sprintf("%x", sha256.Sum256(text)) }

// proved is for a chain that was begun before: these words have to open it, at this target.
func proved(ctx context.Context, at target.Reader, keys *Keys, dir string, words *kit.Kit) error {
	is, err := opens(ctx, at, *keys, words)
	switch {
	case err == nil && is != keys.Newest && is.Number >= keys.Newest.Number:
		keys.Newest = is
		return keys.saveNewest(dir)
	case errors.Is(err, object.ErrWrongKey):
	case errors.Is(err, target.ErrNotFound):
	default:
		return err
	}
	return hint.New("backup-begun",
		hint.T("This machine makes a backup already, with other words or at another place.", "Cette machine fait déjà une sauvegarde, avec d'autres mots ou à un autre endroit."), hint.T("Nothing was changed.", "Rien n'a été changé."),
		hint.T("Use the words and the place of that backup, or end it first.", "Utilisez les mots et l'endroit de cette sauvegarde, ou mettez-y fin d'abord.")).Because(err)
}

// older is what is wrong with the key objects at a target, by what a manifest says is the newest of them;
// nil: nothing.
func older(ctx context.Context, r *reader, at inventory, newest KeyObject) (*Problem, error) {
	if newest.Number == 0 {
		return nil, nil // nobody said so
	}
	why := target.ErrNotFound
	if at.keys[newest.Number] {
		body, err := r.key(ctx, newest.Number)
		var text []byte
		if err == nil {
			text, err = io.ReadAll(io.LimitReader(body, mostKeys))
			err = errors.Join(err, body.Close())
		}
		switch {
		case err == nil && sumOf(text) == newest.Sum:
			return nil, nil
		case err == nil:
			why = fmt.Errorf("%w: its sum is %s, not %s", object.ErrOutOfPlace, sumOf(text), newest.Sum)
		case !errors.Is(err, target.ErrNotFound):
			return nil, err
		}
	}
	return &Problem{Err: hint.New("backup-keys-older",
		hint.T("The keys that lie with this backup are not the newest ones: they were deleted, or others were put in their place.", "Les clés jointes à cette sauvegarde ne sont pas les plus récentes : elles ont été supprimées, ou d'autres ont été mises à leur place."),
		hint.Text{},
		hint.T("Use another copy of the backup, if there is one, and find out who can write to this place.", "Utilisez une autre copie de la sauvegarde, s'il y en a une, et cherchez qui peut écrire à cet endroit.")).
		Because(fmt.Errorf("key object %d: %w", newest.Number, why))}, nil
}

// mostKeys is more than a key object has, in bytes.
const mostKeys = 64<<10 + 1

// fetchKeys reads a key object, which is small.
func fetchKeys(ctx context.Context, at target.Reader, name string) ([]byte, error) {
	body, err := at.Get(ctx, name, 0)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(body, mostKeys))
	return text, errors.Join(err, body.Close())
}
