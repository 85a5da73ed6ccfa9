package supervisor

import (
	"context"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/internal/report"
	"github.com/foyer-server/foyer/supervisor/control"
	"github.com/foyer-server/foyer/supervisor/event"
	"github.com/foyer-server/foyer/supervisor/helper"
	"github.com/foyer-server/foyer/supervisor/job"
)

// freshFor is how long after signing in an owner may ask, on a page, for what touches the
// machine: a browser left open, or a stolen cookie, is not enough.
const freshFor = 10 * time.Minute

// Start implements control.Appliance. What an owner asks for on a page is told.
func (s *Supervisor) Start(kind string, args map[string]string, by control.Asker) (job.Record, error) {
	if by.Page {
		k, ok := s.jobs.Kind(kind)
		if err := byPage(k, ok, by); err != nil {
			s.cfg.Log.Warn("a page asked for a job that it may not have", "kind", hint.Short(hint.Printable(kind), 50), "err", err)
			return job.Record{}, err
		}
	}
	if _, ok := helper.Find(kind); ok && !s.cfg.Root.There() {
		return job.Record{}, helper.ErrMissing
	}
	r, err := s.jobs.Start(kind, args, by.Name)
	if err == nil && by.Page {
		s.events.Add(event.Event{Code: "job-asked", Subject: r.Kind, What: hint.T("%s asked for this on a page: %s.", "%s a demandé ceci sur une page : %s.", by.Name, r.Title)})
	}
	return r, err
}

// Cancel implements control.Appliance.
func (s *Supervisor) Cancel(id string, by control.Asker) (job.Record, error) {
	r, err := s.jobs.Get(id)
	if err != nil {
		return r, err
	}
	if by.Page {
		k, ok := s.jobs.Kind(r.Kind)
		if err := byPage(k, ok, by); err != nil {
			return job.Record{}, err
		}
		if !r.State.Ended() {
			s.events.Add(event.Event{Code: "job-asked", Subject: r.Kind, What: hint.T("%s cancelled this on a page: %s.", "%s a annulé ceci sur une page : %s.", by.Name, r.Title)})
		}
	}
	if s.changes.cancel(r) { // it ends once everything is as it was
		return s.jobs.Get(id)
	}
	return s.jobs.Cancel(id)
}

// byPage is nil when an owner may ask on a page for a kind of job; ok: there is one.
func byPage(k report.JobKind, ok bool, by control.Asker) error {
	age := time.Since(by.SignedIn)
	switch {
	case !ok || !k.Page: // which jobs there are is nobody's secret; what they are called is not told here
		return hint.New("job-not-by-page", hint.T("This cannot be asked for on a page.", "Ceci ne se demande pas sur une page."), hint.T("Nothing was begun.", "Rien n'a été commencé."),
			hint.T("On the server, `sudo foyer jobs kinds` lists what there is.", "Sur le serveur, `sudo foyer jobs kinds` donne la liste."))
	case k.Fresh && (age > freshFor || age < -freshFor): // a clock that went back proves nothing
		return hint.New("signin-again", hint.T("This touches the machine itself: it wants to know that it is really you.", "Ceci touche à la machine elle-même : elle veut être sûre que c'est bien vous."), hint.T("Nothing was begun.", "Rien n'a été commencé."),
			hint.T("Sign in once more, then ask again within ten minutes.", "Connectez-vous encore une fois, puis redemandez dans les dix minutes."))
	}
	return nil
}

// proveTime is how long looking at a session may take; others wait meanwhile.
const proveTime = 5 * time.Second

// Prove implements control.Appliance.
func (s *Supervisor) Prove(ctx context.Context, cookie string) (owner string, signedIn time.Time, err error) {
	if s.cfg.Prove == nil {
		return "", time.Time{}, hint.New("job-not-by-page", hint.T("This cannot be asked for on a page.", "Ceci ne se demande pas sur une page."), hint.T("Nothing was begun.", "Rien n'a été commencé."), hint.Text{})
	}
	ctx, cancel := context.WithTimeout(ctx, proveTime)
	defer cancel()
	select {
	case s.proving <- struct{}{}:
	case <-ctx.Done():
		return "", time.Time{}, ctx.Err()
	}
	type answer struct {
		owner string
		at    time.Time
		err   error
	}
	got := make(chan answer, 1)
	go func() { // a disk that hangs holds up the next proof, and nothing else
		defer func() { <-s.proving }()
		owner, at, err := s.cfg.Prove(ctx, cookie)
		got <- answer{owner, at, err}
	}()
	select {
	case a := <-got:
		return a.owner, a.at, a.err
	case <-ctx.Done():
		return "", time.Time{}, hint.New("busy", hint.T("The data do not answer at this moment.", "Les données ne répondent pas en ce moment."), hint.T("Nothing was begun.", "Rien n'a été commencé."),
			hint.T("Try again in a moment.", "Réessayez dans un instant.")).Because(ctx.Err())
	}
}

// Apart implements control.Appliance.
func (s *Supervisor) Apart() bool { return s.cfg.Apart }
