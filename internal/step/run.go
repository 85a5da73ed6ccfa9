package step

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"
)

// Config says what to do, by which journal.
type Config struct {
	Steps   []Step   // in order: each needs those before it
	Journal *Journal // open; closing it is the caller's
	// Report, which may be nil, is told of each step as it goes.
	Report func(Event)
	// Left, which may be nil, are all the things that undoing did not take away so far,
	// since they are not ours, or not any more: events tell of them.
	Left func() []Change
	// Hook, which may be nil, is called after each record of the journal, each Apply
	// and each Undo of a step: for tests, which cut the power there.
	Hook func(point string)
}

// Run is one go at a list of steps. Its methods are called one after the other.
type Run struct {
	cfg    Config
	id     string
	made   []Change
	pruned []Change
}

// New begins a run; nothing is done yet.
func New(cfg Config) *Run {
	if cfg.Report == nil {
		cfg.Report = func(Event) {}
	}
	if cfg.Left == nil {
		cfg.Left = func() []Change { return nil }
	}
	if cfg.Hook == nil {
		cfg.Hook = func(string) {}
	}
	return &Run{cfg: cfg, id: rand.Text()}
}

// FailedError says at which step a run ended.
type FailedError struct {
	Step string
	Err  error
}

func (e *FailedError) Error() string { return e.Err.Error() }
func (e *FailedError) Unwrap() error { return e.Err }

// Look asks a step what would have to change, and what would be taken back.
func Look(ctx context.Context, s Step) ([]Change, error) {
	changes, err := Check(ctx, s)
	if err != nil {
		return nil, err
	}
	unwanted, err := unwanted(ctx, s)
	return append(changes, unwanted...), err
}

// unwanted are the changes of a step that are to be taken back.
func unwanted(ctx context.Context, s Step) ([]Change, error) {
	p, ok := s.(Pruner)
	if !ok {
		return nil, nil
	}
	changes, err := p.Unwanted(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot check the step %s: %w", s.ID(), err)
	}
	for i := range changes {
		changes[i].Step, changes[i].Op = s.ID(), Removed
	}
	return changes, nil
}

// Check asks a step what would have to change.
func Check(ctx context.Context, s Step) ([]Change, error) {
	changes, err := s.Check(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot check the step %s: %w", s.ID(), err)
	}
	for i := range changes {
		changes[i].Step = s.ID()
	}
	return changes, nil
}

// Apply brings all steps about, and notes that it did. It returns what was only
// reported (Edited); Made has what was done. The error is a *FailedError when a step is what
// failed: then what was done stays, for RollBack to take back, or Apply to go on.
func (r *Run) Apply(ctx context.Context) (edited []Change, err error) {
	for i, s := range r.cfg.Steps {
		r.event(Started, i+1, s, nil)
		changes, err := r.step(ctx, s)
		if err == nil {
			var gone []Change
			gone, err = r.prune(ctx, s)
			changes = append(changes, gone...)
		}
		if err != nil {
			r.event(Failed, i+1, s, changes)
			return edited, &FailedError{s.ID(), err}
		}
		for _, c := range changes {
			if c.Op == Edited {
				edited = append(edited, c)
			}
		}
		r.event(Done, i+1, s, Todo(changes))
	}
	if len(r.made) > 0 || !r.cfg.Journal.Finished() {
		return edited, r.write(record{Op: opFinished})
	}
	return edited, nil
}

// Made are the changes that this run announced, whether they were reached or not.
func (r *Run) Made() []Change { return slices.Clone(r.made) }

// Pruned are the changes that this run took back, since they are not wanted any more.
func (r *Run) Pruned() []Change { return slices.Clone(r.pruned) }

// prune takes back what is not wanted any more. What ran to its end has done so still.
func (r *Run) prune(ctx context.Context, s Step) ([]Change, error) {
	changes, err := unwanted(ctx, s)
	if err != nil || len(changes) == 0 {
		return nil, err
	}
	if err := s.Undo(ctx, changes, false); err != nil {
		return nil, fmt.Errorf("cannot take back a part of the step %s: %w", s.ID(), err)
	}
	r.cfg.Hook("prune " + s.ID())
	if err := r.write(record{Op: opUndone, Step: s.ID(), Changes: changes, Part: true}); err != nil {
		return nil, err
	}
	r.pruned = append(r.pruned, changes...)
	return changes, nil
}

// step brings one step about: look, announce, act, look again.
func (r *Run) step(ctx context.Context, s Step) ([]Change, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	changes, err := Check(ctx, s)
	if err != nil {
		return nil, err
	}
	do := Todo(changes)
	if len(do) == 0 {
		if r.cfg.Journal.Open(s.ID()) { // finished by a run that could not say so any more
			return changes, r.write(record{Op: opDone, Step: s.ID()})
		}
		return changes, nil
	}
	if err := r.write(record{Op: opIntent, Step: s.ID(), Changes: do}); err != nil {
		return nil, err
	}
	r.made = append(r.made, do...)
	if err := s.Apply(ctx); err != nil {
		return changes, fmt.Errorf("cannot do the step %s: %w", s.ID(), err)
	}
	r.cfg.Hook("apply " + s.ID())
	left, err := Check(ctx, s)
	if err != nil {
		return changes, err
	}
	if left = Todo(left); len(left) > 0 {
		return changes, fmt.Errorf("cannot do the step %s: %s %s is still to be done", s.ID(), left[0].Kind, left[0].What)
	}
	return changes, r.write(record{Op: opDone, Step: s.ID()})
}

// RollBack takes back what this run announced.
func (r *Run) RollBack(ctx context.Context) error { return r.Undo(ctx, r.made, true) }

// Undo takes back those of the given changes that the journal still knows of, in the
// reverse order of the steps. With purge nothing is kept for the person. What cannot be
// taken back stays in the journal.
func (r *Run) Undo(ctx context.Context, changes []Change, purge bool) error {
	told := 0
	for i, s := range slices.Backward(r.cfg.Steps) {
		var made []Change
		for _, c := range r.cfg.Journal.MadeBy(s.ID()) {
			if slices.ContainsFunc(changes, c.same) {
				made = append(made, c)
			}
		}
		if len(made) == 0 {
			continue
		}
		if err := s.Undo(ctx, made, purge); err != nil {
			return &FailedError{s.ID(), fmt.Errorf("cannot undo the step %s: %w", s.ID(), err)}
		}
		r.cfg.Hook("undo " + s.ID())
		if err := r.write(record{Op: opUndone, Step: s.ID(), Changes: made}); err != nil {
			return err
		}
		left := r.cfg.Left()
		r.event(Undone, len(r.cfg.Steps)-i, s, slices.Concat(made, left[told:]))
		told = len(left)
	}
	return nil
}

func (r *Run) event(kind string, n int, s Step, changes []Change) {
	r.cfg.Report(Event{kind, s.ID(), n, len(r.cfg.Steps), s.Title(), changes})
}

func (r *Run) write(rec record) error {
	rec.Run, rec.At = r.id, time.Now()
	if err := r.cfg.Journal.write(rec); err != nil {
		return err
	}
	r.cfg.Hook(rec.Op + " " + rec.Step)
	return nil
}
