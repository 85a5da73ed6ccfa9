package routine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// known is what target.json says: a backup that has begun.
type known struct {
	To     string                `json:"to"` // as the settings named it
	Target target.FolderIdentity `json:"target"`
	Chain  string                `json:"chain"`
	Began  time.Time             `json:"began"`
}

// proof is what proven.json says: restores that were made to see that one can be made.
type proof struct {
	Proven   *report.Proven  `json:"proven,omitempty"` // the last that worked
	Failed   *report.Problem `json:"failed,omitempty"` // why the last one did not, if it is newer
	FailedAt time.Time       `json:"failed_at,omitzero"`
	Schema   int             `json:"schema,omitempty"` // of the data, at the last that worked
}

const (
	knownFile = "target.json"
	proofFile = "proven.json"
)

// readKnown reads target.json; nil: nothing has begun.
func readKnown(dir string) (*known, error) {
	k := &known{}
	there, err := read(filepath.Join(dir, knownFile), k)
	if err != nil || !there {
		return nil, err
	}
	return k, nil
}

// readProof reads proven.json. One that cannot be read proves nothing, and keeps nothing from
// being proven again.
func readProof(dir string, log *slog.Logger) proof {
	var p proof
	if _, err := read(filepath.Join(dir, proofFile), &p); err != nil {
		log.Warn("whether the backup was ever restored is not known", "err", err)
		return proof{}
	}
	return p
}

func read(path string, into any) (there bool, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return false, fmt.Errorf("cannot read what is known of the backup: %w", err)
	}
	return true, nil
}

func write(path string, from any) error {
	text, err := json.MarshalIndent(from, "", "\t")
	if err != nil {
		return err
	}
	return atomicfile.Write(path, append(text, '\n'), 0o600)
}

func (k *known) save(dir string) error { return write(filepath.Join(dir, knownFile), k) }
func (p proof) save(dir string) error  { return write(filepath.Join(dir, proofFile), p) }

// forget removes what target.json and proven.json say.
func forget(dir string) error {
	var errs []error
	for _, name := range []string{knownFile, proofFile} {
		if err := atomicfile.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
