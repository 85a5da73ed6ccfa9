package object

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foyer-server/foyer/internal/hint"
)

// Keys are read back as they were saved; from a file that is not whole, nothing is.
func TestKeyFiles(t *testing.T) {
	t.Attr("shows", "backups")
	w, dir := newWorld(t), t.TempDir()
	if _, err := LoadMachine(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no machine: %v", err)
	}
	if _, err := LoadChain(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no chain: %v", err)
	}
	if err := errors.Join(w.machine.Save(dir), w.chain.Save(dir)); err != nil {
		t.Fatal(err)
	}
	m, err := LoadMachine(dir)
	if err != nil || !bytes.Equal(m.Signer.Secret(), w.machine.Signer.Secret()) {
		t.Errorf("%v, %v", m, err)
	}
	c, err := LoadChain(dir)
	if err != nil || c.ID != w.chain.ID || c.Identity.Secret() != w.chain.Identity.Secret() {
		t.Errorf("%v, %v", c, err)
	}
	damaged := 0
	for _, name := range []string{MachineFile, ChainFile} {
		path := filepath.Join(dir, name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		load := func(text []byte) error {
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			var err error
			if name == MachineFile {
				_, err = LoadMachine(dir)
			} else {
				_, err = LoadChain(dir)
			}
			return err
		}
		for i := range good {
			bad := bytes.Clone(good)
			bad[i] ^= 4 // of its format, 5: a newer one
			err := load(bad)
			if bytes.HasPrefix(bad, []byte(`{"foyer":5`)) {
				if is(err, ErrNewer) != "" {
					t.Error(is(err, ErrNewer))
				}
				continue
			}
			if e := hint.Find(err); e == nil || e.Code != "backup-keys-damaged" {
				t.Errorf("%s, byte %d, %q: %v", name, i, bad, err)
			} else if strings.Contains(err.Error(), "SECRET") {
				t.Errorf("the log has a key: %v", err)
			}
			damaged++
		}
		for _, text := range []string{"", "{}", string(good[:len(good)/2]), strings.Replace(string(good), `"foyer":1`, `"foyer":0`, 1)} {
			if e := hint.Find(load([]byte(text))); e == nil || e.Code != "backup-keys-damaged" {
				t.Errorf("%s, %q: %v", name, text, e)
			}
		}
		if err := load(bytes.Replace(good, []byte(`"foyer":1`), []byte(`"foyer":2`), 1)); is(err, ErrNewer) != "" {
			t.Error(is(err, ErrNewer))
		}
		if err := load(good); err != nil {
			t.Error(err)
		}
	}
	// One is not the other.
	machine, _ := os.ReadFile(filepath.Join(dir, MachineFile))
	chain, _ := os.ReadFile(filepath.Join(dir, ChainFile))
	if err := errors.Join(os.WriteFile(filepath.Join(dir, ChainFile), machine, 0o600), os.WriteFile(filepath.Join(dir, MachineFile), chain, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadMachine(dir); hint.Find(err) == nil {
		t.Errorf("a chain is a machine: %v", err)
	}
	if _, err := LoadChain(dir); hint.Find(err) == nil {
		t.Errorf("a machine is a chain: %v", err)
	}
	// One that was written when machines had an identity, too.
	before := keyFile{Foyer: Format, Identity: w.chain.Identity.Secret(), Signer: w.machine.Signer.Secret()}
	if err := saveKeys(filepath.Join(dir, MachineFile), before); err != nil {
		t.Fatal(err)
	}
	if m, err := LoadMachine(dir); err != nil || !bytes.Equal(m.Signer.Secret(), w.machine.Signer.Secret()) {
		t.Errorf("a machine of before: %v, %v", m, err)
	}
	t.Logf("SHOW files of keys: a flip of each of %d bytes is noticed", damaged)
}
