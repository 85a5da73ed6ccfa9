package backup

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/backup/object"
)

// When what is due, and bounds of one merge.
const (
	manifestEvery = 24 * time.Hour
	leftFor       = 24 * time.Hour // what was left is deleted after that: a restore may be reading it
	baseEvery     = 30 * 24 * time.Hour
	baseLog       = 8 << 20 // sealed bytes of the log below which no new base is made for them
	mergeLines    = 500_000
	mergeBytes    = 64 << 20
	mergeMemory   = 4 << 20 // sealed bytes that are kept in memory rather than fetched twice
)

// tidier tidies the chain of an engine, at one moment.
type tidier struct {
	*Engine
	now time.Time
}

// tidy looks whether all is there, and makes few stretches of many, once an hour; says what all comes to, once a day and
// when something was merged; begins a new base when it is time; and deletes what was left.
func (e *Engine) tidy(ctx context.Context) error {
	if len(e.st.Bases) == 0 {
		return nil // the first base is still being made
	}
	if e.st.unsaid() {
		if err := e.manifest(ctx); err != nil {
			return err
		}
	}
	now := e.now()
	t := &tidier{e, now}
	newest, _ := e.st.object(e.st.manifest())
	changed := false
	if hour(now) != hour(e.st.Tidied) {
		if err := t.look(ctx); err != nil {
			return err
		}
		if err := t.acknowledge(ctx); err != nil {
			return err // a store that is damaged: what is in the chain is the best there is
		}
		var err error
		if changed, err = t.compact(ctx); err != nil {
			return err
		}
		if e.st.leave(now) {
			changed = true
		}
		e.st.Tidied = now
		if err := e.save(); err != nil {
			return err
		}
		if changed || !within(newest.At, now, manifestEvery) {
			if err := e.manifest(ctx); err != nil {
				return err
			}
		}
		if err := e.files.tidy(ctx, now); err != nil {
			return err
		}
	}
	if err := t.delete(ctx); err != nil {
		return err
	}
	return t.renew()
}

// unsaid reports whether there is a base, or a stretch of several, that no manifest names yet:
// a death, or a target that went away, can have come before it.
func (s *state) unsaid() bool {
	newest := s.manifest()
	if s.Unsaid {
		return true
	}
	for _, b := range s.Bases {
		if n := len(b.Parts); n > 0 && b.Parts[n-1] > newest {
			return true
		}
	}
	return slices.ContainsFunc(s.Objects, func(ent entry) bool { return ent.live() && ent.Kind == object.Merge && ent.N > newest })
}

// look looks whether what is known to be at the target is there, as far as that can be seen without
// reading all of it: each object and the contents of each attachment, of the size they had; the key
// object; and the newest object, which nobody may read again for a month.
func (t *tidier) look(ctx context.Context) error {
	there, err := list(ctx, t.Target, t.Keys.Chain.ID)
	if err == nil {
		err = t.st.complete(t.Target, there.objects)
	}
	if err == nil && t.files.relist(there.contents) {
		err = t.files.compare(ctx) // what is still to be had is brought again
	}
	if err != nil {
		return err
	}
	for _, ent := range slices.Clone(t.st.Objects) {
		if !ent.live() || there.sizes[ent.N] == ent.Size && ent.N != t.st.Head.N {
			continue
		}
		got, err := t.reader().read(ctx, ent.N, "", nil)
		if err == nil && got.Hash != ent.Hash {
			err = fmt.Errorf("object %d: %w", ent.N, object.ErrOutOfPlace)
		}
		if wrong(err) {
			return t.lose(ctx, &badObject{ent, err}, err)
		}
		if err != nil {
			return err
		}
	}
	p, err := older(ctx, t.reader(), there, t.Keys.Newest)
	if p != nil {
		err = keysLost(t.Target, p.Err)
	}
	return err
}

func hour(t time.Time) int64 { return t.Unix() / 3600 }

// within reports whether a time is less than some time ago, and not ahead.
func within(at, now time.Time, most time.Duration) bool {
	since := now.Sub(at)
	return since >= 0 && since < most
}

// renew begins a new base when the log has become long, or the last base is old.
func (t *tidier) renew() error {
	if t.st.Copying != nil || len(t.st.Bases) == 0 {
		return nil
	}
	last := t.st.Bases[len(t.st.Bases)-1]
	log := int64(0)
	for i := range t.st.Objects {
		if ent := &t.st.Objects[i]; ent.live() && ent.stretch() && ent.To.Seq > last.From.Seq {
			log += ent.Size
		}
	}
	if within(last.At, t.now, baseEvery) && log <= max(last.Bytes/2, baseLog) {
		return nil
	}
	t.Log.Info("a new copy of everything is made for the backup", "log", log, "base", last.Bytes, "of", last.At)
	t.st.Copying = &base{From: t.st.Position}
	return t.save()
}

// stretches are the live ones of the log, in order.
func (s *state) stretches() []entry { return stretchesOf(s.Objects) }

func stretchesOf(objects []entry) []entry {
	var out []entry
	for i := range objects {
		if ent := objects[i]; ent.live() && ent.stretch() {
			out = append(out, ent)
		}
	}
	slices.SortStableFunc(out, func(a, b entry) int { return cmp.Compare(a.From.Seq, b.From.Seq) })
	return out
}

// restorable returns, for each of some stretches in order, the base from which its end can
// be restored, or -1: all stretches between are there.
func restorable(stretches []entry, bases []base) []int {
	out := make([]int, len(stretches))
	for i, ent := range stretches {
		out[i] = -1
		for b := len(bases) - 1; b >= 0; b-- {
			if bases[b].Ready.Seq <= ent.To.Seq && reaches(stretches[:i+1], bases[b].From) {
				out[i] = b
				break
			}
		}
	}
	return out
}

// reaches reports whether stretches that end with the last go back without a hole to a position.
func reaches(stretches []entry, from changelog.Position) bool {
	for i := len(stretches) - 1; i >= 0; i-- {
		switch ent := &stretches[i]; {
		case ent.From.Seq == from.Seq:
			return ent.From == from
		case ent.From.Seq < from.Seq:
			return ent.To.Seq > from.Seq || ent.To == from
		}
		if i == 0 || stretches[i-1].To != stretches[i].From {
			return false
		}
	}
	return false
}

// kept says which of some stretches end at a point that is kept.
func kept(stretches []entry, bases []base) []bool {
	from := restorable(stretches, bases)
	var points []point
	var at []int
	for i, ent := range stretches {
		if from[i] >= 0 {
			points = append(points, point{ent.To.Seq, ent.At})
			at = append(at, i)
		}
	}
	out := make([]bool, len(stretches))
	for i, keep := range retained(points) {
		out[at[i]] = keep
	}
	return out
}

// compact makes one stretch of neighbours between which no point is kept, if they end
// before the current hour. It reports whether it did anything.
func (t *tidier) compact(ctx context.Context) (bool, error) {
	stretches := t.st.stretches()
	keep := kept(stretches, t.st.Bases)
	var run []entry
	changed := false
	flush := func() error {
		defer func() { run = nil }()
		if len(run) < 2 {
			return nil
		}
		changed = true
		return t.merge(ctx, run)
	}
	lines, bytes := int64(0), int64(0)
	for i, ent := range stretches {
		follows := len(run) > 0 && run[len(run)-1].To == ent.From
		if !follows || lines+ent.Lines > mergeLines || bytes+ent.Size > mergeBytes {
			if err := flush(); err != nil {
				return changed, err
			}
		}
		if len(run) == 0 {
			lines, bytes = 0, 0
		}
		run = append(run, ent)
		lines, bytes = lines+ent.Lines, bytes+ent.Size
		if keep[i] {
			if i == len(stretches)-1 || hour(ent.At) == hour(t.now) {
				run = nil // the newest points are still few
				continue
			}
			if err := flush(); err != nil {
				return changed, err
			}
		}
	}
	return changed, nil
}

// merge makes one stretch of several that follow each other.
func (t *tidier) merge(ctx context.Context, run []entry) error {
	t.begins("merge")
	first, last := run[0], run[len(run)-1]
	lines, err := t.reader().twice(ctx, run)
	if err != nil {
		return err
	}
	var text []byte
	_, err = t.append(ctx, object.Merge, first.From, last.To, last.At, func(w *object.Writer) error {
		return changelog.Merge(lines, func(l *changelog.Line) error {
			text = l.Append(text[:0])
			return w.Lines(text)
		})
	})
	if bad, is := errors.AsType[*badObject](err); is {
		return t.lose(ctx, bad, err)
	}
	if err != nil {
		return err
	}
	for _, was := range run {
		t.st.left(was.N, t.now)
	}
	return t.save()
}

// lose leaves out a stretch that the target has and nobody can read any more, if it really cannot be
// read: the moments that need it are gone. Where those that are to come need it too, everything is
// copied anew.
func (t *tidier) lose(ctx context.Context, bad *badObject, why error) error {
	got, err := t.reader().read(ctx, bad.N, "", nil)
	switch {
	case err == nil && got.Hash == bad.Hash:
		return fmt.Errorf("object %d could not be read, and can be now: %w", bad.N, why) // the next cycle goes on
	case err != nil && !wrong(err):
		return err
	}
	t.st.lose(bad.N, t.now)
	t.Log.Warn("a part of the backup is damaged: it is left out", "object", bad.N, "err", bad.err)
	return errors.Join(partLost(t.Target, bad.N, bad.err), t.save())
}

// Lost leaves out what Verify found to be damaged, if it really cannot be read, of what can be restored:
// all is copied anew where the moments that are to come need it. The error is as that of Cycle, and says
// which it was. Objects that are not there at all are not among them: Cycle says so, and goes no further.
func (e *Engine) Lost(ctx context.Context, problems []Problem) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.open(ctx); err != nil {
		return err
	}
	defer e.see()
	var told error
	for _, p := range problems {
		if ent, known := e.st.object(p.N); known && ent.live() && wrong(p.Err) {
			err := (&tidier{e, e.now()}).lose(ctx, &badObject{ent, p.Err}, p.Err)
			if told = errors.Join(told, err); hint.Find(err) == nil || hint.Find(err).Code != "backup-part-lost" {
				return told
			}
		}
	}
	return told
}

// lose leaves out an object that cannot be read any more, with the bases it is a part of, and begins
// another base if there is no other way to what is to come.
func (s *state) lose(n uint64, now time.Time) {
	s.left(n, now)
	s.Unsaid = true
	s.Bases = slices.DeleteFunc(s.Bases, func(b base) bool { return slices.Contains(b.Parts, n) })
	if b := s.Copying; b != nil && slices.Contains(b.Parts, n) || b == nil && !s.whole() {
		s.Copying = &base{From: s.Position}
	}
}

// left notes that an object is not part of what can be restored any more.
func (s *state) left(n uint64, now time.Time) {
	for i := range s.Objects {
		if ent := &s.Objects[i]; ent.N == n && ent.live() {
			ent.Left, ent.Behind = now, s.Head.N
		}
	}
}

// twice returns the lines of some objects, to be read more than once: small ones are
// fetched once.
func (c *reader) twice(ctx context.Context, run []entry) (func() iter.Seq2[changelog.Line, error], error) {
	r := c
	size := int64(0)
	for _, ent := range run {
		size += ent.Size
	}
	if size <= mergeMemory {
		sealed := map[uint64][]byte{}
		for _, ent := range run {
			body, err := r.get(ctx, ent.N)
			if err != nil {
				return nil, err
			}
			text, err := io.ReadAll(io.LimitReader(body, ent.Size+1))
			if err = errors.Join(err, body.Close()); err != nil {
				return nil, err
			}
			sealed[ent.N] = text
		}
		r = &reader{expect: r.expect, get: func(_ context.Context, n uint64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(sealed[n])), nil
		}}
	}
	return func() iter.Seq2[changelog.Line, error] { return r.lines(ctx, run) }, nil
}

// lines reads the lines of some objects, one after the other, each of which has to be the
// one that is known.
func (c *reader) lines(ctx context.Context, objects []entry) iter.Seq2[changelog.Line, error] {
	return func(yield func(changelog.Line, error) bool) {
		stopped := errors.New("whoever reads has enough")
		for _, want := range objects {
			got, err := c.read(ctx, want.N, "", func(_ object.Header, text []byte) error {
				l, err := changelog.Parse(text)
				if err != nil {
					return err
				}
				if !yield(l, nil) {
					return stopped
				}
				return nil
			})
			if errors.Is(err, stopped) {
				return
			}
			if err == nil && got.Hash != want.Hash {
				err = fmt.Errorf("object %d: %w", want.N, object.ErrOutOfPlace)
			}
			if wrong(err) {
				err = &badObject{want, err}
			}
			if err != nil {
				yield(changelog.Line{}, err)
				return
			}
		}
	}
}

// badObject is the error of an object that is not what was put there.
type badObject struct {
	entry
	err error
}

func (b *badObject) Error() string { return b.err.Error() }
func (b *badObject) Unwrap() error { return b.err }

// leave leaves what no kept point needs: bases from which none is restored, their parts,
// stretches before the first that is needed, and objects that are part of nothing. A kept point at which
// the first base was made has its stretch stay: by it alone is it known as one that is kept, and when it was.
func (s *state) leave(now time.Time) bool {
	stretches := s.stretches()
	keep, from := kept(stretches, s.Bases), restorable(stretches, s.Bases)
	needed := map[int]bool{len(s.Bases) - 1: true}
	ends := map[int64]bool{} // kept points
	for i := range stretches {
		if keep[i] && from[i] >= 0 {
			needed[from[i]], ends[stretches[i].To.Seq] = true, true
		}
	}
	parts := map[uint64]bool{}
	oldest := s.Position.Seq
	var bases []base
	for i, b := range s.Bases {
		if needed[i] {
			bases = append(bases, b)
			oldest = min(oldest, b.From.Seq)
			for _, n := range b.Parts {
				parts[n] = true
			}
		}
	}
	if b := s.Copying; b != nil {
		oldest = min(oldest, b.From.Seq)
		for _, n := range b.Parts {
			parts[n] = true
		}
	}
	changed := len(bases) != len(s.Bases)
	s.Bases = bases
	for i := range s.Objects {
		ent := &s.Objects[i]
		if !ent.live() {
			continue
		}
		if ent.Kind == object.Base && !parts[ent.N] || ent.stretch() && (ent.To.Seq < oldest || ent.To.Seq == oldest && !ends[oldest]) {
			ent.Left, ent.Behind, changed = now, s.Head.N, true
		}
	}
	return changed
}

// delete deletes what was left long enough ago, and before the newest manifest, which names
// what is needed.
func (t *tidier) delete(ctx context.Context) error {
	newest := t.st.manifest()
	var err error
	gone := map[uint64]bool{}
	for i := range t.st.Objects {
		ent := &t.st.Objects[i]
		if !ent.live() && ent.Left.After(t.now) {
			ent.Left = t.now // the clock was set back: its day begins again
		}
		if ent.live() || newest <= ent.Behind || within(ent.Left, t.now, leftFor) {
			continue
		}
		t.begins("delete")
		if len(gone) == 0 {
			if err := t.acknowledge(ctx); err != nil {
				return err
			}
		}
		if err = t.Target.Delete(ctx, t.name(ent.N)); err != nil {
			break
		}
		gone[ent.N] = true
	}
	if len(gone) == 0 {
		return err
	}
	t.st.Objects = slices.DeleteFunc(t.st.Objects, func(ent entry) bool { return gone[ent.N] })
	return errors.Join(err, t.save())
}
