package backup

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
)

// Version is what an object was from a moment on.
type Version struct {
	At  time.Time
	Seq int64 // where the log stood then
	// None: there is no such object, nor a tombstone of it.
	None      bool
	Deleted   bool
	Timestamp int64
	Data      []byte // JSON, without id and last_modified
}

func (v *Version) same(o *Version) bool {
	return v.None == o.None && v.Deleted == o.Deleted && v.Timestamp == o.Timestamp && bytes.Equal(v.Data, o.Data)
}

// Versions are all versions of an object that the backup still has, the oldest first: as of
// each of Points, it is the last whose Seq is not greater. Nothing comes where there never
// was one. Memory does not grow with the backup. Like Lines, they are sure only once all of
// them were read.
func (b *Backup) Versions(ctx context.Context, parent, kind, id string) iter.Seq2[Version, error] {
	return func(yield func(Version, error) bool) {
		last := Version{None: true}
		from := int64(-1) // as far as earlier runs told
		for _, run := range b.runs() {
			now := Version{None: true, At: run.at, Seq: run.ready}
			tell := func() bool {
				if now.Seq <= from || now.same(&last) {
					return true
				}
				last = now
				return yield(now, nil)
			}
			for l, err := range b.reader.lines(ctx, run.objects) {
				switch {
				case err != nil:
					yield(Version{}, err)
					return
				case l.Kind == changelog.Commit:
					if l.Seq <= run.ready { // the copy may be newer here and there
						break
					}
					if !tell() {
						return
					}
					now.Seq, now.At = l.Seq, time.UnixMilli(l.Time)
				case l.Kind == changelog.Purge && (l.ID == "" || parent == l.ID || strings.HasPrefix(parent, l.ID+"/")):
					now = Version{None: true, At: now.At, Seq: now.Seq}
				case l.Kind == changelog.Object && l.Parent == parent && l.Of == kind && l.ID == id:
					now.None, now.Deleted, now.Timestamp, now.Data = false, l.Gone, l.Time, slices.Clone(l.Data)
				}
			}
			if !tell() {
				return
			}
			from = max(from, run.reach)
		}
	}
}

// run is a copy, and the log after it as far as there is no gap in it.
type run struct {
	at      time.Time // of the first state that is known
	ready   int64     // where the log stood then
	reach   int64     // and at the end
	objects []entry
}

// runs are those that together lead to every point, the oldest first.
func (b *Backup) runs() (out []run) {
	bad, known := map[uint64]bool{}, map[uint64]entry{}
	for _, problem := range b.Problems {
		bad[problem.N] = true
	}
	for _, ent := range b.objects {
		if !bad[ent.N] {
			known[ent.N] = ent
		}
	}
	reach := int64(-1)
bases:
	for _, base := range b.Manifest.bases {
		r := run{at: base.At, ready: base.Ready.Seq}
		for _, n := range base.Parts {
			ent, there := known[n]
			if !there {
				continue bases
			}
			r.objects = append(r.objects, ent)
		}
		at, first := base.From, true
		for _, ent := range stretchesOf(b.objects) {
			if ent.To.Seq <= at.Seq || bad[ent.N] {
				continue
			}
			if ent.From != at && !(first && ent.From.Seq < at.Seq) {
				break
			}
			if ent.To.Seq >= r.ready && at.Seq < r.ready {
				r.at = ent.At
			}
			r.objects, at, first = append(r.objects, ent), ent.To, false
		}
		if r.reach = at.Seq; r.reach >= r.ready && r.reach > reach {
			out, reach = append(out, r), r.reach
		}
	}
	return out
}
