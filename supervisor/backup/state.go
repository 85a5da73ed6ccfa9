package backup

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
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

	// Shift is by how much positions in the chain are ahead of those of the store: an older copy of the
	// data, or others, may have come in their place.
	Shift int64 `json:"shift,omitempty"`

	// Unsaid: something was left out that the newest manifest, or what is behind it, still needs.
	Unsaid bool `json:"unsaid,omitempty"`

	Complete time.Time `json:"complete,omitzero"` // as in Overview
	Cut      time.Time `json:"cut,omitzero"`
	First    time.Time `json:"first,omitzero"`
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

// last is the position in the chain behind which nobody has been.
func (s *state) last() changelog.Position {
	last := s.Position
	take := func(p changelog.Position) {
		if p.Seq > last.Seq {
			last = p
		}
	}
	for i := range s.Objects {
		take(s.Objects[i].From)
		take(s.Objects[i].To)
	}
	for i := range s.Bases {
		take(s.Bases[i].Ready)
	}
	return last
}

// newest is when something was last put into the chain.
func (s *state) newest() time.Time {
	for _, ent := range slices.Backward(s.Objects) {
		if ent.Kind != object.Merge && !ent.At.IsZero() { // a merge is of the time of what it is made of
			return ent.At
		}
	}
	return time.Time{}
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
	e.st.Kept = e.now()
	return here(e.Dir, saveSummed(statePath(e.Dir), &e.st))
}

// saveSummed writes a file of JSON, and below it the SHA-256 of that.
func saveSummed(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return atomicfile.Write(path, fmt.Appendf(text, "\n%x\n", sha256.Sum256(text)), 0o600)
}

// errSpoiled: a file is not what was written.
var errSpoiled = errors.New("the file is damaged")

// loadSummed reads what saveSummed wrote. The error matches fs.ErrNotExist, or errSpoiled.
func loadSummed(path string, v any) error {
	all, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, sum, _ := bytes.Cut(all, []byte("\n"))
	if string(sum) != fmt.Sprintf("%x\n", sha256.Sum256(text)) {
		return fmt.Errorf("%w: %s", errSpoiled, path)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%w: %s: %w", errSpoiled, path, err)
	}
	return nil
}

// loadState reads what is known of a chain. Where nothing was kept, nothing is known.
func loadState(dir, chain string) (state, error) {
	st := state{Chain: chain}
	err := loadSummed(statePath(dir), &st)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil && st.Chain != chain {
		err = fmt.Errorf("%w: it is of chain %.8s, and this is %.8s", errSpoiled, st.Chain, chain)
	}
	return st, err
}

// open finds out where the chain stands: from what was kept here, and what is at the target.
// While that is away nothing is added to the chain.
func (e *Engine) open(ctx context.Context) error {
	if e.opened {
		return nil
	}
	if err := os.MkdirAll(e.Dir, 0o700); err != nil {
		return here(e.Dir, err)
	}
	st, err := loadState(e.Dir, e.Keys.Chain.ID)
	if errors.Is(err, errSpoiled) {
		e.Log.Warn("what was known of the backup here is damaged: it is found out from the target", "err", err)
		st, err = state{Chain: e.Keys.Chain.ID}, nil
	}
	if err != nil {
		return here(e.Dir, fmt.Errorf("cannot read what is known of the backup: %w", err))
	}
	e.st = st
	e.see()
	if e.sealer, err = object.NewSealer(e.Keys.Machine, e.Keys.Chain); err != nil {
		return err
	}
	there, err := list(ctx, e.Target, e.Keys.Chain.ID)
	if err == nil {
		err = here(e.Dir, removed(part(e.Dir)))
	}
	if err == nil {
		err = (&opener{e, there}).catchUp(ctx)
	}
	if err != nil {
		return err
	}
	e.ticking().NotBefore(e.st.newest())
	if e.files, err = openAttachments(ctx, e, there.contents); err != nil {
		return err
	}
	e.opened = true
	return nil
}

// complete has all that can be restored be at the target, by its list.
func (s *state) complete(at target.Reader, there map[uint64]bool) error {
	for _, ent := range s.Objects {
		if !there[ent.N] && ent.live() {
			return rolledBack(at, ent.N, errors.New("it is not there any more"))
		}
	}
	return nil
}

// opener brings what is known of a chain up to what is at the target.
type opener struct {
	*Engine
	at inventory
}

// catchUp takes in objects of ours that are at the target and not known here.
func (o *opener) catchUp(ctx context.Context) error {
	there := o.at.objects
	if o.st.Head.N == 0 && len(there) > 0 {
		if err := o.rebuild(ctx); err != nil && !errors.Is(err, ErrNothing) {
			return err
		}
	}
	if err := o.st.complete(o.Target, there); err != nil {
		return err
	}
	// A death can have come between a deletion and its note.
	o.st.Objects = slices.DeleteFunc(o.st.Objects, func(ent entry) bool { return !there[ent.N] })
	prev := o.st.Head.Hash
	for n := o.st.Head.N + 1; there[n]; n++ {
		ent, err := o.reader().read(ctx, n, prev, nil)
		switch {
		case spoiled(err):
			if err := o.pass(ctx, n, err); err != nil {
				return err
			}
			prev = "" // what it was is not known
			continue
		case wrong(err):
			return twoMachines(o.Target, n, err)
		case err != nil:
			return err
		}
		if prev = ent.Hash; ent.stretch() && ent.Kind == object.Log && ent.From != o.st.Position {
			ent.Left, ent.Behind = o.now(), n // what is missing before it is brought again
		}
		if err := o.adopt(ctx, ent); err != nil {
			return err
		}
	}
	for n := range there {
		if n > o.st.Head.N {
			return rolledBack(o.Target, o.st.Head.N+1, fmt.Errorf("object %d is there", n))
		}
	}
	return nil
}

// rebuild finds out from the target alone what is known of a chain: what is kept here was
// lost. The store is followed anew.
func (o *opener) rebuild(ctx context.Context) error {
	found, err := find(ctx, o.reader(), o.at)
	if err != nil {
		return err
	}
	m := found.Manifest
	if err := o.Target.Sync(ctx, o.name(m.N)); err != nil { // as adopt does
		return err
	}
	st := &o.st
	st.Bases = m.bases
	st.Objects = append(slices.Clone(m.objects), found.manifest)
	if slices.ContainsFunc(found.Problems, func(p Problem) bool { return p.N > m.N }) {
		// A newer manifest may have named fewer.
		st.Objects = slices.DeleteFunc(st.Objects, func(ent entry) bool { return !o.at.objects[ent.N] })
		st.Bases = slices.DeleteFunc(st.Bases, func(b base) bool {
			return slices.ContainsFunc(b.Parts, func(n uint64) bool { return !o.at.objects[n] })
		})
	}
	for n := range o.at.objects {
		if _, known := slices.BinarySearchFunc(m.objects, n, byNumber); !known && n < m.N {
			st.Objects = append(st.Objects, entry{N: n, Left: o.now()})
		}
	}
	slices.SortFunc(st.Objects, func(a, b entry) int { return cmp.Compare(a.N, b.N) })
	st.Head = head{N: m.N, Hash: found.manifest.Hash}
	st.Position = m.Point
	if len(m.bases) > 0 {
		st.First = m.bases[0].At // of those that are left
	}
	return nil
}

func byNumber(e entry, n uint64) int { return cmp.Compare(e.N, n) }
