package object

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/safepath"
	"github.com/foyer-server/foyer/supervisor/backup/kit"
)

// Files of keys in a folder of this machine. They belong in no folder that is backed up:
// whoever has them reads the backup.
const (
	MachineFile = "machine.key"
	ChainFile   = "chain.key"
)

// keyFile is what such a file says.
type keyFile struct {
	Foyer    int    `json:"foyer"`
	Chain    string `json:"chain,omitempty"`
	Identity string `json:"identity,omitempty"` // of a chain; machines once had one, which nothing needs
	Signer   []byte `json:"signer,omitempty"`
	Sum      string `json:"sum"` // SHA-256 of the text with an empty sum
}

// text is the file, of which there is one for all that it says.
func (f keyFile) text() ([]byte, error) {
	f.Sum = ""
	text, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	f.Sum = fmt.Sprintf("%x", sha256.Sum256(text))
	text, err = json.Marshal(f)
	return append(text, '\n'), err
}

// Save writes the key of the machine into folder dir, durably, for the eyes of this process's
// account only.
func (m *Machine) Save(dir string) error {
	return saveKeys(filepath.Join(dir, MachineFile), keyFile{Foyer: Format, Signer: m.Signer.Secret()})
}

// LoadMachine reads what Save wrote. The error matches fs.ErrNotExist where there is none;
// others are such that a person can act on them.
func LoadMachine(dir string) (*Machine, error) {
	path := filepath.Join(dir, MachineFile)
	f, err := loadKeys(path)
	if err != nil {
		return nil, err
	}
	signer, err := kit.ParseSigner(f.Signer)
	if err != nil || f.Chain != "" {
		return nil, badKeys(path, errors.New("it is no machine's"))
	}
	return &Machine{signer}, nil
}

// Save writes the chain and its key into folder dir, as Machine.Save does.
func (c *Chain) Save(dir string) error {
	return saveKeys(filepath.Join(dir, ChainFile), keyFile{Foyer: Format, Chain: c.ID, Identity: c.Identity.Secret()})
}

// LoadChain reads what Chain.Save wrote, as LoadMachine does.
func LoadChain(dir string) (*Chain, error) {
	path := filepath.Join(dir, ChainFile)
	f, err := loadKeys(path)
	if err != nil {
		return nil, err
	}
	identity, err := kit.ParseIdentity(f.Identity)
	if err != nil || !isHex(f.Chain, 16) || f.Signer != nil {
		return nil, badKeys(path, errors.New("it is no chain's"))
	}
	return &Chain{f.Chain, identity}, nil
}

func saveKeys(path string, f keyFile) error {
	text, err := f.text()
	if err != nil {
		return err
	}
	return atomicfile.Write(path, text, 0o600)
}

func loadKeys(path string) (f keyFile, err error) {
	text, err := safepath.ReadSecret(path, maxKeys)
	if errors.Is(err, fs.ErrNotExist) {
		return f, fmt.Errorf("cannot read the keys of the backup: %w", err)
	}
	if e, ok := errors.AsType[*safepath.Error](err); ok && e.Why != safepath.TooLarge {
		return f, hint.New("backup-keys-exposed",
			hint.T("The file of backup keys %s can be read or changed by others: Foyer does not use it.", "Le fichier de clés de sauvegarde %s peut être lu ou modifié par d'autres : Foyer ne l'utilise pas.", path), hint.Text{},
			hint.T("If nobody has read it: `sudo chmod 600 %s`, and give it to the user Foyer runs as. Otherwise begin a new backup with new keys.", "Si personne ne l'a lu : `sudo chmod 600 %s`, et donnez-le à l'utilisateur de Foyer. Sinon, commencez une nouvelle sauvegarde avec de nouvelles clés.", path)).Because(err)
	}
	if err != nil {
		return f, fmt.Errorf("cannot read the keys of the backup: %w", err)
	}
	switch f, err = parseKeys(text); {
	case errors.Is(err, ErrNewer):
		err = fail(path, ErrNewer, "its format is %d", f.Foyer)
	case err != nil:
		err = badKeys(path, err)
	}
	return f, err
}

// parseKeys reads the text of a file of keys.
func parseKeys(text []byte) (f keyFile, err error) {
	if err := json.Unmarshal(text, &f); err != nil {
		return f, errors.New("it is no JSON") // whose error may quote it
	}
	if f.Foyer > Format {
		return f, ErrNewer
	}
	if again, err := f.text(); err != nil || !bytes.Equal(again, text) {
		return f, errors.New("its sum is another")
	}
	return f, nil
}

func badKeys(path string, err error) error {
	return hint.New("backup-keys-damaged",
		hint.T("The file of backup keys %s is damaged.", "Le fichier de clés de sauvegarde %s est endommagé.", path),
		hint.T("Foyer makes no backup with it. What is in the backup can still be read with the words of its kit.", "Foyer ne fait aucune sauvegarde avec lui. Ce qui est dans la sauvegarde se lit toujours avec les mots de son kit."),
		hint.T("Set the backup up again, with the words of its kit.", "Configurez de nouveau la sauvegarde, avec les mots de son kit.")).Because(err)
}
