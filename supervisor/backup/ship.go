package backup

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/foyer-server/foyer/internal/atomicfile"
	"github.com/foyer-server/foyer/internal/changelog"
	"github.com/foyer-server/foyer/internal/pause"
	"github.com/foyer-server/foyer/supervisor/backup/object"
)

// Sizes, in bytes of lines before they are sealed, and times.
const (
	stretchBytes = 4 << 20  // of changes in one object
	paceBytes    = 32 << 20 // copied in a second, while somebody writes
	beatEvery    = time.Hour
)

// copySizes are how a copy of everything is cut, in bytes of lines; 0 stands for usual.
type copySizes struct {
	part int // one object, of which a cycle makes one
	once int // copied at once
}

var usual = copySizes{part: 64 << 20, once: 4 << 20}

// Cycle does what is due: it ships what changed, goes on with a base, beats, compacts,
// says what all of it comes to, and drops what is not kept. It is called every few seconds; what
// fails is tried again by the next call. An error that wraps target.ErrAway is no reason to
// worry yet; while the store is damaged it wraps changelog.ErrDamaged: what changed is shipped, and
// nothing is copied, merged, said or deleted; one that wraps ErrAttachment is said once of each, when all else was done and nothing
// else is wrong. What a person is to act on has a *hint.Error in its chain.
func (e *Engine) Cycle(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.round(ctx)
}

// round is a cycle, and what there is to be known of it.
func (e *Engine) round(ctx context.Context) error {
	err := e.open(ctx)
	began := e.now()
	if err == nil {
		err = errAdopted
		for range 3 {
			if err = e.cycle(ctx); !errors.Is(err, errAdopted) {
				break
			}
		}
		if errors.Is(err, errAdopted) {
			err = twoMachines(e.Target, e.st.Head.N, errors.New("objects of ours turn up again and again"))
		}
		err = e.files.told(err)
	}
	if errors.Is(err, changelog.ErrDamaged) {
		e.acked = changelog.Position{} // every cycle asks whether it still is
	}
	complete := e.see()
	switch good := err == nil || errors.Is(err, ErrAttachment); {
	case good && complete:
		e.st.Complete, e.failed = began, false
	case good:
		e.failed = false
	case !e.failed && e.opened: // the last time that all was well is to survive a long outage
		e.failed = true
		if err := e.save(); err != nil {
			e.Log.Warn("what is known of the backup could not be kept", "err", err)
		}
	}
	e.see()
	return err
}

func (e *Engine) cycle(ctx context.Context) error {
	e.files.begin()
	for _, step := range []func(context.Context) error{
		e.ship, e.copy,
		func(ctx context.Context) error { e.files.upload(ctx); return nil },
		e.beat, e.tidy,
	} {
		if err := step(ctx); err != nil {
			return err
		}
		e.see()
	}
	return e.files.report(ctx)
}

// ship brings what changed into the chain, and tells the store that it is there.
func (e *Engine) ship(ctx context.Context) error {
	if !e.st.Follows {
		return e.begin(ctx)
	}
	for {
		more, err := e.stretch(ctx)
		switch {
		case errors.Is(err, changelog.ErrCut):
			e.Log.Warn("the log of changes was cut: a new copy of everything is made", "err", err)
			e.st.Cut = e.now()
			return e.begin(ctx)
		case errors.Is(err, errAdopted):
			continue
		case err != nil:
			return err
		case !more:
			return nil
		}
	}
}

// begin follows the store from now on, and begins a copy of everything.
func (e *Engine) begin(ctx context.Context) error {
	e.begins("follow")
	at, err := e.source().Follow(ctx, Follower(e.Keys.Chain.ID))
	if err != nil {
		return err
	}
	if last := e.st.last(); last != (changelog.Position{}) && (at.Seq < last.Seq || at.Seq == last.Seq && at != last) {
		e.Log.Warn("the data are older than those in the backup, or others: its positions go on from there", "at", at.Seq, "backup", last.Seq)
		e.st.Shift += last.Seq + 1 - at.Seq
		at.Seq = last.Seq + 1
	}
	e.st.Follows, e.st.Position = true, at
	e.st.Copying = &base{From: at}
	return e.save()
}

// stretch ships one stretch of the log, and tells whether there was more than that.
func (e *Engine) stretch(ctx context.Context) (bool, error) {
	e.begins("ship")
	from := e.st.Position
	to := from
	var lines bytes.Buffer
	var text []byte
	err := e.source().Changes(ctx, from, stretchBytes, func(c changelog.Entry) error {
		to = c.Position
		c.Sum = "" // the header has that of the last one; those between are a tenth of a small object
		text = c.Append(text[:0])
		_, err := lines.Write(text)
		return err
	})
	if err != nil {
		return false, err
	}
	if to != from {
		if err := e.files.notes(lines.Bytes(), from.Seq); err != nil {
			return false, err
		}
		e.files.upload(ctx)
		_, err := e.append(ctx, object.Log, from, to, e.now(), func(w *object.Writer) error {
			return w.Lines(lines.Bytes())
		})
		if err != nil {
			return false, err
		}
	}
	if e.acked != e.st.Position {
		// Also what a death kept from being acknowledged.
		if err := e.acknowledge(ctx); err != nil {
			return false, err
		}
	}
	// Who writes all the time holds up nothing: what was written since is of the next cycle.
	return lines.Len() >= stretchBytes, nil
}

// acknowledge tells the store what is in the chain, and hears whether the store is sound: while it is
// damaged, the error wraps changelog.ErrDamaged.
func (e *Engine) acknowledge(ctx context.Context) error {
	e.acked = changelog.Position{} // what fails is said again
	if err := e.source().Acknowledge(ctx, Follower(e.Keys.Chain.ID), e.st.Position); err != nil {
		return err
	}
	e.acked = e.st.Position
	return nil
}

// copy goes on with a copy of everything, for about a part.
func (e *Engine) copy(ctx context.Context) error {
	b := e.st.Copying
	if b == nil {
		return nil
	}
	e.begins("copy")
	var p pacer
	after, at := b.After, changelog.Position{}
	sizes := copySizes{cmp.Or(e.copies.part, usual.part), cmp.Or(e.copies.once, usual.once)}
	ent, err := e.append(ctx, object.Base, b.From, b.From, e.now(), func(w *object.Writer) error {
		after = b.After
		for copied, most := 0, sizes.room(e.Dir); copied < most; {
			before := copied
			next, stands, err := e.source().Copy(ctx, after, sizes.once, func(line []byte) error {
				copied += len(line)
				return errors.Join(e.files.notes(line, b.From.Seq-1), w.Lines(line))
			})
			if err != nil {
				return err
			}
			busy := at != stands && at != changelog.Position{}
			at, after = stands, next
			if next == "" {
				break
			}
			if err := p.wait(ctx, busy, copied-before); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case errors.Is(err, changelog.ErrNoPlace):
		e.Log.Warn("a copy of everything cannot go on where it was: it begins anew", "err", err)
		e.st.Copying = &base{From: e.st.Position}
		return e.save()
	case errors.Is(err, changelog.ErrDamaged) && len(b.Parts) > 0:
		e.st.Copying = &base{From: e.st.Position} // who knows since when the store is
		return errors.Join(err, e.save())
	case err != nil:
		return err
	}
	b.Parts, b.After, b.Bytes, b.Ready = append(b.Parts, ent.N), after, b.Bytes+ent.Size, at
	if after != "" {
		return e.save()
	}
	b.At = ent.At
	if e.st.First.IsZero() {
		e.st.First = b.At
	}
	e.st.Bases = append(e.st.Bases, *b)
	e.st.Copying = nil
	if err := e.save(); err != nil {
		return err
	}
	return e.manifest(ctx)
}

// room is how many bytes a part of a base may have, sealed in a folder: no more than half of what
// is free there, so that a small disk is no reason for having no backup.
func (s copySizes) room(dir string) int {
	free, total, err := atomicfile.FreeSpace(dir)
	if err != nil || total == 0 {
		return s.part
	}
	return int(min(max(free/2, uint64(s.once)), uint64(s.part)))
}

// pacer has a copy of everything be made slowly while somebody writes, whose answers would wait for
// it, and as fast as it goes while nobody does.
type pacer struct {
	since time.Time // when somebody was first seen to write, of late
	bytes int       // copied since
}

// wait waits as long as it is too early to have copied so many bytes more; busy: somebody wrote
// meanwhile.
func (p *pacer) wait(ctx context.Context, busy bool, bytes int) error {
	if !busy {
		p.since = time.Time{}
		return ctx.Err()
	}
	if p.since.IsZero() {
		p.since, p.bytes = time.Now(), 0
	}
	p.bytes += bytes
	due := p.since.Add(time.Duration(float64(p.bytes) / paceBytes * float64(time.Second)))
	pause.For(ctx, time.Until(due))
	return ctx.Err()
}

// beat adds an object that says nothing but that this machine is there, when it has said
// nothing for long.
func (e *Engine) beat(ctx context.Context) error {
	if n := len(e.st.Objects); n > 0 {
		if since := e.now().Sub(e.st.Objects[n-1].At); since >= 0 && since < beatEvery {
			return nil
		}
	}
	_, err := e.append(ctx, object.Beat, e.st.Position, e.st.Position, e.now(), func(*object.Writer) error { return nil })
	return err
}

// Stop keeps what is known; it is called when the machine goes down in good order.
func (e *Engine) Stop() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.opened {
		return nil
	}
	return errors.Join(e.save(), e.files.save())
}
