package target

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
)

// identity is what foyer-target.json says: one JSON object on one line (docs/backups.md).
type identity struct {
	Foyer  string    `json:"foyer"`  // what the file is: "target"
	Format int       `json:"format"` // of the target, what is in it included
	ID     string    `json:"id"`
	Made   time.Time `json:"made"`
	Sum    string    `json:"sum"` // of the other values
}

const (
	identityKind   = "target"
	identityFormat = 1
	identityBytes  = 4096
)

var (
	errDamaged = errors.New("it is no identity of a target, or not all of one")
	errNewer   = errors.New("it was made by a newer version")
)

func newIdentity() identity {
	var id [16]byte
	rand.Read(id[:]) //nolint:errcheck // it never fails
	i := identity{Foyer: identityKind, Format: identityFormat, ID: hex.EncodeToString(id[:]), Made: time.Now().UTC().Truncate(time.Second)}
	i.Sum = i.sum()
	return i
}

// sum is the SHA-256 of the values, each with a line feed, in hexadecimal.
func (i identity) sum() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%s\n%s\n", i.Foyer, i.Format, i.ID, i.Made.UTC().Format(time.RFC3339)))
	return hex.EncodeToString(sum[:])
}

func (i identity) text() []byte {
	text, err := json.Marshal(i)
	if err != nil { // there is nothing in it that JSON does not have
		panic(err)
	}
	return append(text, '\n')
}

// parseIdentity returns what a foyer-target.json says; the error is errDamaged or errNewer.
func parseIdentity(text []byte) (identity, error) {
	var i identity
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&i); err != nil {
		return identity{}, fmt.Errorf("%w: %w", errDamaged, err)
	}
	switch {
	case i.Foyer != identityKind || i.Format < 1:
		return identity{}, errDamaged
	case i.Format > identityFormat: // it may have a sum of its own
		return identity{}, errNewer
	case len(bytes.TrimSpace(text[d.InputOffset():])) > 0 || len(i.ID) != 32 || i.Sum != i.sum():
		return identity{}, errDamaged
	}
	if _, err := hex.DecodeString(i.ID); err != nil {
		return identity{}, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return i, nil
}

// readIdentity reads that of an open folder. The error matches fs.ErrNotExist where there is none.
func readIdentity(in *os.Root) (identity, error) {
	fi, err := in.Lstat(IdentityFile)
	if err != nil {
		return identity{}, err
	}
	if !fi.Mode().IsRegular() { // to open a pipe would block
		return identity{}, errDamaged
	}
	f, err := in.Open(IdentityFile)
	if err != nil {
		return identity{}, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(f, identityBytes))
	if err != nil {
		return identity{}, err
	}
	return parseIdentity(text)
}

// writeIdentity writes one, durably; replace puts it over one that is damaged. Else the error
// matches fs.ErrExist where there is one already.
func writeIdentity(in *os.Root, i identity, replace bool) error {
	tmp, err := writeTemporary(in, bytes.NewReader(i.text()))
	if err != nil {
		return err
	}
	if replace {
		err = in.Rename(tmp, IdentityFile)
	} else {
		err = rename(in, tmp, IdentityFile)
	}
	if err != nil {
		in.Remove(tmp) //nolint:errcheck // err says what is wrong
		return err
	}
	return syncNames(in)
}

// writeTemporary writes what r has to a new file of an open folder, durably, and returns its
// name, that of what may be left behind.
func writeTemporary(in *os.Root, r io.Reader) (name string, err error) {
	f, name, err := createTemporary(in)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(f, r)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		in.Remove(name) //nolint:errcheck // err says what is wrong
		return "", err
	}
	return name, nil
}

// temporary is what names begin with of files that are not whole yet.
const temporary = ".foyer-tmp-"

func createTemporary(in *os.Root) (f *os.File, name string, err error) {
	name = temporary + rand.Text()
	f, err = in.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	return f, name, err
}

// rename gives a file of an open folder another name there, and replaces nothing.
func rename(in *os.Root, from, to string) error {
	dir, err := in.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // a folder, opened to be changed
	return atomicfile.RenameNew(dir, from, to)
}

// syncNames makes the names in an open folder durable.
func syncNames(in *os.Root) error {
	dir, err := in.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // a folder, opened to be synced
	return atomicfile.SyncNames(dir)
}
