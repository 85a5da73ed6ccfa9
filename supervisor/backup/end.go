package backup

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/supervisor/backup/object"
)

// Folders of End in the folder of the keys, and how many of ended chains are kept.
const (
	endingDir   = "ending" // what belongs to the chain that is being ended
	endedPrefix = "ended-" // and the first eight digits of a chain
	endedOrder  = "ended"  // a file in it: which came before which
	endedKept   = 3
)

// chainFiles are all files of one chain. Without the first there is no chain here, so it goes first.
func chainFiles() []string {
	return []string{object.ChainFile, object.MachineFile, keyFile, filepath.Base(statePath("")), filepath.Base(contentsPath(""))}
}

// End makes a folder of keys and of what is known of a chain fit for a new one: what is there goes into the
// folder ended-CHAIN in it, by which LoadKeys still opens that chain; the last three are kept. Where there is
// no chain nothing is done. Nothing changes at a target, and nobody makes backups with the folder meanwhile.
//
// What a death broke off is gone on with by the next End or Begin.
func End(dir string) error {
	lock, err := lockKeys(dir)
	if err != nil {
		return err
	}
	defer lock.Unlock() //nolint:errcheck // a lock that is not let go of ends with this process
	if err := finishEnding(dir); err != nil {
		return fmt.Errorf("cannot end a backup: %w", err)
	}
	there := false
	for _, name := range chainFiles() {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			there = true
		} else if !errors.Is(err, fs.ErrNotExist) {
			return here(dir, fmt.Errorf("cannot end a backup: %w", err))
		}
	}
	if !there {
		return here(dir, os.RemoveAll(filepath.Join(dir, begunDir)))
	}
	err = os.Mkdir(filepath.Join(dir, endingDir), 0o700)
	if err == nil {
		err = atomicfile.SyncDir(dir)
	}
	if err == nil {
		err = moveAside(dir)
	}
	if err != nil {
		return here(dir, fmt.Errorf("cannot end a backup: %w", err))
	}
	return nil
}

// finishEnding goes on with an end that was begun, from wherever it broke off; else it does nothing.
func finishEnding(dir string) error {
	ending := filepath.Join(dir, endingDir)
	moved, err := os.ReadDir(ending)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return here(dir, err)
	case len(moved) == 0: // nothing was ended yet
		return here(dir, os.Remove(ending))
	}
	return here(dir, moveAside(dir))
}

// moveAside moves what belongs to the chain into the folder for it, and gives that its name.
func moveAside(dir string) error {
	ending := filepath.Join(dir, endingDir)
	for _, name := range chainFiles() {
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(ending, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		// A file is in the one folder or the other: in the new one for good, before the old one.
		if err := errors.Join(atomicfile.SyncDir(ending), atomicfile.SyncDir(dir)); err != nil {
			return err
		}
	}
	for _, left := range []string{begunDir, filepath.Base(part("")), filepath.Base(contentsPart(""))} {
		if err := os.RemoveAll(filepath.Join(dir, left)); err != nil {
			return err
		}
	}
	before, err := endedChains(dir)
	if err != nil {
		return err
	}
	order := 1
	if len(before) > 0 {
		order += before[len(before)-1].order
	}
	if err := atomicfile.Write(filepath.Join(ending, endedOrder), []byte(strconv.Itoa(order)+"\n"), 0o600); err != nil {
		return err
	}
	// By the keys, or by what was known: of a chain that has neither there is nothing to call it by.
	id := "unknown0"
	if chain, err := object.LoadChain(ending); err == nil {
		id = chain.ID
	}
	as := filepath.Join(dir, endedPrefix+id[:8])
	if err := os.RemoveAll(as); err != nil { // the same chain, put back and ended again
		return err
	}
	if err := os.Rename(ending, as); err != nil {
		return err
	}
	if err := atomicfile.SyncDir(dir); err != nil {
		return err
	}
	if before, err = endedChains(dir); err != nil {
		return err
	}
	for _, old := range before[:max(0, len(before)-endedKept)] {
		if err := os.RemoveAll(old.dir); err != nil {
			return err
		}
	}
	return nil
}

// endedChain is the folder of one that was ended.
type endedChain struct {
	dir   string
	order int
}

// endedChains are those that are kept, the one that was ended first before the others.
func endedChains(dir string) ([]endedChain, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []endedChain
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), endedPrefix) || !e.IsDir() {
			continue
		}
		one := endedChain{dir: filepath.Join(dir, e.Name())}
		text, err := os.ReadFile(filepath.Join(one.dir, endedOrder))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		one.order, _ = strconv.Atoi(strings.TrimSpace(string(text))) //nolint:errcheck // one without is the oldest
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b endedChain) int { return cmp.Or(cmp.Compare(a.order, b.order), strings.Compare(a.dir, b.dir)) })
	return out, nil
}
