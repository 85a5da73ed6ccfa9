package routine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"filippo.io/age"

	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/server/storage"
	"github.com/foyer-server/foyer/supervisor/backup"
	"github.com/foyer-server/foyer/supervisor/backup/object"
	"github.com/foyer-server/foyer/supervisor/backup/target"
)

// once is a point that was made: a position of the log, and what the clock said.
type once struct {
	seq int64
	at  time.Time
}

func day(t time.Time) int64 { return t.Unix() / 86400 }

// remembers keeps what there is now.
func (y *yearly) remembers() {
	y.Helper()
	y.looks(map[bool]string{false: y.cfg.To, true: y.cfg.To + ".pulled"}[y.away])
	notes := y.now()
	if real := y.real(); real.After(notes) {
		notes = real // the store clears away what is over by that
	}
	sum, at, err := y.server.Summarize(y.Context(), notes)
	if err != nil {
		y.Fatal(err)
	}
	y.were[at.Seq] = moment{sum, notes}
}

// looks reads what is new on the disk, and sees that all is there that the newest manifest names.
func (y *yearly) looks(dir string) {
	y.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, y.chain))
	if err != nil {
		y.Fatal(err)
	}
	there, bytes := map[uint64]bool{}, 0
	var news []uint64
	for _, e := range entries {
		var n uint64
		if _, err := fmt.Sscanf(e.Name(), "%d.seg", &n); err != nil {
			continue
		}
		info, err := e.Info()
		if err != nil {
			y.Fatal(err)
		}
		there[n] = true
		bytes += int(info.Size())
		if n > y.read {
			news = append(news, n)
		}
	}
	for _, n := range news {
		y.reads(filepath.Join(dir, y.chain), n)
	}
	for n := range y.names {
		if !there[n] {
			y.Errorf("%s: object %d is gone, and the newest manifest names it", y.now(), n)
		}
	}
	for n := range y.there {
		if !there[n] {
			y.counts.deleted++
		}
	}
	y.there = there
	parts, err := os.ReadDir(filepath.Join(dir, y.chain, "b"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		y.Fatal(err)
	}
	state := 0
	err = filepath.WalkDir(y.cfg.Dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			info, e := d.Info()
			if err = ignoring(e, fs.ErrNotExist); e == nil {
				state += int(info.Size())
			}
		}
		return ignoring(err, fs.ErrNotExist)
	})
	if err != nil {
		y.Fatal(err)
	}
	c := &y.counts
	c.objects, c.bytes, c.parts, c.state = max(c.objects, len(there)), max(c.bytes, bytes), max(c.parts, len(parts)), max(c.state, state)
}

// expect is by what the chain is read, with its own key alone.
func (y *yearly) expect() object.Expect {
	return object.Expect{Identities: []age.Identity{y.keys.Chain.Identity}, OfChain: true, Authors: y.keys.Authors, Chain: y.chain}
}

// reads reads one object: a point that it ends at, or what a manifest names.
func (y *yearly) reads(dir string, n uint64) {
	y.Helper()
	f, err := os.Open(filepath.Join(dir, fmt.Sprintf("%010d.seg", n)))
	if err != nil {
		y.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	expect := y.expect()
	expect.N = n
	o, err := object.NewReader(f, expect)
	if err != nil {
		y.Fatal(err)
	}
	defer o.Close() //nolint:errcheck // it was only read
	h := o.Header()
	names, bases := map[uint64]bool{}, map[int64]bool{}
	for {
		text, err := o.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		var l struct {
			Object *struct{ N uint64 }
			Base   *struct {
				Parts       []uint64
				From, Ready changelog.Position
			}
		}
		if err == nil && h.Kind == object.Manifest {
			err = json.Unmarshal(text, &l)
		}
		if err != nil {
			y.Fatalf("object %d: %v", n, err)
		}
		if l.Object != nil {
			names[l.Object.N] = true
		}
		if l.Base != nil && l.Base.From == l.Base.Ready {
			bases[l.Base.Ready.Seq] = true
		}
	}
	switch h.Kind {
	case object.Log:
		if i := len(y.ever); i > 0 && y.ever[i-1].seq >= h.To.Seq {
			y.Errorf("object %d ends at %d, after %d", n, h.To.Seq, y.ever[i-1].seq)
		}
		y.ever = append(y.ever, once{h.To.Seq, h.At})
	case object.Manifest:
		y.names, y.bases = names, bases
	}
	y.read = n
}

// promised are the points that are to be kept, of all there ever were: going back from the newest, the
// last of each of 48 hours, 30 days, 12 weeks, 12 months and 10 years of UTC, of those that have any.
func promised(ever []once) map[int64]time.Time {
	out := map[int64]time.Time{}
	for _, kept := range []struct {
		most   int
		period func(time.Time) int64
	}{
		{48, func(t time.Time) int64 { return t.Unix() / 3600 }},
		{30, day},
		{12, func(t time.Time) int64 { return (day(t) + 3) / 7 }}, // 1 January 1970 was a Thursday
		{12, func(t time.Time) int64 { return int64(t.UTC().Year()*12 + int(t.UTC().Month())) }},
		{10, func(t time.Time) int64 { return int64(t.UTC().Year()) }},
	} {
		periods := map[int64]bool{}
		for _, p := range slices.Backward(ever) {
			if period := kept.period(p.at); len(periods) < kept.most && !periods[period] {
				periods[period], out[p.seq] = true, p.at
			}
		}
	}
	return out
}

// keeps has all that is promised be there to restore, now.
func (y *yearly) keeps() {
	y.Helper()
	points := map[int64]bool{}
	for _, p := range y.engine.Overview().Points {
		points[p.Position.Seq] = true
	}
	for seq, at := range promised(y.ever) {
		if !points[seq] && !y.missed[seq] {
			y.missed[seq] = true
			y.Errorf("%s: what there was at %s (%d) is promised, and cannot be restored", y.now(), at, seq)
		}
	}
}

// comesBack compares what can be restored with what is promised, both ways, and what comes back with
// what there was.
func (y *yearly) comesBack(seed uint64) (kept, compared int) {
	y.Helper()
	at, err := target.ReadFolder(y.Context(), y.cfg.To)
	if err != nil {
		y.Fatal(err)
	}
	b, err := backup.Find(y.Context(), at, y.expect())
	if err != nil {
		y.Fatal(err)
	}
	for _, p := range b.Problems {
		y.Errorf("object %d: %v", p.N, p.Err)
	}
	want := promised(y.ever)
	points := map[int64]backup.Point{}
	for _, p := range b.Points() {
		points[p.Position.Seq] = p
		last := y.ever[len(y.ever)-1].at.Unix() / 3600 // of its hour the others stay until there is another
		if at, is := want[p.Position.Seq]; !is && !y.bases[p.Position.Seq] && p.At.Unix()/3600 != last {
			y.Errorf("what there was at %s (%d) is kept without need", p.At, p.Position.Seq)
		} else if is && at.Unix() != p.At.Unix() {
			y.Errorf("what there was at %s (%d) is said to be of %s", at, p.Position.Seq, p.At)
		}
	}
	for i, seq := range slices.Sorted(maps.Keys(want)) {
		p, is := points[seq]
		was, known := y.were[seq]
		switch {
		case !is:
			y.Errorf("what there was at %s (%d) is promised, and cannot be restored", want[seq], seq)
			continue
		case !known:
			y.Errorf("nobody knows what there was at %s (%d)", want[seq], seq)
			continue
		}
		if kept++; seed%4 > 0 && i%4 > 0 || watched && i%4 > 0 {
			continue
		}
		sum, err := restored(y.Context(), b, p, was.notes, y.TempDir())
		if err != nil {
			y.Errorf("what there was at %s does not come back: %v", p.At, err)
			continue
		}
		if d := was.sum.Differences(sum, 5); len(d) > 0 {
			y.Errorf("what comes back of %s is not what there was: %v", p.At, d)
		}
		compared++
	}
	return kept, compared
}

// restored has a point come back, and returns what comes of it.
func restored(ctx context.Context, b *backup.Backup, p backup.Point, notes time.Time, dir string) (*changelog.Summary, error) {
	lines, err := b.Lines(ctx, p)
	if err != nil {
		return nil, err
	}
	if dir, err = os.MkdirTemp(dir, "data"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the test's folder goes, too
	path := filepath.Join(dir, "restored.db")
	if err := storage.Load(ctx, path, lines, nil); err != nil {
		return nil, err
	}
	sum, err := storage.SummarizeFile(ctx, path, notes) // a store that is open clears away what is over
	if err != nil {
		return nil, err
	}
	db, err := storage.Open(ctx, path, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer db.Close() //nolint:errcheck // a temporary one
	missing, err := b.Missing(ctx, db.Files)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("of %d attachments the contents are missing", len(missing))
	}
	return sum, err
}
