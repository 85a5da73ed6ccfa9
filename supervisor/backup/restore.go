package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup/object"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// Backup is what there is to restore from at a target.
type Backup struct {
	Manifest *Manifest
	Problems []Problem // objects that are not as they should be, newest first

	manifest entry
	reader   *reader
	objects  []entry // that the manifest names, and those after it
	contents listed
}

// Problem is what is wrong with one object, the contents of one attachment, or the keys.
type Problem struct {
	N          uint64 // 0: of no object of the chain
	Attachment string // its SHA-256; "": of an object
	Err        error
}

// Hint is what people are told of the problem; its code says which kind it is.
func (p Problem) Hint() *hint.Error {
	e := hint.Find(p.Err)
	switch {
	case e != nil:
		return e
	case errors.Is(p.Err, target.ErrNotFound) && p.Attachment != "":
		e = hint.New("backup-missing", hint.T("The contents of an attached file are missing in the backup (%s).", "Le contenu d'une pièce jointe manque dans la sauvegarde (%s).", p.Attachment), hint.Text{}, hint.Text{})
	case errors.Is(p.Err, target.ErrNotFound):
		e = hint.New("backup-missing", hint.T("Object %d of the backup is missing.", "L'objet %d de la sauvegarde manque.", p.N), hint.Text{}, hint.Text{})
	default:
		e = hint.New("backup-damaged", hint.T("Object %d of the backup cannot be read.", "L'objet %d de la sauvegarde ne peut pas être lu.", p.N), hint.Text{}, hint.Text{})
	}
	return e.Because(p.Err)
}

// Point is a state of the data that can be restored.
type Point struct {
	At       time.Time
	Position changelog.Position
}

// Find looks for what there is to restore of the chain that is expected. It reads the newest objects and the
// manifest; what else is needed is looked for in the list of the target. Objects that are
// damaged or missing are Problems, as long as there is something to restore without them;
// else they are the error. ErrNothing: there is no manifest, or no object at all.
func Find(ctx context.Context, at target.Reader, expect object.Expect) (*Backup, error) {
	there, err := list(ctx, at, expect.Chain)
	if err != nil {
		return nil, err
	}
	return find(ctx, newReader(at, expect), there)
}

// inventory is what of a chain is at a target.
type inventory struct {
	objects  map[uint64]bool
	sizes    map[uint64]int64 // of objects
	keys     map[int]bool
	contents listed
}

func list(ctx context.Context, at target.Reader, chain string) (inventory, error) {
	out := inventory{map[uint64]bool{}, map[uint64]int64{}, map[int]bool{}, listed{}}
	err := at.List(ctx, chain, func(o target.Object) error {
		_, base, _ := strings.Cut(o.Name, "/")
		if n, ok := number(o.Name); ok && !strings.Contains(base, "/") {
			out.objects[n], out.sizes[n] = true, o.Size
		} else if n := object.KeyNumber(base); n > 0 {
			out.keys[n] = true
		} else {
			out.contents.add(o)
		}
		return nil
	})
	return out, err
}

// ErrNothing: nothing can be restored.
var ErrNothing = errors.New("there is no whole backup")

// tries is how many of the newest objects are looked at for one that is good.
const tries = 20

func find(ctx context.Context, r *reader, at inventory) (*Backup, error) {
	there := at.objects
	numbers := make([]uint64, 0, len(there))
	for n := range there {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	b := &Backup{reader: r, contents: at.contents}
	problem := func(n uint64, err error) error {
		b.Problems = append(b.Problems, Problem{N: n, Err: err})
		if errors.Is(err, target.ErrAway) || ctx.Err() != nil {
			return err
		}
		return nil
	}
	// The newest good object tells which manifest is the newest; a damaged one, which was
	// before it.
	want := uint64(0)
	for i := len(numbers) - 1; i >= max(0, len(numbers)-tries) && want == 0; i-- {
		ent, err := r.read(ctx, numbers[i], "", nil)
		if err != nil {
			if err := problem(numbers[i], err); err != nil {
				return nil, err
			}
			continue
		}
		if want = ent.manifest; ent.Kind == object.Manifest {
			want = ent.N
		}
	}
	for want > 0 {
		m, ent, err := r.readManifest(ctx, want)
		if err == nil {
			b.Manifest, b.manifest = m, ent
			break
		}
		if err := problem(want, err); err != nil {
			return nil, err
		}
		i, _ := slices.BinarySearch(numbers, want)
		want = 0
		for i--; i >= 0 && want == 0; i-- {
			if ent, err := r.read(ctx, numbers[i], "", nil); err == nil {
				if want = ent.manifest; ent.Kind == object.Manifest {
					want = ent.N
				}
			}
		}
	}
	if b.Manifest == nil {
		err := ErrNothing
		for _, p := range b.Problems {
			err = fmt.Errorf("%w; object %d: %w", err, p.N, p.Err)
		}
		return nil, err
	}
	b.objects = slices.Clone(b.Manifest.objects)
	for _, ent := range b.objects {
		if !there[ent.N] {
			b.Problems = append(b.Problems, Problem{N: ent.N, Err: target.ErrNotFound})
		}
	}
	prev := b.manifest.Hash
	for n := b.Manifest.N + 1; len(numbers) > 0 && n <= numbers[len(numbers)-1]; n++ {
		ent, err := entry{}, target.ErrNotFound
		if there[n] {
			ent, err = r.read(ctx, n, prev, nil)
		}
		if err != nil {
			if err := problem(n, err); err != nil {
				return nil, err
			}
			break // what is behind it does not follow from what is good
		}
		prev = ent.Hash
		if ent.Kind == object.Log {
			b.objects = append(b.objects, ent)
		}
	}
	if p, err := older(ctx, r, at, b.Manifest.Newest); err != nil {
		return nil, err
	} else if p != nil {
		b.Problems = append(b.Problems, *p)
	}
	for _, m := range b.Manifest.Missing {
		if !b.has(m) {
			b.Problems = append(b.Problems, Problem{Attachment: m.Hash, Err: fmt.Errorf("the contents of attachment %s: %w", m.Hash, target.ErrNotFound)})
		}
	}
	return b, nil
}

// Points returns what can be restored, the oldest first.
func (b *Backup) Points() []Point {
	var out []Point
	if m := b.Manifest; m != nil {
		good := b.good()
		leads := good.leads(m.bases)
		add := func(p Point) {
			if leads(p.Position) {
				out = append(out, p)
			}
		}
		for _, ent := range good.stretches {
			add(Point{ent.At, ent.To})
		}
		// Where both end, the stretch counts: the base may have been made long after it.
		for _, base := range m.bases {
			if base.Ready == base.From {
				add(Point{base.At, base.Ready})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Point) int { return cmp.Compare(a.Position.Seq, b.Position.Seq) })
	return slices.CompactFunc(out, func(a, b Point) bool { return a.Position == b.Position })
}

// good is the objects that nothing is wrong with.
type good struct {
	known     map[uint64]entry
	stretches []entry // in their order
}

func (b *Backup) good() good {
	g := good{known: map[uint64]entry{}}
	for _, ent := range b.objects {
		g.known[ent.N] = ent
	}
	for _, problem := range b.Problems {
		delete(g.known, problem.N)
	}
	for _, ent := range stretchesOf(b.objects) {
		if _, is := g.known[ent.N]; is {
			g.stretches = append(g.stretches, ent)
		}
	}
	return g
}

// parts are those of a base; false: not all of them are good.
func (g *good) parts(of base) (parts []entry, all bool) {
	for _, n := range of.Parts {
		ent, is := g.known[n]
		if !is {
			return nil, false
		}
		parts = append(parts, ent)
	}
	return parts, true
}

// onward are the stretches after a base, up to a position or to the first hole, and where they end.
func (g *good) onward(from changelog.Position, upTo int64) (log []entry, at changelog.Position) {
	at = from
	for _, ent := range g.stretches {
		switch {
		case at.Seq >= upTo:
			return log, at
		case ent.To.Seq <= at.Seq:
		case ent.From == at, log == nil && ent.From.Seq < at.Seq:
			log, at = append(log, ent), ent.To
		default:
			return log, at
		}
	}
	return log, at
}

// leads tells of any position whether a base and the stretches after it lead there, as way says, in the
// time that it takes to look it up.
func (g *good) leads(bases []base) func(changelog.Position) bool {
	type road struct {
		ready int64
		at    []changelog.Position
	}
	var roads []road
	for _, base := range bases {
		if _, all := g.parts(base); !all {
			continue
		}
		r := road{base.Ready.Seq, []changelog.Position{base.From}}
		log, _ := g.onward(base.From, math.MaxInt64)
		for _, ent := range log {
			r.at = append(r.at, ent.To)
		}
		roads = append(roads, r)
	}
	return func(p changelog.Position) bool {
		return slices.ContainsFunc(roads, func(r road) bool {
			i, _ := slices.BinarySearchFunc(r.at, p.Seq, func(at changelog.Position, seq int64) int { return cmp.Compare(at.Seq, seq) })
			return r.ready <= p.Seq && i < len(r.at) && (r.at[i].Seq > p.Seq || r.at[i] == p)
		})
	}
}

// way returns the base and the stretches of the log from which a point is restored.
func (b *Backup) way(p Point) (parts, log []entry, err error) {
	good := b.good()
	err = fmt.Errorf("%w of %s", ErrNothing, p.At.Format(time.RFC3339))
	for _, base := range slices.Backward(b.Manifest.bases) {
		parts, all := good.parts(base)
		if base.Ready.Seq > p.Position.Seq || !all {
			continue
		}
		log, at := good.onward(base.From, p.Position.Seq)
		if at.Seq > p.Position.Seq || at == p.Position {
			return parts, log, nil
		}
	}
	return nil, nil, err
}

// Lines returns the lines from which the data of a point are made: of the base, then what
// changed up to it. They are sure only once all of them were read: what is made of them is
// thrown away if there is an error among them.
func (b *Backup) Lines(ctx context.Context, p Point) (iter.Seq2[changelog.Line, error], error) {
	parts, log, err := b.way(p)
	if err != nil {
		return nil, err
	}
	return func(yield func(changelog.Line, error) bool) {
		past := false
		for l, err := range b.reader.lines(ctx, slices.Concat(parts, log)) {
			if err == nil && l.Kind == changelog.Commit {
				past = l.Seq > p.Position.Seq
			}
			if err == nil && past {
				continue // what is behind it is read, too: the signature stands at the end
			}
			if !yield(l, err) || err != nil {
				return
			}
		}
	}, nil
}

// has reports whether the contents of an attachment are at the target, by its list.
func (b *Backup) has(at Attachment) bool {
	return b.contents.whole(b.Manifest.contents.Name(at.Hash), at.Size)
}

// Missing returns which of some attachments have no contents at the target, by the list of
// when the backup was found. files names them, as Source.Files of restored data does.
func (b *Backup) Missing(ctx context.Context, files func(ctx context.Context, each func(hash string, size int64) error) error) ([]Attachment, error) {
	var out []Attachment
	err := files(ctx, func(hash string, size int64) error {
		if at := (Attachment{hash, size}); !b.has(at) {
			out = append(out, at)
		}
		return nil
	})
	return out, err
}

// Attachment reads the contents of one attachment, which the data of a point name by hash
// and size. What it hands out counts once Read has returned io.EOF: then it is what the
// hash says. Close must be called. The error of what is not there is target.ErrNotFound,
// here or from Read.
func (b *Backup) Attachment(ctx context.Context, hash string, size int64) (io.ReadCloser, error) {
	name := b.Manifest.contents.Name(hash)
	return object.OpenContents(object.ExpectContents{
		Name: hash, Identities: b.reader.expect.Identities, OfChain: b.reader.expect.OfChain, SHA256: hash, Size: size,
	}, func(part int) (io.ReadCloser, error) { return b.reader.part(ctx, name, part) })
}

// AsOf is the last point of a time or before, to the second; false: all there are are later.
func (b *Backup) AsOf(moment time.Time) (p Point, found bool) {
	for _, one := range b.Points() {
		if !one.At.Truncate(time.Second).After(moment) {
			p, found = one, true
		}
	}
	return p, found
}

// Effort is what has to be read to restore a point.
type Effort struct {
	Objects int
	Bytes   int64 // sealed
	Lines   int64
}

// Effort is what restoring a point takes; the error is that of Lines.
func (b *Backup) Effort(p Point) (out Effort, err error) {
	parts, log, err := b.way(p)
	for _, ent := range slices.Concat(parts, log) {
		out.Objects++
		out.Bytes += ent.Size
		out.Lines += ent.Lines
	}
	return out, err
}
