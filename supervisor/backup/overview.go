package backup

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/foyer-server/foyer/internal/changelog"
)

// Overview is how a backup stands.
type Overview struct {
	Chain    string
	Head     uint64             // number of the newest object; 0: there is none
	Position changelog.Position // all up to here is in the chain
	// Complete is a time before which everything that had been written is in the backup and can be
	// restored, but for attachments that could not be read; zero: there never was one.
	Complete time.Time
	// Copying is how many sealed bytes there are of a copy of everything that is being made, at
	// least one; 0: none is being made. CopyingFirst: nothing can be restored before it is done.
	Copying      int64
	CopyingFirst bool
	Points       []Point   // that can be restored, the newest first; at most mostPoints
	Bytes        int64     // sealed, of objects that are part of what can be restored
	Attachments  int64     // sealed, of their contents at the target; 0 until that was looked at
	Cut          time.Time // when the log was last cut, so that everything was copied anew; zero: never
	First        time.Time // when the first copy of everything was done; zero: it is not
}

// mostPoints bounds how many moments an overview names. What is promised to be kept is some
// hundred, and of the current hour there is one every few seconds.
const mostPoints = 1000

// view is the overview as of the last step of a cycle.
type view struct {
	mu    sync.Mutex
	known bool
	of    shape
	Overview
}

// shape tells whether points may have changed.
type shape struct {
	head, manifest uint64
	live, bases    int
}

// Kept is how the backup of a chain stood when what is known of it was last kept in a folder: for as long
// as its target is away, and no Engine can be opened.
func Kept(dir, chain string) Overview {
	st, err := loadState(dir, chain)
	if err != nil {
		st = state{Chain: chain} // the next cycle says why, or finds it out again
	}
	var v view
	v.take(&st)
	return v.Overview
}

// Overview is how the backup stands. It waits for nothing, whatever goes on: before the first
// cycle it is what was kept by the process before, and during one, how it stood after the last step.
func (e *Engine) Overview() Overview {
	e.view.mu.Lock()
	defer e.view.mu.Unlock()
	if !e.view.known {
		st, err := loadState(e.Dir, e.Keys.Chain.ID)
		if err != nil {
			st = state{Chain: e.Keys.Chain.ID} // the next cycle says why, or finds it out again
		}
		e.view.take(&st)
	}
	out := e.view.Overview
	out.Points = slices.Clone(out.Points)
	return out
}

// see takes in how the backup stands now. It reports whether everything that was found to have been
// written is in it, and can be restored.
func (e *Engine) see() (complete bool) {
	e.view.mu.Lock()
	defer e.view.mu.Unlock()
	e.view.take(&e.st)
	if e.files == nil {
		return false
	}
	e.view.Attachments = e.files.sealed
	return len(e.files.queue) == 0 && len(e.view.Points) > 0 && e.view.Points[0].Position == e.st.Position
}

func (v *view) take(s *state) {
	now := s.shape()
	points := v.Points
	if !v.known || v.of != now {
		points = s.moments(mostPoints)
	}
	v.known, v.of = true, now
	v.Overview = Overview{
		Chain: s.Chain, Head: s.Head.N, Position: s.Position, Complete: s.Complete, Points: points, Cut: s.Cut, First: s.First, Attachments: v.Attachments,
	}
	if s.Copying != nil {
		v.Copying, v.CopyingFirst = max(1, s.Copying.Bytes), len(s.Bases) == 0
	}
	for i := range s.Objects {
		if s.Objects[i].live() {
			v.Bytes += s.Objects[i].Size
		}
	}
}

func (s *state) shape() shape {
	out := shape{head: s.Head.N, manifest: s.manifest(), bases: len(s.Bases)}
	for i := range s.Objects {
		if s.Objects[i].live() {
			out.live++
		}
	}
	return out
}

// moments are the newest points that can be restored, the newest first. What no manifest names yet
// is none.
func (s *state) moments(most int) []Point {
	newest := s.manifest()
	said := slices.DeleteFunc(slices.Clone(s.Bases), func(b base) bool { return len(b.Parts) == 0 || b.Parts[len(b.Parts)-1] > newest })
	stretches := s.stretches()
	var out []Point
	for i, from := range restorable(stretches, said) {
		if from >= 0 {
			out = append(out, Point{stretches[i].At, stretches[i].To})
		}
	}
	for _, b := range said {
		if b.Ready == b.From {
			out = append(out, Point{b.At, b.Ready})
		}
	}
	slices.SortStableFunc(out, func(a, b Point) int { return cmp.Compare(b.Position.Seq, a.Position.Seq) })
	out = slices.CompactFunc(out, func(a, b Point) bool { return a.Position == b.Position })
	return slices.Clip(out[:min(len(out), most)])
}

// whole reports whether everything that is in the chain can be restored.
func (s *state) whole() bool {
	newest := s.moments(1)
	return len(newest) > 0 && newest[0].Position == s.Position
}

// size is how many sealed bytes all parts have.
func (l listed) size() (all int64) {
	for _, parts := range l {
		for _, size := range parts {
			all += size
		}
	}
	return all
}

// Say goes on until everything that had been written when it was called is in the backup, and has
// the chain say at once what all of it comes to; it returns that point. With an error that wraps
// ErrAttachment there is one, too.
func (e *Engine) Say(ctx context.Context) (Point, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var unread error
	for {
		err := e.round(ctx)
		if errors.Is(err, ErrAttachment) {
			unread, err = errors.Join(unread, err), nil
		}
		if err != nil {
			return Point{}, err
		}
		if e.see() {
			break
		}
	}
	err := errAdopted
	for range 3 {
		if err = e.manifest(ctx); !errors.Is(err, errAdopted) {
			break
		}
	}
	e.see()
	if err != nil {
		return Point{}, err
	}
	said, _ := e.st.object(e.st.manifest())
	return Point{said.At, said.To}, unread
}
