package installer

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/foyer-server/foyer/internal/claim"
	"github.com/foyer-server/foyer/internal/config"
	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/safepath"
	"github.com/foyer-server/foyer/internal/step"
)

// claimStep lets the first owner in: at once with the name and password of the
// answers, else by a code. It comes last, when the server can be asked whether it
// has an owner already; a code that was made in a run that was cut, and that
// nobody has seen, is replaced. Once an install has come to its end no further
// code is made: `foyer claim` is for that.
type claimStep struct {
	m    *machine
	done bool // in this run
}

func (*claimStep) ID() string { return "claim" }

// Title implements step.Step.
func (*claimStep) Title() hint.Text {
	return hint.T("The first owner", "Le premier propriétaire")
}

func (s *claimStep) Check(ctx context.Context) ([]step.Change, error) {
	if s.done || len(s.m.history.MadeBy(s.ID())) > 0 && !s.m.history.Open(s.ID()) {
		return nil, nil
	}
	if claimed, running := s.m.cfg.Claimed(ctx); running && claimed {
		return nil, nil
	}
	c := step.Change{Op: step.Made, Kind: step.KindClaim, What: claim.Path(s.m.dataDir()), Why: hint.T(
		"lets the server know the one-time code for its first owner, if it has none yet", "fait connaître au serveur le code à usage unique de son premier propriétaire, s'il n'en a pas encore")}
	if s.m.cfg.Answers.Owner != "" {
		c.Why = hint.T("makes %s the owner, if there is none yet", "fait de %s le propriétaire, s'il n'y en a pas encore", s.m.cfg.Answers.Owner)
	}
	return []step.Change{c}, nil
}

func (s *claimStep) Apply(ctx context.Context) error {
	claimed, err := s.ask(ctx)
	if err != nil {
		return err
	}
	if claimed {
		s.done = true
		return nil
	}
	uid, gid, ok, err := s.m.owner(ctx, config.SystemUser)
	if err != nil || !ok {
		return errors.Join(err, fmt.Errorf("there is no account %s", config.SystemUser))
	}
	a := s.m.cfg.Answers
	var code string
	var offer claim.Offer
	if a.Owner != "" {
		offer, err = claim.ForOwner(a.Owner, a.OwnerPassword)
	} else {
		code, offer, err = claim.NewCode(time.Now())
	}
	if err != nil {
		return err
	}
	if err := claim.Leave(s.m.dataDir(), offer, uid, gid); err != nil {
		return s.m.unfit(err)
	}
	s.done = true
	s.m.result.ClaimCode, s.m.result.Owner = code, a.Owner
	if a.Owner == "" { // the server looks for an offer when somebody comes with a code
		return nil
	}
	// The server takes an offer of an owner when it starts. Visitors wait meanwhile.
	if err := s.m.service.Restart(ctx, false); err != nil {
		return err
	}
	err = waitFor(ctx, s.m.cfg.patience.claim, s.m.cfg.patience.pause, func(ctx context.Context) (bool, error) {
		claimed, running := s.m.cfg.Claimed(ctx)
		return claimed && running, nil
	})
	if err != nil && ctx.Err() == nil {
		return s.m.notWell(ctx, fmt.Errorf("the owner was not made: %w", err))
	}
	return ctx.Err()
}

// ask asks the server whether it has an owner, for as long as it needs to be well.
func (s *claimStep) ask(ctx context.Context) (claimed bool, err error) {
	err = waitFor(ctx, s.m.cfg.patience.claim, s.m.cfg.patience.pause, func(ctx context.Context) (running bool, err error) {
		claimed, running = s.m.cfg.Claimed(ctx)
		return running, nil
	})
	if err != nil && ctx.Err() == nil { // nobody can be asked: an offer to a server with an owner comes to nothing
		return false, nil
	}
	return claimed, err
}

// Undo takes back an offer the server has not taken yet.
func (s *claimStep) Undo(_ context.Context, made []step.Change, _ bool) error {
	for _, c := range made {
		err := claim.Withdraw(filepath.Dir(c.What))
		if unfit, ok := errors.AsType[*safepath.Error](err); ok { // what lies there now is not ours
			s.m.leave(c, unfit)
		} else if err != nil {
			return err
		}
	}
	return nil
}
