package supervisor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/foyer-server/foyer/internal/hint"
	"github.com/foyer-server/foyer/supervisor/helper"
	"github.com/foyer-server/foyer/supervisor/job"
)

// Kinds are the jobs of the supervisor's own that can be asked for, to be told of: they
// cannot be run.
func Kinds() []job.Kind {
	s := &Supervisor{}
	kinds := append(s.kinds(), s.rootKinds()...)
	for i := range kinds {
		kinds[i].Run = nil
	}
	return kinds
}

// rootKinds are the jobs that root does (package helper), by the names of its verbs.
func (s *Supervisor) rootKinds() []job.Kind {
	var out []job.Kind
	for _, v := range helper.Verbs {
		out = append(out, job.Kind{
			Name: v.Name, Title: v.Title, Lane: job.Machine, Resume: true, Args: v.Args, Words: v.Words, Page: v.Page, Fresh: v.Fresh,
			Run: func(ctx context.Context, t *job.Task) error {
				return s.askRoot(ctx, s.cfg.Root, v, t)
			},
		})
	}
	return out
}

// healthyAgain is how long a server that was started with other settings may take to answer.
const healthyAgain = 3 * time.Minute

// askRoot has root do something, and shows its record as that of the job. When the
// supervisor is started again meanwhile, which applying settings may do, it goes on
// following.
func (s *Supervisor) askRoot(ctx context.Context, root helper.Client, v helper.Verb, t *job.Task) error {
	var said []hint.Text
	r, err := root.Do(ctx, v, t.ID(), t.Args(), t.Again(), func(r job.Record) {
		r = hint.Clean(r)
		t.Progress(r.Done, r.Of, r.Unit)
		for _, what := range news(said, r.Said) {
			t.Say(what)
		}
		said = r.Said
	})
	if err != nil {
		return err
	}
	if r.Result != nil {
		var result any
		if err := json.Unmarshal(r.Result, &result); err != nil {
			return fmt.Errorf("cannot read what root says: %w", err)
		}
		if err := t.Result(result); err != nil {
			return err
		}
	}
	switch {
	case r.Error != nil:
		return hint.New(r.Error.Code, r.Error.What, r.Error.Did, r.Error.Do)
	case r.State != job.Done:
		return hint.New("job-ended", hint.T("The job was not done: %s.", "La tâche n'a pas été faite : %s.", r.State.Word()), hint.Text{}, hint.T("Ask again if you still want it.", "Redemandez-le si vous le voulez toujours."))
	case v.Name == helper.VerbApplySettings:
		return s.answersAgain(ctx, t)
	}
	return nil
}

// news are the lines of a record that were not there before: it keeps the last ones.
func news(before, now []hint.Text) []hint.Text {
	for skip := range len(before) + 1 {
		if rest := before[skip:]; len(rest) <= len(now) && slices.Equal(rest, now[:len(rest)]) {
			return now[len(rest):]
		}
	}
	return now
}

// answersAgain waits until the server is well with the settings as they are now, which root,
// who has no network, cannot see.
func (s *Supervisor) answersAgain(ctx context.Context, t *job.Task) error {
	if !s.awaitServer(ctx, healthyAgain) {
		return ctx.Err()
	}
	s.mu.Lock()
	state := s.child.state
	s.mu.Unlock()
	if state != stateHealthy {
		return hint.New("not-healthy", hint.T("The settings were applied, and the server does not answer.", "Les réglages ont été appliqués, et le serveur ne répond pas."),
			hint.T("Foyer keeps starting it.", "Foyer continue de le relancer."), hint.T("`sudo foyer logs` shows why; then put the settings right, and apply them again.", "`sudo foyer logs` montre pourquoi ; corrigez alors les réglages et appliquez-les de nouveau."))
	}
	t.Say(hint.T("The server answers.", "Le serveur répond."))
	return nil
}
