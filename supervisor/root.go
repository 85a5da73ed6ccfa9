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
	s := worker{&Supervisor{}}
	kinds := slices.DeleteFunc(append(s.kinds(), s.rootKinds()...), func(k job.Kind) bool { return k.Own })
	for i := range kinds {
		kinds[i].Run = nil
	}
	return kinds
}

// rootKinds are the jobs that root does (package helper), by the names of its verbs.
func (s worker) rootKinds() []job.Kind {
	var out []job.Kind
	for _, v := range helper.Verbs {
		if v.Ends || v.Part { // the job of what is on trial asks for it, or that of a backup
			continue
		}
		k := job.Kind{Name: v.Name, Title: v.Title, Lane: job.Machine, Resume: true, Args: v.Args, Words: v.Words, Page: v.Page, Fresh: v.Fresh}
		if v.Trial {
			k.Own, k.Follows, k.Run = true, true, s.changes.run
		} else {
			k.Run = func(ctx context.Context, t *job.Task) error { return s.askRoot(ctx, v, t) }
		}
		out = append(out, k)
	}
	return out
}

// healthyAgain is how long a server that was started with other settings may take to answer.
const healthyAgain = 3 * time.Minute

// askRoot has root do something, and shows its record as that of the job. When the
// supervisor is started again meanwhile, which applying settings may do, it goes on
// following.
func (s worker) askRoot(ctx context.Context, v helper.Verb, t *job.Task) error {
	tell := telling(t)
	r, err := s.cfg.Root.Do(ctx, v, t.ID(), t.Args(), t.Again(), func(r job.Record) { tell(hint.Clean(r)) })
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
	case r.State != job.Done:
		return endedOtherwise(r)
	case v.Name == helper.VerbApplySettings:
		return s.answersAgain(ctx, t)
	}
	return nil
}

// telling has a job tell how far root is, and what root says: once, though the job is begun
// again.
func telling(t *job.Task) func(job.Record) {
	before := t.Said()
	var said []hint.Text
	return func(r job.Record) {
		t.Progress(r.Done, r.Of, r.Unit)
		for _, what := range news(said, r.Said) {
			if !slices.Contains(before, what) {
				t.Say(what)
			}
		}
		said, before = r.Said, nil
	}
}

// endedOtherwise is why what root was asked for was not done.
func endedOtherwise(r job.Record) error {
	if r.Error != nil {
		return r.Error.Err()
	}
	return hint.New("job-ended", hint.T("The job was not done: %s.", "La tâche n'a pas été faite : %s.", r.State.Word()), hint.Text{}, hint.T("Ask again if you still want it.", "Redemandez-le si vous le voulez toujours."))
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
func (s worker) answersAgain(ctx context.Context, t *job.Task) error {
	if !s.awaitServer(ctx, healthyAgain) {
		return ctx.Err()
	}
	if !isHealthy(s.Supervisor) {
		return hint.New("not-healthy", hint.T("The settings were applied, and the server does not answer.", "Les réglages ont été appliqués, et le serveur ne répond pas."),
			hint.T("Foyer keeps starting it.", "Foyer continue de le relancer."), hint.T("`sudo foyer logs` shows why; then put the settings right, and apply them again.", "`sudo foyer logs` montre pourquoi ; corrigez alors les réglages et appliquez-les de nouveau."))
	}
	t.Say(hint.T("The server answers.", "Le serveur répond."))
	return nil
}

// isHealthy reports whether the server answered the last look.
func isHealthy(s *Supervisor) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.child.state == stateHealthy
}
