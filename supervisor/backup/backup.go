// Package backup makes backups of what a server holds, and brings them back.
//
// It follows the log of changes (package changelog) and seals stretches of it into objects
// (package object) that form a chain at a target (package target): what changed, every few
// seconds; a base, which is all contents, copied bit by bit beside writes; now and then one
// stretch instead of many, and a manifest that says what all of it comes to. Whoever has a
// base and all stretches after it up to a point has the data of that point, and the
// manifest tells whether they are right. The contents of attachments stand beside the chain,
// sealed, each once; which of them a point needs its data say.
//
// An Engine belongs to one chain at one target. It is the only one who writes there: two on
// one chain meet at the next number, which only one of them gets, and the other stops and
// says so. What it knows of the chain it can find out again from the target, so that it
// writes next to nothing on this machine; while the target is away, what changes waits in
// the log of the store, which has a bound.
//
// Who may read what: objects are sealed to this machine and to the chain; the key of the
// chain is sealed to the recovery kit. Nobody else learns more than sizes and times.
package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/supervisor/backup/object"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// Errors that callers tell apart, beside those of packages object and target.
var (
	// ErrTwoMachines: somebody else writes to this chain.
	ErrTwoMachines = errors.New("another machine writes to the same backup")
	// ErrRolledBack: the target has less than it had.
	ErrRolledBack = errors.New("the target has lost, or was made to forget, what was there")
)

// Engine makes the backups of one chain at one target. Its methods may be called by many;
// they run one after the other.
type Engine struct {
	Source   changelog.Source
	Contents Contents // of attachments
	Target   target.Target
	Keys     Keys
	Dir      string                                // a folder of its own, for what is known of the chain
	Version  string                                // of Foyer
	Schema   int                                   // of the data
	Files    func(context.Context) ([]File, error) // what goes along with the data; nil: nothing
	Clock    *Clock                                // nil: one of its own
	Now      func() time.Time                      // instead of a Clock; may be nil
	Log      *slog.Logger
	Begins   func(step string) // is told of what is begun: follow, ship, copy, attach, say, merge, delete; may be nil

	mu     sync.Mutex
	sealer *object.Sealer
	files  *attachments
	st     state
	acked  changelog.Position // the store was told that this is in the chain
	unsure uint64             // the number of an object of which nobody knows whether it was put
	opened bool
	failed bool // the last cycle did

	clock Clock // its own
	view  view

	copies copySizes
}

// entry is what is known of one object.
type entry struct {
	N     uint64             `json:"n"`
	Kind  object.Kind        `json:"kind"`
	From  changelog.Position `json:"from"`
	To    changelog.Position `json:"to"`
	At    time.Time          `json:"at"`
	Size  int64              `json:"size"`
	Hash  string             `json:"hash"`
	Lines int64              `json:"lines"`
	// Left is when something else took its place, or it was not needed any more; zero: it
	// is part of what can be restored.
	Left time.Time `json:"left,omitzero"`
	// Behind is the newest object at that time: manifests up to it may name this one.
	Behind uint64 `json:"behind,omitempty"`

	manifest uint64 // the number of the newest before it, of what was just read
}

// live reports whether an object is part of what can be restored.
func (e *entry) live() bool { return e.Left.IsZero() }

// stretch reports whether it is one of the log.
func (e *entry) stretch() bool { return e.Kind == object.Log || e.Kind == object.Merge }

// Follower is the name by which a store knows who follows it for a chain.
func Follower(chain string) string { return "backup-" + chain }

// now is the time.
func (e *Engine) now() time.Time {
	if e.Now != nil {
		return e.Now().UTC()
	}
	return e.ticking().Now()
}

// ticking is the clock that it goes by.
func (e *Engine) ticking() *Clock {
	if e.Clock != nil {
		return e.Clock
	}
	return &e.clock
}

// begins tells what is begun.
func (e *Engine) begins(step string) {
	if e.Begins != nil {
		e.Begins(step)
	}
}

// name is what an object is called at the target.
func (e *Engine) name(n uint64) string { return objectName(e.Keys.Chain.ID, n) }

func objectName(chain string, n uint64) string { return fmt.Sprintf("%s/%010d.seg", chain, n) }

// part is where an object is sealed before it goes to the target.
func part(dir string) string { return filepath.Join(dir, "next.part") }

// number is the number of an object by its name; false: it is none.
func number(name string) (uint64, bool) {
	base, ok := strings.CutSuffix(name[strings.LastIndexByte(name, '/')+1:], ".seg")
	n, err := strconv.ParseUint(base, 10, 64)
	return n, ok && err == nil && n > 0 && len(base) == 10
}

// append seals what write writes, of a time, as the next object of the chain and brings it to the
// target. errAdopted: that number was taken, by an object of ours which a death had us
// forget; it is part of the chain now, and nothing was written.
func (e *Engine) append(ctx context.Context, kind object.Kind, from, to changelog.Position, at time.Time, write func(*object.Writer) error) (entry, error) {
	ent := entry{N: e.st.Head.N + 1, Kind: kind, From: from, To: to, At: at}
	err := e.seal(&ent, part(e.Dir), write)
	if err == nil {
		err = e.put(ctx, ent, part(e.Dir))
	}
	if err == nil {
		e.advance(ent)
	}
	return ent, errors.Join(err, removed(part(e.Dir)))
}

// errAdopted: an object of ours was found at the next number, and is part of the chain now.
var errAdopted = errors.New("an earlier object was found at the target")

// seal writes an object to a file.
func (e *Engine) seal(ent *entry, path string, write func(*object.Writer) error) (err error) {
	f, err := createOwn(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w, err := e.sealer.New(f, object.Header{
		N: ent.N, Prev: e.st.Head.Hash, Kind: ent.Kind, From: ent.From, To: ent.To, At: ent.At,
		Version: e.Version, Schema: e.Schema, Manifest: e.st.manifest(),
	})
	if err != nil {
		return err
	}
	if err := write(w); err != nil {
		return err
	}
	info, err := w.Close()
	ent.Size, ent.Hash, ent.Lines = info.Size, info.SHA256, info.Lines
	return err
}

// put puts an object at its number. One that is there already is looked at: it is this one,
// or another of ours, which becomes part of the chain, or somebody else's.
func (e *Engine) put(ctx context.Context, ent entry, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	err = e.Target.Put(ctx, e.name(ent.N), f, ent.Size)
	if !errors.Is(err, target.ErrExists) {
		if err != nil {
			e.unsure = ent.N
		}
		return err
	}
	if e.unsure != ent.N {
		return twoMachines(e.Target, ent.N, errors.New("it is there already"))
	}
	there, err := e.reader().read(ctx, ent.N, e.st.Head.Hash, nil)
	switch {
	case spoiled(err):
		err = e.pass(ctx, ent.N, err)
	case wrong(err):
		err = twoMachines(e.Target, ent.N, err)
	case err == nil:
		err = e.adopt(ctx, there)
	}
	if err != nil {
		return err
	}
	return errAdopted
}

// reader reads objects of this chain.
func (e *Engine) reader() *reader { return newReader(e.Target, e.Keys.expect()) }

// adopt makes an object of ours that is at the target part of the chain. It may be there because putting
// it failed, and taking it back did, too: it counts once it is there to stay.
func (e *Engine) adopt(ctx context.Context, ent entry) error {
	if ent.N != e.st.Head.N+1 {
		return rolledBack(e.Target, e.st.Head.N+1, fmt.Errorf("object %d follows %d", ent.N, e.st.Head.N))
	}
	if err := e.Target.Sync(ctx, e.name(ent.N)); err != nil {
		return err
	}
	if ent.Kind == object.Merge {
		now := e.now()
		for i := range e.st.Objects {
			if was := &e.st.Objects[i]; was.live() && was.stretch() && was.From.Seq >= ent.From.Seq && was.To.Seq <= ent.To.Seq {
				was.Left, was.Behind = now, ent.N // it took their place
			}
		}
	}
	e.advance(ent)
	return nil
}

// pass goes past an object at the next number that nobody can read any more, whoever wrote it: the
// chain goes on behind it, and what it held is brought again, or copied.
func (e *Engine) pass(ctx context.Context, n uint64, why error) error {
	body, err := e.Target.Get(ctx, e.name(n), 0)
	if err != nil {
		return err
	}
	sum := sha256.New()
	size, err := io.Copy(sum, body)
	if err = errors.Join(err, body.Close()); err != nil {
		return err
	}
	e.Log.Warn("a part of the backup is damaged: it is left out", "object", n, "err", why)
	e.st.Unsaid = true // whoever reads the chain from the newest manifest on comes no further
	e.st.Head = head{N: n, Hash: hex.EncodeToString(sum.Sum(nil))}
	e.st.Objects = append(e.st.Objects, entry{N: n, Size: size, Hash: e.st.Head.Hash, Left: e.now(), Behind: n})
	return nil
}

// advance takes an object into what is known of the chain.
func (e *Engine) advance(ent entry) {
	e.st.Head = head{N: ent.N, Hash: ent.Hash}
	e.st.Objects = append(e.st.Objects, ent)
	if ent.Kind == object.Log && ent.From == e.st.Position {
		e.st.Position = ent.To
	}
}

// removed removes a file; that it is not there is no error.
func removed(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
