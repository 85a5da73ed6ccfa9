package backup

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/supervisor/backup/object"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// state is what an engine knows of its chain. It is kept now and then: what was added to
// the chain since is found out from the target, each object of which says where it belongs.
// What it says of the past is what a target is held to.
type state struct {
	Chain    string             `json:"chain"`
	Head     head               `json:"head"`
	Position changelog.Position `json:"position"` // all up to here is in the chain
	Follows  bool               `json:"follows"`  // the store keeps changes from there on
	Copying  *base              `json:"copying,omitempty"`
	Bases    []base             `json:"bases"`   // complete ones, the oldest first
	Objects  []entry            `json:"objects"` // that are at the target, by number
	Tidied   time.Time          `json:"tidied"`  // when stretches were last made fewer
	Kept     time.Time          `json:"kept"`    // when this was written
}

type head struct {
	N    uint64 `json:"n"`
	Hash string `json:"hash"`
}

// base is a copy of everything, or one that is being made.
type base struct {
	From  changelog.Position `json:"from"` // where the log stood when it began
	Ready changelog.Position `json:"ready"`
	Parts []uint64           `json:"parts"`
	After string             `json:"after,omitempty"` // the place in the store behind the last part
	Bytes int64              `json:"bytes"`           // sealed
	At    time.Time          `json:"at"`
}

// manifest is the number of the newest manifest; 0: there is none.
func (s *state) manifest() uint64 {
	for _, ent := range slices.Backward(s.Objects) {
		if ent.Kind == object.Manifest {
			return ent.N
		}
	}
	return 0
}

// object returns what is known of one.
func (s *state) object(n uint64) (entry, bool) {
	i, ok := slices.BinarySearchFunc(s.Objects, n, byNumber)
	if !ok {
		return entry{}, false
	}
	return s.Objects[i], true
}

func statePath(dir string) string { return filepath.Join(dir, "chain.json") }

// save keeps what is known.
func (e *Engine) save() error {
	e.st.Kept = e.Now().UTC()
	text, err := json.Marshal(&e.st)
	if err != nil {
		return err
	}
	return atomicfile.Write(statePath(e.Dir), text, 0o600)
}

// open finds out where the chain stands: from what was kept here, and what is at the target.
// While that is away nothing is added to the chain.
func (e *Engine) open(ctx context.Context) error {
	if e.opened {
		return nil
	}
	if err := os.MkdirAll(e.Dir, 0o700); err != nil {
		return err
	}
	e.st = state{Chain: e.Keys.Chain.ID}
	text, err := os.ReadFile(statePath(e.Dir))
	if err == nil {
		err = json.Unmarshal(text, &e.st)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("cannot read what is known of the backup: %w", err)
	}
	if e.st.Chain != e.Keys.Chain.ID {
		return fmt.Errorf("%s is of chain %.8s, and this is %.8s", statePath(e.Dir), e.st.Chain, e.Keys.Chain.ID)
	}
	if e.sealer, err = object.NewSealer(e.Keys.Machine, e.Keys.Chain); err != nil {
		return err
	}
	there, err := list(ctx, e.Target, e.Keys.Chain.ID)
	if err == nil {
		err = errors.Join(removed(part(e.Dir)), e.catchUp(ctx, there))
	}
	if err != nil {
		return err
	}
	if e.files, err = openAttachments(ctx, e, there.contents); err != nil {
		return err
	}
	e.opened = true
	return nil
}

// complete has all that can be restored be at the target, by its list.
func (s *state) complete(there map[uint64]bool) error {
	for _, ent := range s.Objects {
		if !there[ent.N] && ent.live() {
			return fmt.Errorf("%w: object %d is not there any more", ErrRolledBack, ent.N)
		}
	}
	return nil
}

// catchUp takes in objects of ours that are at the target and not known here.
func (e *Engine) catchUp(ctx context.Context, at inventory) error {
	there := at.objects
	if e.st.Head.N == 0 && len(there) > 0 {
		if err := e.rebuild(ctx, at); err != nil && !errors.Is(err, ErrNothing) {
			return err
		}
	}
	if err := e.st.complete(there); err != nil {
		return err
	}
	// A death can have come between a deletion and its note.
	e.st.Objects = slices.DeleteFunc(e.st.Objects, func(ent entry) bool { return !there[ent.N] })
	for n := e.st.Head.N + 1; there[n]; n++ {
		ent, err := e.reader().read(ctx, n, e.st.Head.Hash, nil)
		if errors.Is(err, target.ErrAway) || ctx.Err() != nil {
			return err
		}
		if err != nil {
			return fmt.Errorf("%w: object %d is not of this machine: %w", ErrTwoMachines, n, err)
		}
		if err := e.adopt(ent); err != nil {
			return err
		}
	}
	for n := range there {
		if n > e.st.Head.N {
			return fmt.Errorf("%w: object %d is there, and %d is not", ErrRolledBack, n, e.st.Head.N+1)
		}
	}
	return nil
}

// rebuild finds out from the target alone what is known of a chain: what is kept here was
// lost. The store is followed anew.
func (e *Engine) rebuild(ctx context.Context, at inventory) error {
	found, err := find(ctx, e.reader(), at)
	if err != nil {
		return err
	}
	m := found.Manifest
	e.st.Bases = m.bases
	e.st.Objects = append(slices.Clone(m.objects), found.manifest)
	for n := range at.objects {
		if _, known := slices.BinarySearchFunc(m.objects, n, byNumber); !known && n < m.N {
			e.st.Objects = append(e.st.Objects, entry{N: n, Left: e.Now().UTC()})
		}
	}
	slices.SortFunc(e.st.Objects, func(a, b entry) int { return cmp.Compare(a.N, b.N) })
	e.st.Head = head{N: m.N, Hash: found.manifest.Hash}
	e.st.Position = m.Point
	return nil
}

func byNumber(e entry, n uint64) int { return cmp.Compare(e.N, n) }
