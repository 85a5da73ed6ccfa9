package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/supervisor/backup/object"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// reference is for which points contents are needed: those after First and before Last, by
// the sequence of the log. Both may lie further apart than need be, and never closer.
type reference struct {
	First int64 `json:"first"`
	Last  int64 `json:"last,omitempty"` // alive: an attachment refers to them now; ended: none does, nobody knows since when
	Size  int64 `json:"size"`
	Put   bool  `json:"put,omitempty"` // all of them are at the target
	// Hash is what they are called on this machine, while they wait to be brought: points need
	// them, though nothing may refer to them any more.
	Hash string `json:"hash,omitempty"`
	// Sealed is how many bytes their parts have there in all; 0: not known.
	Sealed int64     `json:"sealed,omitempty"`
	Left   time.Time `json:"left,omitzero"` // when no point that is kept needed them any more
}

// Values of reference.Last that are no sequence.
const (
	alive = 0
	ended = -1
)

// references is what is kept of them on this machine, beside what is known of the chain. It
// is written with each manifest; what the log said since is read again after a death. If it
// is lost, contents at the target count as needed for all points up to now.
type references struct {
	Chain    string                `json:"chain"`
	Position int64                 `json:"position"` // what the log says up to here is in it
	Contents map[string]*reference `json:"contents"` // by name
}

func (a *attachments) path() string { return contentsPath(a.e.Dir) }

func contentsPath(dir string) string { return filepath.Join(dir, "contents.json") }

// save keeps what is known.
func (a *attachments) save() error {
	return here(a.e.Dir, saveSummed(a.path(), &references{a.e.Keys.Chain.ID, a.e.st.Position.Seq, a.known}))
}

// openAttachments finds out what is known of contents: from what was kept here, what is at
// the target, what the log said since, and what attachments refer to now.
func openAttachments(ctx context.Context, e *Engine, there listed) (*attachments, error) {
	if e.Contents == nil {
		return nil, errors.New("nobody gives the contents of attachments to the backup")
	}
	key, err := e.Keys.Chain.ContentsKey()
	if err != nil {
		return nil, err
	}
	a := &attachments{e: e, key: key, there: there, sealed: there.size(), queued: map[string]bool{}, failed: map[string]*failure{}}
	kept, err := a.load()
	if err = errors.Join(err, removed(contentsPart(e.Dir))); err != nil {
		return nil, err
	}
	a.known = kept.Contents
	for name := range there {
		if a.known[name] == nil {
			a.known[name] = &reference{First: kept.Position, Size: -1}
		}
	}
	if err := a.retrace(ctx, kept.Position); err != nil {
		return nil, err
	}
	for name, r := range a.known {
		if !r.Put && r.Hash != "" && a.key.Name(r.Hash) == name {
			a.enqueue(Attachment{r.Hash, r.Size})
		}
	}
	a.relist(there)
	if err := a.compare(ctx); err != nil {
		return nil, err
	}
	if kept.Position < 0 {
		for _, r := range a.known {
			r.First = -1 // nobody knows since when
		}
	}
	return a, nil
}

// load reads what was kept; the position is -1 where there is nothing, or nothing readable.
func (a *attachments) load() (references, error) {
	var kept references
	err := loadSummed(a.path(), &kept)
	if err == nil && (kept.Chain != a.e.Keys.Chain.ID || kept.Contents == nil || slices.Contains(slices.Collect(maps.Values(kept.Contents)), nil)) {
		err = fmt.Errorf("%w: it is not of this chain", errSpoiled)
	}
	if err == nil {
		return kept, nil
	}
	if errors.Is(err, errSpoiled) {
		a.e.Log.Warn("what was known of attachments in the backup is damaged: it is found out again", "err", err)
	}
	if errors.Is(err, errSpoiled) || errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return references{Position: -1, Contents: map[string]*reference{}}, here(a.e.Dir, err)
}

// stillThere is how long ago the log may have said something that, if nobody knows more than
// the log, may still have to be brought: the server keeps what nobody refers to for no longer.
const stillThere = 72 * time.Hour

// retrace reads again what the log said after a position; -1: of late. Where that is damaged, everything
// that was needed before counts as needed until now.
func (a *attachments) retrace(ctx context.Context, after int64) error {
	var since []entry
	now := a.e.now()
	for _, ent := range a.e.st.stretches() {
		if ent.To.Seq > after && (after >= 0 || within(ent.At, now, stillThere)) {
			since = append(since, ent)
		}
	}
	r := a.e.reader()
	for _, ent := range since {
		for l, err := range r.lines(ctx, []entry{ent}) {
			if err == nil {
				if l.Kind == changelog.File && !l.Gone {
					a.note(Attachment{l.Hash, l.Size}, ent.From.Seq)
				}
				continue
			}
			if errors.Is(err, target.ErrAway) || ctx.Err() != nil {
				return err
			}
			a.e.Log.Warn("what the log said of attachments cannot be read again", "object", ent.N, "err", err)
			for _, ref := range a.known {
				if ref.Last != alive {
					ref.Last, ref.Left = ended, time.Time{}
				}
			}
		}
	}
	return nil
}

// fileLine is how a line that refers to contents begins.
var fileLine = []byte(`{"file":`)

// notes takes in lines of the log, or of a copy, from after a sequence on.
func (a *attachments) notes(lines []byte, after int64) error {
	for line := range bytes.Lines(lines) {
		if !bytes.HasPrefix(line, fileLine) {
			continue
		}
		l, err := changelog.Parse(line)
		if err != nil {
			return err
		}
		if !l.Gone {
			a.note(Attachment{l.Hash, l.Size}, after)
		}
	}
	return nil
}

// note takes in that points after a sequence need contents.
func (a *attachments) note(at Attachment, after int64) {
	name := a.key.Name(at.Hash)
	r := a.known[name]
	if r == nil {
		r = &reference{First: after}
		a.known[name] = r
	}
	r.First, r.Last, r.Size, r.Left = min(r.First, after), alive, at.Size, time.Time{}
	if !a.intact(name, at.Size) {
		r.Hash = at.Hash
		a.enqueue(at)
	} else {
		a.arrived(name)
	}
}

// intact reports whether all parts of contents of a size are at the target, of the size they had.
func (a *attachments) intact(name string, size int64) bool {
	r := a.known[name]
	return a.there.whole(name, size) && (r == nil || r.Sealed == 0 || r.Sealed == a.there.sealed(name))
}

// arrived notes that all parts of contents are at the target.
func (a *attachments) arrived(name string) {
	r := a.known[name]
	r.Put, r.Hash, r.Sealed = true, "", a.there.sealed(name)
}

// compare takes in what attachments refer to now.
func (a *attachments) compare(ctx context.Context) error {
	now, hashes := map[string]bool{}, map[string]bool{}
	after := a.e.st.Position.Seq - 1 // what was attached since is in no point that is known
	err := a.e.Source.Files(ctx, func(hash string, size int64) error {
		name := a.key.Name(hash)
		now[name] = true
		if a.failed[hash] != nil {
			hashes[hash] = true
			return nil
		}
		first := after
		if r := a.known[name]; r != nil {
			first = r.First
		}
		a.note(Attachment{hash, size}, first)
		return nil
	})
	if err != nil {
		return err
	}
	for name, r := range a.known {
		if r.Last == alive && !now[name] {
			r.Last = ended
		}
	}
	for hash := range a.failed {
		if !hashes[hash] {
			delete(a.failed, hash) // it will not come back
		}
	}
	return nil
}

// settle says where the log stood at a moment after the last comparison.
func (a *attachments) settle(at int64) {
	for _, r := range a.known {
		if r.Last == ended {
			r.Last = at
		}
	}
}

// relist takes in what is at the target, and tells what was there and is not. It reports
// whether there is any.
func (a *attachments) relist(there listed) bool {
	a.there, a.sealed = there, there.size()
	lost := 0
	for name, r := range a.known {
		if r.Put && r.Left.IsZero() && r.Size >= 0 && !a.intact(name, r.Size) {
			r.Put = false
			lost++
		}
	}
	if lost > 0 {
		a.late = errors.Join(a.late, contentsLost(a.e.Target, lost))
	}
	return lost > 0
}

// points are those that can be restored, by their sequence.
func (s *state) points() []int64 {
	var out []int64
	for _, ent := range s.stretches() {
		out = append(out, ent.To.Seq)
	}
	for _, b := range s.Bases {
		if b.Ready == b.From { // else only what follows it can be restored (Backup.Points)
			out = append(out, b.Ready.Seq)
		}
	}
	slices.Sort(out)
	return out
}

// needed reports whether one of some points needs contents.
func (r *reference) needed(points []int64) bool {
	last := r.Last
	if last == alive || last == ended {
		last = math.MaxInt64
	}
	i, _ := slices.BinarySearch(points, r.First+1)
	return last == math.MaxInt64 || i < len(points) && points[i] < last
}

// tidy deletes contents that no point has needed for a while: a restore may be reading them.
func (a *attachments) tidy(ctx context.Context, now time.Time) error {
	points := a.e.st.points()
	var over []string
	for name, r := range a.known {
		switch {
		case r.needed(points):
			r.Left = time.Time{}
		case r.Left.IsZero() || r.Left.After(now):
			r.Left = now
		case !within(r.Left, now, leftFor):
			over = append(over, name)
		}
	}
	if len(over) == 0 {
		return nil
	}
	// A death before the next manifest must not have it look as if the target had lost them.
	if err := a.save(); err != nil {
		return err
	}
	for _, name := range over {
		if len(a.there[name]) > 0 {
			a.e.begins("delete")
		}
		if err := a.drop(ctx, name); err != nil {
			return err
		}
		delete(a.known, name)
	}
	return nil
}

// contentsLine is what a manifest says of attachments: by which key their contents are called.
type contentsLine struct {
	Key object.ContentsKey `json:"key"`
}

// missingInLine is how many contents one line of a manifest names.
const missingInLine = 1000
